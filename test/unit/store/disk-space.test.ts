// The alarm of a disk that fills up, and the reserve that is given up for those who settle.

import { expect, test } from 'vitest';
import { DiskSpace } from '../../../server/store/disk-space.ts';
import { EngineTime } from '../../support/engine.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

const FREE_MIN = 10_000;
const RESERVE = 4 << 10; // a block
const RESERVE_PATH = 'data/reserve';

class World {
  readonly time = new EngineTime();
  readonly told: (string | undefined)[] = [];
  readonly disk: SimDisk;
  readonly space: DiskSpace;

  constructor(capacityBytes: number) {
    this.disk = new SimDisk({
      random: seeded(1),
      schedule: (delayMs, task) => void this.time.setTimer(this.time.now() + delayMs, task),
      faults: { capacityBytes },
    });
    this.disk.makeDirectoryNow('data');
    const { disk, time: clock } = this;
    const changed = (reason: string | undefined): void => void this.told.push(reason);
    this.space = new DiskSpace({ disk, directory: 'data', clock, freeBytesMin: FREE_MIN, reserveBytes: RESERVE, changed });
    this.space.begin();
  }
  get hasReserve(): boolean {
    return this.disk.existsNow(RESERVE_PATH);
  }
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 5) {
      this.time.advance(5);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  capacity(bytes: number): void {
    Object.assign(this.disk.faults, { capacityBytes: bytes });
  }
}

test('with room there is a reserve and no alarm, and nobody asks again before 16 MiB were written', async () => {
  const world = new World(100_000);
  await world.pass(100);
  expect([world.told, world.hasReserve]).toEqual([[], true]);
  world.capacity(FREE_MIN);
  world.space.wrote((16 << 20) - 1);
  await world.pass(5_000);
  expect(world.told).toEqual([]);
  world.space.wrote(16 << 20);
  await world.pass(50);
  expect(world.told).toEqual(['low on disk']);
  world.space.close();
});

test('too little room raises the alarm at once, and a quarter more than that ends it', async () => {
  const world = new World(FREE_MIN - 1);
  expect(world.told).toEqual(['low on disk']);
  await world.pass(3_000);
  expect([world.told, world.hasReserve]).toEqual([['low on disk'], false]);
  world.capacity(FREE_MIN * 1.25 - 1);
  await world.pass(3_000);
  expect(world.told).toEqual(['low on disk']);
  world.capacity(FREE_MIN * 1.25 + RESERVE + 1);
  await world.pass(2_000);
  expect([world.told, world.hasReserve]).toEqual([['low on disk', undefined], true]);
  world.space.close();
});

test('a write that finds no room gives the reserve up once, and the alarm stands until it went through', async () => {
  const world = new World(100_000);
  await world.pass(100);
  const used = world.disk.usedBytes;
  world.space.full(false);
  expect([world.told, world.hasReserve, world.space.isFull]).toEqual([['low on disk'], false, true]);
  expect(world.disk.usedBytes).toBe(used - RESERVE);
  world.space.full(false);
  await world.pass(3_000);
  expect([world.told, world.hasReserve]).toEqual([['low on disk'], false]); // there is room, and the write has not gone through
  world.space.full(true);
  await world.pass(3_000);
  expect([world.told, world.hasReserve, world.space.isFull]).toEqual([['low on disk', undefined], true, false]);
  world.space.close();
});

test('a disk that cannot say how much room there is changes nothing', async () => {
  const world = new World(FREE_MIN - 1);
  world.capacity(1 << 20);
  Object.assign(world.disk.faults, { fail: { at: world.disk.operations + 1, code: 'EIO', onwards: true } });
  await world.pass(3_000);
  expect(world.told).toEqual(['low on disk']);
  Object.assign(world.disk.faults, { fail: undefined });
  await world.pass(2_000);
  expect(world.told).toEqual(['low on disk', undefined]);
  world.space.close();
});

test('once closed it asks nothing, tells nothing and leaves no timer', async () => {
  const world = new World(FREE_MIN - 1);
  world.space.close();
  world.capacity(1 << 20);
  const { operations } = world.disk;
  await world.pass(3_000);
  expect([world.told, world.disk.operations, world.time.timerCount]).toEqual([['low on disk'], operations, 0]);
});
