// The ready messages of one priority level of one queue, as typed arrays: 24 bytes a message, 32 with a deadline. hot
//
//   chunk (16 to 1024 entries) = u32[6] per entry: seq - chunk's first seq | slab | offset | length | body bytes | flags << 24 | delivery count
//                                f64 per entry: deadline; the array exists only once a chunk holds a deadline
//
// Always: (1) entries stand by seq; what was never delivered is in the chunks, what came back in `#returned`, and everything returned has a
// smaller seq than everything in the chunks (deliveries leave from the head); (2) an entry taken from the middle leaves a gap, and gaps
// never outnumber the living by more than half a chunk; (3) `count` is the living, returned ones included.
// Refuses: to keep unacked messages (unacked.ts): one that stays out for an hour must not hold this index open behind it.

import { invariant } from '../../shared/assert.ts';
import { Stored } from '../ports.ts';

const FIELDS = 6;
const CHUNK_ENTRIES_MIN = 16; // an idle queue costs 384 bytes here
const CHUNK_ENTRIES_MAX = 1024;
const GONE = 0x80; // the flag byte's top bit: a gap
const DELIVERY_COUNT_MAX = 0xff_ffff;

class Chunk {
  readonly entries: Uint32Array;
  readonly capacity: number;
  firstSeq = 0;
  head = 0;
  tail = 0;
  deadlines: Float64Array | undefined;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.entries = new Uint32Array(capacity * FIELDS);
  }
}

export class ReadyIndex {
  readonly priority: number;
  /** Oldest first. The last takes new entries. */
  #chunks: Chunk[] = [];
  #first = 0;
  #spare: Chunk | undefined;
  /** Oldest first from `#returnedHead` on: a run that comes back oldest first costs O(1) each. */
  #returned: Stored[] = [];
  #returnedHead = 0;
  #inChunks = 0;
  #gaps = 0;
  readonly #scratch = new Stored();

  constructor(priority: number) {
    this.priority = priority;
  }

  get count(): number {
    return this.#inChunks + this.#returned.length - this.#returnedHead;
  }

  push(stored: Stored): void {
    let chunk = this.#chunks[this.#chunks.length - 1];
    if (chunk === undefined || chunk.tail === chunk.capacity || stored.seq - chunk.firstSeq > 0xffff_ffff) chunk = this.#open(stored.seq);
    const index = chunk.tail++;
    const at = index * FIELDS;
    const entries = chunk.entries;
    entries[at] = stored.seq - chunk.firstSeq;
    entries[at + 1] = stored.slab;
    entries[at + 2] = stored.offset;
    entries[at + 3] = stored.length;
    entries[at + 4] = stored.bodyBytes;
    entries[at + 5] = (stored.flags << 24) | Math.min(stored.deliveryCount, DELIVERY_COUNT_MAX);
    if (stored.deadline !== 0) {
      chunk.deadlines ??= new Float64Array(chunk.capacity);
      chunk.deadlines[index] = stored.deadline;
    } else if (chunk.deadlines !== undefined) chunk.deadlines[index] = 0;
    this.#inChunks++;
  }

  /** Puts a message that was delivered back into its place. */
  giveBack(stored: Stored): void {
    this.#returned.splice(this.#returnedIndex(stored.seq), 0, new Stored().copyFrom(stored));
  }

  /** Fills `into` with the oldest message and leaves it here. False when there is none. */
  peek(into: Stored): boolean {
    const returned = this.#returned[this.#returnedHead];
    if (returned !== undefined) {
      into.copyFrom(returned);
      return true;
    }
    const chunk = this.#headChunk();
    if (chunk === undefined) return false;
    this.#fill(chunk, chunk.head, into);
    return true;
  }

  /** Removes what `peek` showed. */
  shift(): void {
    if (this.#returned.length > 0) {
      this.#shiftReturned();
      return;
    }
    const chunk = this.#chunks[this.#first];
    invariant(chunk !== undefined && chunk.head < chunk.tail, 'shift follows a peek that found a message');
    this.#advance(chunk);
  }

  /** Removes the message `seq` wherever it stands and fills `into` with it. False when it is not here any more. */
  take(seq: number, into: Stored): boolean {
    return this.#find(seq, into, true);
  }

  has(seq: number): boolean {
    return this.#find(seq, this.#scratch, false);
  }

  /** Removes the head of the chunks if it is due at `now`, and fills `into` with it. */
  takeDue(now: number, into: Stored): boolean {
    const deadline = this.headDeadline();
    if (deadline === 0 || deadline > now) return false;
    const chunk = this.#headChunk();
    invariant(chunk !== undefined, 'a deadline stands at a head');
    this.#fill(chunk, chunk.head, into);
    this.#advance(chunk);
    return true;
  }

  /** The deadline at the head of the chunks (0: none, or nothing there). With one TTL for the queue no deadline behind it is earlier. */
  headDeadline(): number {
    const chunk = this.#headChunk();
    return chunk?.deadlines?.[chunk.head] ?? 0;
  }

  /** The seq of the oldest message; 0 for none. */
  headSeq(): number {
    const returned = this.#returned[this.#returnedHead];
    if (returned !== undefined) return returned.seq;
    const chunk = this.#headChunk();
    return chunk === undefined ? 0 : chunk.firstSeq + (chunk.entries[chunk.head * FIELDS] as number);
  }

