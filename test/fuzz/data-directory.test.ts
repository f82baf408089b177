// Damage to a data directory: bytes flipped, files cut, deleted, swapped. A start finds exactly what was there, or refuses naming file and offset.
// Always: (1) the directory has segments, and was closed: all of it is durable and nothing may be missing; (2) every body is read back through the log;
// (3) the seed is in the name of each failure. DATA_FUZZ_ALL=1 flips every byte of every file, DATA_FUZZ_SEED chooses the sample.
// Refuses: to judge a killed process's directory (the simulation and the kill loop do).

import { cpSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FILE_HEADER_BYTES, finishRecord, readFileHeader } from '../../server/store/records.ts';
import { StoreError } from '../../server/store/store-error.ts';
import { DataDirectory } from '../support/data-directory.ts';
import { between, seeded } from '../support/sim-random.ts';

const seed = Number(process.env['DATA_FUZZ_SEED'] ?? 1);
const isAll = process.env['DATA_FUZZ_ALL'] === '1';
const FLIPS = 60; // of each file
const CUTS = 10;
const bodies = ['first body', 'second body', ...Array.from({ length: 400 }, (_, i) => `${i} ${'x'.repeat((i * 37) % 700)}`), 'last body'];
const origin = new DataDirectory();
let names: string[] = [];

beforeAll(async () => {
  await origin.fill(bodies);
  for (let n = 0; n < 2; n++) await origin.use((log) => log.commit()); // each time the oldest file is retired: segments
  names = ['meta', 'wal', 'segments'].flatMap((folder) => readdirSync(`${origin.path}/${folder}`).map((name) => `${folder}/${name}`));
  names.push('format');
});
afterAll(() => origin.close());

/** What a start makes of a damaged copy. Throws when it is neither all of it nor a refusal. */
async function verdict(damage: (path: string) => void): Promise<'whole' | 'refused'> {
  const copy = new DataDirectory();
  try {
    cpSync(origin.path, copy.path, { recursive: true });
    damage(copy.path);
    let found: Map<number, string>;
    try {
      found = await copy.bodies();
    } catch (error) {
      // message bytes of segments are checked when they are read
      if (error instanceof Error && 'code' in error && error.code === 'EDAMAGED') return 'refused';
      if (!(error instanceof StoreError)) throw error;
      expect(error.path, error.message).toContain(copy.path);
      if (error.fault === 'damaged') expect(error.offset, error.message).toBeGreaterThanOrEqual(0);
      return 'refused';
    }
    expect([...found], 'exactly what was there').toEqual(bodies.map((body, i) => [i + 1, body]));
    return 'whole';
  } finally {
    copy.close();
  }
}

function usedBytes(name: string): number {
  const bytes = readFileSync(`${origin.path}/${name}`);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return isAll ? bytes.length : Math.min(bytes.length, end + 8);
}

test('a flipped bit is found, or changes nothing', { timeout: 600_000 }, async () => {
  const random = seeded(seed);
  const verdicts = new Set<string>();
  for (const name of names) {
    const end = usedBytes(name);
    const offsets = isAll
      ? Array.from({ length: end }, (_, i) => i)
      : Array.from({ length: Math.min(FLIPS, end) }, () => between(random, 0, end - 1));
    for (const offset of offsets) {
      const bit = 1 << between(random, 0, 8 - 1);
      const flip = (path: string): void => {
        const bytes = readFileSync(`${path}/${name}`);
        bytes[offset] = (bytes[offset] ?? 0) ^ bit;
        writeFileSync(`${path}/${name}`, bytes);
      };
      verdicts.add(await named(`seed ${seed}: ${name} at ${offset}, bit ${bit}`, flip));
    }
  }
  expect(verdicts, 'some damage is refused').toContain('refused');
});

test('a file that is cut, gone or in the place of another is found, or changes nothing', { timeout: 600_000 }, async () => {
  const random = seeded(seed);
  for (const name of names) {
    await named(`${name} gone`, (path) => rmSync(`${path}/${name}`));
    for (let i = 0; i < CUTS; i++) {
      const length = between(random, 0, usedBytes(name) - 1);
      await named(`seed ${seed}: ${name} cut to ${length}`, (path) => truncateSync(`${path}/${name}`, length));
    }
  }
  for (const [i, name] of names.entries())
    for (const other of names.slice(i + 1)) {
      await named(`${name} and ${other} change places`, (path) => {
        renameSync(`${path}/${name}`, `${path}/aside`);
        renameSync(`${path}/${other}`, `${path}/${name}`);
        renameSync(`${path}/aside`, `${path}/${other}`);
      });
      await named(`${other} is a copy of ${name}`, (path) => cpSync(`${path}/${name}`, `${path}/${other}`));
    }
});

test('the check finds a body that is wrong under a crc that is right', async () => {
  const name = names.find((each) => each.startsWith('wal/') && readFileSync(`${origin.path}/${each}`).includes('first body')) ?? '';
  const forge = (path: string): void => {
    const bytes = readFileSync(`${path}/${name}`);
    const header = readFileHeader(bytes);
    if (typeof header === 'string') throw new Error(header);
    const bodyAt = bytes.indexOf('first body');
    bytes.write('wrong', bodyAt, 'latin1');
    const at = recordBefore(bytes, bodyAt);
    finishRecord(bytes, at, header.fileId);
    writeFileSync(`${path}/${name}`, bytes);
  };
  await expect(verdict(forge)).rejects.toThrow('exactly what was there');
});

async function named(what: string, damage: (path: string) => void): Promise<'whole' | 'refused'> {
  try {
    return await verdict(damage);
  } catch (error) {
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  }
}

/** The record that holds `place`: batches and records follow each other from the header on. */
function recordBefore(bytes: Buffer, place: number): number {
  for (let at = FILE_HEADER_BYTES; at < place; ) {
    if (bytes.toString('latin1', at, at + 4) === 'LVBT') {
      at += 48;
      continue;
    }
    const next = at + ((32 + bytes.readUInt32LE(at) + 7) & ~7);
    if (next > place) return at;
    at = next;
  }
  throw new Error('no record there');
}
