// Why survivors of a WAL file go to one segment file and not to a file for each queue: both, bare, with the calls that a log would make.
// Always: (1) the same bytes, in the same order, read from the same 64 MiB file, half of which is alive; (2) durable at the end: data by fdatasync, new
// names by a sync of the directory; (3) the files of the queues exist and are open, which is the best they can hope for.

import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

const WAL_BYTES = 64 << 20;
const ALIVE_BYTES = WAL_BYTES / 2;
const WRITE_BYTES = 1 << 20;
const AT_ONCE = 4; // libuv's threads: more would only wait

/** Milliseconds of one file with one sync, and of a file with a sync for each of `queues`. */
export async function gatherSurvivors(directory: string, queues: number): Promise<number[]> {
  await mkdir(directory, { recursive: true });
  const survivors = Buffer.alloc(ALIVE_BYTES, 0x78);
  const perQueue = Math.floor(ALIVE_BYTES / queues);
  const files = await Promise.all(Array.from({ length: queues }, (_, i) => open(join(directory, `queue-${i}`), 'w')));
  await syncDirectory(directory);
  const printed = [await timed(() => writeOne(directory, survivors)), await timed(() => writeEach(files, survivors, perQueue))];
  await Promise.all(files.map((file) => file.close()));
  await rm(directory, { recursive: true, force: true });
  return printed;
}

async function writeOne(directory: string, survivors: Buffer): Promise<void> {
  const file = await open(join(directory, 'segment'), 'w');
  for (let at = 0; at < survivors.length; at += WRITE_BYTES) await file.write(survivors, at, WRITE_BYTES, at);
  await file.datasync();
  await file.close();
  await syncDirectory(directory);
}

async function writeEach(files: readonly FileHandle[], survivors: Buffer, bytes: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < files.length; i = next++) {
      await files[i]?.write(survivors, i * bytes, bytes, 0);
      await files[i]?.datasync();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  await directory.sync();
  await directory.close();
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
