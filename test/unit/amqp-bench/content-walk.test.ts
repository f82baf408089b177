// What a consumer of the benchmark counts in a stream of frames, wherever the stream is cut.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ContentReader, ContentWalk } from '../../../server/cli/amqp-bench/content-walk.ts';
import { encodeContent } from '../../../server/cli/amqp-bench/publish-ring.ts';
import { HEARTBEAT_FRAME } from '../../../shared/amqp/frame.ts';
import { decodeMethod, methodFrame } from '../../../shared/amqp/methods.ts';

const FRAME_MAX = 4096;

class Told implements ContentReader {
  readonly events: string[] = [];

  content(stamp: number): void {
    this.events.push(`content ${stamp}`);
  }
  settled(tag: number, isMultiple: boolean, isNack: boolean): void {
    this.events.push(`${isNack ? 'nack' : 'ack'} ${tag}${isMultiple ? ' multiple' : ''}`);
  }
  method(bytes: Uint8Array, start: number, end: number): void {
    this.events.push(decodeMethod(bytes, start, end).name);
  }
}

function delivery(bodyBytes: number, stamp: number): Uint8Array {
  const method = methodFrame(1, 'basic.deliver', {
    consumerTag: 'some tag',
    deliveryTag: 7,
    redelivered: false,
    exchange: 'amq.topic',
    routingKey: 'a.b',
  });
  const properties = { deliveryMode: 2, contentType: 'text/plain' };
  const { bytes, bodyOffset } = encodeContent({ channel: 1, method, properties, bodyBytes, frameMax: FRAME_MAX });
  if (bodyBytes >= 8) Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).writeDoubleBE(stamp, bodyOffset);
  return bytes;
}

interface Part {
  readonly bytes: Uint8Array;
  readonly event: string | undefined;
}

const parts: fc.Arbitrary<Part> = fc.oneof(
  fc
    // Around nothing, the stamp, and the borders of one frame and two.
    .tuple(fc.oneof(fc.nat(20), fc.integer({ min: FRAME_MAX - 12, max: FRAME_MAX }), fc.integer({ min: 8_160, max: 8_200 })), fc.nat(1e9))
    .map(([bodyBytes, stamp]) => ({ bytes: delivery(bodyBytes, stamp), event: `content ${bodyBytes >= 8 ? stamp : 0}` })),
  fc.tuple(fc.nat(1e9), fc.boolean()).map(([deliveryTag, multiple]) => ({
    bytes: methodFrame(1, 'basic.ack', { deliveryTag, multiple }),
    event: `ack ${deliveryTag}${multiple ? ' multiple' : ''}`,
  })),
  fc.nat(1e9).map((deliveryTag) => ({
    bytes: methodFrame(1, 'basic.nack', { deliveryTag, multiple: true, requeue: true }),
    event: `nack ${deliveryTag} multiple`,
  })),
  fc.constant({ bytes: methodFrame(0, 'connection.blocked', { reason: 'low on memory' }), event: 'connection.blocked' }),
  fc.constant({ bytes: Uint8Array.from(HEARTBEAT_FRAME), event: undefined }),
);

function walked(stream: Uint8Array, cuts: readonly number[]): string[] {
  const told = new Told();
  const walk = new ContentWalk(told);
  let from = 0;
  for (const cut of [...cuts, stream.length]) {
    // A buffer that is used again, as a socket's is: what was shown may not be looked at later.
    const chunk = Uint8Array.from(stream.subarray(from, cut));
    walk.walk(chunk, 0, chunk.length);
    chunk.fill(0xff);
    from = cut;
  }
  return told.events;
}

test('deliveries, confirms and other methods are told once each and in order, wherever the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(parts, { minLength: 1, maxLength: 8 }), fc.array(fc.nat(100_000), { maxLength: 12 }), (sent, places) => {
      const stream = Buffer.concat(sent.map(({ bytes }) => bytes));
      const cuts = places.map((place) => place % stream.length).sort((a, b) => a - b);
      expect(walked(stream, cuts)).toEqual(sent.map(({ event }) => event).filter((event) => event !== undefined));
    }),
  );
});

test('a stream that comes byte by byte, or in thirds, is the same', () => {
  const sent = [
    delivery(0, 0),
    delivery(7, 0),
    delivery(16, 5),
    delivery(FRAME_MAX * 2, 6),
    methodFrame(1, 'basic.ack', { deliveryTag: 3, multiple: true }),
  ];
  const stream = Buffer.concat(sent);
  const events = ['content 0', 'content 0', 'content 5', 'content 6', 'ack 3 multiple'];
  expect(walked(stream, Array.from(stream.keys()))).toEqual(events);
  expect(walked(stream, [Math.floor(stream.length / 3), Math.floor((2 * stream.length) / 3)])).toEqual(events);
});

test('a content counts when its last byte has come, not before', () => {
  const told = new Told();
  const walk = new ContentWalk(told);
  const bytes = delivery(100, 5);
  walk.walk(bytes, 0, bytes.length - 1);
  expect(told.events).toEqual([]);
  walk.walk(bytes, bytes.length - 1, bytes.length);
  expect(told.events).toEqual(['content 5']);
});

test.each([
  ['a method', methodFrame(1, 'basic.ack', { deliveryTag: 1, multiple: false }), 0],
  ['a body', delivery(100, 1), 0],
  ['a body that comes in two pieces', delivery(100, 1), 20],
])('%s that does not end as a frame does is an error', (_, bytes, cutBefore) => {
  bytes[bytes.length - 1] = 0;
  expect(() => walked(bytes, cutBefore === 0 ? [] : [bytes.length - cutBefore])).toThrow('the stream is out of step');
});

test('a length that no frame has is an error before memory is taken for it', () => {
  const bytes = Uint8Array.of(1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0);
  expect(() => walked(bytes, [])).toThrow('the stream is out of step');
  expect(() => walked(bytes, [5])).toThrow('the stream is out of step');
});
