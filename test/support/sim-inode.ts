// The bytes of one simulated file: what readers see, what the medium holds, and the changes between the two.
// Always: (1) a change is unsynced until a sync that began after it has succeeded; (2) after a power loss each 512-byte sector is, independently
// of all others, one of the versions it has had since the last sync, or torn between two of them, and the size likewise; (3) a write in flight
// is on the medium wholly, partly or not.
// Refuses: names (sim-tree.ts), and when things happen (sim-disk.ts).

import { between, coin, type Random } from './sim-random.ts';

export const SECTOR_BYTES = 512;
/** What a file system hands out space in. */
const BLOCK_BYTES = 4096;

export interface Write {
  readonly position: number;
  readonly bytes: Uint8Array;
}
export type Change = Write | { readonly size: number };

/** A write that has not been answered: `pieces` are still its caller's. */
export interface InFlight {
  readonly position: number;
  readonly pieces: readonly Uint8Array[];
  readonly atStart: Uint8Array;
}

/** Bytes that grow; beyond what was written they are 0. */
class Bytes {
  #bytes = new Uint8Array(1024);
  size = 0;

  apply(change: Change): void {
    if ('size' in change) this.#resize(change.size);
    else {
      const end = change.position + change.bytes.length;
      if (end > this.size) this.#resize(end);
      this.#bytes.set(change.bytes, change.position);
    }
  }
  slice(start = 0, end = this.size): Uint8Array {
    return this.#bytes.slice(start, Math.min(end, this.size));
  }
  copy(): Bytes {
    const copy = new Bytes();
    copy.apply({ position: 0, bytes: this.slice() });
    return copy;
  }
  #resize(size: number): void {
    if (size < this.size) this.#bytes.fill(0, size, this.size);
    else if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.size = size;
  }
}

export class SimInode {
  #seen = new Bytes();
  #durable = new Bytes();
  #unsynced: Change[] = [];
  readonly inFlight = new Set<InFlight>();
  readonly #blocks = new Set<number>();

  get size(): number {
    return this.#seen.size;
  }
  get usedBytes(): number {
    return this.#blocks.size * BLOCK_BYTES;
  }
  /** What a sync that is asked for now covers. */
  get unsynced(): readonly Change[] {
    return this.#unsynced.slice();
  }
  read(start: number, end: number): Uint8Array {
    return this.#seen.slice(start, end);
  }

