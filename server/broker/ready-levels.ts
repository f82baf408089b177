// The ready messages of one queue: an index for each priority level, the highest level first. hot
// Always: (1) `count` is the living of all levels, `bytes` the sum of their bodies; (2) no level above #top holds anything; (3) what `peek` and
// `peekLowest` show stays until `shift`.
// Refuses: to know why a message comes or goes (queue.ts), or where it stands in its level (ready-index.ts).

import { invariant } from '../../shared/assert.ts';
import type { Stored } from '../ports.ts';
import { ReadyIndex } from './ready-index.ts';

export class ReadyLevels {
  count = 0;
  bytes = 0;
  readonly #levels: (ReadyIndex | undefined)[] = [];
  #top = 0;

  /** Takes in a message that is younger than all of its level. */
  push(stored: Stored): void {
    this.#levelFor(stored).push(stored);
  }

  /** Puts a message that was delivered back into its place. */
  giveBack(stored: Stored): void {
    this.#levelFor(stored).giveBack(stored);
  }

  /** The smallest seq of all levels; 0 for none. */
  get oldestSeq(): number {
    let oldest = 0;
    for (const level of this.#levels) {
      const seq = level?.headSeq() ?? 0;
      if (seq !== 0 && (oldest === 0 || seq < oldest)) oldest = seq;
    }
    return oldest;
  }

  /** Fills `into` with the oldest message of the highest level. There is one: `count` says so. */
  peek(into: Stored): void {
    for (;;) {
      if (this.#levels[this.#top]?.peek(into)) return;
      invariant(this.#top > 0, 'count counts what the levels hold');
      this.#top--;
    }
  }

  /** Fills `into` with the oldest message of the lowest level. There is one. */
  peekLowest(into: Stored): void {
    for (const level of this.#levels) if (level?.peek(into)) return;
    invariant(false, 'count counts what the levels hold');
  }

  /** Removes what was shown. */
  shift(shown: Stored): void {
    (this.#levels[shown.priority] as ReadyIndex).shift();
    this.count--;
    this.bytes -= shown.bodyBytes;
  }

  /** Removes what is due at `now` and stands first in its level, never delivered, at most `max`; `taken` finds each in `into`. Answers how many. */
  takeDue(now: number, max: number, into: Stored, taken: () => void): number {
    let count = 0;
    for (const level of this.#levels) {
      while (count < max && level?.takeDue(now, into)) {
        count++;
        this.#left(into);
        taken();
      }
    }
    return count;
  }

  /** Removes one message wherever it stands; false when it is not here any more. */
  take(priority: number, seq: number, into: Stored): boolean {
    if (!this.#levels[priority]?.take(seq, into)) return false;
    this.#left(into);
    return true;
  }

  has(priority: number, seq: number): boolean {
    return this.#levels[priority]?.has(seq) === true;
  }

  /** The earliest of the deadlines that stand first in their level; 0 for none. */
  headDeadline(): number {
    let first = 0;
    for (const level of this.#levels) {
      const head = level?.headDeadline() ?? 0;
      if (head !== 0 && (first === 0 || head < first)) first = head;
    }
    return first;
  }

  /** Forgets everything; `visit` sees each message once more. */
  clear(visit: (stored: Stored) => void): void {
    for (const level of this.#levels) {
      level?.forEach(visit);
      level?.clear();
    }
    this.count = 0;
    this.bytes = 0;
  }

  #levelFor(stored: Stored): ReadyIndex {
    const { priority } = stored;
    this.count++;
    this.bytes += stored.bodyBytes;
    if (priority > this.#top) this.#top = priority;
    let level = this.#levels[priority];
    if (level === undefined) {
      while (this.#levels.length <= priority) this.#levels.push(undefined); // no holes: a sparse array is slow
      level = this.#levels[priority] = new ReadyIndex(priority);
    }
    return level;
  }

  #left(stored: Stored): void {
    this.count--;
    this.bytes -= stored.bodyBytes;
  }
}
