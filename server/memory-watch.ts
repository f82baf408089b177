// How much memory the process uses against what it may use: the alarm for what no count of messages shows (heap, buffers of sockets, garbage).
// Always: (1) it looks once a second, and tells each change once; (2) the alarm is over well below where it began, or it would flutter.
// Refuses to act: holding publishers back is the broker's.

import { totalmem } from 'node:os';
import type { Clock, Timer } from './ports.ts';

const LOOK_MS = 1000;
const CLEARS_AT = 0.9; // of where it began

/** What this process may use: the limit of its container (cgroup v1 or v2), else the machine's memory. */
export function memoryLimitBytes(constrainedBytes = process.constrainedMemory(), totalBytes = totalmem()): number {
  // 0 and undefined: no limit; cgroup v1 says "none" with a number beyond any memory.
  return constrainedBytes === undefined || constrainedBytes === 0 ? totalBytes : Math.min(constrainedBytes, totalBytes);
}

/** Where the alarm begins. */
export function memoryAlarmBytes(limitBytes: number, alarmPercent: number): number {
  return Math.floor((limitBytes * alarmPercent) / 100);
}

export interface MemoryWatchOptions {
  readonly clock: Clock;
  readonly limitBytes: number;
  /** Of the limit: the rest is room for what is on its way, for garbage, and for draining. */
  readonly alarmPercent: number;
  /** What the process uses now. */
  readonly usedBytes: () => number;
  readonly tell: (isOver: boolean) => void;
}

export class MemoryWatch {
  readonly #options: MemoryWatchOptions;
  #isOver = false;
  #timer: Timer;

  constructor(options: MemoryWatchOptions) {
    this.#options = options;
    this.#timer = this.#next();
  }

  close(): void {
    this.#timer.cancel();
  }

  #next(): Timer {
    const { clock } = this.#options;
    return clock.setTimer(clock.now() + LOOK_MS, () => {
      this.#timer = this.#next();
      this.#look();
    });
  }

  #look(): void {
    const { limitBytes, alarmPercent, usedBytes, tell } = this.#options;
    const alarmBytes = memoryAlarmBytes(limitBytes, alarmPercent);
    const isOver = usedBytes() > (this.#isOver ? alarmBytes * CLEARS_AT : alarmBytes);
    if (isOver === this.#isOver) return;
    this.#isOver = isOver;
    tell(isOver);
  }
}
