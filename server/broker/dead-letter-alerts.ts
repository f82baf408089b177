// Tells when dead letters pile up: one alert per dead-letter queue, raised when it passes a limit, cleared when it is well below all of them again.
// Always: (1) it looks once a sample, never per message; (2) a limit that was passed counts as passed until the figure is below CLEARS_AT of it, or an alert
// would flutter; (3) each raise and each clear is told once; (4) a queue that goes clears its alert.
// Refuses: to send anything anywhere (webhook.ts does).

import type { Broker } from './broker.ts';
import type { Queue } from './queue.ts';
import type { Sampler } from './sampler.ts';

const CLEARS_AT = 0.8;
const MINUTE_MS = 60_000;

/** Where given, at least one must be. */
export interface AlertLimits {
  /** Messages in the queue, ready and unacked. */
  readonly depth?: number;
  readonly oldestMs?: number;
  /** Messages more than a minute ago. */
  readonly growthPerMin?: number;
}
const RULES = ['depth', 'oldestMs', 'growthPerMin'] as const;
type Rule = (typeof RULES)[number];

export interface Alert {
  readonly state: 'raised' | 'cleared';
  readonly at: number;
  readonly vhost: string;
  readonly queue: string;
  /** Limits that are passed; of a cleared alert: none. */
  readonly passed: readonly Rule[];
  readonly depth: number;
  readonly oldestMs: number;
  readonly growthPerMin: number;
  readonly limits: AlertLimits;
}

class Watched {
  readonly passed = new Set<Rule>();
  #levels: { readonly at: number; readonly depth: number }[] = [];

  /** How many messages more there are than a minute ago, or than at the first look where that is less. */
  growth(now: number, depth: number): number {
    this.#levels.push({ at: now, depth });
    const within = this.#levels.findIndex(({ at }) => at >= now - MINUTE_MS);
    if (within > 0) this.#levels = this.#levels.slice(within);
    return depth - (this.#levels[0]?.depth ?? depth);
  }
}

export class DeadLetterAlerts {
  readonly #broker: Broker;
  readonly #sampler: Sampler;
  readonly #limits: AlertLimits;
  readonly #tell: (alert: Alert) => void;
  readonly #watched = new Map<Queue, Watched>();
  readonly #stop: () => void;

  constructor(broker: Broker, sampler: Sampler, limits: AlertLimits, tell: (alert: Alert) => void) {
    this.#broker = broker;
    this.#sampler = sampler;
    this.#limits = limits;
    this.#tell = tell;
    this.#stop = sampler.listen(() => this.#look());
  }

  close(): void {
    this.#stop();
  }

  get standing(): number {
    let count = 0;
    for (const { passed } of this.#watched.values()) if (passed.size > 0) count++;
    return count;
  }

  #look(): void {
    const now = this.#broker.clock.now();
    const queues = this.#sampler.deadLetterQueues;
    for (const [queue, watched] of this.#watched) {
      if (queues.has(queue) && !queue.isDeleted) continue;
      this.#watched.delete(queue);
      if (watched.passed.size > 0) this.#say(queue, 'cleared', [], { depth: 0, oldestMs: 0, growthPerMin: 0 }, now);
    }
    for (const queue of queues) if (!queue.isDeleted) this.#lookAt(queue, now);
  }

  #lookAt(queue: Queue, now: number): void {
    let watched = this.#watched.get(queue);
    if (watched === undefined) this.#watched.set(queue, (watched = new Watched()));
    const depth = queue.readyCount + queue.unackedCount;
    const figures = { depth, oldestMs: this.#sampler.oldestAgeMs(queue), growthPerMin: watched.growth(now, depth) };
    const { passed } = watched;
    const before = passed.size;
    let isNew = false;
    for (const rule of RULES) {
      const limit = this.#limits[rule];
      if (limit === undefined) continue;
      if (figures[rule] >= limit) {
        isNew ||= !passed.has(rule);
        passed.add(rule);
      } else if (figures[rule] < limit * CLEARS_AT) passed.delete(rule);
    }
    if (isNew) this.#say(queue, 'raised', [...passed], figures, now);
    else if (before > 0 && passed.size === 0) this.#say(queue, 'cleared', [], figures, now);
  }

  #say(queue: Queue, state: Alert['state'], passed: readonly Rule[], figures: Readonly<Record<Rule, number>>, at: number): void {
    this.#tell({ state, at, vhost: queue.vhost.name, queue: queue.name, passed, ...figures, limits: this.#limits });
  }
}
