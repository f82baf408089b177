// `leveret start` as a process of its own whose output and end a test looks at. For a broker that only has to be there: built-broker.ts.
// Always: (1) it runs in an empty directory of its own, so what it keeps by default is gone with the test; (2) no process outlives its test.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

export const SHIM = fileURLToPath(new URL('../../server/bin/leveret.js', import.meta.url));

const children: ChildProcess[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) {
    const isOver = child.exitCode !== null || child.signalCode !== null;
    const ended = isOver ? undefined : once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A directory that is gone after the test. */
export function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'leveret-start-'));
  folders.push(folder);
  return folder;
}

export class Started {
  readonly child: ChildProcess;
  /** Its exit code. */
  readonly ended: Promise<number | null>;
  out = '';
  err = '';

  constructor(words: readonly string[], environment: Record<string, string> = {}, folder = freshFolder()) {
    this.child = spawn(process.execPath, [SHIM, 'start', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: folder,
      env: { ...process.env, LEVERET_AMQP_PORT: '0', ...environment },
    });
    children.push(this.child);
    this.child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.err += chunk.toString()));
    this.ended = once(this.child, 'close').then(([code]) => code);
  }

  /** The port it prints, once it has printed all that it says at the start. */
  async port(): Promise<number> {
    for (;;) {
      const port = /listens on ws:\/\/\S+:(\d+)\/ws[\s\S]*Ctrl-C ends it/.exec(this.out)?.[1];
      if (port !== undefined) return Number(port);
      const ended = await Promise.race([once(this.child.stdout ?? this.child, 'data').then(() => undefined), this.ended]);
      if (ended !== undefined) throw new Error(`ended with ${ended}: ${this.err}`);
    }
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    const code = await this.ended;
    if (code !== 0) throw new Error(`ended with ${code}: ${this.err}`);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}
