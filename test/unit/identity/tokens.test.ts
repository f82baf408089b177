// Tokens: which are good, what they allow, and where the keys that prove it come from.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Account, type Remote, trustedAccount } from '../../../server/broker/login.ts';
import { Authenticator, isToken } from '../../../server/identity/authenticator.ts';
import { keySetUrl } from '../../../server/identity/key-set.ts';
import { Passwords } from '../../../server/identity/passwords.ts';
import { type TokenOptions, Tokens } from '../../../server/identity/tokens.ts';
import type { Notice } from '../../../server/ports.ts';
import { AmqpError } from '../../../shared/error.ts';
import { Engine } from '../../support/engine.ts';
import { TokenIssuer } from '../../support/token-issuer.ts';

const here: Remote = { name: 'here', address: '127.0.0.1', isLoopback: true };
const elsewhere: Remote = { name: 'elsewhere', address: '10.0.0.1', isLoopback: false };

let issuer: TokenIssuer;
let engine: Engine;
let notices: Notice[];
beforeEach(async () => {
  issuer = await TokenIssuer.start();
  engine = new Engine();
  notices = [];
});
afterEach(() => issuer.stop());

function tokens(options: Partial<TokenOptions> = {}): Tokens {
  const all = { jwksUrl: issuer.url, issuer: issuer.issuer, audience: 'leveret', ...options };
  return new Tokens(all, engine.time, { notice: (notice) => void notices.push(notice) });
}
const seconds = (): number => engine.time.now() / 1_000;
const token = (claims: Readonly<Record<string, unknown>> = {}, kid?: string): Promise<string> =>
  issuer.token(engine.time.now(), claims, kid);

test('a token that is good makes an account: its name, rights, tags and end', async () => {
  const account = await tokens().check(await token({ scope: 'write:v/orders tag:monitoring' }));
  expect([account.name, [...account.tags]]).toEqual(['orders-service', ['monitoring']]);
  expect([account.rights('v')?.may('write', 'orders'), account.rights('v')?.may('read', 'orders'), account.rights('w')]).toEqual([
    true,
    false,
    undefined,
  ]);
  expect(account.expiresAt).toBe((seconds() + 300) * 1_000);
  expect(account.rights('v')).toBe(account.rights('v'));
});

test('the name comes from the claim that is configured, and scopes carry the prefix that is', async () => {
  const set = tokens({ userClaim: 'email', resourceServerId: 'broker' });
  const account = await set.check(await token({ email: 'a@example.org', scope: ['broker.read:v/x', 'write:v/x'] }));
  expect([account.name, account.rights('v')?.may('read', 'x'), account.rights('v')?.may('write', 'x')]).toEqual([
    'a@example.org',
    true,
    false,
  ]);
  await expect(set.check(await token())).rejects.toThrow("it has no user name in 'email'");
});

test.each(['RS256', 'PS256', 'ES384', 'EdDSA'])('%s is taken', async (alg) => {
  await issuer.addKey(alg, alg);
  expect((await tokens().check(await token({}, alg))).name).toBe('orders-service');
});

test.each([
  ['another issuer', { iss: 'https://evil.example' }, 'iss'],
  ['no issuer', { iss: undefined }, 'iss'],
  ['another audience', { aud: 'somebody-else' }, 'aud'],
  ['no audience', { aud: undefined }, 'aud'],
  ['no exp', { exp: undefined }, 'exp'],
  ['an exp that is text', { exp: '9999999999' }, 'exp'],
  ['an exp of the past', { exp: 1_000 }, 'exp'],
  ['an nbf of the future', { nbf: 9_999_999_999 }, 'nbf'],
  ['an nbf that is text', { nbf: 'soon' }, 'nbf'],
  ['no user', { sub: '' }, 'user name'],
  ['a user that is a number', { sub: 7 }, 'user name'],
])('%s is refused', async (_what, claims, why) => {
  const refused = await tokens()
    .check(await token(claims))
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(AmqpError);
  expect(refused).toMatchObject({
    code: 403,
    message: expect.stringMatching(`^ACCESS_REFUSED - login was refused: the token is not good here: .*${why}`),
  });
});

test('an exp or nbf beyond all numbers is refused: it would never end', async () => {
  const payload = (exp: string, nbf: string) => `{"iss":"${issuer.issuer}","aud":"leveret","sub":"x","exp":${exp},"nbf":${nbf}}`;
  await expect(tokens().check(await issuer.signed(payload('1e999', '0')))).rejects.toThrow('exp');
  await expect(tokens().check(await issuer.signed(payload('9999999999', '-1e999')))).rejects.toThrow('nbf');
  expect((await tokens().check(await issuer.signed(payload('9999999999', '0')))).name).toBe('x');
});

