// How often a figure fell into which range. Always: counts only grow, and `sum` is of what was observed. Refuses: quantiles, whoever reads makes them.

export class Histogram {
  /** Upper bounds, ascending; above the last there is one range more. */
  readonly bounds: readonly number[];
  /** One more than there are bounds. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > (this.bounds[at] as number)) at++;
    this.counts[at] = (this.counts[at] as number) + 1;
    this.sum += value;
  }
}
