// All slabs by number, and the memory they take. hot
// Always: (1) a number names one slab until its last message is settled; (2) `memoryBytes` is the size of all buffers that slabs hold;
// (3) a buffer goes back into use only when no write reads it.
// Refuses: to decide which slab leaves memory: the logs do.

import { invariant } from '../../shared/assert.ts';
import { Slab } from './log-file.ts';

const SPARE_BUFFERS_MAX = 8; // kept for reuse: a fresh buffer costs a page fault every 4 KiB

export class SlabTable {
  readonly slabBytes: number;
  memoryBytes = 0;
  /** Slabs that are in memory, oldest first. */
  readonly warm = new Set<Slab>();
  readonly #slabs: (Slab | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #spare: Buffer[] = [];

  constructor(slabBytes: number) {
    this.slabBytes = slabBytes;
  }

  /** A slab with a buffer of at least `bytes`. */
  open(bytes: number): Slab {
    const buffer = bytes > this.slabBytes ? Buffer.allocUnsafeSlow(bytes) : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.slabBytes));
    this.memoryBytes += buffer.length;
    const slab = this.#name(buffer);
    this.warm.add(slab);
    return slab;
  }

  /** A slab whose bytes are on disk. */
  openCold(): Slab {
    const slab = this.#name(undefined);
    slab.isOpen = false;
    return slab;
  }

  get(number: number): Slab {
    const slab = this.#slabs[number];
    invariant(slab !== undefined, 'a message lies in a slab that is there');
    return slab;
  }

  /** The bytes leave memory; the name stays. */
  dropBytes(slab: Slab): void {
    const { bytes } = slab;
    if (bytes === undefined) return;
    invariant(slab.writes === 0, 'no write reads a buffer that is given back');
    slab.bytes = undefined;
    this.warm.delete(slab);
    this.memoryBytes -= bytes.length;
    if (bytes.length === this.slabBytes && this.#spare.length < SPARE_BUFFERS_MAX) this.#spare.push(bytes);
  }

  /** The name is free again. */
  remove(slab: Slab): void {
    this.dropBytes(slab);
    slab.file?.slabs.delete(slab);
    this.#slabs[slab.number] = undefined;
    this.#freeNumbers.push(slab.number);
  }

  clear(): void {
    this.#slabs.length = 0;
    this.warm.clear();
    this.#spare.length = 0;
  }

  #name(bytes: Buffer | undefined): Slab {
    const number = this.#freeNumbers.pop() ?? this.#slabs.length;
    const slab = new Slab(number, bytes);
    this.#slabs[number] = slab;
    return slab;
  }
}
