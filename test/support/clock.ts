// Time and turns that a test owns.
// Always: (1) time moves only in `advance`; (2) timers fire in the order of their deadlines, then of their making; (3) a timer set while
// others fire, and due, fires in the same `advance`; (4) a deferred task runs after all that was deferred before it.
// Refuses: real time. A broker that waits for something this clock does not give stands still, and its test fails at its limit.

import type { Clock, Timer, Turns } from '../../server/ports.ts';

/** 2026-01-01T00:00:00Z: any date will do, as long as it is not 0. */
export const EPOCH_MS = 1_767_225_600_000;

interface Pending {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
}

export class VirtualClock implements Clock {
  #nowMs = EPOCH_MS;
  #order = 0;
  readonly #pending = new Set<Pending>();

  now(): number {
    return this.#nowMs;
  }

  setTimer(atMs: number, fire: () => void): Timer {
    const pending = { atMs, order: this.#order++, fire };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Timers that neither fired nor were cancelled. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Moves time on by `ms`; every timer that falls due sees its own deadline as now. `afterEach` runs after each. */
  async advance(ms: number, afterEach: () => Promise<void> = async () => {}): Promise<void> {
    const untilMs = this.#nowMs + ms;
    // 1 million timers in one step means one that sets itself again without end
    for (let fired = 0; fired < 1_000_000; fired++) {
      const next = this.#earliest(untilMs);
      if (next === undefined) {
        this.#nowMs = untilMs;
        return;
      }
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fire();
      await afterEach();
    }
    throw new Error(`a timer sets itself again for ever at ${this.#nowMs}`);
  }

  #earliest(untilMs: number): Pending | undefined {
    let earliest: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.atMs > untilMs) continue;
      if (earliest === undefined || pending.atMs < earliest.atMs || (pending.atMs === earliest.atMs && pending.order < earliest.order)) {
        earliest = pending;
      }
    }
    return earliest;
  }
}

export class VirtualTurns implements Turns {
  #tasks: (() => void)[] = [];
  #scheduled = false;

  /** Runs `task` at the end of the turn, or in `drain` when the test calls that first. */
  defer(task: () => void): void {
    this.#tasks.push(task);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.drain();
    });
  }

  get pendingTasks(): number {
    return this.#tasks.length;
  }

  /** Ends turns until nothing is deferred any more. */
  drain(): void {
    for (let turn = 0; this.#tasks.length > 0; turn++) {
      if (turn > 1_000_000) throw new Error('a task defers itself for ever');
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const task of tasks) task();
    }
  }
}
