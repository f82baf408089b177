// What waits until the log is durable, and how long the log takes for it.
// Always: (1) who waits is called once, in the order of asking, and not before its lsn is durable; (2) a latency runs from the commit that first covered
// a record to the moment the broker learns that it is durable; what is durable at once (a log in memory) is no latency.
// Refuses: confirms (session.ts): they go by lsn too, but in runs.

import { Ring } from '../../shared/ring.ts';
import type { Lsn, MessageLog } from '../ports.ts';
import { Histogram } from './histogram.ts';

interface Waiting {
  readonly lsn: Lsn;
  readonly done: () => void;
}
interface Mark {
  readonly lsn: Lsn;
  readonly at: number;
}

// Commits while one sync is under way; beyond that it is a disk that hangs, and the marks that are kept tell so.
const MARKS_MAX = 1_000;
// A confirm costs one sync, or two: 0.5 ms on a good disk, tens on a bad one, seconds when it stalls.
const LATENCY_BOUNDS_MS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

export class Commits {
  readonly latencyMs = new Histogram(LATENCY_BOUNDS_MS);
  readonly #log: MessageLog;
  readonly #wake: () => void;
  readonly #stopwatch: () => number;
  readonly #marks = new Ring<Mark>();
  #markedLsn: Lsn = 0;
  #waiting: Waiting[] = [];

  /** `stopwatch`: milliseconds, fractions included, from any point that stays. */
  constructor(log: MessageLog, wake: () => void, stopwatch: () => number) {
    this.#log = log;
    this.#wake = wake;
    this.#stopwatch = stopwatch;
  }

  /** Runs `done` once `lsn` is durable: now, where it is. */
  whenDurable(lsn: Lsn, done: () => void): void {
    if (lsn <= this.#log.durableLsn) {
      done();
      return;
    }
    this.#waiting.push({ lsn, done });
    this.#wake();
  }

  /** The log was told to commit. */
  committed(): void {
    const { lastLsn, durableLsn } = this.#log;
    if (lastLsn <= durableLsn || lastLsn <= this.#markedLsn || this.#marks.length >= MARKS_MAX) return;
    this.#markedLsn = lastLsn;
    this.#marks.push({ lsn: lastLsn, at: this.#stopwatch() });
  }

  durable(lsn: Lsn): void {
    if (this.#marks.length > 0) this.#measure(lsn);
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((each) => each.lsn > lsn); // before anybody is called: that may lead to new ones
    for (const each of waiting) if (each.lsn <= lsn) each.done();
  }

  /** Nobody is called any more. */
  forget(): void {
    this.#waiting = [];
  }

  #measure(lsn: Lsn): void {
    let first = this.#marks.peek();
    if (first === undefined || first.lsn > lsn) return;
    const now = this.#stopwatch();
    for (; first !== undefined && first.lsn <= lsn; first = this.#marks.peek()) {
      this.latencyMs.observe(now - first.at);
      this.#marks.shift();
    }
  }
}
