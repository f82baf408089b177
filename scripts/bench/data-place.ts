// Where the durable rows put their data: a directory of their own on a file system that a disk stands behind, gone after the row.
// Always: (1) never tmpfs or ramfs, where fdatasync costs nothing; (2) the directory is removed, also when the row fails; (3) what the
// file system is called can be said in the row's note.

import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const IN_MEMORY: readonly string[] = ['tmpfs', 'ramfs', 'devtmpfs'];
const UNKNOWN = 'an unknown file system';

export interface DataPlace {
  readonly directory: string;
  /** ext4, xfs, ... */
  readonly fileSystem: string;
}

/** The type of the file system that holds `path`, by the text of /proc/self/mounts. Of two mounts at one point the later one shows. */
export function fileSystemOf(mounts: string, path: string): string | undefined {
  let found: string | undefined;
  let longest = -1;
  for (const line of mounts.split('\n')) {
    const [, point, type] = line.split(' ');
    if (point === undefined || type === undefined) continue;
    const at = point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const isAbove = at === '/' || path === at || path.startsWith(`${at}/`);
    if (!isAbove || at.length < longest) continue;
    longest = at.length;
    found = type;
  }
  return found;
}

/** The first of `candidates` that no memory stands behind. Where mounts cannot be read, the first. */
export function choosePlace(mounts: string | undefined, candidates: readonly string[]): DataPlace {
  for (const directory of candidates) {
    const fileSystem = mounts === undefined ? UNKNOWN : (fileSystemOf(mounts, directory) ?? UNKNOWN);
    if (!IN_MEMORY.includes(fileSystem)) return { directory, fileSystem };
  }
  throw new Error(`no disk behind ${candidates.join(', ')}: set TMPDIR to a directory on one`);
}

/** Runs `work` with a fresh directory on a disk. */
export async function withDataPlace<Result>(work: (place: DataPlace) => Promise<Result>): Promise<Result> {
  const mounts = await readFile('/proc/self/mounts', 'utf8').catch(() => undefined);
  const root = fileURLToPath(new URL('../../', import.meta.url)); // scripts/dist/
  const candidates = await Promise.all([tmpdir(), '/var/tmp', root].map((path) => realpath(path).catch(() => undefined)));
  const { directory: parent, fileSystem } = choosePlace(
    mounts,
    candidates.filter((path) => path !== undefined),
  );
  const directory = await mkdtemp(join(parent, 'leveret-bench-'));
  try {
    return await work({ directory, fileSystem });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
