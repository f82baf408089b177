// Statistics pushed by the broker. Always: a reader that is late misses the oldest samples; sums are over the queues that were asked for.

import type { Sample } from '../../shared/protocol/control.ts';
import { toMs } from './duration.ts';
import type { LeveretError } from './error.ts';
import { Feed } from './feed.ts';
import type { Stats, StatsOptions } from './options.ts';
import type { Session } from './session.ts';
import { Subscription, type Reader } from './subscription.ts';

const SAMPLES_KEPT = 16;

/**
 * Samples, for `for await`: see {@link Connection.stats}.
 * ```ts
 * const feed: StatsFeed = mq.stats({ queues: 'billing*', every: '250ms' });
 * for await (const s of feed) { console.log(s.ready, s.publishRate); break; }
 * ```
 */
export class StatsFeed extends Feed<Stats> implements Reader {
  readonly #subscription: Subscription;

  /** @internal */
  constructor(session: Session, { queues = '*', every = '1s' }: StatsOptions) {
    super(SAMPLES_KEPT);
    this.#subscription = new Subscription(session, { op: 'stats.open', fields: { queues, everyMs: toMs(every) } }, this);
    session.start(this.#subscription);
  }

  /** @internal */
  sample({ at, broker, queues }: Sample): void {
    const sums = { ready: 0, unacked: 0, publishRate: 0, deliverRate: 0, ackRate: 0 };
    for (const queue of queues) {
      sums.ready += queue.ready;
      sums.unacked += queue.unacked;
      sums.publishRate += queue.publishRate ?? 0;
      sums.deliverRate += queue.deliverRate ?? 0;
      sums.ackRate += queue.ackRate ?? 0;
    }
    this.push({ at, broker, queues, ...sums });
  }
  /** @internal */
  ended(error: LeveretError): void {
    this.end(error);
  }
  protected override cancelled(): Promise<void> {
    return this.#subscription.cancel();
  }
}
