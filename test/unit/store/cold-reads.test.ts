// Messages read back from disk: windows, their budget, and what must never be shown.

import { describe, expect, test } from 'vitest';
import { Append, View } from '../../../server/ports.ts';
import { ColdReads } from '../../../server/store/cold-reads.ts';
import type { DiskFile } from '../../../server/store/file.ts';
import {
  finishRecord,
  padded,
  publishBytes,
  RECORD_HEADER_BYTES,
  RecordType,
  startRecord,
  writeMessage,
} from '../../../server/store/records.ts';
import { EngineTime } from '../../support/engine.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

const SEED = 9;
const FILE_BYTES = 256 << 10;

interface Placed {
  readonly position: number;
  readonly content: Buffer;
}

class World {
  readonly time = new EngineTime();
  readonly disk: SimDisk;
  readonly file: DiskFile;
  readonly failures: string[] = [];
  readonly damages: number[] = [];
  readonly cold: ColdReads;
  readonly source: { file: DiskFile; recordSeed: number | undefined; bytes: number };
  #end = 64;

  constructor(isRecords = true, bytesMax = 1 << 20) {
    this.disk = new SimDisk({ random: seeded(1), schedule: (delayMs, task) => void this.time.setTimer(this.time.now() + delayMs, task) });
    this.disk.makeDirectoryNow('data');
    this.file = this.disk.openNow('data/file', 'create');
    this.file.truncateNow(FILE_BYTES);
    this.source = { file: this.file, recordSeed: isRecords ? SEED : undefined, bytes: FILE_BYTES };
    this.cold = new ColdReads({
      bytesMax,
      failed: ({ message }) => void this.failures.push(message),
      damaged: (_path, position) => void this.damages.push(position),
    });
  }

