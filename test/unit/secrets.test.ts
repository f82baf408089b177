// No secret is printed, logged or answered: planted ones are brought to every door, rightly and wrongly, and nothing that a broker says holds one.
// Always: the broker is a process of its own that logs all there is (trace), so the log that is searched is the one that operators have.

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeTable } from '../../shared/amqp/table.ts';
import { RawAmqp, rawFrame } from '../support/raw-amqp.ts';
import { RawWebSocket } from '../support/raw-web-socket.ts';
import { Ears } from '../support/secrets.ts';
import { freshFolder, SHIM, Started } from '../support/started.ts';
import { TokenIssuer } from '../support/token-issuer.ts';
import { WebSocketStream } from '../support/web-socket-stream.ts';

const tls = (name: string): string => fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));
const KEY_LINES = readFileSync(tls('server-key'), 'utf8').split('\n').slice(1, 3);
// RabbitMQ, Passwords: the hash of test12
const HASH = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR';

let ears: Ears;
let issuer: TokenIssuer;
beforeEach(async () => {
  ears = new Ears();
  issuer = await TokenIssuer.start();
});
afterEach(() => issuer.stop());

interface Ports {
  readonly http: number;
  readonly amqp: number;
}

/** Flags and variables of a broker that is told secrets in every way there is, and the password of its first user. */
function surroundings(): { words: string[]; environment: Record<string, string>; password: string } {
  const folder = freshFolder();
  const password = ears.plant('the default password, from a file', 'planted-default-pass-1');
  const files = {
    pass: password,
    'leveret.toml': `[alerts]\nsecret = "${ears.plant('the signing secret, from the configuration file', 'planted-signing-secret-2')}"\n`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const [at, line] of KEY_LINES.entries()) ears.plant(`line ${at} of the TLS key`, line);
  const environment = {
    LEVERET_DEFAULT_USER: 'ops',
    LEVERET_DEFAULT_PASS_FILE: join(folder, 'pass'),
    LEVERET_ALERTS_WEBHOOK_URL: ears.plant('the webhook, from a variable', 'https://hooks.example/planted-webhook-3'),
    LEVERET_JWT_JWKS_URL: issuer.url,
    LEVERET_JWT_ISSUER: issuer.issuer,
    LEVERET_JWT_AUDIENCE: 'leveret',
    LEVERET_LIMITS_LOGIN_DELAY_MS: '1',
  };
  const ports = ['--http-port', '0', '--amqp-port', '0', '--https-port', '0', '--amqps-port', '0'];
  const config = ['--config', join(folder, 'leveret.toml'), '--tls-cert', tls('server'), '--tls-key', tls('server-key')];
  return { words: [...config, ...ports, '--log-level', 'trace'], environment, password };
}

async function start(words: readonly string[], environment: Record<string, string>): Promise<{ started: Started; ports: Ports }> {
  const started = new Started(words, environment);
  const http = await started.port();
  return { started, ports: { http, amqp: Number(/amqp:\/\/\S+:(\d+)/.exec(started.out)?.[1]) } };
}

async function stop(started: Started): Promise<void> {
  await started.stop();
  ears.hear('stdout', started.out);
  ears.hear('stderr', started.err);
}

interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Every way in. What the broker says on each is heard; a refusal is no fault. */
async function knockEverywhere(ports: Ports, { user, password }: Credentials): Promise<void> {
  await Promise.all([
    overAmqp(`amqp as ${user}`, await RawAmqp.dial(ports.amqp), 'PLAIN', Buffer.from(`\0${user}\0${password}`)),
    overAmqp(
      `amqplain as ${user}`,
      await RawAmqp.dial(ports.amqp),
      'AMQPLAIN',
      encodeTable(
        new Map([
          ['LOGIN', user],
          ['PASSWORD', password],
        ]),
      ).subarray(4),
    ),
    overAmqp(
      `amqp over websocket as ${user}`,
      new RawAmqp(await WebSocketStream.dial(ports.http, 'amqp')),
      'PLAIN',
      Buffer.from(`\0${user}\0${password}`),
    ),
    overNative(ports.http, JSON.stringify({ id: 1, op: 'hello', version: 1, user, password })),
    ask(ports, 'GET', '/api/whoami', `Basic ${btoa(`${user}:${password}`)}`),
    ask(ports, 'GET', '/api/whoami', `Bearer ${password}`),
  ]);
}

