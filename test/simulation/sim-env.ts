// Virtual time for whole brokers: one heap of events, ordered by time and then by a seeded draw, and processes that live and die in it.
// Always: (1) the seed decides which of two events of one millisecond comes first; (2) after each event everything that it deferred runs, and every
// promise that it settled: no event sees another half done; (3) of a process that has ended nothing runs any more.
// Refuses: real time.

import type { Clock, Timer, Turns } from '../../server/ports.ts';
import { Heap } from '../../shared/heap.ts';
import type { Random } from '../support/sim-random.ts';

interface Event {
  readonly atMs: number;
  readonly tie: number;
  readonly order: number;
  task: (() => void) | undefined;
}

const EPOCH_MS = 1_767_225_600_000;
const TASKS_MAX = 1_000_000;

export class SimEnv {
  readonly #random: Random;
  readonly #events = new Heap<Event>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && (a.tie < b.tie || (a.tie === b.tie && a.order < b.order))),
  );
  readonly #deferred: (() => void)[] = [];
  #nowMs = EPOCH_MS;
  #order = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), tie: this.#random(), order: this.#order++, task };
    this.#events.push(event);
    return {
      cancel: () => {
        event.task = undefined;
      },
    };
  }

  process(): SimProcess {
    return new SimProcess(this, (task) => this.#deferred.push(task));
  }

  /** The next event, and all that follows from it at once. False: nothing will ever happen. */
  async step(): Promise<boolean> {
    await this.settle();
    for (let event = this.#events.pop(); event !== undefined; event = this.#events.pop()) {
      if (event.task === undefined) continue;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      event.task();
      await this.settle();
      return true;
    }
    return false;
  }

  /** Steps until `isDone`, for at most so long. True: it is. */
  async until(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    while (!isDone() && this.#nowMs < endMs) if (!(await this.step())) break;
    return isDone();
  }

  /** Whatever is deferred, and whatever is promised. */
  async settle(): Promise<void> {
    for (let left = TASKS_MAX; ; left--) {
      if (left === 0) throw new Error('the turn never ends');
      const tasks = this.#deferred.splice(0);
      for (const task of tasks) task();
      // a turn of the real loop: promises that wait for each other are through then
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#deferred.length === 0) return;
    }
  }
}

/** What one broker is given. */
export class SimProcess implements Clock, Turns {
  readonly #env: SimEnv;
  readonly #defer: (task: () => void) => void;
  isOver = false;

  constructor(env: SimEnv, defer: (task: () => void) => void) {
    this.#env = env;
    this.#defer = defer;
  }

  now(): number {
    return this.#env.nowMs;
  }
  setTimer(atMs: number, fire: () => void): Timer {
    return this.#env.after(atMs - this.#env.nowMs, () => this.#unlessOver(fire));
  }
  defer(task: () => void): void {
    this.#defer(() => this.#unlessOver(task));
  }
  end(): void {
    this.isOver = true;
  }

  #unlessOver(task: () => void): void {
    if (!this.isOver) task();
  }
}
