// A pool of handlers, as its user holds it. Always: it may be used before its pool (pool.ts) is loaded.

import { asyncDispose } from './dispose.ts';
import type { LeveretError } from './error.ts';
import type { Message } from './message.ts';
import type { Pool } from './pool.ts';

/** What a handler gets beside the message. */
export interface WorkContext {
  /** Aborts when the handler's time is over, its connection is lost (the message will come again), or the worker is closed. */
  readonly signal: AbortSignal;
}

/** What works on a message. What it returns is not looked at, but waited for. */
export type Handler<B> = (message: Message<B>, context: WorkContext) => unknown;

/**
 * A pool of handlers: see {@link Queue.work}.
 * ```ts
 * await mq.declareQueue('jobs');
 * const worker = mq.queue<{ n: number }>('jobs').work({ concurrency: 8 }, async (msg, { signal }) => {
 *   if (!signal.aborted) console.log(msg.body.n);
 * });
 * await mq.queue('jobs').publish({ n: 1 });
 * await worker.drain();
 * ```
 */
export class Worker<B = unknown> {
  /** Resolves when the worker has ended for good: with nothing when it was drained or closed here, else with the reason. */
  readonly done: Promise<LeveretError | undefined>;
  readonly #pool: Promise<Pool<B>>;

  /** @internal */
  constructor(pool: Promise<Pool<B>>) {
    this.#pool = pool;
    this.done = pool.then(
      ({ done }) => done,
      (error) => error,
    );
  }

  /** Takes nothing new, returns what has not begun, and waits for what runs. */
  async drain(): Promise<void> {
    await (await this.#pool).drain();
  }

  /** As drain, but what runs is told to stop, and its message goes back at once. */
  async close(): Promise<void> {
    await (await this.#pool).close();
  }

  [asyncDispose](): Promise<void> {
    return this.drain();
  }
}
