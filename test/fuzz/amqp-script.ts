// What a hostile AMQP client says on one connection, as fast-check generates it: a conversation that is in order, and then a few things wrong in it.
// Always: (1) a script is octets alone, so it can come in any pieces; (2) a conversation that nothing was done to breaks no rule of the protocol: at
// most a channel is closed for what it asked; (3) names come from a few, so that its channels meet in the same queues.

import fc from 'fast-check';
import { encodeMethod, type MethodFields } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import { PROTOCOL_HEADER, rawFrame } from '../support/raw-amqp.ts';
import { type Cut, cut } from '../wire/amqp-arbitraries.ts';
import { nested } from '../wire/amqp-hostile-cases.ts';

/** As encoded: header, payload, end octet. The first of a conversation is the protocol header. */
export type Frames = readonly Buffer[];

export interface Script {
  readonly octets: Buffer;
  readonly pieces: Cut;
  /** What was done to the conversation. */
  readonly wrongs: readonly string[];
  /** Some of it was done before connection.open. */
  readonly isHandshakeTouched: boolean;
  readonly frameMax: number;
}

/** Protocol header, start-ok, tune-ok, open. */
export const HANDSHAKE_FRAMES = 4;
const CHANNELS = [1, 2, 3] as const;

const none: FieldTable = new Map();
const queue = fc.constantFrom('q0', 'q1', 'q2');
const exchange = fc.constantFrom('e0', 'e1', 'amq.topic', 'amq.fanout', 'amq.headers', 'amq.direct');
const key = fc.constantFrom('q0', 'q1', 'q2', 'a.b', 'a.*', '#', '', 'k'.repeat(255));
const rare = fc.constantFrom(false, false, false, false, false, false, true);
const args: fc.Arbitrary<FieldTable> = fc.constantFrom<FieldTable[]>(
  none,
  none,
  none,
  new Map<string, FieldValue>([['x-max-length', 2]]),
  new Map<string, FieldValue>([['x-message-ttl', 5]]),
  new Map<string, FieldValue>([
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'q2'],
    ['x-max-length', 1],
  ]),
  new Map<string, FieldValue>([['x-max-priority', 3]]),
);

function method<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): Buffer {
  return rawFrame(1, channel, encodeMethod(name, fields));
}

