// What tests of the engine look at: a queue by its name, and the bodies a peer was given.
// Refuses: to change anything.

import type { Queue } from '../../server/broker/queue.ts';
import type { Engine, Peer } from './engine.ts';

export function queueOf(engine: Engine, name: string): Queue {
  const queue = engine.broker.vhost('/')?.queues.get(name);
  if (queue === undefined) throw new Error(`no queue ${name}`);
  return queue;
}

export function bodies(peer: Peer): string[] {
  return peer.sink.delivered.map((each) => each.body);
}
