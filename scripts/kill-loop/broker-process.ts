// The broker that is killed: the real binary in a process of its own, over one data directory.
// Always: (1) `ready` resolves with its address, or rejects with all it printed when it ends before; (2) whoever started it sees its end in `ended`.
// Refuses: to start it again by itself.

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface BrokerOptions {
  /** The committed shim of the binary. */
  readonly shim: string;
  /** Undefined: --memory, which loses everything: for showing that the oracle sees it. */
  readonly dataDirectory: string | undefined;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The binary of this checkout, seen from `from`: a module's own url. */
export function shimFrom(from: string, up: string): string {
  return fileURLToPath(new URL(`${up}server/bin/leveret.js`, from));
}

// What a drain on SIGTERM waits for deliveries: the oracle has settled or given up all by then.
const DRAIN_MS = 20;
// A user that is configured comes in at once after a start; for guest a password is hashed, which takes longer than most lives here.
const USER = { LEVERET_DEFAULT_USER: 'loop', LEVERET_DEFAULT_PASS: 'loop' };

export class BrokerProcess {
  readonly ready: Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly #child: ChildProcess;
  #printed = '';

  constructor({ shim, dataDirectory, environment }: BrokerOptions) {
    const where = dataDirectory === undefined ? ['--memory'] : ['--data-dir', dataDirectory];
    const child = spawn(process.execPath, [shim, 'start', '--host', '127.0.0.1', '--http-port', '0', '--amqp-port', '0', ...where], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...USER, LEVERET_LIMITS_DRAIN_MS: String(DRAIN_MS), LEVERET_LOG_LEVEL: 'warn', ...environment },
    });
    this.#child = child;
    this.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    this.ready = new Promise((resolve, reject) => {
      const read = (chunk: Buffer): void => {
        this.#printed += chunk.toString();
        const found = /ws:\/\/[^\s"',]+/.exec(this.#printed);
        if (found !== null) resolve(found[0].replace('ws://', `ws://${USER.LEVERET_DEFAULT_USER}:${USER.LEVERET_DEFAULT_PASS}@`));
      };
      child.stdout?.on('data', read);
      child.stderr?.on('data', read);
      child.once('error', reject);
      child.once('close', (code, signal) => reject(new Error(`the broker ended with ${signal ?? code}:\n${this.#printed}`)));
    });
    // Whoever kills it while it starts does not wait for it.
    this.ready.catch(() => undefined);
  }

  /** What it has written so far. */
  get printed(): string {
    return this.#printed;
  }

  pause(): void {
    this.#child.kill('SIGSTOP');
  }
  resume(): void {
    this.#child.kill('SIGCONT');
  }
  /** False: it had ended by itself. */
  async kill(): Promise<boolean> {
    this.#child.kill('SIGKILL');
    return (await this.ended).signal === 'SIGKILL';
  }
  /** Asks it to end; what is wrong with how it did, or undefined. */
  async stop(): Promise<string | undefined> {
    this.#child.kill('SIGTERM');
    const { code, signal } = await this.ended;
    return code === 0 ? undefined : `asked to end, the broker ended with ${signal ?? code}:\n${this.#printed}`;
  }
}
