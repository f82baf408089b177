// Limits that only a composed broker has: set low in its configuration, and reached from outside.
// Always: the broker is put together by compose.ts, with a clock the test owns.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Queue } from '../../server/broker/queue.ts';
import { type Addresses, Leveret } from '../../server/compose.ts';
import { type Config, configOf } from '../../server/config.ts';
import type { MessageLog } from '../../server/ports.ts';
import type { SettingValue } from '../../server/setting.ts';
import { durableLog } from '../../server/storage.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { VirtualClock } from '../support/clock.ts';
import { JsonSession } from '../support/json-session.ts';
import { MemorySocket } from '../support/memory-socket.ts';
import { RawWebSocket } from '../support/raw-web-socket.ts';

const ignore = (): void => undefined;
const notices = { notice: ignore };
const logs = { notices, logFor: () => ({ debug: ignore, info: ignore, warn: ignore, error: ignore }) };
const HELLO = { id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' };

class Composed {
  readonly clock = new VirtualClock();
  readonly leveret: Leveret;

  constructor(
    changes: Readonly<Record<string, SettingValue>>,
    logOf: (config: Config, clock: VirtualClock) => MessageLog = () => new MemoryLog(),
  ) {
    const config = configOf({ memory: true, ...changes });
    this.leveret = new Leveret(config, { logs, clock: this.clock, messageLog: logOf(config, this.clock) });
    onTestFinished(() => this.leveret.close());
  }

  listen(): Promise<Addresses> {
    return this.leveret.listen('127.0.0.1', { http: 0, amqp: 0, amqps: undefined, https: undefined });
  }

  /** A client without a network that has said hello. */
  async session(): Promise<{ session: JsonSession; socket: MemorySocket }> {
    const socket = new MemorySocket();
    const session = new JsonSession(socket);
    const handler = this.leveret.accept(socket);
    if (handler === undefined) throw new Error('closed');
    socket.attach(handler);
    await session.hello();
    return { session, socket };
  }

  queue(name: string): Queue {
    const queue = this.leveret.broker.vhosts.get('/')?.queues.get(name);
    if (queue === undefined) throw new Error(`no queue ${name}`);
    return queue;
  }
}

async function dial(port: number): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(port);
  if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}`);
  return socket;
}

/** What an AMQP client behind a proxy gets first; '' when it is hung up on. */
async function amqpBehindProxy(port: number, address: string): Promise<{ socket: Socket; first: string }> {
  const socket = connect(port, '127.0.0.1').on('error', ignore);
  socket.write(`PROXY TCP4 ${address} 127.0.0.1 40000 5672\r\nAMQP\0\0\x09\x01`, 'latin1');
  const first = await Promise.race([once(socket, 'data').then(([bytes]) => String(bytes)), once(socket, 'close').then(() => '')]);
  return { socket, first };
}

test('limits.connections: one more is refused', async () => {
  const { http } = await new Composed({ 'limits.connections': 2 }).listen();
  const sockets = [await dial(http.port), await dial(http.port)];
  expect(await (await dial(http.port)).closed).toBe(4530);
  for (const socket of sockets) socket.end();
});

test('limits.connections-unauthenticated: one more that has not logged in is refused', async () => {
  const { http } = await new Composed({ 'limits.connections-unauthenticated': 1 }).listen();
  const first = await dial(http.port);
  expect(await (await dial(http.port)).closed).toBe(4530);
  await first.text(HELLO);
  await first.json();
  const second = await dial(http.port);
  await second.text(HELLO);
  expect(await second.json()).toHaveProperty('ok');
  for (const socket of [first, second]) socket.end();
});

test('limits.connections-per-ip: one more from the same address is refused, and from another it is not', async () => {
  const { amqp } = await new Composed({ proxies: ['127.0.0.0/8'], 'limits.connections-per-ip': 1 }).listen();
  const port = amqp?.port ?? 0;
  const first = await amqpBehindProxy(port, '203.0.113.7');
  const second = await amqpBehindProxy(port, '203.0.113.7');
  const other = await amqpBehindProxy(port, '203.0.113.8');
  expect([first.first !== '', second.first, other.first !== '']).toEqual([true, '', true]);
  for (const { socket } of [first, other]) socket.destroy();
});

/** A socket that has sent `text`, what was answered and its end. */
function tcp(port: number, text = ''): { socket: Socket; answer: () => string; closed: Promise<void> } {
  const socket = connect(port, '127.0.0.1').on('error', ignore);
  let answer = '';
  socket.on('data', (bytes) => (answer += bytes.toString()));
  onTestFinished(() => void socket.destroy());
  socket.write(text);
  return { socket, answer: () => answer, closed: new Promise((resolve) => socket.once('close', () => resolve())) };
}
const request = (path: string, user = 'guest') =>
  `GET ${path} HTTP/1.1\r\nhost: leveret\r\nauthorization: Basic ${btoa(`${user}:${user}`)}\r\n\r\n`;
/** What a socket of its own is answered. */
async function answerTo(path: string, port: number): Promise<string> {
  const { socket, answer } = tcp(port, request(path));
  await once(socket, 'data');
  socket.destroy();
  return answer();
}
/** The first request loads the API. */
const PATIENT = { timeout: 30_000 };

test('limits.connections and its kind hold for HTTP too: one more gets 503, and health; a place is free again when its socket is closed', async () => {
  const { http } = await new Composed({ 'limits.connections': 2 }).listen();
  const first = tcp(http.port, request('/api/whoami'));
  await expect.poll(first.answer, PATIENT).toMatch(/^HTTP\/1\.1 200 /);
  const second = await dial(http.port);
  const third = tcp(http.port, request('/api/whoami'));
  await third.closed;
  expect(third.answer()).toMatch(/^HTTP\/1\.1 503 [\s\S]*more than 2 connections\n$/);
  const probe = tcp(http.port, request('/health'));
  await probe.closed;
  expect(probe.answer()).toMatch(/^HTTP\/1\.1 200 /);
  expect(await (await dial(http.port)).closed).toBe(4530);
  first.socket.destroy();
  await expect.poll(() => answerTo('/api/whoami', http.port), PATIENT).toMatch(/^HTTP\/1\.1 200 /);
  second.end();
});

test('limits.connections-unauthenticated: an HTTP socket counts until its request was authenticated', async () => {
  const { http } = await new Composed({ 'limits.connections-unauthenticated': 1 }).listen();
  const first = tcp(http.port, request('/api/whoami'));
  await expect.poll(first.answer, PATIENT).toMatch(/^HTTP\/1\.1 200 /);
  const silent = tcp(http.port);
  await once(silent.socket, 'connect');
  expect(await answerTo('/api/whoami', http.port)).toContain('more than 1 connections that have not logged in');
  silent.socket.destroy();
  await expect.poll(() => answerTo('/api/whoami', http.port), PATIENT).toMatch(/^HTTP\/1\.1 200 /);
});

test('limits.handshake-ms: an HTTP socket that says nothing is cut, one too many as well, and one that asked is not', async () => {
  const composed = new Composed({ 'limits.connections-unauthenticated': 1, 'limits.handshake-ms': 1000 });
  const { http } = await composed.listen();
  const asking = tcp(http.port, request('/api/whoami'));
  await expect.poll(asking.answer, PATIENT).toMatch(/^HTTP\/1\.1 200 /);
  const silent = Array.from({ length: 100 }, () => tcp(http.port));
  let open = silent.length;
  for (const { closed } of silent) void closed.then(() => open--);
  await expect.poll(() => open, PATIENT).toBe(1 + 64);
  await composed.clock.advance(1000);
  await expect.poll(() => open, PATIENT).toBe(0);
  asking.socket.write(request('/api/whoami'));
  await expect.poll(() => asking.answer().match(/HTTP\/1\.1 200 /g)?.length, PATIENT).toBe(2);
});

test('limits.heartbeat-ms: a peer that is silent for two of them is cut', async () => {
  const composed = new Composed({ 'limits.heartbeat-ms': 1000 });
  const { http } = await composed.listen();
  const socket = await dial(http.port);
  await socket.text(HELLO);
  await socket.json();
  socket.isMute = true;
  for (let beats = 0; beats < 3; beats++) {
    await composed.clock.advance(1000);
    await turn();
  }
  await socket.closed;
});

test('limits.send-queue-bytes: who does not read gets no more than that ahead', async () => {
  const composed = new Composed({ 'limits.send-queue-bytes': 65_536 });
  const { session, socket } = await composed.session();
  await session.raw('queue.declare', { queue: 'q' });
  await session.consume('q', { prefetch: 1000 });
  socket.stall(true);
  const { session: publisher } = await composed.session();
  const body = 'x'.repeat(8192);
  for (let n = 0; n < 100; n++) await publisher.raw('publish', { key: 'q', body });
  for (let n = 0; n < 10; n++) await turn();
  expect(composed.queue('q').unackedCount).toBeLessThanOrEqual(9);
  expect(composed.queue('q').unackedCount).toBeGreaterThan(0);
  socket.stall(false);
});

test('limits.http-body-bytes: a longer one is cut off, and the setting is named', async () => {
  const composed = new Composed({ 'limits.http-body-bytes': 1024 });
  const { http } = await composed.listen();
  const put = (body: string) => {
    const headers = { authorization: `Basic ${btoa('guest:guest')}` };
    return fetch(`http://127.0.0.1:${http.port}/api/queues/%2F/q`, { method: 'PUT', headers, body });
  };
  expect((await put(`{}${' '.repeat(1022)}`)).status).toBe(201);
  const refused = await put(`{}${' '.repeat(1023)}`);
  expect([refused.status, await refused.json()]).toMatchObject([413, { hint: 'the setting limits.http-body-bytes decides it' }]);
});

test('limits.memory-bytes: publishers are held back above it', async () => {
  const composed = new Composed({ 'limits.memory-bytes': 1_048_576 });
  const { session } = await composed.session();
  await session.raw('queue.declare', { queue: 'q' });
  const body = 'x'.repeat(262_144);
  for (let n = 0; n < 3; n++) await session.raw('publish', { key: 'q', body });
  expect(composed.leveret.broker.alarms.isBlocked).toBe(false);
  await session.raw('publish', { key: 'q', body });
  await turn();
  expect(composed.leveret.broker.alarms.reason).toBe('low on memory');
});

test('limits.disk-free-bytes: publishers are held back where less is free', () => {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-limits-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const composed = new Composed({ memory: false, 'data-dir': directory, 'limits.disk-free-bytes': 2 ** 50 }, (config, clock) =>
    durableLog(directory, config, { clock, notices }),
  );
  expect(composed.leveret.broker.alarms.reason).toBe('low on disk');
});