  /** Every message, oldest first; `visit` must not change this index. */
  forEach(visit: (stored: Stored) => void): void {
    const stored = new Stored();
    for (let i = this.#returnedHead; i < this.#returned.length; i++) visit(this.#returned[i] as Stored);
    for (let c = this.#first; c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c] as Chunk;
      for (let i = chunk.head; i < chunk.tail; i++) {
        if (isGone(chunk, i)) continue;
        this.#fill(chunk, i, stored);
        visit(stored);
      }
    }
  }

  clear(): void {
    this.#chunks = [];
    this.#first = 0;
    this.#spare = undefined;
    this.#returned = [];
    this.#returnedHead = 0;
    this.#inChunks = 0;
    this.#gaps = 0;
  }

  #advance(chunk: Chunk): void {
    chunk.head++;
    this.#inChunks--;
    if (chunk.head === chunk.tail) this.#close(chunk);
  }

  #headChunk(): Chunk | undefined {
    for (;;) {
      const chunk = this.#chunks[this.#first];
      if (chunk === undefined) return undefined;
      while (chunk.head < chunk.tail && isGone(chunk, chunk.head)) {
        chunk.head++;
        this.#gaps--;
      }
      if (chunk.head < chunk.tail) return chunk;
      if (chunk.tail === 0) return undefined;
      this.#close(chunk);
    }
  }

  #fill(chunk: Chunk, index: number, into: Stored): void {
    const { entries } = chunk;
    const at = index * FIELDS;
    const meta = entries[at + 5] as number;
    into.seq = chunk.firstSeq + (entries[at] as number);
    into.slab = entries[at + 1] as number;
    into.offset = entries[at + 2] as number;
    into.length = entries[at + 3] as number;
    into.bodyBytes = entries[at + 4] as number;
    into.flags = meta >>> 24;
    into.deliveryCount = meta & DELIVERY_COUNT_MAX;
    into.deadline = chunk.deadlines === undefined ? 0 : (chunk.deadlines[index] as number);
    into.priority = this.priority;
  }

  #open(seq: number): Chunk {
    const last = this.#chunks[this.#chunks.length - 1];
    let chunk = this.#spare;
    this.#spare = undefined;
    if (chunk === undefined) {
      const capacity = last === undefined ? CHUNK_ENTRIES_MIN : Math.min(last.capacity * 4, CHUNK_ENTRIES_MAX);
      chunk = new Chunk(capacity);
    }
    chunk.firstSeq = seq;
    this.#chunks.push(chunk);
    return chunk;
  }

  /** The head chunk is used up: it becomes the spare, or starts again when it is the only one. */
  #close(chunk: Chunk): void {
    chunk.head = 0;
    chunk.tail = 0;
    if (this.#first === this.#chunks.length - 1) {
      this.#chunks.length = 0;
      this.#first = 0;
      this.#spare = chunk;
      return;
    }
    if (this.#spare === undefined || this.#spare.capacity < chunk.capacity) this.#spare = chunk;
    this.#first++;
    if (this.#first >= 32 && this.#first * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  #find(seq: number, into: Stored, remove: boolean): boolean {
    const chunk = this.#chunkOf(seq);
    if (chunk !== undefined) {
      const index = indexOf(chunk, seq);
      if (index >= 0 && !isGone(chunk, index)) {
        this.#fill(chunk, index, into);
        if (remove) this.#leaveGap(chunk, index);
        return true;
      }
    }
    const at = this.#returnedIndex(seq);
    const returned = this.#returned[at];
    if (returned?.seq !== seq) return false;
    into.copyFrom(returned);
    if (!remove) return true;
    if (at === this.#returnedHead) this.#shiftReturned();
    else this.#returned.splice(at, 1);
    return true;
  }

  /** Where `seq` stands, or would stand, in `#returned`. */
  #returnedIndex(seq: number): number {
    let low = this.#returnedHead;
    let high = this.#returned.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#returned[middle] as Stored).seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #shiftReturned(): void {
    this.#returnedHead++;
    if (this.#returnedHead === this.#returned.length) {
      this.#returned.length = 0;
      this.#returnedHead = 0;
    } else if (this.#returnedHead >= 64 && this.#returnedHead * 2 >= this.#returned.length) {
      this.#returned = this.#returned.slice(this.#returnedHead);
      this.#returnedHead = 0;
    }
  }

  #chunkOf(seq: number): Chunk | undefined {
    let low = this.#first;
    let high = this.#chunks.length - 1;
    let found: Chunk | undefined;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle] as Chunk;
      if (chunk.firstSeq <= seq) {
        found = chunk;
        low = middle + 1;
      } else high = middle - 1;
    }
    return found;
  }

  #leaveGap(chunk: Chunk, index: number): void {
    const at = index * FIELDS + 5;
    chunk.entries[at] = (chunk.entries[at] as number) | (GONE << 24);
    this.#inChunks--;
    this.#gaps++;
    if (this.#gaps > this.#inChunks + CHUNK_ENTRIES_MAX / 2) this.#compact();
  }

  #compact(): void {
    const old = this.#chunks;
    const first = this.#first;
    this.#chunks = [];
    this.#first = 0;
    this.#inChunks = 0;
    this.#gaps = 0;
    const stored = new Stored();
    for (let c = first; c < old.length; c++) {
      const chunk = old[c] as Chunk;
      for (let i = chunk.head; i < chunk.tail; i++) {
        if (isGone(chunk, i)) continue;
        this.#fill(chunk, i, stored);
        this.push(stored);
      }
    }
  }
}

function isGone(chunk: Chunk, index: number): boolean {
  return ((chunk.entries[index * FIELDS + 5] as number) & (GONE << 24)) !== 0;
}

function indexOf(chunk: Chunk, seq: number): number {
  const wanted = seq - chunk.firstSeq;
  let low = chunk.head;
  let high = chunk.tail - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = chunk.entries[middle * FIELDS] as number;
    if (found === wanted) return middle;
    if (found < wanted) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
