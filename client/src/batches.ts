// Reading a queue by a loop, in batches. Loaded by the first `batches`.
// Always: a batch is full, or its time is over, or the loop is; leaving the loop is leaving the deliveries it gathers.

import { Deliveries } from './deliveries.ts';
import { toMs } from './duration.ts';
import type { Message } from './message.ts';
import type { BatchOptions } from './options.ts';
import type { Session } from './session.ts';

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
  session: Session,
  queue: string,
  { size, within, prefetch = size * 2 }: BatchOptions,
): AsyncGenerator<Batch<B>, undefined, undefined> {
  const deliveries = new Deliveries<B>(session, queue, { prefetch });
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
          stop = session.ports.after(withinMs, () => resolve(undefined));
        });
      }
      stop?.();
      yield new Batch(messages);
    }
  } finally {
    await deliveries.cancel();
  }
}