/** One request on a channel, in one frame or, with content, in several. */
function requestOn(channel: number, index: number): fc.Arbitrary<Buffer[]> {
  const one = <Name extends MethodName>(name: Name, fields: fc.Arbitrary<MethodFields<Name>>): fc.Arbitrary<Buffer[]> =>
    fields.map((values) => [method(channel, name, values)]);
  const tag = fc.integer({ min: 1, max: 4 });
  const bit = fc.boolean();
  const nowait = rare;
  const declare = fc.record({ queue, passive: rare, durable: rare, exclusive: rare, autoDelete: rare, nowait, arguments: args });
  const binding = { exchange, routingKey: key, arguments: fc.constant(none) };
  const publish = { weight: 8, arbitrary: content(channel) };
  return fc.oneof(
    publish,
    { weight: 3, arbitrary: one('queue.declare', declare) },
    { weight: 2, arbitrary: one('queue.bind', fc.record({ queue, nowait, ...binding })) },
    one('queue.unbind', fc.record({ queue, ...binding })),
    one('queue.purge', fc.record({ queue, nowait })),
    one('queue.delete', fc.record({ queue, ifUnused: bit, ifEmpty: bit, nowait })),
    one(
      'exchange.declare',
      fc.record({
        exchange: fc.constantFrom('e0', 'e1'),
        type: fc.constantFrom('direct', 'topic', 'fanout', 'headers'),
        passive: rare,
        durable: rare,
        autoDelete: rare,
        internal: rare,
        nowait,
        arguments: fc.constant(none),
      }),
    ),
    one(
      'exchange.bind',
      fc.record({ destination: fc.constantFrom('e0', 'e1'), source: exchange, routingKey: key, nowait, arguments: args }),
    ),
    one(
      'exchange.unbind',
      fc.record({ destination: fc.constantFrom('e0', 'e1'), source: exchange, routingKey: key, nowait, arguments: args }),
    ),
    one('exchange.delete', fc.record({ exchange: fc.constantFrom('e0', 'e1'), ifUnused: bit, nowait })),
    one('basic.qos', fc.record({ prefetchSize: fc.constant(0), prefetchCount: fc.nat(3), global: bit })),
    {
      weight: 3,
      arbitrary: one(
        'basic.consume',
        fc.record({
          queue,
          consumerTag: fc.constant(`t${index}`),
          noLocal: bit,
          noAck: bit,
          exclusive: rare,
          nowait,
          arguments: fc.constant(none),
        }),
      ),
    },
    one('basic.cancel', fc.record({ consumerTag: fc.constantFrom(`t${Math.max(0, index - 1)}`, 'none'), nowait })),
    { weight: 3, arbitrary: one('basic.get', fc.record({ queue, noAck: bit })) },
    { weight: 3, arbitrary: one('basic.ack', fc.record({ deliveryTag: tag, multiple: bit })) },
    one('basic.nack', fc.record({ deliveryTag: tag, multiple: bit, requeue: bit })),
    one('basic.reject', fc.record({ deliveryTag: tag, requeue: bit })),
    one('basic.recover', fc.constant({ requeue: true })),
    one('confirm.select', fc.record({ nowait })),
    one('tx.select', fc.constant({})),
    one('tx.commit', fc.constant({})),
    one('tx.rollback', fc.constant({})),
    one('channel.flow', fc.record({ active: bit })),
    one('access.request', fc.constant({ realm: '/data', exclusive: false, passive: true, active: true, write: true, read: true })),
    fc.constant<Buffer[]>([rawFrame(8, 0, new Uint8Array(0))]),
    fc.constant<Buffer[]>([
      method(channel, 'channel.close', { replyCode: 200, replyText: 'done', failedClassId: 0, failedMethodId: 0 }),
      method(channel, 'channel.open', {}),
    ]),
  );
}

/** A publish: its method, its header, and its body in some frames. */
function content(channel: number): fc.Arbitrary<Buffer[]> {
  const properties = fc.constantFrom(
    '0000',
    '100002', // delivery mode 2
    `800004${Buffer.from('text').toString('hex')}`,
    '200000000000', // an empty header table
    `2000000000060161 53 00000000`.replaceAll(' ', ''),
    `0100${'0135'}`, // expiration '5'
    `080002`, // priority 2
    `0200${'026666'}`, // reply-to
  );
  return fc
    .record({
      exchange: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, exchange),
      key,
      mandatory: rare,
      properties,
      size: fc.constantFrom(0, 1, 5, 300, 9000),
      parts: fc.integer({ min: 1, max: 4 }),
    })
    .map(({ exchange: to, key: routingKey, mandatory, properties: encoded, size, parts }) => {
      const head = Buffer.alloc(12);
      head.writeUInt16BE(60);
      head.writeBigUInt64BE(BigInt(size), 4);
      const frames = [
        method(channel, 'basic.publish', { exchange: to, routingKey, mandatory, immediate: false }),
        rawFrame(2, channel, Buffer.concat([head, Buffer.from(encoded, 'hex')])),
      ];
      const body = Buffer.alloc(size, size);
      const step = Math.min(3000, Math.max(1, Math.ceil(size / parts)));
      for (let at = 0; at < size; at += step) frames.push(rawFrame(3, channel, body.subarray(at, at + step)));
      return frames;
    });
}

const FRAME_MAXES = [4096, 8192, 131_072] as const;

function opening(frameMax: number, heartbeat: number): Buffer[] {
  const can = new Map(['consumer_cancel_notify', 'connection.blocked', 'authentication_failure_close'].map((name) => [name, true]));
  return [
    PROTOCOL_HEADER,
    method(0, 'connection.start-ok', {
      clientProperties: new Map([['capabilities', can]]),
      mechanism: 'PLAIN',
      response: Buffer.from('\0guest\0guest'),
      locale: 'en_US',
    }),
    method(0, 'connection.tune-ok', { channelMax: 2047, frameMax, heartbeat }),
    method(0, 'connection.open', { virtualHost: '/' }),
    ...CHANNELS.map((channel) => method(channel, 'channel.open', {})),
    ...['q0', 'q1'].map((name) =>
      method(1, 'queue.declare', {
        queue: name,
        passive: false,
        durable: false,
        exclusive: false,
        autoDelete: false,
        nowait: false,
        arguments: none,
      }),
    ),
  ];
}

