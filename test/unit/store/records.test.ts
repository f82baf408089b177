// The bytes of the log: what is written is read back, and no bit of it can change unnoticed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Append } from '../../../server/ports.ts';
import {
  BATCH_HEADER_BYTES,
  crcOf,
  FILE_HEADER_BYTES,
  FORMAT,
  finishRecord,
  isRecordWhole,
  padded,
  publishBytes,
  RECORD_HEADER_BYTES,
  REFERENCE_BYTES,
  RecordHeader,
  RecordType,
  Reference,
  readBatchHeader,
  readFileHeader,
  readU64,
  startRecord,
  writeBatchHeader,
  writeEntry,
  writeFileHeader,
  writeMessage,
  writeU64,
} from '../../../server/store/records.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const content = fc.uint8Array({ maxLength: 300 });
const references = fc.array(fc.record({ queueNumber: u32, priority: u32, seq: u64, deadline: fc.double({ noNaN: true }) }), {
  maxLength: 6,
});

/** Calls `look` once for each bit of [from, to), with that one flipped. */
function eachFlip(bytes: Buffer, from: number, to: number, look: (bit: number) => void): void {
  for (let bit = from * 8; bit < to * 8; bit++) {
    const at = bit >> 3;
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    look(bit);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
  }
}

interface Message {
  readonly content: Uint8Array;
  readonly references: readonly { queueNumber: number; priority: number; seq: number; deadline: number }[];
}
function appendOf(message: Message): Append {
  const append = new Append();
  const around = new Uint8Array(message.content.length + 7).fill(0xee);
  around.set(message.content, 3);
  append.begin(around, 3, 3 + message.content.length, message.content.length, 5);
  for (const { queueNumber, seq, priority, deadline } of message.references) append.add(queueNumber, seq, priority, deadline);
  return append;
}
/** A Publish record at `at`, in a buffer of noise; answers where it ends. */
function publish(bytes: Buffer, at: number, message: Message, fileId: number): number {
  const append = appendOf(message);
  const payloadBytes = publishBytes(append);
  startRecord(bytes, at, {
    lsn: 77,
    type: RecordType.Publish,
    payloadBytes,
    flags: append.flags,
    contentBytes: message.content.length,
    bodyBytes: append.bodyBytes,
    count: append.count,
  });
  expect(writeMessage(bytes, at, append)).toBe(at + RECORD_HEADER_BYTES + payloadBytes);
  finishRecord(bytes, at, fileId);
  return at + RECORD_HEADER_BYTES + payloadBytes;
}

test('numbers of 64 bits come back up to 2^53 - 1', () => {
  const bytes = Buffer.alloc(16, 0xff);
  fc.assert(
    fc.property(u64, (value) => {
      writeU64(bytes, 3, value);
      expect(readU64(bytes, 3)).toBe(value);
    }),
  );
});

test('padding goes up to the next 8 bytes', () => {
  expect([0, 1, 7, 8, 9, 4096].map(padded)).toEqual([0, 8, 8, 8, 16, 4096]);
});

describe('a file header', () => {
  const header = fc.record({ fileId: u32, previousId: u32, previousLsn: u64, fileBytes: u64 });

  test('comes back', () => {
    fc.assert(
      fc.property(header, (wanted) => {
        const bytes = Buffer.alloc(FILE_HEADER_BYTES + 5, 0x55);
        writeFileHeader(bytes, wanted);
        expect(readFileHeader(bytes)).toEqual(wanted);
      }),
    );
  });

  test('with any bit flipped is broken', () => {
    const bytes = Buffer.alloc(FILE_HEADER_BYTES);
    writeFileHeader(bytes, { fileId: 7, previousId: 6, previousLsn: 2 ** 40 + 1, fileBytes: 8192 });
    eachFlip(bytes, 0, FILE_HEADER_BYTES, (bit) => expect(readFileHeader(bytes), `bit ${bit}`).toBe('broken'));
    expect(readFileHeader(bytes.subarray(0, 63))).toBe('broken');
  });

  test('of a later format is told from a broken one, and one that was never written too', () => {
    const bytes = Buffer.alloc(FILE_HEADER_BYTES);
    expect(readFileHeader(bytes)).toBe('blank');
    writeFileHeader(bytes, { fileId: 7, previousId: 6, previousLsn: 5, fileBytes: 4 });
    bytes.writeUInt32LE(FORMAT + 1, 8);
    expect(readFileHeader(bytes), 'as if a bit had changed').toBe('broken');
    bytes.writeUInt32LE(crcOf(bytes, 16, FILE_HEADER_BYTES, FORMAT + 1), 12);
    expect(readFileHeader(bytes)).toBe('newer');
  });
});

