// Transient messages that memory has no room for: whole slabs, in a file that every start begins anew.
// Always: (1) a slab keeps its bytes until they are written; (2) a place in the file is used again once its slab is gone; (3) nothing here is ever
// synced or read by recovery.
// Refuses: to be durable. RabbitMQ pages transient messages out the same way.

import type { ColdFile } from './cold-reads.ts';
import { isDiskError } from './directory-lock.ts';
import type { Disk, DiskError, DiskFile } from './file.ts';
import type { Slab } from './log-file.ts';
import type { SlabTable } from './slab-table.ts';

export interface SpillOptions {
  readonly disk: Disk;
  readonly path: string;
  readonly slabs: SlabTable;
  failed(error: DiskError): void;
  /** Other bytes stand at [from, to) of `file` now. */
  overwritten(file: ColdFile, from: number, to: number): void;
}

export class Spill {
  readonly #options: SpillOptions;
  readonly #freeSlots: number[] = [];
  readonly #slots = new Map<Slab, { slot: number; count: number }>();
  #slotCount = 0;
  #cold: { file: DiskFile; recordSeed: undefined; bytes: number } | undefined;
  #isWriting = false;
  #isClosed = false;

  constructor(options: SpillOptions) {
    this.#options = options;
  }

  get isWriting(): boolean {
    return this.#isWriting;
  }
  get cold(): ColdFile | undefined {
    return this.#cold;
  }

  /** Writes `slab` out, and then takes its bytes from memory. A full disk leaves it where it is. */
  write(slab: Slab): void {
    const { bytes } = slab;
    if (bytes === undefined || this.#isWriting) return;
    const { disk, path, slabs } = this.#options;
    try {
      this.#cold ??= { file: disk.openNow(path, 'create'), recordSeed: undefined, bytes: 0 };
    } catch (error) {
      if (!isDiskError(error)) throw error;
      if (error.code !== 'ENOSPC') this.#options.failed(error);
      return;
    }
    const count = Math.ceil(slab.used / slabs.slabBytes);
    const slot = count === 1 ? (this.#freeSlots.pop() ?? this.#slotCount++) : this.#slotCount;
    if (count > 1) this.#slotCount += count;
    this.#isWriting = true;
    slab.writes++;
    this.#writeFrom(slab, bytes, slot, count, 0);
  }

  /** `slab` is gone: its place is free. */
  forget(slab: Slab): void {
    const place = this.#slots.get(slab);
    if (place === undefined) return;
    this.#slots.delete(slab);
    for (let i = 0; i < place.count; i++) this.#freeSlots.push(place.slot + i);
  }

  close(): void {
    this.#isClosed = true;
    if (!this.#isWriting) this.#remove();
  }

  #remove(): void {
    if (this.#cold === undefined) return;
    this.#cold.file.closeNow();
    try {
      this.#options.disk.removeNow(this.#options.path);
    } catch (error) {
      if (!isDiskError(error)) throw error; // the next start removes it
    }
  }

  #writeFrom(slab: Slab, bytes: Buffer, slot: number, count: number, done: number): void {
    const { slabs, failed } = this.#options;
    const position = slot * slabs.slabBytes;
    this.#cold?.file.write([bytes.subarray(done, slab.used)], position + done, (error, written) => {
      if (this.#isClosed) {
        this.#remove();
        return;
      }
      if (error === null && written > 0 && done + written < slab.used) {
        this.#writeFrom(slab, bytes, slot, count, done + written);
        return;
      }
      const isWhole = error === null && written > 0;
      this.#isWriting = false;
      slab.writes--;
      this.#slots.set(slab, { slot, count });
      if (this.#cold !== undefined) {
        if (isWhole) this.#cold.bytes = Math.max(this.#cold.bytes, position + slab.used); // else the file may end before
        this.#options.overwritten(this.#cold, position, position + slab.used);
      }
      if (!isWhole || slab.live === 0) this.forget(slab);
      if (error !== null && error.code !== 'ENOSPC') failed(error);
      if (slab.live === 0) slabs.remove(slab);
      else if (isWhole) {
        slab.filePosition = position;
        slabs.dropBytes(slab);
      }
    });
  }
}
