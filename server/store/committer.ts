// Group commit: one write and one sync in flight; what is appended meanwhile goes with the next. hot
// Always: (1) `durable` is reported only for what an fdatasync that began after the write has covered; (2) what nobody waits for is written with
// the rest, or alone at once, and synced within `lazySyncMs`; (3) an older file is synced before a newer one is written; (4) any error of a sync
// ends it for good: the kernel may have marked the pages clean, so a second sync would lie; (5) a full disk is no such error: the write is
// tried again at the same place.
// Refuses: to know records. RabbitMQ's classic queues confirm before the sync; this never does.

import type { Clock, Lsn, Timer } from '../ports.ts';
import type { DiskError } from './file.ts';
import type { LogFile } from './log-file.ts';
import { RecordType } from './records.ts';
import type { Batch, WalWriter } from './wal-writer.ts';

const IDLE_MS = 100; // after so much silence a mark tells recovery that the last batch was durable
const FULL_RETRY_MS = 1_000;

const State = { Idle: 0, Writing: 1, Syncing: 2, Full: 3, Failed: 4, Closed: 5 } as const;
type State = (typeof State)[keyof typeof State];

export interface CommitterOptions {
  readonly writer: WalWriter;
  readonly clock: Clock;
  readonly lazySyncMs: number;
  durable(lsn: Lsn): void;
  failed(error: DiskError): void;
  /** ENOSPC: make room if you can. `isOver`: the write has gone through. */
  full(isOver: boolean): void;
  /** It is on disk, though not durable yet. */
  written(batch: Batch): void;
}

