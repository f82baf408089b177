// The message log that lives in memory alone. hot
// Always: (1) everything appended is durable in the sense of this log: as long as the process lives; (2) `volatile-slabs.ts` keeps the bytes.
// Refuses: to survive the process, and to spill: beyond `bytesMax` it takes nothing more.

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
import { SlabTable } from './slab-table.ts';
import { VolatileSlabs } from './volatile-slabs.ts';

const SLAB_BYTES = 1 << 20; // 1 MiB: a thousand 1 KiB messages share one count, and an idle broker holds one

export interface MemoryLogOptions {
  /** REFUSED above this many bytes. Default: no limit of its own; the broker holds publishers back before. */
  readonly bytesMax?: number;
  /** Every `read` of a message from an earlier turn answers later first: what a disk would do. For tests. */
  readonly deferReads?: Turns;
}

export class MemoryLog implements MessageLog {
  readonly #slabs = new SlabTable(SLAB_BYTES);
  readonly #messages = new VolatileSlabs(this.#slabs);
  readonly #bytesMax: number;
  readonly #deferReads: Turns | undefined;
  readonly #fetched = new Set<string>();
  /** Appended in this turn: still at hand. */
  readonly #fresh = new Set<string>();
  #listener: LogListener | undefined;
  #lsn = 0;
  #reportedLsn = 0;

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
    return this.#slabs.memoryBytes;
  }

  open(sink: RecoverySink, listener: LogListener): void {
    this.#listener = listener;
    sink.recovered({ isClean: true, queueNumberMax: 0, seqMax: () => 0 });
  }

  append(append: Append): Lsn {
    if (this.#slabs.memoryBytes + append.end - append.start > this.#bytesMax) return REFUSED;
    this.#store(append);
    return ++this.#lsn;
  }

  #store(append: Append): void {
    this.#messages.append(append);
    if (this.#deferReads !== undefined) this.#fresh.add(`${append.place.slab}:${append.place.offset}`);
  }

  settle(_queueNumber: number, _seq: number, slab: number, _length: number, _flags: number): void {
    this.#lsn++;
    this.#messages.release(this.#slabs.get(slab));
  }

  requeue(): void {
    this.#lsn++;
  }

  transact(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    let bytes = 0;
    for (const append of appends) bytes += append.end - append.start;
    if (this.#slabs.memoryBytes + bytes + SLAB_BYTES > this.#bytesMax) return REFUSED;
    for (const append of appends) if (append.count > 0) this.#store(append); // a limit that slabs now pass must not halve it
    for (const { slab } of settled) this.#messages.release(this.#slabs.get(slab));
    return ++this.#lsn;
  }

  move(_queueNumber: number, _seq: number, slab: number, _length: number, _flags: number, append: Append): Lsn {
    if (append.count > 0 && this.append(append) === REFUSED) return REFUSED;
    this.#messages.release(this.#slabs.get(slab));
    return ++this.#lsn;
  }

  define(_definition: Definition): Lsn {
    return ++this.#lsn;
  }

  read(slab: number, offset: number, _length: number, view: View, waiter: ReadWaiter): boolean {
    const { bytes } = this.#slabs.get(slab);
    if (bytes === undefined) return false; // a slab of memory alone has its bytes
    if (this.#deferReads !== undefined && !this.#fetch(`${slab}:${offset}`, this.#deferReads, waiter)) return false;
    view.bytes = bytes;
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
    this.#slabs.clear();
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
