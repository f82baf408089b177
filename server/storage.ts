// The durable log of this machine: a data directory on its disk, locked for this process.
// Always: (1) what it keeps in memory for reading leaves room for the rest of the process, whatever is configured; (2) a directory that cannot
// be made is refused, not waited for.

import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from './config.ts';
import { memoryLimitBytes } from './memory-watch.ts';
import type { Clock, MessageLog, Notices } from './ports.ts';
import { SystemProcesses } from './processes.ts';
import { DurableLog } from './store/durable-log.ts';
import { NodeDisk } from './store/file.ts';
import { StoreError } from './store/store-error.ts';

// Of the memory that the process may use. The memory alarm rises at 60 %, and a cache does not shrink when publishers are held back.
const CACHE_SHARE = 1 / 8;
const DIRECTORY_MODE = 0o700; // messages are nobody else's business

export interface Surroundings {
  readonly clock: Clock;
  readonly notices: Notices;
}

/** Not opened yet: the broker does that. Throws a StoreError where there can be no such directory. */
export function durableLog(directory: string, { limits, store }: Config, { clock, notices }: Surroundings): MessageLog {
  makeDirectory(directory, directory);
  const cacheBytes = Math.min(store.cacheBytes, Math.floor(memoryLimitBytes() * CACHE_SHARE));
  return new DurableLog({
    disk: new NodeDisk(),
    directory,
    clock,
    notices,
    processes: new SystemProcesses(),
    sizes: { cacheBytes, diskFreeBytesMin: limits.diskFreeBytes },
  });
}

/**
 * One level after the other: Node's recursive mkdir tries for ever where a name cannot be made although its parent is there, as below a link
 * that leads nowhere (a volume that is not mounted). What else may be wrong with the directory the log finds out, and tells.
 */
function makeDirectory(path: string, directory: string): void {
  if (codeOf(() => mkdirSync(path, DIRECTORY_MODE)) !== 'ENOENT') return;
  const parent = dirname(path);
  if (codeOf(() => lstatSync(parent)) === 'ENOENT') {
    makeDirectory(parent, directory);
    if (codeOf(() => mkdirSync(path, DIRECTORY_MODE)) !== 'ENOENT') return;
  }
  throw new StoreError('unusable', `the data directory ${directory} cannot be used: it cannot be made there`, {
    path,
    hint: 'choose another with --data-dir, or keep messages in memory alone with --memory',
  });
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}
