// What a log file holds, without the bytes: one entry for each reference of a queue to a message. And what of it is settled, as a file.
//
//   both files begin with 32 bytes
//     0 u8[8] magic "LVDIR\n\0\0" or "LVSET\n\0\0"     8 u32 format = 1      12 u32 crc of bytes 16..end, seeded with the format
//     16 u32 file id      20 u32 entries, or runs      24 u32 zero, or changes      28 u32 zero
//   a directory's entry, 40 bytes, sorted by queue and seq
//     0 u32 queue    4 u32 content bytes    8 u32 body bytes    12 u8[3] delivery count, u8 flags    16 f64 seq    24 f64 deadline
//     32 u32 position of the content in the file    36 u32 priority
//   a run: u32 queue, u32 messages, u64 first seq      a change: u32 queue, u8[3] delivery count, u8 flags, u64 seq      16 bytes each
//
// Always: an entry stands once. Refuses: to say what is alive: that is the directory less the settled.

import { crcOf, FORMAT, RUN_BYTES, readU64, writeEntry } from './records.ts';
import { SettledSeqs } from './settled-seqs.ts';

export const ENTRY_BYTES = 40;
const HEAD_BYTES = 32;
const INDEX_SPAN = 2 ** 24; // a place is a multiple of 8 below 2 ** 32, and a number has 53 bits
const ENTRY_WORDS = ENTRY_BYTES / 4;
const DIRECTORY_MAGIC = 'LVDIR\n\0\0';
const SETTLED_MAGIC = 'LVSET\n\0\0';

/** One reference. A reused object. */
export class DirectoryEntry {
  queueNumber = 0;
  length = 0;
  bodyBytes = 0;
  flags = 0;
  deliveryCount = 0;
  seq = 0;
  deadline = 0;
  position = 0;
  priority = 0;
}

export interface QueueRange {
  readonly queueNumber: number;
  readonly from: number;
  readonly to: number;
}

export class MessageDirectory {
  #bytes: Buffer;
  #count = 0;
  /** The last entry, and whether all came in order. */
  #lastQueue = 0;
  #lastSeq = 0;
  #isSorted = true;

  constructor(entries = 256) {
    this.#bytes = Buffer.allocUnsafeSlow(HEAD_BYTES + entries * ENTRY_BYTES);
  }

  get count(): number {
    return this.#count;
  }
  /** What it takes in memory. */
  get memoryBytes(): number {
    return this.#bytes.length;
  }

  add(entry: Readonly<DirectoryEntry>): void {
    this.put(
      entry.queueNumber,
      entry.seq,
      entry.position,
      entry.length,
      entry.bodyBytes,
      entry.flags,
      entry.deliveryCount,
      entry.priority,
      entry.deadline,
    );
  }

