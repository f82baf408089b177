// What the broker tells about itself in numbers: plain counters, read when somebody asks.
// Always: (1) counters only grow; (2) a sample is consistent: it is taken within one turn, so each queue's identity holds in it.
// Refuses: rates and history (a sampler's), names the asker did not select, and taps, which are nobody's queues.

import type { QueueSample, Sample } from '../../shared/protocol/control.ts';
import type { Broker } from './broker.ts';
import type { Queue } from './queue.ts';

export function sampleQueue(queue: Queue): QueueSample {
  return {
    queue: queue.name,
    number: queue.number,
    ready: queue.readyCount,
    unacked: queue.unackedCount,
    deadLetterWaiting: queue.deadLetters?.size ?? 0,
    readyBytes: queue.readyBytes,
    consumers: queue.consumerCount,
    counts: { ...queue.counts },
  };
}

/** A sample of one vhost; `match` selects queues by name, the broker's own numbers cover all of them. */
export function sampleVhost(broker: Broker, vhostName: string, match: (queue: string) => boolean): Sample {
  const vhost = broker.vhost(vhostName);
  const queues: QueueSample[] = [];
  let messages = 0;
  let bytes = 0;
  for (const queue of vhost?.queues.values() ?? []) {
    messages += queue.readyCount + queue.unackedCount;
    bytes += queue.readyBytes;
    if (match(queue.name)) queues.push(sampleQueue(queue));
  }
  return {
    at: broker.clock.now(),
    broker: {
      connections: broker.connectionCount,
      queues: vhost?.queues.size ?? 0,
      exchanges: vhost?.exchanges.size ?? 0,
      published: broker.publishedCount,
      unroutable: broker.unroutableCount,
      messages,
      bytes,
    },
    queues,
  };
}
