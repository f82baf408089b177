// The log tells what happened and no secret.

import { expect, test } from 'vitest';
import { Authenticator } from '../../server/identity/authenticator.ts';
import { Passwords } from '../../server/identity/passwords.ts';
import { Tokens } from '../../server/identity/tokens.ts';
import { createLog, noticesTo } from '../../server/log.ts';
import { isLoopback } from '../../server/websocket/listener.ts';
import { AmqpError } from '../../shared/error.ts';
import { Engine } from '../support/engine.ts';
import { TokenIssuer } from '../support/token-issuer.ts';

function lines(use: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const written: string[] = [];
  use(createLog('debug', { write: (line) => void written.push(line) }));
  return written.map((line) => JSON.parse(line));
}

test('secrets are cut out by name, at the top and one level down', () => {
  const [line] = lines((log) =>
    log.child({ connection: 1 }).info({ user: 'u', password: 'hunter2', hello: { token: 'hunter2', vhost: '/' } }, 'hello'),
  );
  expect(line).toMatchObject({
    level: 'info',
    connection: 1,
    user: 'u',
    password: '[secret]',
    hello: { token: '[secret]', vhost: '/' },
    msg: 'hello',
  });
  expect(JSON.stringify(line)).not.toContain('hunter2');
});

test('no login, good or bad, leaves a password, a hash or a token in an error or a line of the log', async () => {
  const issuer = await TokenIssuer.start();
  const { broker, time } = new Engine();
  const passwords = new Passwords(4);
  const token = await issuer.token(time.now());
  const hash = await passwords.hash('right-one');
  broker.users.put('ops', { ...hash, tags: [] });
  const written: string[] = [];
  const log = createLog('trace', { write: (line) => void written.push(line) });
  const options = { jwksUrl: issuer.url, issuer: issuer.issuer, audience: 'leveret' };
  const door = new Authenticator(broker.users, passwords, time, { tokens: new Tokens(options, time, noticesTo(log)) });
  const expired = await issuer.token(time.now(), { exp: 1 });
  const secrets = ['right-one', 'wrong-one', hash.passwordHash, ...token.split('.'), ...expired.split('.')];
  for (const [user, password] of [
    ['ops', 'right-one'],
    ['ops', 'wrong-one'],
    ['guest', 'wrong-one'],
    ['', token],
    ['', expired],
    ['', `${token}.right-one`],
    ['', token.replace('.', '.right-one')],
  ] as const)
    await new Promise<void>((resolve) => {
      door.check(user, password, { name: 'elsewhere', address: '10.0.0.1', isLoopback: false }, (outcome) => {
        if (outcome instanceof AmqpError) log.info({ ...outcome.detail, stack: outcome.stack }, outcome.message);
        else log.info({ account: outcome }, 'logged in');
        log.info({ user, password, hello: { user, password } }, 'hello');
        resolve();
      });
    });
  await issuer.stop();
  time.advance(600_000);
  await new Promise<void>((resolve) => door.check('', token, { name: 'here', address: '::1', isLoopback: true }, () => resolve()));
  expect(written.length).toBe(15);
  for (const secret of secrets.filter((each) => each !== '')) expect(written.join('')).not.toContain(secret);
});

test('what the broker notices is logged as severe as it says', () => {
  const told = lines((log) => {
    noticesTo(log).notice({ kind: 'fault.turn', severity: 'error', text: 'a turn failed', fields: { queue: 'q' } });
    noticesTo(log).notice({ kind: 'memory.alarm', severity: 'warn', text: 'held back', fields: { bytes: 5 } });
  });
  expect(told).toMatchObject([
    { level: 'error', kind: 'fault.turn', queue: 'q' },
    { level: 'warn', kind: 'memory.alarm', bytes: 5 },
  ]);
});

test.each([
  ['127.0.0.1', true],
  ['127.8.9.1', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:10.0.0.1', false],
  ['10.0.0.1', false],
  ['128.0.0.1', false],
  ['::', false],
  ['', false],
])('%j is loopback: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
