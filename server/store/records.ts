// The bytes of a log file: header, batches, records. Little-endian, except inside a content run, which is AMQP's (shared/content.ts). hot
//
//   file header, 64 bytes, at offset 0
//     0 u8[8]  magic "LEVERET\n"          8 u32 format = 1               12 u32 crc of bytes 16..64, seeded with the format
//     16 u32   file id                   20 u32 id of the file before    24 u64 lsn of the last record before this file
//     32 u64   bytes of the whole file   40 u8[24] zero
//   batch header, 48 bytes, 8-aligned
//     0 u32    magic "LVBT"               4 u32 crc of bytes 8..48       8 u32 file id         12 u32 records
//     16 u64   first lsn                 24 u64 durable lsn             32 u64 last lsn        40 u32 bytes of records   44 u32 zero
//   record, 32 bytes and a payload, padded to 8
//     0 u32    payload bytes              4 u32 crc of bytes 8..end of payload                  8 u64 lsn
//     16 u8    type                      17 u8  message flags           18 u16 zero            20 u32 content bytes
//     24 u32   body bytes                28 u32 count
//   payloads
//     Publish     content, count references              reference: u32 queue, u32 priority, u64 seq, f64 deadline (24 bytes)
//     Move        as Publish, then the source            source: u32 queue, u32 zero, u64 seq (16 bytes)
//     Transaction count whole records, padded, with this record's lsn
//     Settled     count runs                             run: u32 queue, u32 messages, u64 first seq (16 bytes)
//     Requeued    count entries                          entry: u32 queue, u8[3] delivery count, u8 flags, u64 seq (16 bytes)
//     Definition  content bytes of JSON
//     Idle, Closed: nothing
//
// Always: (1) every crc of a batch or a record is seeded with the file id, so what a recycled file held before is not valid in it; (2) the content
// stands right behind its record's header; (3) no payload is as large as the batch magic, so the first word tells a batch from a record.
// The layout is format 1. A change is a new format number, a reader for the old one, and another golden directory in test/.

import { crc32 } from 'node:zlib';
import type { Append, Lsn } from '../ports.ts';

export const FORMAT = 1;
export const FILE_HEADER_BYTES = 64;
export const BATCH_HEADER_BYTES = 48;
export const RECORD_HEADER_BYTES = 32;
export const REFERENCE_BYTES = 24;
export const SOURCE_BYTES = 16;
export const RUN_BYTES = 16;
export const BATCH_MAGIC = 0x5442_564c; // "LVBT"
const FILE_MAGIC = 'LEVERET\n';
const U32 = 0x1_0000_0000;

export const RecordType = {
  Publish: 1,
  Move: 2,
  Transaction: 3,
  Settled: 4,
  Requeued: 5,
  Definition: 6,
  Idle: 7,
  Closed: 8,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}

export function writeU64(bytes: Buffer, at: number, value: number): void {
  const low = value >>> 0; // of a whole number below 2 ** 53 the lower half
  bytes.writeUInt32LE(low, at);
  bytes.writeUInt32LE((value - low) / U32, at + 4);
}
export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * U32 + bytes.readUInt32LE(at);
}

export function crcOf(bytes: Buffer, start: number, end: number, seed: number): number {
  return crc32(bytes.subarray(start, end), seed);
}

// File header.

export interface FileHeader {
  readonly fileId: number;
  /** The log file that was written before; 0 for the first, and for a segment. */
  readonly previousId: number;
  /** Of the last record in the file before. */
  readonly previousLsn: Lsn;
  /** Log files have their size from the start: a shorter one has lost something. */
  readonly fileBytes: number;
}

