// One statistics subscription: samples of some queues at an interval, with rates since the previous one.
// Always: (1) a rate is the growth of a counter over the time between two samples, by the queue's number, so that a queue declared again starts
// anew; (2) a peer that does not read misses samples, it does not pile them up.
// Refuses: history. A dashboard keeps what it wants to draw.

import type { BrokerSample, QueueSample, Sample } from '../../shared/protocol/control.ts';
import type { Clock, Timer } from '../ports.ts';

export interface StatsFeedOptions {
  readonly clock: Clock;
  readonly everyMs: number;
  /** What its session may see now. */
  readonly sample: () => Sample;
  /** Whether the peer can take one now. */
  readonly writable: () => boolean;
  readonly send: (sample: Sample) => void;
}

export class StatsFeed {
  readonly #options: StatsFeedOptions;
  #previous: Sample;
  #timer: Timer;

  constructor(options: StatsFeedOptions) {
    this.#options = options;
    this.#previous = options.sample();
    this.#timer = this.#next();
  }

  close(): void {
    this.#timer.cancel();
  }

  #next(): Timer {
    const { clock, everyMs } = this.#options;
    return clock.setTimer(clock.now() + everyMs, () => {
      this.#timer = this.#next();
      this.#tick();
    });
  }

  #tick(): void {
    const { writable, send } = this.#options;
    if (!writable()) return;
    const sample = this.#options.sample();
    send(withRates(sample, this.#previous));
    this.#previous = sample;
  }
}

/** `sample` with the rates since `previous`. */
export function withRates(sample: Sample, previous: Sample): Sample {
  const seconds = Math.max(0.001, (sample.at - previous.at) / 1000);
  // What is summed over the queues that a session sees falls when one of them goes.
  const rate = (now: number, before: number): number => Math.max(0, Math.round(((now - before) / seconds) * 100) / 100);
  const before = new Map(previous.queues.map((queue) => [queue.number, queue]));
  const queues = sample.queues.map((queue): QueueSample => {
    const { published, delivered, acked } = queue.counts;
    const old = before.get(queue.number)?.counts ?? { published: 0, delivered: 0, acked: 0 };
    return {
      ...queue,
      publishRate: rate(published, old.published),
      deliverRate: rate(delivered, old.delivered),
      ackRate: rate(acked, old.acked),
    };
  });
  const sum = (of: 'deliverRate' | 'ackRate'): number => queues.reduce((total, queue) => total + (queue[of] ?? 0), 0);
  const broker: BrokerSample = {
    ...sample.broker,
    publishRate: rate(sample.broker.published, previous.broker.published),
    deliverRate: sum('deliverRate'),
    ackRate: sum('ackRate'),
  };
  return { at: sample.at, broker, queues };
}
