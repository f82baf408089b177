// fsck of a directory with every kind of file in it: each damage is named, and nothing is written.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ExitCode } from '../../../server/cli/exit-codes.ts';
import * as fsck from '../../../server/cli/fsck.ts';
import { runVerb } from '../../support/cli.ts';

const GOLDEN = fileURLToPath(new URL('../../golden/format-1/closed/', import.meta.url));

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leveret-check-'));
  cpSync(GOLDEN, directory, { recursive: true });
});
afterEach(() => rmSync(directory, { recursive: true }));

const names = (): string[] =>
  readdirSync(directory, { recursive: true })
    .map(String)
    .filter((name) => name.includes('/') || name === 'format')
    .sort();
const contents = (): Map<string, string> =>
  new Map(
    names()
      .filter((name) => /\d|format/.test(name))
      .map((name) => [name, readFileSync(join(directory, name), 'latin1')]),
  );

async function check(): Promise<{ code: number; text: string }> {
  const before = contents();
  const { code, lines, errors } = await runVerb(fsck, ['--data-dir', directory]).catch((error: unknown) => ({
    code: error instanceof Error && 'code' in error ? Number(error.code) : -1,
    lines: [],
    errors: error instanceof Error ? error.message : String(error),
  }));
  expect(contents(), 'nothing is written').toEqual(before);
  return { code: Number(code), text: [...lines, errors].join('\n') };
}

test('a directory with kept and gathered segments is whole', async () => {
  expect(await check()).toMatchObject({ code: ExitCode.Ok });
});

/** The newest checkpoint, and files of each kind. */
const KINDS = [
  ['the newest checkpoint', 'meta/00000006.json', 200],
  ['the header of a kept segment', 'wal/00000003', 20],
  ['the data of a kept segment', 'wal/00000004', 4000],
  ['the data of a gathered segment', 'segments/00000006', 4600],
  ['the directory of a segment', 'segments/00000003.dir', 100],
  ['a list of what was settled', 'segments/00000003.1.set', 60],
  ['the header of a log file', 'wal/00000007', 20],
  ['a batch header of a log file', 'wal/00000007', 90],
  ['a record of a log file', 'wal/00000007', 150],
  ['the format', 'format', 3],
] as const;

describe('a byte that changed', () => {
  test.each(KINDS)('in %s is named', async (_what, name, offset) => {
    const bytes = readFileSync(join(directory, name));
    bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
    writeFileSync(join(directory, name), bytes);
    const { code, text } = await check();
    expect(text).toMatch(new RegExp(`^(damaged: )?\\S*/${name}, offset \\d+: `, 'm'));
    expect(code).toBe(ExitCode.BadInput);
  });
});

describe('a file that is gone', () => {
  test.each([...new Set(KINDS.map(([, name]) => name))].filter((name) => name !== 'format' && !name.startsWith('meta')))(
    '%s is named',
    async (name) => {
      rmSync(join(directory, name));
      const { code, text } = await check();
      expect(text).toMatch(new RegExp(`^(damaged: )?\\S*/${name}, offset \\d+: `, 'm'));
      expect(code).toBe(ExitCode.BadInput);
    },
  );
});
