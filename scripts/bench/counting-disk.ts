// The machine's disk, with a count of all bytes that any file is given: batches of the log, and what prepares, gathers or describes its files.

import { type Disk, type DiskFile, type Done, type DoneWith, NodeDisk } from '../../server/store/file.ts';

export class CountingDisk extends NodeDisk {
  writtenBytes = 0;

  override openNow(path: string, how: Parameters<Disk['openNow']>[1]): DiskFile {
    return new CountingFile(super.openNow(path, how), this);
  }
}

class CountingFile implements DiskFile {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #disk: CountingDisk;

  constructor(file: DiskFile, disk: CountingDisk) {
    this.path = file.path;
    this.#file = file;
    this.#disk = disk;
  }

  write(pieces: readonly Uint8Array[], position: number, done: DoneWith): void {
    this.#file.write(pieces, position, (error, bytes) => {
      if (error === null) this.#disk.writtenBytes += bytes;
      done(error, bytes);
    });
  }
  writeNow(bytes: Uint8Array, position: number): void {
    this.#file.writeNow(bytes, position);
    this.#disk.writtenBytes += bytes.length;
  }
  sync(done: Done): void {
    this.#file.sync(done);
  }
  read(into: Uint8Array, position: number, done: DoneWith): void {
    this.#file.read(into, position, done);
  }
  readNow(into: Uint8Array, position: number): number {
    return this.#file.readNow(into, position);
  }
  syncNow(): void {
    this.#file.syncNow();
  }
  truncateNow(bytes: number): void {
    this.#file.truncateNow(bytes);
  }
  sizeNow(): number {
    return this.#file.sizeNow();
  }
  closeNow(): void {
    this.#file.closeNow();
  }
}
