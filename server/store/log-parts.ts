// Assembles the parts of a durable log from what recovery found.
// Always: (1) every start begins a new file, whose header is durable before anything else happens; (2) a part knows the others only through the
// callbacks it is given here.
// Refuses: to decide anything: `LogHooks` is the log itself.

import type { Clock, LogListener } from '../ports.ts';
import type { ColdFile } from './cold-reads.ts';
import { Committer } from './committer.ts';
import { type DirectoryLock, isDiskError } from './directory-lock.ts';
import { DiskSpace } from './disk-space.ts';
import type { Disk, DiskError } from './file.ts';
import type { Gathering } from './gathering.ts';
import { LogFile, Role } from './log-file.ts';
import { LogFiles } from './log-files.ts';
import { FILE_HEADER_BYTES, writeFileHeader } from './records.ts';
import { NO_FILE, type Recovery } from './recovery.ts';
import { Retirement } from './retirement.ts';
import type { SlabTable } from './slab-table.ts';
import type { StoreSizes } from './store-options.ts';
import { type Batch, WalWriter } from './wal-writer.ts';

const RESERVE_BYTES_MAX = 8 << 20;

export interface LogParts {
  readonly lock: DirectoryLock;
  readonly files: LogFiles;
  readonly writer: WalWriter;
  readonly committer: Committer;
  readonly space: DiskSpace;
  readonly retirement: Retirement;
  /** Messages of a queue before this seq may have been delivered before an unclean stop. */
  readonly redeliveredBelow: Map<number, number>;
  readonly listener: LogListener;
}

/** What the parts tell the log, and ask of it. */
export interface LogHooks {
  failed(error: DiskError): void;
  full(isOver: boolean): void;
  /** Work in the background found no room; it is tried again later. */
  short(): void;
  written(batch: Batch): void;
  gathered(gathering: Gathering, into: LogFile): void;
  forget(file: ColdFile): Promise<void>;
  damaged(path: string, position: number): void;
  facts(): { queueNumberMax: number; isDurable(queueNumber: number): boolean };
}

export interface PartsSource {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly sizes: StoreSizes;
  readonly slabs: SlabTable;
  readonly lock: DirectoryLock;
  readonly recovery: Recovery;
  /** Ids that files had which are gone. */
  readonly unused: readonly number[];
  readonly listener: LogListener;
}

export function assembleParts(source: PartsSource, hooks: LogHooks): LogParts {
  const { disk, directory, clock, sizes, recovery, lock, listener } = source;
  const ids = [...recovery.directories.keys()].map(({ id }) => id + 1);
  const nextId = Math.max(recovery.checkpoint.nextFileId, ...source.unused, ...ids);
  const files = new LogFiles(recovery.walFiles, recovery.segments, nextId, {
    disk,
    directory,
    fileBytes: sizes.walFileBytes,
    failed: hooks.failed,
    full: hooks.short,
  });
  const writer = new WalWriter(beginFile(files, recovery), recovery.lastLsn, recovery.lastRecordLsn, {
    slabs: source.slabs,
    batchBytesMax: sizes.batchBytesMax,
    nextFile: () => {
      try {
        const file = files.take();
        files.prepare();
        return file;
      } catch (error) {
        if (!isDiskError(error)) throw error;
        hooks.failed(error);
        return new LogFile(files.nextId++, NO_FILE, sizes.walFileBytes, Role.Wal); // nothing is written any more
      }
    },
  });
  const committer = new Committer({
    writer,
    clock,
    lazySyncMs: sizes.lazySyncMs,
    durable: (lsn) => listener.durable(lsn),
    failed: hooks.failed,
    full: hooks.full,
    written: hooks.written,
  });
  const space = new DiskSpace({
    disk,
    directory,
    clock,
    freeBytesMin: sizes.diskFreeBytesMin,
    reserveBytes: Math.min(RESERVE_BYTES_MAX, sizes.walFileBytes),
    changed: (reason) => listener.blocked(reason),
  });
  const redeliveredBelow = redeliveredBefore(recovery);
  const retirement = new Retirement(recovery.checkpoint, (files.wal[0] as LogFile).id, {
    disk,
    directory,
    files,
    walFilesMax: sizes.walFilesMax,
    fileBytes: sizes.walFileBytes,
    synced: () => new Promise((resolve, reject) => committer.whenSynced((error) => (error === null ? resolve() : reject(error)))),
    state: () => {
      const { queueNumberMax, isDurable } = hooks.facts();
      const below = [...redeliveredBelow].filter(([queueNumber]) => isDurable(queueNumber));
      const { lsn, lastRecordLsn: recordLsn, file } = writer;
      return { lsn, recordLsn, walTo: file.id, queueNumberMax, redeliveredBelow: below, definitions: listener.topology() };
    },
    gathered: hooks.gathered,
    forget: hooks.forget,
    damaged: hooks.damaged,
  });
  return { lock, files, writer, committer, space, retirement, redeliveredBelow, listener };
}

/** After an unclean stop, all that there is: the record that a queue has consumers may have been lost with the deliveries it stands for. */
function redeliveredBefore(recovery: Recovery): Map<number, number> {
  const below = new Map(recovery.checkpoint.redeliveredBelow);
  if (recovery.isClean) return below;
  for (const directory of recovery.directories.values())
    for (const { queueNumber } of directory.ranges()) below.set(queueNumber, recovery.replay.seqMax(queueNumber) + 1);
  return below;
}

/** That the log was opened again must be known, whatever comes. */
function beginFile(files: LogFiles, recovery: Recovery): LogFile {
  const last = recovery.walFiles[recovery.walFiles.length - 1];
  const file = files.take();
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  writeFileHeader(header, {
    fileId: file.id,
    previousId: last?.id ?? 0,
    previousLsn: recovery.lastRecordLsn,
    fileBytes: file.fileBytes,
  });
  file.file.writeNow(header, 0);
  file.file.syncNow();
  return file;
}
