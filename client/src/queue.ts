// A queue by name: publish to it, work on it, read it, look at it. Holds nothing: make one whenever it is handy.

import type { Batch } from './batches.ts';
import { Deliveries } from './deliveries.ts';
import type { Message } from './message.ts';
import type { BatchOptions, ConsumeOptions, Published, PublishOptions, QueueInfo, WorkOptions } from './options.ts';
import type { Session } from './session.ts';
import { type Handler, Worker } from './worker.ts';

/**
 * A queue: see {@link Connection.queue}.
 * ```ts
 * await mq.declareQueue('parcels');
 * await mq.queue('parcels').publish({ weight: 2 });
 * const { ready } = await mq.queue('parcels').inspect();
 * console.log(ready);
 * ```
 */
export class Queue<B = unknown> {
  readonly name: string;
  readonly #session: Session;

  /** @internal */
  constructor(session: Session, name: string) {
    this.#session = session;
    this.name = name;
  }

  /** Straight to this queue, through the default exchange. As {@link Exchange.publish}. */
  publish(body: B, options?: PublishOptions): Promise<Published> {
    return this.#session.publish('', this.name, body, options);
  }

  /**
   * A pool of handlers. Return acks. Throw rejects with requeue: the message counts a failed attempt and comes again, until the queue's delivery limit
   * dead-letters it. `throw new Drop(reason)` dead-letters at once.
   * ```ts
   * await mq.declareQueue('mails');
   * await using worker = mq.queue<{ to: string }>('mails').work({ concurrency: 4, timeout: '1m' }, async (msg) => {
   *   if (msg.body.to === '') throw new Drop('no address');
   * });
   * ```
   */
  work(options: WorkOptions, handler: Handler<B>): Worker<B> {
    return new Worker(import('./pool.ts').then(({ Pool }) => new Pool(this.#session, this.name, options, handler)));
  }

  /** The messages as they come, for `for await`. Leaving the loop cancels, and returns what is unacked at once. */
  consume(options: ConsumeOptions = {}): Deliveries<B> {
    return new Deliveries<B>(this.#session, this.name, options);
  }

  /**
   * Messages in batches, for `for await`: a full one at once, a smaller one when `within` has passed since its first message.
   * ```ts
   * await mq.declareQueue('clicks');
   * await mq.queue('clicks').publish({ x: 1 });
   * for await (const batch of mq.queue('clicks').batches({ size: 500, within: '20ms' })) {
   *   console.log(batch.messages.length);
   *   batch.ack();
   *   break;
   * }
   * ```
   */
  async *batches(options: BatchOptions): AsyncGenerator<Batch<B>, undefined, undefined> {
    return yield* (await import('./batches.ts')).gather<B>(this.#session, this.name, options);
  }

  /** One message, or undefined when none is ready. */
  async get(options: { readonly noAck?: boolean } = {}): Promise<Message<B> | undefined> {
    return (await import('./json-message.ts')).getMessage(this.#session, { ...options, queue: this.name });
  }

  /** Settings, arguments and counters. */
  inspect(): Promise<QueueInfo> {
    return this.#session.request('queue.inspect', { queue: this.name });
  }

  /** Removes what is ready; answers how many. */
  async purge(): Promise<number> {
    return (await this.#session.request('queue.purge', { queue: this.name })).messageCount;
  }

  /** Answers how many messages went with it; 0 also when there was no such queue. */
  async delete(options: { readonly ifUnused?: boolean; readonly ifEmpty?: boolean } = {}): Promise<number> {
    return (await this.#session.request('queue.delete', { queue: this.name, ...options })).messageCount;
  }
}
