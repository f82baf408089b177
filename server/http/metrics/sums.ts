// Sums over all queues, connections and channels, made once an answer.
// Always: (1) counters contain what queues and connections that are gone had counted, and never fall: a queue that goes while others are still read counts
// with what it had; (2) a queue is read in one turn, some hundred queues a turn.

import type { Queue } from '../../broker/queue.ts';
import { addCounters, type Counter, indexOfCounter, readCounters } from '../../broker/traffic.ts';
import { READ_AT_ONCE } from './rows.ts';
import type { MetricsSource } from './source.ts';

export interface Sums {
  readonly queues: number;
  readonly ready: number;
  readonly unacked: number;
  readonly readyBytes: number;
  readonly consumers: number;
  readonly unconfirmed: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly total: (counter: Counter) => number;
}

/** Let others have their turn between two steps. */
export function* sum({ broker }: MetricsSource): Generator<undefined, Sums> {
  const counters = broker.totals.allRetired();
  const queues: Queue[] = [];
  for (const vhost of broker.vhosts.values()) for (const queue of vhost.queues.values()) queues.push(queue);
  const scratch: number[] = [];
  let [ready, unacked, readyBytes, consumers] = [0, 0, 0, 0];
  for (let from = 0; from < queues.length; from += READ_AT_ONCE) {
    if (from > 0) yield;
    for (let i = from; i < Math.min(queues.length, from + READ_AT_ONCE); i++) {
      const queue = queues[i];
      if (queue === undefined) continue;
      addCounters(readCounters(queue, scratch), counters);
      if (queue.isDeleted) continue;
      ready += queue.readyCount;
      unacked += queue.unackedCount;
      readyBytes += queue.readyBytes;
      consumers += queue.consumerCount;
    }
  }
  const { connections } = broker;
  let [receivedBytes, sentBytes, unconfirmed] = [connections.closedReceivedBytes, connections.closedSentBytes, 0];
  for (const view of connections) {
    receivedBytes += view.receivedBytes;
    sentBytes += view.sentBytes;
    for (const [, session] of view.sessions()) unconfirmed += session.publishers.unconfirmedCount;
  }
  const total = (counter: Counter): number => counters[indexOfCounter(counter)] ?? 0;
  return { queues: queues.length, ready, unacked, readyBytes, consumers, unconfirmed, receivedBytes, sentBytes, total };
}

/** Every queue of the vhosts that `isIn` picks. */
export function* queuesOf({ broker }: MetricsSource, isIn: (vhost: string) => boolean): Generator<Queue> {
  for (const vhost of broker.vhosts.values()) if (isIn(vhost.name)) yield* vhost.queues.values();
}
