// What repair keeps, what it says is lost, and that it changes nothing before it may.

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkDirectory } from '../../../server/store/check.ts';
import { type Repair, repair } from '../../../server/store/repair.ts';
import { StoreError } from '../../../server/store/store-error.ts';
import { DataDirectory, processes } from '../../support/data-directory.ts';
import { between, seeded } from '../../support/sim-random.ts';

const BODIES = Array.from({ length: 600 }, (_, i) => `body ${i + 1} ${'x'.repeat((i * 37) % 900)}`);
const RUNS = Number(process.env['REPAIR_RUNS'] ?? 150);
const SEED = Number(process.env['REPAIR_SEED'] ?? 1);

const origin = new DataDirectory();
let names: string[] = [];
const open: DataDirectory[] = [];

beforeAll(async () => {
  await origin.fill(BODIES);
  for (let n = 0; n < 2; n++) await origin.use((log) => log.commit()); // each time the oldest file is retired
  names = namesOf(origin.path);
  expect(names.filter((name) => name.endsWith('.dir')).length, 'there are segments').toBeGreaterThan(0);
});
afterEach(() => {
  for (const directory of open.splice(0)) directory.close();
});

function namesOf(path: string): string[] {
  return ['meta', 'wal', 'segments']
    .flatMap((folder) => readdirSync(`${path}/${folder}`).map((name) => `${folder}/${name}`))
    .concat('format');
}

function copy(): DataDirectory {
  const made = new DataDirectory();
  open.push(made);
  cpSync(origin.path, made.path, { recursive: true });
  return made;
}

const run = (directory: DataDirectory, isConfirmed = true): Promise<Repair> =>
  repair({ disk: directory.disk, directory: directory.path, processes, confirm: () => isConfirmed });

const contents = (directory: DataDirectory): Map<string, string> =>
  new Map(namesOf(directory.path).map((name) => [name, readFileSync(`${directory.path}/${name}`).toString('latin1')]));

/** The file, and the place in it, of the record that holds `text`. */
function placeOf(text: string): { name: string; at: number } {
  for (const name of names) {
    const at = readFileSync(`${origin.path}/${name}`).indexOf(text);
    if (at >= 0 && /\d{8}$/.test(name)) return { name, at };
  }
  throw new Error(`no file holds ${text}`);
}

test('nothing is done to a directory that is whole', async () => {
  const directory = copy();
  const before = contents(directory);
  expect(await run(directory)).toMatchObject({ damages: [], messages: [], stretches: [], kept: BODIES.length, movedTo: undefined });
  expect(contents(directory)).toEqual(before);
  expect([...(await directory.bodies()).values()]).toEqual(BODIES);
});

describe('a message in a segment that is not whole', () => {
  test('is named before anything is changed, and is all that is lost', async () => {
    const directory = copy();
    const { name, at } = placeOf('body 3 ');
    directory.flip(name, at);
    const before = contents(directory);
    const told = await run(directory, false);
    expect(told).toMatchObject({
      messages: [{ queue: "queue 'jobs'", seq: 3 }],
      stretches: [],
      kept: BODIES.length - 1,
      movedTo: undefined,
    });
    expect(contents(directory)).toEqual(before);
    const done = await run(directory);
    expect(done).toMatchObject({ messages: told.messages, kept: told.kept });
    expect(existsSync(`${done.movedTo}/${name.replace('/', '-')}`)).toBe(true);
    const bodies = await directory.bodies();
    expect([...bodies]).toEqual(BODIES.map((body, i) => [i + 1, body] as const).filter(([seq]) => seq !== 3));
    expect(checkDirectory(directory.disk, directory.path).damages).toEqual([]);
  });
});

describe('a record of the log that is not whole', () => {
  test('is told with its place and its neighbours; those behind it stay', async () => {
    const directory = copy();
    const { name, at } = placeOf(`body ${BODIES.length - 1} `);
    expect(name).toContain('wal/');
    directory.flip(name, at);
    await expect(directory.bodies()).rejects.toThrow(StoreError);
    const { stretches, messages } = await run(directory);
    expect(messages).toEqual([]);
    expect(stretches).toHaveLength(1);
    const [{ path, from, to, afterLsn, beforeLsn } = fail()] = stretches;
    expect(path).toBe(`${directory.path}/${name}`);
    expect(from).toBeLessThan(at);
    expect(to).toBeGreaterThan(at);
    expect((beforeLsn ?? 0) - (afterLsn ?? 0), 'one record').toBe(2);
    const bodies = await directory.bodies();
    expect([...bodies.values()]).toEqual(BODIES.filter((_, i) => i !== BODIES.length - 2));
  });
});

