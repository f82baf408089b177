// Files and folders of a data directory that are gone, emptied or cut: what a start says, what fsck, dump-wal and repair say, and that nothing is
// removed on the way.

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkDirectory, whileLocked } from '../../../server/store/check.ts';
import { dumpFile, type Line } from '../../../server/store/dump.ts';
import { repair } from '../../../server/store/repair.ts';
import { DataDirectory, processes } from '../../support/data-directory.ts';

const BODIES = Array.from({ length: 20 }, (_, i) => `body ${i + 1}`);
const closed = new DataDirectory();
const once = new DataDirectory();
/** As a kill leaves it, in its first life. */
const killed = new DataDirectory();
const open: DataDirectory[] = [];

beforeAll(async () => {
  await closed.fill(BODIES);
  await closed.use((log) => log.commit()); // another file follows the one with the bodies
  await once.use(async (log) => {
    log.define({ kind: 'queue', vhost: '/', name: 'jobs', number: 1, autoDelete: false, arguments: {} });
    log.commit();
    while (log.isRetiring || log.durableLsn < log.lastLsn) await new Promise((resolve) => setImmediate(resolve));
    cpSync(once.path, killed.path, { recursive: true });
  });
});
afterEach(() => {
  for (const directory of open.splice(0)) directory.close();
});
afterAll(() => {
  for (const directory of [closed, once, killed]) directory.close();
});

function copy(of: DataDirectory): DataDirectory {
  const made = new DataDirectory();
  open.push(made);
  cpSync(of.path, made.path, { recursive: true });
  rmSync(`${made.path}/lock`, { force: true });
  return made;
}

const files = (directory: DataDirectory): string[] => readdirSync(directory.path, { recursive: true }).map(String).sort();
const check = (directory: DataDirectory) =>
  whileLocked(directory.disk, directory.path, processes, () => checkDirectory(directory.disk, directory.path));
const mend = (directory: DataDirectory, isConfirmed: boolean) =>
  repair({ disk: directory.disk, directory: directory.path, processes, confirm: () => isConfirmed });
/** The log file that was begun last: the one after it, if any, is a spare that nothing was written to. */
const newest = (directory: DataDirectory): string => {
  const begun = readdirSync(`${directory.path}/wal`).filter((name) =>
    readFileSync(`${directory.path}/wal/${name}`).some((byte) => byte !== 0),
  );
  return `${directory.path}/wal/${begun
    .filter((name) => /^\d{8}$/.test(name))
    .sort()
    .at(-1)}`;
};

describe('the newest log file of a broker that was killed', () => {
  test.each([
    ['gone', (path: string) => rmSync(path)],
    ['empty', (path: string) => truncateSync(path, 0)],
  ])('%s: the start refuses, and fsck says so too', async (_what, lose) => {
    const directory = copy(killed);
    lose(newest(directory));
    expect(check(directory).damages).toHaveLength(1);
    await expect(directory.bodies()).rejects.toThrow('the log file is missing, or its header is gone');
  });
});

test('a log file that is cut: repair says from where on nobody knows what was lost, and dump-wal that it is damaged', async () => {
  const directory = copy(closed);
  const path = readdirSync(`${directory.path}/wal`)
    .map((name) => `${directory.path}/wal/${name}`)
    .find((name) => readFileSync(name).includes('body 9'));
  if (path === undefined) throw new Error('no log file holds the bodies');
  truncateSync(path, readFileSync(path).indexOf('body 9'));
  const told = await mend(directory, false);
  expect(told).toMatchObject({ kept: 8, movedTo: undefined });
  expect(told.stretches[0]).toMatchObject({ path, to: undefined, beforeLsn: undefined });
  const lines: Line[] = [];
  expect(dumpFile(directory.disk, path, false, (line) => void lines.push(line))).toBe(true);
  expect(lines.at(-1)?.['damaged']).toContain(`the file ends at ${statSync(path).size}, but had`);
  await mend(directory, true);
  expect([...(await directory.bodies()).values()]).toEqual(BODIES.slice(0, 8));
});

