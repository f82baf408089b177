// Transient messages that went out of memory, on a disk that takes no more.

import { expect, test } from 'vitest';
import { View } from '../../../server/ports.ts';
import { ColdReads } from '../../../server/store/cold-reads.ts';
import type { Slab } from '../../../server/store/log-file.ts';
import { SlabTable } from '../../../server/store/slab-table.ts';
import { Spill } from '../../../server/store/spill.ts';
import { EngineTime } from '../../support/engine.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

const SLAB_BYTES = 8192;

class World {
  readonly time = new EngineTime();
  readonly disk = new SimDisk({ random: seeded(1), schedule: (delayMs, task) => void this.time.setTimer(this.time.now() + delayMs, task) });
  readonly slabs = new SlabTable(SLAB_BYTES);
  readonly faults: string[] = [];
  readonly cold = new ColdReads({
    bytesMax: 1 << 20,
    failed: ({ message }) => void this.faults.push(message),
    damaged: (path, position) => void this.faults.push(`${path} damaged at ${position}`),
  });
  readonly spill = new Spill({
    disk: this.disk,
    path: 'data/spill',
    slabs: this.slabs,
    failed: ({ message }) => void this.faults.push(message),
    overwritten: (file, from, to) => this.cold.overwritten(file, from, to),
  });

  constructor() {
    this.disk.makeDirectoryNow('data');
  }

  slab(fill: number): Slab {
    const slab = this.slabs.open(SLAB_BYTES);
    slab.isOpen = false;
    slab.used = SLAB_BYTES;
    slab.live = 1;
    slab.bytes?.fill(fill);
    return slab;
  }

  async write(slab: Slab): Promise<void> {
    this.spill.write(slab);
    await this.rest();
  }

  async rest(): Promise<void> {
    for (let ms = 0; ms < 20; ms++) {
      this.time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The first byte of what is on disk of `slab`. */
  async read(slab: Slab): Promise<number | undefined> {
    const view = new View();
    const { cold } = this.spill;
    if (cold === undefined) return undefined;
    const show = (): boolean => this.cold.read(cold, slab.positionOf(0), SLAB_BYTES, view, { readable: () => undefined });
    if (!show()) await this.rest();
    return show() ? view.bytes[view.start] : undefined;
  }
}

test('a full disk leaves a transient message in memory, and those before it readable', async () => {
  const world = new World();
  const first = world.slab(1);
  const second = world.slab(2);
  await world.write(first);
  expect(first.bytes, 'it is on disk alone').toBeUndefined();
  world.disk.faults.capacityBytes = world.disk.usedBytes;
  await world.write(second);
  expect(second.bytes?.[0]).toBe(2);
  expect([await world.read(first), world.faults]).toEqual([1, []]);

  world.disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
  await world.write(second);
  expect(second.bytes, 'there is room again').toBeUndefined();
  expect([await world.read(first), await world.read(second), world.faults]).toEqual([1, 2, []]);
});

test('a disk that fails with anything else than a lack of room is told of', async () => {
  const world = new World();
  await world.write(world.slab(1));
  Object.assign(world.disk.faults, { fail: { at: world.disk.operations + 1, code: 'EIO', onwards: false } });
  const second = world.slab(2);
  await world.write(second);
  expect([second.bytes?.[0], world.faults]).toEqual([2, [expect.stringContaining('EIO')]]);
});
