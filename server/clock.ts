// Time, chance and the end of a turn as the system has them: the ports of ports.ts that a simulation replaces.
// Always: (1) `now` never runs backwards; (2) a timer never fires early, and deadlines beyond setTimeout's 24.8 days work; (3) deferred tasks run in
// the order they came, after the input that is already there (setImmediate follows the poll phase).
// With leveret's lint rules, the one place for Date, timers and random bytes in the server.

import { randomBytes } from 'node:crypto';
import type { Clock, Random, Timer, Turns } from './ports.ts';

// setTimeout's delay is an int32: above it would fire at once.
const DELAY_MS_MAX = 2_147_483_647;

class SystemTimer implements Timer {
  readonly #clock: SystemClock;
  readonly #atMs: number;
  readonly #fire: () => void;
  #timeout: NodeJS.Timeout | undefined;

  constructor(clock: SystemClock, atMs: number, fire: () => void) {
    this.#clock = clock;
    this.#atMs = atMs;
    this.#fire = fire;
    this.#arm();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
  }

  #arm(): void {
    const delayMs = Math.max(0, this.#atMs - this.#clock.now());
    this.#timeout = setTimeout(() => this.#expired(), Math.min(delayMs, DELAY_MS_MAX));
  }

  // setTimeout runs on another clock than Date and may be a millisecond early.
  #expired(): void {
    if (this.#clock.now() < this.#atMs) this.#arm();
    else this.#fire();
  }
}

export class SystemClock implements Clock {
  #latest = 0;

  now(): number {
    const now = Date.now();
    if (now > this.#latest) this.#latest = now;
    return this.#latest;
  }

  setTimer(atMs: number, fire: () => void): Timer {
    return new SystemTimer(this, atMs, fire);
  }
}

export class SystemRandom implements Random {
  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }
}

export class SystemTurns implements Turns {
  #tasks: (() => void)[] = [];
  #spare: (() => void)[] = [];
  readonly #run = (): void => {
    const tasks = this.#tasks;
    this.#tasks = this.#spare;
    let done = 0;
    try {
      while (done < tasks.length) tasks[done++]?.();
    } finally {
      // A task that throws takes none of the others with it.
      for (const task of tasks.slice(done)) this.defer(task);
      tasks.length = 0;
      this.#spare = tasks;
    }
  };

  defer(task: () => void): void {
    if (this.#tasks.push(task) === 1) setImmediate(this.#run);
  }
}