test('a damaged place is told once', () => {
  const directory = copy(closed);
  const name = readdirSync(`${directory.path}/wal`).find((each) => readFileSync(`${directory.path}/wal/${each}`).includes('body 9'));
  directory.flip(`wal/${name}`, readFileSync(`${directory.path}/wal/${name}`).indexOf('body 9'));
  expect(check(directory).damages).toHaveLength(1);
});

test('a file that is gone is all that repair calls lost: its neighbours are whole', async () => {
  const directory = copy(closed);
  const [, second] = readdirSync(`${directory.path}/wal`).sort();
  rmSync(`${directory.path}/wal/${second}`);
  const { stretches } = await mend(directory, false);
  expect(stretches.map(({ path }) => path)).toEqual([`${directory.path}/wal/${second}`]);
});

test('without the file `format` nothing is removed: the start refuses, fsck calls it damaged, and repair makes it again', async () => {
  for (const origin of [closed, killed]) {
    const directory = copy(origin);
    rmSync(`${directory.path}/format`);
    const before = files(directory);
    await expect(directory.bodies()).rejects.toThrow("the file 'format' beside its directory is missing");
    expect(files(directory)).toEqual(before);
    expect(() => check(directory)).toThrow('format, offset 0: the file is missing');
    await mend(directory, true);
    expect([...(await directory.bodies()).values()]).toEqual(origin === closed ? BODIES : []);
  }
});

test('a repaired directory, however small its files are, is not taken for one that was never finished', async () => {
  const directory = new DataDirectory();
  open.push(directory);
  await directory.fill(['only one']);
  rmSync(`${directory.path}/format`);
  await mend(directory, true);
  rmSync(`${directory.path}/damaged`, { recursive: true });
  rmSync(`${directory.path}/format`);
  await expect(directory.bodies()).rejects.toThrow("the file 'format' beside its directory is missing");
  await mend(directory, true);
  expect([...(await directory.bodies()).values()]).toEqual(['only one']);
});

test('an empty folder of segments that a backup left out is no damage', async () => {
  const directory = copy(closed);
  expect(readdirSync(`${directory.path}/segments`)).toEqual([]);
  rmSync(`${directory.path}/segments`, { recursive: true });
  expect(check(directory).damages).toEqual([]);
  expect(await mend(directory, true)).toMatchObject({ movedTo: undefined });
  expect([...(await directory.bodies()).values()]).toEqual(BODIES);
});

describe.each(['meta', 'wal'])('without the folder %s', (folder) => {
  test('the start refuses, fsck says so, and repair changes nothing before it may', async () => {
    const directory = copy(closed);
    rmSync(`${directory.path}/${folder}`, { recursive: true });
    await expect(directory.bodies()).rejects.toThrow(`${folder}, offset 0: the directory is missing`);
    expect(check(directory).damages[0]).toMatchObject({ path: `${directory.path}/${folder}` });
    await mend(directory, false);
    expect(existsSync(`${directory.path}/${folder}`)).toBe(false);
    await mend(directory, true);
    expect(check(directory).damages).toEqual([]);
  });
});

test('a file where the directory should be, and a folder of something else, are named as such', async () => {
  const directory = copy(closed);
  const path = `${directory.path}/format`;
  expect(() => whileLocked(directory.disk, path, processes, () => undefined)).toThrow('there is a file where a directory should be');
  const other = new DataDirectory();
  open.push(other);
  writeFileSync(`${other.path}/notes.txt`, 'mine');
  expect(() => check(other)).toThrow("there is none of 'meta', 'wal' and 'segments' in it");
  await expect(mend(other, true)).rejects.toThrow("there is none of 'meta', 'wal' and 'segments' in it");
  expect(readdirSync(other.path)).toEqual(['notes.txt']);
});
