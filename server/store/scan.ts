// Reads a log file's bytes: batch by batch, record by record, as far as they are whole.
// Always: (1) a record is shown only after its crc has been checked; (2) where the scan stopped, and the newest lsn that this file says was durable,
// are told: who asked decides whether that is a torn tail or damage.
// Refuses: to go on behind a bad record, but for `salvage`, which repair uses.

import type { Lsn } from '../ports.ts';
import {
  BATCH_HEADER_BYTES,
  FILE_HEADER_BYTES,
  isRecordWhole,
  RECORD_HEADER_BYTES,
  RecordHeader,
  RecordType,
  readBatchHeader,
} from './records.ts';

const MAGIC_TEXT = Buffer.from('LVBT', 'latin1');

export type VisitRecord = (bytes: Buffer, at: number, header: RecordHeader) => void;

export interface Scan {
  /** The first byte that is not part of a whole record. */
  readonly end: number;
  readonly lastLsn: Lsn;
  /** The newest lsn that a batch header of this file, also one behind `end`, calls durable. */
  readonly durableLsn: Lsn;
}

export function scanFile(bytes: Buffer, fileId: number, firstLsn: Lsn, visit: VisitRecord): Scan {
  const header = new RecordHeader();
  let lastLsn = firstLsn;
  let durableLsn = 0;
  let at = FILE_HEADER_BYTES;
  scan: for (;;) {
    const batch = readBatchHeader(bytes, at, fileId);
    if (batch === undefined) break;
    durableLsn = Math.max(durableLsn, batch.durableLsn);
    const batchEnd = at + BATCH_HEADER_BYTES + batch.bytes;
    at += BATCH_HEADER_BYTES;
    while (at < batchEnd) {
      if (!isRecordWhole(bytes, at, bytes.length, fileId)) break scan;
      header.read(bytes, at);
      lastLsn = Math.max(lastLsn, header.lsn);
      visit(bytes, at, header);
      at += header.recordBytes;
    }
  }
  return { end: at, lastLsn, durableLsn: Math.max(durableLsn, durableBehind(bytes, at, fileId)) };
}

/** The newest durable lsn that a batch header from `from` on knows of. */
export function durableBehind(bytes: Buffer, from: number, fileId: number): Lsn {
  let durableLsn = 0;
  for (let at = bytes.indexOf(MAGIC_TEXT, from); at >= 0; at = bytes.indexOf(MAGIC_TEXT, at + 1)) {
    if (at % 8 !== 0) continue;
    const batch = readBatchHeader(bytes, at, fileId);
    if (batch !== undefined) durableLsn = Math.max(durableLsn, batch.durableLsn);
  }
  return durableLsn;
}

/** A stretch that no whole record covers. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** Shows every whole record of the file that stands in a place where one may stand, and answers what lies between. */
export function salvage(bytes: Buffer, fileId: number, end: number, visit: VisitRecord): Gap[] {
  const gaps: Gap[] = [];
  const header = new RecordHeader();
  let gapAt = -1;
  for (let at = FILE_HEADER_BYTES; at + BATCH_HEADER_BYTES <= end || at + RECORD_HEADER_BYTES <= end; ) {
    const isBatch = readBatchHeader(bytes, at, fileId) !== undefined;
    const isRecord = !isBatch && isRecordWhole(bytes, at, end, fileId);
    if (!isBatch && !isRecord) {
      if (gapAt < 0) gapAt = at;
      at += 8;
      continue;
    }
    if (gapAt >= 0) gaps.push({ from: gapAt, to: at });
    gapAt = -1;
    if (isBatch) at += BATCH_HEADER_BYTES;
    else {
      visit(bytes, at, header.read(bytes, at));
      at += header.recordBytes;
    }
  }
  if (gapAt >= 0) gaps.push({ from: gapAt, to: end });
  return gaps;
}

/** The records inside a transaction. Their crcs are covered by its own. */
export function eachInside(bytes: Buffer, at: number, count: number, visit: VisitRecord): void {
  let inner = at + RECORD_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    const header = new RecordHeader().read(bytes, inner);
    visit(bytes, inner, header);
    inner += header.recordBytes;
  }
}

export function isMessage(type: number): boolean {
  return type === RecordType.Publish || type === RecordType.Move;
}
