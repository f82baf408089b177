// What the machine's disk and the simulated one do alike: what is proven on the second is worth as much as this.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Disk, type DiskError, type DiskFile, NodeDisk } from '../../server/store/file.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { seeded } from '../support/sim-random.ts';

interface Answer {
  readonly error: DiskError | null;
  readonly bytes: number;
}

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

const subjects: { name: string; make(): { disk: Disk; home: string } }[] = [
  {
    name: 'disk of the machine',
    make: () => {
      const home = mkdtempSync(join(tmpdir(), 'leveret-disk-'));
      folders.push(home);
      return { disk: new NodeDisk(), home };
    },
  },
  {
    name: 'simulated disk',
    make: () => {
      const disk = new SimDisk({ random: seeded(1), schedule: (_delayMs, task) => void setImmediate(task) });
      disk.makeDirectoryNow('/sim/tests');
      return { disk, home: '/sim/tests' };
    },
  },
];

const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const write = (file: DiskFile, pieces: readonly Uint8Array[], position: number): Promise<Answer> =>
  new Promise((answer) => file.write(pieces, position, (error, bytes) => answer({ error, bytes })));
const read = (file: DiskFile, into: Uint8Array, position: number): Promise<Answer> =>
  new Promise((answer) => file.read(into, position, (error, bytes) => answer({ error, bytes })));
const synced = (of: { sync(done: (error: DiskError | null) => void): void }): Promise<DiskError | null> =>
  new Promise((answer) => of.sync(answer));

function whole(file: DiskFile): string {
  const bytes = new Uint8Array(file.sizeNow() + 10);
  return new TextDecoder().decode(bytes.subarray(0, file.readNow(bytes, 0)));
}
function codeOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return undefined;
}

