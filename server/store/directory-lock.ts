// One process per data directory: the file `lock` names it.
// Always: (1) a lock whose process still runs is never taken; (2) one that was left behind is replaced, and who replaces it looks again whether it
// is the one; (3) `release` removes only its own.
// Refuses: to protect against a process on another machine that shares the directory: there is no telling whether that one runs.

import type { Disk, DiskError, DiskFile } from './file.ts';
import { StoreError } from './store-error.ts';
import type { Processes } from './store-options.ts';

export class DirectoryLock {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #self: string;

  /** Throws StoreError 'in-use'. */
  constructor(disk: Disk, directory: string, processes: Processes) {
    this.#disk = disk;
    this.#path = `${directory}/lock`;
    this.#self = processes.self;
    if (!this.#create()) {
      const owner = this.#read();
      if (processes.isAlive(owner)) throw this.#inUse(owner, directory);
      this.#replace(owner, directory);
    }
  }

  /** A disk that fails even at this leaves the lock of a process that has ended: the next one replaces it. */
  release(): void {
    try {
      if (this.#read() === this.#self) this.#disk.removeNow(this.#path);
    } catch (error) {
      if (!isDiskError(error)) throw error;
    }
  }

  /** False: there is one. */
  #create(): boolean {
    let file: DiskFile;
    try {
      file = this.#disk.openNow(this.#path, 'create');
    } catch (error) {
      if (isDiskError(error) && error.code === 'EEXIST') return false;
      throw error;
    }
    try {
      file.writeNow(Buffer.from(`${this.#self}\n`), 0);
    } catch (error) {
      this.#disk.removeNow(this.#path); // an empty lock names nobody
      throw error;
    } finally {
      file.closeNow();
    }
    return true;
  }

  #read(): string {
    if (!this.#disk.existsNow(this.#path)) return '';
    const file = this.#disk.openNow(this.#path, 'read');
    const bytes = Buffer.alloc(Math.min(1024, file.sizeNow()));
    const count = file.readNow(bytes, 0);
    file.closeNow();
    return bytes.toString('utf8', 0, count).trim();
  }

  /** Two that find the same left-behind lock both move it away; the second one moves the first one's, sees that, and gives way. */
  #replace(owner: string, directory: string): void {
    const aside = `${this.#path}.${this.#self.replace(/\W+/g, '-')}`;
    this.#disk.renameNow(this.#path, aside);
    const moved = this.#disk.openNow(aside, 'read');
    const bytes = Buffer.alloc(1024);
    const found = bytes.toString('utf8', 0, moved.readNow(bytes, 0)).trim();
    moved.closeNow();
    if (found !== owner) {
      this.#disk.renameNow(aside, this.#path);
      throw this.#inUse(found, directory);
    }
    this.#disk.removeNow(aside);
    if (!this.#create()) throw this.#inUse(this.#read(), directory);
  }

  #inUse(owner: string, directory: string): StoreError {
    const pid = owner.split(' ')[0] ?? owner;
    return new StoreError('in-use', `the data directory ${directory} is in use by process ${pid}`, {
      path: this.#path,
      hint: `stop that process first, or start with another --data-dir`,
    });
  }
}

export function isDiskError(error: unknown): error is DiskError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}
