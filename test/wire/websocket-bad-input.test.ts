// What a peer can do wrong, and what it gets: a documented close code, or an error for that operation alone. Each time another connection goes on
// undisturbed, and the message it holds in a queue is still there.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Admissions } from '../../server/broker/admissions.ts';
import { clientFrame, Opcode, RawWebSocket } from '../support/raw-web-socket.ts';
import { MESSAGE_BYTES_MAX, WebSocketServer, WINDOW_BYTES } from '../support/web-socket-server.ts';

let server: WebSocketServer;
let witness: RawWebSocket;
let pings = 10;

beforeAll(async () => {
  server = await WebSocketServer.start();
  witness = await server.connect();
  await witness.text({ id: 2, op: 'queue.declare', queue: 'kept' });
  await witness.json();
  await witness.text({ id: 3, op: 'publish', key: 'kept', body: 'precious' });
  expect(await witness.json()).toEqual({ id: 3, ok: { routed: 1 } });
});
afterAll(async () => {
  await server.stop();
});

async function othersAreUndisturbed(): Promise<void> {
  const id = pings++;
  await witness.text({ id, op: 'queue.inspect', queue: 'kept' });
  expect(await witness.json()).toMatchObject({ id, ok: { ready: 1, counts: { published: 1, delivered: 0 } } });
}

const hello = { id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' };
const content = '00 0171 003c 0000 0000000000000002 0000 6869';
const frame = (type: string, handle: string, payload: string, end = 'ce'): string => {
  const bytes = payload.replaceAll(' ', '').length / 2;
  return `${type} ${handle} ${bytes.toString(16).padStart(8, '0')} ${payload} ${end}`;
};
const frameHeader = (type: number, handle: number, payloadBytes: number): Buffer => {
  const head = Buffer.alloc(7);
  head[0] = type;
  head.writeUInt16BE(handle, 1);
  head.writeUInt32BE(payloadBytes, 3);
  return head;
};

// Handle 1 is a publisher, handle 2 a consumer of an empty queue.
const frames: readonly [what: string, hex: string, code: number][] = [
  ['a wrong end octet', frame('01', '0001', `00 ${content}`, 'cd'), 4501],
  ['a frame cut short', '01 0001 00000014 00 00', 4501],
  ['a frame header cut short', '01 0001 00', 4501],
  ['a payload size above frameBytes', '01 0001 00040001 00 00 ce', 4501],
  ['an unknown frame type', frame('09', '0001', '00'), 4501],
  ['type 0', frame('00', '0001', '00'), 4501],
  ['a BODY that nothing announced', frame('07', '0001', '6869'), 4501],
  [
    'a PUBLISH in the middle of a body',
    frame('01', '0001', `00 00 0171 003c 0000 0000000000000009 0000 6869`) + frame('01', '0001', `00 ${content}`),
    4501,
  ],
  ['more BODY than announced', frame('01', '0001', `00 00 0171 003c 0000 0000000000000003 0000 6869`) + frame('07', '0001', '6869'), 4501],
  ['a SETTLE that is no run of entries', frame('03', '0000', '0000000000000001'), 4501],
  ['a CREDIT that is not four bytes', frame('06', '0002', '0001'), 4501],
  ['a key that runs past the end', frame('01', '0001', '00 00 ff71'), 4502],
  ['a content header cut short', frame('01', '0001', '00 00 0171 003c'), 4502],
  ['a class other than basic', frame('01', '0001', '00 00 0171 000a 0000 0000000000000002 0000 6869'), 4502],
  ['more body than its header says', frame('01', '0001', '00 00 0171 003c 0000 0000000000000001 0000 6869'), 4502],
  ['a body size above 2^53', frame('01', '0001', '00 00 0171 003c 0000 ffffffffffffffff 0000 6869'), 4502],
  ['properties that run past the end', frame('01', '0001', '00 00 0171 003c 0000 0000000000000002 8000 ff69'), 4502],
  ['a header table with an unknown type', frame('01', '0001', '00 00 0171 003c 0000 0000000000000000 2000 00000004 01 61 3f 00'), 4502],
  ['no content at all', frame('01', '0001', '00'), 4502],
  ['a tag above 2^53', frame('03', '0000', 'ffffffffffffffff 00'), 4502],
  ['a PUBLISH on a handle that is not open', frame('01', '0009', `00 ${content}`), 4504],
  ['a PUBLISH on a consumer', frame('01', '0002', `00 ${content}`), 4504],
  ['a CREDIT for a publisher', frame('06', '0001', '00000001'), 4504],
  ['a SETTLE on a handle', frame('03', '0001', '0000000000000001 00'), 4504],
  ['a DELIVER from a client', frame('02', '0002', `0000000000000001 00 00000000 00000001 0000000000000001 ${content}`), 4504],
  ['a CONFIRM from a client', frame('04', '0001', '0000000000000001 00000001 00 00000001'), 4504],
];

test.each(frames)('%s closes the connection (4501, 4502 or 4504), and no other', async (_what, hex, code) => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'publisher.open', handle: 1 });
  await socket.text({ id: 3, op: 'queue.declare', queue: '', exclusive: true });
  await socket.text({ id: 4, op: 'consume', handle: 2, queue: '' });
  for (let answers = 0; answers < 3; answers++) expect(await socket.json()).toHaveProperty('ok');
  await socket.binary(hex);
  expect(await socket.closed).toBe(code);
  await othersAreUndisturbed();
});

