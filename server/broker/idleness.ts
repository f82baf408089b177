// How long a queue has not been used, where that ends it (x-expires).
// Always: a queue with consumers is in use; the last one's leaving counts as its last use.
// Refuses: to say what else is a use: a declare, a get (queue.ts, topology.ts).

import type { Broker } from './broker.ts';
import { Alarm } from './expiry.ts';
import type { Queue } from './queue.ts';

export class Idleness {
  readonly #broker: Broker;
  readonly #queue: Queue;
  readonly #alarm = new Alarm((now) => this.#check(now));
  #usedAt = 0;

  constructor(broker: Broker, queue: Queue) {
    this.#broker = broker;
    this.#queue = queue;
  }

  used(): void {
    const { expiresMs } = this.#queue.settings;
    if (expiresMs === Number.POSITIVE_INFINITY) return;
    this.#usedAt = this.#broker.now();
    this.#broker.schedule.setBy(this.#alarm, this.#usedAt + expiresMs);
  }

  /** Another time, or none, counts from now on, as in RabbitMQ. */
  changed(): void {
    this.end();
    this.used();
  }

  end(): void {
    this.#broker.schedule.clear(this.#alarm);
  }

  #check(now: number): void {
    const queue = this.#queue;
    if (queue.roster.count > 0) return; // the last consumer's leaving sets the alarm again
    const { expiresMs } = queue.settings;
    if (now - this.#usedAt >= expiresMs) queue.vhost.removeQueue(queue, 'queue expired');
    else this.#broker.schedule.set(this.#alarm, this.#usedAt + expiresMs);
  }
}
