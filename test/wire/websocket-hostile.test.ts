// What once hurt: peers that hang up at the wrong moment, read nothing, ask for too much or write what only looks harmless.
// Each time the broker goes on, its error log stays empty (`stop` fails otherwise), and what the peer held is gone.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { Session } from '../../server/broker/session.ts';
import { clientFrame, Opcode } from '../support/raw-web-socket.ts';
import { MESSAGE_BYTES_MAX, WebSocketServer } from '../support/web-socket-server.ts';

let server: WebSocketServer;

beforeEach(async () => {
  server = await WebSocketServer.start();
});
afterEach(async () => {
  await server.stop();
});

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Version: 13'];
const HELLO = { id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' };

/** Sends an HTTP request, and never hangs up by itself. */
async function ask(path: string, headers: readonly string[]): Promise<Socket> {
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write([`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${server.port}`, ...headers, '', ''].join('\r\n'));
  return socket;
}

async function isAlive(): Promise<void> {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'ping' });
  expect(await socket.json()).toEqual({ id: 2, ok: {} });
  socket.end();
  await socket.closed;
}

/** Input is read in a turn of its own: looks again each turn. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

const refused: readonly [what: string, path: string, headers: readonly string[]][] = [
  ['an upgrade on another path', '/elsewhere', UPGRADE],
  ['an upgrade without a subprotocol', '/ws', UPGRADE],
  ['an upgrade from a foreign page', '/ws', [...UPGRADE, 'Sec-WebSocket-Protocol: leveret.v1', 'Origin: https://evil.example']],
  ['an upgrade to something else', '/ws', ['Connection: Upgrade', 'Upgrade: h2c', 'Sec-WebSocket-Protocol: leveret.v1']],
];

test.each(refused)('%s, reset by its peer before the answer, ends nothing else', async (_what, path, headers) => {
  for (let peers = 0; peers < 20; peers++) (await ask(path, headers)).resetAndDestroy();
  await isAlive();
});

test.each(refused)('%s leaves no socket behind, although its peer does not hang up', async (_what, path, headers) => {
  const socket = await ask(path, headers);
  socket.resume();
  await once(socket, 'end');
  // the other side is gone altogether: what is written now is answered with a reset
  const reset = new Promise((resolve) => socket.once('close', resolve));
  const writing = setInterval(() => socket.write('x'), 1);
  await reset;
  clearInterval(writing);
});

test('of several subprotocols ours is chosen, not the first', async () => {
  const socket = await ask('/ws', [...UPGRADE, 'Sec-WebSocket-Protocol: mqtt, leveret.v1']);
  const [answer] = await once(socket, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1\.1 101 /);
  expect(String(answer)).toContain('Sec-WebSocket-Protocol: leveret.v1\r\n');
  socket.destroy();
});

test('what follows hello in the same packet does not count as hello', async () => {
  const socket = await server.dial();
  const hello = clientFrame(Opcode.Text, Buffer.from(JSON.stringify(HELLO)));
  const ping = clientFrame(Opcode.Text, Buffer.from(JSON.stringify({ id: 2, op: 'ping', padding: 'x'.repeat(65_000) })));
  const pings = Buffer.concat([ping, ping, ping]);
  await socket.write(hello.subarray(0, 60));
  await new Promise((resolve) => setImmediate(resolve));
  await socket.write(Buffer.concat([hello.subarray(60), pings]));
  expect(await socket.json()).toMatchObject({ id: 1, ok: {} });
  for (let answers = 0; answers < 3; answers++) expect(await socket.json()).toEqual({ id: 2, ok: {} });
  socket.end();
});

const bombs: readonly [what: string, field: string][] = [
  ['a type that is 100,000 arrays deep', `"a":{"$amqp":${'['.repeat(100_000)}${']'.repeat(100_000)},"value":1}`],
  ['a value that is 100,000 arrays deep', `"a":${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ['a name of 200,000 letters', `"${'n'.repeat(200_000)}":1`],
  ['30,000 fields', Array.from({ length: 30_000 }, (_, i) => `"n${i}":1`).join(',')],
  ['a string above 64 KiB', `"a":"${'x'.repeat(70_000)}"`],
  ['bytes above 64 KiB', `"a":{"$amqp":"x","value":"${'AAAA'.repeat(25_000)}"}`],
];

test.each(bombs)('arguments with %s are a short error for that operation', async (_what, field) => {
  const socket = await server.connect();
  for (const op of ['"queue.declare"', '"exchange.declare","exchange":"e"', '"consume","handle":1,"queue":""']) {
    await socket.text(`{"id":5,"op":${op},"arguments":{${field}}}`);
    const answer = await socket.json();
    expect(answer).toMatchObject({ id: 5, error: { code: 502, path: expect.stringMatching(/^\/arguments/) } });
    expect(JSON.stringify(answer).length).toBeLessThan(300);
  }
  socket.end();
  await socket.closed;
});

test('a peer that asks and never reads is not asked on its behalf for more than 16 MiB, and is cut when it takes nothing', async () => {
  const queues = 150;
  const own = await server.connect();
  for (let number = 0; number < queues; number++) {
    await own.text({ id: 5, op: 'queue.declare', queue: `${'q'.repeat(240)}${number}` });
    await own.json();
  }
  own.end();
  await own.closed;
  let samples = 0;
  const { sample } = Session.prototype;
  vi.spyOn(Session.prototype, 'sample').mockImplementation(function (this: Session, match) {
    samples++;
    return sample.call(this, match);
  });
  onTestFinished(() => void vi.restoreAllMocks());
  const socket = await server.connect();
  socket.freeze();
  const request = clientFrame(Opcode.Text, Buffer.from('{"id":1,"op":"stats"}'));
  // each answer is some 80 kB, so one read of the socket asks for 200 MB
  await socket.write(Buffer.concat(Array.from({ length: 20_000 }, () => request)));
  await until(() => samples > 100);
  for (let turns = 0; turns < 200; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect(samples).toBeLessThan(400);
  await isAlive();
  for (let beats = 0; beats < 4; beats++) await server.clock.advance(30_000);
  await until(() => server.listener.connections.size === 0);
  socket.end();
});

test('a peer that reads late gets every answer, in order, of texts and frames alike', async () => {
  const socket = await server.connect();
  const publishers = 10; // so that none overdraws its credit
  for (let handle = 1; handle <= publishers; handle++) {
    await socket.text({ id: 2, op: 'publisher.open', handle, confirm: false });
    await socket.json();
  }
  socket.freeze();
  const exchange = Buffer.from('missing');
  const content = Buffer.concat([Buffer.from([0, exchange.length]), exchange, Buffer.from('016b003c000000000000000000000000', 'hex')]);
  const count = 9000;
  const rounds = 15;
  for (let round = 0; round < rounds; round++) {
    const handle = 1 + (round % publishers);
    const frame = Buffer.concat([Buffer.from([1, 0, handle, 0, 0, 0, content.length]), content, Buffer.from([0xce])]);
    await socket.write(clientFrame(Opcode.Binary, Buffer.concat(Array.from({ length: count }, () => frame))));
    await socket.text({ id: 100 + round, op: 'ping' });
  }
  for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve));
  socket.thaw();
  // The errors of a batch come before the answer to the ping that followed it.
  for (let round = 0; round < rounds; round++) {
    let errors = 0;
    for (;;) {
      const message = await socket.next();
      if (!('text' in message)) continue;
      const { id, event } = JSON.parse(message.text);
      if (event === 'error') errors++;
      if (id === undefined) continue;
      expect(id).toBe(100 + round);
      break;
    }
    expect(errors).toBe(count);
  }
  socket.end();
});

test('the parts of a refused message give their credit back', async () => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'publisher.open', handle: 1 });
  const { ok } = (await socket.json()) as { ok: { credit: number } };
  const total = 10 * MESSAGE_BYTES_MAX;
  const head = Buffer.alloc(18);
  head.writeUInt16BE(0x016b, 2);
  head.writeUInt16BE(60, 4);
  head.writeBigUInt64BE(BigInt(total), 8);
  const frame = (type: number, payload: Buffer): Buffer => {
    const start = Buffer.from([type, 0, 1, 0, 0, 0, 0]);
    start.writeUInt32BE(payload.length, 3);
    return Buffer.concat([start, payload, Buffer.from([0xce])]);
  };
  await socket.write(clientFrame(Opcode.Binary, frame(1, Buffer.concat([head, Buffer.alloc(2)]))));
  let credit = ok.credit - head.length - 2;
  const seen: string[] = [];
  for (let sent = 0; sent < total; ) {
    while (credit <= 0) {
      const hex = await socket.hex();
      seen.push(hex);
      if (hex.startsWith('060001')) credit += Number.parseInt(hex.slice(14, 22), 16);
    }
    const part = Buffer.alloc(Math.min(50_000, total - sent));
    await socket.write(clientFrame(Opcode.Binary, frame(7, part)));
    sent += part.length;
    credit -= part.length;
  }
  expect(Buffer.from(seen.find((hex) => hex.startsWith('040001')) ?? '', 'hex').toString()).toContain('is larger than configured max size');
  socket.end();
});
