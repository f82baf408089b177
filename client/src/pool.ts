// A pool of handlers on one queue. Loaded by the first `work`, for a page that watches never works.
// Always: (1) at most `concurrency` handlers run; (2) a handler that returns acks, unless it settled the message itself; one that throws rejects with
// requeue: the message goes back to its place and counts as a failed attempt, so the queue's delivery limit and dead-letter exchange decide (without a
// limit it comes again at once); Drop, and a body that cannot be read, reject without requeue; (3) what was prefetched and not begun goes back, uncounted.
// Refuses: to end a process because a handler threw; that goes to `fault` listeners.

import { toMs } from './duration.ts';
import { Drop, LeveretError, toLeveretError } from './error.ts';
import { Fifo } from './fifo.ts';
import type { Message } from './message.ts';
import type { WorkOptions } from './options.ts';
import type { Session } from './session.ts';
import { type Reader, Subscription } from './subscription.ts';
import type { Handler } from './worker.ts';

export class Pool<B> implements Reader<Message<B>> {
  /** Resolves when the worker has ended for good: with nothing when it was drained or closed here, else with the reason. */
  readonly done: Promise<LeveretError | undefined>;
  readonly #session: Session;
  readonly #subscription: Subscription<Message<B>>;
  readonly #handler: Handler<B>;
  readonly #concurrency: number;
  readonly #timeoutMs: number | undefined;
  #waiting = new Fifo<Message<B>>();
  readonly #running = new Map<AbortController, Message<B>>();
  #isPumping = false;
  #isStopping = false;
  #why: LeveretError | undefined;
  #finish: (why: LeveretError | undefined) => void = () => undefined;

  /** @internal */
  constructor(session: Session, queue: string, { concurrency = 1, timeout, ...options }: WorkOptions, handler: Handler<B>) {
    this.#session = session;
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#timeoutMs = timeout === undefined ? undefined : toMs(timeout);
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#subscription = new Subscription(session, 'consume', { prefetch: concurrency * 4, ...options, queue }, this);
  }

  /** Takes nothing new, returns what has not begun, and waits for what runs. */
  async drain(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      const gone = this.#subscription.cancel();
      const waiting = this.#waiting;
      this.#waiting = new Fifo();
      for (const message of waiting) message.release();
      this.#session.flush();
      await gone;
      this.#pump();
    }
    await this.done;
  }

  /** As drain, but what runs is told to stop, and its message goes back at once. */
  close(): Promise<void> {
    const drained = this.drain();
    for (const message of this.#running.values()) message.nack();
    this.lost(new LeveretError('CLOSED', 'the worker was closed'));
    this.#session.flush();
    return drained;
  }

  /** @internal */
  push(message: Message<B>): void {
    this.#waiting.push(message);
    this.#pump();
  }

  /** @internal */
  lost(error = new LeveretError('DISCONNECTED', 'the connection was lost: the message will come again')): void {
    this.#waiting = new Fifo();
    for (const controller of this.#running.keys()) controller.abort(error);
  }

  /** @internal */
  end(error: LeveretError): void {
    this.#isStopping = true;
    this.#why = error;
    this.lost(error);
    if (error.code !== 'CLOSED') this.#session.fault(error);
    this.#pump();
  }

  // A loop, not a call for each: handlers that end at once would nest.
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#running.size < this.#concurrency) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      this.#run(message);
    }
    this.#isPumping = false;
    if (this.#isStopping && this.#running.size === 0) this.#finish(this.#why);
  }

  #run(message: Message<B>): void {
    const controller = new AbortController();
    this.#running.set(controller, message);
    // Time over: the message goes back now; the place in the pool is free only when the handler ends.
    const overdue = (): void => {
      const error = new LeveretError('TIMEOUT', `message ${message.id} took its handler more than ${this.#timeoutMs} ms`);
      controller.abort(error);
      if (message.reject({ requeue: true })) this.#session.fault(error);
    };
    const stop = this.#timeoutMs === undefined ? undefined : this.#session.ports.after(this.#timeoutMs, overdue);
    const ended = (): void => {
      stop?.();
      this.#running.delete(controller);
      this.#pump();
    };
    const returned = (): void => {
      message.ack();
      ended();
    };
    const threw = (thrown: unknown): void => {
      const error = toLeveretError(thrown, 'REMOTE');
      const isDrop = thrown instanceof Drop;
      // Not a fault when it was settled before: a handler that stopped because it was told to has not failed.
      if (message.reject({ requeue: !isDrop && error.code !== 'UNREADABLE' }) && !isDrop) this.#session.fault(error);
      ended();
    };
    try {
      const result = this.#handler(message, controller);
      if (typeof result === 'object' && result !== null) Promise.resolve(result).then(returned, threw);
      else returned();
    } catch (thrown) {
      threw(thrown);
    }
  }
}
