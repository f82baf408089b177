// The opening of a data directory: made when it is new, locked, recovered; and what recovery found, handed over in the order of each queue.
// Always: (1) `format` is written last when a directory is made: one without it is new or was left half made; (2) nothing is removed before all has
// been read and found whole; (3) a message's flags are what the log says, and `Redelivered` where it may have got out before an unclean stop.
// Refuses: directories of a newer format, or of something else.

import { MessageFlag, type Notices, type RecoverySink, Stored } from '../ports.ts';
import { checkpointPath, encodeCheckpoint } from './checkpoint.ts';
import { DirectoryLock, isDiskError } from './directory-lock.ts';
import type { Disk, DiskError } from './file.ts';
import { type LogFile, Role, type Slab } from './log-file.ts';
import { DirectoryEntry, type MessageDirectory } from './message-directory.ts';
import { FILE_HEADER_BYTES, FORMAT, writeFileHeader } from './records.ts';
import {
  DAMAGE_HINT,
  type Damage,
  FORMAT_FILE,
  filePath,
  META,
  NO_CHECKPOINT,
  newerFormat,
  Recoverer,
  type Recovery,
  SEGMENTS,
  WAL,
} from './recovery.ts';
import type { SlabTable } from './slab-table.ts';
import { StoreError } from './store-error.ts';
import type { Processes } from './store-options.ts';

const HALF_MADE_BYTES_MAX: ReadonlyMap<string, number> = new Map([
  [`${META}/00000001.json`, 1024],
  [`${WAL}/00000001`, FILE_HEADER_BYTES],
]);

export interface Opened {
  readonly lock: DirectoryLock;
  readonly recovery: Recovery;
  /** Ids of files that are gone. */
  readonly unused: readonly number[];
}

