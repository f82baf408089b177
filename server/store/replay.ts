// What the records of log files say, put together: which messages there are, which are settled, and what was defined.
// Always: (1) records may be shown twice (a crash between a checkpoint and what it makes superfluous) and mean the same; (2) what is settled stays so,
// wherever the record of it stands; (3) the last record decides whether the log was closed.
// Refuses: to look for gaps (recovery.ts does) and to know what a definition means.

import type { Definition, Lsn } from '../ports.ts';
import { DirectoryEntry, type MessageDirectory } from './message-directory.ts';
import { RECORD_HEADER_BYTES, REFERENCE_BYTES, type RecordHeader, RecordType, Reference, RUN_BYTES, readU64 } from './records.ts';
import { eachInside } from './scan.ts';
import { SettledSeqs } from './settled-seqs.ts';

export class Replay {
  readonly definitions: Definition[];
  readonly settled = new SettledSeqs();
  queueNumberMax: number;
  messages = 0;
  isClosed = false;
  /** Where messages are noted. */
  directory: Pick<MessageDirectory, 'add'> | undefined;
  /** Where in the file that is read the shown bytes begin. */
  base = 0;
  readonly #definedLsn: Lsn;
  readonly #seqMax = new Map<number, number>();
  readonly #reference = new Reference();
  readonly #entry = new DirectoryEntry();

  /** `definedLsn`: definitions up to here are in `definitions` already. */
  constructor(definitions: readonly Definition[], definedLsn: Lsn, queueNumberMax: number) {
    this.definitions = [...definitions];
    this.#definedLsn = definedLsn;
    this.queueNumberMax = queueNumberMax;
  }

  seqMax(queueNumber: number): number {
    return this.#seqMax.get(queueNumber) ?? 0;
  }

  /** A place in a queue's life that was given out. */
  seen(queueNumber: number, seq: number): void {
    if (queueNumber > this.queueNumberMax) this.queueNumberMax = queueNumber;
    if (seq > (this.#seqMax.get(queueNumber) ?? 0)) this.#seqMax.set(queueNumber, seq);
  }

  readonly visit = (bytes: Buffer, at: number, header: RecordHeader): void => {
    this.isClosed = header.type === RecordType.Closed;
    switch (header.type) {
      case RecordType.Publish:
      case RecordType.Move:
        this.#message(bytes, at, header);
        break;
      case RecordType.Transaction:
        eachInside(bytes, at, header.count, this.visit);
        break;
      case RecordType.Settled:
        this.#entries(bytes, at, header, (queueNumber, word, seq) => {
          this.settled.addRun(queueNumber, seq, seq + word - 1);
          this.seen(queueNumber, seq + word - 1);
        });
        break;
      case RecordType.Requeued:
        this.#entries(bytes, at, header, (queueNumber, word, seq) => this.settled.change(queueNumber, seq, word >>> 24, word & 0xff_ffff));
        break;
      case RecordType.Definition:
        if (header.lsn > this.#definedLsn) this.#define(bytes, at, header);
        break;
      default: // Idle and Closed say nothing more
    }
  };

  #message(bytes: Buffer, at: number, header: RecordHeader): void {
    const position = at + RECORD_HEADER_BYTES;
    const entry = this.#entry;
    const reference = this.#reference;
    entry.length = header.contentBytes;
    entry.bodyBytes = header.bodyBytes;
    entry.position = this.base + position;
    let end = position + header.contentBytes;
    for (let i = 0; i < header.count; i++) {
      reference.read(bytes, end);
      end += REFERENCE_BYTES;
      entry.queueNumber = reference.queueNumber;
      entry.flags = header.flags;
      entry.deliveryCount = 0;
      entry.seq = reference.seq;
      entry.deadline = reference.deadline;
      entry.priority = reference.priority;
      this.seen(reference.queueNumber, reference.seq);
      this.directory?.add(entry);
    }
    this.messages++;
    if (header.type === RecordType.Move) this.settled.addRun(bytes.readUInt32LE(end), readU64(bytes, end + 8), readU64(bytes, end + 8));
  }

  #define(bytes: Buffer, at: number, header: RecordHeader): void {
    const start = at + RECORD_HEADER_BYTES;
    const definition: Definition = JSON.parse(bytes.toString('utf8', start, start + header.contentBytes));
    if (typeof definition['number'] === 'number') this.queueNumberMax = Math.max(this.queueNumberMax, definition['number']);
    this.definitions.push(definition);
  }

  #entries(bytes: Buffer, at: number, header: RecordHeader, visit: (queueNumber: number, word: number, seq: number) => void): void {
    for (let i = 0; i < header.count; i++) {
      const entry = at + RECORD_HEADER_BYTES + i * RUN_BYTES;
      visit(bytes.readUInt32LE(entry), bytes.readUInt32LE(entry + 4), readU64(bytes, entry + 8));
    }
  }
}
