// The consumers of one queue, and whose turn it is. hot
// Always: (1) among consumers that can take a message the highest priority wins, and inside a priority they take turns; (2) one that can
// take nothing is never waited for; (3) with a single active consumer only that one is in a lane.
// RabbitMQ differs: a classic queue ignores the priority of a newcomer under single active consumer; here, as in its quorum queues, a newcomer
// of higher priority takes over once the active one has settled what it holds.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Ring } from '../../shared/ring.ts';
import { type Consumer, Standing } from './consumer.ts';

interface Lane {
  readonly priority: number;
  ring: Ring<Consumer>;
}

export class Roster {
  readonly #singleActive: boolean;
  /** Oldest first. */
  readonly #all: Consumer[] = [];
  /** Highest priority first. */
  readonly #lanes: Lane[] = [];
  #active: Consumer | undefined;

  constructor(singleActive: boolean) {
    this.#singleActive = singleActive;
  }

  get count(): number {
    return this.#all.length;
  }
  get consumers(): readonly Consumer[] {
    return this.#all;
  }

  /** Throws 403 where exclusivity forbids. */
  check(queueText: string, exclusive: boolean): void {
    if (exclusive && this.#singleActive)
      throw new AmqpError(ReplyCode.AccessRefused, `${queueText} in exclusive use`, {
        hint: 'its consumers are active one at a time: consume without exclusive',
        path: '/exclusive',
      });
    if (this.#all.length === 0) return;
    if (exclusive || this.#all.some((consumer) => consumer.exclusive))
      throw new AmqpError(ReplyCode.AccessRefused, `${queueText} in exclusive use`, {
        hint: 'wait until the exclusive consumer is gone, or share the queue',
      });
  }

  add(consumer: Consumer): void {
    this.#all.push(consumer);
    if (!this.#singleActive) {
      this.#enter(consumer);
      return;
    }
    consumer.standing = Standing.Waiting;
    if (this.#active === undefined) this.#elect();
    else if (consumer.priority > this.#active.priority) {
      this.#leave(this.#active);
      this.#active.standing = Standing.Yielding;
      this.settled(this.#active);
    }
  }

  remove(consumer: Consumer): void {
    const index = this.#all.indexOf(consumer);
    if (index < 0) return;
    this.#all.splice(index, 1);
    consumer.standing = Standing.Cancelled;
    this.#leave(consumer);
    if (consumer === this.#active) this.#elect();
    else if (this.#active?.standing === Standing.Yielding && this.#best() === this.#active) this.#enter(this.#active); // nobody is left to yield to
  }

  /** The consumer that gets the next message; its turn has then passed. */
  next(): Consumer | undefined {
    for (const { ring } of this.#lanes) {
      for (let consumer = ring.peek(); consumer !== undefined; consumer = ring.peek()) {
        if (consumer.standing === Standing.Ready && consumer.canTake()) {
          if (ring.length > 1) {
            ring.shift();
            ring.push(consumer);
          }
          return consumer;
        }
        ring.shift();
        if (consumer.standing === Standing.Ready) consumer.standing = Standing.Parked;
      }
    }
    return undefined;
  }

  /** `consumer` has room again. True when it now waits for a message. */
  wake(consumer: Consumer): boolean {
    if (consumer.standing === Standing.Parked && consumer.canTake()) {
      this.#enter(consumer);
      return true;
    }
    return consumer.standing === Standing.Ready;
  }

  /** `consumer` settled something: a yielding one may be done. True when another took over. */
  settled(consumer: Consumer): boolean {
    if (consumer.standing !== Standing.Yielding || consumer.unackedCount > 0) return false;
    consumer.standing = Standing.Waiting;
    consumer.session.tellActive(consumer, false);
    this.#elect();
    return true;
  }

  #elect(): void {
    const best = this.#best();
    this.#active = best;
    if (best === undefined) return;
    this.#enter(best);
    best.session.tellActive(best, true);
  }

  /** The highest priority, and among equals the oldest. */
  #best(): Consumer | undefined {
    let best: Consumer | undefined;
    for (const consumer of this.#all) if (best === undefined || consumer.priority > best.priority) best = consumer;
    return best;
  }

  #leave(consumer: Consumer): void {
    const index = this.#lanes.findIndex((lane) => lane.priority === consumer.priority);
    const lane = this.#lanes[index];
    if (lane === undefined) return;
    const others = [...lane.ring].filter((other) => other !== consumer);
    lane.ring = new Ring<Consumer>(4);
    for (const other of others) lane.ring.push(other);
    if (others.length === 0) this.#lanes.splice(index, 1);
  }

  #enter(consumer: Consumer): void {
    consumer.standing = Standing.Ready;
    let index = this.#lanes.findIndex((lane) => lane.priority <= consumer.priority);
    if (index < 0) index = this.#lanes.length;
    let lane = this.#lanes[index];
    if (lane?.priority !== consumer.priority) {
      lane = { priority: consumer.priority, ring: new Ring<Consumer>(4) };
      this.#lanes.splice(index, 0, lane);
    }
    lane.ring.push(consumer);
  }
}