interface Conversation {
  readonly frames: Frames;
  readonly frameMax: number;
}

const conversation: fc.Arbitrary<Conversation> = fc
  .record({
    frameMax: fc.constantFrom(...FRAME_MAXES),
    heartbeat: fc.constantFrom(0, 60),
    requests: fc
      .array(fc.constantFrom(...CHANNELS), { maxLength: 14 })
      .chain((channels) => fc.tuple(...channels.map((channel, i) => requestOn(channel, i)))),
  })
  .map(({ frameMax, heartbeat, requests }) => ({ frames: [...opening(frameMax, heartbeat), ...requests.flat()], frameMax }));

interface Wrong {
  readonly what: string;
  /** Does it to frames[at]; frames are copies. */
  readonly to: (frames: Buffer[], at: number) => void;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const payloadOf = (frame: Buffer): Buffer => frame.subarray(7, -1);
function reframe(frames: Buffer[], at: number, change: (payload: Buffer) => Buffer): void {
  const frame = frames[at];
  if (frame === undefined || frame.length < 8) return;
  frames[at] = rawFrame(frame[0] ?? 0, frame.readUInt16BE(1), change(payloadOf(frame)));
}
/** Where in a conversation frames of this type stand, from `at` on; -1 for none. */
const nextOf = (frames: readonly Buffer[], type: number, at: number): number =>
  frames.findIndex((frame, i) => i >= at && frame[0] === type);

const sizes = fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff, 4097, 8193, 131_073, 131_081);
const bodySizes = fc.constantFrom(0n, 1n, 4n, 6n, 30_000n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n);
const methodIds = fc.oneof(
  fc.constantFrom(
    0x000a000a,
    0x000a000b,
    0x000a001f,
    0x000a0028,
    0x000a0033,
    0x0014000a,
    0x0014000b,
    0x00140029,
    0x00320014,
    0x003c0028,
    0x003c003c,
    0x003c0050,
  ),
  fc
    .tuple(fc.constantFrom(10, 20, 30, 40, 50, 60, 85, 90, 0, 99, 65_535), fc.integer({ min: 0, max: 125 }))
    .map(([of, id]) => of * 65_536 + id),
);

