// `leveret dump-wal` as a verb: its output, its exit codes, and readers that go away.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as dumpWal from '../../../server/cli/dump-wal.ts';
import { ExitCode } from '../../../server/cli/exit-codes.ts';
import * as fsck from '../../../server/cli/fsck.ts';
import { runVerb } from '../../support/cli.ts';
import { DataDirectory } from '../../support/data-directory.ts';

let directory: DataDirectory;
beforeEach(async () => {
  directory = new DataDirectory();
  await directory.fill(['first body', 'second body', 'third body']);
});
afterEach(() => directory.close());

const words = (): string[] => ['--data-dir', directory.path];
function damage(): void {
  for (const name of readdirSync(join(directory.path, 'wal'))) {
    const at = readFileSync(join(directory.path, 'wal', name)).indexOf('second body');
    if (at >= 0) directory.flip(`wal/${name}`, at);
  }
}

test('a dump of a whole directory shows every message and ends with 0', async () => {
  const { code, lines } = await runVerb(dumpWal, words());
  expect(code).toBe(ExitCode.Ok);
  expect(lines.filter((line) => line.includes('"Publish"'))).toHaveLength(3);
});

test('a dump whose reader goes away stops quietly, and no line follows', async () => {
  const { code, lines, errors } = await runVerb(dumpWal, words(), { readerStopsAfter: 2 });
  expect({ code, lines: lines.length, errors }).toEqual({ code: ExitCode.Ok, lines: 2, errors: '' });
});

test('fsck and a dump of a damaged directory end with 65; a dump of all that is whole with 0', async () => {
  expect((await runVerb(fsck, words())).code).toBe(ExitCode.Ok);
  damage();
  expect((await runVerb(fsck, words())).code).toBe(ExitCode.BadInput);
  expect((await runVerb(dumpWal, words())).code).toBe(ExitCode.BadInput);
  expect((await runVerb(dumpWal, [...words(), '--all'])).code).toBe(ExitCode.Ok);
});

test('a log file that is not there is named, with what to do; a stray file and an empty spare are no damage', async () => {
  const { code, errors } = await runVerb(dumpWal, [...words(), 'nofile']);
  expect({ code, errors }).toEqual({
    code: ExitCode.BadInput,
    errors: expect.stringContaining('nofile cannot be read: there is no such file'),
  });
  writeFileSync(join(directory.path, 'wal', 'notes'), 'mine');
  writeFileSync(join(directory.path, 'wal', '00000099'), '');
  expect((await runVerb(dumpWal, words())).code).toBe(ExitCode.Ok);
});
