// Tokens from the configuration to the wire: a JWT in the password's place, on every protocol, until it ends. Time is the test's, keys come from a port.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Addresses, Leveret } from '../../server/compose.ts';
import { configOf } from '../../server/config.ts';
import type { Notice } from '../../server/ports.ts';
import type { SettingValue } from '../../server/setting.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { VirtualClock } from '../support/clock.ts';
import { RawAmqp } from '../support/raw-amqp.ts';
import { RawWebSocket } from '../support/raw-web-socket.ts';
import { freshFolder, Started } from '../support/started.ts';
import { TokenIssuer } from '../support/token-issuer.ts';
import { WebSocketStream } from '../support/web-socket-stream.ts';

const SCOPES = 'configure:*/* write:*/* read:*/* tag:administrator';

let issuer: TokenIssuer;
let clock: VirtualClock;
let notices: Notice[];
const open: Leveret[] = [];
beforeEach(async () => {
  issuer = await TokenIssuer.start();
  clock = new VirtualClock();
  notices = [];
});
afterEach(async () => {
  for (const leveret of open.splice(0)) await close(leveret);
  await issuer.stop();
});

/** What a close waits for is the test's time too. */
async function close(leveret: Leveret): Promise<void> {
  let isOver = false;
  const closed = leveret.close().then(() => {
    isOver = true;
  });
  while (!isOver) {
    await clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
}

async function start(settings: Readonly<Record<string, SettingValue>> = {}): Promise<{ http: number; amqp: number }> {
  const ignore = (): void => undefined;
  const logs = {
    notices: { notice: (notice: Notice) => void notices.push(notice) },
    logFor: () => ({ debug: ignore, info: ignore, warn: ignore, error: ignore }),
  };
  const leveret = new Leveret(configOf({ memory: true, ...settings }), { logs, clock, messageLog: new MemoryLog() });
  open.push(leveret);
  const { http, amqp }: Addresses = await leveret.listen('127.0.0.1', { http: 0, amqp: 0 });
  return { http: http.port, amqp: amqp?.port ?? 0 };
}

const jwt = (): Record<string, SettingValue> => ({
  'jwt.jwks-url': issuer.url,
  'jwt.issuer': issuer.issuer,
  'jwt.audience': 'leveret',
});
const token = (claims: Readonly<Record<string, unknown>> = {}): Promise<string> => issuer.token(clock.now(), { scope: SCOPES, ...claims });

async function native(port: number, password: string): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(port);
  if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}`);
  await socket.text({ id: 1, op: 'hello', version: 1, user: '', password });
  return socket;
}

async function overWebSocket(port: number, password: string): Promise<RawAmqp> {
  const client = new RawAmqp(await WebSocketStream.dial(port, 'amqp'));
  await client.logIn({ user: '', password });
  return client;
}

test('a token logs in over AMQP, AMQP over WebSocket, leveret.v1 and HTTP, and its end ends what is open', async () => {
  const { http, amqp } = await start(jwt());
  const password = await token({ exp: Math.floor(clock.now() / 1_000) + 20 }); // before a WebSocket ping is due
  const clients = [await RawAmqp.open(amqp, { user: 'whoever', password }), await overWebSocket(http, password)];
  const session = await native(http, password);
  expect(await session.json()).toMatchObject({ id: 1, ok: { user: 'orders-service' } });
  const headers = { authorization: `Bearer ${password}` };
  for (const authorization of [headers.authorization, `Basic ${btoa(`:${password}`)}`]) {
    const answer = await fetch(`http://127.0.0.1:${http}/api/whoami`, { headers: { authorization } });
    expect(await answer.json()).toMatchObject({ name: 'orders-service', tags: ['administrator'] });
  }
  const connections = await fetch(`http://127.0.0.1:${http}/api/connections`, { headers });
  expect(await connections.json()).toMatchObject([{ user: 'orders-service' }, { user: 'orders-service' }, { user: 'orders-service' }]);

  await clock.advance(20_000);
  for (const client of clients)
    expect((await client.method('connection.close')).fields).toMatchObject({
      replyCode: 320,
      replyText: "CONNECTION_FORCED - the token of user 'orders-service' has expired",
    });
  expect(await session.closed).toBe(1001);
});

