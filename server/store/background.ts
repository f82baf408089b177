// Disk work that nobody waits for on the hot path, as promises.
// Always: `writeAll` writes all or rejects. Refuses: to retry.

import type { Disk, DiskDirectory, DiskFile } from './file.ts';

export async function writeAll(file: DiskFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += await new Promise<number>((resolve, reject) => {
      file.write([bytes.subarray(done)], position + done, (error, written) => (error === null ? resolve(written) : reject(error)));
    });
  }
}

/** Reads from the start: at most `bytes`, fewer when the file ends before. For small files: log-window.ts reads log files. */
export async function readFrom(file: DiskFile, bytes: number, pieceBytes: number): Promise<Buffer> {
  const into = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  while (at < bytes) {
    const piece = into.subarray(at, Math.min(bytes, at + pieceBytes));
    const count = await new Promise<number>((resolve, reject) => {
      file.read(piece, at, (error, read) => (error === null ? resolve(read) : reject(error)));
    });
    if (count === 0) break;
    at += count;
  }
  return into.subarray(0, at);
}

export function syncAll(what: DiskFile | DiskDirectory): Promise<void> {
  return new Promise((resolve, reject) => {
    what.sync((error) => (error === null ? resolve() : reject(error)));
  });
}

export function removeFile(disk: Disk, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    disk.remove(path, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Writes a whole new file, durable but for its name. */
export function writeFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  return makeFile(disk, path, (file) => writeAll(file, bytes, 0));
}

/** The same for what `write` writes; answers what it answers. */
export async function makeFile<Result>(disk: Disk, path: string, write: (file: DiskFile) => Promise<Result>): Promise<Result> {
  if (disk.existsNow(path)) disk.removeNow(path); // of an attempt that failed
  const file = disk.openNow(path, 'create');
  try {
    const result = await write(file);
    await syncAll(file);
    return result;
  } finally {
    file.closeNow();
  }
}
