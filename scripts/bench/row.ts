// What one row of the benchmark is: a name, a target, and a function that measures.
// Always: (1) a row answers a number or throws: no number is a fault of the benchmark, a missed target is not; (2) every figure is a
// median of several short runs, because neighbours make machines noisy; (3) ratios are taken run by run, baseline next to subject.
// Refuses: to fail for being slow. A target is printed beside its result, for people to judge.

/** How much work a run does: the whole thing, or one short round of everything for `--smoke`. */
export interface Effort {
  /** Runs whose median counts. */
  readonly rounds: number;
  /** One run of a load, after its warm-up. */
  readonly runMs: number;
  readonly warmUpMs: number;
  /** Messages of one run in process. */
  readonly messages: number;
  /** Messages that wait in a queue while its memory is measured. */
  readonly queued: number;
  /** Durable messages that a start finds. */
  readonly backlog: number;
  /** The same of the row that shows what ten million do. */
  readonly longBacklog: number;
  /** Of the rows that compare with RabbitMQ. */
  readonly amqp: AmqpEffort;
}

export interface AmqpEffort {
  /** Runs of each broker, in turn, whose median counts. */
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly queues: number;
  readonly connections: number;
  readonly backlog: number;
  /** Of the topic exchanges, this share of what the row says. */
  readonly bindingsShare: number;
  /** The rows share one pair of brokers. */
  readonly isShared: boolean;
}

export const FULL: Effort = {
  rounds: 5,
  runMs: 1_500,
  warmUpMs: 500,
  messages: 400_000,
  queued: 1_000_000,
  backlog: 1_000_000,
  longBacklog: 10_000_000,
  amqp: {
    rounds: 3,
    seconds: 5,
    warmUpSeconds: 2,
    queues: 10_000,
    connections: 1_000,
    backlog: 1_000_000,
    bindingsShare: 1,
    isShared: false,
  },
};
export const SMOKE: Effort = {
  rounds: 1,
  runMs: 300,
  warmUpMs: 100,
  messages: 40_000,
  queued: 200_000,
  backlog: 50_000,
  longBacklog: 200_000,
  amqp: { rounds: 1, seconds: 0.3, warmUpSeconds: 0.1, queues: 200, connections: 50, backlog: 20_000, bindingsShare: 0.1, isShared: true },
};

export interface Target {
  readonly at: 'most' | 'least';
  readonly value: number;
}

export interface Figure {
  readonly value: number;
  /** What else there is to know, in a few words: absolute rates, spread. */
  readonly note: string;
  /** Messages a second that the load generator could make if the other side cost nothing. */
  readonly ceiling?: number;
  /** The ceiling is below 1.2 times the result: the row measures the generator as much as the broker. */
  readonly generatorBound?: boolean;
}

export interface Row {
  readonly name: string;
  readonly what: string;
  readonly unit: string;
  readonly target: Target;
  /** Left out unless `--only` names it: what it takes. */
  readonly onlyByName?: string;
  /** Another broker that it needs here: left out where there is none, and unless it was asked for. */
  readonly peer?: 'RabbitMQ';
  measure(effort: Effort): Promise<Figure>;
}

export function meets(target: Target, value: number): boolean {
  return target.at === 'most' ? value <= target.value : value >= target.value;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[sorted.length % 2 === 1 ? middle : middle - 1];
  if (upper === undefined || lower === undefined) throw new Error('a median needs at least one run');
  return (lower + upper) / 2;
}

/** Three digits that matter, thousands grouped: 1,234,000 stays 1,234,000 and 0.41237 becomes 0.412. */
export function display(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)));
}