describe.each(subjects)('the $name', ({ make }) => {
  const fresh = (): { disk: Disk; at: (name: string) => string; home: string } => {
    const { disk, home } = make();
    return { disk, home, at: (name) => join(home, name) };
  };

  test('makes a file that was not there, empty, and says its path', () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    expect(file.path).toBe(at('a'));
    expect(file.sizeNow()).toBe(0);
    expect(disk.existsNow(at('a'))).toBe(true);
    file.closeNow();
  });

  test('fails to create a file that exists, and leaves it as it is', () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    file.writeNow(text('kept'), 0);
    expect(codeOf(() => disk.openNow(at('a'), 'create'))).toBe('EEXIST');
    expect(whole(file)).toBe('kept');
    file.closeNow();
  });

  test('says ENOENT of every file and directory that is not there', () => {
    const { disk, at } = fresh();
    for (const how of ['change', 'read'] as const) expect(codeOf(() => disk.openNow(at('none'), how))).toBe('ENOENT');
    expect(codeOf(() => disk.openNow(at('none/a'), 'create'))).toBe('ENOENT');
    expect(codeOf(() => disk.openDirectoryNow(at('none')))).toBe('ENOENT');
    expect(codeOf(() => disk.listNow(at('none')))).toBe('ENOENT');
    expect(codeOf(() => disk.removeNow(at('none')))).toBe('ENOENT');
    expect(codeOf(() => disk.renameNow(at('none'), at('a')))).toBe('ENOENT');
    const file = disk.openNow(at('a'), 'create');
    expect(codeOf(() => disk.renameNow(at('a'), at('none/a')))).toBe('ENOENT');
    file.closeNow();
    expect(disk.existsNow(at('none'))).toBe(false);
  });

  test('says ENOTDIR, EISDIR or EEXIST where a file stands for a directory or a directory for a file', () => {
    const { disk, at } = fresh();
    disk.makeDirectoryNow(at('directory'));
    disk.openNow(at('file'), 'create').closeNow();
    expect(codeOf(() => disk.listNow(at('file')))).toBe('ENOTDIR');
    expect(codeOf(() => disk.openNow(at('directory'), 'change'))).toBe('EISDIR');
    expect(codeOf(() => disk.removeNow(at('directory')))).toBe('EISDIR');
    expect(codeOf(() => disk.makeDirectoryNow(at('file')))).toBe('EEXIST');
    expect(codeOf(() => disk.makeDirectoryNow(at('file/in')))).toBe('ENOTDIR');
    expect(codeOf(() => disk.openNow(at('directory'), 'create'))).toBe('EEXIST');
  });

  test('makes a directory with its parents, and nothing the second time', () => {
    const { disk, at } = fresh();
    disk.makeDirectoryNow(at('x/y/z'));
    disk.openNow(at('x/y/z/a'), 'create').closeNow();
    disk.makeDirectoryNow(at('x/y/z'));
    expect(disk.listNow(at('x'))).toEqual(['y']);
    expect(disk.listNow(at('x/y/z'))).toEqual(['a']);
    expect(disk.existsNow(at('x/y'))).toBe(true);
  });

  test('lists names of files and directories sorted, and not what lies deeper', () => {
    const { disk, at, home } = fresh();
    for (const name of ['b', 'a', '10', '9', 'B']) disk.openNow(at(name), 'create').closeNow();
    disk.makeDirectoryNow(at('aa'));
    disk.openNow(at('aa/deep'), 'create').closeNow();
    expect(disk.listNow(home)).toEqual(['10', '9', 'B', 'a', 'aa', 'b']);
  });

  test('renames over what bears the new name', () => {
    const { disk, at, home } = fresh();
    for (const name of ['old', 'new']) {
      const file = disk.openNow(at(name), 'create');
      file.writeNow(text(name), 0);
      file.closeNow();
    }
    disk.renameNow(at('new'), at('old'));
    expect(disk.listNow(home)).toEqual(['old']);
    const file = disk.openNow(at('old'), 'read');
    expect(whole(file)).toBe('new');
    file.closeNow();
  });

  test('renames into another directory', () => {
    const { disk, at } = fresh();
    disk.makeDirectoryNow(at('x'));
    disk.makeDirectoryNow(at('y'));
    disk.openNow(at('x/a'), 'create').closeNow();
    disk.renameNow(at('x/a'), at('y/b'));
    expect(disk.listNow(at('x'))).toEqual([]);
    expect(disk.listNow(at('y'))).toEqual(['b']);
  });

  test('removes a file without holding anybody up, and says when it is gone or why not', async () => {
    const { disk, at, home } = fresh();
    const remove = (name: string): Promise<string | undefined> =>
      new Promise((resolve) => disk.remove(at(name), (error) => resolve(error?.code)));
    disk.openNow(at('a'), 'create').closeNow();
    disk.makeDirectoryNow(at('directory'));
    expect([await remove('a'), await remove('a'), await remove('directory')]).toEqual([undefined, 'ENOENT', 'EISDIR']);
    expect(disk.listNow(home)).toEqual(['directory']);
  });

  test('goes on with an open file when its name is changed, taken by another or removed', async () => {
    const { disk, at, home } = fresh();
    const first = disk.openNow(at('a'), 'create');
    const second = disk.openNow(at('b'), 'create');
    disk.renameNow(at('b'), at('a'));
    expect(await write(first, [text('first')], 0)).toEqual({ error: null, bytes: 5 });
    expect(await write(second, [text('second')], 0)).toEqual({ error: null, bytes: 6 });
    disk.removeNow(at('a'));
    expect([whole(first), whole(second)]).toEqual(['first', 'second']);
    expect(disk.listNow(home)).toEqual([]);
    first.closeNow();
    second.closeNow();
  });

  test('writes several pieces one after the other from a position on', async () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    expect(await write(file, [text('one'), text(''), text('two'), text('three')], 2)).toEqual({ error: null, bytes: 11 });
    expect(await write(file, [text('T')], 5)).toEqual({ error: null, bytes: 1 });
    expect(whole(file)).toBe('\0\0oneTwothree');
    file.closeNow();
  });

  test('writes more pieces than one system call takes', async () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    const pieces = Array.from({ length: 3000 }, (_, i) => text(`${i},`));
    const all = pieces.reduce((sum, piece) => sum + piece.length, 0);
    expect(await write(file, pieces, 0)).toEqual({ error: null, bytes: all });
    expect(whole(file)).toBe(pieces.map((piece) => new TextDecoder().decode(piece)).join(''));
    file.closeNow();
  });

  test('answers nothing written for no bytes', async () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    expect(await write(file, [text('')], 4)).toEqual({ error: null, bytes: 0 });
    file.writeNow(text(''), 4);
    expect(file.sizeNow()).toBe(0);
    file.closeNow();
  });

  test('reads what is there and no more', async () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    file.writeNow(text('0123456789'), 0);
    const into = new Uint8Array(6).fill(1);
    expect(await read(file, into, 4)).toEqual({ error: null, bytes: 6 });
    expect(new TextDecoder().decode(into)).toBe('456789');
    expect(await read(file, into, 8)).toEqual({ error: null, bytes: 2 });
    expect(new TextDecoder().decode(into)).toBe('896789');
    expect(await read(file, into, 10)).toEqual({ error: null, bytes: 0 });
    expect(await read(file, into, 1000)).toEqual({ error: null, bytes: 0 });
    expect([file.readNow(into, 7), file.readNow(into, 1000)]).toEqual([3, 0]);
    file.closeNow();
  });

  test('fills with zeros what was never written, and cuts and grows a file to a size', () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    file.writeNow(text('abc'), 3);
    expect(whole(file)).toBe('\0\0\0abc');
    file.truncateNow(4);
    expect(whole(file)).toBe('\0\0\0a');
    file.truncateNow(6);
    expect(whole(file)).toBe('\0\0\0a\0\0');
    expect(file.sizeNow()).toBe(6);
    file.closeNow();
  });

  test('shows what one open file wrote to another of the same name', async () => {
    const { disk, at } = fresh();
    const writer = disk.openNow(at('a'), 'create');
    const reader = disk.openNow(at('a'), 'read');
    await write(writer, [text('seen')], 0);
    expect(whole(reader)).toBe('seen');
    writer.closeNow();
    reader.closeNow();
  });

  test('refuses to write a file that is open for reading', async () => {
    const { disk, at } = fresh();
    disk.openNow(at('a'), 'create').closeNow();
    const file = disk.openNow(at('a'), 'read');
    expect(codeOf(() => file.writeNow(text('no'), 0))).toBe('EBADF');
    expect(codeOf(() => file.truncateNow(3))).toBe('EINVAL');
    const { error, bytes } = await write(file, [text('no')], 0);
    expect([error?.code, bytes]).toEqual(['EBADF', 0]);
    file.closeNow();
  });

  test('syncs files and directories, at once or with an answer that is null', async () => {
    const { disk, at, home } = fresh();
    const file = disk.openNow(at('a'), 'create');
    await write(file, [text('a')], 0);
    expect(await synced(file)).toBeNull();
    file.syncNow();
    const directory = disk.openDirectoryNow(home);
    expect(await synced(directory)).toBeNull();
    directory.syncNow();
    directory.closeNow();
    file.closeNow();
  });

  test('has several calls of one file under way', async () => {
    const { disk, at } = fresh();
    const file = disk.openNow(at('a'), 'create');
    const answers = await Promise.all([0, 1, 2, 3].map((i) => write(file, [text(`${i}`.repeat(100))], i * 100)));
    expect(answers.map(({ bytes }) => bytes)).toEqual([100, 100, 100, 100]);
    expect(whole(file)).toBe(['0', '1', '2', '3'].map((digit) => digit.repeat(100)).join(''));
    file.closeNow();
  });

  test('never answers before the call has returned', async () => {
    const { disk, at, home } = fresh();
    const file = disk.openNow(at('a'), 'create');
    const answered: string[] = [];
    const all = [
      new Promise<void>((done) => file.write([text('a')], 0, () => done(void answered.push('write')))),
      new Promise<void>((done) => file.read(new Uint8Array(1), 0, () => done(void answered.push('read')))),
      new Promise<void>((done) => file.sync(() => done(void answered.push('sync')))),
      new Promise<void>((done) => disk.freeBytes(home, () => done(void answered.push('free')))),
    ];
    expect(answered).toEqual([]);
    await Promise.all(all);
    expect(answered.sort()).toEqual(['free', 'read', 'sync', 'write']);
    file.closeNow();
  });

  test('says how many bytes are free', async () => {
    const { disk, home } = fresh();
    expect(disk.freeBytesNow(home)).toBeGreaterThan(0);
    const answer = await new Promise<Answer>((done) => disk.freeBytes(home, (error, bytes) => done({ error, bytes })));
    expect(answer.error).toBeNull();
    expect(answer.bytes).toBeGreaterThan(0);
  });
});
