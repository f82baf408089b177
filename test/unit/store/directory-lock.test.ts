// One process per data directory: who may take the lock, and who gives way.

import { expect, test } from 'vitest';
import { DirectoryLock } from '../../../server/store/directory-lock.ts';
import type { Disk } from '../../../server/store/file.ts';
import { StoreError } from '../../../server/store/store-error.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

const LOCK = 'data/lock';
function newDisk(): SimDisk {
  const disk = new SimDisk({ random: seeded(1), schedule: (_delayMs, task) => task() });
  disk.makeDirectoryNow('data');
  return disk;
}
const take = (disk: Disk, self: string, ...alive: string[]): DirectoryLock =>
  new DirectoryLock(disk, 'data', { self, isAlive: (text) => alive.includes(text) });
const owner = (disk: SimDisk): string =>
  Buffer.from([...disk.contents()].find(([path]) => path.endsWith(LOCK))?.[1] ?? [])
    .toString()
    .trim();
function fault(act: () => unknown): StoreError | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  return undefined;
}

test('a lock names its process, and goes with it', () => {
  const disk = newDisk();
  const lock = take(disk, '12 start');
  expect(owner(disk)).toBe('12 start');
  lock.release();
  expect(disk.existsNow(LOCK)).toBe(false);
});

test('a lock whose process runs is not taken, and stays', () => {
  const disk = newDisk();
  take(disk, '12 start');
  const error = fault(() => take(disk, '13 later', '12 start'));
  expect(error).toMatchObject({ fault: 'in-use', path: LOCK });
  expect(error?.message).toContain('in use by process 12');
  expect(owner(disk)).toBe('12 start');
});

test('a lock that was left behind is replaced', () => {
  const disk = newDisk();
  take(disk, '12 start');
  const lock = take(disk, '12 another start'); // the number alone is nobody's name
  expect(owner(disk)).toBe('12 another start');
  expect(disk.listNow('data')).toEqual(['lock']);
  lock.release();
  expect(disk.existsNow(LOCK)).toBe(false);
});

test('so is one that a crash left empty', () => {
  const disk = newDisk();
  disk.openNow(LOCK, 'create').closeNow();
  take(disk, '12 start');
  expect(owner(disk)).toBe('12 start');
});

test('releasing removes no lock but its own', () => {
  const disk = newDisk();
  const old = take(disk, '12 start');
  take(disk, '13 later');
  old.release();
  expect(owner(disk)).toBe('13 later');
});

test('of two that find the same old lock, the one that comes second gives way', () => {
  const disk = newDisk();
  take(disk, '1 old');
  // between the second one's look at the old lock and its rename, the first one takes over
  let isRacing = true;
  const racing = new Proxy<Disk>(disk, {
    get: (target, name) => {
      if (name === 'renameNow' && isRacing) {
        isRacing = false;
        take(disk, '2 first');
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  expect(fault(() => take(racing, '3 second'))).toMatchObject({ fault: 'in-use' });
  expect(owner(disk)).toBe('2 first');
  expect(disk.listNow('data')).toEqual(['lock']);
});

test('a disk that cannot make the lock is no lock of somebody else', () => {
  const disk = newDisk();
  Object.assign(disk.faults, { fail: { at: disk.operations + 1, code: 'EACCES', onwards: true } });
  expect(() => take(disk, '12 start')).toThrow('EACCES');
});
