// Reading a queue by a loop.
// Always: (1) leaving the loop cancels the consumer, then gives back all that is unacked, what was not handed out without counting as an attempt; (2) at most `prefetch`
// messages are unacked. Refuses: to ack by itself.

import { Feed } from './feed.ts';
import type { Message } from './message.ts';
import type { ConsumeOptions } from './options.ts';
import type { Session } from './session.ts';

const PREFETCH = 100;

/**
 * The messages of a queue, for `for await`: see {@link Queue.consume}.
 * ```ts
 * await mq.declareQueue('inbox');
 * await mq.queue('inbox').publish('hello');
 * for await (const msg of mq.queue('inbox').consume({ prefetch: 1 })) {
 *   console.log(msg.body);
 *   msg.ack();
 *   break; // cancels, and returns what is unacked at once
 * }
 * ```
 */
export class Deliveries<B = unknown> extends Feed<Message<B>> {
  readonly #compactAt: number;
  #held: Message<B>[] = [];

  /** @internal */
  constructor(session: Session, queue: string, { prefetch = PREFETCH, ...options }: ConsumeOptions) {
    super(session, 'consume', { ...options, queue, prefetch });
    this.#compactAt = 2 * prefetch + 16;
  }

  /** @internal */
  lost(): void {
    this.clear();
    this.#held = [];
  }

  protected override taken(message: Message<B>): void {
    if (this.#held.push(message) > this.#compactAt) this.#held = this.#held.filter((held) => !held.isSettled);
  }

  protected override left(messages: Iterable<Message<B>>): void {
    for (const message of this.#held.splice(0)) message.nack();
    for (const message of messages) message.release();
  }
}
