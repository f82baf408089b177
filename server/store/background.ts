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

/** Reads from the start: at most `bytes`, fewer when the file ends before. */
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

/** Writes a whole new file, durable but for its name. */
export async function writeFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  if (disk.existsNow(path)) disk.removeNow(path); // of an attempt that failed
  const file = disk.openNow(path, 'create');
  try {
    await writeAll(file, bytes, 0);
    await syncAll(file);
  } finally {
    file.closeNow();
  }
}