export class Committer {
  /** Every operation up to here is safe. */
  durableLsn: Lsn;
  /** Bytes handed to the disk. */
  writtenBytes = 0;
  readonly #options: CommitterOptions;
  readonly #writer: WalWriter;
  #state: State = State.Idle;
  /** The disk owes an answer. */
  #isAsked = false;
  #syncedRecordLsn: Lsn;
  /** The last batch that is synced: its last operation. */
  #syncedLsn: Lsn;
  #unsynced: Batch | undefined;
  #isSyncDue = false;
  #isIdleMarked = true;
  #lazyTimer: Timer | undefined;
  #idleTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  #waiting: { lsn: Lsn; done: (error: DiskError | null) => void }[] = [];
  #closing: (() => void) | undefined;
  #failure: DiskError | undefined;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#writer = options.writer;
    this.durableLsn = this.#writer.lsn;
    this.#syncedLsn = this.#writer.lsn;
    this.#syncedRecordLsn = this.#writer.lastRecordLsn;
  }

  get hasFailed(): boolean {
    return this.#state === State.Failed;
  }
  get isFull(): boolean {
    return this.#state === State.Full;
  }

  /** Writes what there is, unless a write is in flight: then right after it. */
  commit(): void {
    if (this.#state === State.Idle) this.#pump();
    this.#report();
  }

  /** The same before the turn is over, when the disk has nothing to do. */
  commitEarly(): void {
    if (this.#state === State.Idle) this.#pump();
  }

  /** Calls `done` when everything up to now is synced, lazy or not, or never will be. */
  whenSynced(done: (error: DiskError | null) => void): void {
    if (this.#failure !== undefined) {
      done(this.#failure);
      return;
    }
    this.#waiting.push({ lsn: this.#writer.lsn, done });
    this.#isSyncDue = true;
    if (this.#state === State.Idle) this.#pump();
  }

  /** Nothing more will do, for a reason of somebody else's. */
  giveUp(error: DiskError): void {
    if (this.#state !== State.Failed && this.#state !== State.Closed) this.#fail(error);
  }

  /** Syncs everything, leaves the mark of a clean end where it is one, and stops. */
  close(isClean: boolean, done: () => void): void {
    this.#cancelTimers();
    this.#closing = done;
    if (this.#state === State.Failed || this.#state === State.Full) {
      if (!this.#isAsked) this.#end(done); // else its answer does: no file is closed under a call
      return;
    }
    this.whenSynced((error) => {
      if (error !== null) return; // #fail ends it
      if (!isClean) {
        this.#end(done);
        return;
      }
      this.#writer.mark(RecordType.Closed);
      this.whenSynced((late) => {
        if (late === null) this.#end(done);
      });
    });
  }

  #end(done: () => void): void {
    this.#closing = undefined;
    this.#cancelTimers();
    this.#state = State.Closed;
    const unsynced: DiskError = Object.assign(new Error('the log was closed before that was synced'), { code: 'ECANCELED' });
    for (const waiting of this.#waiting.splice(0)) waiting.done(this.#failure ?? unsynced);
    done();
  }

  #pump(): void {
    if (this.#state !== State.Idle) return;
    const batch = this.#writer.take(this.#syncedRecordLsn);
    if (batch === undefined) {
      if (this.#isSyncDue && this.#unsynced !== undefined) this.#sync(this.#unsynced);
      else if (this.#isSyncDue) {
        this.#isSyncDue = false;
        this.#syncedLsn = this.#writer.lsn; // nothing was logged since
        this.#wakeWaiting();
      }
      return;
    }
    const older = this.#unsynced;
    if (older !== undefined && older.file !== batch.file) this.#syncOlder(older.file, batch);
    else this.#write(batch);
  }

  #syncOlder(file: LogFile, batch: Batch): void {
    this.#state = State.Syncing;
    this.#isAsked = true;
    file.file.sync((error) => {
      if (this.#isOver()) return;
      if (error !== null) this.#fail(error);
      else this.#write(batch);
    });
  }

  #write(batch: Batch): void {
    this.#state = State.Writing;
    this.#writeFrom(batch, 0);
  }

  /** Writes what is left of `batch` when `done` bytes are written. */
  #writeFrom(batch: Batch, done: number): void {
    let skip = done;
    const buffers: Uint8Array[] = [];
    for (const { slab, from, to } of batch.pieces) {
      const length = to - from;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      if (slab.bytes !== undefined) buffers.push(slab.bytes.subarray(from + skip, to));
      skip = 0;
    }
    if (buffers.length === 0) {
      this.#written(batch);
      return;
    }
    this.#isAsked = true;
    batch.file.file.write(buffers, batch.position + done, (error, bytes) => {
      if (this.#isOver()) return;
      if (error !== null && error.code !== 'ENOSPC') this.#fail(error);
      else if (error !== null || bytes === 0) this.#waitForRoom(batch, done);
      else {
        if (this.#state === State.Full) {
          this.#state = State.Writing;
          this.#options.full(true);
        }
        this.writtenBytes += bytes;
        this.#writeFrom(batch, done + bytes);
      }
    });
  }

  /** Nothing is lost yet: the batch is in memory, and nobody was told that it is safe. */
  #waitForRoom(batch: Batch, done: number): void {
    const isFirst = this.#state !== State.Full;
    this.#state = State.Full;
    this.#options.full(false);
    if (this.#isOver()) return; // who is told of it may give up, and end it
    const { clock } = this.#options;
    if (isFirst) this.#writeFrom(batch, done);
    else this.#retryTimer = clock.setTimer(clock.now() + FULL_RETRY_MS, () => this.#writeFrom(batch, done));
  }

  #written(batch: Batch): void {
    for (const { slab, to } of batch.pieces) {
      slab.writes--;
      slab.written = Math.max(slab.written, to);
    }
    this.#options.written(batch);
    this.#unsynced = batch;
    this.#isIdleMarked = batch.isIdle;
    if (batch.needsSync || this.#isSyncDue) this.#sync(batch);
    else {
      this.#state = State.Idle;
      this.#armLazy();
      if (!this.#writer.isEmpty) this.#pump();
    }
  }

  #sync(batch: Batch): void {
    this.#state = State.Syncing;
    this.#isSyncDue = false;
    this.#lazyTimer?.cancel();
    this.#lazyTimer = undefined;
    this.#isAsked = true;
    batch.file.file.sync((error) => {
      if (this.#isOver()) return;
      if (error !== null) this.#fail(error);
      else this.#synced(batch);
    });
  }

  #synced(batch: Batch): void {
    this.#state = State.Idle;
    this.#unsynced = undefined;
    this.#syncedRecordLsn = batch.lastRecordLsn;
    this.#syncedLsn = Math.max(this.#syncedLsn, batch.lastLsn); // a batch that was sealed early may know of less
    this.#wakeWaiting();
    this.#report();
    if (!this.#writer.isEmpty || this.#isSyncDue) this.#pump();
    else if (this.#state === State.Idle) this.#armIdle();
  }

  /** What is not logged is as safe as what was logged before it. */
  #report(): void {
    if (this.#state === State.Failed || this.#state === State.Closed) return;
    const lsn = this.#writer.mustLsn <= this.#syncedLsn ? this.#writer.lsn : this.#syncedLsn;
    if (lsn <= this.durableLsn) return;
    this.durableLsn = lsn;
    this.#options.durable(lsn);
  }

  #wakeWaiting(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = waiting.filter(({ lsn }) => lsn > this.#syncedLsn);
    for (const { lsn, done } of waiting) if (lsn <= this.#syncedLsn) done(null);
    if (this.#waiting.length > 0) this.#isSyncDue = true;
  }

  #armLazy(): void {
    const { clock, lazySyncMs } = this.#options;
    this.#lazyTimer ??= clock.setTimer(clock.now() + lazySyncMs, () => {
      this.#lazyTimer = undefined;
      this.#isSyncDue = true;
      if (this.#state === State.Idle) this.#pump();
    });
  }

  #armIdle(): void {
    if (this.#isIdleMarked || this.#idleTimer !== undefined) return;
    const { clock } = this.#options;
    this.#idleTimer = clock.setTimer(clock.now() + IDLE_MS, () => {
      this.#idleTimer = undefined;
      if (this.#state !== State.Idle || !this.#writer.isEmpty || this.#unsynced !== undefined) return;
      this.#writer.mark(RecordType.Idle);
      this.#pump();
    });
  }

  #fail(error: DiskError): void {
    this.#cancelTimers();
    this.#state = State.Failed;
    this.#failure = error;
    this.#options.failed(error);
    for (const { done } of this.#waiting.splice(0)) done(error);
    if (this.#closing !== undefined && !this.#isAsked) this.#end(this.#closing);
  }

  /** The disk has answered. True: to nobody, for this had been given up meanwhile. */
  #isOver(): boolean {
    this.#isAsked = false;
    const isGivenUp = this.#state === State.Failed || this.#state === State.Full;
    if (isGivenUp && this.#closing !== undefined) this.#end(this.#closing);
    return this.#state === State.Failed || this.#state === State.Closed;
  }

  #cancelTimers(): void {
    this.#lazyTimer?.cancel();
    this.#idleTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#lazyTimer = this.#idleTimer = this.#retryTimer = undefined;
  }
}
