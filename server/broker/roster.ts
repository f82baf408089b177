// The consumers of one queue, and whose turn it is. hot
// Always: (1) among consumers that can take a message the highest priority wins, and inside a priority they take turns; (2) one that can
// take nothing is never waited for; (3) a lane has those that are ready, and with a single active consumer all of them by age, each once; those
// that left are shed from it later, and are never more than half of it: a connection may take thousands from one queue at once.
// RabbitMQ differs: a classic queue ignores the priority of a newcomer under single active consumer; here, as in its quorum queues, a newcomer
// of higher priority takes over once the active one has settled what it holds.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Ring } from '../../shared/ring.ts';
import { type Consumer, Standing } from './consumer.ts';

interface Lane {
  readonly priority: number;
  ring: Ring<Consumer>;
  /** How many in `ring` are cancelled. */
  gone: number;
}

export class Roster {
  readonly #singleActive: boolean;
  /** Oldest first. */
  readonly #all = new Set<Consumer>();
  /** Highest priority first. */
  readonly #lanes: Lane[] = [];
  #active: Consumer | undefined;
  #exclusiveCount = 0;

  constructor(singleActive: boolean) {
    this.#singleActive = singleActive;
  }

  get count(): number {
    return this.#all.size;
  }
  get consumers(): ReadonlySet<Consumer> {
    return this.#all;
  }

  /** Throws 403 where exclusivity forbids. */
  check(queueText: string, exclusive: boolean): void {
    if (exclusive && this.#singleActive)
      throw new AmqpError(ReplyCode.AccessRefused, `${queueText} in exclusive use`, {
        hint: 'its consumers are active one at a time: consume without exclusive',
        path: '/exclusive',
      });
    if (this.#exclusiveCount > 0 || (exclusive && this.#all.size > 0))
      throw new AmqpError(ReplyCode.AccessRefused, `${queueText} in exclusive use`, {
        hint: 'wait until the exclusive consumer is gone, or share the queue',
      });
  }

  add(consumer: Consumer): void {
    this.#all.add(consumer);
    if (consumer.exclusive) this.#exclusiveCount++;
    this.#enter(consumer);
    if (!this.#singleActive) return;
    consumer.standing = Standing.Waiting;
    if (this.#active === undefined) this.#elect();
    else if (consumer.priority > this.#active.priority) {
      this.#active.standing = Standing.Yielding;
      this.settled(this.#active);
    }
  }

  remove(consumer: Consumer): void {
    if (!this.#all.delete(consumer)) return;
    if (consumer.exclusive) this.#exclusiveCount--;
    const isInLane = this.#singleActive || consumer.standing === Standing.Ready;
    consumer.standing = Standing.Cancelled;
    this.#leave(consumer.priority, isInLane);
    if (consumer === this.#active) this.#elect();
    else if (this.#active?.standing === Standing.Yielding && this.#best() === this.#active) this.#active.standing = Standing.Ready; // nobody is left to yield to
  }

  /** The consumer that gets the next message; its turn has then passed. */
  next(): Consumer | undefined {
    if (this.#singleActive) return this.#nextOfOne();
    for (const lane of this.#lanes) {
      const { ring } = lane;
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
        else lane.gone--;
      }
    }
    return undefined;
  }

  #nextOfOne(): Consumer | undefined {
    const active = this.#active;
    if (active?.standing !== Standing.Ready) return undefined;
    if (active.canTake()) return active;
    active.standing = Standing.Parked;
    return undefined;
  }

  /** `consumer` has room again. True when it now waits for a message. */
  wake(consumer: Consumer): boolean {
    if (consumer.standing === Standing.Parked && consumer.canTake()) {
      consumer.standing = Standing.Ready;
      if (!this.#singleActive) this.#enter(consumer);
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
    best.standing = Standing.Ready;
    best.session.tellActive(best, true);
  }

  /** The highest priority, and among equals the oldest. For single active: its lanes have everybody. */
  #best(): Consumer | undefined {
    const lane = this.#lanes[0];
    if (lane === undefined) return undefined;
    while (lane.ring.peek()?.standing === Standing.Cancelled) {
      lane.ring.shift();
      lane.gone--;
    }
    return lane.ring.peek();
  }

  /** A consumer of `priority` is cancelled; `isInLane`: it had a place there. */
  #leave(priority: number, isInLane: boolean): void {
    const index = this.#placeOf(priority);
    const lane = this.#lanes[index];
    if (lane?.priority !== priority) return;
    if (isInLane) lane.gone++;
    if (lane.gone > lane.ring.length / 2) sweep(lane);
    if (lane.ring.length === 0) this.#lanes.splice(index, 1);
  }

  #enter(consumer: Consumer): void {
    const { priority } = consumer;
    const index = this.#placeOf(priority);
    let lane = this.#lanes[index];
    if (lane?.priority !== priority) {
      lane = { priority, ring: new Ring<Consumer>(4), gone: 0 };
      this.#lanes.splice(index, 0, lane);
    }
    lane.ring.push(consumer);
  }

  /** Where the lane of `priority` is, or belongs. */
  #placeOf(priority: number): number {
    let [low, high] = [0, this.#lanes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lanes[middle] as Lane).priority > priority) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function sweep(lane: Lane): void {
  const old = lane.ring;
  lane.ring = new Ring<Consumer>(old.length - lane.gone);
  for (const consumer of old) if (consumer.standing !== Standing.Cancelled) lane.ring.push(consumer);
  lane.gone = 0;
}