  /** The first `bytes` of a write of `length` bytes that fit in `freeBytes` more. */
  fitting(position: number, length: number, freeBytes: number): number {
    let left = freeBytes;
    for (let at = position; at < position + length; at += BLOCK_BYTES - (at % BLOCK_BYTES)) {
      if (this.#blocks.has(Math.floor(at / BLOCK_BYTES))) continue;
      if (left < BLOCK_BYTES) return at - position;
      left -= BLOCK_BYTES;
    }
    return length;
  }

  change(change: Change): void {
    this.#seen.apply(change);
    this.#unsynced.push(change);
    if ('size' in change) {
      for (const block of this.#blocks) if (block * BLOCK_BYTES >= change.size) this.#blocks.delete(block);
    } else {
      const end = change.position + change.bytes.length;
      for (let block = Math.floor(change.position / BLOCK_BYTES); block * BLOCK_BYTES < end; block++) this.#blocks.add(block);
    }
  }

  /** What a write puts into the file: as its caller's bytes were when it began, or, sector by sector, as they are now. */
  landing(write: InFlight, random: Random): Uint8Array {
    const landed = write.atStart.slice();
    const now = joined(write.pieces);
    for (let at = 0; at < landed.length; at += SECTOR_BYTES) {
      if (coin(random)) landed.set(now.subarray(at, at + SECTOR_BYTES), at);
    }
    return landed;
  }

  /** A sync of these changes has succeeded. `medium` may have its own idea of a change. */
  synced(changes: readonly Change[], medium: (change: Change) => Change | undefined): void {
    const covered = new Set(changes);
    for (const change of this.#unsynced) {
      const stored = covered.has(change) ? medium(change) : undefined;
      if (stored !== undefined) this.#durable.apply(stored);
    }
    this.#unsynced = this.#unsynced.filter((change) => !covered.has(change));
  }

  /** A sync of these changes has failed: some sectors made it, and the pages of all are clean now, so no later sync tries again. */
  abandoned(changes: readonly Change[], random: Random): void {
    const covered = new Set(changes);
    this.#durable = survivors(
      this.#durable,
      this.#unsynced.filter((change) => covered.has(change)),
      random,
    );
    this.#unsynced = this.#unsynced.filter((change) => !covered.has(change));
  }

  /** The same file after a power loss. */
  afterPowerLoss(random: Random): SimInode {
    const after = new SimInode();
    const inFlight: Change[] = [];
    for (const write of this.inFlight) {
      if (coin(random)) inFlight.splice(between(random, 0, inFlight.length), 0, this.#landed(write, random));
    }
    after.#durable = survivors(this.#durable, [...this.#unsynced, ...inFlight], random);
    after.#seen = after.#durable.copy();
    for (const block of this.#blocks) if (block * BLOCK_BYTES < after.size) after.#blocks.add(block);
    return after;
  }

  /** The same file after its process has died: nothing answered is lost, and nothing more is synced. */
  afterProcessDeath(random: Random): SimInode {
    const after = this.copy();
    for (const write of this.inFlight) {
      const { position, bytes } = this.#landed(write, random);
      const share = random();
      const length = share < 0.3 ? 0 : share < 0.6 ? bytes.length : between(random, 0, bytes.length);
      if (length > 0) after.change({ position, bytes: bytes.subarray(0, length) });
    }
    return after;
  }

  copy(): SimInode {
    const copy = new SimInode();
    copy.#seen = this.#seen.copy();
    copy.#durable = this.#durable.copy();
    copy.#unsynced = this.#unsynced.slice();
    for (const block of this.#blocks) copy.#blocks.add(block);
    return copy;
  }

  /** Other bytes, on the medium too: damage that a test does by hand. */
  replace(bytes: Uint8Array): void {
    this.#unsynced = [];
    for (const each of [this.#seen, this.#durable]) {
      each.apply({ size: 0 });
      each.apply({ position: 0, bytes });
    }
  }

  #landed(write: InFlight, random: Random): Write {
    return { position: write.position, bytes: this.landing(write, random) };
  }
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** What a power loss leaves of `changes` made to `base`. Often all or nothing: those are the ends that a rule of recovery tends to forget. */
function survivors(base: Bytes, changes: readonly Change[], random: Random): Bytes {
  const share = random();
  const after = base.copy();
  if (share < 0.2) return after;
  if (share < 0.4) {
    for (const change of changes) after.apply(change);
    return after;
  }
  const { size, floor, applied } = surviveSize(base.size, changes, random);
  for (const change of applied) if ('size' in change) after.apply(change);
  after.apply({ size });
  const sectors = new Set<number>();
  for (const change of applied) {
    if ('size' in change) continue;
    const end = Math.min(size, change.position + change.bytes.length);
    for (let at = Math.floor(change.position / SECTOR_BYTES); at * SECTOR_BYTES < end; at++) sectors.add(at);
  }
  for (const sector of sectors) after.apply(surviveSector(base, applied, floor, sector, random));
  after.apply({ size });
  return after;
}

/** The size is kept apart from the bytes: a file may have grown without them, by a part, or not. A cut is there or not, and if it is, for all. */
function surviveSize(before: number, changes: readonly Change[], random: Random): { size: number; floor: number; applied: Change[] } {
  let size = before;
  let floor = 0;
  const applied: Change[] = [];
  for (const change of changes) {
    if ('size' in change) {
      if (!coin(random)) continue;
      size = change.size;
      floor = applied.length + 1;
    } else {
      const end = change.position + change.bytes.length;
      if (end > size && coin(random)) size = coin(random) ? end : between(random, size, end);
    }
    applied.push(change);
  }
  return { size, floor, applied };
}

function surviveSector(base: Bytes, changes: readonly Change[], floor: number, sector: number, random: Random): Write {
  const start = sector * SECTOR_BYTES;
  const touching = changes.map((change, index) => ({ change, index })).filter(({ change }) => touches(change, start));
  const least = touching.filter(({ index }) => index < floor).length;
  const version = (): Uint8Array => {
    const bytes = new Uint8Array(SECTOR_BYTES);
    bytes.set(base.slice(start, start + SECTOR_BYTES));
    const count = between(random, least, touching.length);
    for (const { change } of touching.slice(0, count)) overlay(bytes, start, change);
    return bytes;
  };
  const bytes = version();
  if (random() < 0.125) {
    const tear = between(random, 0, SECTOR_BYTES);
    bytes.set(version().subarray(tear), tear);
  }
  return { position: start, bytes };
}

function touches(change: Change, start: number): boolean {
  if ('size' in change) return change.size < start + SECTOR_BYTES;
  return change.position < start + SECTOR_BYTES && change.position + change.bytes.length > start;
}

function overlay(sector: Uint8Array, start: number, change: Change): void {
  if ('size' in change) {
    sector.fill(0, Math.max(0, change.size - start));
    return;
  }
  const from = Math.max(0, start - change.position);
  const piece = change.bytes.subarray(from, start + SECTOR_BYTES - change.position);
  sector.set(piece, change.position + from - start);
}
