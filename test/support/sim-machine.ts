// What runs a simulated disk: it counts the operations, makes some of them fail, answers the asynchronous ones later, and can stop dead.
// Always: (1) an operation is counted when it is called and, if it answers later, again when it is answered; (2) after `haltAfter` of them, or
// once `isOff`, nothing reaches the disk: calls that block throw, the others are never answered; (3) chance comes from one source alone.

import type { DiskError } from '../../server/store/file.ts';
import { between, type Random } from './sim-random.ts';
import { diskError, SimDiskError } from './sim-tree.ts';

/** Calls the task after so many milliseconds of the test's time. */
export type Schedule = (delayMs: number, task: () => void) => void;

/** Shares of 1, except where a unit is named. */
export interface SimFaults {
  /** A write that writes less than it was given. */
  shortWrite: number;
  /** EIO; a part may have been written. */
  writeError: number;
  readError: number;
  /** EIO of a file's sync, which marks its pages clean: no later sync writes them. */
  syncError: number;
  /** An answer that takes 5 s. */
  stall: number;
  /** A bit that is wrong in what is read, once. */
  readBitFlip: number;
  /** A bit that the medium stores wrong. */
  bitFlip: number;
  /** A write that the medium never makes, though its sync succeeds. */
  lostWrite: number;
  /** A write that the medium makes a few sectors off. */
  misdirectedWrite: number;
  capacityBytes: number;
  /** Operation number `at`, and with `onwards` all after it, fails with this code; with ENOSPC those alone that take room. */
  fail: { readonly at: number; readonly code: string; readonly onwards: boolean } | undefined;
}

export const noFaults: SimFaults = {
  shortWrite: 0,
  writeError: 0,
  readError: 0,
  syncError: 0,
  stall: 0,
  readBitFlip: 0,
  bitFlip: 0,
  lostWrite: 0,
  misdirectedWrite: 0,
  capacityBytes: Number.POSITIVE_INFINITY,
  fail: undefined,
};

const STALL_MS = 5_000; // what a disk that is about to fail, or a busy cloud volume, takes
const TAKES_ROOM = /^(open-create|mkdir|rename|write|writeNow|truncateNow) /;
const DELAY_MS_MAX = 6;

export class SimMachine {
  readonly random: Random;
  readonly faults: SimFaults;
  readonly #schedule: Schedule;
  operations = 0;
  /** The names of all operations, in order: operation i is at i - 1. */
  readonly trace: string[] = [];
  haltAfter = Number.POSITIVE_INFINITY;
  isOff = false;
  /** Told after each operation, with its number; what the machine would leave behind now may be asked for. */
  onOperation: ((operation: number) => void) | undefined;

  constructor(random: Random, schedule: Schedule, faults: Partial<SimFaults>) {
    this.random = random;
    this.#schedule = schedule;
    this.faults = { ...noFaults, ...faults };
  }

  happens(share: number): boolean {
    return share > 0 && this.random() < share;
  }

  /** A call that blocks. `act` is told the code it fails with, if it fails by the plan or by `share`. */
  now<T>(call: string, path: string, share: number, act: (failure: string | undefined) => T): T {
    if (this.isOff) throw new Error(`${call} '${path}': the machine is off`);
    const failure = this.#count(`${call} ${path}`, share);
    try {
      return act(failure);
    } finally {
      this.#ended();
    }
  }

  /** A call that answers later: `finish` acts then, and its answer goes to `done`. */
  later<T>(call: string, path: string, share: number, finish: (failure: string | undefined) => T, done: (answer: T) => void): void {
    if (this.isOff) return;
    const failure = this.#count(`${call} ${path}`, share);
    this.#ended();
    const delayMs = this.happens(this.faults.stall) ? STALL_MS : between(this.random, 0, DELAY_MS_MAX);
    this.#schedule(delayMs, () => {
      if (this.isOff) return;
      this.#note(`${call} ${path} answered`);
      const answer = finish(failure);
      // What it answers was so before the machine stopped, so its caller may know.
      this.#ended();
      done(answer);
    });
  }

  #count(name: string, share: number): string | undefined {
    this.#note(name);
    const plan = this.faults.fail;
    const isDue = plan !== undefined && (plan.at === this.operations || (plan.onwards && plan.at < this.operations));
    if (isDue && (plan.code !== 'ENOSPC' || TAKES_ROOM.test(name))) return plan.code;
    return this.happens(share) ? 'EIO' : undefined;
  }
  #note(name: string): void {
    this.operations++;
    this.trace.push(name);
  }
  #ended(): void {
    this.onOperation?.(this.operations);
    if (this.operations >= this.haltAfter) this.isOff = true;
  }
}

/** For calls that fail wholly or not at all. */
export function failing(failure: string | undefined, call: string, path: string): void {
  if (failure !== undefined) throw diskError(failure, call, path);
}

/** Runs what may throw an error of the disk. */
export function caught<T>(act: () => T): { error: DiskError } | { error: null; value: T } {
  try {
    return { error: null, value: act() };
  } catch (error) {
    if (error instanceof SimDiskError) return { error };
    throw error;
  }
}
