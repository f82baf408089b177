// `npm start` as a person or a supervisor runs it: flags are handed on, signals reach the broker, exit codes survive npm.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { connect } from '../client/src/index.ts';
import { ROOT } from './tidy/sources.ts';

let child: ChildProcess | undefined;

afterEach(() => {
  if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
});

/** Its own process group, as a terminal gives to a command. */
function npmStart(...flags: string[]): ChildProcess {
  child = spawn('npm', ['start', '--', ...flags], { cwd: ROOT, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  return child;
}

async function address(started: ChildProcess): Promise<string> {
  let printed = '';
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      const found = /ws:\/\/[^\s"',]+/.exec(printed);
      if (found !== null) resolve(found[0]);
    };
    started.stdout?.on('data', read);
    started.stderr?.on('data', read);
    started.once('exit', (code) => reject(new Error(`it ended with ${code}:\n${printed}`)));
  });
}

test('SIGTERM to npm ends the broker, with exit code 0', async () => {
  const started = npmStart('--memory', '--http-port', '0', '--amqp-port', '0');
  const url = await address(started);
  started.kill('SIGTERM');
  expect(await once(started, 'exit')).toEqual([0, null]);
  await expect(connect(url, { reconnect: false })).rejects.toThrow();
});

test('one Ctrl-C lets a consumer finish what it holds, though the terminal and npm both pass it on', async () => {
  const started = npmStart('--memory', '--http-port', '0', '--amqp-port', '0');
  const mq = await connect(await address(started), { reconnect: false });
  await mq.declareQueue('held');
  await mq.queue('held').publish('work');
  const { promise: taken, resolve: take } = signal();
  const { promise: finished, resolve: finish } = signal();
  const reasons: string[] = [];
  mq.on('state', (state, why) => reasons.push(`${state} ${why?.message}`));
  mq.queue('held').work({}, async () => {
    take();
    await finished;
  });
  await taken;
  const ended = once(started, 'exit');
  if (started.pid !== undefined) process.kill(-started.pid, 'SIGINT');
  // The drain is announced; only then does the handler return, and the broker has waited for it.
  await Promise.race([once(started.stdout ?? started, 'data'), ended]);
  finish();
  expect(await ended).toEqual([0, null]);
  await mq.close();
  expect(reasons.join()).not.toContain('1006');
});

test('a flag that does not exist is the exit code of npm', async () => {
  const started = npmStart('--http-prot', '1');
  expect(await once(started, 'exit')).toEqual([64, null]);
});

function signal(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