async function overAmqp(where: string, client: RawAmqp, mechanism: string, response: Uint8Array): Promise<void> {
  await client.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
  await client.method('connection.start');
  const capabilities = new Map([['authentication_failure_close', true]]);
  await client.send(0, 'connection.start-ok', {
    clientProperties: new Map([['capabilities', capabilities]]),
    mechanism,
    response,
    locale: 'en_US',
  });
  const { method } = await client.frame();
  ears.hear(where, JSON.stringify(method));
  if (method?.name === 'connection.tune') {
    await client.send(0, 'connection.tune-ok', { channelMax: 10, frameMax: 131_072, heartbeat: 0 });
    await client.send(0, 'connection.open', { virtualHost: '/' });
    const opened = (await client.frame()).method;
    ears.hear(where, JSON.stringify(opened));
    if (opened?.name === 'connection.open-ok') {
      await client.send(0, 'connection.update-secret', { newSecret: response, reason: 'rotation' });
      ears.hear(where, JSON.stringify((await client.frame()).method));
    }
  }
  client.stream.destroy();
}

async function overNative(port: number, text: string): Promise<void> {
  const socket = await RawWebSocket.open(port);
  if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}`);
  await socket.text(text);
  ears.hear('leveret.v1', JSON.stringify(await socket.json()));
  socket.end();
}

async function ask({ http }: Ports, method: string, path: string, authorization: string, body?: string): Promise<number> {
  const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const answer = await fetch(`http://127.0.0.1:${http}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
  ears.hear(`${method} ${path}`, `${[...answer.headers].join('\n')}\n${await answer.text()}`);
  return answer.status;
}

/** Bytes that no server of this kind expects, and what it says before it hangs up. */
async function shout(port: number, bytes: string | Uint8Array): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => ears.hear(`port ${port}`, chunk.toString('latin1')));
  socket.end(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
}

