// When the ready messages of one queue expire: their deadlines, and the alarm for the earliest. hot
// Always: (1) a message expires on time wherever it stands; (2) deadlines that come in order cost nothing here: they stand in the index, and only one that
// may be earlier than one before it, or stands behind a message without one, has a place in the heap; (3) at most EXPIRE_MESSAGES_MAX expire at once.
// Refuses: to know what becomes of what expires (queue.ts).

import type { Stored } from '../ports.ts';
import { Alarm, MessageDeadlines, type Schedule } from './expiry.ts';
import type { ReadyLevels } from './ready-levels.ts';

/** Messages that one queue lets expire before other queues have their turn. */
const EXPIRE_MESSAGES_MAX = 10_000;

export class ReadyDeadlines {
  readonly #schedule: Schedule;
  readonly #ready: ReadyLevels;
  /** The queue's own, to be filled. */
  readonly #stored: Stored;
  /** `stored` has left `ready`. */
  readonly #expire: () => void;
  readonly #alarm = new Alarm((now) => this.expireDue(now));
  #heap: MessageDeadlines | undefined;
  /** The latest deadline that was restored. */
  #restoredDeadline = 0;
  /** Something in `ready` has no deadline, or one after those that are to come: the head says nothing of what is behind it. */
  #isUneven = false;

  constructor(schedule: Schedule, ready: ReadyLevels, stored: Stored, expire: () => void) {
    this.#schedule = schedule;
    this.#ready = ready;
    this.#stored = stored;
    this.#expire = expire;
  }

  /** `stored` has come, the youngest of all, to a queue with this TTL. */
  arrived(stored: Stored, ttlMs: number, now: number): void {
    if (this.#isUneven && this.#ready.count === 1) this.#isUneven = false;
    this.#watch(stored, this.#isUneven || stored.deadline < now + ttlMs);
  }

  returned(stored: Stored): void {
    this.#watch(stored, true);
  }

  /** With a TTL for the queue deadlines mostly come in order, and a backlog of millions must not stand in a heap. */
  restored(stored: Stored, ttlMs: number, now: number): void {
    const hasTtl = ttlMs !== Number.POSITIVE_INFINITY;
    if (hasTtl && (stored.deadline === 0 || stored.deadline > now + ttlMs)) this.#isUneven = true;
    if (stored.deadline === 0) return;
    this.#watch(stored, !hasTtl || this.#isUneven || stored.deadline < this.#restoredDeadline);
    this.#restoredDeadline = Math.max(this.#restoredDeadline, stored.deadline);
  }

  /** What is here keeps its deadline (as in RabbitMQ), and what comes may be due before it. */
  ttlChanged(): void {
    this.#isUneven = this.#ready.count > 0;
  }

  expireDue(now: number): void {
    let left = EXPIRE_MESSAGES_MAX;
    left -= this.#ready.takeDue(now, left, this.#stored, this.#expire);
    for (; left > 0; left--) {
      const due = this.#heap?.popDue(now);
      if (due === undefined) break;
      if (this.#ready.take(due.priority, due.seq, this.#stored)) this.#expire();
    }
    const next = left === 0 ? now + 1 : this.#next();
    if (next !== 0) this.#schedule.set(this.#alarm, next);
  }

  /** Nothing is ready any more. */
  clear(): void {
    this.#heap?.clear();
  }

  end(): void {
    this.#schedule.clear(this.#alarm);
  }

  /** `isOwn`: the deadline may be earlier than one that stands before it. */
  #watch(stored: Stored, isOwn: boolean): void {
    if (isOwn) {
      this.#heap ??= new MessageDeadlines();
      this.#heap.add(stored.deadline, stored.seq, stored.priority);
      this.#heap.sweep(this.#ready.count, ({ priority, seq }) => this.#ready.has(priority, seq));
    }
    this.#schedule.setBy(this.#alarm, stored.deadline);
  }

  #next(): number {
    const [own, head] = [this.#heap?.first ?? 0, this.#ready.headDeadline()];
    return own === 0 || head === 0 ? own + head : Math.min(own, head);
  }
}
