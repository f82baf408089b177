// The files of the WAL: made, made ready, used again, and named for good before anything in them counts.

import { afterEach, describe, expect, test } from 'vitest';
import { LogFile, Role } from '../../../server/store/log-file.ts';
import { LogFiles } from '../../../server/store/log-files.ts';
import { FILE_HEADER_BYTES } from '../../../server/store/records.ts';
import { EngineTime } from '../../support/engine.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { type Random, seeded } from '../../support/sim-random.ts';

const FILE_BYTES = 4 << 10;
const SPENT = Buffer.alloc(FILE_BYTES, 0x77);

class World {
  readonly time = new EngineTime();
  readonly disk: SimDisk;
  readonly files: LogFiles;
  readonly failures: (string | undefined)[] = [];
  fullCount = 0;

  constructor(random: Random = seeded(1)) {
    this.disk = new SimDisk({ random, schedule: (delayMs, task) => void this.time.setTimer(this.time.now() + delayMs, task) });
    this.disk.makeDirectoryNow('data/wal');
    this.disk.makeDirectoryNow('data/segments');
    for (const path of ['/', 'data']) this.sync(path);
    this.files = new LogFiles([], [], 1, {
      disk: this.disk,
      directory: 'data',
      fileBytes: FILE_BYTES,
      failed: ({ code }) => void this.failures.push(code),
      full: () => void this.fullCount++,
    });
  }
  sync(path: string): void {
    const directory = this.disk.openDirectoryNow(path);
    directory.syncNow();
    directory.closeNow();
  }
  get names(): string[] {
    return this.disk.listNow('data/wal');
  }
  async rest(): Promise<void> {
    for (let i = 0; i < 60; i++) {
      this.time.advance(2);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  /** The oldest file of the WAL is done with. */
  recycleOldest(): void {
    const oldest = this.files.wal.shift();
    if (oldest !== undefined) void this.files.recycle(oldest);
  }
}

let world = new World();
const begin = (...args: ConstructorParameters<typeof World>): World => {
  world = new World(...args);
  return world;
};
afterEach(async () => {
  world.files.close();
  await world.rest();
  expect(world.failures).toEqual([]);
});

test('without one that is ready a file is made at once, in its full size', () => {
  const { files, disk } = begin();
  const first = files.take();
  expect(first).toMatchObject({ id: 1, fileBytes: FILE_BYTES, bytes: 0, used: FILE_HEADER_BYTES, role: Role.Wal });
  expect(first.file.sizeNow()).toBe(FILE_BYTES);
  expect(files.take().id).toBe(2);
  expect(files.wal.map(({ id }) => id)).toEqual([1, 2]);
  expect(disk.powerLoss().listNow('data/wal')).toEqual(['00000001', '00000002']);
});

describe('a file that is made ready', () => {
  test('is full of zeros, on the medium and under its name, before it is taken', async () => {
    const { files, disk, names } = begin(seeded(3));
    expect(names).toEqual([]);
    files.prepare();
    files.prepare(); // one is enough
    await world.rest();
    expect(world.names).toEqual(['00000001']);
    const { operations } = disk;
    const taken = files.take();
    expect(disk.operations, 'nothing is waited for').toBe(operations);
    expect(taken.id).toBe(1);
    const after = disk.copy().powerLoss();
    expect(after.listNow('data/wal')).toEqual(['00000001']);
    expect([...after.contents().values()].map((bytes) => Buffer.compare(bytes, Buffer.alloc(FILE_BYTES)))).toEqual([0]);
  });

  test('gets a newer name when others were made meanwhile: ids grow in the order of use', async () => {
    const { files } = begin();
    files.prepare();
    const first = files.take();
    await world.rest();
    const second = files.take();
    expect(second.id).toBeGreaterThan(first.id);
    files.prepare();
    // the file is renamed already, and its name not durable yet
    while (world.names.includes('next') || world.names.length < 3) {
      world.time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const third = files.take();
    await world.rest();
    const fourth = files.take();
    expect([second.id, third.id, fourth.id]).toEqual([...[second.id, third.id, fourth.id]].sort((a, b) => a - b));
    expect(world.names).toEqual(files.wal.map(({ id }) => String(id).padStart(8, '0')));
  });

  test('follows what an interrupted attempt left', async () => {
    const { files, disk } = begin();
    disk.openNow('data/wal/next', 'create').closeNow();
    files.prepare();
    await world.rest();
    expect(world.names).toEqual(['00000001']);
    expect(files.take().file.sizeNow()).toBe(FILE_BYTES);
  });
});

describe('a file that is done with', () => {
  async function withSpent(): Promise<LogFiles> {
    const { files } = begin(seeded(4));
    files.prepare();
    await world.rest();
    const spent = files.take();
    spent.file.writeNow(SPENT, 0);
    spent.file.syncNow();
    files.take();
    return files;
  }

  test('is used again, under the next name, bytes and all', async () => {
    const files = await withSpent();
    world.recycleOldest();
    expect(world.names).toEqual(['00000002', '00000003']);
    await world.rest();
    const again = files.take();
    const bytes = Buffer.alloc(FILE_BYTES);
    again.file.readNow(bytes, 0);
    expect([again.id, Buffer.compare(bytes, SPENT)]).toEqual([3, 0]);
    expect(world.disk.copy().powerLoss().listNow('data/wal')).toEqual(['00000002', '00000003']);
  });

  test('is removed when one is ready already', async () => {
    const files = await withSpent();
    files.prepare();
    await world.rest();
    world.recycleOldest();
    await world.rest();
    expect(world.names).toEqual(['00000002', '00000003']);
    expect(files.take().id).toBe(3);
  });

  test('is removed when it has another size, and when it is a segment', async () => {
    const { files, disk } = begin();
    for (const [name, fileBytes, role] of [
      ['wal/00000005', FILE_BYTES / 2, Role.Wal],
      ['segments/00000006', FILE_BYTES, Role.Gathered],
    ] as const) {
      void files.recycle(new LogFile(5, disk.openNow(`data/${name}`, 'create'), fileBytes, role));
      await world.rest();
      expect(disk.existsNow(`data/${name}`)).toBe(false);
    }
    await world.rest();
    expect(world.names).toEqual([]);
  });
});

test('a disk without room makes nothing ready, and says so; later it does', async () => {
  const { files, disk } = begin();
  Object.assign(disk.faults, { fail: { at: disk.operations + 1, code: 'ENOSPC', onwards: true } });
  files.prepare();
  await world.rest();
  expect([world.fullCount, world.failures]).toEqual([1, []]);
  Object.assign(disk.faults, { fail: undefined });
  files.prepare();
  await world.rest();
  expect(world.names).toEqual(['00000001']);
});

test('an error of the disk is told', async () => {
  const { files, disk } = begin();
  files.prepare();
  Object.assign(disk.faults, { syncError: 1 });
  await world.rest();
  expect([world.fullCount, world.failures.splice(0)]).toEqual([0, ['EIO']]);
});

test('closing in the middle of making one ready leaves no call behind', async () => {
  for (let operations = 0; operations < 12; operations++) {
    const { files, disk } = begin(seeded(operations));
    const until = disk.operations + operations;
    files.prepare();
    while (disk.operations < until) {
      world.time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
      if (world.time.timerCount === 0) break;
    }
    files.close(); // a simulated file refuses to be closed under a call
    await world.rest();
    expect([world.failures, world.time.timerCount]).toEqual([[], 0]);
    begin();
  }
});
