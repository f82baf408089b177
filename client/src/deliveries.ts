// Reading a queue by a loop: one message at a time, or in batches.
// Always: (1) leaving the loop cancels the consumer, then gives back all that is unacked, what was not handed out without counting as an attempt; (2) at most `prefetch`
// messages are unacked. Refuses: to ack by itself.

import { toMs } from './duration.ts';
import type { LeveretError } from './error.ts';
import { Feed } from './feed.ts';
import type { Message } from './message.ts';
import type { BatchOptions, ConsumeOptions } from './options.ts';
import type { ClientPorts } from './ports.ts';
import { toArguments } from './declare.ts';
import type { Session } from './session.ts';
import { Subscription, type Reader, type Subject } from './subscription.ts';

const PREFETCH = 100;

export function consumeSubject(queue: string, { prefetch = PREFETCH, noAck = false, exclusive = false, priority = 0, ...rest }: ConsumeOptions): Subject {
  return { op: 'consume', fields: { queue, prefetch, noAck, exclusive, priority, arguments: toArguments(rest.arguments) } };
}

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
export class Deliveries<B = unknown> extends Feed<Message<B>> implements Reader {
  readonly #subscription: Subscription;
  readonly #session: Session;
  readonly #compactAt: number;
  #held: Message<B>[] = [];

  /** @internal */
  constructor(session: Session, queue: string, options: ConsumeOptions) {
    super();
    this.#session = session;
    this.#compactAt = 2 * (options.prefetch ?? PREFETCH) + 16;
    this.#subscription = new Subscription(session, consumeSubject(queue, options), this);
    session.start(this.#subscription);
  }

  /** @internal */
  message(message: Message): void {
    this.push(message as Message<B>);
  }
  /** @internal */
  lost(): void {
    this.clear();
    this.#held = [];
  }
  /** @internal */
  ended(error: LeveretError): void {
    this.end(error);
  }

  protected override taken(message: Message<B>): void {
    if (this.#held.length >= this.#compactAt) this.#held = this.#held.filter((held) => !held.isSettled);
    this.#held.push(message);
  }

  protected override cancelled(left: Message<B>[]): Promise<void> {
    const gone = this.#subscription.cancel();
    for (const message of this.#held) message.nack();
    for (const message of left) message.release();
    this.#held = [];
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
      const first = await next;
      if (first.done) return undefined;
      const messages = [first.value];
      let isDue = false;
      let stop = (): void => undefined;
      const due = new Promise<undefined>((resolve) => {
        stop = ports.after(withinMs, () => {
          isDue = true;
          resolve(undefined);
        });
      });
      next = deliveries.next();
      while (messages.length < size && !isDue) {
        const more = await Promise.race([next, due]);
        if (more === undefined || more.done) break;
        messages.push(more.value);
        next = deliveries.next();
      }
      stop();
      // What was asked for and has not come is the next batch's first; until then its failure has no owner but the next `await`.
      next.catch(() => undefined);
      yield new Batch(messages);
    }
  } finally {
    await deliveries.cancel();
  }
}
