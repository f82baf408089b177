// Publishes that wait for room in a full queue (x-overflow: block): stored, not yet in the queue, not yet confirmed.
// Always: (1) they enter in the order in which they came, before anything published later; (2) while one waits its publisher gets no credit;
// (3) each ends as one of entered, refused after x-block-timeout, refused because the queue went; (4) what does not fit the empty queue never waits.
// RabbitMQ has no such overflow: it blocks whole connections, on alarms alone. Refuses: to bound what waits; the publishers' windows do,
// and for AMQP its connection, which is not read while that is too much.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Ring } from '../../shared/ring.ts';
import { Stored } from '../ports.ts';
import type { Broker } from './broker.ts';
import { Alarm } from './expiry.ts';
import type { ConfirmRun, Publisher } from './publisher.ts';
import type { Queue } from './queue.ts';

interface Held {
  readonly stored: Stored;
  readonly expirationMs: number;
  readonly publisher: Publisher;
  readonly run: ConfirmRun;
  readonly refuseAt: number;
}

export class HeldPublishes {
  readonly #broker: Broker;
  readonly #queue: Queue;
  readonly #waiting = new Ring<Held>();
  readonly #alarm = new Alarm((now) => this.#refuseDue(now));

  constructor(broker: Broker, queue: Queue) {
    this.#broker = broker;
    this.#queue = queue;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Whether there will ever be room: what does not fit an empty queue would wait for good, and all behind it. */
  mayWait(bodyBytes: number): boolean {
    const { maxLength, maxLengthBytes } = this.#queue.settings;
    return maxLength > 0 && bodyBytes <= maxLengthBytes;
  }

  /** Whether a body that comes now need not wait. */
  isOpen(bodyBytes: number, now: number): boolean {
    return this.#waiting.length === 0 && this.#queue.hasRoom(bodyBytes, now);
  }

  add(stored: Stored, expirationMs: number, publisher: Publisher, run: ConfirmRun, now: number): void {
    const refuseAt = now + this.#queue.settings.blockTimeoutMs;
    publisher.hold(run, stored.length);
    this.#waiting.push({ stored: new Stored().copyFrom(stored), expirationMs, publisher, run, refuseAt });
    if (refuseAt !== Number.POSITIVE_INFINITY) this.#broker.schedule.setBy(this.#alarm, refuseAt);
  }

  /** Lets in what fits now. */
  admit(now: number): void {
    for (let held = this.#waiting.peek(); held !== undefined; held = this.#waiting.peek()) {
      if (!this.#queue.hasRoom(held.stored.bodyBytes, now)) {
        if (this.mayWait(held.stored.bodyBytes)) return;
        this.#waiting.shift(); // a policy has made the queue smaller than this one
        this.#refuse(held, refusedByLength(this.#queue));
        continue;
      }
      this.#waiting.shift();
      held.stored.deadline = this.#queue.deadlineFor(held.expirationMs, now);
      this.#queue.enqueue(held.stored, now);
      held.publisher.release(held.run, held.stored.length, undefined);
    }
  }

  /** The queue is going. */
  refuseAll(error: AmqpError): void {
    this.#broker.schedule.clear(this.#alarm);
    for (let held = this.#waiting.shift(); held !== undefined; held = this.#waiting.shift()) this.#refuse(held, error);
  }

  #refuseDue(now: number): void {
    for (let held = this.#waiting.peek(); held !== undefined; held = this.#waiting.peek()) {
      if (held.refuseAt > now) {
        if (held.refuseAt !== Number.POSITIVE_INFINITY) this.#broker.schedule.set(this.#alarm, held.refuseAt);
        return;
      }
      this.#waiting.shift();
      this.#refuse(held, refusedByLength(this.#queue));
    }
  }

  #refuse(held: Held, error: AmqpError): void {
    const { stored } = held;
    this.#queue.counts.refused++;
    this.#broker.log.settle(this.#queue.number, stored.seq, stored.slab, stored.length, stored.flags);
    held.publisher.release(held.run, stored.length, error);
  }
}

/** What a publisher is told when a length limit refuses: RabbitMQ sends a bare basic.nack; the text is ours (semantics D18). */
export function refusedByLength(queue: Queue): AmqpError {
  return new AmqpError(ReplyCode.ContentTooLarge, `OVERFLOW queue='${queue.name}'`, {
    hint: 'the queue is at its length limit: let consumers catch up and publish again, or raise the limit',
    queue: queue.name,
  });
}