const wrong: fc.Arbitrary<Wrong> = fc.oneof(
  sizes.map((size) => ({
    what: `size ${size}`,
    to: (frames: Buffer[], at: number) => void frames[at]?.writeUInt32BE(size, 3),
  })),
  fc.constantFrom(-1, 1).map((by) => ({
    what: `size ${by}`,
    to: (frames: Buffer[], at: number) => {
      const frame = frames[at];
      if (frame !== undefined) frame.writeUInt32BE((frame.readUInt32BE(3) + by) >>> 0, 3);
    },
  })),
  fc.oneof(fc.constantFrom(1, 2, 3, 8), fc.nat(255)).map((type) => ({
    what: `type ${type}`,
    to: (frames: Buffer[], at: number) => void frames[at]?.writeUInt8(type, 0),
  })),
  fc.constantFrom(0, 1, 2, 9, 2047, 65_535).map((channel) => ({
    what: `channel ${channel}`,
    to: (frames: Buffer[], at: number) => void frames[at]?.writeUInt16BE(channel, 1),
  })),
  methodIds.map((id) => ({
    what: `method ${id >>> 16}.${id & 0xffff}`,
    to: (frames: Buffer[], at: number) => {
      const frame = frames[at];
      if (frame !== undefined && frame.length >= 12) frame.writeUInt32BE(id, 7);
    },
  })),
  bodySizes.map((size) => ({
    what: `body size ${size}`,
    to: (frames: Buffer[], at: number) => {
      const header = frames[nextOf(frames, 2, at)];
      header?.writeBigUInt64BE(size, 11);
    },
  })),
  fc.integer({ min: 0, max: 0xffff }).map((flags) => ({
    what: `property flags ${flags}`,
    to: (frames: Buffer[], at: number) => {
      frames[nextOf(frames, 2, at)]?.writeUInt16BE(flags, 19);
    },
  })),
  fc.nat(255).map((octet) => ({
    what: `end octet ${octet}`,
    to: (frames: Buffer[], at: number) => {
      const frame = frames[at];
      if (frame !== undefined) frame[frame.length - 1] = octet;
    },
  })),
  fc.constantFrom('left out', 'twice', 'after the next').map((what) => ({
    what,
    to: (frames: Buffer[], at: number) => {
      const frame = frames[at];
      if (frame === undefined) return;
      if (what === 'twice') frames.splice(at, 0, Buffer.from(frame));
      else frames.splice(at, 1);
      if (what === 'after the next') frames.splice(at + 1, 0, frame);
    },
  })),
  fc.tuple(fc.nat(), fc.nat()).map(([from]) => ({
    what: 'a frame from elsewhere before it',
    to: (frames: Buffer[], at: number) => {
      const other = frames[1 + (from % (frames.length - 1))];
      if (other !== undefined) frames.splice(at, 0, Buffer.from(other));
    },
  })),
  fc.constantFrom(16, 17, 300, 1000).map((depth) => ({
    what: `arguments nested ${depth} deep`,
    to: (frames: Buffer[], at: number) => {
      const fields = nested(depth);
      const declare = Buffer.concat([Buffer.from('0032000a0000027130' + '00', 'hex'), u32(fields.length), fields]);
      frames.splice(at, 0, rawFrame(1, 1, declare));
    },
  })),
  fc.tuple(fc.nat(), fc.nat(255)).map(([place, octet]) => ({
    what: `octet ${octet}`,
    to: (frames: Buffer[], at: number) => {
      const frame = frames[at];
      if (frame !== undefined && frame.length > 8) frame[7 + (place % (frame.length - 8))] = octet;
    },
  })),
  fc.nat().map((place) => ({
    what: 'a payload cut short',
    to: (frames: Buffer[], at: number) => reframe(frames, at, (payload) => payload.subarray(0, place % (payload.length + 1))),
  })),
  fc.uint8Array({ minLength: 1, maxLength: 9 }).map((more) => ({
    what: 'a payload with octets behind',
    to: (frames: Buffer[], at: number) => reframe(frames, at, (payload) => Buffer.concat([payload, more])),
  })),
  fc.nat().map((place) => ({
    what: 'the stream cut short',
    to: (frames: Buffer[], at: number) => {
      const frame = frames[at];
      if (frame !== undefined) frames.splice(at, frames.length, frame.subarray(0, place % frame.length));
    },
  })),
);

/** The handshake is hit less often: what is wrong there keeps the rest from being tried. */
const place = fc.oneof(
  { weight: 1, arbitrary: fc.nat(HANDSHAKE_FRAMES - 1) },
  { weight: 6, arbitrary: fc.integer({ min: HANDSHAKE_FRAMES, max: 1000 }) },
);

export const script: fc.Arbitrary<Script> = fc
  .record({
    conversation,
    wrongs: fc.oneof(
      { weight: 1, arbitrary: fc.constant([]) },
      { weight: 7, arbitrary: fc.array(fc.tuple(wrong, place), { minLength: 1, maxLength: 3 }) },
    ),
    pieces: cut,
  })
  .map(({ conversation: { frames: sound, frameMax }, wrongs, pieces }) => {
    const frames = sound.map((frame) => Buffer.from(frame));
    let isHandshakeTouched = false;
    const done: string[] = [];
    for (const [{ what, to }, where] of wrongs) {
      const at =
        where < HANDSHAKE_FRAMES ? where : HANDSHAKE_FRAMES + ((where - HANDSHAKE_FRAMES) % Math.max(1, frames.length - HANDSHAKE_FRAMES));
      if (at < HANDSHAKE_FRAMES) isHandshakeTouched = true;
      to(frames, at);
      done.push(`${what} at ${at}`);
    }
    return { octets: Buffer.concat(frames), pieces, wrongs: done, isHandshakeTouched, frameMax };
  });
