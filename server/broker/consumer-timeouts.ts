// Deliveries of one session that are out too long: which they are, and the late settles that are forgiven.
// Always: (1) one alarm a session, for the earliest; (2) a settle that comes after the timeout is forgiven once, for the newest ones.
// Refuses: to say what becomes of them (session.ts). RabbitMQ closes the channel; here one message goes back.

import type { Broker } from './broker.ts';
import type { Consumer } from './consumer.ts';
import { Alarm } from './expiry.ts';
import type { Unacked } from './unacked.ts';

const LATE_TAGS_MAX = 10_000; // so many late settles are forgiven

export class ConsumerTimeouts {
  readonly #broker: Broker;
  readonly #unacked: Unacked;
  /** False: it was settled by what another timeout led to. */
  readonly #timeOut: (tag: number, consumer: Consumer, now: number) => boolean;
  readonly #late = new Set<number>();
  readonly #alarm = new Alarm((now) => this.#ring(now));
  #isEnded = false;

  constructor(broker: Broker, unacked: Unacked, timeOut: (tag: number, consumer: Consumer, now: number) => boolean) {
    this.#broker = broker;
    this.#unacked = unacked;
    this.#timeOut = timeOut;
  }

  /** A delivery of this consumer goes out. */
  watch(consumer: Consumer, now: number): void {
    if (consumer.timeoutMs !== Number.POSITIVE_INFINITY) this.#broker.schedule.setBy(this.#alarm, now + consumer.timeoutMs);
  }

  /** What is out may be due earlier than the alarm says. */
  changed(): void {
    if (!this.#isEnded) this.#broker.schedule.setBy(this.#alarm, this.#broker.now());
  }

  /** Whether a settle of `tag`, which is not open, comes late and not twice. */
  forgives(tag: number): boolean {
    return this.#late.delete(tag);
  }

  end(): void {
    this.#isEnded = true;
    this.#broker.schedule.clear(this.#alarm);
  }

  /** Gives back each delivery that was out too long, and looks for the next. */
  #ring(now: number): void {
    const overdue: { tag: number; consumer: Consumer }[] = [];
    let next = Number.POSITIVE_INFINITY;
    this.#unacked.forEach(({ tag, consumer, deliveredAt }) => {
      if (consumer === undefined) return;
      const dueAt = deliveredAt + consumer.timeoutMs;
      if (dueAt <= now) overdue.push({ tag, consumer });
      else next = Math.min(next, dueAt);
    });
    for (const { tag, consumer } of overdue) if (this.#timeOut(tag, consumer, now)) this.#forgiveLater(tag);
    if (next !== Number.POSITIVE_INFINITY && !this.#isEnded) this.#broker.schedule.setBy(this.#alarm, next);
    this.#broker.wake();
  }

  #forgiveLater(tag: number): void {
    this.#late.add(tag);
    if (this.#late.size <= LATE_TAGS_MAX) return;
    for (const oldest of this.#late) {
      this.#late.delete(oldest);
      return;
    }
  }
}