test('update-secret takes a new token of the same user, and no other', async () => {
  const { amqp } = await start(jwt());
  const update = (newSecret: string) => ({ newSecret: new TextEncoder().encode(newSecret), reason: 'rotation' });
  const client = await RawAmqp.open(amqp, { user: '', password: await token() });
  await clock.advance(200_000);
  await client.call(0, 'connection.update-secret', update(await token()), 'connection.update-secret-ok');
  await clock.advance(200_000);
  await client.openChannel(1);
  for (const bad of [await token({ sub: 'somebody else' }), await token({ exp: 1 })]) {
    const other = await RawAmqp.open(amqp, { user: '', password: await token() });
    await other.send(0, 'connection.update-secret', update(bad));
    expect((await other.method('connection.close')).fields).toMatchObject({ replyCode: 530, failedMethodId: 70 });
  }
  await client.send(0, 'connection.update-secret', update(await token({ scope: 'tag:management' })));
  await client.method('connection.update-secret-ok');
  await client.send(1, 'queue.declare', {
    queue: 'q',
    passive: false,
    durable: false,
    exclusive: false,
    autoDelete: false,
    nowait: false,
    arguments: new Map(),
  });
  expect((await client.method('channel.close', 1)).fields).toMatchObject({ replyCode: 403 });
});

test('scopes decide: a vhost that they do not name is closed, a queue that they do not name is refused', async () => {
  const { http, amqp } = await start({ ...jwt(), 'jwt.audience': '', 'jwt.resource-server-id': 'broker' });
  const password = await token({ aud: 'broker', scope: 'broker.read:%2F/orders read:*/*' });
  const client = await RawAmqp.open(amqp, { user: '', password });
  await client.openChannel(1);
  await client.send(1, 'basic.get', { queue: 'stock', noAck: true });
  expect((await client.method('channel.close', 1)).fields).toMatchObject({ replyCode: 403 });
  const session = await native(http, await token({ aud: 'broker', scope: 'read:*/*' }));
  await clock.advance(1_000);
  expect(await session.json()).toMatchObject({ id: 1, error: { code: 530 } });
});

test('keys are fetched when the broker listens, before anybody comes; where they cannot be, the log says so', async () => {
  const asked = new Promise<void>((resolve) => {
    issuer.answer = (_request, response) => {
      response.statusCode = 500;
      response.end();
      resolve();
    };
  });
  const { http } = await start({ ...jwt(), 'jwt.jwks-url': `${issuer.url}?key=s3cret` });
  await asked;
  while (notices.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(notices).toMatchObject([{ kind: 'token.keys', severity: 'warn', text: expect.stringContaining('500, not 200') }]);
  expect(JSON.stringify(notices)).not.toContain('s3cret');
  const session = await native(http, await token());
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(1_000);
  expect(issuer.asked).toBe(1);
  void session;
});

test('a broker that closes while keys are fetched gives that up', async () => {
  const asked = new Promise<void>((resolve) => {
    issuer.answer = () => resolve(); // and no answer
  });
  await start(jwt());
  await asked;
  const [leveret] = open.splice(0);
  if (leveret !== undefined) await close(leveret);
  expect([notices, clock.pendingTimers]).toEqual([[], 0]);
});

test('without jwt settings nothing that looks into tokens is loaded, and with them it is', async () => {
  const folder = freshFolder();
  const hooks = join(folder, 'hooks.mjs');
  const register = join(folder, 'register.mjs');
  writeFileSync(
    hooks,
    `import { writeSync } from 'node:fs';
export async function resolve(specifier, context, next) {
  writeSync(2, 'loads ' + specifier + '\\n');
  return next(specifier, context);
}`,
  );
  writeFileSync(register, `import { register } from 'node:module';\nregister(${JSON.stringify(pathToFileURL(hooks).href)});`);
  const environment = { NODE_OPTIONS: `--import=${pathToFileURL(register).href}` };
  const plain = new Started(['--memory', '--http-port', '0'], environment);
  await plain.port();
  await plain.stop();
  expect(plain.err).toContain('loads ./identity/authenticator');
  expect(plain.err).not.toMatch(/loads (jose|.*[^-]tokens|.*key-set)/);
  const jwtEnvironment = { LEVERET_JWT_JWKS_URL: issuer.url, LEVERET_JWT_ISSUER: issuer.issuer, LEVERET_JWT_AUDIENCE: 'leveret' };
  const taking = new Started(['--memory', '--http-port', '0'], { ...environment, ...jwtEnvironment });
  await taking.port();
  while (issuer.asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await taking.stop();
  expect(taking.err).toMatch(/loads jose/);
});