test('an account goes on as a later token of its user says, and rights that somebody holds change with it', async () => {
  const account = await tokens().check(await token({ scope: 'write:v/orders tag:monitoring' }));
  const held = account.rights('v');
  const before = held?.version ?? 0;
  expect(held?.may('write', 'orders')).toBe(true);
  const next = await tokens().check(await token({ scope: 'write:v/stock', exp: seconds() + 900 }));
  expect(account.renew?.(next)).toBe(true);
  expect([held?.may('write', 'orders'), held?.may('write', 'stock')]).toEqual([false, true]);
  expect(held?.version).toBeGreaterThan(before);
  expect([account.expiresAt, [...account.tags]]).toEqual([(seconds() + 900) * 1_000, []]);
  expect(account.renew?.(await tokens().check(await token({ scope: '' })))).toBe(true);
  expect([account.rights('v'), held?.may('write', 'stock')]).toEqual([undefined, false]);
  expect(account.renew?.(await tokens().check(await token({ sub: 'somebody else' })))).toBe(false);
  expect(account.renew?.(trustedAccount('orders-service'))).toBe(false);
});

test('the leeway holds for the end of the token and of the account, and is a minute at most', async () => {
  const late = await token({ exp: seconds() - 20 });
  await expect(tokens().check(late)).rejects.toThrow('exp');
  expect((await tokens({ leewayMs: 30_000 }).check(late)).expiresAt).toBe((seconds() + 10) * 1_000);
  for (const leewayMs of [60_001, -1, Number.NaN]) expect(() => tokens({ leewayMs })).toThrow('a leeway of');
  expect(() => tokens({ audience: '' })).toThrow('tokens need an issuer and an audience');
});

test('no signature, a shared secret, another key and a changed claim are refused', async () => {
  const good = await token();
  const [header = '', payload = '', signature = ''] = good.split('.');
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const none = `${part({ alg: 'none' })}.${payload}.`;
  const head = part({ alg: 'HS256', kid: 'first' });
  // The trick with the public key as the secret
  const mac = createHmac('sha256', JSON.stringify(issuer.keys[0])).update(`${head}.${payload}`).digest('base64url');
  const changed = `${header}.${part({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), scope: 'tag:administrator' })}.${signature}`;
  const stranger = await TokenIssuer.start();
  const foreign = await stranger.token(engine.time.now());
  await stranger.stop();
  const set = tokens();
  for (const bad of [
    none,
    `${head}.${payload}.${mac}`,
    changed,
    foreign,
    `${header}.${payload}.`,
    `${good}x`,
    'eyJ.eyJ.x',
    `eyJ${'a'.repeat(17_000)}.a.a`,
  ])
    await expect(set.check(bad)).rejects.toThrow(/^ACCESS_REFUSED - login was refused: the token is not good here: /);
  issuer.keys.push({ kty: 'oct', k: Buffer.from('secret').toString('base64url'), kid: 'shared' });
  const shared = await new SignJWT({}).setProtectedHeader({ alg: 'HS256', kid: 'shared' }).sign(Buffer.alloc(32, 1));
  await expect(tokens().check(shared)).rejects.toThrow('not good here');
});

test('a key that is not there is asked for, at most once a minute, and by all who wait together', async () => {
  const set = tokens();
  await Promise.all(Array.from({ length: 10 }, async () => set.check(await token())));
  expect(issuer.asked).toBe(1);
  await issuer.addKey('second');
  const second = await token({}, 'second');
  await expect(set.check(second)).rejects.toThrow('not good here');
  expect(issuer.asked).toBe(1);
  engine.time.advance(60_000);
  expect((await set.check(second)).name).toBe('orders-service');
  expect(issuer.asked).toBe(2);
});

test('a key that was taken back is good for ten minutes at most', async () => {
  const set = tokens();
  await issuer.addKey('second');
  await set.check(await token());
  issuer.keys.shift();
  engine.time.advance(599_999);
  await set.check(await token());
  engine.time.advance(1);
  await expect(set.check(await token())).rejects.toThrow('not good here');
  expect((await set.check(await token({}, 'second'))).name).toBe('orders-service');
});

