// The publishes that the benchmark sends: their frames, their times, and that nothing is written over while a socket still has it.

import { expect, test } from 'vitest';
import { PublishRing, type RingOptions } from '../../../server/cli/amqp-bench/publish-ring.ts';
import { FrameReader, FrameType } from '../../../shared/amqp/frame.ts';
import { decodeMethod } from '../../../shared/amqp/methods.ts';
import { CONTENT_HEADER_FIXED_BYTES, decodeProperties } from '../../../shared/amqp/properties.ts';
import { readU16, readU64 } from '../../../shared/bytes.ts';

const OPTIONS: RingOptions = {
  channel: 1,
  exchange: 'ex',
  keys: ['a', 'bcd', 'ef'],
  properties: { deliveryMode: 2 },
  bodyBytes: 20,
  frameMax: 4096,
  ringBytes: 1000,
};

interface Decoded {
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryMode: number | undefined;
  readonly bodyBytes: number;
  readonly body: Buffer;
  readonly pieces: number[];
}

/** The publishes in a stretch, by the shared codec: whole frames only. */
function decode(stretch: Uint8Array, frameMax = 4096): Decoded[] {
  const reader = new FrameReader(frameMax);
  reader.feed(stretch);
  const publishes: Decoded[] = [];
  let publish = { exchange: '', routingKey: '' };
  let header: { deliveryMode: number | undefined; bodyBytes: number } | undefined;
  let pieces: Buffer[] = [];
  const end = (): void => {
    if (header === undefined || pieces.reduce((sum, piece) => sum + piece.length, 0) < header.bodyBytes) return;
    publishes.push({ ...publish, ...header, body: Buffer.concat(pieces), pieces: pieces.map((piece) => piece.length) });
    header = undefined;
    pieces = [];
  };
  while (reader.next()) {
    const { bytes, payloadStart, payloadEnd, type, channel } = reader;
    expect(channel).toBe(1);
    if (type === FrameType.Method) {
      const method = decodeMethod(bytes, payloadStart, payloadEnd);
      if (method.name !== 'basic.publish') throw new Error(method.name);
      publish = { exchange: method.fields.exchange, routingKey: method.fields.routingKey };
    } else if (type === FrameType.Header) {
      const flags = readU16(bytes, payloadStart + 12);
      const { deliveryMode } = decodeProperties(bytes, payloadStart + CONTENT_HEADER_FIXED_BYTES, payloadEnd, flags);
      header = { deliveryMode, bodyBytes: readU64(bytes, payloadStart + 4) };
    } else pieces.push(Buffer.from(bytes.subarray(payloadStart, payloadEnd)));
    end();
  }
  expect(reader.leftBytes).toBe(0);
  return publishes;
}

test('messages take their keys in turn, through the end of the ring and on', () => {
  const ring = new PublishRing(OPTIONS);
  expect(ring.length % 3).toBe(0);
  const keys: string[] = [];
  for (let sent = 0; sent < 3 * ring.length; ) {
    const count = Math.min(2, ring.available);
    const publishes = decode(ring.take(count));
    expect(publishes).toHaveLength(count);
    keys.push(...publishes.map(({ routingKey }) => routingKey));
    ring.written(count);
    sent += count;
  }
  expect(keys).toEqual(keys.map((_, i) => ['a', 'bcd', 'ef'][i % 3]));
});

test('a publish is what was asked for', () => {
  const [publish] = decode(new PublishRing(OPTIONS).take(1));
  expect(publish).toMatchObject({ exchange: 'ex', routingKey: 'a', deliveryMode: 2, bodyBytes: 20 });
  expect(publish?.body).toEqual(Buffer.concat([Buffer.alloc(8), Buffer.from('x'.repeat(12))]));
});

test.each([0, 1, 7, 8, 4087, 4088, 4089, 8176, 8177, 20_000])('a body of %i bytes fills every frame but the last', (bodyBytes) => {
  const [publish, ...rest] = decode(new PublishRing({ ...OPTIONS, keys: ['k'], bodyBytes }).take(2));
  expect(rest).toHaveLength(1);
  expect(publish?.body.length).toBe(bodyBytes);
  expect(publish?.pieces.slice(0, -1).every((size) => size === 4088)).toBe(true);
});

test('a stamp is in its own message alone', () => {
  const ring = new PublishRing(OPTIONS);
  ring.stamp(1, 1234.5);
  const stamps = decode(ring.take(3)).map(({ body }) => body.readDoubleBE(0));
  expect(stamps).toEqual([0, 1234.5, 0]);
});

test('a body too short for a stamp stays as it is', () => {
  const ring = new PublishRing({ ...OPTIONS, bodyBytes: 7 });
  ring.stamp(0, 1234.5);
  expect(decode(ring.take(1))[0]?.body).toEqual(Buffer.alloc(7));
});

test('what the socket has not written yet is not given out again', () => {
  const ring = new PublishRing(OPTIONS);
  ring.take(ring.length - 1);
  expect(ring.available).toBe(1);
  ring.take(1);
  expect(ring.available).toBe(0);
  ring.written(2);
  expect(ring.available).toBe(2);
});

test('a stretch stays within the bytes allowed, and is one message at least', () => {
  const ring = new PublishRing({ ...OPTIONS, keys: ['k'] });
  const one = ring.take(1).length;
  ring.written(1);
  expect(ring.within(5, one * 3 + 1)).toBe(3);
  expect(ring.within(5, one * 5)).toBe(5);
  expect(ring.within(5, 1)).toBe(1);
});
