// How much room the disk has: the alarm that holds publishers back, and the reserve that is given up when the disk is full all the same.
// Always: (1) the alarm rises below `freeBytesMin` and falls a quarter above it; (2) the reserve is given up once, so that settling and deleting
// still find room, and made again when there is room; (3) free space is asked every 16 MiB, and every second while the alarm stands.
// Refuses: to stop anything itself.

import type { Clock, Timer } from '../ports.ts';
import { writeFile } from './background.ts';
import { isDiskError } from './directory-lock.ts';
import type { Disk } from './file.ts';

const LOOK_BYTES = 16 << 20;
const LOOK_MS = 1_000;
const CLEARS_AT = 1.25; // of freeBytesMin: hysteresis, or the alarm would flutter

export interface DiskSpaceOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly freeBytesMin: number;
  readonly reserveBytes: number;
  /** undefined: the alarm is over. */
  changed(reason: string | undefined, freeBytes: number): void;
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions;
  #isBlocked = false;
  /** A write found no room, and has not gone through yet. */
  #isFull = false;
  #isLooking = false;
  #isMakingReserve = false;
  #isClosed = false;
  #lookedAtBytes = 0;
  #timer: Timer | undefined;

  constructor(options: DiskSpaceOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** At the start. */
  begin(): void {
    const { disk, directory } = this.#options;
    this.#judge(disk.freeBytesNow(directory));
    this.#makeReserve();
  }

  /** `writtenBytes` have been written so far. */
  wrote(writtenBytes: number): void {
    if (writtenBytes - this.#lookedAtBytes < LOOK_BYTES) return;
    this.#lookedAtBytes = writtenBytes;
    this.#look();
  }

  /** A write found the disk full, or (`isOver`) went through again. */
  full(isOver: boolean): void {
    this.#isFull = !isOver;
    if (isOver) this.#arm();
    else this.short();
  }

  /** There was no room for something that can wait. Publishers are held back until the disk says that there is room. */
  short(): void {
    if (!this.#isMakingReserve) this.#removeReserve();
    this.#block(0);
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  get #reservePath(): string {
    return `${this.#options.directory}/reserve`;
  }

  #look(): void {
    if (this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    this.#options.disk.freeBytes(this.#options.directory, (error, freeBytes) => {
      this.#isLooking = false;
      if (this.#isClosed) return;
      if (error === null) this.#judge(freeBytes);
      this.#arm();
    });
  }

  #judge(freeBytes: number): void {
    const { freeBytesMin } = this.#options;
    if (freeBytes < freeBytesMin) this.#block(freeBytes);
    else if (this.#isBlocked && !this.#isFull && freeBytes >= freeBytesMin * CLEARS_AT) {
      this.#isBlocked = false;
      this.#options.changed(undefined, freeBytes);
      this.#makeReserve();
    }
    this.#arm();
  }

  #block(freeBytes: number): void {
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#options.changed('low on disk', freeBytes);
  }

  #arm(): void {
    if (!this.#isBlocked || this.#timer !== undefined || this.#isClosed) return;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(clock.now() + LOOK_MS, () => {
      this.#timer = undefined;
      this.#look();
    });
  }

  #makeReserve(): void {
    const { disk, reserveBytes } = this.#options;
    if (this.#isBlocked || this.#isMakingReserve || this.#isClosed || disk.existsNow(this.#reservePath)) return;
    this.#isMakingReserve = true;
    writeFile(disk, this.#reservePath, Buffer.alloc(reserveBytes)).then(
      () => this.#reserveMade(),
      () => {
        // a disk without room for the reserve is about to raise the alarm
        this.#removeReserve();
        this.#reserveMade();
      },
    );
  }

  /** Where a disk fails even at this, its next write tells. */
  #removeReserve(): void {
    const { disk } = this.#options;
    try {
      if (disk.existsNow(this.#reservePath)) disk.removeNow(this.#reservePath);
    } catch (error) {
      if (!isDiskError(error)) throw error;
    }
  }

  #reserveMade(): void {
    this.#isMakingReserve = false;
    if (!this.#isClosed) this.#look();
  }
}
