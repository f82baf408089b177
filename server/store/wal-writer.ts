// Puts records into batches, and batches into the newest WAL file, in memory: slabs that mirror the file byte for byte. hot
// Always: (1) a record stands whole in one slab and one file; (2) lsns grow by one with every operation, logged or not; (3) settling and requeues
// wait in `#settled` and become records when a batch is sealed, so that a thousand acks are one run; (4) bytes of a sealed batch do not change.
// Refuses: to write to disk (committer.ts) and to know when.

import { invariant } from '../../shared/assert.ts';
import type { Append, Lsn, Settled } from '../ports.ts';
import type { LogFile, Slab } from './log-file.ts';
import {
  BATCH_HEADER_BYTES,
  FILE_HEADER_BYTES,
  finishRecord,
  padded,
  publishBytes,
  RECORD_HEADER_BYTES,
  RecordType,
  RUN_BYTES,
  SOURCE_BYTES,
  startRecord,
  writeBatchHeader,
  writeEntry,
  writeFileHeader,
  writeMessage,
} from './records.ts';
import { SettledSeqs } from './settled-seqs.ts';
import type { SlabTable } from './slab-table.ts';

const ENTRIES_PER_RECORD_MAX = 4096; // 64 KiB of runs

export interface Piece {
  readonly slab: Slab;
  readonly from: number;
  to: number;
}

/** What one write takes to one file. */
export class Batch {
  readonly file: LogFile;
  readonly position: number;
  readonly pieces: Piece[] = [];
  readonly headerSlab: Slab;
  readonly headerAt: number;
  count = 0;
  bytes = 0;
  firstLsn = 0;
  lastRecordLsn = 0;
  /** Of the last operation when it was sealed, logged or not. */
  lastLsn = 0;
  /** Somebody waits for it to be durable. */
  needsSync = false;
  /** Nothing but a mark that all before it is durable. */
  isIdle = false;

  constructor(file: LogFile, position: number, headerSlab: Slab, headerAt: number) {
    this.file = file;
    this.position = position;
    this.headerSlab = headerSlab;
    this.headerAt = headerAt;
  }
}

export interface WalWriterOptions {
  readonly slabs: SlabTable;
  readonly batchBytesMax: number;
  /** The file that follows; its header is written by this writer. */
  nextFile(): LogFile;
}

export class WalWriter {
  /** The newest operation. */
  lsn: Lsn;
  /** The newest record. */
  lastRecordLsn: Lsn;
  /** The newest operation that somebody waits for. */
  mustLsn: Lsn = 0;
  readonly #slabs: SlabTable;
  readonly #batchBytesMax: number;
  readonly #nextFile: () => LogFile;
  #file: LogFile;
  #tail: Slab;
  /** The file header is still to go out with the first batch. */
  #isHeaderDue = false;
  #batch: Batch | undefined;
  readonly #sealed: Batch[] = [];
  readonly #settled = new SettledSeqs();
  /** The newest operation before those in `#settled`. */
  #settledAfter: Lsn = Number.POSITIVE_INFINITY;

  /** `file` has its header on disk already. */
  constructor(file: LogFile, lastLsn: Lsn, lastRecordLsn: Lsn, options: WalWriterOptions) {
    this.#slabs = options.slabs;
    this.#batchBytesMax = options.batchBytesMax;
    this.#nextFile = options.nextFile;
    this.lsn = lastLsn;
    this.lastRecordLsn = lastRecordLsn;
    this.#file = file;
    this.#tail = this.#openSlab(0);
  }

  get file(): LogFile {
    return this.#file;
  }
  get hasSealed(): boolean {
    return this.#sealed.length > 0;
  }
  get isEmpty(): boolean {
    return this.#sealed.length === 0 && this.#batch === undefined && this.#settled.isEmpty;
  }

  /** Bytes of records that wait in the open batch. */
  get openBytes(): number {
    return this.#batch?.bytes ?? 0;
  }

  /** The largest record that a file takes. */
  get recordBytesMax(): number {
    return this.#file.fileBytes - FILE_HEADER_BYTES - BATCH_HEADER_BYTES;
  }

