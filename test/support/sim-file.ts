// Open files and directories of a simulated disk.
// Always: (1) calls of one file may be answered in any order; (2) a sync covers the writes that had been answered when it was called, no others;
// (3) what a write puts on the disk is its caller's bytes as they were when it began or, sector by sector, as they are when it ends: who changes
// them meanwhile sees both.
// Refuses: to be closed while a call is unanswered: a real descriptor would be somebody else's by then.

import type { DiskDirectory, DiskError, DiskFile, Done, DoneWith } from '../../server/store/file.ts';
import { type Change, type InFlight, joined, SECTOR_BYTES, type SimInode } from './sim-inode.ts';
import { caught, failing, type SimMachine } from './sim-machine.ts';
import { between, coin } from './sim-random.ts';
import { diskError, type SimTree } from './sim-tree.ts';

interface Answer {
  readonly error: DiskError | null;
  readonly bytes: number;
}
const MISDIRECTED_SECTORS_MAX = 8;

export class SimFile implements DiskFile {
  readonly path: string;
  readonly #machine: SimMachine;
  readonly #inode: SimInode;
  readonly #isWritable: boolean;
  readonly #freeBytes: () => number;
  #unanswered = 0;
  #isClosed = false;

  constructor(path: string, machine: SimMachine, inode: SimInode, isWritable: boolean, freeBytes: () => number) {
    this.path = path;
    this.#machine = machine;
    this.#inode = inode;
    this.#isWritable = isWritable;
    this.#freeBytes = freeBytes;
  }

  write(pieces: readonly Uint8Array[], position: number, done: DoneWith): void {
    const write: InFlight = { position, pieces: pieces.slice(), atStart: joined(pieces) };
    if (this.#isUsable) this.#inode.inFlight.add(write);
    const finish = (failure: string | undefined): Answer => {
      this.#inode.inFlight.delete(write);
      return this.#answer(() => this.#put(this.#inode.landing(write, this.#machine.random), position, failure));
    };
    this.#later('write', `${position}+${write.atStart.length}`, this.#machine.faults.writeError, finish, (answer) =>
      done(answer.error, answer.bytes),
    );
  }
  sync(done: Done): void {
    const covered = this.#inode.unsynced;
    const finish = (failure: string | undefined): Answer => this.#answer(() => this.#sync(covered, failure));
    this.#later('fdatasync', '', this.#machine.faults.syncError, finish, (answer) => done(answer.error));
  }
  read(into: Uint8Array, position: number, done: DoneWith): void {
    const finish = (failure: string | undefined): Answer => this.#answer(() => this.#get(into, position, failure));
    this.#later('read', `${position}+${into.length}`, this.#machine.faults.readError, finish, (answer) => done(answer.error, answer.bytes));
  }

