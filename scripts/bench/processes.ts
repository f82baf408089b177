// The processes a benchmark runs against: the broker as its users start it, the echo server, the rows that need a heap of their own.
// Always: (1) every child is started on port 0 of loopback and ended by `stop`, also when the run fails; (2) a child that ends before it
// is ready is an error with what it wrote.
// Refuses: to measure anything that is not the built output.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../../', import.meta.url); // from scripts/dist/scripts/bench/
const READY_MS_MAX = 15_000;
const STOP_MS_MAX = 20_000; // a broker with a backlog writes it down first

export interface Child {
  readonly url: string;
  readonly process: ChildProcess;
  readonly readyMs: number;
  /** What it has written, stdout and stderr. */
  written(): string;
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
}

/** The built broker, as `leveret start` runs it; `args` say where it keeps messages. */
export function startBroker(args: readonly string[] = ['--memory'], readyMsMax = READY_MS_MAX): Promise<Child> {
  const shim = fileURLToPath(new URL('server/bin/leveret.js', root));
  return startServer([shim, 'start', '--host', '127.0.0.1', '--http-port', '0', '--amqp-port', '0', ...args], readyMsMax);
}

/** A bare ws server that sends each message back: ws as it comes, without the add-on that unmasks for the broker, or the yardstick would have moved. */
export function startEcho(): Promise<Child> {
  return startServer([fileURLToPath(new URL('./echo.js', import.meta.url))], READY_MS_MAX, { WS_NO_BUFFER_UTIL: '1' });
}

/** A bare server that writes what it gets to `file`, and answers after fdatasync how many records that were. */
export function startAppend(file: string, protocol: 'tcp' | 'ws', recordBytes: number, how: 'append' | 'overwrite'): Promise<Child> {
  return startServer([fileURLToPath(new URL('./append-server.js', import.meta.url)), file, protocol, String(recordBytes), how]);
}

async function startServer(args: readonly string[], readyMsMax = READY_MS_MAX, environment: Record<string, string> = {}): Promise<Child> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
  let written = '';
  const lines = createInterface({ input: child.stdout });
  child.stderr.on('data', (chunk: Buffer) => {
    written += chunk.toString();
  });
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => fail(`not ready after ${readyMsMax} ms`), readyMsMax);
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`${args.join(' ')}: ${why}\n${written}`));
    };
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`ended with ${code} before it was ready`));
    lines.on('line', (line) => {
      written += `${line}\n`;
      const found = /(?:ws|tcp):\/\/[^\s"',]+/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[0]);
    });
  });
  const readyMs = performance.now() - startedAt;
  return { url, process: child, readyMs, written: () => written, stop: () => stop(child), kill: () => stop(child, 'SIGKILL') };
}

async function stop(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(timer);
}

/** Runs one row of engine.ts in a process of its own and answers what it printed: one JSON array of numbers. */
export function runEngine(row: string, ...numbers: number[]): Promise<number[]> {
  return runScript('./engine.js', row, numbers.map(String));
}

/** The same of durable-engine.ts, with its data in `directory`. */
export function runDurableEngine(row: string, directory: string, ...numbers: number[]): Promise<number[]> {
  return runScript('./durable-engine.js', row, [directory, ...numbers.map(String)]);
}

async function runScript(path: string, row: string, args: readonly string[]): Promise<number[]> {
  const script = fileURLToPath(new URL(path, import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', script, row, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
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