export function writeFileHeader(bytes: Buffer, header: FileHeader): void {
  bytes.fill(0, 0, FILE_HEADER_BYTES);
  bytes.write(FILE_MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(FORMAT, 8);
  bytes.writeUInt32LE(header.fileId, 16);
  bytes.writeUInt32LE(header.previousId, 20);
  writeU64(bytes, 24, header.previousLsn);
  writeU64(bytes, 32, header.fileBytes);
  bytes.writeUInt32LE(crcOf(bytes, 16, FILE_HEADER_BYTES, FORMAT), 12);
}

/** 'blank': all zero, never written. 'newer': of a later format. 'broken': none of these. */
export function readFileHeader(bytes: Buffer): FileHeader | 'blank' | 'newer' | 'broken' {
  if (bytes.length < FILE_HEADER_BYTES) return 'broken';
  const head = bytes.subarray(0, FILE_HEADER_BYTES);
  if (head.every((byte) => byte === 0)) return 'blank';
  if (head.toString('latin1', 0, 8) !== FILE_MAGIC) return 'broken';
  const format = head.readUInt32LE(8);
  if (crcOf(head, 16, FILE_HEADER_BYTES, format) !== head.readUInt32LE(12)) return 'broken';
  if (format > FORMAT) return 'newer';
  return { fileId: head.readUInt32LE(16), previousId: head.readUInt32LE(20), previousLsn: readU64(head, 24), fileBytes: readU64(head, 32) };
}

// Batch header.

export interface BatchHeader {
  readonly count: number;
  readonly firstLsn: Lsn;
  /** The last record that an fdatasync had covered when this batch was written. */
  readonly durableLsn: Lsn;
  readonly lastLsn: Lsn;
  readonly bytes: number;
}

export function writeBatchHeader(bytes: Buffer, at: number, fileId: number, header: BatchHeader): void {
  bytes.writeUInt32LE(BATCH_MAGIC, at);
  bytes.writeUInt32LE(fileId, at + 8);
  bytes.writeUInt32LE(header.count, at + 12);
  writeU64(bytes, at + 16, header.firstLsn);
  writeU64(bytes, at + 24, header.durableLsn);
  writeU64(bytes, at + 32, header.lastLsn);
  bytes.writeUInt32LE(header.bytes, at + 40);
  bytes.writeUInt32LE(0, at + 44);
  bytes.writeUInt32LE(crcOf(bytes, at + 8, at + BATCH_HEADER_BYTES, fileId), at + 4);
}

/** undefined: no batch header of this file stands here. */
export function readBatchHeader(bytes: Buffer, at: number, fileId: number): BatchHeader | undefined {
  if (at + BATCH_HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== BATCH_MAGIC || bytes.readUInt32LE(at + 8) !== fileId)
    return undefined;
  if (crcOf(bytes, at + 8, at + BATCH_HEADER_BYTES, fileId) !== bytes.readUInt32LE(at + 4)) return undefined;
  return {
    count: bytes.readUInt32LE(at + 12),
    firstLsn: readU64(bytes, at + 16),
    durableLsn: readU64(bytes, at + 24),
    lastLsn: readU64(bytes, at + 32),
    bytes: bytes.readUInt32LE(at + 40),
  };
}

// Records.

/** What stands in front of a payload. A reused object. */
export class RecordHeader {
  payloadBytes = 0;
  crc = 0;
  lsn = 0;
  type = 0;
  flags = 0;
  contentBytes = 0;
  bodyBytes = 0;
  count = 0;

  read(bytes: Buffer, at: number): this {
    this.payloadBytes = bytes.readUInt32LE(at);
    this.crc = bytes.readUInt32LE(at + 4);
    this.lsn = readU64(bytes, at + 8);
    this.type = bytes[at + 16] as number;
    this.flags = bytes[at + 17] as number;
    this.contentBytes = bytes.readUInt32LE(at + 20);
    this.bodyBytes = bytes.readUInt32LE(at + 24);
    this.count = bytes.readUInt32LE(at + 28);
    return this;
  }

  /** With its header and padding. */
  get recordBytes(): number {
    return padded(RECORD_HEADER_BYTES + this.payloadBytes);
  }
}

/** Whether a whole record stands at `at`, as it was written in the file `fileId`. */
export function isRecordWhole(bytes: Buffer, at: number, end: number, fileId: number): boolean {
  if (at + RECORD_HEADER_BYTES > end) return false;
  const payloadBytes = bytes.readUInt32LE(at);
  const recordEnd = at + RECORD_HEADER_BYTES + payloadBytes;
  return recordEnd <= end && crcOf(bytes, at + 8, recordEnd, fileId) === bytes.readUInt32LE(at + 4);
}

export interface RecordStart {
  readonly lsn: Lsn;
  readonly type: RecordType;
  readonly payloadBytes: number;
  readonly flags?: number;
  readonly contentBytes?: number;
  readonly bodyBytes?: number;
  readonly count?: number;
}

/** Writes all of the header but its crc. */
export function startRecord(bytes: Buffer, at: number, start: RecordStart): void {
  bytes.writeUInt32LE(start.payloadBytes, at);
  writeU64(bytes, at + 8, start.lsn);
  bytes[at + 16] = start.type;
  bytes[at + 17] = start.flags ?? 0;
  bytes.writeUInt16LE(0, at + 18);
  bytes.writeUInt32LE(start.contentBytes ?? 0, at + 20);
  bytes.writeUInt32LE(start.bodyBytes ?? 0, at + 24);
  bytes.writeUInt32LE(start.count ?? 0, at + 28);
  const end = at + RECORD_HEADER_BYTES + start.payloadBytes;
  bytes.fill(0, end, padded(end));
}

/** The payload is complete: seals it. `at` is 8-aligned. */
export function finishRecord(bytes: Buffer, at: number, fileId: number): void {
  const end = at + RECORD_HEADER_BYTES + bytes.readUInt32LE(at);
  bytes.writeUInt32LE(crcOf(bytes, at + 8, end, fileId), at + 4);
}

/** Payload bytes of a Publish. */
export function publishBytes(append: Append): number {
  return append.end - append.start + append.count * REFERENCE_BYTES;
}

/** Writes content and references behind the record header at `at`; answers where they end. */
export function writeMessage(bytes: Buffer, at: number, append: Append): number {
  const contentAt = at + RECORD_HEADER_BYTES;
  bytes.set(append.bytes.subarray(append.start, append.end), contentAt);
  let end = contentAt + append.end - append.start;
  for (let i = 0; i < append.count; i++) {
    writeReference(
      bytes,
      end,
      append.queueNumbers[i] as number,
      append.priorities[i] as number,
      append.seqs[i] as number,
      append.deadlines[i] as number,
    );
    end += REFERENCE_BYTES;
  }
  return end;
}

export function writeReference(bytes: Buffer, at: number, queueNumber: number, priority: number, seq: number, deadline: number): void {
  bytes.writeUInt32LE(queueNumber, at);
  bytes.writeUInt32LE(priority, at + 4);
  writeU64(bytes, at + 8, seq);
  bytes.writeDoubleLE(deadline, at + 16);
}

/** What one queue keeps of a message. A reused object. */
export class Reference {
  queueNumber = 0;
  priority = 0;
  seq = 0;
  deadline = 0;

  read(bytes: Buffer, at: number): this {
    this.queueNumber = bytes.readUInt32LE(at);
    this.priority = bytes.readUInt32LE(at + 4);
    this.seq = readU64(bytes, at + 8);
    this.deadline = bytes.readDoubleLE(at + 16);
    return this;
  }
}

/** A run of settled messages, a requeued one, or the source of a move: queue, a word, seq. */
export function writeEntry(bytes: Buffer, at: number, queueNumber: number, word: number, seq: number): void {
  bytes.writeUInt32LE(queueNumber, at);
  bytes.writeUInt32LE(word, at + 4);
  writeU64(bytes, at + 8, seq);
}
