// When the messages of a given rate are due, and a clock that says so more often than the event loop's milliseconds.
// Always: a message's due time follows from its number alone, so that one sent late counts as late (no coordinated omission).

import { Worker } from 'node:worker_threads';

export class Schedule {
  readonly #startUs: number;
  readonly #stepUs: number;

  /** `perSecond` from `startUs` on. */
  constructor(startUs: number, perSecond: number) {
    this.#startUs = startUs;
    this.#stepUs = 1e6 / perSecond;
  }

  /** Messages that are due by `now`, from the first. */
  dueCount(now: number): number {
    return now < this.#startUs ? 0 : Math.floor((now - this.#startUs) / this.#stepUs) + 1;
  }

  /** When message `index`, from 0, is due. */
  dueUs(index: number): number {
    return this.#startUs + index * this.#stepUs;
  }
}

// A thread that sleeps until the next message is due: the event loop's own timers round to milliseconds. It is source, for Node 20 runs no TypeScript
// and tests run no build.
const TICKER = `
const { parentPort, workerData } = require('node:worker_threads');
const { ended, startUs, stepUs } = workerData;
const nowUs = () => Number(process.hrtime.bigint()) / 1e3;
for (let dueUs = startUs; ; dueUs += stepUs * Math.max(1, Math.ceil((nowUs() - dueUs) / stepUs))) {
  const waitMs = (dueUs - nowUs()) / 1e3;
  if (waitMs > 0 && Atomics.wait(ended, 0, 0, waitMs) !== 'timed-out') break;
  parentPort.postMessage(0);
}
`;
// A thread needs some 50 us to wake: below, ticks would only pile up.
const STEP_US_MIN = 100;

export class Ticker {
  readonly #ended = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  /** Calls `tick` when messages of `perSecond` fall due, from `startUs` on. */
  constructor(startUs: number, perSecond: number, tick: () => void) {
    const stepUs = Math.max(STEP_US_MIN, 1e6 / perSecond);
    this.#worker = new Worker(TICKER, { eval: true, workerData: { ended: this.#ended, startUs, stepUs } });
    this.#worker.on('message', tick);
  }

  async stop(): Promise<void> {
    Atomics.store(this.#ended, 0, 1);
    Atomics.notify(this.#ended, 0);
    await this.#worker.terminate();
  }
}
