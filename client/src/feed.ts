// What a `for await` loop reads from: values that arrived and were not asked for, or askers that wait for values. Never both.
// Always: (1) a feed ends once: by `return` (the loop was left), or by `end`, whose error is thrown after what arrived before it was read;
// (2) with a limit, it holds at most that many values. Refuses: to ack (deliveries.ts gives messages back).

import { asyncDispose } from './dispose.ts';
import { LeveretError } from './error.ts';
import { Fifo } from './fifo.ts';
import type { SubscribeOptions } from './options.ts';
import type { Session } from './session.ts';
import { type OpenFields, type OpenOp, type Reader, Subscription } from './subscription.ts';

/**
 * What loops over messages and samples read from: leave the loop, or `cancel()`, to end it.
 * ```ts
 * const tap: Feed<Message> = mq.exchange('amq.topic').subscribe('order.*', { buffer: 10 });
 * await tap.cancel();
 * console.log(tap.dropped);
 * ```
 */
export class Feed<T> implements AsyncIterableIterator<T, undefined, undefined>, Reader<T> {
  /** Values thrown away because nobody read them in time. */
  dropped = 0;
  readonly #subscription: Subscription<T>;
  readonly #options: SubscribeOptions;
  #values = new Fifo<T>();
  readonly #askers: ((result: Promise<IteratorResult<T, undefined>>) => void)[] = [];
  #isOver = false;
  #error: LeveretError | undefined;

  /** @internal */
  constructor(session: Session, op: OpenOp, fields: OpenFields, options: SubscribeOptions = {}) {
    this.#options = options;
    this.#subscription = new Subscription(session, op, fields, this);
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    const value = this.#values.shift();
    const error = this.#error;
    if (value !== undefined) {
      this.taken?.(value);
      return { done: false, value };
    }
    this.#error = undefined;
    if (error) throw error;
    if (this.#isOver) return { done: true, value: undefined };
    return new Promise((resolve) => this.#askers.push(resolve));
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.cancel();
    return { done: true, value: undefined };
  }

  /** Ends it from outside; a loop that waits is left. */
  cancel(): Promise<void> {
    const left = this.clear();
    this.end();
    this.#error = undefined;
    const gone = this.#subscription.cancel();
    this.left?.(left);
    return gone;
  }

  [asyncDispose](): Promise<void> {
    return this.cancel();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  push(value: T): void {
    const { buffer = Number.POSITIVE_INFINITY, onOverflow } = this.#options;
    if (this.#isOver) return;
    if (this.#values.length >= buffer) {
      this.dropped++;
      if (onOverflow === 'drop-newest') return;
      if (onOverflow === 'fail') {
        this.end(new LeveretError('OVERFLOW', `more than ${buffer} waited to be read`));
        this.#subscription.cancel();
        return;
      }
      this.#values.shift();
    }
    this.#values.push(value);
    this.#askers.shift()?.(this.next());
  }

  /** @internal No more will come; `error` says why, unless the reader ended it. */
  end(error?: LeveretError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    // The first that waits is told why, the others that it is over.
    for (const resolve of this.#askers.splice(0)) resolve(this.next());
  }

  /** @internal Takes out what nobody read. */
  clear(): Fifo<T> {
    const left = this.#values;
    this.#values = new Fifo();
    return left;
  }

  /** A value goes to the reader. */
  protected taken?(value: T): void;

  /** The reader has gone; these were never handed out. */
  protected left?(values: Iterable<T>): void;
}
