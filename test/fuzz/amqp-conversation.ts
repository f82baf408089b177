// What an AMQP client says on one connection, as fast-check generates it: handshake, channels, and requests of all kinds on them.
// Always: (1) no rule of the protocol is broken: at most a channel is closed for what was asked on it; (2) names come from a few, so that channels
// meet in the same queues; (3) the client listens to nothing: what it settles may never have come.

import fc from 'fast-check';
import { encodeMethod, type MethodFields } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import { PROTOCOL_HEADER, rawFrame } from '../support/raw-amqp.ts';

export interface Conversation {
  /** As encoded, header to end octet. The first is the protocol header. */
  readonly frames: readonly Buffer[];
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
    '20000000000701615300000000',
    '01000135', // expiration '5'
    '080002', // priority 2
    '0200026666', // reply-to ff
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

export const conversation: fc.Arbitrary<Conversation> = fc
  .record({
    frameMax: fc.constantFrom(...FRAME_MAXES),
    heartbeat: fc.constantFrom(0, 60),
    requests: fc
      .array(fc.constantFrom(...CHANNELS), { maxLength: 14 })
      .chain((channels) => fc.tuple(...channels.map((channel, i) => requestOn(channel, i)))),
  })
  .map(({ frameMax, heartbeat, requests }) => ({ frames: [...opening(frameMax, heartbeat), ...requests.flat()], frameMax }));
