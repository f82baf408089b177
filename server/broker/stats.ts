// What the broker tells about itself in numbers: plain counters, read when somebody asks.
// Always: (1) counters only grow, but for what is summed over the queues that a session may see, which falls when one of them goes; (2) a sample is consistent: it is taken within one turn, so each queue's identity holds in it.
// Refuses: rates and history (a sampler's), names the asker did not select, and taps, which are nobody's queues.

import type { QueueSample, Sample } from '../../shared/protocol/control.ts';
import type { Broker } from './broker.ts';
import type { Queue } from './queue.ts';
import type { Sight } from './sight.ts';
import type { Vhost } from './vhost.ts';

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

/** A sample of one vhost; `match` selects queues by name, the broker's own numbers cover all of them, or with `sight` all that it sees. */
export function sampleVhost(broker: Broker, vhost: Vhost | undefined, match: (queue: string) => boolean, sight?: Sight): Sample {
  sight?.refresh();
  const seesTotals = sight?.seesTotals ?? true;
  const shown: QueueSample[] = [];
  let [queues, messages, bytes, published] = [0, 0, 0, 0];
  for (const queue of vhost?.queues.values() ?? []) {
    const isSeen = sight?.seesQueue(queue) ?? true;
    if (!isSeen && !seesTotals) continue;
    queues++;
    messages += queue.readyCount + queue.unackedCount;
    bytes += queue.readyBytes;
    published += queue.counts.published;
    if (isSeen && match(queue.name)) shown.push(sampleQueue(queue));
  }
  const at = broker.clock.now();
  if (sight !== undefined && !seesTotals) {
    const connections = [...broker.connections].filter(({ account }) => account.name === sight.user).length;
    const exchanges = [...(vhost?.exchanges.values() ?? [])].filter((exchange) => sight.seesExchange(exchange)).length;
    // What no queue took says something of exchanges that may be hidden.
    return { at, broker: { connections, queues, exchanges, published, unroutable: 0, messages, bytes }, queues: shown };
  }
  const { connectionCount: connections, publishedCount, unroutableCount: unroutable } = broker;
  const exchanges = vhost?.exchanges.size ?? 0;
  return { at, broker: { connections, queues, exchanges, published: publishedCount, unroutable, messages, bytes }, queues: shown };
}