async function run(words: readonly string[], environment: Record<string, string> = {}): Promise<string> {
  const child = spawn(process.execPath, [SHIM, ...words], { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  ears.hear(`leveret ${words[0]} ${words[1]}`, said);
  return said;
}

test('what looks for secrets finds them, in each of the shapes they may have', () => {
  const secret = ears.plant('it', 'planted-control-0');
  for (const text of [secret, btoa(secret), btoa(`me:${secret}`), btoa(`you:${secret}!`), `${[...Buffer.from(secret)]}`])
    ears.hear('here', `...${text}...`);
  ears.hear('there', 'planted-contro');
  expect(ears.leaks()).toEqual(Array.from({ length: 5 }, () => 'it in here'));
  expect(ears.leaks((name, where) => name === 'it' && where === 'here')).toEqual([]);
});

test('logins that succeed and fail on every protocol leave no password and no token behind', async () => {
  const { words, environment, password } = surroundings();
  const { started, ports } = await start(words, environment);
  const now = Date.now();
  const token = ears.plant('a token', await issuer.token(now, { scope: 'read:*/* tag:administrator' }));
  const attempts: Credentials[] = [
    { user: 'ops', password },
    { user: 'ops', password: ears.plant('a wrong password', 'planted-wrong-4') },
    { user: 'nobody', password: ears.plant('the password of nobody', 'planted-nobody-5') },
    { user: 'bearer', password: token },
    { user: 'late', password: ears.plant('a token that is over', await issuer.token(now, { exp: 1 })) },
    { user: 'forger', password: ears.plant('a token with a wrong signature', `${token.slice(0, -6)}AAAAAA`) },
  ];
  ears.plant("a token's signature", String(token.split('.')[2]).slice(0, -8));
  for (const each of attempts) await knockEverywhere(ports, each);
  await stop(started);
  expect(ears.leaks()).toEqual([]);
  // The log was there, and said who came and who was sent away.
  for (const words of ['login refused', 'logged in', '"user":"ops"', 'update-secret-ok']) expect(ears.text).toContain(words);
});

test('what cannot be read is not repeated: malformed logins, bodies, headers and frames', async () => {
  const { words, environment, password } = surroundings();
  const { started, ports } = await start(words, environment);
  const secret = ears.plant('a secret in something malformed', 'planted-malformed-6');
  const administrator = `Basic ${btoa(`ops:${password}`)}`;
  await overAmqp('PLAIN without its zeros', await RawAmqp.dial(ports.amqp), 'PLAIN', Buffer.from(secret));
  await overAmqp('AMQPLAIN that is no table', await RawAmqp.dial(ports.amqp), 'AMQPLAIN', Buffer.from(secret));
  await overAmqp('an unknown mechanism', await RawAmqp.dial(ports.amqp), 'SCRAM', Buffer.from(secret));
  await overNative(ports.http, `{"id":1,"op":"hello","password":"${secret}"`);
  await overNative(ports.http, JSON.stringify({ id: 1, op: 'hello', version: 1, user: 5, password: secret }));
  await overNative(ports.http, JSON.stringify({ id: 1, op: 'hello', version: 9, user: 'ops', password: secret }));
  await overNative(ports.http, JSON.stringify({ id: 1, op: 'login', password: secret }));
  for (const header of [`Basic ${secret}`, `Basic ${btoa(secret)}`, `Digest ${secret}`, `Bearer ${secret} ${secret}`])
    await ask(ports, 'GET', '/api/whoami', header);
  for (const body of [`{"password":"${secret}"`, `["${secret}"]`, `{"password":"${secret}","tags":{}}`, `{"password":["${secret}"]}`])
    await ask(ports, 'PUT', '/api/users/new', administrator, body);
  await shout(ports.amqp, `GET / HTTP/1.1\r\nAuthorization: Bearer ${secret}\r\n\r\n`);
  await shout(ports.amqp, Buffer.concat([Buffer.from('AMQP\0\0\x09\x01', 'latin1'), rawFrame(65, 0, Buffer.from(secret))]));
  await shout(ports.http, `GET / HTTP/1.1\r\nAuthorization Bearer ${secret}\r\n\r\n`);
  await stop(started);
  expect(ears.leaks()).toEqual([]);
});

test('users are made, changed and listed without their passwords; a hash is for administrators who ask for it, and in no log', async () => {
  const { words, environment, password } = surroundings();
  const { started, ports } = await start(words, environment);
  const administrator = `Basic ${btoa(`ops:${password}`)}`;
  const chosen = ears.plant('a chosen password', 'planted-chosen-7');
  ears.plant('a hash', HASH);
  expect(await ask(ports, 'PUT', '/api/users/alice', administrator, JSON.stringify({ password: chosen, tags: 'monitoring' }))).toBe(201);
  expect(await ask(ports, 'PUT', '/api/users/bob', administrator, JSON.stringify({ password_hash: HASH, tags: '' }))).toBe(201);
  const monitoring = `Basic ${btoa(`alice:${chosen}`)}`;
  for (const path of ['/api/overview', '/api/connections', '/api/vhosts', '/api/whoami', '/api/openapi.json', '/health', '/metrics'])
    for (const caller of [administrator, monitoring]) await ask(ports, 'GET', path, caller);
  for (const path of ['/api/users', '/api/users/bob', '/api/definitions']) {
    await ask(ports, 'GET', path, administrator);
    const said = new Ears();
    said.plant('a hash', HASH);
    const answer = await fetch(`http://127.0.0.1:${ports.http}${path}`, { headers: { authorization: monitoring } });
    said.hear(path, await answer.text());
    expect(said.leaks()).toEqual([]);
  }
  await knockEverywhere(ports, { user: 'bob', password: 'test12' });
  await stop(started);
  expect(ears.leaks((name, where) => name === 'a hash' && /^GET \/api\/(users|definitions)/.test(where))).toEqual([]);
  expect(ears.text).toContain(HASH); // the exception is one
});

test('what a definitions file would do is said without the secrets in it, and kept and exported with them', async () => {
  const { words, environment, password } = surroundings();
  const { started, ports } = await start(words, environment);
  const administrator = `Basic ${btoa(`ops:${password}`)}`;
  const file = (round: number): string => {
    const plant = (name: string): string => ears.plant(`${name}, round ${round}`, `planted-${name.replace(/\W/g, '-')}-${round}`);
    const value = {
      'src-uri': `amqp://me:${plant('a password in an address')}@one.example:5672/%2F?password=${plant('a parameter of an address')}`,
      'dest-uri': ['amqp://two.example:5672', `amqps://me:${plant('a password in a list')}/with@slash@three.example`],
      tls: { keyPassphrase: plant('a passphrase'), client_secret: [plant('a secret in a list')] },
      'api-key': plant('a key'),
    };
    return JSON.stringify({
      users: [{ name: 'carol', password_hash: ears.plant('a hash', HASH), tags: [] }],
      parameters: [{ vhost: '/', component: 'shovel', name: 's', value }],
      global_parameters: [{ name: 'g', value: { token: plant('a token of a parameter') } }],
      queues: [{ vhost: '/', name: 'q', durable: true, auto_delete: false, arguments: { 'x-secret': plant('an argument') } }],
    });
  };
  for (const round of [1, 2]) {
    expect(await ask(ports, 'POST', '/api/definitions?plan=true', administrator, file(round))).toBe(200);
    if (round === 1) expect(await ask(ports, 'POST', '/api/definitions', administrator, file(round))).toBe(204);
  }
  expect(await ask(ports, 'POST', '/api/definitions?plan=true&prune=true', administrator, '{"parameters":[],"global_parameters":[]}')).toBe(
    200,
  );
  for (const shown of ['amqp://me:***@one.example:5672/%2F?password=***', 'amqp://two.example:5672', '(changed)'])
    expect(ears.text).toContain(shown);
  const kept = await fetch(`http://127.0.0.1:${ports.http}/api/definitions`, { headers: { authorization: administrator } });
  expect(await kept.text()).toContain('amqp://me:planted-a-password-in-an-address-1@one.example');
  await stop(started);
  expect(ears.leaks()).toEqual([]);
});

describe('the command line', () => {
  test('config print, check and explain leave secrets out, and complaints do not repeat them', async () => {
    const { words, environment } = surroundings();
    const flags = words.filter((word, at) => !['--log-level', 'trace'].includes(word) && at < 6);
    expect(await run(['config', 'print', ...flags], environment)).toContain('default-user');
    await run(['config', 'print', '--json', ...flags], environment);
    await run(['config', 'check', ...flags], environment);
    const bad = {
      LEVERET_DEFAULT_PASS: ears.plant('two passwords at once', 'planted-twice-8'),
      LEVERET_ALERTS_WEBHOOK_URL: ears.plant('an address that is none', 'planted no url 9'),
      LEVERET_JWT_JWKS_URL: `https://me:${ears.plant('a password in an address', 'planted-in-url-10')}@id.example/keys`,
    };
    expect(await run(['config', 'check', ...flags], { ...environment, ...bad })).toContain('jwt.jwks-url');
    await run(['config', 'print', ...flags], { ...environment, ...bad });
    await run(['start', ...words], { ...environment, ...bad });
    expect(ears.leaks()).toEqual([]);
  });

  test('a url with a password is not repeated, whether the broker refuses it or is not there', async () => {
    const { words, environment } = surroundings();
    const { started, ports } = await start(words, environment);
    const secret = ears.plant('a password in --url', 'planted-url-11');
    const verbs = (scheme: string, port: number): Promise<string>[] => [
      run(['get', 'q', '--url', `${scheme}://ops:${secret}@127.0.0.1:${port}${scheme === 'ws' ? '/ws' : ''}`]),
      run(['bench', '-z', '1', '--url', `${scheme}://ops:${secret}@127.0.0.1:${port}${scheme === 'ws' ? '/ws' : ''}`]),
    ];
    const said = await Promise.all([
      ...verbs('ws', ports.http),
      ...verbs('amqp', ports.amqp),
      ...verbs('ws', 1),
      ...verbs('amqp', 1),
      run(['get', 'q', '--url', `ftp://ops:${secret}@127.0.0.1`]),
      run(['get', 'q', '--url', `ws://ops:${secret}@127.0.0.1:99999/ws`]),
    ]);
    expect(said.filter((text) => text === '')).toEqual([]);
    await stop(started);
    expect(ears.leaks()).toEqual([]);
  });
});

test('a request whose path, query or other headers hold a secret leaves it out of the log', async () => {
  const { words, environment } = surroundings();
  const { started, ports } = await start(words, environment);
  const secret = ears.plant('a secret in a request', 'planted-request-12');
  const paths = [`/api/users?token=${secret}`, `/ws?access_token=${secret}`, `/nothing/${secret}`];
  for (const path of paths)
    for (const headers of [
      { cookie: `session=${secret}` },
      { origin: `https://${secret}.example` },
      { upgrade: 'websocket', connection: 'Upgrade' },
    ])
      await new Promise<void>((resolve) => {
        const asked = request({ port: ports.http, path, headers }, (response) => {
          response.resume().once('end', () => resolve());
        });
        asked.once('error', () => resolve());
        asked.once('upgrade', (_response, socket) => {
          socket.destroy();
          resolve();
        });
        asked.end();
      });
  await stop(started);
  expect(ears.leaks()).toEqual([]);
});
