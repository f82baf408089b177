// What went through: counters of one queue, and what is left of those of queues that are gone.
// Always: (1) every counter only grows, also when a queue or a connection goes: `Totals` keeps what it had counted; (2) names are those of RabbitMQ's
// message_stats where it has them; (3) taps and what is not a queue of somebody's are not in a total.
// Refuses: rates (sampler.ts) and names of metrics (http/metrics).

import type { QueueCounts } from '../../shared/protocol/control.ts';
import type { Queue } from './queue.ts';

/** In this order in every array of counters. `deliver` and `get` are those that want an ack; `ack` is a consumer's, not auto-ack. */
export const COUNTERS = [
  'publish',
  'deliver',
  'deliver_no_ack',
  'get',
  'get_no_ack',
  'get_empty',
  'ack',
  'redeliver',
  'requeue',
  'expired',
  'dead_lettered',
  'dropped',
  'refused',
  'purged',
] as const;
export type Counter = (typeof COUNTERS)[number];

export function noCounts(): QueueCounts {
  return {
    published: 0,
    delivered: 0,
    redelivered: 0,
    acked: 0,
    requeued: 0,
    expired: 0,
    deadLettered: 0,
    dropped: 0,
    refused: 0,
    purged: 0,
  };
}

/** What QueueCounts (a part of the protocol) does not tell apart. */
export class Traffic {
  deliveredAuto = 0;
  got = 0;
  gotAuto = 0;
  gotNothing = 0;

  out(isAuto: boolean, isGet: boolean): void {
    if (isGet) {
      if (isAuto) this.gotAuto++;
      else this.got++;
    } else if (isAuto) this.deliveredAuto++;
  }
}

/** The counters of `queue`, in the order of COUNTERS. */
export function readCounters({ counts, traffic }: Queue, into: number[]): number[] {
  const { deliveredAuto, got, gotAuto, gotNothing } = traffic;
  into[0] = counts.published;
  into[1] = counts.delivered - deliveredAuto - got - gotAuto;
  into[2] = deliveredAuto;
  into[3] = got;
  into[4] = gotAuto;
  into[5] = gotNothing;
  into[6] = counts.acked - deliveredAuto - gotAuto;
  into[7] = counts.redelivered;
  into[8] = counts.requeued;
  into[9] = counts.expired;
  into[10] = counts.deadLettered;
  into[11] = counts.dropped;
  into[12] = counts.refused;
  into[13] = counts.purged;
  return into;
}

export function indexOfCounter(counter: Counter): number {
  return COUNTERS.indexOf(counter);
}

export function addCounters(from: readonly number[], into: number[]): void {
  for (let i = 0; i < COUNTERS.length; i++) into[i] = (into[i] ?? 0) + (from[i] ?? 0);
}

const NONE: readonly number[] = COUNTERS.map(() => 0);

/** Of the broker as a whole. */
export class Totals {
  /** Publishes to queues: one that three queues took counts three times. */
  routed = 0;
  /** Unroutable and mandatory. */
  returned = 0;
  receivedConfirm = 0;
  confirmed = 0;
  channelsOpened = 0;
  channelsClosed = 0;
  queuesDeclared = 0;
  queuesCreated = 0;
  queuesDeleted = 0;
  readonly #retired = new Map<string, number[]>();
  readonly #scratch: number[] = [];

  /** `queue` is gone: what it counted stays counted. */
  retire(queue: Queue): void {
    if (queue.isTap) return;
    this.queuesDeleted++;
    const { name } = queue.vhost;
    let retired = this.#retired.get(name);
    if (retired === undefined) {
      retired = [...NONE];
      this.#retired.set(name, retired);
    }
    addCounters(readCounters(queue, this.#scratch), retired);
  }

  /** The counters of queues of `vhost` that are gone. */
  retired(vhost: string): readonly number[] {
    return this.#retired.get(vhost) ?? NONE;
  }
  /** The same of all vhosts, those that are gone too. */
  allRetired(): number[] {
    const sum = [...NONE];
    for (const retired of this.#retired.values()) addCounters(retired, sum);
    return sum;
  }
}
