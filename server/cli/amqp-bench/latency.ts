// How long something took, as percentiles: a histogram in microseconds, three digits, up to a minute.

import { build, type Histogram } from 'hdr-histogram-js';

const US_MAX = 60_000_000;
const PERCENTILES = [50, 90, 99, 99.9] as const;

export class Latency {
  readonly #histogram: Histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: US_MAX, numberOfSignificantValueDigits: 3 });

  record(us: number): void {
    this.#histogram.recordValue(us < 1 ? 1 : us > US_MAX ? US_MAX : Math.round(us));
  }

  reset(): void {
    this.#histogram.reset();
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  add(other: Latency): void {
    this.#histogram.add(other.#histogram);
  }

  /** `p50` to `p99.9`, mean and max, in microseconds. */
  figures(): Record<string, number> {
    const of = this.#histogram;
    const entries = PERCENTILES.map((percentile) => [`p${percentile}`, of.getValueAtPercentile(percentile)] as const);
    return { ...Object.fromEntries(entries), mean: Math.round(of.mean * 10) / 10, max: of.maxValue };
  }

  toString(): string {
    return Object.entries(this.figures())
      .filter(([name]) => name !== 'mean')
      .map(([name, us]) => `${name} ${us < 1_000 ? `${us} us` : `${(us / 1_000).toFixed(us < 10_000 ? 2 : 1)} ms`}`)
      .join('  ');
  }
}
