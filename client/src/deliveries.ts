// Reading a queue by a loop: one message at a time, or in batches.
// Always: (1) leaving the loop cancels the consumer, then gives back all that is unacked, what was not handed out without counting as an attempt; (2) at most `prefetch`
// messages are unacked. Refuses: to ack by itself.

import { toMs } from './duration.ts';
import { Feed } from './feed.ts';
import type { Message } from './message.ts';
import type { BatchOptions, ConsumeOptions } from './options.ts';
import type { ClientPorts } from './ports.ts';
import type { Session } from './session.ts';
import { Subscription, type Reader } from './subscription.ts';

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
export class Deliveries<B = unknown> extends Feed<Message<B>> implements Reader<B> {
  readonly #subscription: Subscription<B>;
  readonly #session: Session;
  readonly #compactAt: number;
  #held: Message<B>[] = [];

  /** @internal */
  constructor(session: Session, queue: string, options: ConsumeOptions) {
    super();
    const prefetch = options.prefetch ?? PREFETCH;
    this.#session = session;
    this.#compactAt = 2 * prefetch + 16;
    this.#subscription = new Subscription(session, 'consume', { ...options, queue, prefetch }, this);
  }

  /** @internal */
  lost(): void {
    this.clear();
    this.#held = [];
  }

  protected override taken(message: Message<B>): void {
    if (this.#held.push(message) > this.#compactAt) this.#held = this.#held.filter((held) => !held.isSettled);
  }

  protected override cancelled(left: Iterable<Message<B>>): Promise<void> {
    const gone = this.#subscription.cancel();
    for (const message of this.#held.splice(0)) message.nack();
    for (const message of left) message.release();
    this.#session.flush();
    return gone;
  }
}

/**
 * Some messages that are settled together: see {@link Queue.batches}.
 * ```ts
 * const sizes = (batch: Batch): number => batch.messages.length;
 * console.log(typeof sizes);
 * ```
 */
export class Batch<B = unknown> {
  readonly messages: readonly Message<B>[];

  /** @internal */
  constructor(messages: readonly Message<B>[]) {
    this.messages = messages;
  }

  /** Acks each that is not settled. */
  ack(): void {
    for (const message of this.messages) message.ack();
  }
  /** Returns each that is not settled to the queue. */
  nack(options?: { readonly requeue?: boolean }): void {
    for (const message of this.messages) message.nack(options);
  }
}

/** Gathers what comes into batches. Leaving the loop is leaving `deliveries`. */
export async function* gather<B>(
  deliveries: Deliveries<B>, { size, within }: BatchOptions, ports: ClientPorts,
): AsyncGenerator<Batch<B>, undefined, undefined> {
  const withinMs = toMs(within);
  let next = deliveries.next();
  try {
    for (;;) {
      const messages: Message<B>[] = [];
      let stop: (() => void) | undefined;
      let due: Promise<undefined> | undefined;
      while (messages.length < size) {
        const more = await (due ? Promise.race([next, due]) : next);
        if (more === undefined) break;
        if (more.done) return undefined;
        messages.push(more.value);
        next = deliveries.next();
        // Until it is awaited again, its failure has no owner.
        next.catch(() => undefined);
        due ??= new Promise((resolve) => {
          stop = ports.after(withinMs, () => resolve(undefined));
        });
      }
      stop?.();
      yield new Batch(messages);
    }
  } finally {
    await deliveries.cancel();
  }
}
