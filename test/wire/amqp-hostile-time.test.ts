// Hostile AMQP peers that take their time, or take no answers: in virtual time, against a broker that must be left clean (test/support/broker.ts).

import { describe, expect } from 'vitest';
import { TestBroker, test } from '../support/broker.ts';
import { MemoryStream } from '../support/byte-stream.ts';
import { contentHeader, PROTOCOL_HEADER, publishFrames, type RawAmqp, rawFrame } from '../support/raw-amqp.ts';

const declared = { passive: false, durable: false, exclusive: false, autoDelete: false, nowait: false, arguments: new Map() };
const MIB = 1024 * 1024;
const SEND_QUEUE_BYTES = 4 * MIB;

/** One that has logged in, with channel 1 open and a queue `q`. */
async function client(broker: TestBroker, stream = new MemoryStream(), heartbeat = 0): Promise<RawAmqp> {
  const peer = broker.dialAmqp(stream);
  await peer.logIn({ heartbeat });
  await peer.openChannel(1);
  await peer.call(1, 'queue.declare', { queue: 'q', ...declared }, 'queue.declare-ok');
  return peer;
}

/** Another's message goes round. */
async function goesRound(peer: RawAmqp): Promise<void> {
  await peer.write(publishFrames(1, '', 'q', Buffer.from('still here')));
  await peer.send(1, 'basic.get', { queue: 'q', noAck: true });
  await peer.method('basic.get-ok', 1);
  await peer.frame();
  expect(Buffer.from((await peer.frame()).payload).toString()).toBe('still here');
}

describe('a handshake', () => {
  const openings: readonly [what: string, say: (peer: RawAmqp) => Promise<void>][] = [
    ['nothing', async () => {}],
    ['half a protocol header', (peer) => peer.write(PROTOCOL_HEADER.subarray(0, 4))],
    ['a protocol header', (peer) => peer.write(PROTOCOL_HEADER)],
    [
      'half of start-ok',
      async (peer) => {
        await peer.write(PROTOCOL_HEADER);
        await peer.write(rawFrame(1, 0, Buffer.alloc(5000)).subarray(0, 3000));
      },
    ],
    [
      'start-ok',
      async (peer) => {
        await peer.write(PROTOCOL_HEADER);
        await peer.startOk();
      },
    ],
    [
      'tune-ok and heartbeats',
      async (peer) => {
        await peer.write(PROTOCOL_HEADER);
        await peer.startOk();
        await peer.send(0, 'connection.tune-ok', { channelMax: 10, frameMax: 8192, heartbeat: 60 });
        await peer.write(Buffer.concat(Array.from({ length: 100 }, () => rawFrame(8, 0, new Uint8Array(0)))));
      },
    ],
  ];

  test.for(openings)('that ends with %s is over in ten seconds, not before, and others go on', async ([, say], { broker }) => {
    const other = await client(broker);
    const peer = broker.dialAmqp();
    await say(peer);
    await broker.advance(9_999);
    expect(peer.isClosed).toBe(false);
    await goesRound(other);
    await broker.advance(1);
    expect(peer.isClosed).toBe(true);
    await goesRound(other);
  });

  test('of two thousand peers, all half open, is over in ten seconds', async ({ broker }) => {
    const other = await client(broker);
    const peers = Array.from({ length: 2000 }, () => broker.dialAmqp());
    for (const [i, peer] of peers.entries()) await openings[i % openings.length]?.[1](peer);
    await broker.advance(9_999);
    expect(peers.some((peer) => peer.isClosed)).toBe(false);
    await goesRound(other);
    await broker.advance(1);
    expect(peers.every((peer) => peer.isClosed)).toBe(true);
    await goesRound(other);
  });

  test('of one octet a second is over in ten seconds', async ({ broker }) => {
    const peer = broker.dialAmqp();
    const octets = Buffer.concat([PROTOCOL_HEADER, Buffer.alloc(100)]);
    for (const octet of octets) {
      if (peer.isClosed) break;
      await peer.write(Buffer.from([octet]));
      await broker.advance(1000);
    }
    expect(peer.isClosed).toBe(true);
    expect(peer.waiting.map(({ method }) => method?.name)).toEqual(['connection.start']);
  });

  test('that took its time does not leave the connection less of it', async ({ broker }) => {
    const peer = broker.dialAmqp();
    await broker.advance(9_000);
    await peer.logIn();
    await broker.advance(3_600_000);
    expect(peer.isClosed).toBe(false);
  });
});

