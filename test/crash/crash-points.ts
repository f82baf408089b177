// Small workloads on a durable log, and every moment at which they may end: power loss, a kill, a failing call, a full disk.
// Always: (1) a seed decides everything, and is part of every complaint; (2) a moment is an operation of the disk, when it has happened and before
// it is answered; (3) what is found after it is judged by the ledger, and so is what a second crash leaves of the recovery from the first.
// Refuses: to run the broker (test/simulation does) or real processes (the kill loop does).

import type { Disk } from '../../server/store/file.ts';
import { StoreError } from '../../server/store/store-error.ts';
import { DIRECTORY, type LeftDisk, LogBench, leftOf, simDisk } from '../support/log-bench.ts';
import type { Ledger } from '../support/log-ledger.ts';
import { between, type Random, seeded } from '../support/sim-random.ts';

export interface CrashRun {
  readonly seed: number;
  readonly steps: number;
  /** Shares of the moments at which a recovery is crashed in turn, and of the recoveries after which work goes on. */
  readonly again: number;
  readonly goesOn: number;
  /** A fault of ours, on purpose. */
  readonly plant?: (disk: Disk) => Disk;
}

export interface CrashReport {
  readonly complaints: string[];
  operations: number;
  recoveries: number;
  segments: number;
}

/** A new log on a new disk. */
export function newBench(seed: number, plant?: (disk: Disk) => Disk): LogBench {
  const made = simDisk(seed);
  made.disk.makeDirectoryNow(DIRECTORY.slice(0, DIRECTORY.lastIndexOf('/')));
  made.disk.openDirectoryNow('/').syncNow();
  return new LogBench(made, seed, plant);
}

/** The moment a bench is in, as its ledger and its listener know it. */
interface Moment {
  readonly name: string;
  readonly ledger: Ledger;
  readonly durableLsn: number;
  readonly nowMs: number;
}

function momentOf(bench: LogBench, name: string): Moment {
  return { name, ledger: bench.ledger, durableLsn: bench.durableLsn, nowMs: bench.promisedMs };
}

const last = (trace: readonly string[]): string => `operation ${trace.length} (${trace[trace.length - 1]})`;

export class CrashPoints {
  readonly report: CrashReport = { complaints: [], operations: 0, recoveries: 0, segments: 0 };
  readonly #run: CrashRun;
  readonly #random: Random;
  /** Disks on which work goes on when the run is over. */
  readonly #left: { left: LeftDisk; name: string }[] = [];

  constructor(run: CrashRun) {
    this.#run = run;
    this.#random = seeded(run.seed ^ 0xc4a5);
  }

