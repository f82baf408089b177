// Queues that are in no vhost's map: taps, and what consumers of direct reply-to consume from.
// Always: a hidden queue is neither durable nor found by name; what it holds is nobody's to route to.
// Refuses: to end them: a tap ends with its session or its exchange (topology.ts, vhost.ts).

import type { Broker } from './broker.ts';
import { Queue } from './queue.ts';
import { readQueueSettings } from './queue-arguments.ts';
import { REPLY_TO } from './reply-to.ts';
import type { Vhost } from './vhost.ts';

export class HiddenQueues {
  readonly #broker: Broker;
  readonly #replyQueues = new WeakMap<Vhost, Queue>() /* a vhost may be deleted */;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** A queue that nobody can name: what a tap holds until its session has taken it. */
  createTap(vhost: Vhost, owner: object, buffer: number): Queue {
    return this.#create(vhost, `amq.tap-${this.#broker.randomName()}`, owner, new Map([['x-max-length', buffer]]), true);
  }

  /** What consumers of direct reply-to consume from: always empty. */
  replyQueue(vhost: Vhost): Queue {
    let queue = this.#replyQueues.get(vhost);
    if (queue === undefined) {
      queue = this.#create(vhost, REPLY_TO, undefined, new Map(), false);
      this.#replyQueues.set(vhost, queue);
    }
    return queue;
  }

  #create(vhost: Vhost, name: string, owner: object | undefined, args: Map<string, number>, isTap: boolean): Queue {
    return new Queue(this.#broker, vhost, {
      name,
      number: this.#broker.queueNumbers.take(),
      durable: false,
      autoDelete: false,
      exclusiveOwner: owner,
      arguments: args,
      settings: readQueueSettings(args, { vhost: vhost.name, queue: name }),
      isTap,
    });
  }
}