describe('an octet a second', () => {
  test('is enough for a client that has logged in: its message arrives, and heartbeats do not cut it', async ({ broker }) => {
    const other = await client(broker);
    const peer = await client(broker, new MemoryStream(), 2);
    for (const octet of publishFrames(1, '', 'q', Buffer.from('slowly'))) {
      await peer.write(Buffer.from([octet]));
      await broker.advance(1000);
    }
    await goesBack(other, 'slowly');
    expect(peer.isClosed).toBe(false);
  });

  test('of an unfinished frame, and then silence, is cut when heartbeats are missed', async ({ broker }) => {
    const other = await client(broker);
    const peer = await client(broker, new MemoryStream(), 10);
    await peer.write(publishFrames(1, '', 'q', Buffer.from('half')).subarray(0, 30));
    await broker.advance(20_000);
    expect(peer.isClosed).toBe(false);
    await broker.advance(10_000);
    expect(peer.isClosed).toBe(true);
    await goesRound(other);
  });
});

async function goesBack(peer: RawAmqp, body: string): Promise<void> {
  await peer.call(1, 'basic.get', { queue: 'q', noAck: true }, 'basic.get-ok');
  await peer.frame();
  expect(Buffer.from((await peer.frame()).payload).toString()).toBe(body);
}

describe('a wrong password', () => {
  test('is answered a second later, a right one behind it does not help, and others go on meanwhile', async ({ broker }) => {
    const other = await client(broker);
    const peer = broker.dialAmqp();
    await peer.write(PROTOCOL_HEADER);
    await peer.method('connection.start');
    await peer.startOk({ password: 'wrong', capabilities: ['authentication_failure_close'] });
    await peer.startOk({ capabilities: ['authentication_failure_close'] });
    await peer.send(0, 'connection.tune-ok', { channelMax: 10, frameMax: 8192, heartbeat: 0 });
    await peer.send(0, 'connection.open', { virtualHost: '/' });
    await broker.advance(999);
    expect(peer.waiting).toEqual([]);
    await goesRound(other);
    await broker.advance(1);
    expect(await peer.outcome()).toMatchObject({ how: 'connection', code: 403 });
    await goesRound(other);
  });

  test('ends the stream without a word for who did not ask for one', async ({ broker }) => {
    const peer = broker.dialAmqp();
    await peer.write(PROTOCOL_HEADER);
    await peer.method('connection.start');
    await peer.startOk({ user: 'nobody', capabilities: [] });
    await broker.advance(999);
    expect(peer.isClosed).toBe(false);
    await broker.advance(1);
    expect(await peer.outcome()).toEqual({ how: 'hung up' });
  });
});

test('who does not answer a close is hung up on after five seconds, whatever it sends', async ({ broker }) => {
  const other = await client(broker);
  const peer = await client(broker);
  await peer.write(rawFrame(1, 1, Buffer.from('00630001', 'hex')));
  for (let second = 0; second < 5; second++) {
    await peer.write(publishFrames(1, '', 'q', Buffer.from('too late')));
    expect(peer.isClosed).toBe(false);
    await broker.advance(1000);
  }
  expect(peer.isClosed).toBe(true);
  await goesRound(other);
});

describe('unfinished bodies', () => {
  const MESSAGE_BYTES = 5000;
  const begun = (channel: number): Buffer =>
    Buffer.concat([
      publishFrames(channel, '', 'q', Buffer.alloc(0)).subarray(0, -22), // without its header
      contentHeader(channel, MESSAGE_BYTES),
      rawFrame(3, channel, Buffer.alloc(MESSAGE_BYTES - 1)),
    ]);
  const rest = (channel: number): Buffer => rawFrame(3, channel, Buffer.alloc(1));

  test('on one connection may be eight of the largest message, and count no more when they are finished', async () => {
    const broker = new TestBroker({ limits: { messageBytes: MESSAGE_BYTES } });
    const other = await client(broker);
    const peer = await client(broker);
    for (let channel = 2; channel <= 10; channel++) await peer.openChannel(channel);
    for (let i = 0; i < 50; i++) await peer.write(Buffer.concat([begun(1), rest(1)]));
    for (let channel = 1; channel <= 8; channel++) await peer.write(begun(channel));
    await peer.write(rest(3));
    await peer.write(begun(9));
    await broker.idle();
    expect(peer.waiting).toEqual([]);
    const { fields } = await other.call(1, 'queue.declare', { queue: 'q', ...declared }, 'queue.declare-ok');
    expect(fields.messageCount).toBe(51);
    await peer.write(begun(10));
    expect(await peer.outcome()).toMatchObject({ how: 'connection', code: 506 });
    expect((await other.call(1, 'queue.purge', { queue: 'q', nowait: false }, 'queue.purge-ok')).fields.messageCount).toBe(51);
    expect(await broker.end()).toEqual([]);
  });
});

