// The message logs that the contract runs on, each with the world it lives in: time, disk, and how to wait for them.
// Always: (1) a world waits for nothing real but its own disk; (2) the sizes called tiny make a log cool its memory, spill, and retire files within
// a few messages; (3) `end` leaves nothing behind.
// Refuses: faults of the disk. The crash tests and the simulation have those.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageLog } from '../../server/ports.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import { type Disk, NodeDisk } from '../../server/store/file.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import type { StoreSizes } from '../../server/store/store-options.ts';
import { EngineTime } from './engine.ts';
import { RememberingLog } from './remembering-log.ts';
import { SimDisk } from './sim-disk.ts';
import { seeded } from './sim-random.ts';

export interface LogSubject {
  readonly name: string;
  /** Why it cannot be opened again; undefined: it can. */
  readonly forgets: string | undefined;
  /** A persistent message of up to so many bytes is taken; one of more than twice as many may be refused. */
  readonly takenBytes: number;
  /** It retires files and reads them back, soon. */
  readonly isTiny: boolean;
  /** It answers some reads later. */
  readonly readsLater: boolean;
  /** How often a property is tried on it. */
  readonly runs: number;
  begin(seed: number): LogWorld;
}

export interface LogWorld {
  readonly time: EngineTime;
  /** A log over what the one before it left when it was closed. */
  next(): MessageLog;
  /** Files that were retired and are kept, in the present log. */
  segments(): number;
  /** Lets time and disk go on until it is so. */
  until(isSo: () => boolean): Promise<void>;
  /** Time goes on a little: the disk answers what it was asked. */
  pause(): Promise<void>;
  end(): void;
}

const PAUSE_MS = 20; // more than a few answers of a simulated disk take
const MEMORY = 'what is in memory alone goes with its process';
const STEPS_MAX = 20_000; // each a millisecond of virtual time
const REAL_STEPS_MAX = 2_000_000; // of a disk that is real: an fdatasync may take a while

class MemoryWorld implements LogWorld {
  readonly time = new EngineTime();
  readonly #make: (time: EngineTime) => MessageLog;

  constructor(make: (time: EngineTime) => MessageLog) {
    this.#make = make;
  }
  next(): MessageLog {
    return this.#make(this.time);
  }
  segments(): number {
    return 0;
  }
  async until(isSo: () => boolean): Promise<void> {
    this.time.settle();
    await new Promise((resolve) => setImmediate(resolve)); // promises that are settled already
    if (!isSo()) throw new Error('a log in memory is done at the end of the turn, or never');
  }
  async pause(): Promise<void> {}
  end(): void {}
}

class DiskWorld implements LogWorld {
  readonly time = new EngineTime();
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #sizes: Partial<StoreSizes>;
  readonly #end: () => void;
  #log: DurableLog | undefined;

  constructor(made: (time: EngineTime) => { disk: Disk; directory: string; end: () => void }, sizes: Partial<StoreSizes>) {
    const { disk, directory, end } = made(this.time);
    this.#disk = disk;
    this.#directory = directory;
    this.#end = end;
    this.#sizes = sizes;
  }
  next(): MessageLog {
    this.#log = new DurableLog({
      disk: this.#disk,
      directory: this.#directory,
      clock: this.time,
      notices: { notice: () => undefined },
      processes: { self: '1 1', isAlive: () => true },
      sizes: this.#sizes,
    });
    return this.#log;
  }
  segments(): number {
    return this.#log?.segmentCount ?? 0;
  }
  async until(isSo: () => boolean): Promise<void> {
    const stepsMax = this.#disk instanceof NodeDisk ? REAL_STEPS_MAX : STEPS_MAX;
    for (let step = 0; !isSo(); step++) {
      if (step > stepsMax) throw new Error('the log never gets there');
      this.time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  async pause(): Promise<void> {
    const untilMs = this.time.now() + PAUSE_MS;
    await this.until(() => this.time.now() >= untilMs);
  }
  end(): void {
    this.#end();
  }
}

const large: Partial<StoreSizes> = { walFileBytes: 1 << 20, slabBytes: 1 << 18, cacheBytes: 1 << 26, diskFreeBytesMin: 0 };
const tiny: Partial<StoreSizes> = {
  walFileBytes: 8 << 10,
  walFilesMax: 2,
  slabBytes: 2 << 10,
  cacheBytes: 8 << 10,
  batchBytesMax: 4 << 10,
  diskFreeBytesMin: 0,
};

const simulated =
  (seed: number) =>
  (time: EngineTime): { disk: Disk; directory: string; end: () => void } => ({
    disk: new SimDisk({
      random: seeded(seed),
      schedule: (delayMs, task) => void time.setTimer(time.now() + delayMs, task),
      faults: { shortWrite: 0.05 },
    }),
    directory: 'data',
    end: () => undefined,
  });

const real = (): { disk: Disk; directory: string; end: () => void } => {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-log-'));
  return { disk: new NodeDisk(), directory, end: () => rmSync(directory, { recursive: true, force: true }) };
};

export const memorySubjects: readonly LogSubject[] = [
  { name: 'memory log', forgets: MEMORY, readsLater: false, begin: () => new MemoryWorld(() => new MemoryLog()) },
  {
    name: 'memory log that reads later',
    forgets: MEMORY,
    readsLater: true,
    begin: () => new MemoryWorld((time) => new MemoryLog({ deferReads: time })),
  },
  {
    name: 'remembering log',
    forgets: undefined,
    readsLater: false,
    begin: () => {
      const log = new RememberingLog();
      return new MemoryWorld(() => log);
    },
  },
].map((subject) => ({ ...subject, takenBytes: Number.POSITIVE_INFINITY, isTiny: false, runs: 60 }));

export const durableSubjects: readonly LogSubject[] = [
  { name: 'durable log on a simulated disk', sizes: large, isTiny: false, runs: 40, made: simulated },
  { name: 'durable log on a simulated disk, with tiny files', sizes: tiny, isTiny: true, runs: 200, made: simulated },
  { name: 'durable log on this disk', sizes: large, isTiny: false, runs: 8, made: () => real },
  { name: 'durable log on this disk, with tiny files', sizes: tiny, isTiny: true, runs: 12, made: () => real },
].map(({ name, sizes, isTiny, runs, made }) => ({
  name,
  forgets: undefined,
  takenBytes: ((sizes.walFileBytes ?? 0) >> 1) - 1024,
  isTiny,
  readsLater: isTiny,
  runs,
  begin: (seed: number) => new DiskWorld(made(seed), sizes),
}));
