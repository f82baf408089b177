// The fault-injecting twin of server/store/file.ts: a disk in memory that forgets, tears, fails, fills up and lies, as its seed says.
// Always: (1) the same seed and the same calls give the same disk; (2) `powerLoss` and `kill` end this disk, whose calls throw or are never
// answered from then on, and give the one that the next process finds; both may be asked several times, for several outcomes;
// (3) sync of a directory makes names durable, sync of a file its bytes, and neither the other's.
// See sim-inode.ts for what is left of bytes, sim-tree.ts for names, sim-file.ts for open files, sim-machine.ts for faults and for stopping.

import type { Disk, DiskDirectory, DiskFile, Done, DoneWith } from '../../server/store/file.ts';
import { SimFile, SimOpenDirectory } from './sim-file.ts';
import { caught, failing, type Schedule, type SimFaults, SimMachine } from './sim-machine.ts';
import type { Random } from './sim-random.ts';
import { SimTree } from './sim-tree.ts';

export interface SimDiskOptions {
  /** In [0, 1). */
  readonly random: Random;
  readonly schedule: Schedule;
  readonly faults?: Partial<SimFaults>;
}

export class SimDisk implements Disk {
  readonly #options: SimDiskOptions;
  readonly #machine: SimMachine;
  #tree = new SimTree();

  constructor(options: SimDiskOptions) {
    this.#options = options;
    this.#machine = new SimMachine(options.random, options.schedule, options.faults ?? {});
  }

  /** May be changed at any time: how a test heals a disk. */
  get faults(): SimFaults {
    return this.#machine.faults;
  }
  /** Calls and answers so far. */
  get operations(): number {
    return this.#machine.operations;
  }
  get trace(): readonly string[] {
    return this.#machine.trace;
  }
  /** Stops the machine after operation number `operation`: that one still happens. */
  haltAfter(operation: number): void {
    this.#machine.haltAfter = operation;
    if (operation <= this.operations) this.#machine.isOff = true;
  }
  /** Tells of each operation when it has happened, before it is answered; the disk may be asked then what would be left of it. */
  onOperation(told: ((operation: number) => void) | undefined): void {
    this.#machine.onOperation = told;
  }
  get isOff(): boolean {
    return this.#machine.isOff;
  }
  get usedBytes(): number {
    let bytes = 0;
    for (const inode of this.#tree.files.values()) bytes += inode.usedBytes;
    return bytes;
  }

  /** Power fails. The disk that comes up again, with the same faults, or with what `changes` says otherwise. */
  powerLoss(changes: Partial<SimDiskOptions> = {}): SimDisk {
    this.#machine.isOff = true;
    return this.ifPowerFailed(changes);
  }
  /** The process dies, the machine does not: what was answered is there, but what was not synced still may be lost with the power. */
  kill(changes: Partial<SimDiskOptions> = {}): SimDisk {
    this.#machine.isOff = true;
    return this.ifKilled(changes);
  }
  /** What `powerLoss` would leave. This disk goes on; with a source of chance of its own in `changes`, as if nobody had asked. */
  ifPowerFailed(changes: Partial<SimDiskOptions> = {}): SimDisk {
    const after = this.#next(changes);
    const { random } = after.#options;
    after.#tree = this.#tree.afterPowerLoss(random, (inode) => inode.afterPowerLoss(random));
    return after;
  }
  /** What `kill` would leave. */
  ifKilled(changes: Partial<SimDiskOptions> = {}): SimDisk {
    const after = this.#next(changes);
    const { random } = after.#options;
    after.#tree = this.#tree.afterProcessDeath((inode) => inode.afterProcessDeath(random));
    return after;
  }
  /** The same disk again, to be treated otherwise. This one goes on. */
  copy(changes: Partial<SimDiskOptions> = {}): SimDisk {
    const copy = this.#next(changes);
    copy.#tree = this.#tree.afterProcessDeath((inode) => inode.copy());
    return copy;
  }

  /** Of every file, by path: for tests that look, and damage by hand. */
  contents(): Map<string, Uint8Array> {
    return new Map([...this.#tree.files].map(([path, inode]) => [path, inode.read(0, inode.size)]));
  }
  replace(path: string, bytes: Uint8Array): void {
    this.#tree.file(path, 'open').replace(bytes);
  }

  openNow(path: string, how: 'create' | 'change' | 'read'): DiskFile {
    const inode = this.#machine.now(`open-${how}`, path, 0, (failure) => {
      failing(failure, 'open', path);
      return how === 'create' ? this.#tree.create(path) : this.#tree.file(path, 'open');
    });
    return new SimFile(path, this.#machine, inode, how !== 'read', () => this.#freeBytes());
  }
  openDirectoryNow(path: string): DiskDirectory {
    const directory = this.#machine.now('open-directory', path, 0, (failure) => {
      failing(failure, 'open', path);
      return this.#tree.directory(path, 'open');
    });
    return new SimOpenDirectory(directory, this.#machine, this.#tree);
  }
  makeDirectoryNow(path: string): void {
    this.#simply('mkdir', path, () => this.#tree.makeDirectory(path));
  }
  existsNow(path: string): boolean {
    return !this.isOff && this.#tree.get(path) !== undefined;
  }
  listNow(path: string): string[] {
    return this.#simply('scandir', path, () => this.#tree.list(path));
  }
  renameNow(from: string, to: string): void {
    this.#machine.now('rename', `${from} -> ${to}`, 0, (failure) => {
      failing(failure, 'rename', from);
      this.#tree.rename(from, to);
    });
  }
  removeNow(path: string): void {
    this.#simply('unlink', path, () => this.#tree.remove(path));
  }
  remove(path: string, done: Done): void {
    const finish = (failure: string | undefined) =>
      caught(() => {
        failing(failure, 'unlink', path);
        this.#tree.remove(path);
      });
    this.#machine.later('unlink', path, 0, finish, ({ error }) => done(error));
  }
  freeBytesNow(path: string): number {
    return this.#simply('statfs', path, () => this.#freeBytes());
  }
  freeBytes(path: string, done: DoneWith): void {
    const finish = (failure: string | undefined) =>
      caught(() => {
        failing(failure, 'statfs', path);
        return this.#freeBytes();
      });
    this.#machine.later('statfs', path, 0, finish, (answer) => done(answer.error, answer.error === null ? answer.value : 0));
  }

  #simply<T>(call: string, path: string, act: () => T): T {
    return this.#machine.now(call, path, 0, (failure) => {
      failing(failure, call, path);
      return act();
    });
  }
  #freeBytes(): number {
    const { capacityBytes } = this.faults;
    return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, capacityBytes - this.usedBytes));
  }
  #next(changes: Partial<SimDiskOptions>): SimDisk {
    return new SimDisk({ ...this.#options, faults: { ...this.faults, fail: undefined }, ...changes });
  }
}
