// fsck's reading of a data directory, and the dump of its records.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Check, checkDirectory, whileLocked } from '../../../server/store/check.ts';
import { dumpFile, type Line } from '../../../server/store/dump.ts';
import { DataDirectory, processes } from '../../support/data-directory.ts';

let directory: DataDirectory;
beforeEach(() => {
  directory = new DataDirectory();
});
afterEach(() => directory.close());

const check = (): Check => whileLocked(directory.disk, directory.path, processes, () => checkDirectory(directory.disk, directory.path));
const lastWal = (): string => `wal/${readdirSync(join(directory.path, 'wal')).at(-1)}`;
const bodyAt = (name: string, body: string): number => readFileSync(join(directory.path, name)).indexOf(body);
/** The WAL file that holds `body`. */
const fileOf = (body: string): string =>
  readdirSync(join(directory.path, 'wal'))
    .map((name) => `wal/${name}`)
    .find((name) => bodyAt(name, body) >= 0) ?? lastWal();
function dump(name: string, isAll: boolean): { lines: Line[]; isDamaged: boolean } {
  const lines: Line[] = [];
  return { isDamaged: dumpFile(directory.disk, join(directory.path, name), isAll, (line) => void lines.push(line)), lines };
}
const seqs = (lines: readonly Line[]): unknown[] => lines.filter(({ type }) => type === 'Publish').map(({ references }) => references);
const reference = (seq: number): object[] => [{ queue: 1, seq, priority: 0, deadline: 0 }];

test('a whole directory is whole, and its messages are counted', async () => {
  await directory.fill(['one', 'two', 'three']);
  expect(check()).toMatchObject({ messages: 3, definitions: 1, isClean: true, damages: [] });
});

test('a byte that changed in the WAL is named with file and offset, and nothing is written', async () => {
  await directory.fill(['first body', 'second body', 'third body']);
  const name = fileOf('second body');
  directory.flip(name, bodyAt(name, 'second body'));
  const before = readdirSync(directory.path, { recursive: true });
  const { damages } = check();
  expect(damages.map(({ path }) => path)).toEqual([join(directory.path, name)]);
  expect(damages[0]?.offset).toBeLessThan(bodyAt(name, 'third body'));
  expect(readdirSync(directory.path, { recursive: true })).toEqual(before);
});

test('a directory that another process has is refused', async () => {
  await directory.fill(['one']);
  const others = { self: 'other', isAlive: () => true };
  const locked = (): unknown =>
    whileLocked(directory.disk, directory.path, processes, () => whileLocked(directory.disk, directory.path, others, () => 0));
  expect(locked).toThrow('in use');
});

test('a dump shows each record, and stops at a bad one unless it is told to go on', async () => {
  await directory.fill(['first body', 'second body', 'third body']);
  const name = fileOf('second body');
  expect(seqs(dump(name, false).lines)).toEqual([reference(1), reference(2), reference(3)]);
  directory.flip(name, bodyAt(name, 'second body'));
  expect(seqs(dump(name, false).lines)).toEqual([reference(1)]);
  expect(seqs(dump(name, true).lines)).toEqual([reference(1), reference(3)]);
});
