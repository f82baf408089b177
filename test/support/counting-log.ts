// A message log that keeps account: how many references to messages live, and that each is given up once.
// Always: (1) every call goes through to the log it wraps; (2) a second settle of one reference, or one never appended, throws.

import type { Append, Definition, LogListener, Lsn, MessageLog, ReadWaiter, RecoverySink, Settled, View } from '../../server/ports.ts';
import { REFUSED } from '../../server/ports.ts';

export class CountingLog implements MessageLog {
  readonly #log: MessageLog;
  readonly #live = new Set<string>();

  constructor(log: MessageLog) {
    this.#log = log;
  }

  /** References that nobody gave up yet: `queue number-seq`. */
  get live(): string[] {
    return [...this.#live];
  }
  get lastLsn(): Lsn {
    return this.#log.lastLsn;
  }
  get durableLsn(): Lsn {
    return this.#log.durableLsn;
  }
  get memoryBytes(): number {
    return this.#log.memoryBytes;
  }

  open(sink: RecoverySink, listener: LogListener): void {
    this.#log.open(sink, listener);
  }
  append(append: Append): Lsn {
    const lsn = this.#log.append(append);
    if (lsn !== REFUSED) this.#add(append);
    return lsn;
  }
  settle(queueNumber: number, seq: number, slab: number, length: number, flags: number): void {
    this.#remove(queueNumber, seq);
    this.#log.settle(queueNumber, seq, slab, length, flags);
  }
  requeue(queueNumber: number, seq: number, slab: number, flags: number, deliveryCount: number): void {
    this.#log.requeue(queueNumber, seq, slab, flags, deliveryCount);
  }
  move(queueNumber: number, seq: number, slab: number, length: number, flags: number, append: Append): Lsn {
    const lsn = this.#log.move(queueNumber, seq, slab, length, flags, append);
    if (lsn !== REFUSED) {
      this.#remove(queueNumber, seq);
      this.#add(append);
    }
    return lsn;
  }
  transact(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    const lsn = this.#log.transact(appends, settled);
    if (lsn === REFUSED) return lsn;
    for (const { queueNumber, seq } of settled) this.#remove(queueNumber, seq);
    for (const append of appends) this.#add(append);
    return lsn;
  }
  define(definition: Definition): Lsn {
    return this.#log.define(definition);
  }
  read(slab: number, offset: number, length: number, view: View, waiter: ReadWaiter): boolean {
    return this.#log.read(slab, offset, length, view, waiter);
  }
  commit(): void {
    this.#log.commit();
  }
  async close(): Promise<void> {
    await this.#log.close();
  }

  #add(append: Append): void {
    for (let i = 0; i < append.count; i++) this.#live.add(`${append.queueNumbers[i]}-${append.seqs[i]}`);
  }
  #remove(queueNumber: number, seq: number): void {
    if (!this.#live.delete(`${queueNumber}-${seq}`)) throw new Error(`reference ${queueNumber}-${seq} was given up twice, or never stored`);
  }
}
