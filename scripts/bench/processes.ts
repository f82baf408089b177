// The processes a benchmark runs against: the broker as its users start it, the echo server, the rows that need a heap of their own.
// Always: (1) every child is started on port 0 of loopback and ended by `stop`, also when the run fails; (2) a child that ends before it
// is ready is an error with what it wrote.
// Refuses: to measure anything that is not the built output.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../../', import.meta.url); // from scripts/dist/scripts/bench/
const READY_MS_MAX = 15_000;

export interface Child {
  readonly url: string;
  readonly process: ChildProcess;
  readonly readyMs: number;
  stop(): Promise<void>;
}

/** The built broker, as `leveret start` runs it; `args` say where it keeps messages. */
export function startBroker(args: readonly string[] = ['--memory']): Promise<Child> {
  const shim = fileURLToPath(new URL('server/bin/leveret.js', root));
  return startServer([shim, 'start', '--host', '127.0.0.1', '--http-port', '0', ...args]);
}

/** A bare ws server that sends each message back. */
export function startEcho(): Promise<Child> {
  return startServer([fileURLToPath(new URL('./echo.js', import.meta.url))]);
}

async function startServer(args: readonly string[]): Promise<Child> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let written = '';
  const lines = createInterface({ input: child.stdout });
  child.stderr.on('data', (chunk: Buffer) => {
    written += chunk.toString();
  });
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => fail(`not ready after ${READY_MS_MAX} ms`), READY_MS_MAX);
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`${args.join(' ')}: ${why}\n${written}`));
    };
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`ended with ${code} before it was ready`));
    lines.on('line', (line) => {
      written += `${line}\n`;
      const found = /ws:\/\/[^\s"',]+/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[0]);
    });
  });
  return { url, process: child, readyMs: performance.now() - startedAt, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

/** Runs one row of engine.ts in a process of its own and answers what it printed: one JSON array of numbers. */
export async function runEngine(row: string, ...numbers: number[]): Promise<number[]> {
  const script = fileURLToPath(new URL('./engine.js', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', script, row, ...numbers.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`row ${row} ended with ${child.exitCode ?? child.signalCode}`);
  const answer: unknown = JSON.parse(printed);
  if (!Array.isArray(answer) || !answer.every((value) => typeof value === 'number')) throw new Error(`row ${row} printed no numbers`);
  return answer;
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  if (process.platform === 'linux') {
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    if (found !== null) return Number(found[1]) * 1024;
  }
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1024;
}
