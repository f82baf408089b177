// Deadlines: one timer for the whole broker, and the deadlines of single messages inside a queue.
// Always: (1) at most one timer of the Clock is set, for the earliest alarm; (2) an alarm that fires has been taken off first, so it may set
// itself again, and what is over leaves at most as many slots behind as there are alarms set; (3) a message deadline may outlive its message: whoever pops it looks whether the message is still there.
// Refuses: to know queues. RabbitMQ differs: it looks at the head of a queue only; here a message expires on time wherever it stands.

import { Heap } from '../../shared/heap.ts';
import type { Clock, Timer } from '../ports.ts';

const SLOTS_SWEPT_ABOVE = 64; // fewer are not worth a pass

/** Something that is to happen at a time. Owned by one object for its life. */
export class Alarm {
  /** 0 when not set. */
  dueAt = 0;
  readonly ring: (now: number) => void;
  constructor(ring: (now: number) => void) {
    this.ring = ring;
  }
}

interface Slot {
  readonly at: number;
  readonly alarm: Alarm;
}

export class Schedule {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #slots = new Heap<Slot>((a, b) => a.at < b.at);
  /** Alarms that are set. */
  #count = 0;
  #timer: Timer | undefined;
  #timerAt = 0;

  /** `onDue` is called by the clock; it is to call `run` in its own turn. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Slots, those of alarms that were moved or cleared too. */
  get size(): number {
    return this.#slots.size;
  }

  /** Sets, or moves, `alarm`. */
  set(alarm: Alarm, at: number): void {
    if (alarm.dueAt === at) return;
    if (alarm.dueAt === 0) this.#count++;
    alarm.dueAt = at;
    this.#slots.push({ at, alarm });
    this.#sweep();
    this.#arm();
  }

  /** Sets `alarm` unless it is set for earlier. */
  setBy(alarm: Alarm, at: number): void {
    if (alarm.dueAt === 0 || at < alarm.dueAt) this.set(alarm, at);
  }

  clear(alarm: Alarm): void {
    if (alarm.dueAt === 0) return;
    alarm.dueAt = 0;
    this.#count--;
    this.#sweep();
  }

  /** Rings every alarm that is due. */
  run(now: number): void {
    for (let slot = this.#slots.peek(); slot !== undefined && slot.at <= now; slot = this.#slots.peek()) {
      this.#slots.pop();
      if (slot.alarm.dueAt !== slot.at) continue;
      slot.alarm.dueAt = 0;
      this.#count--;
      slot.alarm.ring(now);
    }
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#slots.clear();
  }

  /** Forgets stale slots once they outnumber the others: through its alarm a slot keeps a whole session reachable. */
  #sweep(): void {
    if (this.#slots.size <= SLOTS_SWEPT_ABOVE || this.#slots.size <= 2 * this.#count) return;
    const kept = new Set<Alarm>(); // an alarm that was moved away and back has two slots for one time
    for (let slot = this.#slots.pop(); slot !== undefined; slot = this.#slots.pop()) if (slot.alarm.dueAt === slot.at) kept.add(slot.alarm);
    for (const alarm of kept) this.#slots.push({ at: alarm.dueAt, alarm });
  }

  #arm(): void {
    let next = this.#slots.peek();
    while (next !== undefined && next.alarm.dueAt !== next.at) {
      this.#slots.pop();
      next = this.#slots.peek();
    }
    if (next === undefined || (this.#timer !== undefined && this.#timerAt <= next.at)) return;
    this.#timer?.cancel();
    this.#timerAt = next.at;
    this.#timer = this.#clock.setTimer(next.at, () => {
      this.#timer = undefined;
      this.#onDue();
    });
  }
}

/** One message's own deadline, for a queue in which deadlines do not come in order. */
export interface MessageDeadline {
  readonly at: number;
  readonly seq: number;
  readonly priority: number;
}

/** The deadlines of one queue that its order does not show. Stale ones are swept when they outnumber the messages two to one. */
export class MessageDeadlines {
  readonly #heap = new Heap<MessageDeadline>((a, b) => a.at < b.at);
  #sweepAbove = 64;

  add(at: number, seq: number, priority: number): void {
    this.#heap.push({ at, seq, priority });
  }

  get size(): number {
    return this.#heap.size;
  }

  /** The earliest, stale or not; 0 when there is none. */
  get first(): number {
    return this.#heap.peek()?.at ?? 0;
  }

  popDue(now: number): MessageDeadline | undefined {
    const first = this.#heap.peek();
    return first !== undefined && first.at <= now ? this.#heap.pop() : undefined;
  }

  /** Forgets the deadlines of messages that are gone, when that is worth a pass. */
  sweep(alive: number, isAlive: (deadline: MessageDeadline) => boolean): void {
    if (this.#heap.size <= this.#sweepAbove || this.#heap.size <= 2 * alive) return;
    const kept = new Map<number, MessageDeadline>(); // a message that came back often is here as often
    for (let deadline = this.#heap.pop(); deadline !== undefined; deadline = this.#heap.pop())
      if (isAlive(deadline)) kept.set(deadline.seq, deadline);
    for (const deadline of kept.values()) this.#heap.push(deadline);
    this.#sweepAbove = Math.max(64, 2 * kept.size);
  }

  clear(): void {
    this.#heap.clear();
  }
}
