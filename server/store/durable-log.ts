// The message log on disk: what the broker knows of the store, put together from its parts. hot
// Always: (1) one process per data directory; (2) `durable` is told only what an fdatasync has covered; (3) after a fault of the disk nothing
// is taken or confirmed any more; (4) what no durable queue holds, or is not persistent, never reaches the WAL.
// Refuses: to repair. Damage to synced data makes `open` throw, and a person decides.

import { invariant } from '../../shared/assert.ts';
import {
  type Append,
  type Definition,
  type LogListener,
  type Lsn,
  MessageFlag,
  type MessageLog,
  REFUSED,
  type ReadWaiter,
  type RecoverySink,
  type Settled,
  type View,
} from '../ports.ts';
import { type ColdFile, ColdReads } from './cold-reads.ts';
import { isDiskError } from './directory-lock.ts';
import type { DiskError } from './file.ts';
import type { Gathering } from './gathering.ts';
import type { LogFile, Slab } from './log-file.ts';
import { Role } from './log-file.ts';
import { assembleParts, type LogHooks, type LogParts } from './log-parts.ts';
import { handOver, openDirectory, unusable } from './opening.ts';
import { type Recovery, refuseDamage } from './recovery.ts';
import type { Retirement } from './retirement.ts';
import { SlabTable } from './slab-table.ts';
import { Spill } from './spill.ts';
import { type DurableLogOptions, defaultSizes, type StoreSizes } from './store-options.ts';
import { VolatileSlabs } from './volatile-slabs.ts';
import type { Batch } from './wal-writer.ts';

// A turn that brings more is not waited for: the disk writes its beginning while the rest is taken in.
const EARLY_BYTES = 256 << 10;
const COLD_SHARE = 4; // windows on disk bytes take a quarter of the cache

