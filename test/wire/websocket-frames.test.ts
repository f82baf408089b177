// Literal frames in, literal frames out, over a real socket; every input also one frame a message, in thirds and byte by byte.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeContent } from '../../shared/content.ts';
import { FRAME_OVERHEAD } from '../../shared/protocol/frames.ts';
import type { Pieces, RawWebSocket } from '../support/raw-web-socket.ts';
import { MESSAGE_BYTES_MAX, WebSocketServer } from '../support/web-socket-server.ts';

let server: WebSocketServer;
let names = 0;
beforeAll(async () => {
  server = await WebSocketServer.start();
});
afterAll(async () => {
  await server.stop();
});

const ways: readonly Pieces[] = ['whole', 'thirds', 'bytes'];
const plain = (hex: string): string => hex.replaceAll(/[^0-9a-f]/g, '');
// A content run for queue "a" to "z" by the default exchange, without properties, with a body of two octets.
const content = (key: string, body: string): string =>
  `00 01${Buffer.from(key).toString('hex')} 003c 0000 0000000000000002 0000 ${Buffer.from(body).toString('hex')}`;
const publish = (handle: string, key: string, body: string): string => `01 ${handle} 00000014 00 ${content(key, body)} ce`;

async function freshQueue(socket: RawWebSocket): Promise<{ name: string; number: string }> {
  const name = String.fromCharCode(97 + (names++ % 26));
  await socket.text({ id: 2, op: 'queue.declare', queue: name, arguments: {} });
  expect(await socket.json()).toMatchObject({ ok: { queue: name } });
  await socket.text({ id: 3, op: 'queue.inspect', queue: name });
  const { ok } = (await socket.json()) as { ok: { number: number } };
  return { name, number: ok.number.toString(16).padStart(8, '0') };
}

async function remove(socket: RawWebSocket, queue: string): Promise<void> {
  await socket.text({ id: 90, op: 'queue.delete', queue });
  for (;;) if ((await socket.json())['id'] === 90) break;
  socket.end();
  await socket.closed;
}

for (const pieces of ways) {
  test(`a batch of publishes is confirmed as one run, and delivered in one batch (${pieces})`, async () => {
    const socket = await server.connect();
    const { name, number } = await freshQueue(socket);
    await socket.text({ id: 4, op: 'publisher.open', handle: 1 }, pieces);
    expect(await socket.json()).toMatchObject({ id: 4, ok: { handle: 1 } });
    await socket.binary(publish('0001', name, 'hi') + publish('0001', name, 'ho'), pieces);
    expect(await socket.hex()).toBe(plain('04 0001 00000011 0000000000000001 00000002 00 00000001 ce'));
    await socket.text({ id: 5, op: 'consume', handle: 2, queue: name }, pieces);
    expect(await socket.json()).toMatchObject({ id: 5, ok: { handle: 2, queue: name } });
    const deliver = (tag: number, body: string): string =>
      `02 0002 0000002c 000000000000000${tag} 00 00000000 ${number} 000000000000000${tag} ${content(name, body)} ce`;
    expect(await socket.hex()).toBe(plain(deliver(1, 'hi') + deliver(2, 'ho')));
    await socket.binary('03 0000 00000009 0000000000000002 08 ce', pieces);
    await socket.text({ id: 6, op: 'queue.inspect', queue: name }, pieces);
    expect(await socket.json()).toMatchObject({ ok: { ready: 0, unacked: 0, counts: { acked: 2 } } });
    await remove(socket, name);
  });
}

test('one frame in each message has the same effect as all in one', async () => {
  const socket = await server.connect();
  const { name } = await freshQueue(socket);
  await socket.text({ id: 4, op: 'publisher.open', handle: 7 });
  await socket.json();
  for (const body of ['hi', 'ho', 'hu']) await socket.binary(publish('0007', name, body));
  let confirmed = 0;
  while (confirmed < 3) {
    const bytes = Buffer.from(await socket.hex(), 'hex');
    expect(bytes[0]).toBe(4);
    confirmed = bytes.readUInt32BE(7 + 4) + bytes.readUInt32BE(7 + 8) - 1;
  }
  await socket.text({ id: 5, op: 'queue.inspect', queue: name });
  expect(await socket.json()).toMatchObject({ ok: { ready: 3 } });
  await remove(socket, name);
});

