// The log tells what happened and no secret.

import { expect, test } from 'vitest';
import { Administrator } from '../../server/administrator.ts';
import type { Remote } from '../../server/broker/login.ts';
import { createLog, noticesTo } from '../../server/log.ts';
import { isLoopback } from '../../server/websocket/listener.ts';
import { AmqpError } from '../../shared/error.ts';
import { EngineTime } from '../support/engine.ts';

/** Throws what a login is refused with. */
function checked(administrator: Administrator, user: string, password: string, remote: Remote): void {
  let refusal: unknown;
  administrator.check(user, password, remote, (outcome) => {
    if (outcome instanceof AmqpError) refusal = outcome;
  });
  if (refusal !== undefined) throw refusal;
}

function lines(use: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const written: string[] = [];
  use(createLog('debug', { write: (line) => void written.push(line) }));
  return written.map((line) => JSON.parse(line));
}

const clock = new EngineTime();
const here: Remote = { name: 'here', address: '127.0.0.1', isLoopback: true };
const elsewhere: Remote = { name: 'elsewhere', address: '10.0.0.1', isLoopback: false };

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

test('what is said about a failed login names neither password', () => {
  const administrator = new Administrator('ops', 'right-one', clock);
  const texts = [
    ['ops', 'wrong-one'],
    ['nobody', 'right-one'],
  ].map(([user = '', password = '']) => {
    try {
      checked(administrator, user, password, here);
    } catch (error) {
      return String(error);
    }
    throw new Error('was let in');
  });
  expect(new Set(texts)).toEqual(new Set(['AmqpError: ACCESS_REFUSED - login was refused: wrong user or password']));
  expect(() => checked(administrator, 'ops', 'right-one', elsewhere)).not.toThrow();
});

test('guest comes in from this machine only, whatever the password', () => {
  const administrator = new Administrator('guest', 'guest', clock);
  expect(() => checked(administrator, 'guest', 'guest', here)).not.toThrow();
  expect(() => checked(administrator, 'guest', 'guest', elsewhere)).toThrow("ACCESS_REFUSED - user 'guest' can only connect via localhost");
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

test('ten failed logins of a user from one address are the last for a minute; this machine and other addresses are not held up', () => {
  const administrator = new Administrator('ops', 'right-one', clock);
  const login = (remote: Remote, password: string): void => checked(administrator, 'ops', password, remote);
  for (let attempt = 0; attempt < 10; attempt++) {
    expect(() => login(elsewhere, 'wrong')).toThrow('wrong user or password');
    expect(() => login(here, 'wrong')).toThrow('wrong user or password');
  }
  expect(() => login(elsewhere, 'right-one')).toThrow('too many failed logins');
  expect(() => login({ ...elsewhere, address: '10.0.0.2' }, 'right-one')).not.toThrow();
  expect(() => login(here, 'right-one')).not.toThrow();
  clock.advance(60_000);
  expect(() => login(elsewhere, 'right-one')).not.toThrow();
});
