// `leveret start` as a process of its own: what it prints, what it refuses, how it ends.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import { RawWebSocket } from '../support/raw-web-socket.ts';
import { freshFolder, SHIM, Started } from '../support/started.ts';

async function login(port: number): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(port);
  if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}`);
  await socket.text({ id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' });
  expect(await socket.json()).toHaveProperty('ok');
  return socket;
}

test('port 0 prints the port it got, /health answers, and SIGTERM ends it with 0', async () => {
  const started = new Started(['--memory', '--http-port', '0']);
  const port = await started.port();
  expect(port).toBeGreaterThan(0);
  const health = await fetch(`http://127.0.0.1:${port}/health`);
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
  const about = await fetch(`http://127.0.0.1:${port}/`);
  expect(await about.text()).toMatch(/^Leveret, a message broker\..*\n$/);
  expect((await fetch(`http://127.0.0.1:${port}/nothing`)).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${port}/ws`)).status).toBe(426);
  started.child.kill('SIGTERM');
  expect(await started.ended).toBe(ExitCode.Ok);
  expect(started.err).toBe('');
});

test('it says what to type next, and that works', async () => {
  const started = new Started(['--memory', '--http-port', '0']);
  await started.port();
  const commands = [...started.out.matchAll(/^ {2}npx leveret (.*)$/gm)].map((line) => line[1] ?? '');
  expect(commands).toHaveLength(3);
  let printed = '';
  for (const command of commands) {
    const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map((word) => word[1] ?? word[2] ?? '');
    const child = spawn(process.execPath, [SHIM, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    expect((await once(child, 'close'))[0]).toBe(ExitCode.Ok);
  }
  expect(printed).toContain('Hello, world');
});

test('a busy port says which flag to use, and has an exit code of its own', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const started = new Started(['--memory', '--http-port', String(port)]);
  expect(await started.ended).toBe(ExitCode.Unavailable);
  expect(started.err).toContain(`port ${port} on 127.0.0.1 is taken`);
  expect(started.err).toContain('--http-port');
  server.close();
});

test('SIGTERM tells clients, waits for what they hold, and closes with 1001', async () => {
  const started = new Started(['--memory', '--http-port', '0'], { LEVERET_LIMITS_DRAIN_MS: '60000' });
  const socket = await login(await started.port());
  await socket.text({ id: 2, op: 'queue.declare', queue: 'q' });
  await socket.text({ id: 3, op: 'consume', handle: 1, queue: 'q', encoding: 'json', prefetch: 1 });
  await socket.text({ id: 4, op: 'publish', key: 'q', body: 'held' });
  await socket.text({ id: 5, op: 'publish', key: 'q', body: 'never delivered' });
  const seen: Record<string, unknown>[] = [];
  while (seen.length < 5) seen.push(await socket.json());
  const delivery = seen.find((message) => message['event'] === 'deliver');
  expect(delivery).toMatchObject({ body: 'held', tag: 1 });
  started.child.kill('SIGTERM');
  expect(await socket.json()).toEqual({ event: 'closing', reason: 'the server shuts down' });
  await socket.text({ id: 6, op: 'ack', tag: 1 });
  expect(await socket.json()).toEqual({ id: 6, ok: {} });
  expect(await socket.closed).toBe(1001);
  expect(await started.ended).toBe(ExitCode.Ok);
});

test('a client that settles nothing does not hold the end up for longer than configured', async () => {
  const started = new Started(['--memory', '--http-port', '0'], { LEVERET_LIMITS_DRAIN_MS: '0' });
  const socket = await login(await started.port());
  await socket.text({ id: 2, op: 'queue.declare', queue: 'q' });
  await socket.text({ id: 3, op: 'publish', key: 'q', body: 'held' });
  await socket.text({ id: 4, op: 'get', queue: 'q' });
  for (let answers = 0; answers < 3; answers++) expect(await socket.json()).toHaveProperty('ok');
  started.child.kill('SIGINT');
  expect(await socket.closed).toBe(1001);
  expect(await started.ended).toBe(ExitCode.Ok);
});

test('a second signal ends it at once', async () => {
  const started = new Started(['--memory', '--http-port', '0'], { LEVERET_LIMITS_DRAIN_MS: '3600000' });
  const socket = await login(await started.port());
  await socket.text({ id: 2, op: 'queue.declare', queue: 'q' });
  await socket.text({ id: 3, op: 'publish', key: 'q', body: 'held' });
  await socket.text({ id: 4, op: 'get', queue: 'q' });
  for (let answers = 0; answers < 3; answers++) await socket.json();
  started.child.kill('SIGINT');
  expect(await socket.json()).toHaveProperty('event', 'closing');
  started.child.kill('SIGINT');
  expect(await started.ended).toBe(ExitCode.Interrupted);
});

test('a bad configuration file is named with its line and the nearest key, and has an exit code of its own', async () => {
  const folder = freshFolder();
  const file = join(folder, 'bad.toml');
  writeFileSync(file, '[limits]\n\nconections = 5\n');
  const started = new Started(['--config', file, '--http-port', '0']);
  expect(await started.ended).toBe(ExitCode.Configuration);
  expect(started.err).toContain(`${file}:3: no setting 'limits.conections': did you mean 'limits.connections'?`);
});

test.each([
  ['an unknown flag', ['--http-prot', '5'], ExitCode.Usage, /--http-port/],
  ['a port that is none', ['--http-port', 'http'], ExitCode.Configuration, /--http-port: 'http-port' must be integer, not "http"/],
  [
    'a host that is none of this machine',
    ['--memory', '--http-port', '0', '--host', '203.0.113.1'],
    ExitCode.Configuration,
    /203\.0\.113\.1 is no address of this machine/,
  ],
])('%s ends with its code', async (_what, words, code, text) => {
  const started = new Started(words);
  expect(await started.ended).toBe(code);
  expect(started.err).toMatch(text);
  expect(started.out).toBe('');
});

test('a first start beyond this machine makes an administrator, prints the password once, and never logs it', async () => {
  const folder = freshFolder();
  const open = ['--http-port', '0', '--host', '0.0.0.0', '--log-level', 'trace'];
  const whoami = (port: number, user: string, password: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/api/whoami`, { headers: { authorization: `Basic ${btoa(`${user}:${password}`)}` } });
  const first = new Started(open, {}, folder);
  const port = await first.port();
  const password = /administrator: admin, password ([\w-]{24}) /.exec(first.out)?.[1] ?? '';
  expect(await (await whoami(port, 'admin', password)).json()).toMatchObject({ name: 'admin', tags: ['administrator'] });
  expect((await whoami(port, 'guest', 'guest')).status).toBe(401);
  await first.stop();
  expect(first.out.split(password)).toHaveLength(2);
  expect(first.err).not.toContain(password);

  const second = new Started(open, {}, folder);
  expect((await whoami(await second.port(), 'admin', password)).status).toBe(200);
  expect(second.out).not.toContain('administrator:');
  expect(second.out).toContain('LEVERET_DEFAULT_USER');
  await second.stop();
});

test('a first start that fails to open its ports has made nobody: the next one tells a password that works', async () => {
  const folder = freshFolder();
  const server = createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  const address = server.address();
  const taken = typeof address === 'object' && address !== null ? address.port : 0;
  const failed = new Started(['--http-port', String(taken), '--host', '0.0.0.0'], {}, folder);
  expect(await failed.ended).toBe(ExitCode.Unavailable);
  server.close();
  const started = new Started(['--http-port', '0', '--host', '0.0.0.0'], {}, folder);
  await started.port();
  expect(started.out).toContain('administrator: admin');
  await started.stop();
});

test('with a user of its own, or on loopback, no administrator is made up', async () => {
  const own = new Started(['--memory', '--http-port', '0', '--host', '0.0.0.0'], {
    LEVERET_DEFAULT_USER: 'ops',
    LEVERET_DEFAULT_PASS: 'only-here',
  });
  const here = new Started(['--memory', '--http-port', '0']);
  await Promise.all([own.port(), here.port()]);
  for (const { out } of [own, here]) {
    expect(out).not.toContain('administrator:');
    expect(out).not.toContain('LEVERET_DEFAULT_USER');
  }
  expect(own.out + own.err).not.toContain('only-here');
});
