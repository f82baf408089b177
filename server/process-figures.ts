// What the process and its machine tell of themselves, for metrics.
// Always: (1) the system is asked once a sample, so that a scrape costs no system call and changes nothing; (2) what it does not tell is undefined.
// Refuses: to judge. memory-watch.ts raises alarms.

import { readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ProcessFigures } from './http/metrics/source.ts';
import { residentBytes } from './resident-memory.ts';

// How often the loop's delay is looked at. The monitor counts this distance as delay.
const RESOLUTION_MS = 10;

const PROC = '/proc/self';

export interface FiguresOptions {
  /** Undefined: messages live in memory, and no disk matters. */
  readonly dataDir: string | undefined;
  /** Resident memory at which publishers are held back. */
  readonly memoryAlarmBytes: number;
  readonly openSockets: () => number;
}

export class SystemFigures {
  readonly #options: FiguresOptions;
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #maxFds = readMaxFds();
  #openFds: number | undefined;
  #diskFreeBytes: number | undefined;
  #residentBytes = residentBytes();
  #loopLagMs: ProcessFigures['loopLagMs'] = { p50: 0, p99: 0, max: 0 };

  constructor(options: FiguresOptions) {
    this.#options = options;
  }

  start(): void {
    this.#delay.enable();
  }
  close(): void {
    this.#delay.disable();
  }

  /** Once a sample. */
  refresh(): void {
    this.#openFds = countOpenFds();
    this.#residentBytes = residentBytes();
    const { dataDir } = this.#options;
    if (dataDir !== undefined)
      statfs(dataDir).then(
        ({ bavail, bsize }) => {
          this.#diskFreeBytes = bavail * bsize;
        },
        () => {
          this.#diskFreeBytes = undefined; // the log will say what is wrong with it
        },
      );
    if (this.#delay.count === 0) return;
    const lagMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    this.#loopLagMs = { p50: lagMs(this.#delay.percentile(50)), p99: lagMs(this.#delay.percentile(99)), max: lagMs(this.#delay.max) };
    this.#delay.reset();
  }

  read(): ProcessFigures {
    const { user, system } = process.cpuUsage();
    return {
      residentBytes: this.#residentBytes,
      memoryLimitBytes: this.#options.memoryAlarmBytes,
      openFds: this.#openFds,
      maxFds: this.#maxFds,
      openSockets: this.#options.openSockets(),
      diskFreeBytes: this.#diskFreeBytes,
      uptimeMs: process.uptime() * 1000,
      cpuSeconds: (user + system) / 1e6,
      loopLagMs: this.#loopLagMs,
    };
  }
}

function countOpenFds(): number | undefined {
  try {
    return readdirSync(`${PROC}/fd`).length;
  } catch {
    return undefined; // not Linux
  }
}

function readMaxFds(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(`${PROC}/limits`, 'utf8'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined; // not Linux
  }
}