describe('a peer that takes no answers', () => {
  const body = Buffer.alloc(100_000, 'x');
  /** What it may cost: what deliveries may fill, as much again for answers, one message and one chunk. */
  const UNREAD_BYTES_MAX = 2 * SEND_QUEUE_BYTES + MIB;

  test('gets deliveries up to its send queue, and the rest when it reads', async ({ broker }) => {
    const other = await client(broker);
    for (let i = 0; i < 100; i++) await other.write(publishFrames(1, '', 'q', body));
    const stream = new MemoryStream();
    const peer = await client(broker, stream);
    stream.pause();
    await peer.send(1, 'basic.consume', {
      queue: 'q',
      consumerTag: 't',
      noLocal: false,
      noAck: true,
      exclusive: false,
      nowait: true,
      arguments: new Map(),
    });
    await broker.idle();
    expect(stream.unreadBytes).toBeGreaterThan(SEND_QUEUE_BYTES / 2);
    expect(stream.unreadBytes).toBeLessThan(SEND_QUEUE_BYTES + MIB);
    stream.resume();
    await broker.idle();
    expect(peer.waiting.filter(({ method }) => method?.name === 'basic.deliver')).toHaveLength(100);
  });

  const floods: readonly [what: string, count: number, request: () => Buffer, reply: string][] = [
    ['gets of a large message, given back each time', 300, getAndReject, 'basic.get-ok'],
    ['mandatory publishes of no queue', 300, mandatory, 'basic.return'],
    ['requests without number', 36_000, passive, 'queue.declare-ok'],
  ];

  test.for(floods)('and sends %s is not read any further, until it reads', async ([, count, request, reply], { broker }) => {
    const other = await client(broker);
    await other.write(publishFrames(1, '', 'q', body));
    const longName = 'n'.repeat(255);
    await other.call(1, 'queue.declare', { queue: longName, ...declared }, 'queue.declare-ok');
    const stream = new MemoryStream();
    const peer = await client(broker, stream);
    stream.pause();
    for (let i = 0; i < count; i += 100) await peer.write(Buffer.concat(Array.from({ length: 100 }, request)));
    await broker.idle();
    expect(stream.unreadBytes).toBeLessThan(UNREAD_BYTES_MAX);
    expect(stream.untakenBytes).toBeGreaterThan(0);
    expect((await other.call(1, 'queue.declare', { queue: longName, ...declared }, 'queue.declare-ok')).fields.queue).toBe(longName);
    stream.resume();
    await broker.idle();
    expect(peer.waiting.filter(({ method }) => method?.name === reply)).toHaveLength(count);
    expect(stream.untakenBytes).toBe(0);
  });

  let tag = 0;
  function getAndReject(): Buffer {
    const reject = Buffer.from('003c005a000000000000000001', 'hex');
    reject.writeUInt32BE(++tag, 8);
    return Buffer.concat([rawFrame(1, 1, Buffer.from('003c00460000017100', 'hex')), rawFrame(1, 1, reject)]);
  }
  function mandatory(): Buffer {
    const method = rawFrame(1, 1, Buffer.from('003c0028000000046e6f6e6501', 'hex'));
    return Buffer.concat([method, contentHeader(1, body.length), rawFrame(3, 1, body)]);
  }
  function passive(): Buffer {
    return rawFrame(1, 1, Buffer.concat([Buffer.from('0032000a0000ff', 'hex'), Buffer.alloc(255, 'n'), Buffer.from('0100000000', 'hex')]));
  }
});