  async run(): Promise<CrashReport> {
    const { seed, steps, plant } = this.#run;
    const bench = newBench(seed, plant);
    bench.disk.onOperation(() => {
      for (const how of ['power', 'kill'] as const) this.#crash(bench, how);
    });
    bench.begin();
    await bench.work(steps);
    await bench.close();
    bench.disk.onOperation(undefined);
    this.#note('work', bench.complaints);
    if (bench.unknownFrom !== undefined) this.#note('work', [`unknown: ${bench.cause?.message}`]);
    this.report.operations = bench.disk.operations;
    this.report.segments = bench.log.segmentCount;
    for (const each of this.#left) await this.#goOn(each.left, each.name);
    return this.report;
  }

  #crash(bench: LogBench, how: 'power' | 'kill'): void {
    const moment = momentOf(bench, `seed ${this.#run.seed}, ${how} after ${last(bench.disk.trace)}`);
    const left = leftOf(bench.disk, how, this.#seed());
    const goesOn = this.#random() < this.#run.goesOn ? left.disk.copy() : undefined;
    this.#recover(left, moment, true);
    if (goesOn !== undefined) this.#left.push({ left: leftOf(goesOn, 'kill', this.#seed()), name: moment.name });
  }

  #recover(left: LeftDisk, moment: Moment, mayCrash: boolean): void {
    this.report.recoveries++;
    if (mayCrash) {
      left.disk.onOperation(() => {
        if (this.#random() >= this.#run.again) return;
        const how = this.#random() < 0.5 ? 'power' : 'kill';
        const name = `${moment.name}, then ${how} after ${last(left.disk.trace)}`;
        this.#recover(leftOf(left.disk, how, this.#seed()), { ...moment, name }, false);
      });
    }
    try {
      const next = new LogBench(left, this.#seed());
      const found = next.recover();
      this.#note(moment.name, [...next.complaints, ...moment.ledger.check(found, moment.durableLsn, moment.nowMs)]);
    } catch (error) {
      this.#note(moment.name, [textOf(error)]);
    }
  }

  /** What a recovery found is worked on, crashed, and at last closed and found exactly as it was. */
  async #goOn(left: LeftDisk, name: string): Promise<void> {
    try {
      const bench = new LogBench(left, this.#seed()).begin();
      left.disk.onOperation(() => {
        if (this.#random() > 0.02) return;
        const how = this.#random() < 0.5 ? 'power' : 'kill';
        this.#recover(leftOf(left.disk, how, this.#seed()), momentOf(bench, `${name}, later ${how} after ${last(left.disk.trace)}`), false);
      });
      await bench.work(40);
      await bench.close();
      left.disk.onOperation(undefined);
      this.#note(`${name}, later`, bench.complaints);
      if (bench.unknownFrom !== undefined) this.#note(`${name}, later`, [`unknown: ${bench.cause?.message}`]);
      const found = new LogBench(leftOf(left.disk, 'power', this.#seed()), this.#seed()).recover();
      const complaints = bench.ledger.check(found, bench.durableLsn, bench.promisedMs);
      if (!found.isClean) complaints.push('was closed, and says it was not');
      this.#note(`${name}, closed later`, complaints);
    } catch (error) {
      this.#note(`${name}, later`, [textOf(error)]);
    }
  }

  #seed(): number {
    return between(this.#random, 1, 0x7fff_ffff);
  }
  #note(name: string, complaints: readonly string[]): void {
    if (complaints.length > 0) this.report.complaints.push(`${name}: ${complaints.slice(0, 5).join('; ')}`);
  }
}

export interface Failure {
  readonly seed: number;
  readonly steps: number;
  readonly at: number;
  readonly code: string;
  readonly onwards: boolean;
}

/** Operation number `at` fails: either the log copes, or it says that it does not know, and then it confirms nothing more. */
export async function failing({ seed, steps, at, code, onwards }: Failure): Promise<string[]> {
  const bench = newBench(seed);
  const { disk, complaints } = bench;
  disk.faults.fail = { at, code, onwards };
  disk.onOperation((operation) => {
    if (operation === at) bench.failedMs = bench.time.now();
  });
  try {
    if (opened(bench)) {
      await bench.work(steps);
      await bench.advance(20); // the disk answers what it was asked last
      const operation = disk.trace[at - 1] ?? '';
      if (code === 'EIO' && /^(write|fdatasync) \S+\/wal\/\d(?!.* answered)/.test(operation) && bench.unknownFrom === undefined)
        complaints.push('the log goes on as if nothing had been');
      if (bench.unknownFrom !== undefined) await bench.workBlindly(12);
      await bench.close();
    }
    disk.faults.fail = undefined;
    for (const how of ['power', 'kill'] as const) complaints.push(...judged(bench, how, seed + at));
  } catch (error) {
    complaints.push(textOf(error));
  }
  const name = `seed ${seed}, ${code} ${onwards ? 'from' : 'at'} operation ${at} (${disk.trace[at - 1]})`;
  return complaints.map((complaint) => `${name}: ${complaint}`);
}

/** The disk is full from operation `at` on, and has room again some steps later: nothing is lost, nothing is unknown, all becomes durable. */
export async function full(seed: number, steps: number, at: number): Promise<string[]> {
  const bench = newBench(seed);
  const { disk, complaints } = bench;
  disk.onOperation((operation) => {
    if (operation !== at) return;
    disk.faults.capacityBytes = disk.usedBytes;
    bench.failedMs = bench.time.now();
  });
  try {
    const isOpen = opened(bench);
    if (isOpen) await bench.work(steps);
    complaints.push(...judged(bench, 'power', seed + at));
    disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
    if (isOpen) {
      await bench.advance(3_000);
      bench.failedMs = undefined;
      if (bench.isBlocked) complaints.push('publishers are still held back');
      await bench.work(10);
      await bench.advance(1_000);
      if (bench.unknownFrom !== undefined) complaints.push(`unknown: ${bench.cause?.stack}`);
      else if (bench.durableLsn < bench.log.lastLsn) complaints.push(`durable are ${bench.durableLsn} of ${bench.log.lastLsn}`);
      complaints.push(...judged(bench, 'kill', seed + at));
      await bench.close();
    }
    complaints.push(...judged(bench, 'power', seed + at));
  } catch (error) {
    complaints.push(textOf(error));
  }
  const name = `seed ${seed}, full from operation ${at} (${disk.trace[at - 1]})`;
  return complaints.map((complaint) => `${name}: ${complaint}`);
}

/** False: the log could not be opened, and said so as it should. */
function opened(bench: LogBench): boolean {
  try {
    bench.begin();
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'unusable') return false;
    throw error;
  }
}

/** What the ledger says of the disk as a crash would leave it now, healed. */
function judged(bench: LogBench, how: 'power' | 'kill', seed: number): string[] {
  const left = leftOf(bench.disk, how, seed);
  left.disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
  const next = new LogBench(left, seed);
  const found = next.recover();
  const complaints = [...next.complaints, ...bench.ledger.check(found, bench.durableLsn, bench.promisedMs)];
  return complaints.map((complaint) => `${how}: ${complaint}`);
}

export function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
