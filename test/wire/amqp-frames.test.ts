// AMQP frames out of a stream: any frames, cut anywhere, are exactly those frames; what cannot be a frame throws 501 before it costs memory; and
// what the reader keeps is its own, whatever becomes of the chunks that it was fed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  describeOctets,
  FRAME_MIN_SIZE,
  FRAME_OVERHEAD_BYTES,
  FrameReader,
  writeFrameEnd,
  writeFrameHeader,
} from '../../shared/amqp/frame.ts';
import { decodeMethod, encodeMethod } from '../../shared/amqp/methods.ts';
import { decodeProperties } from '../../shared/amqp/properties.ts';
import { AmqpError } from '../../shared/error.ts';
import { type Cut, cut, type Frame, frame, frameBytes, pieces } from './amqp-arbitraries.ts';
import { contentVectors, methodVectors } from './amqp-vectors.ts';

const FRAME_MAX = 4096;
const PAYLOAD_MAX = FRAME_MAX - FRAME_OVERHEAD_BYTES;

/** The frame that `next` has shown, copied: it is valid only until the next call. */
function shown(reader: FrameReader): Frame {
  const payload = new Uint8Array(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd));
  return { type: reader.type, channel: reader.channel, payload };
}

/** All frames of a stream that comes in these chunks; each chunk's memory is written over as soon as it is read. */
function read(reader: FrameReader, chunks: readonly Uint8Array[]): Frame[] {
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.feed(chunk);
    while (reader.next()) frames.push(shown(reader));
    if (reader.leftBytes > 0) throw new Error(`${reader.leftBytes} bytes of a chunk are left`);
    chunk.fill(0xee);
  }
  return frames;
}

function refusal(run: () => unknown): AmqpError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AmqpError) return error;
    throw error;
  }
}

/** Compared as text: equality of large arrays is slow. */
const octets = (frames: readonly Frame[]): string[] => frames.map((one) => frameBytes(one).toString('hex'));
const stream = (frames: readonly Frame[]): Buffer => Buffer.concat(frames.map(frameBytes));
const header = (size: number, type = 1): Buffer => Buffer.from([type, 0, 1, size >>> 24, size >>> 16, size >>> 8, size]);

describe('a stream of frames', () => {
  test('cut anywhere is exactly those frames, though every chunk is written over once it is read', () => {
    fc.assert(
      fc.property(fc.array(frame(PAYLOAD_MAX), { maxLength: 8 }), cut, (frames, how) => {
        expect(octets(read(new FrameReader(FRAME_MAX), pieces(stream(frames), how)))).toEqual(octets(frames));
      }),
      { numRuns: 500 },
    );
  });

  test('with empty chunks in between is the same', () => {
    fc.assert(
      fc.property(fc.array(frame(60), { maxLength: 4 }), cut, (frames, how) => {
        const chunks = pieces(stream(frames), how).flatMap((piece) => [new Uint8Array(0), piece]);
        expect(octets(read(new FrameReader(FRAME_MAX), chunks))).toEqual(octets(frames));
      }),
    );
  });

  test('cut short shows the frames before, and the last once its end comes', () => {
    fc.assert(
      fc.property(fc.array(frame(60), { minLength: 1, maxLength: 4 }), fc.nat(), cut, (frames, place, how) => {
        const bytes = stream(frames);
        const last = frameBytes(frames.at(-1) as Frame).length;
        const end = bytes.length - 1 - (place % last);
        const reader = new FrameReader(FRAME_MAX);
        expect(octets(read(reader, pieces(bytes.subarray(0, end), how)))).toEqual(octets(frames.slice(0, -1)));
        expect(octets(read(reader, pieces(bytes.subarray(end), how)))).toEqual(octets(frames.slice(-1)));
      }),
    );
  });

  test('of frames of exactly frameMax is read, eight bytes more are forgiven, a ninth is not', () => {
    for (const how of ['whole', 'thirds', 'bytes'] as const) {
      for (const size of [PAYLOAD_MAX, PAYLOAD_MAX + 1, FRAME_MAX]) {
        const frames = [1, 2].map((channel) => ({ type: 3, channel, payload: new Uint8Array(size).fill(channel) }));
        expect(octets(read(new FrameReader(FRAME_MAX), pieces(stream(frames), how)))).toEqual(octets(frames));
      }
      const large = stream([{ type: 3, channel: 1, payload: new Uint8Array(FRAME_MAX + 1) }]);
      expect(refusal(() => read(new FrameReader(FRAME_MAX), pieces(large, how)))?.code).toBe(501);
    }
  });

  test('takes larger frames from the moment that frameMax is raised, within a chunk too', () => {
    const frames = [10, FRAME_MIN_SIZE + 1, 100_000].map((bytes) => ({ type: 3, channel: 1, payload: new Uint8Array(bytes) }));
    for (const how of ['whole', 'thirds', 'bytes'] as const) {
      const reader = new FrameReader(FRAME_MIN_SIZE);
      const read: Frame[] = [];
      for (const chunk of pieces(stream(frames), how)) {
        reader.feed(chunk);
        while (reader.next()) {
          read.push(shown(reader));
          reader.frameMax = 131_072;
        }
      }
      expect(octets(read)).toEqual(octets(frames));
    }
  });
});