  /** `add` without an entry to carry the values. */
  put(
    queueNumber: number,
    seq: number,
    position: number,
    length: number,
    bodyBytes: number,
    flags: number,
    deliveryCount: number,
    priority: number,
    deadline: number,
  ): void {
    const at = HEAD_BYTES + this.#count * ENTRY_BYTES;
    if (at + ENTRY_BYTES > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 2);
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    const bytes = this.#bytes;
    bytes.writeUInt32LE(queueNumber, at);
    bytes.writeUInt32LE(length, at + 4);
    bytes.writeUInt32LE(bodyBytes, at + 8);
    bytes.writeUInt32LE(((flags << 24) | deliveryCount) >>> 0, at + 12);
    bytes.writeDoubleLE(seq, at + 16);
    bytes.writeDoubleLE(deadline, at + 24);
    bytes.writeUInt32LE(position, at + 32);
    bytes.writeUInt32LE(priority, at + 36);
    this.#count++;
    if (queueNumber === this.#lastQueue ? seq < this.#lastSeq : queueNumber < this.#lastQueue) this.#isSorted = false;
    this.#lastQueue = queueNumber;
    this.#lastSeq = seq;
  }

  fill(index: number, into: DirectoryEntry): DirectoryEntry {
    const at = HEAD_BYTES + index * ENTRY_BYTES;
    const bytes = this.#bytes;
    into.queueNumber = bytes.readUInt32LE(at);
    into.length = bytes.readUInt32LE(at + 4);
    into.bodyBytes = bytes.readUInt32LE(at + 8);
    const word = bytes.readUInt32LE(at + 12);
    into.flags = word >>> 24;
    into.deliveryCount = word & 0xff_ffff;
    into.seq = bytes.readDoubleLE(at + 16);
    into.deadline = bytes.readDoubleLE(at + 24);
    into.position = bytes.readUInt32LE(at + 32);
    into.priority = bytes.readUInt32LE(at + 36);
    return into;
  }

  /** Indices of the entries, in the order of their places in the file. */
  byPosition(): number[] {
    const keys = new Float64Array(this.#count); // place and index in one number: sorts without a function
    for (let i = 0; i < this.#count; i++) keys[i] = (this.#bytes.readUInt32LE(HEAD_BYTES + i * ENTRY_BYTES + 32) / 8) * INDEX_SPAN + i;
    return Array.from(keys.sort(), (key) => key % INDEX_SPAN);
  }

  queueOf(index: number): number {
    return this.#bytes.readUInt32LE(HEAD_BYTES + index * ENTRY_BYTES);
  }
  seqOf(index: number): number {
    return this.#bytes.readDoubleLE(HEAD_BYTES + index * ENTRY_BYTES + 16);
  }

  /** Sorts by queue and seq. A queue's entries nearly always come by seq already. */
  sort(): this {
    if (this.#isSorted) return this;
    const counts = new Map<number, number>();
    for (let i = 0; i < this.#count; i++) counts.set(this.queueOf(i), (counts.get(this.queueOf(i)) ?? 0) + 1);
    const next = new Map<number, number>();
    let at = 0;
    for (const queueNumber of [...counts.keys()].sort((a, b) => a - b)) {
      next.set(queueNumber, at);
      at += counts.get(queueNumber) ?? 0;
    }
    const order = new Uint32Array(this.#count);
    for (let i = 0; i < this.#count; i++) {
      const place = next.get(this.queueOf(i)) ?? 0;
      order[place] = i;
      next.set(this.queueOf(i), place + 1);
    }
    let isSorted = true;
    for (let i = 1; i < order.length && isSorted; i++) isSorted = this.#compare(order[i - 1] as number, order[i] as number) <= 0;
    if (!isSorted) order.sort((a, b) => this.#compare(a, b));
    this.#arrange(order);
    return this;
  }

  /** The entry at `order[i]` becomes entry i. By words: a call into the runtime costs more than an entry. */
  #arrange(order: Uint32Array): void {
    const sorted = Buffer.allocUnsafeSlow(HEAD_BYTES + this.#count * ENTRY_BYTES);
    const to = new Uint32Array(sorted.buffer, HEAD_BYTES);
    const from = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset + HEAD_BYTES, this.#count * ENTRY_WORDS);
    let at = 0;
    for (const index of order) {
      const start = index * ENTRY_WORDS;
      for (let word = 0; word < ENTRY_WORDS; word++) to[at++] = from[start + word] as number;
    }
    this.#bytes = sorted;
    this.#isSorted = true;
  }

  /** Where each queue's entries stand, once sorted. */
  ranges(): QueueRange[] {
    const ranges: QueueRange[] = [];
    for (let from = 0; from < this.#count; ) {
      const queueNumber = this.queueOf(from);
      let to = from + 1;
      while (to < this.#count && this.queueOf(to) === queueNumber) to++;
      ranges.push({ queueNumber, from, to });
      from = to;
    }
    return ranges;
  }

  encode(fileId: number): Buffer {
    const bytes = this.#bytes.subarray(0, HEAD_BYTES + this.#count * ENTRY_BYTES);
    writeHead(bytes, DIRECTORY_MAGIC, fileId, this.#count, 0);
    return bytes;
  }

  /** undefined: not a whole directory of this file. */
  static decode(bytes: Buffer, fileId: number): MessageDirectory | undefined {
    const head = readHead(bytes, DIRECTORY_MAGIC, fileId);
    if (head === undefined || bytes.length !== HEAD_BYTES + head.first * ENTRY_BYTES) return undefined;
    const directory = new MessageDirectory(0);
    directory.#bytes = bytes;
    directory.#count = head.first;
    return directory;
  }

  #compare(a: number, b: number): number {
    return this.queueOf(a) - this.queueOf(b) || this.seqOf(a) - this.seqOf(b);
  }
}

export function encodeSettled(settled: SettledSeqs, fileId: number): Buffer {
  const { runCount, changeCount } = settled;
  const bytes = Buffer.allocUnsafeSlow(HEAD_BYTES + (runCount + changeCount) * RUN_BYTES);
  let at = HEAD_BYTES;
  settled.forEachRun((queueNumber, first, last) => {
    writeEntry(bytes, at, queueNumber, last - first + 1, first);
    at += RUN_BYTES;
  });
  settled.forEachChange((queueNumber, seq, { flags, deliveryCount }) => {
    writeEntry(bytes, at, queueNumber, ((flags << 24) | deliveryCount) >>> 0, seq);
    at += RUN_BYTES;
  });
  writeHead(bytes, SETTLED_MAGIC, fileId, runCount, changeCount);
  return bytes;
}

/** undefined: not a whole list of this file. */
export function decodeSettled(bytes: Buffer, fileId: number): SettledSeqs | undefined {
  const head = readHead(bytes, SETTLED_MAGIC, fileId);
  if (head === undefined || bytes.length !== HEAD_BYTES + (head.first + head.second) * RUN_BYTES) return undefined;
  const settled = new SettledSeqs();
  for (let i = 0; i < head.first + head.second; i++) {
    const at = HEAD_BYTES + i * RUN_BYTES;
    const queueNumber = bytes.readUInt32LE(at);
    const word = bytes.readUInt32LE(at + 4);
    const seq = readU64(bytes, at + 8);
    if (i < head.first) settled.addRun(queueNumber, seq, seq + word - 1);
    else settled.change(queueNumber, seq, word >>> 24, word & 0xff_ffff);
  }
  return settled;
}

function writeHead(bytes: Buffer, magic: string, fileId: number, first: number, second: number): void {
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt32LE(FORMAT, 8);
  bytes.writeUInt32LE(fileId, 16);
  bytes.writeUInt32LE(first, 20);
  bytes.writeUInt32LE(second, 24);
  bytes.writeUInt32LE(0, 28);
  bytes.writeUInt32LE(crcOf(bytes, 16, bytes.length, FORMAT), 12);
}

function readHead(bytes: Buffer, magic: string, fileId: number): { first: number; second: number } | undefined {
  if (bytes.length < HEAD_BYTES || bytes.toString('latin1', 0, 8) !== magic || bytes.readUInt32LE(8) !== FORMAT) return undefined;
  if (bytes.readUInt32LE(16) !== fileId || crcOf(bytes, 16, bytes.length, FORMAT) !== bytes.readUInt32LE(12)) return undefined;
  return { first: bytes.readUInt32LE(20), second: bytes.readUInt32LE(24) };
}