export class DurableLog implements MessageLog {
  readonly #options: DurableLogOptions;
  readonly #sizes: StoreSizes;
  readonly #slabs: SlabTable;
  readonly #volatile: VolatileSlabs;
  readonly #spill: Spill;
  readonly #cold: ColdReads;
  /** By queue number: 1 for durable queues. */
  #isDurable = new Uint8Array(256);
  #queueNumberMax = 0;
  #parts: LogParts | undefined;
  readonly #hooks: LogHooks = {
    failed: (error) => this.#fail(error),
    full: (isOver) => this.#full(isOver),
    short: () => this.#open.space.short(),
    written: (batch) => this.#written(batch),
    gathered: (gathering, into) => this.#gathered(gathering, into),
    forget: (file) => this.#cold.forget(file),
    damaged: (path, position) => this.#damaged(path, position),
    facts: () => ({
      queueNumberMax: this.#queueNumberMax,
      isDurable: (queueNumber) => this.#isDurable[queueNumber] === 1,
    }),
  };
  #isRetiring = false;
  #retryAtBytes = 0;
  #isSegmentDead = false;
  #hasFailed = false;
  #isClosed = false;

  constructor(options: DurableLogOptions) {
    this.#options = options;
    this.#sizes = { ...defaultSizes, ...options.sizes };
    this.#slabs = new SlabTable(this.#sizes.slabBytes);
    this.#volatile = new VolatileSlabs(this.#slabs);
    const { disk, directory } = options;
    const failed = (error: DiskError): void => this.#fail(error);
    const overwritten = (file: ColdFile, from: number, to: number): void => this.#cold.overwritten(file, from, to);
    this.#spill = new Spill({ disk, path: `${directory}/spill`, slabs: this.#slabs, failed, overwritten });
    this.#cold = new ColdReads({
      bytesMax: this.#sizes.cacheBytes / COLD_SHARE,
      failed,
      damaged: (path, position) => this.#damaged(path, position),
    });
  }

  get lastLsn(): Lsn {
    return this.#open.writer.lsn;
  }
  get durableLsn(): Lsn {
    return this.#open.committer.durableLsn;
  }
  get memoryBytes(): number {
    return this.#slabs.memoryBytes + this.#cold.memoryBytes + (this.#parts?.files.directoryBytes ?? 0);
  }
  /** Bytes that went into the WAL so far. */
  get writtenBytes(): number {
    return this.#open.committer.writtenBytes;
  }
  get segmentCount(): number {
    return this.#open.files.segments.size;
  }
  /** Background work is in flight. */
  get isRetiring(): boolean {
    return this.#isRetiring;
  }

  get #open(): LogParts {
    invariant(this.#parts !== undefined, 'a log is opened before it is used');
    return this.#parts;
  }

  open(sink: RecoverySink, listener: LogListener): void {
    const { disk, directory, notices, processes, clock } = this.#options;
    const startedAt = clock.now();
    const { lock, recovery, unused } = openDirectory(disk, directory, processes, notices, refuseDamage);
    try {
      const parts = assembleParts(
        { ...this.#options, sizes: this.#sizes, slabs: this.#slabs, lock, recovery, unused, listener },
        this.#hooks,
      );
      this.#parts = parts;
      this.#queueNumberMax = recovery.replay.queueNumberMax;
      for (const definition of recovery.replay.definitions) {
        this.#note(definition);
        sink.definition(definition);
      }
      const messages = handOver(recovery, this.#slabs, parts.redeliveredBelow, sink);
      const { replay, isClean } = recovery;
      sink.recovered({ isClean, queueNumberMax: replay.queueNumberMax, seqMax: (queueNumber) => replay.seqMax(queueNumber) });
      this.#tellRecovered(recovery, messages, clock.now() - startedAt);
      parts.files.prepare();
      parts.space.begin();
    } catch (error) {
      lock.release();
      throw isDiskError(error) ? unusable(directory, error) : error;
    }
  }

  // Messages.

  append(append: Append): Lsn {
    const { writer, committer } = this.#open;
    if (this.#hasFailed) return REFUSED;
    if (!this.#isStored(append)) {
      this.#volatile.append(append);
      return ++writer.lsn;
    }
    if (!this.#fits(append.end - append.start, append.count)) return REFUSED;
    const lsn = writer.publish(append);
    if (writer.openBytes >= EARLY_BYTES) committer.commitEarly();
    return lsn;
  }

  settle(queueNumber: number, seq: number, slab: number, length: number, _flags: number): void {
    const { writer } = this.#open;
    writer.lsn++;
    if (this.#giveUp(queueNumber, seq, this.#slabs.get(slab), length)) writer.settle(queueNumber, seq);
  }

  requeue(queueNumber: number, seq: number, slab: number, flags: number, deliveryCount: number): void {
    const { writer } = this.#open;
    writer.lsn++;
    const { file } = this.#slabs.get(slab);
    if (file === undefined) return;
    const count = Math.min(deliveryCount, DELIVERY_COUNT_MAX);
    file.change(queueNumber, seq, flags, count);
    if (this.#isDurable[queueNumber] === 1) writer.requeue(queueNumber, seq, flags, count);
  }

  move(queueNumber: number, seq: number, slab: number, length: number, _flags: number, append: Append): Lsn {
    const { writer } = this.#open;
    if (this.#hasFailed) return REFUSED;
    const source = this.#slabs.get(slab);
    const isSourceStored = source.file !== undefined && this.#isDurable[queueNumber] === 1;
    const isTargetStored = append.count > 0 && this.#isStored(append);
    if (isTargetStored && !this.#fits(append.end - append.start, append.count)) return REFUSED;
    if (isTargetStored && isSourceStored) writer.move(queueNumber, seq, append);
    else if (isTargetStored) writer.publish(append);
    else if (append.count > 0) this.#volatile.append(append);
    if (this.#giveUp(queueNumber, seq, source, length) && !isTargetStored) writer.settle(queueNumber, seq);
    return ++writer.lsn;
  }

  transact(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    const { writer } = this.#open;
    if (this.#hasFailed) return REFUSED;
    const stored = appends.filter((append) => append.count > 0 && this.#isStored(append));
    const given = settled.filter(({ queueNumber, slab }) => this.#isDurable[queueNumber] === 1 && this.#slabs.get(slab).file !== undefined);
    if (stored.length + given.length > 0) {
      if (writer.transactionBytes(stored, given) > this.#sizes.walFileBytes / 2) return REFUSED;
      writer.transaction(stored, given);
    }
    for (const append of appends) if (append.count > 0 && !stored.includes(append)) this.#volatile.append(append);
    for (const { queueNumber, seq, slab, length } of settled) this.#giveUp(queueNumber, seq, this.#slabs.get(slab), length);
    return ++writer.lsn;
  }

  define(definition: Definition): Lsn {
    this.#note(definition);
    return this.#hasFailed ? this.lastLsn : this.#open.writer.define(Buffer.from(JSON.stringify(definition)));
  }

  read(slab: number, offset: number, length: number, view: View, waiter: ReadWaiter): boolean {
    const held = this.#slabs.get(slab);
    if (held.bytes !== undefined) {
      view.bytes = held.bytes;
      view.start = offset;
      return true;
    }
    if (this.#hasFailed) return false;
    const source = held.file ?? this.#spill.cold;
    invariant(source !== undefined, 'a slab without bytes is on disk');
    return this.#cold.read(source, held.positionOf(offset), length, view, waiter);
  }

  commit(): void {
    const { committer, space, files } = this.#open;
    if (this.#hasFailed || this.#isClosed) return;
    this.#cold.endTurn();
    const slabBytesMax = this.#sizes.cacheBytes - files.directoryBytes;
    if (this.#slabs.memoryBytes > slabBytesMax) this.#cool(slabBytesMax);
    committer.commit();
    space.wrote(committer.writtenBytes);
    if (this.#isSegmentDead || this.#open.files.wal.length > this.#sizes.walFilesMax || this.#open.retirement.isFileNew) this.#retire();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { committer, retirement, files, space, lock } = this.#open;
    space.close();
    if (committer.isFull) this.#fail(diskFull()); // what waits is not written: nobody may take this for an orderly end
    const isClean = await this.#lastCheckpoint(retirement);
    await new Promise<void>((resolve) => committer.close(isClean, resolve));
    await retirement.close();
    await this.#cold.close();
    files.close();
    this.#spill.close();
    lock.release();
  }

  // Inside.

  /** False: the WAL has all the messages, but not that they may have been delivered before an unclean stop. */
  async #lastCheckpoint(retirement: Retirement): Promise<boolean> {
    if (this.#hasFailed) return false;
    try {
      await retirement.checkpoint();
      return true;
    } catch (error) {
      if (!isDiskError(error)) throw error;
      if (error.code !== 'ENOSPC') this.#fail(error);
      return false;
    }
  }

  #isStored(append: Append): boolean {
    if (!(append.flags & MessageFlag.Persistent)) return false;
    for (let i = 0; i < append.count; i++) if (this.#isDurable[append.queueNumbers[i] as number] === 1) return true;
    return false;
  }

  #fits(contentBytes: number, references: number): boolean {
    return contentBytes + references * 32 + 256 <= this.#sizes.walFileBytes / 2; // with every header there is
  }

  /** One reference less. True when the WAL has to know. */
  #giveUp(queueNumber: number, seq: number, slab: Slab, length: number): boolean {
    const { file } = slab;
    if (file === undefined) {
      if (this.#volatile.release(slab)) this.#spill.forget(slab);
      return false;
    }
    file.settle(queueNumber, seq, length);
    slab.live--;
    if (slab.live === 0) this.#dropIfDone(slab);
    if (file.refs === 0 && file.role !== Role.Wal) this.#isSegmentDead = true;
    return this.#isDurable[queueNumber] === 1;
  }

  /** A slab that nobody reads any more goes once it is on disk. */
  #dropIfDone(slab: Slab): void {
    if (slab.live === 0 && isOnDisk(slab)) this.#slabs.remove(slab);
  }

  #written(batch: Batch): void {
    for (const { slab, to } of batch.pieces) {
      batch.file.bytes = Math.max(batch.file.bytes, slab.filePosition + to);
      this.#dropIfDone(slab);
    }
  }

  /** Takes the oldest bytes out of memory: what is on disk goes, what is transient is spilled. */
  #cool(bytesMax: number): void {
    let oldestVolatile: Slab | undefined;
    for (const slab of this.#slabs.warm) {
      if (this.#slabs.memoryBytes <= bytesMax) return;
      if (slab.file !== undefined) {
        if (isOnDisk(slab)) this.#slabs.dropBytes(slab);
      } else if (oldestVolatile === undefined && !slab.isOpen && slab.writes === 0) oldestVolatile = slab;
    }
    if (oldestVolatile !== undefined && !this.#open.space.isFull) this.#spill.write(oldestVolatile);
  }

  /** Notes which queues are durable. */
  #note(definition: Definition): void {
    const number = definition['number'];
    if (typeof number !== 'number') return;
    this.#queueNumberMax = Math.max(this.#queueNumberMax, number);
    if (number >= this.#isDurable.length) {
      const larger = new Uint8Array(Math.max(number + 1, this.#isDurable.length * 2));
      larger.set(this.#isDurable);
      this.#isDurable = larger;
    }
    this.#isDurable[number] = definition.kind === 'queue' ? 1 : 0;
  }

  #retire(): void {
    const { retirement, committer } = this.#open;
    if (this.#isRetiring || this.#isClosed || committer.writtenBytes < this.#retryAtBytes) return;
    this.#isRetiring = true;
    this.#isSegmentDead = false;
    retirement.run().then(
      () => {
        this.#isRetiring = false;
        if (retirement.isDue && !this.#isClosed) this.#retire();
      },
      (error: DiskError) => {
        this.#isRetiring = false;
        if (this.#isClosed || this.#hasFailed) return;
        this.#isSegmentDead = true;
        this.#retryAtBytes = committer.writtenBytes + this.#sizes.slabBytes;
        if (error.code === 'ENOSPC') this.#open.space.short();
        else this.#fail(error);
      },
    );
  }

  /** Renames, in a way: the slabs of the sources keep their numbers, and show the new file. */
  #gathered(gathering: Gathering, into: LogFile): void {
    for (const source of gathering.sources) {
      for (const slab of [...source.slabs]) {
        if (slab.live === 0) {
          this.#slabs.remove(slab);
          continue;
        }
        this.#slabs.dropBytes(slab);
        slab.moved = gathering.movedOf(source, slab, this.#slabs.slabBytes);
        source.slabs.delete(slab);
        slab.file = into;
        into.slabs.add(slab);
      }
    }
  }

  #damaged(path: string, position: number): void {
    this.#fail(Object.assign(new Error(`${path} is damaged at offset ${position}`), { code: 'EDAMAGED', path }));
  }

  #fail(error: DiskError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const { listener, committer } = this.#open;
    const fromLsn = committer.durableLsn + 1;
    committer.giveUp(error);
    listener.unknown(fromLsn, error);
  }

  #full(isOver: boolean): void {
    if (this.#isClosed && !isOver) this.#fail(diskFull());
    else this.#open.space.full(isOver);
  }

  #tellRecovered(recovery: Recovery, messages: number, ms: number): void {
    if (recovery.lastRecordLsn === 0) return; // a new directory: there was nothing to recover
    this.#options.notices.notice({
      kind: 'recovered',
      severity: 'info',
      text: 'the log is open',
      fields: {
        messages,
        queues: recovery.replay.definitions.filter(({ kind }) => kind === 'queue').length,
        bytes: recovery.readBytes,
        ms,
        clean: recovery.isClean ? 'yes' : 'no',
      },
    });
  }
}

const DELIVERY_COUNT_MAX = 0xff_ffff;

function diskFull(): DiskError {
  return Object.assign(new Error('the disk is full'), { code: 'ENOSPC' });
}

function isOnDisk(slab: Slab): boolean {
  return !slab.isOpen && slab.writes === 0 && slab.written === slab.used;
}