describe('a size that is too large', () => {
  test.each([FRAME_MAX + 1, 0x00ff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])(
    '(%i) throws 501 from the seven octets before it',
    (size) => {
      for (const how of ['whole', 'bytes'] as const) {
        const before = process.memoryUsage().arrayBuffers;
        const error = refusal(() => read(new FrameReader(FRAME_MAX), pieces(header(size), how)));
        const after = process.memoryUsage().arrayBuffers;
        expect(error?.code).toBe(501);
        expect(error?.message).toContain(`{frame_too_large,${size},${PAYLOAD_MAX}}`);
        expect(after - before).toBeLessThan(1024 * 1024);
      }
    },
  );

  test('throws 501 too when its payload has come whole', () => {
    const large = stream([{ type: 3, channel: 1, payload: new Uint8Array(FRAME_MAX + 1) }]);
    expect(refusal(() => read(new FrameReader(FRAME_MAX), [Buffer.concat([large, Buffer.alloc(50_000)])]))?.code).toBe(501);
  });

  test('counts all four octets of the size', () => {
    const size = 0x0100_0000; // zero in the lower three
    expect(refusal(() => read(new FrameReader(FRAME_MAX), [Buffer.concat([header(size), Buffer.alloc(50)])]))?.code).toBe(501);
  });
});

test('a reader that waits holds no chunk and no frame that it has shown', () => {
  for (const how of ['whole', 'thirds', 'bytes'] as const) {
    const reader = new FrameReader(FRAME_MAX);
    read(reader, pieces(stream([{ type: 3, channel: 1, payload: new Uint8Array(1000) }]), how));
    expect([reader.bytes.length, reader.chunk.length]).toEqual([0, 0]);
  }
});

test('a frame that is announced costs no more than twice what came of it', () => {
  const readers = Array.from({ length: 500 }, () => new FrameReader(131_072));
  const before = process.memoryUsage().arrayBuffers;
  for (const reader of readers) {
    reader.feed(header(131_064));
    reader.next();
    reader.feed(new Uint8Array(2000));
    reader.next();
  }
  const after = process.memoryUsage().arrayBuffers;
  // 2 KB came on each, and the chunks themselves may still be there: not the 128 KiB that each announced
  expect((after - before) / readers.length).toBeLessThan(10_000);
});

describe('the end octet', () => {
  test('any but 206 throws 501, however the frame came', () => {
    const notEnd = fc.nat(255).filter((octet) => octet !== 206);
    fc.assert(
      fc.property(fc.array(frame(60), { minLength: 1, maxLength: 3 }), notEnd, cut, (frames, octet, how) => {
        const bytes = stream(frames);
        bytes[bytes.length - 1] = octet;
        const seen: Frame[] = [];
        const error = refusal(() => {
          const reader = new FrameReader(FRAME_MAX);
          for (const chunk of pieces(bytes, how)) {
            reader.feed(chunk);
            while (reader.next()) seen.push(shown(reader));
          }
        });
        expect(octets(seen)).toEqual(octets(frames.slice(0, -1)));
        expect(error?.code).toBe(501);
        expect(error?.message).toMatch(
          new RegExp(`^FRAME_ERROR - type ${frames.at(-1)?.type}, .*: \\{invalid_frame_end_marker,${octet}\\}$`),
        );
      }),
    );
  });
});

test('random bytes give frames or 501, and nothing else', () => {
  // half of them begin well: a type, a channel, a small size
  const begun = fc
    .tuple(fc.constantFrom(1, 2, 3, 8), fc.nat(20), fc.uint8Array({ maxLength: 60 }))
    .map(([type, size, rest]) => Buffer.concat([header(size, type), rest]));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), begun), cut, (bytes, how) => {
      const code = refusal(() => read(new FrameReader(FRAME_MAX), pieces(bytes, how)))?.code;
      expect([undefined, 501]).toContain(code);
    }),
    { numRuns: 1000 },
  );
});

