// What is in a data directory, and what of it does not check out: for fsck and repair, while no broker runs.
// Always: (1) the directory is locked while it is looked at; (2) recovery's own reading decides what is there; beside it the crc of every message that
// a queue still holds is checked, which a start leaves to the first delivery; (3) nothing but the lock is written.
// Refuses: to end at the first damage: all of it is listed, with file and offset.

import type { Definition, Notices } from '../ports.ts';
import { DirectoryLock, isDiskError } from './directory-lock.ts';
import type { Disk } from './file.ts';
import type { LogFile } from './log-file.ts';
import { DirectoryEntry } from './message-directory.ts';
import { checkFormat, unusable } from './opening.ts';
import { isRecordWhole, RECORD_HEADER_BYTES } from './records.ts';
import { DAMAGE_HINT, type Damage, FORMAT_FILE, filePath, META, Recoverer, type Recovery, SEGMENTS, WAL } from './recovery.ts';
import { StoreError } from './store-error.ts';
import type { Processes } from './store-options.ts';

export interface CheckedFile {
  readonly path: string;
  readonly role: 'wal' | 'kept' | 'gathered';
  readonly bytes: number;
  /** References of queues that are alive. */
  readonly messages: number;
}

export interface Check {
  readonly files: readonly CheckedFile[];
  readonly messages: number;
  readonly definitions: number;
  /** The log was closed in good order. */
  readonly isClean: boolean;
  readonly damages: readonly Damage[];
}

const ROLES = ['wal', 'kept', 'gathered'] as const;
const SILENT: Notices = { notice: () => undefined };

/** Does `action` while no other process has the directory. */
export function whileLocked<T>(disk: Disk, directory: string, processes: Processes, action: () => T): T {
  const lock = lockDirectory(disk, directory, processes);
  try {
    return action();
  } finally {
    lock.release();
  }
}

/** The lock of a data directory that is there and has a format this version reads. */
export function lockDirectory(disk: Disk, directory: string, processes: Processes): DirectoryLock {
  if (!disk.existsNow(directory))
    throw new StoreError('unusable', `there is no data directory ${directory}`, { path: directory, hint: 'name another with --data-dir' });
  const lock = lockOf(disk, directory, processes);
  try {
    if (checkFormat(disk, directory)) return lock;
    if (!hasFolders(disk, directory)) throw noDataDirectory(directory);
    const path = `${directory}/${FORMAT_FILE}`;
    throw new StoreError('damaged', `${path}, offset 0: the file is missing`, { path, offset: 0, hint: DAMAGE_HINT });
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The lock alone, for whoever looks at the format itself. */
export function lockOf(disk: Disk, directory: string, processes: Processes): DirectoryLock {
  try {
    return new DirectoryLock(disk, directory, processes);
  } catch (error) {
    if (!isDiskError(error)) throw error;
    throw unusable(
      directory,
      error,
      'a lock is written there while it is read: name another with --data-dir, or a copy that you may write',
    );
  }
}

/** Some of what a data directory is made of. */
export function hasFolders(disk: Disk, directory: string): boolean {
  return [META, WAL, SEGMENTS].some((name) => disk.existsNow(`${directory}/${name}`));
}

export function noDataDirectory(directory: string): StoreError {
  const text = `${directory} is no data directory: there is none of '${META}', '${WAL}' and '${SEGMENTS}' in it`;
  return new StoreError('unusable', text, { path: directory, hint: 'name another with --data-dir' });
}

/** Looks at all of a directory that is locked. */
export function checkDirectory(disk: Disk, directory: string): Check {
  const damages: Damage[] = [];
  const recovery = new Recoverer(disk, directory, SILENT, (damage) => void damages.push(damage)).recover();
  try {
    const queues = queueNames(recovery.replay.definitions);
    const files = [...recovery.directories.keys()].map((file) => checkFile(directory, recovery, file, queues, damages));
    return {
      files,
      messages: files.reduce((sum, { messages }) => sum + messages, 0),
      definitions: recovery.replay.definitions.length,
      isClean: recovery.isClean,
      damages,
    };
  } finally {
    for (const file of recovery.directories.keys()) file.file.closeNow();
  }
}

function checkFile(
  directory: string,
  recovery: Recovery,
  file: LogFile,
  queues: ReadonlyMap<number, string>,
  damages: Damage[],
): CheckedFile {
  const path = filePath(directory, file.id, file.role);
  const isMissing = file.file.path !== path;
  const bytes = readAll(file);
  let messages = 0;
  for (const entry of aliveEntries(recovery, file, queues)) {
    messages++;
    const at = entry.position - RECORD_HEADER_BYTES;
    if (!isMissing && !isRecordWhole(bytes, at, bytes.length, file.id))
      damages.push({ path, offset: at, text: `message ${entry.seq} of ${queueText(queues, entry.queueNumber)} is not whole` });
  }
  return { path, role: ROLES[file.role], bytes: bytes.length, messages };
}

export function readAll(file: LogFile): Buffer {
  const bytes = Buffer.allocUnsafeSlow(file.file.sizeNow());
  return bytes.subarray(0, file.file.readNow(bytes, 0));
}

/** What queues still hold of a file, with the changes that came after. The entry is reused. */
export function* aliveEntries(recovery: Recovery, file: LogFile, queues: ReadonlyMap<number, string>): Generator<DirectoryEntry> {
  const { settled } = recovery.replay;
  const directory = recovery.directories.get(file);
  const entry = new DirectoryEntry();
  for (let i = 0; i < (directory?.count ?? 0); i++) {
    directory?.fill(i, entry);
    const { queueNumber, seq } = entry;
    if (!queues.has(queueNumber) || file.settled.has(queueNumber, seq) || settled.has(queueNumber, seq)) continue;
    const change = settled.changeOf(queueNumber, seq) ?? file.settled.changeOf(queueNumber, seq);
    if (change !== undefined) {
      entry.flags = change.flags;
      entry.deliveryCount = change.deliveryCount;
    }
    yield entry;
  }
}

/** The queues that there are, by number. */
export function queueNames(definitions: readonly Definition[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const { kind, number, name } of definitions) {
    if (typeof number !== 'number') continue;
    if (kind === 'queue') names.set(number, String(name));
    else if (kind === 'queue.delete') names.delete(number);
  }
  return names;
}

export function queueText(queues: ReadonlyMap<number, string>, queueNumber: number): string {
  const name = queues.get(queueNumber);
  return name === undefined ? `queue number ${queueNumber}` : `queue '${name}'`;
}
