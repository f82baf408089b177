// Group commit on a file that answers when the test says: what is written and synced when, and what is called durable.

import { expect, test } from 'vitest';
import { Append } from '../../../server/ports.ts';
import { Committer } from '../../../server/store/committer.ts';
import type { DiskError, DiskFile, Done, DoneWith } from '../../../server/store/file.ts';
import { LogFile, Role } from '../../../server/store/log-file.ts';
import { FILE_HEADER_BYTES, RecordType, readFileHeader, readU64 } from '../../../server/store/records.ts';
import { scanFile } from '../../../server/store/scan.ts';
import { SlabTable } from '../../../server/store/slab-table.ts';
import { WalWriter } from '../../../server/store/wal-writer.ts';
import { EngineTime } from '../../support/engine.ts';

const FILE_BYTES = 8 << 10;
const LAZY_MS = 200;
const IDLE_MS = 100;
const RETRY_MS = 1_000;

type Asked =
  | { readonly call: 'write'; readonly position: number; readonly bytes: Buffer; readonly done: DoneWith }
  | { readonly call: 'sync'; readonly done: Done };

/** Remembers what it is asked, and answers when it is told to. */
class AskedFile implements DiskFile {
  readonly path: string;
  readonly content = Buffer.alloc(FILE_BYTES);
  readonly #asked: Asked[];

  constructor(path: string, asked: Asked[]) {
    this.path = path;
    this.#asked = asked;
  }
  write(pieces: readonly Uint8Array[], position: number, done: DoneWith): void {
    const bytes = Buffer.concat(pieces);
    const put: DoneWith = (error, count) => {
      if (error === null) bytes.copy(this.content, position, 0, count);
      done(error, count);
    };
    this.#asked.push({ call: 'write', position, bytes, done: put });
  }
  sync(done: Done): void {
    this.#asked.push({ call: 'sync', done });
  }
  read(): void {}
  readNow(): number {
    return 0;
  }
  writeNow(): void {}
  syncNow(): void {}
  truncateNow(): void {}
  sizeNow(): number {
    return FILE_BYTES;
  }
  closeNow(): void {}
}

class World {
  readonly time = new EngineTime();
  readonly asked: Asked[] = [];
  readonly files: AskedFile[] = [];
  readonly told: number[] = [];
  readonly failures: (string | undefined)[] = [];
  readonly full: boolean[] = [];
  readonly writer: WalWriter;
  readonly committer: Committer;
  #seq = 0;

  constructor(batchBytesMax = 4 << 10) {
    const nextFile = (): LogFile => this.#newFile();
    this.writer = new WalWriter(this.#newFile(), 0, 0, { slabs: new SlabTable(1 << 10), batchBytesMax, nextFile });
    this.committer = new Committer({
      writer: this.writer,
      clock: this.time,
      lazySyncMs: LAZY_MS,
      durable: (lsn) => void this.told.push(lsn),
      failed: ({ code }) => void this.failures.push(code),
      full: (isOver) => void this.full.push(isOver),
      written: () => undefined,
    });
  }
  #newFile(): LogFile {
    const file = new AskedFile(`wal/${this.files.length + 1}`, this.asked);
    this.files.push(file);
    return new LogFile(this.files.length, file, FILE_BYTES, Role.Wal);
  }

