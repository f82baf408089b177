// Statistics pushed by the broker. Always: a reader that is late misses the oldest samples; sums are over the queues that were asked for.

import type { Sample } from '../../shared/protocol/control.ts';
import { toMs } from './duration.ts';
import { Feed } from './feed.ts';
import type { Stats, StatsOptions } from './options.ts';
import type { Session } from './session.ts';
import { Subscription } from './subscription.ts';

const SAMPLES_KEPT = 16;

/**
 * Samples, for `for await`: see {@link Connection.stats}.
 * ```ts
 * const feed: StatsFeed = mq.stats({ queues: 'billing*', every: '250ms' });
 * for await (const s of feed) { console.log(s.ready, s.publishRate); break; }
 * ```
 */
export class StatsFeed extends Feed<Stats> {
  readonly #subscription: Subscription<never>;

  /** @internal */
  constructor(session: Session, { queues = '*', every = 1_000 }: StatsOptions) {
    super(SAMPLES_KEPT);
    this.#subscription = new Subscription(session, 'stats.open', { queues, everyMs: toMs(every) }, {
      sample: (sample) => this.push(withSums(sample)),
      cancel: () => this.cancel(),
      end: (error) => this.end(error),
    });
  }

  protected override cancelled(): Promise<void> {
    return this.#subscription.cancel();
  }
}

function withSums({ at, broker, queues }: Sample): Stats {
  const sums = { ready: 0, unacked: 0, publishRate: 0, deliverRate: 0, ackRate: 0 };
  for (const name of ['ready', 'unacked', 'publishRate', 'deliverRate', 'ackRate'] as const) {
    for (const queue of queues) sums[name] += queue[name] ?? 0;
  }
  return { at, broker, queues, ...sums };
}
