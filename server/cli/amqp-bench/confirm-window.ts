// The publishes of one channel that are not confirmed yet: how much room there is, and how long each confirm took. hot
// Always: (1) at most `size` are open; (2) confirms may come in any order, single or multiple: each publish counts once; (3) one that was confirmed
// twice, or never sent, throws: a broker that does so has a fault, and a benchmark's figures would hide it.

import type { Latency } from './latency.ts';

// The window's bookkeeping spans this many times its size, for single confirms may overtake an early one.
const SPAN = 4;

export class ConfirmWindow {
  confirmed = 0;
  nacked = 0;
  readonly #size: number;
  readonly #span: number;
  readonly #latency: Latency;
  /** When publish seq was due, at seq % span; 0 once it is confirmed. */
  readonly #sentUs: Float64Array;
  /** The next publish's sequence number; the first is 1. */
  #next = 1;
  /** All below are confirmed. */
  #lowest = 1;
  #open = 0;

  constructor(size: number, latency: Latency) {
    this.#size = size;
    this.#span = size * SPAN;
    this.#latency = latency;
    this.#sentUs = new Float64Array(this.#span);
  }

  get open(): number {
    return this.#open;
  }
  get room(): number {
    return Math.min(this.#size - this.#open, this.#span - (this.#next - this.#lowest));
  }

  sent(us: number): void {
    this.#sentUs[this.#next++ % this.#span] = us;
    this.#open++;
  }

  settled(tag: number, isMultiple: boolean, isNack: boolean, now: number): void {
    const last = isMultiple && tag === 0 ? this.#next - 1 : tag;
    if (last < this.#lowest || last >= this.#next) throw new Error(`confirm ${tag} came; ${this.#lowest} to ${this.#next - 1} are open`);
    const before = this.#open;
    if (isMultiple) {
      for (let seq = this.#lowest; seq <= last; seq++) this.#settle(seq, now);
    } else if (!this.#settle(last, now)) throw new Error(`confirm ${tag} came twice`);
    while (this.#lowest < this.#next && this.#sentUs[this.#lowest % this.#span] === 0) this.#lowest++;
    if (isNack) this.nacked += before - this.#open;
    else this.confirmed += before - this.#open;
  }

  #settle(seq: number, now: number): boolean {
    const sentUs = this.#sentUs[seq % this.#span] as number;
    if (sentUs === 0) return false;
    this.#sentUs[seq % this.#span] = 0;
    this.#open--;
    this.#latency.record(now - sentUs);
    return true;
  }
}