  publish(bytesCount = 100): number {
    const append = new Append();
    append.begin(new Uint8Array(bytesCount).fill(++this.#seq), 0, bytesCount, bytesCount, 1);
    append.add(1, this.#seq, 0, 0);
    return this.writer.publish(append);
  }
  settle(seq: number): void {
    this.writer.lsn++;
    this.writer.settle(1, seq);
  }
  get calls(): string[] {
    return this.asked.map(({ call }) => call);
  }
  /** Answers the oldest call, which must be this one. A write has `bytes` written, or all. */
  answer(call: 'write' | 'sync', bytes?: number): Asked {
    const oldest = this.asked.shift();
    if (oldest === undefined || oldest.call !== call) throw new Error(`${oldest?.call ?? 'nothing'} is asked, not ${call}`);
    if (oldest.call === 'write') oldest.done(null, bytes ?? oldest.bytes.length);
    else oldest.done(null);
    return oldest;
  }
  fail(code: string): void {
    const oldest = this.asked.shift();
    const error: DiskError = Object.assign(new Error(code), { code });
    if (oldest?.call === 'write') oldest.done(error, 0);
    else oldest?.done(error);
  }
  /** Types of the whole records that are on the disk. */
  records(file = 0): number[] {
    const types: number[] = [];
    scanFile((this.files[file] as AskedFile).content, file + 1, 0, (_bytes, _at, { type }) => void types.push(type));
    return types;
  }
}

test('what is committed in one turn is one write and one sync, and durable after the sync alone', () => {
  const world = new World();
  world.publish();
  const lsn = world.publish();
  expect(world.calls).toEqual([]);
  world.committer.commit();
  expect(world.calls).toEqual(['write']);
  world.answer('write');
  expect([world.calls, world.told]).toEqual([['sync'], []]);
  world.answer('sync');
  expect([world.calls, world.told, world.committer.durableLsn]).toEqual([[], [lsn], lsn]);
  expect(world.records()).toEqual([RecordType.Publish, RecordType.Publish]);
});

test('one write and one sync are in flight: what comes meanwhile goes together with the next', () => {
  const world = new World();
  const first = world.publish();
  world.committer.commit();
  const second = world.publish();
  world.committer.commit();
  const third = world.publish();
  world.committer.commit();
  expect(world.calls).toEqual(['write']);
  world.answer('write');
  expect(world.calls).toEqual(['sync']);
  world.answer('sync');
  expect([world.calls, world.told]).toEqual([['write'], [first]]);
  expect(second).toBeLessThan(third);
  world.answer('write');
  world.answer('sync');
  expect([world.calls, world.told]).toEqual([[], [first, third]]);
});

test('a short write goes on where it stopped', () => {
  const world = new World();
  world.publish();
  world.committer.commit();
  const { position, bytes } = world.asked[0] as Extract<Asked, { call: 'write' }>;
  world.answer('write', 70);
  const rest = world.asked[0] as Extract<Asked, { call: 'write' }>;
  expect(rest.position).toBe(position + 70);
  expect(Buffer.compare(rest.bytes, bytes.subarray(70))).toBe(0);
  world.answer('write');
  world.answer('sync');
  expect(world.records()).toEqual([RecordType.Publish]);
});

test('settles are written at once, and synced after 200 ms', () => {
  const world = new World();
  world.publish();
  world.committer.commit();
  world.answer('write');
  world.answer('sync');
  world.settle(1);
  world.committer.commit();
  world.answer('write');
  expect(world.records()).toEqual([RecordType.Publish, RecordType.Settled]);
  world.time.advance(LAZY_MS - 1);
  expect(world.calls).toEqual([]);
  world.time.advance(1);
  world.answer('sync');
  expect(world.calls).toEqual([]);
});

test('a settle beside a publish is synced with it', () => {
  const world = new World();
  world.publish();
  world.settle(1);
  world.committer.commit();
  world.answer('write');
  world.answer('sync');
  expect(world.records()).toEqual([RecordType.Publish, RecordType.Settled]);
  world.time.advance(LAZY_MS);
  expect(world.calls).toEqual(['write']); // the idle mark, and no sync before it is written
});

test('what needs no logging is as safe as what was logged before it', () => {
  const world = new World();
  world.writer.lsn++;
  world.committer.commit();
  expect([world.calls, world.told]).toEqual([[], [1]]);
  world.publish();
  world.committer.commit();
  world.writer.lsn++;
  world.committer.commit();
  expect(world.told).toEqual([1]);
  world.answer('write');
  world.answer('sync');
  expect(world.told.at(-1)).toBe(world.writer.lsn);
});

test('after 100 ms of silence a mark says that the last batch was durable, once', () => {
  const world = new World();
  const lsn = world.publish();
  world.committer.commit();
  world.answer('write');
  world.answer('sync');
  world.time.advance(IDLE_MS - 1);
  expect(world.calls).toEqual([]);
  world.time.advance(1);
  const mark = world.answer('write');
  expect(world.records()).toEqual([RecordType.Publish, RecordType.Idle]);
  expect(readU64(mark.call === 'write' ? mark.bytes : Buffer.alloc(0), 24)).toBe(lsn); // the durable lsn of its batch
  world.time.advance(LAZY_MS);
  world.answer('sync');
  world.time.advance(10_000);
  expect([world.calls, world.time.timerCount]).toEqual([[], 0]);
});

test('a batch larger than one write goes out as several, and each is durable after its own sync', () => {
  const world = new World(1 << 10);
  const lsns = Array.from({ length: 4 }, () => world.publish(400));
  world.committer.commit();
  for (const told of [lsns[1], lsns[3]]) {
    expect(world.calls).toEqual(['write']);
    world.answer('write');
    world.answer('sync');
    expect(world.told.at(-1)).toBe(told);
  }
  expect(world.calls).toEqual([]);
});

test('what was published after a settle is durable only with it, however many batches that takes', () => {
  const world = new World(1 << 10);
  world.publish(400);
  world.settle(1);
  const before = world.writer.lsn - 1;
  for (let i = 0; i < 5; i++) world.publish(400);
  world.committer.commit();
  while (world.asked.length > 0) {
    world.answer('write');
    world.answer('sync');
    if (!world.records().includes(RecordType.Settled)) expect(world.committer.durableLsn).toBeLessThanOrEqual(before);
  }
  expect(world.committer.durableLsn).toBe(world.writer.lsn);
  expect(world.records().filter((type) => type === RecordType.Publish)).toHaveLength(6);
});

test('an older file is synced before a newer one is written', () => {
  const world = new World();
  for (let i = 0; i < 3; i++) world.publish(2_000);
  world.committer.commit();
  for (let i = 0; i < 2; i++) {
    world.answer('write');
    world.answer('sync');
  }
  world.settle(1);
  world.committer.commit();
  while (world.asked.length > 0) world.answer(world.asked[0]?.call ?? 'write');
  world.publish(3_000);
  world.committer.commit();
  expect([world.files.length, world.calls]).toEqual([2, ['sync']]);
  world.answer('sync');
  world.answer('write');
  expect(readFileHeader((world.files[1] as AskedFile).content)).toMatchObject({ fileId: 2, previousId: 1 });
  expect((world.files[0] as AskedFile).content.subarray(0, FILE_HEADER_BYTES).every((byte) => byte === 0)).toBe(true);
  world.answer('sync');
  expect(world.told.at(-1)).toBe(world.writer.lsn);
});

test('a full disk is asked again: at once, for room may have been made, then every second, at the same place', () => {
  const world = new World();
  const lsn = world.publish();
  world.committer.commit();
  const { position, bytes } = world.asked[0] as Extract<Asked, { call: 'write' }>;
  world.answer('write', 50);
  world.fail('ENOSPC');
  expect([world.full, world.committer.isFull]).toEqual([[false], true]);
  expect(world.asked[0]).toMatchObject({ call: 'write', position: position + 50 });
  world.fail('ENOSPC');
  world.time.advance(RETRY_MS - 1);
  expect(world.calls).toEqual([]);
  world.time.advance(1);
  world.answer('write', 0); // nothing written is no room either
  world.time.advance(RETRY_MS);
  const last = world.answer('write');
  expect(last).toMatchObject({ position: position + 50 });
  expect(Buffer.compare(last.call === 'write' ? last.bytes : Buffer.alloc(0), bytes.subarray(50))).toBe(0);
  expect([world.full, world.told, world.failures]).toEqual([[false, false, false, true], [], []]);
  world.answer('sync');
  expect([world.told, world.committer.isFull]).toEqual([[lsn], false]);
});

test('an error of a sync ends it: nothing is called durable, written or synced any more', () => {
  const world = new World();
  world.publish();
  world.committer.commit();
  world.answer('write');
  const waited: (string | undefined)[] = [];
  world.committer.whenSynced((error) => void waited.push(error?.code));
  world.fail('EIO');
  expect([world.failures, waited, world.committer.hasFailed]).toEqual([['EIO'], ['EIO'], true]);
  world.publish();
  world.committer.commit();
  world.time.advance(10_000);
  expect([world.calls, world.told, world.time.timerCount]).toEqual([[], [], 0]);
  world.committer.whenSynced((error) => void waited.push(error?.code));
  expect(waited).toEqual(['EIO', 'EIO']);
});

test('an error of a write ends it', () => {
  const world = new World();
  world.publish();
  world.committer.commit();
  world.fail('EIO');
  expect([world.failures, world.calls]).toEqual([['EIO'], []]);
});

test('once it was given up, the answer to what was asked before changes nothing', () => {
  for (const inFlight of ['write', 'sync', 'sync of an older file'] as const) {
    const world = new World();
    world.publish(2_000);
    world.committer.commit();
    if (inFlight !== 'write') world.answer('write');
    if (inFlight === 'sync of an older file') {
      world.answer('sync');
      world.settle(1);
      world.committer.commit();
      world.answer('write');
      for (let i = 0; i < 3; i++) world.publish(2_000);
      world.committer.commit();
      while (world.files.length < 2 || world.calls[0] !== 'sync') world.answer(world.calls[0] === 'sync' ? 'sync' : 'write');
    }
    const told = world.told.length;
    world.committer.giveUp(Object.assign(new Error('damaged'), { code: 'EDAMAGED' }));
    world.committer.giveUp(Object.assign(new Error('again'), { code: 'EIO' }));
    expect([world.failures, world.calls.length]).toEqual([['EDAMAGED'], 1]);
    let isClosed = false;
    world.committer.close(true, () => {
      isClosed = true;
    });
    expect(isClosed, 'its file may not be closed yet').toBe(false);
    world.answer(inFlight === 'write' ? 'write' : 'sync');
    expect([world.calls, world.told.length - told, world.time.timerCount, isClosed], inFlight).toEqual([[], 0, 0, true]);
  }
});

test('closing syncs what is left, leaves the mark of a clean end, and is over when that is durable', () => {
  const world = new World();
  world.publish();
  world.committer.commit();
  world.answer('write');
  world.answer('sync');
  world.settle(1);
  let isClosed = false;
  world.committer.close(true, () => {
    isClosed = true;
  });
  world.answer('write');
  world.answer('sync');
  expect(isClosed).toBe(false);
  world.answer('write');
  world.answer('sync');
  expect([isClosed, world.records(), world.time.timerCount]).toEqual([
    true,
    [RecordType.Publish, RecordType.Settled, RecordType.Closed],
    0,
  ]);
});

test('closing does not wait for room, nor for a disk that has failed', () => {
  for (const code of ['ENOSPC', 'EIO']) {
    const world = new World();
    world.publish();
    world.committer.commit();
    world.fail(code);
    if (code === 'ENOSPC') world.fail(code);
    let isClosed = false;
    world.committer.close(true, () => {
      isClosed = true;
    });
    expect([isClosed, world.time.timerCount]).toEqual([true, 0]);
  }
});

test('closing waits for the answer of a disk that is full, whatever it is', () => {
  const world = new World();
  world.publish();
  world.committer.commit();
  world.fail('ENOSPC');
  expect(world.calls).toEqual(['write']);
  let isClosed = false;
  world.committer.close(true, () => {
    isClosed = true;
  });
  expect(isClosed).toBe(false);
  world.answer('write');
  expect([isClosed, world.calls, world.told, world.time.timerCount]).toEqual([true, [], [], 0]);
});
