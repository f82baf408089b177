// The five methods that every message pays for have a second codec, by hand: it must be the first one's equal. And the two ways in which a publish is
// put together must find the same message, however its bytes are cut.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../server/amqp/channel.ts';
import { take } from '../../server/amqp/incoming.ts';
import { PublishJoiner } from '../../server/amqp/publish-joiner.ts';
import { FrameReader, FrameType } from '../../shared/amqp/frame.ts';
import {
  CONFIRM_BYTES,
  DELIVER_FIXED_BYTES,
  GET_OK_FIXED_BYTES,
  HotKey,
  PublishReader,
  RETURN_FIXED_BYTES,
  SettleReader,
  writeConfirm,
  writeDeliver,
  writeGetOk,
  writeReturn,
} from '../../shared/amqp/hot.ts';
import { encodeMethod, methodFrame } from '../../shared/amqp/methods.ts';
import { encodeContentHeader } from '../../shared/amqp/properties.ts';
import { METHODS, methodKey } from '../../shared/amqp/spec.ts';
import { AmqpError } from '../../shared/error.ts';
import { shortStringBytes, utf8Length, writeShortString } from '../../shared/text.ts';
import { frame } from '../support/amqp-peer.ts';

const name = fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => utf8Length(text) <= 255 && text.isWellFormed());
const tag = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const bit = fc.boolean();