  publish(append: Append): Lsn {
    const payloadBytes = publishBytes(append);
    const lsn = this.#must();
    const at = this.#record(RECORD_HEADER_BYTES + payloadBytes, lsn);
    this.#message(RecordType.Publish, append, at, lsn, payloadBytes);
    finishRecord(this.#bytes, at, this.#file.id);
    return lsn;
  }

  /** `source` is settled by the same record that stores `append`. */
  move(queueNumber: number, seq: number, append: Append): Lsn {
    const payloadBytes = publishBytes(append) + SOURCE_BYTES;
    const lsn = this.#must();
    const at = this.#record(RECORD_HEADER_BYTES + payloadBytes, lsn);
    const end = this.#message(RecordType.Move, append, at, lsn, payloadBytes);
    writeEntry(this.#bytes, end, queueNumber, 0, seq);
    finishRecord(this.#bytes, at, this.#file.id);
    return lsn;
  }

  /** Bytes that a transaction takes. */
  transactionBytes(appends: readonly Append[], settled: readonly Settled[]): number {
    let bytes = RECORD_HEADER_BYTES;
    for (const append of appends) bytes += padded(RECORD_HEADER_BYTES + publishBytes(append));
    if (settled.length > 0) bytes += padded(RECORD_HEADER_BYTES + settled.length * RUN_BYTES);
    return bytes;
  }

  /** One record around a Publish for each append and a Settled for the rest. */
  transaction(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    const bytes = this.transactionBytes(appends, settled);
    const lsn = this.#must();
    const at = this.#record(bytes, lsn);
    const count = appends.length + (settled.length > 0 ? 1 : 0);
    startRecord(this.#bytes, at, { lsn, type: RecordType.Transaction, payloadBytes: bytes - RECORD_HEADER_BYTES, count });
    let inner = at + RECORD_HEADER_BYTES;
    for (const append of appends) {
      const payloadBytes = publishBytes(append);
      this.#message(RecordType.Publish, append, inner, lsn, payloadBytes);
      finishRecord(this.#bytes, inner, this.#file.id);
      inner += padded(RECORD_HEADER_BYTES + payloadBytes);
    }
    if (settled.length > 0) {
      startRecord(this.#bytes, inner, { lsn, type: RecordType.Settled, payloadBytes: settled.length * RUN_BYTES, count: settled.length });
      let entry = inner + RECORD_HEADER_BYTES;
      for (const { queueNumber, seq } of settled) {
        writeEntry(this.#bytes, entry, queueNumber, 1, seq);
        entry += RUN_BYTES;
      }
      finishRecord(this.#bytes, inner, this.#file.id);
    }
    finishRecord(this.#bytes, at, this.#file.id);
    return lsn;
  }

  /** Written with the next batch. */
  settle(queueNumber: number, seq: number): void {
    this.#settledAfter = Math.min(this.#settledAfter, this.lsn - 1);
    this.#settled.add(queueNumber, seq);
  }
  requeue(queueNumber: number, seq: number, flags: number, deliveryCount: number): void {
    this.#settledAfter = Math.min(this.#settledAfter, this.lsn - 1);
    this.#settled.change(queueNumber, seq, flags, deliveryCount);
  }

  define(json: Buffer): Lsn {
    const lsn = this.#must();
    const at = this.#record(RECORD_HEADER_BYTES + json.length, lsn);
    startRecord(this.#bytes, at, { lsn, type: RecordType.Definition, payloadBytes: json.length, contentBytes: json.length });
    json.copy(this.#bytes, at + RECORD_HEADER_BYTES);
    finishRecord(this.#bytes, at, this.#file.id);
    return lsn;
  }

  mark(type: typeof RecordType.Idle | typeof RecordType.Closed): void {
    const isAlone = this.isEmpty;
    const lsn = ++this.lsn;
    const at = this.#record(RECORD_HEADER_BYTES, lsn);
    startRecord(this.#bytes, at, { lsn, type, payloadBytes: 0 });
    finishRecord(this.#bytes, at, this.#file.id);
    if (this.#batch !== undefined) this.#batch.isIdle = isAlone;
  }

  /** The next batch to write, oldest first; `durableLsn` is the newest record that is on disk for sure. */
  take(durableLsn: Lsn): Batch | undefined {
    if (this.#sealed.length === 0) {
      this.#writeSettled();
      this.#seal(this.lsn);
    }
    const batch = this.#sealed.shift();
    if (batch === undefined) return undefined;
    const { bytes } = batch.headerSlab;
    invariant(bytes !== undefined, 'a slab stays in memory until it is written');
    writeBatchHeader(bytes, batch.headerAt, batch.file.id, {
      count: batch.count,
      firstLsn: batch.firstLsn,
      durableLsn,
      lastLsn: batch.lastRecordLsn,
      bytes: batch.bytes,
    });
    return batch;
  }

  get #bytes(): Buffer {
    const { bytes } = this.#tail;
    invariant(bytes !== undefined, 'the slab that is appended to is in memory');
    return bytes;
  }

  #must(): Lsn {
    this.mustLsn = ++this.lsn;
    return this.lsn;
  }

  /** Writes header, content and references, and tells `append` where it is. Answers where they end. */
  #message(type: RecordType, append: Append, at: number, lsn: Lsn, payloadBytes: number): number {
    const contentBytes = append.end - append.start;
    startRecord(this.#bytes, at, {
      lsn,
      type,
      payloadBytes,
      flags: append.flags,
      contentBytes,
      bodyBytes: append.bodyBytes,
      count: append.count,
    });
    append.place.slab = this.#tail.number;
    append.place.offset = at + RECORD_HEADER_BYTES;
    append.place.length = contentBytes;
    this.#tail.live += append.count;
    this.#file.added(append.count, contentBytes);
    this.#file.note(append, this.#tail.filePosition + at + RECORD_HEADER_BYTES);
    return writeMessage(this.#bytes, at, append);
  }

  /** Room for a record of `bytes` in the open batch; answers its offset in the tail. */
  #record(bytes: number, lsn: Lsn): number {
    const room = padded(bytes);
    let batch = this.#batch;
    if (batch !== undefined && (this.#file.used + room > this.#file.fileBytes || batch.bytes + room > this.#batchBytesMax)) {
      this.#seal(Math.min(lsn - 1, this.#settledAfter)); // `lsn` itself goes with the next, and so does what waits in `#settled`
      batch = undefined;
    }
    batch ??= this.#openBatch(room);
    const at = this.#take(batch, room);
    batch.count++;
    batch.bytes += room;
    if (batch.firstLsn === 0) batch.firstLsn = lsn;
    batch.lastRecordLsn = lsn;
    this.lastRecordLsn = lsn;
    if (this.mustLsn === lsn) batch.needsSync = true;
    batch.isIdle = false;
    return at;
  }

  #openBatch(room: number): Batch {
    if (this.#file.used + BATCH_HEADER_BYTES + room > this.#file.fileBytes) this.#switchFile();
    if (this.#tail.used + BATCH_HEADER_BYTES > this.#bytes.length) this.#tail = this.#openSlab(BATCH_HEADER_BYTES);
    const headerAt = this.#tail.used;
    const from = this.#isHeaderDue ? 0 : headerAt;
    const batch = new Batch(this.#file, this.#tail.filePosition + from, this.#tail, headerAt);
    this.#isHeaderDue = false;
    batch.pieces.push({ slab: this.#tail, from, to: headerAt });
    this.#take(batch, BATCH_HEADER_BYTES);
    this.#batch = batch;
    return batch;
  }

  #take(batch: Batch, bytes: number): number {
    if (this.#tail.used + bytes > this.#bytes.length) {
      this.#tail = this.#openSlab(bytes);
      batch.pieces.push({ slab: this.#tail, from: 0, to: 0 });
    }
    const at = this.#tail.used;
    this.#tail.used += bytes;
    this.#file.used += bytes;
    (batch.pieces[batch.pieces.length - 1] as Piece).to = this.#tail.used;
    return at;
  }

  #openSlab(bytes: number): Slab {
    if (this.#tail !== undefined) this.#tail.isOpen = false;
    const slab = this.#slabs.open(bytes);
    slab.file = this.#file;
    slab.filePosition = this.#file.used;
    this.#file.slabs.add(slab);
    return slab;
  }

  #switchFile(): void {
    const old = this.#file;
    this.#file = this.#nextFile();
    this.#file.used = 0;
    this.#tail = this.#openSlab(FILE_HEADER_BYTES);
    writeFileHeader(this.#bytes, {
      fileId: this.#file.id,
      previousId: old.id,
      previousLsn: this.lastRecordLsn,
      fileBytes: this.#file.fileBytes,
    });
    this.#tail.used = FILE_HEADER_BYTES;
    this.#file.used = FILE_HEADER_BYTES;
    this.#isHeaderDue = true;
  }

  /** `lastLsn`: every operation up to this one is in this batch, in an earlier one, or not logged. */
  #seal(lastLsn: Lsn): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    batch.lastLsn = lastLsn;
    for (const piece of batch.pieces) piece.slab.writes++;
    this.#sealed.push(batch);
  }

  /** Requeues first: what was requeued and then settled is settled. */
  #writeSettled(): void {
    const settled = this.#settled;
    if (settled.isEmpty) return;
    const changes: [queueNumber: number, word: number, seq: number][] = [];
    settled.forEachChange((queueNumber, seq, change) =>
      changes.push([queueNumber, ((change.flags << 24) | change.deliveryCount) >>> 0, seq]),
    );
    const runs: [queueNumber: number, word: number, seq: number][] = [];
    settled.forEachRun((queueNumber, first, last) => runs.push([queueNumber, last - first + 1, first]));
    settled.clear();
    this.#writeEntries(RecordType.Requeued, changes);
    this.#writeEntries(RecordType.Settled, runs);
    this.#settledAfter = Number.POSITIVE_INFINITY;
  }

  #writeEntries(type: RecordType, entries: readonly (readonly [number, number, number])[]): void {
    for (let from = 0; from < entries.length; from += ENTRIES_PER_RECORD_MAX) {
      const part = entries.slice(from, from + ENTRIES_PER_RECORD_MAX);
      const lsn = ++this.lsn;
      const payloadBytes = part.length * RUN_BYTES;
      const at = this.#record(RECORD_HEADER_BYTES + payloadBytes, lsn);
      startRecord(this.#bytes, at, { lsn, type, payloadBytes, count: part.length });
      let entry = at + RECORD_HEADER_BYTES;
      for (const [queueNumber, word, seq] of part) {
        writeEntry(this.#bytes, entry, queueNumber, word, seq);
        entry += RUN_BYTES;
      }
      finishRecord(this.#bytes, at, this.#file.id);
    }
  }
}