describe('what the reader keeps', () => {
  test('is never the frame that it has shown: that stays as it is until the next call', () => {
    // a pool that hands the same memory to every read, as a socket's may
    fc.assert(
      fc.property(fc.array(frame(200), { minLength: 2, maxLength: 8 }), fc.integer({ min: 1, max: 300 }), (frames, size) => {
        const bytes = stream(frames);
        const pool = Buffer.alloc(size);
        const reader = new FrameReader(FRAME_MAX);
        const seen: Frame[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          const count = bytes.copy(pool, 0, at);
          reader.feed(pool.subarray(0, count));
          while (reader.next()) {
            const first = shown(reader);
            expect(shown(reader)).toStrictEqual(first);
            seen.push(first);
          }
        }
        expect(octets(seen)).toEqual(octets(frames));
      }),
    );
  });

  test('who looks ahead may skip whole frames, and the reader goes on behind them', () => {
    fc.assert(
      fc.property(fc.array(frame(60), { minLength: 2, maxLength: 8 }), fc.nat(), (frames, skipped) => {
        const count = skipped % frames.length;
        const reader = new FrameReader(FRAME_MAX);
        reader.feed(stream(frames));
        expect(reader.next()).toBe(true);
        const behind = frames.slice(1, count).reduce((at, skippedFrame) => at + frameBytes(skippedFrame).length, reader.at);
        reader.skipTo(behind);
        const seen: Frame[] = [];
        while (reader.next()) seen.push(shown(reader));
        expect(octets(seen)).toEqual(octets(frames.slice(Math.max(1, count))));
      }),
    );
  });
});

describe('the octets around a payload', () => {
  test('are written as they are read', () => {
    fc.assert(
      fc.property(frame(200), fc.nat(9), ({ type, channel, payload }, at) => {
        const bytes = new Uint8Array(at + payload.length + FRAME_OVERHEAD_BYTES);
        const start = writeFrameHeader(bytes, at, type, channel, payload.length);
        expect(start).toBe(at + 7);
        bytes.set(payload, start);
        expect(writeFrameEnd(bytes, start + payload.length)).toBe(bytes.length);
        expect(Buffer.from(bytes.subarray(at)).equals(frameBytes({ type, channel, payload }))).toBe(true);
      }),
    );
  });

  test('in an error are shown as Erlang prints them, sixteen at most', () => {
    const said = (text: string): string => describeOctets(Buffer.from(text), 0, Buffer.byteLength(text));
    expect(said('')).toBe('all octets = <<>>');
    expect(said('GET / HTTP/1.1')).toBe('all octets = <<"GET / HTTP/1.1">>');
    expect(said('\0\x01ä')).toBe('all octets = <<0,1,195,164>>');
    expect(describeOctets(Buffer.alloc(17, 65), 1, 17)).toBe(`all octets = <<"${'A'.repeat(16)}">>`);
    expect(describeOctets(Buffer.alloc(17, 65), 0, 17)).toBe(`first 16 octets = <<"${'A'.repeat(16)}">>`);
  });
});

describe('a frame as a real client or broker sent it', () => {
  const ways: readonly Cut[] = ['whole', 'thirds', 'bytes'];

  test.each(methodVectors)(
    '$name is read to its fields, whole, in thirds and byte by byte, and written the same',
    ({ name, channel, hex, fields }) => {
      const bytes = Buffer.from(hex, 'hex');
      for (const how of ways) {
        const frames = read(new FrameReader(FRAME_MAX), pieces(bytes, how));
        expect(frames.map(({ type, channel: of }) => [type, of])).toEqual([[1, channel]]);
        const payload = frames[0]?.payload ?? new Uint8Array(0);
        expect(decodeMethod(payload, 0, payload.length)).toStrictEqual({ name, fields });
        expect(Buffer.from(encodeMethod(name, fields)).equals(payload)).toBe(true);
      }
    },
  );

  test.each(contentVectors)('a content header ($hex) is read to its properties', ({ hex, bodyBytes, properties }) => {
    for (const how of ways) {
      const [only] = read(new FrameReader(FRAME_MAX), pieces(Buffer.from(hex, 'hex'), how));
      const payload = Buffer.from(only?.payload ?? []);
      expect([only?.type, payload.readUInt16BE(0), payload.readUInt16BE(2), Number(payload.readBigUInt64BE(4))]).toEqual([
        2,
        60,
        0,
        bodyBytes,
      ]);
      expect(decodeProperties(payload, 14, payload.length, payload.readUInt16BE(12))).toStrictEqual(properties);
    }
  });

  test('all in one stream are read in order', () => {
    const bytes = methodVectors.map(({ hex }) => Buffer.from(hex, 'hex'));
    for (const how of ways) expect(read(new FrameReader(FRAME_MAX), pieces(Buffer.concat(bytes), how)).map(frameBytes)).toEqual(bytes);
  });
});
