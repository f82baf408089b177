// The numbers of queues: each is given once in the life of a log, to a transient queue and a tap too, for peers know messages by (queue, seq).
// Always: before a number is given the log holds a definition that reserves it: {kind: 'queue.numbers', next}. A restart goes on behind what was reserved.
// Refuses: to give numbers back; a restart may waste a block of them (there are 2^32).

import type { Definition } from '../ports.ts';

export const QUEUE_NUMBERS = 'queue.numbers';
const BLOCK = 1_000; // numbers a definition: most queues cost no record of their own

export class QueueNumbers {
  readonly #define: (definition: Definition) => void;
  #next = 1;
  #reserved = 1;

  constructor(define: (definition: Definition) => void) {
    this.#define = define;
  }

  take(): number {
    if (this.#next >= this.#reserved) {
      this.#reserved = this.#next + BLOCK;
      this.#define(this.definition());
    }
    return this.#next++;
  }

  /** `number` was given in an earlier life. */
  skip(number: number): void {
    this.#next = Math.max(this.#next, number + 1);
  }

  restore(definition: Definition): void {
    const { next } = definition;
    if (typeof next === 'number') this.skip(next - 1);
  }

  /** All below `next` may have been given. */
  definition(): Definition {
    return { kind: QUEUE_NUMBERS, next: Math.max(this.#reserved, this.#next) };
  }
}
