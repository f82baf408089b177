// What a `for await` loop reads from: values that arrived and were not asked for, or askers that wait for values. Never both.
// Always: (1) a feed ends once: by `return` (the loop was left), or by `end`, whose error is thrown after what arrived before it was read;
// (2) with a limit, it holds at most that many values. Refuses: to know where values come from.

import { asyncDispose } from './dispose.ts';
import { LeveretError } from './error.ts';
import { Fifo } from './fifo.ts';
import type { SubscribeOptions } from './options.ts';

interface Asker<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: LeveretError): void;
}

/** What loops over messages, batches and samples have in common: leave the loop, or `cancel()`, to end it. */
export class Feed<T> implements AsyncIterableIterator<T, undefined, undefined> {
  /** Values thrown away because nobody read them in time. */
  dropped = 0;
  readonly #limit: number;
  readonly #onOverflow: SubscribeOptions['onOverflow'];
  #values = new Fifo<T>();
  readonly #askers: Asker<T>[] = [];
  #isOver = false;
  #error: LeveretError | undefined;

  /** @internal */
  constructor(limit = Number.POSITIVE_INFINITY, onOverflow?: SubscribeOptions['onOverflow']) {
    this.#limit = limit;
    this.#onOverflow = onOverflow;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      const value = this.#values.shift();
      const error = this.#error;
      if (value !== undefined) {
        this.taken?.(value);
        resolve({ done: false, value });
      } else if (error !== undefined) {
        this.#error = undefined;
        reject(error);
      } else if (this.#isOver) resolve({ done: true, value: undefined });
      else this.#askers.push({ resolve, reject });
    });
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.cancel();
    return { done: true, value: undefined };
  }

  /** Ends it from outside; a loop that waits is left. */
  async cancel(): Promise<void> {
    const left = this.clear();
    this.end();
    this.#error = undefined;
    await this.cancelled(left);
  }

  [asyncDispose](): Promise<void> {
    return this.cancel();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  push(value: T): void {
    if (this.#isOver) return;
    const asker = this.#askers.shift();
    if (asker !== undefined) {
      this.taken?.(value);
      asker.resolve({ done: false, value });
    } else {
      if (this.#values.length >= this.#limit) {
        this.dropped++;
        if (this.#onOverflow === 'drop-newest') return;
        if (this.#onOverflow === 'fail') {
          this.end(new LeveretError('OVERFLOW', `more than ${this.#limit} waited to be read`));
          this.cancelled([]);
          return;
        }
        this.#values.shift();
      }
      this.#values.push(value);
    }
  }

  /** @internal No more will come; `error` says why, unless the reader ended it. */
  end(error?: LeveretError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    // The first that waits is told why, the others that it is over.
    for (const { resolve, reject } of this.#askers.splice(0)) this.next().then(resolve, reject);
  }

  /** @internal Takes out what nobody read. */
  clear(): Fifo<T> {
    const left = this.#values;
    this.#values = new Fifo();
    return left;
  }

  /** A value goes to the reader. */
  protected taken?(value: T): void;

  /** The reader has gone; `left` was never handed out. */
  protected cancelled(_left: Iterable<T>): Promise<void> | undefined {
    return undefined;
  }
}
