// Which messages of which queues are done with, as runs of seqs; and what changed about those that are not (requeues). hot
// Always: (1) the runs of a queue are sorted, disjoint and not adjacent; (2) a message that is added has no change any more; (3) a queue that
// settles in order costs one run, however many messages that is.
// Refuses: to know files or records. One stands beside each log file, for what that file holds.

/** Sorted runs [first, last] of one queue. */
class Runs {
  readonly firsts: number[] = [];
  readonly lasts: number[] = [];

  add(first: number, last: number): void {
    const { firsts, lasts } = this;
    const end = firsts.length - 1;
    if (end < 0 || first > (lasts[end] as number) + 1) {
      firsts.push(first);
      lasts.push(last);
      return;
    }
    if (first === (lasts[end] as number) + 1) {
      lasts[end] = last;
      return;
    }
    this.#insert(first, last);
  }

  /** The run that holds `seq`, or undefined. */
  has(seq: number): boolean {
    const at = this.#from(seq);
    return at < this.firsts.length && (this.firsts[at] as number) <= seq;
  }

  /** The first run whose last is not before `seq`. */
  #from(seq: number): number {
    let low = 0;
    let high = this.lasts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.lasts[middle] as number) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(first: number, last: number): void {
    const { firsts, lasts } = this;
    const at = this.#from(first - 1); // a run that ends just before is joined
    let end = at;
    let newFirst = first;
    let newLast = last;
    while (end < firsts.length && (firsts[end] as number) <= last + 1) {
      newFirst = Math.min(newFirst, firsts[end] as number);
      newLast = Math.max(newLast, lasts[end] as number);
      end++;
    }
    firsts.splice(at, end - at, newFirst);
    lasts.splice(at, end - at, newLast);
  }
}

export interface Change {
  readonly flags: number;
  readonly deliveryCount: number;
}

export class SettledSeqs {
  readonly #queues = new Map<number, Runs>();
  readonly #changes = new Map<number, Map<number, Change>>();
  #latest: Runs | undefined;
  #latestNumber = -1;

  get isEmpty(): boolean {
    return this.#queues.size === 0 && this.#changes.size === 0;
  }
  /** Runs in all. */
  get runCount(): number {
    let count = 0;
    for (const runs of this.#queues.values()) count += runs.firsts.length;
    return count;
  }
  get changeCount(): number {
    let count = 0;
    for (const changes of this.#changes.values()) count += changes.size;
    return count;
  }

  add(queueNumber: number, seq: number): void {
    this.addRun(queueNumber, seq, seq);
    if (this.#changes.size > 0) this.#changes.get(queueNumber)?.delete(seq);
  }

  addRun(queueNumber: number, first: number, last: number): void {
    let runs = this.#latest;
    if (runs === undefined || queueNumber !== this.#latestNumber) {
      runs = this.#queues.get(queueNumber);
      if (runs === undefined) {
        runs = new Runs();
        this.#queues.set(queueNumber, runs);
      }
      this.#latest = runs;
      this.#latestNumber = queueNumber;
    }
    runs.add(first, last);
  }

  has(queueNumber: number, seq: number): boolean {
    return this.#queues.get(queueNumber)?.has(seq) === true;
  }

  change(queueNumber: number, seq: number, flags: number, deliveryCount: number): void {
    let changes = this.#changes.get(queueNumber);
    if (changes === undefined) {
      changes = new Map();
      this.#changes.set(queueNumber, changes);
    }
    changes.set(seq, { flags, deliveryCount });
  }

  changeOf(queueNumber: number, seq: number): Change | undefined {
    return this.#changes.size === 0 ? undefined : this.#changes.get(queueNumber)?.get(seq);
  }

  forEachRun(visit: (queueNumber: number, first: number, last: number) => void): void {
    for (const [queueNumber, { firsts, lasts }] of this.#queues)
      for (let i = 0; i < firsts.length; i++) visit(queueNumber, firsts[i] as number, lasts[i] as number);
  }

  forEachChange(visit: (queueNumber: number, seq: number, change: Change) => void): void {
    for (const [queueNumber, changes] of this.#changes) for (const [seq, change] of changes) visit(queueNumber, seq, change);
  }

  clear(): void {
    this.#queues.clear();
    this.#changes.clear();
    this.#latest = undefined;
    this.#latestNumber = -1;
  }

  clone(): SettledSeqs {
    const copy = new SettledSeqs();
    copy.addAll(this);
    return copy;
  }

  addAll(other: SettledSeqs): void {
    other.forEachRun((queueNumber, first, last) => this.addRun(queueNumber, first, last));
    other.forEachChange((queueNumber, seq, { flags, deliveryCount }) => {
      if (!this.has(queueNumber, seq)) this.change(queueNumber, seq, flags, deliveryCount);
    });
  }
}