test.each<[string, TokenIssuer['answer'], string]>([
  ['a 500', (_, response) => void response.writeHead(500).end('{"keys":[]}'), 'the answer is 500, not 200'],
  ['a redirect', (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), 'the answer is 302, not 200'],
  ['no JSON', (_, response) => void response.end('<html>hunter2</html>'), 'the answer is no JSON'],
  ['no key set', (_, response) => void response.end('{"keys":{}}'), 'the answer is no key set'],
  [
    '65 keys',
    (_, response) => void response.end(JSON.stringify({ keys: Array.from({ length: 65 }, () => ({ kty: 'EC' })) })),
    '65 keys are more than 64',
  ],
  ['more than 64 KiB', (_, response) => void response.end(' '.repeat(65_537)), 'longer than 65536 bytes'],
  ['an end in the middle', (_, response) => void response.write('{"keys', () => response.destroy()), 'aborted'],
])('after %s the old keys stay, and the log says so', async (_what, answer, why) => {
  const set = tokens();
  await set.check(await token());
  issuer.answer = answer;
  engine.time.advance(600_000);
  expect((await set.check(await token())).name).toBe('orders-service');
  expect(issuer.asked).toBe(2);
  expect(notices).toMatchObject([{ kind: 'token.keys', severity: 'warn', text: expect.stringContaining(why) }]);
  expect(JSON.stringify(notices)).not.toContain('hunter2');
  expect(engine.time.timerCount).toBe(0);
});

test('who does not answer is given up after five seconds, and without any keys a login is refused', async () => {
  const asked = new Promise<void>((resolve) => (issuer.answer = () => resolve()));
  const answer = tokens().check(await token());
  answer.catch(() => undefined);
  await asked;
  engine.time.advance(5_000);
  await expect(answer).rejects.toThrow('the keys that tokens are checked with could not be fetched');
  expect(notices[0]?.text).toContain('no answer within 5000 ms');
});

test('a key set under a certificate that nobody vouches for is not taken, whatever the environment says', async () => {
  const file = (name: string): Buffer => readFileSync(new URL(`../../support/tls/${name}`, import.meta.url));
  const secure = await TokenIssuer.start({ cert: file('server.pem'), key: file('server-key.pem') });
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  try {
    await expect(tokens({ jwksUrl: secure.url }).check(await secure.token(engine.time.now()))).rejects.toThrow('could not be fetched');
    expect(secure.asked).toBe(0);
  } finally {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    await secure.stop();
  }
});

test.each([
  ['https://issuer.example/keys', true],
  ['http://localhost:8080/keys', true],
  ['http://127.0.0.1/keys', true],
  ['http://[::1]/keys', true],
  ['http://issuer.example/keys', false],
  ['http://127.0.0.1.evil.example/keys', false],
  ['http://localhost.evil.example/keys', false],
  ['https://user:hunter2@issuer.example/keys', false],
  ['file:///etc/passwd', false],
  ['keys', false],
])('keys from %s: %s', (url, expected) => {
  if (expected) expect(keySetUrl(url).href).toContain('/keys');
  else expect(() => keySetUrl(url)).toThrow(/^PRECONDITION_FAILED - invalid address of a key set(?!.*hunter2)/);
});

test('a token stands in the password’s place with any user name or none; without tokens it is a password like others', async () => {
  const { users } = engine.broker;
  const logIn = (door: Authenticator, user: string, password: string, remote = here): Promise<Account> =>
    new Promise((resolve, reject) => {
      door.check(user, password, remote, (outcome) => (outcome instanceof AmqpError ? reject(outcome) : resolve(outcome)));
    });
  const door = new Authenticator(users, new Passwords(4), engine.time, { tokens: tokens() });
  for (const user of ['', 'anybody', 'guest']) expect((await logIn(door, user, await token(), elsewhere)).name).toBe('orders-service');
  for (const remote of [here, elsewhere])
    await expect(logIn(door, 'guest', await token({ sub: 'guest' }), remote)).rejects.toThrow(
      "ACCESS_REFUSED - login was refused: the token names user 'guest', who may not log in by token",
    );
  for (let count = 0; count < 12; count++)
    await expect(logIn(door, '', await token({ aud: 'x' }), elsewhere)).rejects.toThrow('not good here');
  expect((await logIn(door, '', await token(), elsewhere)).name).toBe('orders-service');
  await expect(logIn(new Authenticator(users, new Passwords(4), engine.time), '', await token())).rejects.toThrow('wrong user or password');
  expect([isToken(await token()), isToken('a.b.c'), isToken('eyJ.x'), isToken('')]).toEqual([true, false, false, false]);
});