function shortString(text: string): Uint8Array {
  const bytes = new Uint8Array(shortStringBytes(text));
  writeShortString(bytes, 0, text);
  return bytes;
}
/** Exchange and key as a content run begins, somewhere in a larger buffer. */
function names(exchange: string, routingKey: string): [bytes: Uint8Array, start: number, end: number] {
  const both = Buffer.concat([shortString(exchange), shortString(routingKey)]);
  return [Buffer.concat([Buffer.from('before'), both, Buffer.from('after')]), 6, 6 + both.length];
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('the keys are those of the table', () => {
  const byName = {
    Publish: 'publish',
    Deliver: 'deliver',
    Return: 'return',
    GetOk: 'get-ok',
    Ack: 'ack',
    Reject: 'reject',
    Nack: 'nack',
  } as const;
  for (const [key, method] of Object.entries(byName) as [keyof typeof byName, (typeof byName)[keyof typeof byName]][]) {
    const { classId, methodId } = METHODS[`basic.${method}`];
    expect(HotKey[key]).toBe(methodKey(classId, methodId));
  }
});

describe('what is written by hand is what the table writes', () => {
  test('basic.deliver', () => {
    fc.assert(
      fc.property(name, tag, bit, name, name, (consumerTag, deliveryTag, redelivered, exchange, routingKey) => {
        const [bytes, start, end] = names(exchange, routingKey);
        const consumer = shortString(consumerTag);
        const written = new Uint8Array(DELIVER_FIXED_BYTES + consumer.length + end - start);
        expect(writeDeliver(written, 0, consumer, deliveryTag, redelivered, bytes, start, end)).toBe(written.length);
        expect(hex(written)).toBe(hex(encodeMethod('basic.deliver', { consumerTag, deliveryTag, redelivered, exchange, routingKey })));
      }),
    );
  });
  test('basic.get-ok', () => {
    fc.assert(
      fc.property(tag, bit, name, name, fc.nat(), (deliveryTag, redelivered, exchange, routingKey, messageCount) => {
        const [bytes, start, end] = names(exchange, routingKey);
        const written = new Uint8Array(GET_OK_FIXED_BYTES + end - start);
        expect(writeGetOk(written, 0, deliveryTag, redelivered, bytes, start, end, messageCount)).toBe(written.length);
        expect(hex(written)).toBe(hex(encodeMethod('basic.get-ok', { deliveryTag, redelivered, exchange, routingKey, messageCount })));
      }),
    );
  });
  test('basic.return', () => {
    fc.assert(
      fc.property(fc.nat(65_535), name, name, name, (replyCode, replyText, exchange, routingKey) => {
        const [bytes, start, end] = names(exchange, routingKey);
        const text = shortString(replyText);
        const written = new Uint8Array(RETURN_FIXED_BYTES + text.length + end - start);
        expect(writeReturn(written, 0, replyCode, text, bytes, start, end)).toBe(written.length);
        expect(hex(written)).toBe(hex(encodeMethod('basic.return', { replyCode, replyText, exchange, routingKey })));
      }),
    );
  });
  test('basic.ack and basic.nack to a publisher', () => {
    fc.assert(
      fc.property(tag, bit, (deliveryTag, multiple) => {
        const written = new Uint8Array(CONFIRM_BYTES);
        writeConfirm(written, 0, HotKey.Ack, deliveryTag, multiple);
        expect(hex(written)).toBe(hex(encodeMethod('basic.ack', { deliveryTag, multiple })));
        writeConfirm(written, 0, HotKey.Nack, deliveryTag, multiple);
        expect(hex(written)).toBe(hex(encodeMethod('basic.nack', { deliveryTag, multiple, requeue: false })));
      }),
    );
  });
});

describe('what is read by hand is what the table wrote', () => {
  test('basic.publish', () => {
    fc.assert(
      fc.property(name, name, bit, bit, (exchange, routingKey, mandatory, immediate) => {
        const payload = encodeMethod('basic.publish', { exchange, routingKey, mandatory, immediate });
        const reader = new PublishReader();
        reader.read(payload, 0, payload.length);
        expect([reader.mandatory, reader.immediate]).toEqual([mandatory, immediate]);
        const [bytes, start, end] = names(exchange, routingKey);
        expect(hex(payload.subarray(reader.namesStart, reader.namesEnd))).toBe(hex(bytes.subarray(start, end)));
      }),
    );
  });
  test('basic.ack, basic.nack and basic.reject', () => {
    fc.assert(
      fc.property(tag, bit, bit, (deliveryTag, first, second) => {
        const reader = new SettleReader();
        const read = (payload: Uint8Array): unknown[] => {
          reader.read(payload, 0, payload.length);
          return [reader.deliveryTag, reader.first, reader.second];
        };
        expect(read(encodeMethod('basic.ack', { deliveryTag, multiple: first }))).toEqual([deliveryTag, first, false]);
        expect(read(encodeMethod('basic.nack', { deliveryTag, multiple: first, requeue: second }))).toEqual([deliveryTag, first, second]);
        expect(read(encodeMethod('basic.reject', { deliveryTag, requeue: first }))).toEqual([deliveryTag, first, false]);
      }),
    );
  });
  test('a payload that is cut or too long is 501, and nothing else', () => {
    const whole = {
      publish: encodeMethod('basic.publish', { exchange: 'orders', routingKey: 'order.created', mandatory: true, immediate: false }),
      ack: encodeMethod('basic.ack', { deliveryTag: 7, multiple: true }),
    };
    for (let length = 0; length <= whole.publish.length + 1; length++) {
      if (length === whole.publish.length) continue;
      const bytes = new Uint8Array(64).fill(0xee);
      bytes.set(whole.publish.subarray(0, length));
      expect(() => new PublishReader().read(bytes, 0, length)).toThrow(AmqpError);
    }
    for (const length of [4, 12, 14]) expect(() => new SettleReader().read(new Uint8Array(20), 0, length)).toThrow(AmqpError);
  });
});

interface Sent {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly headerBytes: Uint8Array;
  readonly body: Uint8Array;
}

const sent: fc.Arbitrary<Sent> = fc
  .record({
    exchange: name,
    routingKey: name,
    mandatory: bit,
    contentType: fc.option(name, { nil: undefined }),
    deliveryMode: fc.option(fc.constantFrom(1, 2), { nil: undefined }),
    body: fc.uint8Array({ maxLength: 200 }),
  })
  .map(({ contentType, deliveryMode, body, ...rest }) => ({
    ...rest,
    body,
    headerBytes: encodeContentHeader({ contentType, deliveryMode }, body.length),
  }));

/** The frames of a publish; bodies above `partMax` in several. */
function frames({ exchange, routingKey, mandatory, headerBytes, body }: Sent, partMax: number): Uint8Array {
  const parts = [
    methodFrame(1, 'basic.publish', { exchange, routingKey, mandatory, immediate: false }),
    frame(FrameType.Header, 1, headerBytes),
  ];
  for (let at = 0; at < body.length; at += partMax) parts.push(frame(FrameType.Body, 1, body.subarray(at, at + partMax)));
  return Buffer.concat(parts);
}

/** What a channel is asked to publish when these chunks come in. */
function published(chunks: readonly Uint8Array[]): string[] {
  const runs: string[] = [];
  const channel: Channel = {
    number: 1,
    host: { assemblingBytes: 0, assemblingHeaderBytes: 0, messageBytesMax: 1_000_000 },
    assembly: undefined,
    publish: (bytes: Uint8Array, start: number, end: number, mandatory: boolean) =>
      runs.push(`${mandatory} ${hex(bytes.subarray(start, end))}`),
    dropAssembly: () => {
      channel.assembly = undefined;
    },
  } as unknown as Channel; // what a publish needs of a channel, and nothing else
  const reader = new FrameReader(131_072);
  for (const chunk of chunks) {
    reader.feed(chunk.slice());
    while (reader.next()) expect(take(channel, reader)).toBe(true);
  }
  return runs;
}

test('a publish is the same content run whether its frames are joined in place or put together from parts', () => {
  fc.assert(
    fc.property(
      fc.array(sent, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 250 }),
      fc.array(fc.nat(2000), { maxLength: 6 }),
      (all, partMax, cuts) => {
        const expected = all.map(({ exchange, routingKey, mandatory, headerBytes, body }) => {
          const [bytes, start, end] = names(exchange, routingKey);
          return `${mandatory} ${hex(Buffer.concat([bytes.subarray(start, end), headerBytes, body]))}`;
        });
        const stream = Buffer.concat(all.map((each) => frames(each, partMax)));
        const at = [...new Set(cuts.map((cut) => cut % stream.length))].sort((a, b) => a - b);
        const chunks = [0, ...at].map((from, i) => stream.subarray(from, at[i] ?? stream.length));
        expect(published(chunks)).toEqual(expected);
      },
    ),
    { numRuns: 500 },
  );
});

test('a header frame above frameMax is no publish, in one piece either', () => {
  const headerBytes = encodeContentHeader({ headers: new Map([['x', 'y'.repeat(8_000)]]) }, 1);
  const stream = frames({ exchange: '', routingKey: 'q', mandatory: false, headerBytes, body: Uint8Array.of(1) }, 10);
  const reader = new FrameReader(4096);
  reader.feed(stream);
  reader.next();
  const joiner = new PublishJoiner();
  expect(joiner.join(reader, reader.payloadStart + 6, reader.payloadEnd - 1)).toBe(false);
  expect(() => reader.next()).toThrow(/frame_too_large/);
});
