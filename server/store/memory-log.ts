// The message log that lives in memory alone: slabs of bytes, each counting the messages that still lie in it. hot
// Always: (1) a message's bytes stand once, however many queues hold it; (2) a slab whose last message is settled is reused or given up at
// once; (3) only the newest slab takes new messages; (4) everything appended is durable in the sense of this log: as long as the process lives.
// Refuses: to survive the process, and to move messages: one old message keeps its whole slab (1 MiB), the price of never copying.

import { invariant } from '../../shared/assert.ts';
import {
  type Append,
  type Definition,
  type LogListener,
  type Lsn,
  type MessageLog,
  REFUSED,
  type ReadWaiter,
  type RecoverySink,
  type Settled,
  type Turns,
  type View,
} from '../ports.ts';

const SLAB_BYTES = 1 << 20; // 1 MiB: a thousand 1 KiB messages share one count, and an idle broker holds one
const SPARE_SLABS_MAX = 8; // 8 MiB kept for reuse: allocation of fresh slabs costs a page fault every 4 KiB

interface Slab {
  bytes: Buffer;
  /** References of queues to messages in this slab. */
  live: number;
}

export interface MemoryLogOptions {
  /** REFUSED above this many bytes. Default: no limit of its own; the broker holds publishers back before. */
  readonly bytesMax?: number;
  /** Every `read` of a message from an earlier turn answers later first: what a disk would do. For tests. */
  readonly deferReads?: Turns;
}

export class MemoryLog implements MessageLog {
  readonly #slabs: (Slab | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #spare: Buffer[] = [];
  readonly #bytesMax: number;
  readonly #deferReads: Turns | undefined;
  readonly #fetched = new Set<string>();
  /** Appended in this turn: still at hand. */
  readonly #fresh = new Set<string>();
  #listener: LogListener | undefined;
  #tailNumber = -1;
  #tail: Slab | undefined;
  #tailUsed = 0;
  #lsn = 0;
  #reportedLsn = 0;
  #memoryBytes = 0;

  constructor(options: MemoryLogOptions = {}) {
    this.#bytesMax = options.bytesMax ?? Number.POSITIVE_INFINITY;
    this.#deferReads = options.deferReads;
  }

  get lastLsn(): Lsn {
    return this.#lsn;
  }
  get durableLsn(): Lsn {
    return this.#reportedLsn;
  }
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  open(sink: RecoverySink, listener: LogListener): void {
    this.#listener = listener;
    sink.recovered({ isClean: true, queueNumberMax: 0, seqMax: () => 0 });
  }

  append(append: Append): Lsn {
    const length = append.end - append.start;
    if (this.#memoryBytes + length > this.#bytesMax) return REFUSED;
    let slab = this.#tail;
    if (slab === undefined || this.#tailUsed + length > slab.bytes.length) slab = this.#openSlab(length);
    const at = this.#tailUsed;
    copy(append.bytes, append.start, append.end, slab.bytes, at);
    this.#tailUsed = at + length;
    slab.live += append.count;
    append.place.slab = this.#tailNumber;
    append.place.offset = at;
    append.place.length = length;
    if (this.#deferReads !== undefined) this.#fresh.add(`${this.#tailNumber}:${at}`);
    return ++this.#lsn;
  }

  settle(_queueNumber: number, _seq: number, slab: number, _length: number, _flags: number): void {
    this.#lsn++;
    this.#release(slab);
  }

  requeue(): void {
    this.#lsn++;
  }

  consumed(): void {
    // only a log that outlives its process has use for it
  }

  transact(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    let bytes = 0;
    for (const append of appends) bytes += append.end - append.start;
    if (this.#memoryBytes + bytes + SLAB_BYTES > this.#bytesMax) return REFUSED;
    for (const append of appends) if (append.count > 0) this.append(append);
    for (const { slab } of settled) this.#release(slab);
    return ++this.#lsn;
  }

  move(_queueNumber: number, _seq: number, slab: number, _length: number, _flags: number, append: Append): Lsn {
    if (append.count > 0 && this.append(append) === REFUSED) return REFUSED;
    this.#release(slab);
    return ++this.#lsn;
  }

  define(_definition: Definition): Lsn {
    return ++this.#lsn;
  }

  read(slab: number, offset: number, _length: number, view: View, waiter: ReadWaiter): boolean {
    const held = this.#slabs[slab];
    invariant(held !== undefined, 'a message that is read lies in a live slab');
    if (this.#deferReads !== undefined && !this.#fetch(`${slab}:${offset}`, this.#deferReads, waiter)) return false;
    view.bytes = held.bytes;
    view.start = offset;
    return true;
  }

  commit(): void {
    this.#fresh.clear();
    if (this.#reportedLsn === this.#lsn) return;
    this.#reportedLsn = this.#lsn;
    this.#listener?.durable(this.#lsn);
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    this.#slabs.length = 0;
    this.#spare.length = 0;
    this.#tail = undefined;
  }

  #openSlab(length: number): Slab {
    const old = this.#tail;
    if (old !== undefined && old.live === 0) this.#drop(this.#tailNumber, old);
    const bytes = length > SLAB_BYTES ? Buffer.allocUnsafeSlow(length) : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES));
    const slab = { bytes, live: 0 };
    const number = this.#freeNumbers.pop() ?? this.#slabs.length;
    this.#slabs[number] = slab;
    this.#memoryBytes += bytes.length;
    this.#tail = slab;
    this.#tailNumber = number;
    this.#tailUsed = 0;
    return slab;
  }

  #release(number: number): void {
    const slab = this.#slabs[number];
    invariant(slab !== undefined && slab.live > 0, 'a settled message lies in a live slab');
    if (--slab.live > 0) return;
    if (slab === this.#tail && slab.bytes.length === SLAB_BYTES) {
      this.#tailUsed = 0;
      return;
    }
    if (slab === this.#tail) this.#tail = undefined; // made for one large message
    this.#drop(number, slab);
  }

  #drop(number: number, slab: Slab): void {
    this.#slabs[number] = undefined;
    this.#freeNumbers.push(number);
    this.#memoryBytes -= slab.bytes.length;
    if (slab.bytes.length === SLAB_BYTES && this.#spare.length < SPARE_SLABS_MAX) this.#spare.push(slab.bytes);
  }

  #fetch(place: string, turns: Turns, waiter: ReadWaiter): boolean {
    if (this.#fresh.has(place) || this.#fetched.delete(place)) return true;
    turns.defer(() => {
      this.#fetched.add(place);
      waiter.readable();
    });
    return false;
  }
}

// Below about this many bytes a loop beats the call into the runtime (measured).
const LOOP_BYTES_MAX = 64;

function copy(from: Uint8Array, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > LOOP_BYTES_MAX) {
    to.set(start === 0 && end === from.length ? from : from.subarray(start, end), at);
    return;
  }
  for (let i = start, j = at; i < end; i++, j++) to[j] = from[i] as number;
}
