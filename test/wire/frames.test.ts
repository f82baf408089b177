// The binary frames: what one side writes the other reads, whatever lies around it; and no bytes at all can do more than be refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../shared/assert.ts';
import { AmqpError } from '../../shared/error.ts';
import {
  FRAME_BYTES_MAX,
  FRAME_OVERHEAD,
  FrameParser,
  FrameType,
  RETURN_HEAD_BYTES_MAX,
  writeDeliverHead,
  writeFrameEnd,
  writeFrameHeader,
  writeReturnHead,
  writeSettle,
} from '../../shared/protocol/frames.ts';
import { propertiesToJson } from '../../shared/protocol/json.ts';
import { damaged, properties, shortString, wellFormed } from './arbitraries.ts';
import { type FrameFields, readFrames, writeFrames } from './describe-frames.ts';

const handle = fc.nat(65_535);
const u32 = fc.nat(0xffff_ffff);
const content = {
  exchange: shortString,
  key: shortString,
  properties: properties.map((value) => JSON.parse(JSON.stringify(propertiesToJson(value)))),
  body: wellFormed(30),
};
const error = fc.record({ code: fc.constant(404), reason: wellFormed(20) }, { noNullPrototype: true });
const withSize = <T extends { body: string }>(fields: T): T & { bodyBytes: number } => ({
  ...fields,
  bodyBytes: Buffer.byteLength(fields.body),
});

const frame: fc.Arbitrary<FrameFields> = fc.oneof(
  fc.record({ type: fc.constant('PUBLISH' as const), handle, mandatory: fc.boolean(), ...content }).map(withSize),
  fc
    .record({
      type: fc.constant('DELIVER' as const),
      handle,
      tag: fc.maxSafeNat(),
      redelivered: fc.boolean(),
      deliveryCount: u32,
      queueNumber: u32,
      seq: fc.maxSafeNat(),
      ...content,
    })
    .map(withSize),
  fc.record({
    type: fc.constant('SETTLE' as const),
    handle: fc.constant(0),
    settles: fc.array(
      fc.record({
        tag: fc.maxSafeNat(),
        action: fc.constantFrom('ack' as const, 'nack' as const, 'reject' as const, 'release' as const),
        requeue: fc.boolean(),
        multiple: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
  }),
  fc.record({
    type: fc.constant('CONFIRM' as const),
    handle,
    confirms: fc.array(
      fc.oneof(
        fc.record({ firstSeq: fc.maxSafeNat(), count: u32, refused: fc.constant(false), routed: u32 }),
        fc.record({ firstSeq: fc.maxSafeNat(), count: fc.constant(1), refused: fc.constant(true), routed: fc.constant(0), error }),
      ),
      { minLength: 1, maxLength: 5 },
    ),
  }),
  fc
    .record({ type: fc.constant('RETURN' as const), handle, seq: fc.maxSafeNat(), code: fc.nat(65_535), text: shortString, ...content })
    .map(withSize),
  fc.record({ type: fc.constant('CREDIT' as const), handle, amount: u32 }),
  fc.record({ type: fc.constant('BODY' as const), handle, body: wellFormed(30) }),
);
const batch = fc.array(frame, { maxLength: 6 });

/** True when refused as a peer's fault; any error but AmqpError goes on. */
function isRefused(bytes: Uint8Array): boolean {
  try {
    readFrames(bytes);
    return false;
  } catch (error) {
    if (error instanceof AmqpError && (error.code === 501 || error.code === 502)) return true;
    throw error;
  }
}

describe('a batch of frames', () => {
  test('is read as it was written', () => {
    fc.assert(fc.property(batch, (frames) => void expect(readFrames(writeFrames(frames))).toEqual(frames)));
  });

  test('is read the same wherever it lies in a larger buffer', () => {
    fc.assert(
      fc.property(batch, fc.nat(20), (frames, before) => {
        const bytes = writeFrames(frames);
        const slab = Buffer.concat([Buffer.alloc(before, 0xce), bytes, Buffer.alloc(20, 0xce)]);
        const whole = new FrameParser().open(bytes);
        const within = new FrameParser().open(slab, before, before + bytes.length);
        while (whole.next()) {
          expect(within.next()).toBe(true);
          expect([within.type, within.handle]).toEqual([whole.type, whole.handle]);
          expect([within.payloadStart - before, within.payloadEnd - before]).toEqual([whole.payloadStart, whole.payloadEnd]);
        }
        expect(within.next()).toBe(false);
      }),
    );
  });

  test('damaged anywhere is refused or read, and nothing else', () => {
    fc.assert(
      fc.property(damaged(batch.map(writeFrames)), (bytes) => {
        isRefused(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test('cut anywhere but between frames is refused', () => {
    fc.assert(
      fc.property(frame, fc.nat(), (fields, cut) => {
        const bytes = writeFrames([fields]);
        expect(isRefused(bytes.subarray(0, 1 + (cut % (bytes.length - 1))))).toBe(true);
      }),
    );
  });

  test('of random bytes is refused or read, and nothing else', () => {
    fc.assert(
      fc.property(fc.nat(9), fc.uint8Array({ maxLength: 60 }), (type, payload) => {
        const bytes = new Uint8Array(payload.length + FRAME_OVERHEAD);
        const at = writeFrameHeader(bytes, 0, FrameType.Body, 1, payload.length);
        bytes[0] = type;
        bytes.set(payload, at);
        writeFrameEnd(bytes, at + payload.length);
        isRefused(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the parser', () => {
  const parser = new FrameParser(16);
  const bodyOf = (bytes: number): Uint8Array => writeFrames([{ type: 'BODY', handle: 1, body: 'x'.repeat(bytes) }]);

  test('takes a payload of the limit and refuses one more byte', () => {
    expect(parser.open(bodyOf(16)).next()).toBe(true);
    expect(() => parser.open(bodyOf(17)).next()).toThrow(/^FRAME_ERROR - malformed frame: 17 bytes of payload/);
    expect(new FrameParser().open(bodyOf(FRAME_BYTES_MAX)).next()).toBe(true);
    expect(() => new FrameParser().open(bodyOf(FRAME_BYTES_MAX + 1)).next()).toThrow(AmqpError);
  });

  test('gives no further frame after a malformed one, and is as new when opened again', () => {
    const good = bodyOf(1);
    const bad = good.with(0, 99);
    parser.open(Buffer.concat([bad, good]));
    expect(() => parser.next()).toThrow(AmqpError);
    expect(parser.next()).toBe(false);
    expect(parser.open(good).next()).toBe(true);
  });

  test('has no frame in an empty message', () => {
    expect(parser.open(new Uint8Array(0)).next()).toBe(false);
  });
});

describe('a writer', () => {
  const bytes = new Uint8Array(300);

  test('refuses a number above 2^53 - 1, which is our own fault', () => {
    expect(() => writeSettle(bytes, 0, 2 ** 53, 0, false, false)).toThrow(InvariantError);
    expect(() => writeDeliverHead(bytes, 0, 1, false, 0, 1, -1)).toThrow(InvariantError);
    expect(() => writeDeliverHead(bytes, 0, Number.NaN, false, 0, 1, 1)).toThrow(InvariantError);
  });

  test('refuses a reply text above 255 bytes and needs no more room than announced below', () => {
    expect(writeReturnHead(bytes, 0, 1, 312, 'x'.repeat(255))).toBe(RETURN_HEAD_BYTES_MAX);
    expect(() => writeReturnHead(bytes, 0, 1, 312, 'x'.repeat(256))).toThrow(AmqpError);
  });
});
