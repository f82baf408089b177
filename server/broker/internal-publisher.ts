// What the broker itself publishes: events and traces. Queued in the turn that made them, routed at its end, before consumers have theirs.
// Always: (1) nothing is routed in the middle of what it tells of, so no queue meets itself; (2) at most QUEUED_MAX wait: what is more is dropped and counted, for a
// tracer must not hold what it traces; (3) a queue that has no room does not get it, and nobody waits for that.
// Refuses: confirms, mandatory, and traces of what goes this way.

import type { Properties } from '../../shared/amqp/properties.ts';
import { Content, encodeContent } from '../../shared/content.ts';
import { AmqpError } from '../../shared/error.ts';
import { Append, REFUSED, Stored } from '../ports.ts';
import type { Broker } from './broker.ts';
import { enter } from './dead-letter.ts';
import { messageFlags } from './intake.ts';
import type { Queue } from './queue.ts';
import { Route } from './router.ts';
import type { Vhost } from './vhost.ts';

const QUEUED_MAX = 10_000;

interface Queued {
  readonly vhost: Vhost;
  readonly exchange: string;
  readonly key: string;
  readonly properties: Properties;
  readonly body: Uint8Array;
}

export class InternalPublisher {
  readonly #broker: Broker;
  readonly #route = new Route();
  readonly #content = new Content();
  readonly #stored = new Stored();
  #queued: Queued[] = [];
  droppedCount = 0;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** Whether anything is bound to it: else what would be told need not be made. */
  hasListeners(vhost: Vhost | undefined, exchange: string): boolean {
    return (vhost?.exchanges.get(exchange)?.outgoing.size ?? 0) > 0;
  }

  /** `body`: the caller's until it returns, so it must be a copy or its own. */
  publish(vhost: Vhost, exchange: string, key: string, properties: Properties, body: Uint8Array): void {
    if (this.#queued.length >= QUEUED_MAX) {
      this.droppedCount++;
      return;
    }
    this.#queued.push({ vhost, exchange, key, properties, body });
    this.#broker.wake();
  }

  /** The end of a turn. */
  flush(now: number): void {
    if (this.#queued.length === 0) return;
    const queued = this.#queued;
    this.#queued = [];
    for (const each of queued) this.#send(each, now);
  }

  #send({ vhost, exchange: name, key, properties, body }: Queued, now: number): void {
    const exchange = vhost.exchanges.get(name);
    if (exchange === undefined || exchange.outgoing.size === 0) return;
    const run = encoded(name, key, properties, body);
    if (run === undefined) {
      this.droppedCount++;
      return;
    }
    const content = this.#content.read(run, 0, run.length);
    this.#broker.router.route(vhost, exchange, key, content, this.#route);
    const append = new Append();
    append.begin(content.bytes, content.start, content.end, content.bodyBytes, messageFlags(content));
    const takers: Queue[] = [];
    for (const queue of this.#route.queues) {
      const isOpen = queue.held === undefined ? queue.hasRoom(content.bodyBytes, now) : queue.held.isOpen(content.bodyBytes, now);
      if (!isOpen || content.bodyBytes > queue.settings.maxMessageBytes) {
        queue.counts.refused++;
        continue;
      }
      takers.push(queue);
      append.add(queue.number, queue.takeSeq(), queue.priorityFor(content.priority), queue.deadlineFor(Number.POSITIVE_INFINITY, now));
    }
    if (takers.length === 0) return;
    if (this.#broker.log.append(append) === REFUSED) this.droppedCount++;
    else takers.forEach((queue, i) => queue.enqueue(enter(append, i, this.#stored), now));
  }
}

/** undefined where it tells of more than a header table holds. */
function encoded(exchange: string, key: string, properties: Properties, body: Uint8Array): Uint8Array | undefined {
  try {
    return encodeContent(exchange, key, properties, body);
  } catch (error) {
    if (error instanceof AmqpError) return undefined;
    throw error;
  }
}
