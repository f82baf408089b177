// The only door to node:fs: what the store asks of a disk, and the disk of the machine.
// Always: (1) nothing is durable before a `sync` that began after it has succeeded: bytes by the file's, names (create, rename, remove) by the
// directory's; (2) `write` may write less than it was given and says how much; (3) calls that end in `Now` block and throw: for start and end
// alone, the others call back and never throw.
// Refuses: policy. Retrying, checking and giving up are decided by who calls. The fault-injecting twin of this file lives in test/support.

import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  renameSync,
  statfs,
  statfsSync,
  unlink,
  unlinkSync,
  writeSync,
  writev,
} from 'node:fs';

/** `error` has a Node error code (ENOSPC, EIO ...) in its `code`. */
export type DiskError = NodeJS.ErrnoException;
export type Done = (error: DiskError | null) => void;
export type DoneWith = (error: DiskError | null, bytes: number) => void;

/** An open file. */
export interface DiskFile {
  readonly path: string;
  /** Writes `pieces` one after the other from `position` on; answers how many bytes it wrote, which may be fewer than there are. */
  write(pieces: readonly Uint8Array[], position: number, done: DoneWith): void;
  /** Makes all writes that have been answered durable (fdatasync). */
  sync(done: Done): void;
  /** Fills `into` from `position` on; answers how many bytes there were. */
  read(into: Uint8Array, position: number, done: DoneWith): void;
  readNow(into: Uint8Array, position: number): number;
  writeNow(bytes: Uint8Array, position: number): void;
  syncNow(): void;
  truncateNow(bytes: number): void;
  sizeNow(): number;
  closeNow(): void;
}

/** An open directory: its `sync` makes created, renamed and removed names in it durable. */
export interface DiskDirectory {
  sync(done: Done): void;
  syncNow(): void;
  closeNow(): void;
}

export interface Disk {
  /** 'create' makes a new file and fails when there is one; 'change' reads and writes one that exists; 'read' only reads it. */
  openNow(path: string, how: 'create' | 'change' | 'read'): DiskFile;
  openDirectoryNow(path: string): DiskDirectory;
  /** Also its parents. Nothing when it exists. */
  makeDirectoryNow(path: string): void;
  existsNow(path: string): boolean;
  /** Names in a directory, sorted. */
  listNow(path: string): string[];
  /** Replaces what bears the new name. */
  renameNow(from: string, to: string): void;
  removeNow(path: string): void;
  /** The same without a pause: to free 64 MiB takes some 15 ms. */
  remove(path: string, done: Done): void;
  /** Bytes that an unprivileged process may still use on the file system of `path`. */
  freeBytesNow(path: string): number;
  freeBytes(path: string, done: DoneWith): void;
}

const FLAGS = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  change: constants.O_RDWR,
  read: constants.O_RDONLY,
} as const;
const MODE = 0o600; // messages are nobody else's business

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  write(pieces: readonly Uint8Array[], position: number, done: DoneWith): void {
    writev(this.#fd, pieces, position, done);
  }
  sync(done: Done): void {
    fdatasync(this.#fd, done);
  }
  read(into: Uint8Array, position: number, done: DoneWith): void {
    read(this.#fd, into, 0, into.length, position, done);
  }
  readNow(into: Uint8Array, position: number): number {
    let at = 0;
    while (at < into.length) {
      const count = readSync(this.#fd, into, at, into.length - at, position + at);
      if (count === 0) break;
      at += count;
    }
    return at;
  }
  writeNow(bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at, position + at);
  }
  syncNow(): void {
    fdatasyncSync(this.#fd);
  }
  truncateNow(bytes: number): void {
    ftruncateSync(this.#fd, bytes);
  }
  sizeNow(): number {
    return fstatSync(this.#fd).size;
  }
  closeNow(): void {
    closeSync(this.#fd);
  }
}

class NodeDirectory implements DiskDirectory {
  readonly #fd: number;
  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDONLY);
  }
  sync(done: Done): void {
    fsync(this.#fd, done);
  }
  syncNow(): void {
    fsyncSync(this.#fd);
  }
  closeNow(): void {
    closeSync(this.#fd);
  }
}

/** The machine's own disk. */
export class NodeDisk implements Disk {
  openNow(path: string, how: 'create' | 'change' | 'read'): DiskFile {
    return new NodeFile(path, openSync(path, FLAGS[how], MODE));
  }
  openDirectoryNow(path: string): DiskDirectory {
    return new NodeDirectory(path);
  }
  makeDirectoryNow(path: string): void {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  }
  existsNow(path: string): boolean {
    return existsSync(path);
  }
  listNow(path: string): string[] {
    return readdirSync(path).sort();
  }
  renameNow(from: string, to: string): void {
    renameSync(from, to);
  }
  removeNow(path: string): void {
    unlinkSync(path);
  }
  remove(path: string, done: Done): void {
    unlink(path, done);
  }
  freeBytesNow(path: string): number {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  }
  freeBytes(path: string, done: DoneWith): void {
    statfs(path, (error, stats) => (error === null ? done(null, stats.bavail * stats.bsize) : done(error, 0)));
  }
}
