// What a `for await` loop reads from: values that arrived and were not asked for, or askers that wait for values. Never both.
// Always: (1) a feed ends once: by `return` (the loop was left), or by `end`, whose error is thrown after what arrived before it was read;
// (2) with a limit, it holds at most that many values. Refuses: to know where values come from.

import { Ring } from '../../shared/ring.ts';
import { asyncDispose } from './dispose.ts';
import { LeveretError } from './error.ts';
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
  readonly #onOverflow: NonNullable<SubscribeOptions['onOverflow']>;
  #values = new Ring<T>();
  readonly #askers = new Ring<Asker<T>>();
  #isOver = false;
  #error: LeveretError | undefined;

  /** @internal */
  constructor(limit = Number.POSITIVE_INFINITY, onOverflow: NonNullable<SubscribeOptions['onOverflow']> = 'drop-oldest') {
    this.#limit = limit;
    this.#onOverflow = onOverflow;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const value = this.#values.shift();
    if (value !== undefined) {
      this.taken(value);
      return Promise.resolve({ done: false, value });
    }
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) return Promise.reject(error);
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#askers.push({ resolve, reject }));
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.cancel();
    return { done: true, value: undefined };
  }

  /** Ends it from outside; a loop that waits is left. */
  async cancel(): Promise<void> {
    if (this.#isOver && this.#values.length === 0) return;
    this.#finish();
    const left = this.clear();
    await this.cancelled(left);
  }

  /** @internal */
  drain(): Promise<void> {
    return this.cancel();
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
      this.taken(value);
      asker.resolve({ done: false, value });
      return;
    }
    if (this.#values.length >= this.#limit) {
      this.dropped++;
      if (this.#onOverflow === 'drop-newest') return;
      if (this.#onOverflow === 'fail') {
        this.end(new LeveretError('OVERFLOW', `more than ${this.#limit} values waited to be read`));
        this.cancelled([]);
        return;
      }
      this.#values.shift();
    }
    this.#values.push(value);
  }

  /** @internal No more will come, because of this. */
  end(error: LeveretError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const asker = this.#askers.shift();
    if (asker === undefined) this.#error = error;
    else asker.reject(error);
    this.#finish();
  }

  /** @internal Takes out what nobody read. */
  clear(): T[] {
    const left = [...this.#values];
    this.#values = new Ring();
    return left;
  }

  /** A value goes to the reader. */
  protected taken(_value: T): void {
    this.#values.peek(); // nothing to do here; consumers keep account of what they handed out
  }

  /** The reader has gone; `left` was never handed out. */
  protected cancelled(_left: T[]): Promise<void> | undefined {
    return undefined;
  }

  #finish(): void {
    this.#isOver = true;
    for (let asker = this.#askers.shift(); asker !== undefined; asker = this.#askers.shift()) asker.resolve({ done: true, value: undefined });
  }
}
