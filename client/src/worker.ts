// A pool of handlers on one queue.
// Always: (1) at most `concurrency` handlers run; (2) a handler that returns acks, unless it settled the message itself; one that throws rejects with
// requeue: the message goes back to its place and counts as a failed attempt, so the queue's delivery limit and dead-letter exchange decide (without a
// limit it comes again at once); Drop, and a body that cannot be read, reject without requeue; (3) what was prefetched and not begun goes back, uncounted.
// Refuses: to end a process because a handler threw; that goes to `fault` listeners.

import { Ring } from '../../shared/ring.ts';
import { consumeSubject } from './deliveries.ts';
import { asyncDispose } from './dispose.ts';
import { toMs } from './duration.ts';
import { Drop, LeveretError, toLeveretError } from './error.ts';
import type { Message } from './message.ts';
import type { WorkOptions } from './options.ts';
import type { ClientPorts } from './ports.ts';
import type { Session } from './session.ts';
import { Subscription, type Reader } from './subscription.ts';

/** What a handler gets beside the message. */
export interface WorkContext {
  /** Aborts when the handler's time is over, its connection is lost (the message will come again), or the worker is closed. */
  readonly signal: AbortSignal;
}

/** What works on a message. What it returns is not looked at, but waited for. */
export type Handler<B> = (message: Message<B>, context: WorkContext) => unknown;

/** One running handler. The signal is made when it is asked for: most handlers never do. */
class Run<B> implements WorkContext {
  readonly message: Message<B>;
  stopTimer: (() => void) | undefined;
  #controller: AbortController | undefined;
  #reason: LeveretError | undefined;

  constructor(message: Message<B>) {
    this.message = message;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: LeveretError): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }
}

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
export class Worker<B = unknown> implements Reader {
  /** Resolves when the worker has ended for good: with nothing when it was drained or closed here, else with the reason. */
  readonly done: Promise<LeveretError | undefined>;
  readonly #session: Session;
  readonly #subscription: Subscription;
  readonly #handler: Handler<B>;
  readonly #concurrency: number;
  readonly #timeoutMs: number | undefined;
  readonly #ports: ClientPorts;
  #waiting = new Ring<Message<B>>();
  readonly #running = new Set<Run<B>>();
  #isPumping = false;
  #isStopping = false;
  #why: LeveretError | undefined;
  #finish: (why: LeveretError | undefined) => void = () => undefined;

  /** @internal */
  constructor(session: Session, queue: string, options: WorkOptions, handler: Handler<B>) {
    const { concurrency = 1, timeout, prefetch = concurrency * 4, ...rest } = options;
    this.#session = session;
    this.#ports = session.ports;
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#timeoutMs = timeout === undefined ? undefined : toMs(timeout);
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#subscription = new Subscription(session, consumeSubject(queue, { ...rest, prefetch }), this);
    session.start(this.#subscription);
  }

  /** Takes nothing new, returns what has not begun, and waits for what runs. */
  async drain(): Promise<void> {
    await this.#stop();
    await this.done;
  }

  /** As drain, but what runs is told to stop, and its message goes back at once. */
  async close(): Promise<void> {
    const stopped = this.#stop();
    for (const run of this.#running) {
      run.abort(new LeveretError('CLOSED', 'the worker was closed'));
      run.message.nack();
    }
    this.#session.flush();
    await stopped;
    await this.done;
  }

  [asyncDispose](): Promise<void> {
    return this.drain();
  }

  /** @internal */
  message(message: Message): void {
    if (this.#isStopping) {
      message.release();
      return;
    }
    this.#waiting.push(message as Message<B>);
    if (!this.#isPumping) this.#pump();
  }

  /** @internal */
  lost(): void {
    this.#waiting = new Ring();
    for (const run of this.#running) run.abort(new LeveretError('DISCONNECTED', 'the connection was lost: the message will come again'));
  }

  /** @internal */
  ended(error: LeveretError): void {
    this.#isStopping = true;
    this.#why = error;
    this.lost();
    if (error.code !== 'CLOSED') this.#session.fault(error);
    this.#endIfIdle();
  }

  async #stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const gone = this.#subscription.cancel();
    for (const message of this.#waiting) message.release();
    this.#waiting = new Ring();
    this.#session.flush();
    await gone;
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#isStopping && this.#running.size === 0) this.#finish(this.#why);
  }

  // A loop, not a call for each: handlers that end at once would nest.
  #pump(): void {
    this.#isPumping = true;
    while (this.#running.size < this.#concurrency) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      this.#run(message);
    }
    this.#isPumping = false;
    this.#endIfIdle();
  }

  #run(message: Message<B>): void {
    const run = new Run(message);
    this.#running.add(run);
    if (this.#timeoutMs !== undefined) run.stopTimer = this.#ports.after(this.#timeoutMs, () => this.#overdue(run));
    try {
      const result = this.#handler(message, run);
      if (isThenable(result)) {
        result.then(
          () => this.#returned(run),
          (error: unknown) => this.#threw(run, error),
        );
      } else this.#returned(run);
    } catch (error) {
      this.#threw(run, error);
    }
  }

  #returned(run: Run<B>): void {
    run.message.ack();
    this.#next(run);
  }

  #threw(run: Run<B>, thrown: unknown): void {
    const error = toLeveretError(thrown, 'REMOTE');
    const isHopeless = thrown instanceof Drop || error.code === 'UNREADABLE';
    const wasSettled = run.message.isSettled;
    run.message.reject({ requeue: !isHopeless });
    // A handler that stopped because it was told to has not failed.
    if (!wasSettled && !(thrown instanceof Drop)) this.#session.fault(error);
    this.#next(run);
  }

  /** The message goes back now; the place in the pool is free only when the handler ends. */
  #overdue(run: Run<B>): void {
    const error = new LeveretError('TIMEOUT', `the handler of message ${run.message.id} took longer than ${this.#timeoutMs} ms`);
    run.abort(error);
    if (run.message.reject({ requeue: true })) this.#session.fault(error);
  }

  #next(run: Run<B>): void {
    run.stopTimer?.();
    this.#running.delete(run);
    if (!this.#isPumping) this.#pump();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