describe('a batch header', () => {
  const header = fc.record({ count: u32, firstLsn: u64, durableLsn: u64, lastLsn: u64, bytes: u32 });

  test('comes back, in its own file alone', () => {
    fc.assert(
      fc.property(header, u32, (wanted, fileId) => {
        const bytes = Buffer.alloc(BATCH_HEADER_BYTES + 16, 0x55);
        writeBatchHeader(bytes, 8, fileId, wanted);
        expect(readBatchHeader(bytes, 8, fileId)).toEqual(wanted);
        expect(readBatchHeader(bytes, 8, (fileId + 1) % 0x1_0000_0000)).toBeUndefined();
        expect(readBatchHeader(bytes, 0, fileId)).toBeUndefined();
        expect(readBatchHeader(bytes.subarray(0, 8 + BATCH_HEADER_BYTES - 1), 8, fileId)).toBeUndefined();
      }),
    );
  });

  test('with any bit flipped is none', () => {
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES);
    writeBatchHeader(bytes, 0, 3, { count: 2, firstLsn: 10, durableLsn: 9, lastLsn: 11, bytes: 160 });
    eachFlip(bytes, 0, BATCH_HEADER_BYTES, (bit) => expect(readBatchHeader(bytes, 0, 3), `bit ${bit}`).toBeUndefined());
  });
});

describe('a record', () => {
  const message = fc.record({ content, references });

  test('comes back with content and references, in its own file alone', () => {
    fc.assert(
      fc.property(message, u32, fc.nat({ max: 4 }), (wanted, fileId, place) => {
        const bytes = Buffer.alloc(2_048, 0xaa);
        const at = place * 8;
        const end = publish(bytes, at, wanted, fileId);
        expect(isRecordWhole(bytes, at, end, fileId)).toBe(true);
        expect(isRecordWhole(bytes, at, end - 1, fileId)).toBe(false);
        expect(isRecordWhole(bytes, at, end, (fileId + 1) % 0x1_0000_0000)).toBe(false);
        const { content: sent } = wanted;
        const header = new RecordHeader().read(bytes, at);
        const { count, contentBytes, bodyBytes, flags, type, lsn } = header;
        expect({ count, contentBytes, bodyBytes, flags, type, lsn }).toEqual({
          count: wanted.references.length,
          contentBytes: sent.length,
          bodyBytes: sent.length,
          flags: 5,
          type: RecordType.Publish,
          lsn: 77,
        });
        expect(header.recordBytes).toBe(padded(end - at));
        const from = at + RECORD_HEADER_BYTES;
        expect(Buffer.compare(bytes.subarray(from, from + sent.length), sent)).toBe(0);
        wanted.references.forEach((reference, i) => {
          expect({ ...new Reference().read(bytes, from + sent.length + i * REFERENCE_BYTES) }).toEqual(reference);
        });
        // the padding is zero, whatever was there before
        expect(bytes.subarray(end, at + header.recordBytes).every((byte) => byte === 0)).toBe(true);
        expect(bytes[at + header.recordBytes]).toBe(0xaa);
      }),
    );
  });

  test('with any bit flipped is not whole', () => {
    const bytes = Buffer.alloc(512);
    const wanted = {
      content: Buffer.from('some content, of no even length'),
      references: [{ queueNumber: 1, priority: 2, seq: 3, deadline: 4 }],
    };
    const end = publish(bytes, 8, wanted, 9);
    expect(isRecordWhole(bytes, 8, bytes.length, 9)).toBe(true);
    eachFlip(bytes, 8, end, (bit) => expect(isRecordWhole(bytes, 8, bytes.length, 9), `bit ${bit}`).toBe(false));
  });

  test('of nothing but its header is one', () => {
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
    startRecord(bytes, 0, { lsn: 1, type: RecordType.Idle, payloadBytes: 0 });
    finishRecord(bytes, 0, 1);
    expect(isRecordWhole(bytes, 0, RECORD_HEADER_BYTES, 1)).toBe(true);
    expect(isRecordWhole(bytes, 0, RECORD_HEADER_BYTES - 1, 1)).toBe(false);
  });

  test('cannot be what a recycled file held before', () => {
    const bytes = Buffer.alloc(512);
    publish(bytes, 0, { content: Buffer.from('old'), references: [] }, 4);
    expect(isRecordWhole(bytes, 0, 512, 4)).toBe(true);
    expect(isRecordWhole(bytes, 0, 512, 12)).toBe(false);
  });
});

test('an entry is a queue, a word and a seq', () => {
  const bytes = Buffer.alloc(16);
  fc.assert(
    fc.property(u32, u32, u64, (queueNumber, word, seq) => {
      writeEntry(bytes, 0, queueNumber, word, seq);
      expect([bytes.readUInt32LE(0), bytes.readUInt32LE(4), readU64(bytes, 8)]).toEqual([queueNumber, word, seq]);
    }),
  );
});
