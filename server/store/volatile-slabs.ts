// Messages that no restart has to bring back, in slabs of memory. hot
// Always: (1) a message's bytes stand once, however many queues hold it; (2) only the newest slab takes new messages; (3) a slab whose last
// message is settled is given up at once, the newest one begins again.
// Refuses: to move messages: one old message keeps its whole slab (1 MiB), the price of never copying. A durable log spills such slabs to disk.

import { invariant } from '../../shared/assert.ts';
import type { Append } from '../ports.ts';
import type { Slab } from './log-file.ts';
import type { SlabTable } from './slab-table.ts';

export class VolatileSlabs {
  readonly #slabs: SlabTable;
  #tail: Slab | undefined;

  constructor(slabs: SlabTable) {
    this.#slabs = slabs;
  }

  /** Copies the message in, and sets its place. */
  append(append: Append): void {
    const length = append.end - append.start;
    let slab = this.#tail;
    if (slab?.bytes === undefined || slab.used + length > slab.bytes.length) slab = this.#open(length);
    const at = slab.used;
    copy(append.bytes, append.start, append.end, slab.bytes as Buffer, at);
    slab.used = at + length;
    slab.live += append.count;
    append.place.slab = slab.number;
    append.place.offset = at;
    append.place.length = length;
  }

  /** A reference is given up. True when its slab went with it. */
  release(slab: Slab): boolean {
    invariant(slab.live > 0, 'a settled message lies in a live slab');
    if (--slab.live > 0) return false;
    if (slab === this.#tail && slab.bytes?.length === this.#slabs.slabBytes) {
      slab.used = 0;
      return false;
    }
    if (slab === this.#tail) this.#tail = undefined; // made for one large message
    if (slab.writes > 0) return false; // it is being spilled: who does that gives it up
    this.#slabs.remove(slab);
    return true;
  }

  #open(length: number): Slab {
    const old = this.#tail;
    if (old !== undefined) {
      old.isOpen = false;
      if (old.live === 0) this.#slabs.remove(old);
    }
    const slab = this.#slabs.open(length);
    this.#tail = slab;
    return slab;
  }
}

// Below about this many bytes a loop beats the call into the runtime (measured).
const LOOP_BYTES_MAX = 64;

function copy(from: Uint8Array, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > LOOP_BYTES_MAX) {
    to.set(start === 0 && end === from.length ? from : from.subarray(start, end), at);
    return;
  }
  for (let i = start, j = at; i < end; i++, j++) to[j] = from[i] as number;
}