test('what came before a malformed frame in the same message is done', async () => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'queue.declare', queue: 'q', autoDelete: false });
  await socket.text({ id: 3, op: 'publisher.open', handle: 1 });
  await socket.binary(frame('01', '0001', `00 ${content}`) + frame('09', '0001', '00'));
  expect(await socket.closed).toBe(4501);
  await witness.text({ id: 4, op: 'queue.delete', queue: 'q' });
  expect(await witness.json()).toEqual({ id: 4, ok: { messageCount: 1 } });
});

test('a publisher that uses more than twice its credit is closed with 4506', async () => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'publisher.open', handle: 1 });
  await socket.json();
  const body = Buffer.alloc(200_000);
  const payload = Buffer.concat([
    Buffer.from('0000016e003c0000', 'hex'),
    Buffer.from([0, 0, 0, 0, 0, 3, 0x0d, 0x40]),
    Buffer.alloc(2),
    body,
  ]);
  const publish = Buffer.concat([frameHeader(1, 1, payload.length), payload, Buffer.from([0xce])]);
  // more than one turn can read: whatever credit comes back in between, some turn uses it up twice
  const message = clientFrame(Opcode.Binary, publish);
  const count = Math.ceil((2 * WINDOW_BYTES) / payload.length) + 40;
  await socket.write(Buffer.concat(Array.from({ length: count }, () => message)));
  expect(await socket.closed).toBe(4506);
  await othersAreUndisturbed();
});

const firsts: readonly [what: string, send: (socket: RawWebSocket) => Promise<void>, code: number][] = [
  ['another operation first', (socket) => socket.text({ id: 1, op: 'ping' }), 4503],
  ['a version it does not speak', (socket) => socket.text({ ...hello, version: 2 }), 4503],
  ['hello without a version', (socket) => socket.text({ id: 1, op: 'hello', user: 'guest', password: 'guest' }), 4503],
  ['text that is not JSON', (socket) => socket.text('hello'), 4503],
  ['a binary message first', (socket) => socket.binary('01'), 4503],
  ['a vhost that does not exist', (socket) => socket.text({ ...hello, vhost: '/no' }), 4403],
  ['more than 64 KiB before hello', (socket) => socket.write(clientFrame(Opcode.Text, Buffer.alloc(70_000, 'x'))), 1009],
  [
    'an announced frame above 64 KiB, dribbled',
    (socket) => socket.write(clientFrame(Opcode.Text, Buffer.alloc(200_000, 'x')).subarray(0, 66_000)),
    1009,
  ],
  ['an unmasked frame', (socket) => socket.write(clientFrame(Opcode.Text, Buffer.from('{}'), false)), 1002],
  ['a reserved opcode', (socket) => socket.write(clientFrame(5, Buffer.from('{}'))), 1002],
  ['text that is not UTF-8', (socket) => socket.write(clientFrame(Opcode.Text, Buffer.from([0xff]))), 1007],
];

test.each(firsts)('%s ends the connection with its code', async (_what, send, code) => {
  const socket = await server.dial();
  await send(socket);
  expect(await socket.closed).toBe(code);
  await othersAreUndisturbed();
});

test('what is wrong with hello is answered before the connection ends', async () => {
  const socket = await server.dial();
  await socket.text({ ...hello, version: 9 });
  expect(await socket.json()).toMatchObject({ id: 1, error: { code: 503, path: '/version' } });
  expect(await socket.closed).toBe(4503);
});

test('a wrong password is answered a second later, and closes with 4403', async () => {
  const socket = await server.dial();
  await socket.text({ ...hello, password: 'wrong' });
  await socket.text({ ...hello, id: 2 }); // a right one does not help any more
  await until(() => server.clock.pendingTimers > 0);
  await othersAreUndisturbed();
  await server.clock.advance(999);
  await othersAreUndisturbed();
  await server.clock.advance(1);
  expect(await socket.json()).toMatchObject({ id: 1, error: { code: 403, reason: expect.stringContaining('ACCESS_REFUSED') } });
  expect(await socket.closed).toBe(4403);
});

