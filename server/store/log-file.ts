// One log file, in the WAL or kept as a segment, and the slabs by which its messages are named. hot
// Always: (1) a message keeps the slab number and offset it was given for life: `locate` says in which file and where that is now; (2) `refs` and
// `refBytes` count the references that are alive; (3) `settled` holds every reference of this file that is not.
// Refuses: to read or write. RabbitMQ keeps an index entry per message in each queue's own files; here the broker's queues are the index.

import { invariant } from '../../shared/assert.ts';
import type { Append } from '../ports.ts';
import type { DiskFile } from './file.ts';
import { ENTRY_BYTES, MessageDirectory } from './message-directory.ts';
import { FILE_HEADER_BYTES } from './records.ts';
import { SettledSeqs } from './settled-seqs.ts';

/** Survivors of a slab that were gathered elsewhere: where each stands now, by its old offset. */
export interface Moved {
  /** Sorted. */
  readonly offsets: Uint32Array;
  readonly positions: Uint32Array;
}

/** A run of message bytes with one name. Of a WAL file, of a segment, or of memory alone. */
export class Slab {
  readonly number: number;
  /** undefined: not in memory (any more). */
  bytes: Buffer | undefined;
  used = 0;
  /** References of queues to messages in it. */
  live = 0;
  /** undefined: in memory alone. */
  file: LogFile | undefined;
  /** Where offset 0 stands in the file. */
  filePosition = 0;
  moved: Moved | undefined;
  /** Takes new messages. */
  isOpen = true;
  /** Writes in flight that read `bytes`. */
  writes = 0;
  /** The end of what has been written to the file. */
  written = 0;

  constructor(number: number, bytes: Buffer | undefined) {
    this.number = number;
    this.bytes = bytes;
  }

  /** Where in `file` the message at `offset` stands. */
  positionOf(offset: number): number {
    if (this.moved === undefined) return this.filePosition + offset;
    const { offsets, positions } = this.moved;
    let low = 0;
    let high = offsets.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((offsets[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    invariant(offsets[low] === offset, 'a survivor that is read was gathered');
    return positions[low] as number;
  }
}

const DIRECTORY_SHARE = 4; // at most a quarter of the file's size in memory

/** What a log file is to the log. */
export const Role = {
  /** Recovery replays it. */
  Wal: 0,
  /** A WAL file that stays as it is, beside a directory of what it holds. */
  Kept: 1,
  /** Survivors of several files. */
  Gathered: 2,
} as const;
export type Role = (typeof Role)[keyof typeof Role];

export class LogFile {
  readonly id: number;
  readonly file: DiskFile;
  readonly fileBytes: number;
  role: Role;
  /** The end of what may be read back: bytes behind it are not written yet. */
  bytes: number;
  /** The end of what was appended. */
  used = FILE_HEADER_BYTES;
  readonly slabs = new Set<Slab>();
  settled = new SettledSeqs();
  /** What this process appended to it, as long as that is no more than a part of the file: saves reading it back. */
  directory: MessageDirectory | undefined;
  /** While the file is being retired: what was settled or changed since. */
  after: SettledSeqs | undefined;
  /** Of a segment: the version of its list of settled messages on disk, 0 for none, and whether that is behind. */
  settledVersion = 0;
  isSettledBehind = false;
  /** References alive, their bytes, and the bytes of all references there ever were: a body counts once for each queue. */
  refs = 0;
  refBytes = 0;
  refBytesEver = 0;
  /** Bytes of content, each message once. */
  contentBytes = 0;

  constructor(id: number, file: DiskFile, fileBytes: number, role: Role) {
    this.id = id;
    this.file = file;
    this.fileBytes = fileBytes;
    this.bytes = fileBytes;
    this.role = role;
  }

  added(count: number, length: number): void {
    this.refs += count;
    this.refBytes += count * length;
    this.refBytesEver += count * length;
    this.contentBytes += length;
  }

  /** Begins a directory. */
  list(): void {
    this.directory = new MessageDirectory();
  }

  /** `append` stands at `position`. */
  note(append: Append, position: number): void {
    const { directory } = this;
    if (directory === undefined) return;
    const { count, queueNumbers, seqs, priorities, deadlines, bodyBytes, flags } = append;
    if ((directory.count + count) * ENTRY_BYTES * DIRECTORY_SHARE > this.fileBytes) {
      this.directory = undefined; // small messages, or many queues: retirement reads the file
      return;
    }
    const length = append.end - append.start;
    for (let i = 0; i < count; i++)
      directory.put(
        queueNumbers[i] as number,
        seqs[i] as number,
        position,
        length,
        bodyBytes,
        flags,
        0,
        priorities[i] as number,
        deadlines[i] as number,
      );
  }

  settle(queueNumber: number, seq: number, length: number): void {
    this.refs--;
    this.refBytes -= length;
    invariant(this.refs >= 0, 'a reference is given up once');
    this.settled.add(queueNumber, seq);
    this.after?.add(queueNumber, seq);
    this.isSettledBehind = true;
  }

  change(queueNumber: number, seq: number, flags: number, deliveryCount: number): void {
    this.settled.change(queueNumber, seq, flags, deliveryCount);
    this.after?.change(queueNumber, seq, flags, deliveryCount);
    this.isSettledBehind = true;
  }

  /** What the crcs of its records are seeded with. */
  get recordSeed(): number {
    return this.id;
  }

  /** About how many bytes of content some queue still holds. */
  get aliveBytes(): number {
    return this.refBytesEver === 0 ? 0 : (this.contentBytes * this.refBytes) / this.refBytesEver;
  }
}