test('a repaired directory takes new messages behind the old ones, and is whole', async () => {
  const directory = copy();
  const { name, at } = placeOf('body 3 ');
  directory.flip(name, at);
  await run(directory);
  await directory.bodies();
  expect(await run(directory)).toMatchObject({ damages: [], movedTo: undefined });
});

test('without any checkpoint the messages stay whose queue the log names', async () => {
  const directory = copy();
  for (const each of readdirSync(`${directory.path}/meta`)) rmSync(`${directory.path}/meta/${each}`);
  const { remarks } = await run(directory);
  expect(remarks.join()).toContain('no checkpoint is whole');
  await directory.bodies();
});

test('a message of which an interrupted repair left a whole copy is neither lost nor told as lost', async () => {
  const directory = copy();
  rmSync(`${directory.path}/format`);
  const rename = directory.disk.renameNow.bind(directory.disk);
  directory.disk.renameNow = () => {
    throw new Error('the power fails');
  };
  await expect(run(directory)).rejects.toThrow('the power fails');
  directory.disk.renameNow = rename;
  const { name, at } = placeOf('body 3 ');
  directory.flip(name, at);
  expect(await run(directory)).toMatchObject({ messages: [], kept: BODIES.length });
  expect([...(await directory.bodies()).values()]).toEqual(BODIES);
});

test('a file that says the format is made again', async () => {
  const directory = copy();
  writeFileSync(`${directory.path}/format`, 'something else\n');
  const { damages, kept } = await run(directory);
  expect(damages.map(({ path }) => path)).toEqual([`${directory.path}/format`]);
  expect(kept).toBe(BODIES.length);
  expect([...(await directory.bodies()).values()]).toEqual(BODIES);
});

test('a directory of something else, and one that is not there, are refused', async () => {
  const directory = new DataDirectory();
  open.push(directory);
  await expect(run(directory)).rejects.toThrow("there is none of 'meta', 'wal' and 'segments' in it");
  expect(readdirSync(directory.path)).toEqual([]);
});

test(`whatever is damaged, what comes out is exactly what went in, and what is missing was told (seed ${SEED})`, async () => {
  const random = seeded(SEED);
  let repaired = 0;
  for (let n = 0; n < RUNS; n++) {
    const directory = copy();
    const what = damage(directory, random);
    let bodies: Map<number, string>;
    let told: Repair | undefined;
    try {
      bodies = await directory.bodies();
    } catch (error) {
      // a start reads no message bytes of segments: a bad one is found when it is to be delivered
      if (!(error instanceof StoreError) && !(error instanceof Error && 'code' in error && error.code === 'EDAMAGED')) throw error;
      told = await run(directory);
      expect(told.movedTo, what).toBeDefined();
      repaired++;
      bodies = await directory.bodies();
      expect(checkDirectory(directory.disk, directory.path).damages, what).toEqual([]);
    }
    for (const [seq, body] of bodies) expect(body, `${what}: ${seq}`).toBe(BODIES[seq - 1]);
    const named = new Set(told?.messages.map(({ seq }) => seq));
    const missing = BODIES.map((_, i) => i + 1).filter((seq) => !bodies.has(seq) && !named.has(seq));
    if (missing.length > 0)
      expect((told?.stretches.length ?? 0) + (told?.remarks.length ?? 0), `${what}: ${missing} untold`).toBeGreaterThan(0);
    directory.close();
  }
  expect(repaired).toBeGreaterThan(RUNS / 4);
}, 300_000);

function damage(directory: DataDirectory, random: () => number): string {
  const name = names[between(random, 0, names.length - 1)] ?? '';
  const path = `${directory.path}/${name}`;
  const size = statSync(path).size;
  const kind = between(random, 0, 3);
  const at = between(random, 0, Math.max(0, size - 1));
  if (kind === 0) directory.flip(name, at);
  else if (kind === 1) truncateSync(path, at);
  else if (kind === 2) rmSync(path);
  else {
    const bytes = readFileSync(path);
    bytes.fill(0, at & ~511, Math.min(size, (at & ~511) + 512));
    writeFileSync(path, bytes);
  }
  return `${['flip', 'cut', 'gone', 'zeroed'][kind]} ${name} at ${at}`;
}

function fail(): never {
  throw new Error('nothing was told');
}
