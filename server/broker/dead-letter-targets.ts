// Which queues are dead-letter queues: those that another queue's dead-letter exchange routes to.
// Always: (1) with a dead-letter routing key it is where the router takes that key; (2) without one, where any message could go from that exchange, for its
// own key is not known: but from the default exchange nowhere, or every queue would be one; (3) a queue that dead-letters into itself alone is none.
// Refuses: to look at messages, and header bindings with a fixed key: only what matches no headers counts there.

import { Content, encodeContent } from '../../shared/content.ts';
import type { Broker } from './broker.ts';
import type { Exchange } from './exchange.ts';
import type { Queue } from './queue.ts';
import { Route } from './router.ts';
import type { Vhost } from './vhost.ts';

export function deadLetterQueues(broker: Broker): Set<Queue> {
  const found = new Set<Queue>();
  for (const vhost of broker.vhosts.values()) addOf(broker, vhost, found);
  return found;
}

function addOf(broker: Broker, vhost: Vhost, found: Set<Queue>): void {
  const targets = new Map<string, readonly Queue[]>(); // thousands of queues share few dead-letter exchanges
  for (const queue of vhost.queues.values()) {
    const { deadLetterExchange, deadLetterRoutingKey } = queue.settings;
    if (deadLetterExchange === undefined) continue;
    const asked = `${deadLetterExchange.length}:${deadLetterExchange}${deadLetterRoutingKey === undefined ? '' : `:${deadLetterRoutingKey}`}`;
    let queues = targets.get(asked);
    if (queues === undefined) {
      queues = targetsOf(broker, vhost, deadLetterExchange, deadLetterRoutingKey);
      targets.set(asked, queues);
    }
    for (const target of queues) if (target !== queue && !target.isTap) found.add(target);
  }
}

function targetsOf(broker: Broker, vhost: Vhost, name: string, key: string | undefined): readonly Queue[] {
  const exchange = vhost.exchanges.get(name);
  if (exchange === undefined) return [];
  if (key === undefined) return reachable(exchange, vhost);
  const run = encodeContent(name, key, {}, new Uint8Array(0));
  const route = new Route();
  broker.router.route(vhost, exchange, key, new Content().read(run, 0, run.length), route);
  return route.queues;
}

function reachable(from: Exchange, vhost: Vhost): Queue[] {
  const queues: Queue[] = [];
  const seen = new Set<Exchange>([from]);
  for (const exchange of seen) {
    if (exchange === vhost.defaultExchange) continue;
    for (const { destination } of exchange.outgoing.values()) {
      if (destination.kind === 'queue') queues.push(destination);
      else seen.add(destination);
    }
    const alternate = exchange.alternate === undefined ? undefined : vhost.exchanges.get(exchange.alternate);
    if (alternate !== undefined) seen.add(alternate);
  }
  return queues;
}