export function openDirectory(
  disk: Disk,
  directory: string,
  processes: Processes,
  notices: Notices,
  report: (damage: Damage) => void,
): Opened {
  try {
    makeDirectory(disk, directory);
    const lock = new DirectoryLock(disk, directory, processes);
    try {
      if (checkFormat(disk, directory))
        syncNow(disk, directory); // whoever made it may have failed at this very sync
      else make(disk, directory);
      const recovery = new Recoverer(disk, directory, notices, report).recover();
      disk.makeDirectoryNow(`${directory}/${SEGMENTS}`); // an empty one is what some backups leave out
      settle(disk, directory, recovery);
      return { lock, recovery, unused: sweep(disk, directory, recovery) };
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    if (error instanceof StoreError || !isDiskError(error)) throw error;
    throw unusable(directory, error);
  }
}

/** What a person reads when the disk refuses. */
export function unusable(directory: string, error: DiskError, hint = hintFor(error)): StoreError {
  const why: Readonly<Record<string, string>> = {
    EACCES: 'this user may not write there',
    EPERM: 'this user may not write there',
    EROFS: 'it is on a read-only file system',
    ENOTDIR: 'there is a file where a directory should be',
    EEXIST: 'there is a file where a directory should be',
    ENOENT: 'it cannot be made there',
    ENOSPC: 'the disk is full',
    EMFILE: 'this process may not open so many files (ulimit -n)',
  };
  const text = why[error.code ?? ''] ?? `the disk says ${error.code}`;
  const path = error.path ?? directory;
  return new StoreError('unusable', `the data directory ${directory} cannot be used: ${text}${path === directory ? '' : ` (${path})`}`, {
    path,
    hint,
  });
}

/** Another directory would be without what this one holds. */
function hintFor({ code }: DiskError): string {
  if (code === 'ENOSPC') return 'make room on that disk, and start again';
  if (code === 'EMFILE') return 'raise that limit, and start again';
  return 'choose another with --data-dir, or keep messages in memory alone with --memory';
}

/** False: the directory is still to be made. */
export function checkFormat(disk: Disk, directory: string): boolean {
  const path = `${directory}/${FORMAT_FILE}`;
  if (!disk.existsNow(path)) return false;
  const file = disk.openNow(path, 'read');
  const bytes = Buffer.alloc(64);
  const text = bytes.toString('latin1', 0, file.readNow(bytes, 0));
  file.closeNow();
  const format = /^leveret (\d+)\n$/.exec(text)?.[1];
  if (format === undefined)
    throw new StoreError('damaged', `${path}, offset 0: this is not Leveret's`, { path, offset: 0, hint: DAMAGE_HINT });
  if (Number(format) > FORMAT) throw newerFormat(path);
  return true;
}

/** Makes it, and the names of all that was made for it durable. */
function makeDirectory(disk: Disk, directory: string): void {
  const missing: string[] = [];
  for (let path = directory; path !== '' && path !== '.' && !disk.existsNow(path); path = parentOf(path)) missing.push(path);
  disk.makeDirectoryNow(directory);
  for (const path of missing) syncNow(disk, parentOf(path) || '/');
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at < 0 ? '.' : path.slice(0, at);
}

/** What may be in a directory that is still to be made: the lock, and what a file system puts at its root. */
const NO_DATA = /^(lock|lost\+found|format\.new|meta|wal|segments|reserve|spill)/;

/** A directory that an earlier attempt left half made holds the header of one file at most: all else is somebody's data. */
function make(disk: Disk, directory: string): void {
  const other = disk.listNow(directory).find((name) => !NO_DATA.test(name));
  if (other !== undefined) {
    const text = `${directory} is no data directory, and it is not empty: there is '${other}' in it`;
    throw new StoreError('unusable', text, {
      path: directory,
      hint: 'name an empty directory, or one that is not there yet, with --data-dir',
    });
  }
  const folders = [META, WAL, SEGMENTS].map((name) => `${directory}/${name}`);
  const left = folders.flatMap((folder) => (disk.existsNow(folder) ? disk.listNow(folder).map((name) => `${folder}/${name}`) : []));
  for (const path of left) checkHalfMade(disk, directory, path); // all of them, before the first goes
  for (const path of left) disk.removeNow(path);
  for (const folder of folders) disk.makeDirectoryNow(folder);
  const parent = parentOf(directory) || '/';
  if (disk.existsNow(parent)) syncNow(disk, parent); // whoever made the directory
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  writeFileHeader(header, { fileId: 1, previousId: 0, previousLsn: 0, fileBytes: FILE_HEADER_BYTES });
  writeNow(disk, filePath(directory, 1, Role.Wal), header);
  syncNow(disk, `${directory}/${WAL}`);
  writeNow(disk, checkpointPath(`${directory}/${META}`, 1), encodeCheckpoint({ ...NO_CHECKPOINT, number: 1, nextFileId: 2 }));
  syncNow(disk, `${directory}/${META}`);
  const aside = `${directory}/${FORMAT_FILE}.new`;
  if (disk.existsNow(aside)) disk.removeNow(aside);
  syncNow(disk, directory); // all that the next name stands for
  writeNow(disk, aside, Buffer.from(`leveret ${FORMAT}\n`));
  disk.renameNow(aside, `${directory}/${FORMAT_FILE}`);
  syncNow(disk, directory);
}

/** The very first file of each kind, as small as it is made: anything else is data. */
function checkHalfMade(disk: Disk, directory: string, path: string): void {
  const most = HALF_MADE_BYTES_MAX.get(path.slice(directory.length + 1));
  if (most !== undefined) {
    const file = disk.openNow(path, 'read');
    const bytes = file.sizeNow();
    file.closeNow();
    if (bytes <= most) return;
  }
  const text = `${path} holds data, but the file '${FORMAT_FILE}' beside its directory is missing`;
  throw new StoreError('damaged', text, { path, offset: 0, hint: DAMAGE_HINT });
}

function writeNow(disk: Disk, path: string, bytes: Buffer): void {
  const file = disk.openNow(path, 'create');
  file.writeNow(bytes, 0);
  file.syncNow();
  file.closeNow();
}

export function syncNow(disk: Disk, path: string): void {
  const directory = disk.openDirectoryNow(path);
  directory.syncNow();
  directory.closeNow();
}

/** A process that was killed leaves bytes and names that were read just now and are not on disk yet: the power may still fail. */
function settle(disk: Disk, directory: string, recovery: Recovery): void {
  if (!recovery.isClean) for (const file of recovery.walFiles.slice(-2)) writeAgain(file);
  for (const { file } of recovery.walFiles) file.syncNow();
  for (const name of [WAL, SEGMENTS, META]) syncNow(disk, `${directory}/${name}`);
}

/** After a sync that failed the kernel shows bytes that the disk never got, and calls them clean: a sync alone would not write them. */
function writeAgain({ file, used }: LogFile): void {
  const bytes = Buffer.allocUnsafeSlow(used);
  file.readNow(bytes, 0);
  file.writeNow(bytes, 0);
}

/** Removes what no checkpoint names: the rests of an interrupted retirement. */
function sweep(disk: Disk, directory: string, recovery: Recovery): number[] {
  const { checkpoint, walFiles } = recovery;
  const named = new Set([...walFiles.map(({ id }) => id), ...checkpoint.segments.map(({ id }) => id)]);
  const ids: number[] = [];
  const remove = (folder: string, name: string): void => {
    ids.push(Number.parseInt(name, 10) + 1 || 1);
    disk.removeNow(`${directory}/${folder}/${name}`);
  };
  for (const name of disk.listNow(`${directory}/${WAL}`)) if (!named.has(Number(name))) remove(WAL, name);
  const lists = new Set<string>();
  for (const { id, settled } of checkpoint.segments) {
    const text = String(id).padStart(8, '0');
    lists.add(text).add(`${text}.dir`).add(`${text}.${settled}.set`);
  }
  for (const name of disk.listNow(`${directory}/${SEGMENTS}`)) if (!lists.has(name)) remove(SEGMENTS, name);
  for (const name of disk.listNow(`${directory}/${META}`)) if (name.endsWith('.new')) disk.removeNow(`${directory}/${META}/${name}`);
  if (disk.existsNow(`${directory}/spill`)) disk.removeNow(`${directory}/spill`);
  return ids;
}

interface Range {
  readonly file: LogFile;
  readonly directory: MessageDirectory;
  readonly from: number;
  readonly to: number;
}

/** Gives every message that is alive to `sink`, each queue's by seq. Answers how many somebody took. */
export function handOver(recovery: Recovery, slabs: SlabTable, redeliveredBelow: ReadonlyMap<number, number>, sink: RecoverySink): number {
  const queues = new Map<number, Range[]>();
  const counted = new Map<LogFile, number>();
  for (const [file, directory] of recovery.directories) {
    for (const { queueNumber, from, to } of directory.ranges()) {
      const ranges = queues.get(queueNumber) ?? [];
      ranges.push({ file, directory, from, to });
      queues.set(queueNumber, ranges);
    }
    counted.set(file, 0);
  }
  const giver = new Giver(recovery, slabs, redeliveredBelow, sink);
  for (const ranges of queues.values()) {
    ranges.sort((a, b) => a.directory.seqOf(a.from) - b.directory.seqOf(b.from));
    const isInOrder = ranges.every((range, i) => {
      const before = ranges[i - 1];
      return before === undefined || before.directory.seqOf(before.to - 1) < range.directory.seqOf(range.from);
    });
    if (isInOrder) for (const { file, directory, from, to } of ranges) for (let i = from; i < to; i++) giver.give(file, directory, i);
    else for (const { range, index } of merged(ranges)) giver.give(range.file, range.directory, index);
  }
  return giver.count;
}

function merged(ranges: readonly Range[]): { range: Range; index: number }[] {
  const all: { range: Range; index: number; seq: number }[] = [];
  for (const range of ranges)
    for (let index = range.from; index < range.to; index++) all.push({ range, index, seq: range.directory.seqOf(index) });
  return all.sort((a, b) => a.seq - b.seq);
}

class Giver {
  count = 0;
  readonly #recovery: Recovery;
  readonly #slabs: SlabTable;
  readonly #redeliveredBelow: ReadonlyMap<number, number>;
  readonly #sink: RecoverySink;
  readonly #entry = new DirectoryEntry();
  readonly #stored = new Stored();
  readonly #coldSlabs = new Map<LogFile, (Slab | undefined)[]>();

  constructor(recovery: Recovery, slabs: SlabTable, redeliveredBelow: ReadonlyMap<number, number>, sink: RecoverySink) {
    this.#recovery = recovery;
    this.#slabs = slabs;
    this.#redeliveredBelow = redeliveredBelow;
    this.#sink = sink;
  }

  give(file: LogFile, directory: MessageDirectory, index: number): void {
    const entry = directory.fill(index, this.#entry);
    const { queueNumber, seq, length } = entry;
    const { settled } = this.#recovery.replay;
    file.refBytesEver += length;
    file.contentBytes = Math.min(file.used, file.contentBytes + length);
    if (file.settled.has(queueNumber, seq)) return;
    if (settled.has(queueNumber, seq)) {
      this.#forget(file, queueNumber, seq);
      return;
    }
    this.#applyChange(file, entry);
    const slab = this.#slabOf(file, entry.position);
    if (!this.#sink.message(queueNumber, this.#fill(entry, slab))) {
      this.#forget(file, queueNumber, seq);
      return;
    }
    slab.live++;
    file.refs++;
    file.refBytes += length;
    this.count++;
  }

  #forget(file: LogFile, queueNumber: number, seq: number): void {
    file.settled.add(queueNumber, seq);
    file.isSettledBehind = true;
  }

  #applyChange(file: LogFile, entry: DirectoryEntry): void {
    const { queueNumber, seq } = entry;
    const logged = this.#recovery.replay.settled.changeOf(queueNumber, seq);
    if (logged !== undefined) {
      file.settled.change(queueNumber, seq, logged.flags, logged.deliveryCount);
      file.isSettledBehind = true;
    }
    const change = logged ?? file.settled.changeOf(queueNumber, seq);
    if (change === undefined) return;
    entry.flags = change.flags;
    entry.deliveryCount = change.deliveryCount;
  }

  #fill(entry: DirectoryEntry, slab: Slab): Stored {
    const stored = this.#stored;
    stored.seq = entry.seq;
    stored.slab = slab.number;
    stored.offset = entry.position - slab.filePosition;
    stored.length = entry.length;
    stored.bodyBytes = entry.bodyBytes;
    stored.priority = entry.priority;
    stored.flags = entry.flags;
    stored.deliveryCount = entry.deliveryCount;
    stored.deadline = entry.deadline;
    if (entry.seq < (this.#redeliveredBelow.get(entry.queueNumber) ?? 0)) stored.flags |= MessageFlag.Redelivered;
    return stored;
  }

  /** A file that is not in memory has slabs of equal size. */
  #slabOf(file: LogFile, position: number): Slab {
    const { slabBytes } = this.#slabs;
    let slabs = this.#coldSlabs.get(file);
    if (slabs === undefined) {
      slabs = [];
      this.#coldSlabs.set(file, slabs);
    }
    const index = Math.floor(position / slabBytes);
    let slab = slabs[index];
    if (slab === undefined) {
      slab = this.#slabs.openCold();
      slab.file = file;
      slab.filePosition = index * slabBytes;
      file.slabs.add(slab);
      slabs[index] = slab;
    }
    return slab;
  }
}
