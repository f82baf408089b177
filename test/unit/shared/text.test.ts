// UTF-8 and short strings: strict, byte for byte, against TextEncoder and TextDecoder.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../../../shared/bytes.ts';
import { AmqpError } from '../../../shared/error.ts';
import {
  decodeUtf8,
  decodeUtf8Loosely,
  encodeUtf8,
  isUtf8,
  readShortString,
  shortStringBytes,
  shortStringEnd,
  utf8Length,
  writeShortString,
  writeUtf8,
} from '../../../shared/text.ts';

const syntaxError = expect.objectContaining({ code: 502 });
/** Code units at random: lone surrogates too. */
const anyText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) });
/** Bytes that are UTF-8 in large part. */
const almostUtf8 = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.string({ unit: 'binary', maxLength: 8 }).map((text) => Buffer.from(text)),
    ),
  )
  .map((parts) => Buffer.concat(parts));

describe('UTF-8', () => {
  test('encoded and decoded is the same text, from the middle of a buffer too', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
        const bytes = Buffer.concat([Buffer.from([0xff]), encodeUtf8(text), Buffer.from([0xff])]);
        expect(decodeUtf8(bytes, 1, bytes.length - 1)).toBe(text);
      }),
    );
  });

  test('is recognized as strictly as the platform does', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          almostUtf8,
          fc.uint8Array({ maxLength: 5 }),
          fc
            .tuple(fc.integer({ min: 0xe0, max: 0xff }), fc.uint8Array({ minLength: 1, maxLength: 3 }))
            .map(([lead, rest]) => Buffer.from([lead, ...rest])),
        ),
        (bytes) => {
          const valid = Buffer.from(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)).equals(bytes);
          expect(isUtf8(bytes, 0, bytes.length)).toBe(valid);
          if (valid) expect(decodeUtf8(bytes, 0, bytes.length)).toBe(decodeUtf8Loosely(bytes, 0, bytes.length));
          else expect(() => decodeUtf8(bytes, 0, bytes.length)).toThrow(syntaxError);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('keeps a byte order mark', () => {
    expect(decodeUtf8(encodeUtf8('\ufeffa'), 0, 4)).toBe('\ufeffa');
  });

  test('is measured and written as the platform does, lone surrogates included', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string()), (text) => {
        const expected = Buffer.from(text);
        expect(utf8Length(text)).toBe(expected.length);
        const bytes = Buffer.alloc(expected.length + 1);
        expect(writeUtf8(bytes, 1, text)).toBe(bytes.length);
        expect(bytes.subarray(1).equals(expected)).toBe(true);
      }),
    );
  });
});

describe('a short string', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const bytes = new Uint8Array(300);
        const end = writeShortString(bytes, 7, text);
        expect(end).toBe(7 + shortStringBytes(text));
        expect(shortStringEnd(bytes, 7, end)).toBe(end);
        expect(readShortString(bytes, 7, end)).toBe(text);
        expect(() => readShortString(bytes, 7, end - 1)).toThrow(AmqpError);
      }),
    );
  });

  test('has at most 255 bytes', () => {
    const bytes = new Uint8Array(300);
    expect(writeShortString(bytes, 0, 'x'.repeat(255))).toBe(256);
    expect(writeShortString(bytes, 0, '€'.repeat(85))).toBe(256);
    for (const text of ['x'.repeat(256), '€'.repeat(86)]) {
      expect(() => writeShortString(bytes, 0, text)).toThrow(syntaxError);
      expect(() => shortStringBytes(text)).toThrow(syntaxError);
    }
  });

  test('of no bytes at all is cut short', () => {
    expect(() => shortStringEnd(new Uint8Array(4), 2, 2)).toThrow(syntaxError);
  });
});

describe('an integer', () => {
  test('is read as it was written, and as the platform does', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff_ffff), fc.maxSafeNat(), (u16, u32, u64) => {
        const bytes = Buffer.alloc(14);
        expect(writeU64(bytes, writeU32(bytes, writeU16(bytes, 0, u16), u32), u64)).toBe(14);
        expect([bytes.readUInt16BE(0), bytes.readUInt32BE(2), Number(bytes.readBigUInt64BE(6))]).toEqual([u16, u32, u64]);
        expect([readU16(bytes, 0), readU32(bytes, 2), readU64(bytes, 6)]).toEqual([u16, u32, u64]);
      }),
    );
  });

  test('above 2^53 - 1 is refused with 502', () => {
    expect(readU64(Buffer.from('001fffffffffffff', 'hex'), 0)).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => readU64(Buffer.from('0020000000000000', 'hex'), 0)).toThrow(syntaxError);
  });
});