test('settling a tag that was never given is an error event, and the connection lives on', async () => {
  const socket = await server.connect();
  await socket.binary('03 0000 00000009 0000000000000063 00 ce');
  expect(await socket.json()).toMatchObject({
    event: 'error',
    op: 'settle',
    handle: 0,
    error: { code: 406, reason: 'PRECONDITION_FAILED - unknown delivery tag 99' },
  });
  await socket.text({ id: 2, op: 'ping' });
  expect(await socket.json()).toEqual({ id: 2, ok: {} });
  socket.end();
  await socket.closed;
});

test('a publish to an exchange that does not exist is a refused confirm in its place', async () => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'publisher.open', handle: 1 });
  await socket.json();
  await socket.binary('01 0001 00000015 00 016e 0171 003c 0000 0000000000000002 0000 6869 ce');
  const bytes = Buffer.from(await socket.hex(), 'hex');
  expect(bytes.subarray(0, 3).toString('hex')).toBe('040001');
  expect(bytes.subarray(7, 24).toString('hex')).toBe(plain('0000000000000001 00000001 01 00000000'));
  expect(JSON.parse(bytes.subarray(28, -1).toString())).toMatchObject({ code: 404, reason: "NOT_FOUND - no exchange 'n' in vhost '/'" });
  socket.end();
  await socket.closed;
});

test('a mandatory message without a queue comes back before it is confirmed', async () => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'publisher.open', handle: 1 });
  await socket.json();
  await socket.binary('01 0001 00000014 01 00 0158 003c 0000 0000000000000002 0000 6869 ce');
  const returned = `05 0001 00000026 0000000000000001 0138 08 ${Buffer.from('NO_ROUTE').toString('hex')} ${content('X', 'hi')} ce`;
  expect(await socket.hex()).toBe(plain(`${returned} 04 0001 00000011 0000000000000001 00000001 00 00000000 ce`));
  socket.end();
  await socket.closed;
});

test('what JSON publishes, binary consumers see, and the other way round', async () => {
  const socket = await server.connect();
  const { name, number } = await freshQueue(socket);
  await socket.text({ id: 4, op: 'publish', key: name, body: 'hi' });
  expect(await socket.json()).toEqual({ id: 4, ok: { routed: 1 } });
  await socket.text({ id: 5, op: 'consume', handle: 1, queue: name, noAck: true });
  await socket.json();
  expect(await socket.hex()).toBe(
    plain(`02 0001 0000002c 0000000000000000 00 00000000 ${number} 0000000000000001 ${content(name, 'hi')} ce`),
  );
  await socket.text({ id: 6, op: 'consumer.cancel', handle: 1 });
  await socket.json();
  await socket.text({ id: 7, op: 'consume', handle: 2, queue: name, encoding: 'json' });
  await socket.text({ id: 8, op: 'publisher.open', handle: 3, confirm: false });
  expect(await socket.json()).toMatchObject({ id: 7 });
  expect(await socket.json()).toMatchObject({ id: 8 });
  await socket.binary(publish('0003', name, 'ho'));
  expect(await socket.json()).toEqual({
    event: 'deliver',
    handle: 2,
    tag: 2,
    redelivered: false,
    deliveryCount: 0,
    id: `${Number.parseInt(number, 16)}-2`,
    exchange: '',
    key: name,
    properties: {},
    body: 'ho',
  });
  await remove(socket, name);
});

