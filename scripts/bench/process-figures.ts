// What the kernel and V8 say about a process and its disk: memory it holds, bytes that were written.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  if (process.platform === 'linux') {
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    if (found !== null) return Number(found[1]) * 1024;
  }
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1024;
}

/** After two collections: heap, and what lies outside of it (slabs, rings). */
export function usedBytes(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * Bytes that the device below `path` has written since it started, for everybody. 0 where the system does not tell. (What /proc says of one process is
 * no use: a write of 1 KiB to a page cache of large pages counts as a megabyte.)
 */
export function deviceBytes(path: string): number {
  if (process.platform !== 'linux') return 0;
  const { dev } = statSync(path);
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  const figures = `/sys/dev/block/${major}:${minor}/stat`;
  if (!existsSync(figures)) return 0; // a file system of several devices, or of none
  const sectors = Number(readFileSync(figures, 'utf8').trim().split(/\s+/)[6]);
  return sectors * 512;
}
