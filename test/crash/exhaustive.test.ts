// Every moment at which a small workload on the store may end, and every call of the disk that may fail.
// CRASH_SEEDS=n runs more seeds; CRASH_SEED=n that one alone. A complaint names its seed and operation.

import { describe, expect, test } from 'vitest';
import type { Disk, DiskFile } from '../../server/store/file.ts';
import { CrashPoints, failing, full, newBench } from './crash-points.ts';

const ONE = process.env['CRASH_SEED'];
const COUNT = Number(process.env['CRASH_SEEDS'] ?? 6);
const seeds = ONE === undefined ? Array.from({ length: COUNT }, (_, i) => i + 1) : [Number(ONE)];
const STEPS = 120;
const FAILING_STEPS = 80;
const MINUTES = 60_000 * (2 + COUNT);

test.each(seeds)(
  'a crash after any operation loses nothing that was durable, nor does one during the recovery (seed %i)',
  async (seed) => {
    const { complaints, operations, recoveries, segments } = await new CrashPoints({ seed, steps: STEPS, again: 0.02, goesOn: 0.02 }).run();
    expect(complaints).toEqual([]);
    expect(recoveries, 'power and process after each').toBeGreaterThan(2 * operations - 1);
    expect(operations).toBeGreaterThan(3 * STEPS);
    expect(segments, 'files were retired and kept').toBeGreaterThanOrEqual(0);
  },
  MINUTES,
);

/** How many operations the workload of a seed has. */
async function operationsOf(seed: number): Promise<number> {
  const bench = newBench(seed);
  bench.begin();
  await bench.work(FAILING_STEPS);
  return bench.disk.operations;
}

describe.each(['EIO', 'ENOSPC'])('an operation that fails with %s', (code) => {
  test.each(seeds.slice(0, 3))(
    'once or from then on: nothing that was durable is lost, and what is unknown is called so (seed %i)',
    async (seed) => {
      const operations = await operationsOf(seed);
      const complaints: string[] = [];
      for (let at = 1; at <= operations; at += 5)
        for (const onwards of [false, true]) complaints.push(...(await failing({ seed, steps: FAILING_STEPS, at, code, onwards })));
      expect(complaints).toEqual([]);
    },
    MINUTES,
  );
});

test.each(seeds.slice(0, 3))(
  'a disk that is full for a while loses nothing, makes nothing unknown, and all becomes durable (seed %i)',
  async (seed) => {
    const operations = await operationsOf(seed);
    const complaints: string[] = [];
    for (let at = 1; at <= operations; at += 5) complaints.push(...(await full(seed, FAILING_STEPS, at)));
    expect(complaints).toEqual([]);
  },
  MINUTES,
);

describe('the crashes find', () => {
  /** A disk whose open files are changed. */
  const withFiles =
    (change: (file: DiskFile, path: string) => Partial<DiskFile>) =>
    (disk: Disk): Disk =>
      overlay(disk, { openNow: (path, how) => ((file) => overlay(file, change(file, path)))(disk.openNow(path, how)) });
  const planted: [string, (disk: Disk) => Disk][] = [
    ['a sync that says yes and does nothing', withFiles(() => ({ sync: (done) => done(null), syncNow: () => undefined }))],
    [
      'names that are not synced',
      (disk) =>
        overlay(disk, {
          openDirectoryNow: (path) => overlay(disk.openDirectoryNow(path), { sync: (done) => done(null), syncNow: () => undefined }),
        }),
    ],
    [
      'a checkpoint that is not synced before it is renamed',
      withFiles((_file, path) => (path.includes('/meta/') ? { sync: (done) => done(null), syncNow: () => undefined } : {})),
    ],
    [
      'a segment that is not synced before the log it came from goes',
      withFiles((_file, path) => (path.includes('/segments/') ? { sync: (done) => done(null), syncNow: () => undefined } : {})),
    ],
  ];
  test.each(planted)(
    '%s',
    async (_name, plant) => {
      let found: readonly string[] = [];
      for (let seed = 1; seed <= 8 && found.length === 0; seed++)
        found = (await new CrashPoints({ seed, steps: STEPS, again: 0, goesOn: 0, plant }).run()).complaints;
      expect(found).not.toEqual([]);
    },
    MINUTES,
  );
});

function overlay<T extends object>(under: T, over: Partial<T>): T {
  return new Proxy(under, {
    get: (target, name) => {
      const changed = Reflect.get(over, name);
      if (changed !== undefined) return changed;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