  /** A record with so many references behind its content. */
  record(size: number, references = 1): Placed {
    const append = new Append();
    append.begin(Buffer.alloc(size, this.#end), 0, size, size, 1);
    for (let queue = 1; queue <= references; queue++) append.add(queue, queue, 0, 0);
    const payloadBytes = publishBytes(append);
    const bytes = Buffer.alloc(padded(RECORD_HEADER_BYTES + payloadBytes));
    startRecord(bytes, 0, { lsn: 1, type: RecordType.Publish, payloadBytes, contentBytes: size, count: references });
    writeMessage(bytes, 0, append);
    finishRecord(bytes, 0, SEED);
    this.file.writeNow(bytes, this.#end);
    const position = this.#end + RECORD_HEADER_BYTES;
    this.#end += bytes.length;
    return { position, content: Buffer.alloc(size, append.bytes[0]) };
  }
  plain(position: number, size: number, fill: number): Placed {
    const content = Buffer.alloc(size, fill);
    this.file.writeNow(content, position);
    return { position, content };
  }

  /** The bytes, or how often somebody would be told. */
  read({ position, content }: Placed, told: { count: number } = { count: 0 }): Buffer | { count: number } {
    const view = new View();
    const waiter = { readable: () => void told.count++ };
    if (!this.cold.read(this.source, position, content.length, view, waiter)) return told;
    return Buffer.from(view.bytes.subarray(view.start, view.start + content.length));
  }
  /** Now, or after a detour or two. */
  expect(placed: Placed): void {
    for (let detours = 0; ; detours++) {
      const told = { count: 0 };
      const found = this.read(placed, told);
      if (Buffer.isBuffer(found)) {
        expect(Buffer.compare(found, placed.content)).toBe(0);
        return;
      }
      expect(detours).toBeLessThan(2);
      this.time.advance(20);
      expect(told.count).toBe(1);
    }
  }
}

test('a message is read once for all that wait for it, and then shown at once, with those around it', () => {
  const world = new World();
  const [first, second] = [world.record(100), world.record(200)];
  const { operations } = world.disk;
  const told = { count: 0 };
  expect(world.read(first, told)).toBe(told);
  expect(world.read(first, told)).toBe(told);
  world.time.advance(20);
  expect(world.disk.operations - operations).toBe(2); // a call, and its answer
  expect(told.count).toBe(2);
  for (const placed of [first, second]) expect(world.read(placed)).toEqual(placed.content);
});

test('a record whose references end far behind its content is read with room enough', () => {
  const world = new World();
  world.record(70_000); // so that the first window is a small one
  const placed = world.record(10, 3_000);
  world.expect(placed);
  expect(world.damages).toEqual([]);
});

test('a message at the very end of its file is read', () => {
  const world = new World();
  const placed = world.record(10);
  world.source.bytes = placed.position + 10 + 24;
  world.expect(placed);
});

describe('damage is told and not shown', () => {
  test('of any byte of the record', () => {
    for (const at of [0, 9, RECORD_HEADER_BYTES - 1, RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + 99, RECORD_HEADER_BYTES + 120]) {
      const world = new World();
      const placed = world.record(100);
      const byte = Buffer.alloc(1);
      const where = placed.position - RECORD_HEADER_BYTES + at;
      world.file.readNow(byte, where);
      byte[0] = (byte[0] ?? 0) ^ 4;
      world.file.writeNow(byte, where);
      expect(world.read(placed)).toEqual({ count: 0 });
      world.time.advance(20);
      expect(world.read(placed)).toEqual({ count: 0 });
      expect(world.damages.length, `byte ${at}`).toBeGreaterThan(0);
    }
  });

  test('of a file that ends too early', () => {
    const world = new World();
    const placed = world.record(100);
    world.file.truncateNow(placed.position + 10);
    world.read(placed);
    world.time.advance(20);
    expect(world.damages).toHaveLength(1);
  });
});

test('an error of the disk is told, and nobody waits on', () => {
  const world = new World();
  const placed = world.record(100);
  Object.assign(world.disk.faults, { readError: 1 });
  const told = { count: 0 };
  world.read(placed, told);
  world.time.advance(20);
  expect([world.failures.length, told.count]).toEqual([1, 0]);
});

describe('bytes that were overwritten', () => {
  test('are not shown from a window that was there before', () => {
    const world = new World(false);
    const old = world.plain(1_000, 100, 1);
    const beside = world.plain(40_000, 50, 2);
    world.expect(old);
    world.expect(beside);
    const { memoryBytes } = world.cold;
    const fresh = world.plain(1_000, 100, 3);
    world.cold.overwritten(world.source, 1_000, 1_100);
    expect(world.cold.memoryBytes).toBeLessThan(memoryBytes);
    world.expect(fresh);
    world.expect(beside);
  });

  test.each([
    ['who waits is told, and reads again', false],
    ['who comes meanwhile does not join it', true],
  ])('are not kept from a read that was on its way: %s', (_what, comesMeanwhile) => {
    const world = new World(false);
    const { file, time } = world;
    world.source.file = Object.assign(Object.create(file), {
      // what stood there when it was called, as a disk may answer
      read: (into: Uint8Array, position: number, done: (error: null, bytes: number) => void) => {
        const found = Buffer.alloc(into.length);
        const count = file.readNow(found, position);
        time.setTimer(time.now() + 5, () => {
          into.set(found);
          done(null, count);
        });
      },
    });
    const beside = world.plain(100, 50, 1);
    const told = { count: 0 };
    expect(world.read(beside, told)).toBe(told);
    const fresh = world.plain(1_000, 100, 3);
    world.cold.overwritten(world.source, 1_000, 1_100);
    const { operations } = world.disk;
    if (comesMeanwhile) {
      expect(world.read(fresh)).toEqual({ count: 0 });
      expect(world.disk.operations).toBe(operations + 1);
    }
    world.time.advance(20);
    expect(told.count).toBe(1);
    if (comesMeanwhile) expect(world.read(fresh)).toEqual(fresh.content);
    world.expect(fresh);
    world.expect(beside);
  });

  test('leave other windows alone', () => {
    const world = new World(false);
    const placed = world.plain(150_000, 100, 1); // far from the start: a window of 64 KiB
    world.expect(placed);
    const { operations } = world.disk;
    world.cold.overwritten(world.source, 1_000, 150_000);
    world.cold.overwritten(world.source, FILE_BYTES - 10, FILE_BYTES);
    world.cold.overwritten({ ...world.source }, 150_000, 150_100);
    world.expect(placed);
    expect(world.disk.operations).toBe(operations);
  });
});

test('windows beyond the budget go two turns after their last use, the others stay', () => {
  const world = new World(true, 1_000);
  const placed = world.record(100);
  world.expect(placed);
  for (let turn = 0; turn < 2; turn++) {
    world.cold.endTurn();
    expect(world.read(placed)).toEqual(placed.content);
  }
  for (let turn = 0; turn < 3; turn++) world.cold.endTurn();
  expect(world.cold.memoryBytes).toBe(0);
  world.expect(placed);
  const roomy = new World(true, 1 << 20);
  const other = roomy.record(100);
  roomy.expect(other);
  for (let turn = 0; turn < 10; turn++) roomy.cold.endTurn();
  expect(roomy.read(other)).toEqual(other.content);
});

test('a file is forgotten when nothing reads it any more, and its windows are not kept', async () => {
  const world = new World();
  const placed = world.record(100);
  const told = { count: 0 };
  world.read(placed, told);
  let isForgotten = false;
  const forgotten = world.cold.forget(world.source).then(() => {
    isForgotten = true;
  });
  await Promise.resolve();
  expect(isForgotten).toBe(false);
  world.time.advance(20);
  await forgotten;
  expect([told.count, world.cold.memoryBytes]).toEqual([1, 0]);
  world.expect(placed);
  await world.cold.close();
  expect(world.cold.memoryBytes).toBe(0);
});
