// Who holds a data directory: a process that runs, one that has ended, and one that has inherited a number.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SystemProcesses } from '../../server/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'leveret-processes-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('this process runs', () => {
  const processes = new SystemProcesses();
  expect(processes.self).toMatch(new RegExp(`^${process.pid} `));
  expect(processes.isAlive(processes.self)).toBe(true);
});

test('two holders in one process have two names, and both run', () => {
  const [one, other] = [new SystemProcesses(), new SystemProcesses()];
  expect(one.self).not.toBe(other.self);
  expect(other.isAlive(one.self)).toBe(true);
});

test('another process runs until it has ended', async () => {
  const child = spawn(process.execPath, ['--eval', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const other = new SystemProcesses(child.pid);
  const here = new SystemProcesses();
  expect(here.isAlive(other.self)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(here.isAlive(other.self)).toBe(false);
});

describe('by what /proc says', () => {
  const stat = (pid: number, name: string, state: string, start: number): void => {
    mkdirSync(join(folder, String(pid)), { recursive: true });
    const between = Array.from({ length: 18 }, () => '0').join(' ');
    writeFileSync(join(folder, String(pid), 'stat'), `${pid} (${name}) ${state} ${between} ${start} 0 0\n`);
  };
  const boot = (id: string): void => {
    mkdirSync(join(folder, 'sys/kernel/random'), { recursive: true });
    writeFileSync(join(folder, 'sys/kernel/random/boot_id'), `${id}\n`);
  };
  const processes = (pid: number): SystemProcesses => new SystemProcesses(pid, folder);

  test('a process that was given the same number later is another one', () => {
    boot('11111111-2222');
    stat(7, 'node', 'S', 100);
    const { self } = processes(7);
    expect(self).toMatch(/^7 100\/11111111 \d+$/);
    expect(processes(7).isAlive(self)).toBe(true);
    stat(7, 'node', 'R', 101);
    expect(processes(7).isAlive(self)).toBe(false);
  });

  test('so is one of the same number and start after the machine was started again', () => {
    boot('11111111-2222');
    stat(1, 'node', 'S', 5);
    const { self } = processes(1);
    boot('33333333-4444');
    expect(processes(1).isAlive(self)).toBe(false);
  });

  test('one that has ended and waits for its parent does not run', () => {
    stat(8, 'node', 'S', 100);
    const { self } = processes(8);
    stat(8, 'node', 'Z', 100);
    expect(processes(8).isAlive(self)).toBe(false);
  });

  test('a name with blanks and parentheses does not move the fields', () => {
    stat(9, 'a (b) Z 1 2', 'S', 300);
    expect(processes(9).self).toMatch(/^9 300\//);
    expect(processes(9).isAlive(processes(9).self)).toBe(true);
  });
});

describe('where /proc says nothing', () => {
  const blind = new SystemProcesses(process.pid, join(folder, 'nothing'));

  test('the number alone decides', async () => {
    expect(blind.self).toMatch(new RegExp(`^${process.pid} - \\d+$`));
    expect(blind.isAlive(blind.self)).toBe(true);
    const child = spawn(process.execPath, ['--eval', ''], { stdio: 'ignore' });
    await once(child, 'exit');
    expect(blind.isAlive(`${child.pid} - 1`)).toBe(false);
  });

  test('what is no number is nobody', () => {
    for (const text of ['', 'x 1', '0 1', '-1 1', '1.5 1']) expect(blind.isAlive(text), text).toBe(false);
  });
});
