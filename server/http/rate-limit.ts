// How many requests a user may make: so many a second, and as many at once. A bucket each, filled by the clock.
// Always: (1) a user who asks no more than the rate is never refused; (2) buckets that are full again are forgotten.
// Refuses: to know who is exempt; api.ts does.

import type { Clock } from '../ports.ts';

/** Above so many, those who have not asked of late are forgotten. */
const BUCKETS_KEPT = 1_000;
const SECOND_MS = 1_000;

interface Bucket {
  left: number;
  at: number;
}

export class RateLimit {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Whether this user may make one more request now. */
  take(user: string): boolean {
    const now = this.#clock.now();
    if (this.#buckets.size >= BUCKETS_KEPT) this.#forget(now);
    const bucket = this.#buckets.get(user) ?? { left: this.#perSecond, at: now };
    const left = Math.min(this.#perSecond, bucket.left + ((now - bucket.at) * this.#perSecond) / SECOND_MS);
    this.#buckets.set(user, { left: left < 1 ? left : left - 1, at: now });
    return left >= 1;
  }

  #forget(now: number): void {
    for (const [user, { at }] of this.#buckets) if (now - at >= SECOND_MS) this.#buckets.delete(user);
  }
}