  readNow(into: Uint8Array, position: number): number {
    return this.#now('readNow', `${position}+${into.length}`, this.#machine.faults.readError, (failure) =>
      this.#get(into, position, failure),
    );
  }
  writeNow(bytes: Uint8Array, position: number): void {
    this.#now('writeNow', `${position}+${bytes.length}`, this.#machine.faults.writeError, (failure) => {
      const written = this.#put(bytes.slice(), position, failure, false);
      if (written < bytes.length) throw diskError('ENOSPC', 'write', this.path);
    });
  }
  syncNow(): void {
    this.#now('syncNow', '', this.#machine.faults.syncError, (failure) => this.#sync(this.#inode.unsynced, failure));
  }
  truncateNow(bytes: number): void {
    this.#now('truncateNow', `${bytes}`, 0, (failure) => {
      failing(failure, 'ftruncate', this.path);
      if (!this.#isWritable) throw diskError('EINVAL', 'ftruncate', this.path);
      this.#inode.change({ size: bytes });
    });
  }
  sizeNow(): number {
    return this.#now('sizeNow', '', 0, (failure) => {
      failing(failure, 'fstat', this.path);
      return this.#inode.size;
    });
  }
  closeNow(): void {
    if (this.#machine.isOff) return;
    if (this.#isClosed) throw diskError('EBADF', 'close', this.path);
    if (this.#unanswered > 0) throw new Error(`${this.path} is closed with ${this.#unanswered} calls unanswered`);
    this.#isClosed = true;
  }

  get #isUsable(): boolean {
    return !this.#machine.isOff && !this.#isClosed;
  }

  #put(bytes: Uint8Array, position: number, failure: string | undefined, mayBeShort = true): number {
    const { random, faults } = this.#machine;
    if (!this.#isWritable) throw diskError('EBADF', 'write', this.path);
    const fits = this.#inode.fitting(position, bytes.length, this.#freeBytes());
    let length = fits;
    if (mayBeShort && length > 1 && this.#machine.happens(faults.shortWrite)) length = between(random, 1, length - 1);
    if (failure !== undefined) length = failure === 'EIO' && coin(random) ? between(random, 0, length) : 0;
    if (length > 0) this.#inode.change({ position, bytes: bytes.subarray(0, length) });
    if (failure !== undefined) throw diskError(failure, 'write', this.path);
    if (length === 0 && bytes.length > 0) throw diskError('ENOSPC', 'write', this.path);
    return length;
  }
  #get(into: Uint8Array, position: number, failure: string | undefined): number {
    failing(failure, 'read', this.path);
    const bytes = this.#inode.read(position, position + into.length);
    if (bytes.length > 0 && this.#machine.happens(this.#machine.faults.readBitFlip)) flipBit(bytes, this.#machine);
    into.set(bytes);
    return bytes.length;
  }
  #sync(covered: readonly Change[], failure: string | undefined): number {
    if (failure === undefined) this.#inode.synced(covered, (change) => this.#onMedium(change));
    else {
      this.#inode.abandoned(covered, this.#machine.random);
      throw diskError(failure, 'fdatasync', this.path);
    }
    return 0;
  }

  /** What the medium makes of a change: as a rule, just that. */
  #onMedium(change: Change): Change | undefined {
    const { faults, random } = this.#machine;
    if ('size' in change) return change;
    if (this.#machine.happens(faults.lostWrite)) return undefined;
    if (this.#machine.happens(faults.misdirectedWrite)) {
      const off = between(random, 1, MISDIRECTED_SECTORS_MAX) * SECTOR_BYTES;
      const isBefore = coin(random) && change.position >= off;
      return { position: change.position + (isBefore ? -off : off), bytes: change.bytes };
    }
    if (!this.#machine.happens(faults.bitFlip)) return change;
    const bytes = change.bytes.slice();
    flipBit(bytes, this.#machine);
    return { position: change.position, bytes };
  }

  #answer(act: () => number): Answer {
    const result = caught(() => {
      if (this.#isClosed) throw diskError('EBADF', 'use', this.path);
      return act();
    });
    return result.error === null ? { error: null, bytes: result.value } : { error: result.error, bytes: 0 };
  }
  #later(
    call: string,
    detail: string,
    share: number,
    finish: (failure: string | undefined) => Answer,
    done: (answer: Answer) => void,
  ): void {
    this.#unanswered++;
    const last = (answer: Answer): void => {
      this.#unanswered--;
      done(answer);
    };
    this.#machine.later(call, detail === '' ? this.path : `${this.path} ${detail}`, share, finish, last);
  }
  #now<T>(call: string, detail: string, share: number, act: (failure: string | undefined) => T): T {
    return this.#machine.now(call, detail === '' ? this.path : `${this.path} ${detail}`, share, (failure) => {
      if (this.#isClosed) throw diskError('EBADF', call, this.path);
      return act(failure);
    });
  }
}

function flipBit(bytes: Uint8Array, machine: SimMachine): void {
  const at = between(machine.random, 0, bytes.length - 1);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << between(machine.random, 0, 7));
}

export class SimOpenDirectory implements DiskDirectory {
  readonly #path: string;
  readonly #machine: SimMachine;
  readonly #tree: SimTree;
  #unanswered = 0;

  constructor(path: string, machine: SimMachine, tree: SimTree) {
    this.#path = path;
    this.#machine = machine;
    this.#tree = tree;
  }
  sync(done: Done): void {
    const covered = this.#tree.pendingIn(this.#path);
    const finish = (failure: string | undefined): DiskError | null =>
      caught(() => {
        failing(failure, 'fsync', this.#path);
        this.#tree.synced(this.#path, covered);
      }).error;
    this.#unanswered++;
    this.#machine.later('fsync', this.#path, this.#machine.faults.syncError, finish, (error) => {
      this.#unanswered--;
      done(error);
    });
  }
  syncNow(): void {
    this.#machine.now('syncNow', this.#path, this.#machine.faults.syncError, (failure) => {
      failing(failure, 'fsync', this.#path);
      this.#tree.synced(this.#path, this.#tree.pendingIn(this.#path));
    });
  }
  closeNow(): void {
    if (!this.#machine.isOff && this.#unanswered > 0) throw new Error(`${this.#path} is closed with a sync unanswered`);
  }
}
