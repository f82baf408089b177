// The demo's client processes, seen from the main process: one service or worker each.
// Always: (1) a process that ends before it was told to is an error of the whole run; (2) after `dismiss` none is left, if need be by force.
// Each process has a connection, a journal and a heap of its own, as services have in life.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isWord, type Order, type Part, type Word } from './part.ts';
import { SERVICES, WORKERS } from './plan.ts';

// What a process may take to finish its messages before it is ended.
const LEAVE_MS_MAX = 10_000;

export type Staging = Omit<Part, 'role' | 'name'>;

interface Player {
  readonly part: Part;
  readonly process: ChildProcess;
  /** The last word of each kind. */
  readonly told: Set<Word['tell']>;
  handled: number;
}

export class Cast {
  readonly #players: readonly Player[];
  readonly #failed: Promise<never>;
  #leaving = false;
  readonly #waiting = new Set<() => void>();

  constructor(staging: Staging) {
    const parts: Part[] = [
      ...WORKERS.map(({ name }) => ({ role: 'worker' as const, name, ...staging })),
      ...SERVICES.map(({ name }) => ({ role: 'service' as const, name, ...staging })),
    ];
    const script = fileURLToPath(new URL('./player.js', import.meta.url));
    this.#players = parts.map((part, index) => {
      const argument = JSON.stringify({ ...part, seed: part.role === 'worker' ? part.seed + index : part.seed });
      // What a player prints is trouble: it belongs on stderr, beside the progress and apart from the result.
      return { part, process: fork(script, [argument], { stdio: ['ignore', 2, 2, 'ipc'] }), told: new Set(), handled: 0 };
    });
    this.#failed = new Promise((_, reject) => {
      for (const player of this.#players) this.#listen(player, reject);
    });
    // Whoever awaits the cast hears of it; before that it is not unhandled.
    this.#failed.catch(() => undefined);
  }

  /** How many messages the processes of a role have handled. */
  handled(role: Part['role']): number {
    return this.#players.filter(({ part }) => part.role === role).reduce((sum, player) => sum + player.handled, 0);
  }

  /** Until every process of the role has said so. Rejects when one of the cast fails. */
  async all(role: Part['role'], word: Word['tell']): Promise<void> {
    const players = this.#players.filter(({ part }) => part.role === role);
    const said = (): boolean => players.every(({ told }) => told.has(word));
    while (!said()) {
      const noticed = new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
      await Promise.race([noticed, this.#failed]);
    }
  }

  /** Rejects when one of the cast fails, and never resolves. */
  get failure(): Promise<never> {
    return this.#failed;
  }

  order(role: Part['role'], order: Order): void {
    for (const { part, process } of this.#players) {
      if (part.role === role && process.connected) process.send(order);
    }
  }

  /** Ends all, services first: they hold nothing, and workers finish what they have. */
  async dismiss(): Promise<void> {
    this.#leaving = true;
    for (const role of ['service', 'worker'] as const) {
      this.order(role, 'stop');
      await Promise.all(this.#players.filter(({ part }) => part.role === role).map(({ process }) => ended(process)));
    }
  }

  /** Ends all at once: for a run that has failed. */
  kill(): void {
    this.#leaving = true;
    for (const { process } of this.#players) process.kill('SIGKILL');
  }

  #listen(player: Player, fail: (error: Error) => void): void {
    player.process.on('message', (word: unknown) => {
      if (!isWord(word)) return fail(new Error(`${player.part.name} said ${JSON.stringify(word)}`));
      player.told.add(word.tell);
      if (word.tell === 'progress') player.handled = word.handled;
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    });
    player.process.once('error', fail);
    player.process.once('exit', (code, signal) => {
      if (!this.#leaving) fail(new Error(`the ${player.part.role} '${player.part.name}' ended early (${signal ?? code})`));
    });
  }
}

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const timer = setTimeout(() => process.kill('SIGKILL'), LEAVE_MS_MAX);
  await once(process, 'exit');
  clearTimeout(timer);
}
