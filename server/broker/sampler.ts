// Looks at every counter once per interval and makes rates and ages of them: the one sampler for metrics, the HTTP API and alerts.
// Always: (1) it stands still until `start`, and holds no timer after `close`; (2) a sample is taken within one turn, in time linear in queues, exchanges
// and vhosts; (3) what is gone is forgotten with it: tracks hang on queues and exchanges weakly.
// Refuses: to act on what it sees; who listens does.

import type { Timer } from '../ports.ts';
import type { Broker } from './broker.ts';
import { deadLetterQueues } from './dead-letter-targets.ts';
import { EnqueueMarks } from './enqueue-marks.ts';
import type { Exchange } from './exchange.ts';
import type { Queue } from './queue.ts';
import { ExchangeTrack, LevelTrack, PublisherTrack, QueueTrack } from './tracks.ts';
import { addCounters, COUNTERS, readCounters } from './traffic.ts';
import type { Vhost } from './vhost.ts';

// RabbitMQ's collect_statistics_interval.
const INTERVAL_MS = 5_000;

export class Sampler {
  readonly intervalMs: number;
  /** All vhosts together. */
  readonly all = new LevelTrack();
  readonly publishers = new PublisherTrack();
  readonly #queues = new WeakMap<Queue, QueueTrack>();
  readonly #marks = new WeakMap<Queue, EnqueueMarks>();
  readonly #exchanges = new WeakMap<Exchange, ExchangeTrack>();
  readonly #vhosts = new Map<string, LevelTrack>();
  readonly #broker: Broker;
  readonly #listeners = new Set<() => void>();
  #deadLetterQueues: ReadonlySet<Queue> = new Set();
  #timer: Timer | undefined;

  constructor(broker: Broker, intervalMs = INTERVAL_MS) {
    this.#broker = broker;
    this.intervalMs = intervalMs;
  }

  /** Samples now and every interval from now on. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.sample();
    this.#arm();
  }
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Calls `listener` after each sample; answers how to stop. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rates of what was sampled; undefined until the first sample that met it. */
  queue(queue: Queue): QueueTrack | undefined {
    return this.#queues.get(queue);
  }
  exchange(exchange: Exchange): ExchangeTrack | undefined {
    return this.#exchanges.get(exchange);
  }
  vhost(name: string): LevelTrack | undefined {
    return this.#vhosts.get(name);
  }

  /** As of the last sample. */
  get deadLetterQueues(): ReadonlySet<Queue> {
    return this.#deadLetterQueues;
  }

  /** How long the oldest ready message has been in `queue`, at least (enqueue-marks.ts says how exact that is); 0 when none is ready. */
  oldestAgeMs(queue: Queue): number {
    const oldest = queue.oldestReadySeq;
    return oldest === 0 ? 0 : (this.#marks.get(queue)?.ageMs(oldest, this.#broker.clock.now()) ?? 0);
  }

  /** How long until nothing is ready, at the pace of the last half minute; Infinity while it does not get less. */
  drainMs(queue: Queue): number {
    if (queue.readyCount === 0) return 0;
    const rate = this.#queues.get(queue)?.drainRate ?? 0;
    return rate > 0 ? (queue.readyCount * 1000) / rate : Number.POSITIVE_INFINITY;
  }

  sample(): void {
    const now = this.#broker.clock.now();
    const all = this.all.begin(now);
    for (let i = 0; i < COUNTERS.length; i++) all[i] = 0;
    let [ready, unacked] = [0, 0];
    for (const vhost of this.#broker.vhosts.values()) {
      const track = this.#sampleVhost(vhost, now);
      addCounters(track.latest, all);
      ready += track.ready;
      unacked += track.unacked;
    }
    for (const name of this.#vhosts.keys()) if (this.#broker.vhost(name) === undefined) this.#vhosts.delete(name);
    addCounters(this.#retiredElsewhere(), all);
    this.all.noteLevels(ready, unacked);
    this.#samplePublishers(now);
    this.#deadLetterQueues = deadLetterQueues(this.#broker);
    for (const listener of this.#listeners) listener();
  }

  /** Of queues in vhosts that are gone: the total must not fall. */
  #retiredElsewhere(): number[] {
    const left = this.#broker.totals.allRetired();
    for (const { name } of this.#broker.vhosts.values()) {
      const retired = this.#broker.totals.retired(name);
      for (let i = 0; i < left.length; i++) left[i] = (left[i] as number) - (retired[i] ?? 0);
    }
    return left;
  }

  #sampleVhost(vhost: Vhost, now: number): LevelTrack {
    let track = this.#vhosts.get(vhost.name);
    if (track === undefined) this.#vhosts.set(vhost.name, (track = new LevelTrack()));
    const sum = track.begin(now);
    const retired = this.#broker.totals.retired(vhost.name);
    for (let i = 0; i < COUNTERS.length; i++) sum[i] = retired[i] as number;
    let [ready, unacked] = [0, 0];
    for (const queue of vhost.queues.values()) {
      addCounters(this.#sampleQueue(queue, now), sum);
      ready += queue.readyCount;
      unacked += queue.unackedCount;
    }
    for (const exchange of vhost.exchanges.values()) this.#sampleExchange(exchange, now);
    track.noteLevels(ready, unacked);
    return track;
  }

  #sampleQueue(queue: Queue, now: number): readonly number[] {
    let track = this.#queues.get(queue);
    if (track === undefined) this.#queues.set(queue, (track = new QueueTrack()));
    readCounters(queue, track.begin(now));
    track.noteLevels(queue.readyCount, queue.unackedCount);
    if (queue.readyCount === 0) this.#marks.delete(queue);
    else {
      let marks = this.#marks.get(queue);
      if (marks === undefined) this.#marks.set(queue, (marks = new EnqueueMarks()));
      marks.note(queue.nextSeq, queue.oldestReadySeq, now, this.intervalMs);
    }
    return track.latest;
  }

  #samplePublishers(now: number): void {
    const { publishedCount, unroutableCount, totals } = this.#broker;
    const into = this.publishers.begin(now);
    into[0] = publishedCount;
    into[1] = totals.confirmed;
    into[2] = unroutableCount - totals.returned;
    into[3] = totals.returned;
  }

  #sampleExchange(exchange: Exchange, now: number): void {
    let track = this.#exchanges.get(exchange);
    if (track === undefined) this.#exchanges.set(exchange, (track = new ExchangeTrack()));
    const into = track.begin(now);
    into[0] = exchange.publishedCount;
    into[1] = exchange.routedCount;
  }

  #arm(): void {
    const { clock } = this.#broker;
    this.#timer = clock.setTimer(clock.now() + this.intervalMs, () => {
      this.#arm();
      this.sample();
    });
  }
}