// A body in parts: PUBLISH with what fits, BODY with the rest.
function fragments(key: string, body: Buffer, parts: readonly number[]): string[] {
  const run = Buffer.from(encodeContent('', key, {}, body));
  const headerBytes = run.length - body.length;
  const frame = (type: number, payload: Buffer): string => {
    const head = Buffer.alloc(7);
    head[0] = type;
    head.writeUInt16BE(1, 1);
    head.writeUInt32BE(payload.length, 3);
    return Buffer.concat([head, payload, Buffer.from([0xce])]).toString('hex');
  };
  let at = headerBytes + (parts[0] ?? 0);
  const frames = [frame(1, Buffer.concat([Buffer.alloc(1), run.subarray(0, at)]))];
  for (const part of parts.slice(1)) frames.push(frame(7, run.subarray(at, (at += part))));
  return frames;
}

test('a body in parts arrives whole, whatever comes between its frames', async () => {
  const socket = await server.connect();
  const { name } = await freshQueue(socket);
  await socket.text({ id: 4, op: 'publisher.open', handle: 1 });
  await socket.text({ id: 5, op: 'publisher.open', handle: 2 });
  await socket.json();
  await socket.json();
  const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => 33 + (i % 90)));
  const [head = '', middle = '', tail = ''] = fragments(name, body, [0, 999, 1]);
  await socket.binary(head + publish('0002', name, 'hi') + middle);
  await socket.binary(tail);
  const confirms = [await socket.hex(), await socket.hex()].map((hex) => hex.slice(2, 6));
  expect(confirms).toEqual(['0002', '0001']);
  await socket.text({ id: 6, op: 'get', queue: name, noAck: true });
  expect(await socket.json()).toMatchObject({ ok: { message: { body: 'hi' } } });
  await socket.text({ id: 7, op: 'get', queue: name, noAck: true });
  expect(await socket.json()).toMatchObject({ ok: { message: { body: body.toString() } } });
  await remove(socket, name);
});

test('a message above the limit is refused in sequence, its parts are dropped, and what follows is stored', async () => {
  const socket = await server.connect();
  const { name } = await freshQueue(socket);
  await socket.text({ id: 4, op: 'publisher.open', handle: 1 });
  await socket.json();
  const bytes = MESSAGE_BYTES_MAX + 1;
  for (const frame of fragments(name, Buffer.alloc(bytes), [100_000, 200_000, bytes - 300_000])) await socket.binary(frame);
  await socket.binary(publish('0001', name, 'hi'));
  const confirms: string[] = [];
  for (let seen = 0; seen < 2; ) {
    const hex = await socket.hex();
    if (hex.startsWith('04')) seen = confirms.push(hex.slice(14, 14 + 26));
  }
  expect(confirms).toEqual([plain('0000000000000001 00000001 01'), plain('0000000000000002 00000001 00')]);
  await socket.text({ id: 5, op: 'queue.inspect', queue: name });
  expect(await socket.json()).toMatchObject({ ok: { ready: 1 } });
  await remove(socket, name);
});

test('a large message is delivered in frames that hello allows, and its parts make it whole', async () => {
  const socket = await server.connect();
  const { name } = await freshQueue(socket);
  await socket.text({ id: 4, op: 'publisher.open', handle: 1 });
  await socket.json();
  const body = Buffer.alloc(MESSAGE_BYTES_MAX, 'abcdefg');
  for (const frame of fragments(name, body, [150_000, body.length - 150_000])) await socket.binary(frame);
  await socket.hex();
  await socket.text({ id: 5, op: 'consume', handle: 2, queue: name, noAck: true });
  const frames: Buffer[] = [];
  let got = 0;
  while (got < body.length) {
    const message = await socket.next();
    if (!('hex' in message)) continue;
    let bytes = Buffer.from(message.hex, 'hex');
    while (bytes.length > 0) {
      const payloadBytes = bytes.readUInt32BE(3);
      expect(payloadBytes).toBeLessThanOrEqual(262_144);
      if (bytes[0] === 2 || bytes[0] === 7) {
        const part = bytes.subarray(bytes[0] === 2 ? 7 + 25 + 17 : 7, 7 + payloadBytes);
        frames.push(part);
        got += part.length;
      }
      bytes = bytes.subarray(payloadBytes + FRAME_OVERHEAD);
    }
  }
  expect(Buffer.concat(frames).equals(body)).toBe(true);
  await remove(socket, name);
});