test('who says nothing for ten seconds is closed with 4408', async () => {
  const socket = await server.dial();
  await server.clock.advance(10_000);
  expect(await socket.closed).toBe(4408);
  await othersAreUndisturbed();
});

test('a peer that is silent for two heartbeats is cut', async () => {
  const own = await WebSocketServer.start();
  const socket = await own.connect();
  // this client answers pings, so first it stops
  socket.isMute = true;
  for (let beats = 0; beats < 3; beats++) {
    await own.clock.advance(30_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await socket.closed).toBe(1006);
  await own.stop();
});

test('a WebSocket message above batchBytes closes with 1009', async () => {
  const socket = await server.connect();
  await socket.write(clientFrame(Opcode.Binary, Buffer.alloc(MESSAGE_BYTES_MAX + 65_536 + 1)).subarray(0, 20));
  expect(await socket.closed).toBe(1009);
  await othersAreUndisturbed();
});

test('a message of 1,025 fragments is refused', async () => {
  const socket = await server.connect();
  const first = Buffer.from([0x01, 0x81, 0, 0, 0, 0, 0x61]);
  const next = Buffer.from([0x00, 0x81, 0, 0, 0, 0, 0x61]);
  await socket.write(Buffer.concat([first, ...Array.from({ length: 1024 }, () => next)]));
  expect(await socket.closed).toBe(1008);
  await othersAreUndisturbed();
});

const refusals: readonly [what: string, headers: Record<string, string>, status: number, text: RegExp][] = [
  ['a foreign Origin', { Origin: 'https://evil.example' }, 403, /evil\.example may not connect/],
  ['an Origin that only looks like ours', { Origin: 'http://127.0.0.1.evil.example' }, 403, /may not connect/],
  ['a name that was rebound to loopback', { Host: 'evil.example:80', Origin: 'http://evil.example:80' }, 403, /may not connect/],
  ['the Origin "null"', { Origin: 'null' }, 403, /may not connect/],
  ['no subprotocol, where nobody speaks AMQP,', { 'Sec-WebSocket-Protocol': '' }, 400, /ask for leveret\.v1/],
  ['the subprotocol amqp, where nobody speaks it,', { 'Sec-WebSocket-Protocol': 'amqp' }, 400, /ask for leveret\.v1/],
  ['an unknown subprotocol', { 'Sec-WebSocket-Protocol': 'mqtt' }, 400, /unknown subprotocol/],
];

test.each(refusals)('%s never becomes a WebSocket', async (_what, headers, status, text) => {
  const answer = await RawWebSocket.open(server.port, headers);
  expect(answer).toMatchObject({ status, body: expect.stringMatching(text) });
  await othersAreUndisturbed();
});

test('our own Origin, another page of this machine and a listed one may connect', async () => {
  for (const origin of [`http://127.0.0.1:${server.port}`, 'http://localhost:5173', 'https://listed.example']) {
    const socket = await server.dial({ Origin: origin });
    await socket.text(hello);
    expect(await socket.json()).toHaveProperty('ok');
    socket.end();
  }
});

test('one connection too many is closed with 4530, and room is made when one ends', async () => {
  const small = await WebSocketServer.start({
    admissions: new Admissions({ connectionsMax: 2, connectionsPerIpMax: 2, unauthenticatedMax: 1 }),
  });
  const first = await small.dial();
  expect(await (await small.dial()).closed).toBe(4530); // first has not logged in
  await first.text(hello);
  await first.json();
  const second = await small.connect();
  expect(await (await small.dial()).closed).toBe(4530);
  first.end();
  await first.closed;
  await until(() => small.listener.connections.size === 1);
  const third = await small.connect();
  second.end();
  third.end();
  await small.stop();
});

const operations: readonly [what: string, request: string, answer: object][] = [
  ['no JSON', 'nonsense', { id: null, error: { code: 502 } }],
  ['JSON that is no object', '[1]', { id: null, error: { code: 502 } }],
  ['no id', '{"op":"ping"}', { id: null, error: { code: 502, path: '/id' } }],
  ['an id that is no positive integer', '{"id":0,"op":"ping"}', { id: null, error: { code: 502, path: '/id' } }],
  ['no op', '{"id":5}', { id: 5, error: { code: 503, path: '/op' } }],
  [
    'an unknown op',
    '{"id":5,"op":"queue.frobnicate"}',
    { id: 5, error: { code: 503, reason: "COMMAND_INVALID - no operation 'queue.frobnicate'", path: '/op' } },
  ],
  ['an op out of Object.prototype', '{"id":5,"op":"constructor"}', { id: 5, error: { code: 503 } }],
  ['a second hello', JSON.stringify({ ...hello, id: 5 }), { id: 5, error: { code: 503 } }],
  ['a missing field', '{"id":5,"op":"queue.bind","queue":"kept"}', { id: 5, error: { code: 502, path: '/exchange' } }],
  ['a field of the wrong type', '{"id":5,"op":"queue.declare","queue":7}', { id: 5, error: { code: 502, path: '/queue' } }],
  [
    'a name above 255 bytes',
    JSON.stringify({ id: 5, op: 'queue.declare', queue: 'ä'.repeat(128) }),
    { id: 5, error: { code: 502, path: '/queue' } },
  ],
  ['a number out of range', '{"id":5,"op":"publisher.open","handle":65536}', { id: 5, error: { code: 502, path: '/handle' } }],
  [
    'a choice that is none',
    '{"id":5,"op":"consume","handle":1,"queue":"kept","encoding":"xml"}',
    { id: 5, error: { code: 502, path: '/encoding', hint: 'one of: binary, json' } },
  ],
  [
    'a bad table value',
    '{"id":5,"op":"queue.declare","queue":"x","arguments":{"a":{"$amqp":"?","value":1}}}',
    { id: 5, error: { code: 502, path: '/arguments/a/$amqp' } },
  ],
  [
    'a queue that does not exist',
    '{"id":5,"op":"get","queue":"none"}',
    { id: 5, error: { code: 404, reason: "NOT_FOUND - no queue 'none' in vhost '/'" } },
  ],
  [
    'another declaration of the same queue',
    '{"id":5,"op":"queue.declare","queue":"kept","durable":false}',
    { id: 5, error: { code: 406 } },
  ],
  ['a handle that is not open', '{"id":5,"op":"publisher.close","handle":3}', { id: 5, error: { code: 504, path: '/handle' } }],
  ['both bodies', '{"id":5,"op":"publish","key":"x","body":"a","bodyBase64":"YQ=="}', { id: 5, error: { code: 502 } }],
  ['a glob with too many stars', '{"id":5,"op":"stats","queues":"*a*b*c*d*e*"}', { id: 5, error: { code: 502, path: '/queues' } }],
];

test.each(operations)('%s is an error for that operation, and the connection lives on', async (_what, request, answer) => {
  const socket = await server.connect();
  await socket.text(request);
  expect(await socket.json()).toMatchObject(answer);
  await socket.text({ id: 6, op: 'ping', unknown: 'fields are ignored' });
  expect(await socket.json()).toEqual({ id: 6, ok: {} });
  socket.end();
  await socket.closed;
  await othersAreUndisturbed();
});

test('a handle is opened once, and no more than the limit', async () => {
  const socket = await server.connect();
  for (let handle = 1; handle <= 10; handle++) {
    await socket.text({ id: 10 + handle, op: 'publisher.open', handle });
    expect(await socket.json()).toHaveProperty('ok');
  }
  await socket.text({ id: 5, op: 'publisher.open', handle: 10 });
  expect(await socket.json()).toMatchObject({ id: 5, error: { code: 504, path: '/handle' } });
  await socket.text({ id: 6, op: 'publisher.open', handle: 11 });
  expect(await socket.json()).toMatchObject({ id: 6, error: { code: 530, path: '/handle' } });
  await socket.text({ id: 7, op: 'publisher.close', handle: 10 });
  await socket.json();
  await socket.text({ id: 8, op: 'stats.open', handle: 11 });
  expect(await socket.json()).toEqual({ id: 8, ok: { handle: 11 } });
  socket.end();
  await socket.closed;
});

test('a consumer whose queue is deleted leaves its handle without harm', async () => {
  const socket = await server.connect();
  await socket.text({ id: 2, op: 'queue.declare', queue: 'gone' });
  await socket.text({ id: 3, op: 'consume', handle: 4, queue: 'gone', credit: 1 });
  await socket.text({ id: 4, op: 'queue.delete', queue: 'gone' });
  const seen: object[] = [];
  for (let messages = 0; messages < 4; messages++) seen.push(await socket.json());
  expect(seen).toContainEqual({ event: 'cancelled', handle: 4, reason: 'queue deleted' });
  await socket.binary(frame('06', '0004', '00000005')); // sent before the peer knew
  await socket.text({ id: 5, op: 'consumer.cancel', handle: 4 });
  expect(await socket.json()).toEqual({ id: 5, ok: {} });
  socket.end();
  await socket.closed;
});

/** Input is read in a turn of its own: looks again each turn. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
