// The counters of one thing at the last two samples, and so its rates.
// Always: (1) a rate is what was counted between these two, by the time between them: 0 until there are two; (2) a track never allocates after its
// second sample.
// Refuses: to sample (sampler.ts).

import { COUNTERS, type Counter } from './traffic.ts';

// Of the average of how fast a queue empties: half a minute smooths what consumers' prefetch takes in gulps.
const DRAIN_MS = 30_000;

export class Track<Name extends string> {
  readonly names: readonly Name[];
  #at = 0;
  #previousAt = 0;
  #latest: number[] = [];
  #previous: number[] = [];

  constructor(names: readonly Name[]) {
    this.names = names;
  }

  /** The array to fill with the counters of now. */
  begin(at: number): number[] {
    this.#previousAt = this.#at;
    this.#at = at;
    const next = this.#previous;
    this.#previous = this.#latest;
    this.#latest = next;
    return next;
  }

  get latest(): readonly number[] {
    return this.#latest;
  }
  /** When it was sampled last; 0: never. */
  get at(): number {
    return this.#at;
  }
  get elapsedMs(): number {
    return this.#previousAt === 0 ? 0 : this.#at - this.#previousAt;
  }

  /** As it stood at the last sample. */
  total(name: Name): number {
    return this.#latest[this.names.indexOf(name)] ?? 0;
  }
  /** Per second. */
  rate(name: Name): number {
    const { elapsedMs } = this;
    if (elapsedMs <= 0) return 0;
    const at = this.names.indexOf(name);
    return (((this.#latest[at] ?? 0) - (this.#previous[at] ?? 0)) * 1000) / elapsedMs;
  }
}

const EXCHANGE_COUNTERS = ['publish_in', 'publish_out'] as const;
export type ExchangeCounter = (typeof EXCHANGE_COUNTERS)[number];
export class ExchangeTrack extends Track<ExchangeCounter> {
  constructor() {
    super(EXCHANGE_COUNTERS);
  }
}

/** Of what comes from publishers: `publish` once a message, routed or not. */
const PUBLISHER_COUNTERS = ['publish', 'confirm', 'drop_unroutable', 'return_unroutable'] as const;
export class PublisherTrack extends Track<(typeof PUBLISHER_COUNTERS)[number]> {
  constructor() {
    super(PUBLISHER_COUNTERS);
  }
}

/** Counters, and how many messages there are. */
export class LevelTrack extends Track<Counter> {
  ready = 0;
  unacked = 0;
  /** Per second; below 0 while it gets less. */
  readyRate = 0;
  unackedRate = 0;

  constructor() {
    super(COUNTERS);
  }

  noteLevels(ready: number, unacked: number): void {
    const { elapsedMs } = this;
    if (elapsedMs > 0) {
      this.readyRate = ((ready - this.ready) * 1000) / elapsedMs;
      this.unackedRate = ((unacked - this.unacked) * 1000) / elapsedMs;
    }
    this.ready = ready;
    this.unacked = unacked;
  }
}

export class QueueTrack extends LevelTrack {
  /** Messages that the queue loses per second, net of what comes in; below 0 while it grows. An average over half a minute. */
  drainRate = 0;

  override noteLevels(ready: number, unacked: number): void {
    super.noteLevels(ready, unacked);
    const { elapsedMs } = this;
    if (elapsedMs > 0) this.drainRate -= (this.readyRate + this.unackedRate + this.drainRate) * (1 - Math.exp(-elapsedMs / DRAIN_MS));
  }
}
