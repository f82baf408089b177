// Faults of a data directory as the command line tells them: a line, a hint, a code.

import { describe, expect, test } from 'vitest';
import { CliError, ExitCode } from '../../../server/cli/exit-codes.ts';
import { DiskFailure, storeFailure } from '../../../server/cli/store-failures.ts';
import { createLog } from '../../../server/log.ts';
import { StoreError, type StoreFault } from '../../../server/store/store-error.ts';

describe('an error of opening or closing', () => {
  test.each<[StoreFault, ExitCode]>([
    ['in-use', ExitCode.DataInUse],
    ['damaged', ExitCode.BadInput],
    ['format', ExitCode.Configuration],
    ['unusable', ExitCode.Unavailable],
  ])('%s has its code, and keeps its words', (fault, code) => {
    const failure = storeFailure(new StoreError(fault, 'what', { path: 'd/lock', hint: 'do this' }), 'd');
    expect(failure).toMatchObject({ name: 'CliError', exitCode: code, message: 'what', hint: 'do this' });
  });

  test('an error of the disk that nobody foresaw is one too', () => {
    const error = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
    expect(storeFailure(error, 'd')).toMatchObject({ exitCode: ExitCode.InputOutput, message: 'd: EIO: i/o error, read' });
  });

  test('a fault of ours, and what has its code already, stay what they are', () => {
    const ours = new TypeError('not a function');
    expect(storeFailure(ours, 'd')).toBe(ours);
    const coded = new CliError(ExitCode.Unavailable, 'port 1 is taken');
    expect(storeFailure(coded, 'd')).toBe(coded);
  });
});

test('a disk that fails is told in the log and ends what waits for it, once, and without a stack', async () => {
  const lines: string[] = [];
  const failure = new DiskFailure('data', createLog('info', { write: (line) => void lines.push(line) }));
  failure.report(new Error('EIO: i/o error, fdatasync'));
  await expect(failure.happened).rejects.toMatchObject({
    exitCode: ExitCode.InputOutput,
    message: 'data cannot be written any more: EIO: i/o error, fdatasync',
  });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    level: 'fatal',
    time: expect.any(String),
    cause: 'EIO: i/o error, fdatasync',
    directory: 'data',
    msg: 'the disk has failed: nothing is confirmed any more, connections are closed',
  });
});

test('data that is found damaged while the broker runs ends with 65, its place, and the way out', async () => {
  const failure = new DiskFailure('data', createLog('silent', { write: () => undefined }));
  failure.report(Object.assign(new Error('data/segments/00000008 is damaged at offset 20208'), { code: 'EDAMAGED' }));
  await expect(failure.happened).rejects.toMatchObject({
    exitCode: ExitCode.BadInput,
    message: 'data/segments/00000008 is damaged at offset 20208',
    hint: expect.stringContaining('leveret repair'),
  });
});
