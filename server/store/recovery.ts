// What a data directory holds: the newest checkpoint, its segments, and the WAL files since.
// Always: (1) at the first bad record, what a batch header of the file or the header of the next file calls durable decides: nothing durable is
// missing: an unsynced tail, left out; else damage; (2) files that no checkpoint names are leftovers of an interrupted retirement, and of no account;
// (3) nothing is changed here.
// Refuses: to guess. Each damage goes to `report` with file and offset; starting a broker throws there, fsck goes on.

import type { Notices } from '../ports.ts';
import { type Checkpoint, checkpointNumbers, checkpointPath, decodeCheckpoint } from './checkpoint.ts';
import type { Disk, DiskFile } from './file.ts';
import { LogFile, Role } from './log-file.ts';
import { decodeSettled, MessageDirectory } from './message-directory.ts';
import { FILE_HEADER_BYTES, readFileHeader } from './records.ts';
import { Replay } from './replay.ts';
import { durableBehind, scanFile } from './scan.ts';
import { SettledSeqs } from './settled-seqs.ts';
import { StoreError } from './store-error.ts';

export const META = 'meta';
export const WAL = 'wal';
export const SEGMENTS = 'segments';
export const FORMAT_FILE = 'format';

export interface Damage {
  readonly path: string;
  readonly offset: number;
  readonly text: string;
}

export interface Recovery {
  readonly checkpoint: Checkpoint;
  /** Oldest first. */
  readonly walFiles: LogFile[];
  readonly segments: LogFile[];
  readonly directories: Map<LogFile, MessageDirectory>;
  readonly replay: Replay;
  /** Of the newest record, and of the newest operation that any file tells of. */
  readonly lastRecordLsn: number;
  readonly lastLsn: number;
  readonly isClean: boolean;
  /** Bytes that were read. */
  readonly readBytes: number;
  /** WAL files that hold nothing that counts. */
  readonly unused: string[];
}

/** Where the records of a WAL file end. */
interface End {
  readonly file: LogFile;
  readonly end: number;
  /** That was told already. */
  readonly isDamaged: boolean;
}

export function filePath(directory: string, id: number, role: Role): string {
  return `${directory}/${role === Role.Gathered ? SEGMENTS : WAL}/${fileName(id)}`;
}
export function directoryPath(directory: string, id: number): string {
  return `${directory}/${SEGMENTS}/${fileName(id)}.dir`;
}
export function settledPath(directory: string, id: number, version: number): string {
  return `${directory}/${SEGMENTS}/${fileName(id)}.${version}.set`;
}
function fileName(id: number): string {
  return String(id).padStart(8, '0');
}

export const DAMAGE_HINT =
  "restore the directory from a backup; or 'leveret repair' says what would be lost, and with --yes goes on without it";

/** Ends the start with the first damage. */
export function refuseDamage(damage: Damage): never {
  throw new StoreError('damaged', `${damage.path}, offset ${damage.offset}: ${damage.text}`, { ...damage, hint: DAMAGE_HINT });
}

export class Recoverer {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #notices: Notices;
  readonly #report: (damage: Damage) => void;
  #readBytes = 0;
  #totalBytes = 0;

  constructor(disk: Disk, directory: string, notices: Notices, report: (damage: Damage) => void) {
    this.#disk = disk;
    this.#directory = directory;
    this.#notices = notices;
    this.#report = report;
  }

  recover(): Recovery {
    for (const path of [META, WAL].map((name) => `${this.#directory}/${name}`))
      if (!this.#disk.existsNow(path)) this.#report({ path, offset: 0, text: 'the directory is missing' });
    const checkpoint = this.#readCheckpoint();
    const replay = new Replay(checkpoint.definitions, checkpoint.lsn, checkpoint.queueNumberMax);
    const directories = new Map<LogFile, MessageDirectory>();
    const walPath = `${this.#directory}/${WAL}`;
    const walNames = (this.#disk.existsNow(walPath) ? this.#disk.listNow(walPath) : []).filter((name) => /^\d{8}$/.test(name));
    const kept = new Set(checkpoint.segments.filter(({ role }) => role === Role.Kept).map(({ id }) => id));
    const walIds = walNames.map(Number).filter((id) => id >= checkpoint.walFrom && !kept.has(id));
    const unused = walNames.filter((name) => Number(name) < checkpoint.walFrom && !kept.has(Number(name)));
    this.#measure(walIds, checkpoint);
    const segments = checkpoint.segments.map(({ id, role, settled }) => this.#readSegment(id, role, settled, directories, replay));
    const wal = this.#readWal(walIds, checkpoint, directories, replay);
    return {
      checkpoint,
      ...wal,
      segments,
      directories,
      replay,
      readBytes: this.#readBytes,
      unused: [...unused, ...wal.unused],
    };
  }

  // The checkpoint.

  #readCheckpoint(): Checkpoint {
    const directory = `${this.#directory}/${META}`;
    const numbers = this.#disk.existsNow(directory) ? checkpointNumbers(this.#disk, directory) : [];
    const newest = numbers[0];
    if (newest === undefined) {
      this.#report({ path: directory, offset: 0, text: 'there is no checkpoint in it' });
      return NO_CHECKPOINT;
    }
    for (const number of numbers) {
      const path = checkpointPath(directory, number);
      const found = decodeCheckpoint(this.#readWhole(path));
      if (found === 'newer') throw newerFormat(path);
      if (found !== undefined && found.number === number) return found;
      this.#report({ path, offset: 0, text: 'the checkpoint is not whole' });
    }
    return NO_CHECKPOINT;
  }

  // Segments.

  #readSegment(id: number, role: Role, version: number, directories: Map<LogFile, MessageDirectory>, replay: Replay): LogFile {
    const path = filePath(this.#directory, id, role);
    const file = this.#open(path);
    const logFile = new LogFile(id, file, file.sizeNow(), role);
    logFile.used = logFile.fileBytes;
    const listPath = directoryPath(this.#directory, id);
    const directory = MessageDirectory.decode(this.#readWhole(listPath), id);
    if (directory === undefined) this.#report({ path: listPath, offset: 0, text: 'the directory of a segment is not whole' });
    for (const { queueNumber, to } of directory?.ranges() ?? []) replay.seen(queueNumber, directory?.seqOf(to - 1) ?? 0);
    if (version > 0) {
      const settledAt = settledPath(this.#directory, id, version);
      const settled = decodeSettled(this.#readWhole(settledAt), id);
      if (settled === undefined)
        this.#report({ path: settledAt, offset: 0, text: 'the list of settled messages of a segment is not whole' });
      logFile.settled = settled ?? new SettledSeqs();
      logFile.settledVersion = version;
    }
    directories.set(logFile, directory ?? new MessageDirectory(0));
    if (file !== NO_FILE) this.#checkSegmentHeader(logFile);
    return logFile;
  }

  #checkSegmentHeader(logFile: LogFile): void {
    const bytes = Buffer.alloc(FILE_HEADER_BYTES);
    logFile.file.readNow(bytes, 0);
    const header = readFileHeader(bytes);
    if (header === 'newer') throw newerFormat(logFile.file.path);
    if (typeof header === 'string' || header.fileId !== logFile.id)
      this.#report({ path: logFile.file.path, offset: 0, text: 'the header of a segment is not whole' });
    else if (header.fileBytes > logFile.fileBytes)
      this.#report({
        path: logFile.file.path,
        offset: logFile.fileBytes,
        text: `the file ends here, but had ${header.fileBytes} bytes`,
      });
  }

  // The WAL.

  #readWal(
    ids: readonly number[],
    checkpoint: Checkpoint,
    directories: Map<LogFile, MessageDirectory>,
    replay: Replay,
  ): { walFiles: LogFile[]; lastRecordLsn: number; lastLsn: number; isClean: boolean; unused: string[] } {
    const walFiles: LogFile[] = [];
    const unused: string[] = [];
    let lastLsn = 0;
    let last: End | undefined;
    for (const id of ids) {
      const path = filePath(this.#directory, id, Role.Wal);
      const file = this.#open(path);
      const bytes = this.#readFile(file);
      const header = readFileHeader(bytes);
      if (header === 'newer') throw newerFormat(path);
      if (header === 'blank' || (typeof header !== 'string' && header.fileId < id)) {
        file.closeNow(); // prepared, and never begun
        unused.push(path.slice(path.lastIndexOf('/') + 1));
        continue;
      }
      if (header === 'broken' || header.fileId !== id) {
        file.closeNow();
        // torn, like the first batch beside it, unless a later batch says that something in this file was durable
        if (durableBehind(bytes, FILE_HEADER_BYTES, id) > lastLsn)
          this.#report({ path, offset: 0, text: 'the header of a log file is not whole' });
        else unused.push(path.slice(path.lastIndexOf('/') + 1));
        continue;
      }
      this.#checkChain(path, header, last, lastLsn, checkpoint.walFrom);
      if (bytes.length < header.fileBytes)
        this.#report({ path, offset: bytes.length, text: `the file ends here, but had ${header.fileBytes} bytes` });
      const logFile = new LogFile(id, file, Math.max(bytes.length, FILE_HEADER_BYTES), Role.Wal);
      const directory = new MessageDirectory();
      replay.directory = directory;
      replay.isClosed = false; // a file that was begun after the log was closed says that it was opened again
      const scan = scanFile(bytes, id, Math.max(lastLsn, header.previousLsn), replay.visit);
      const isDamaged = scan.durableLsn > scan.lastLsn;
      if (isDamaged) this.#report({ path, offset: scan.end, text: `record ${scan.lastLsn + 1} or the next was durable and is not whole` });
      directories.set(logFile, directory.sort());
      logFile.used = scan.end;
      walFiles.push(logFile);
      lastLsn = scan.lastLsn;
      last = { file: logFile, end: scan.end, isDamaged };
    }
    if (walFiles.length === 0)
      this.#report({ path: filePath(this.#directory, checkpoint.walFrom, Role.Wal), offset: 0, text: 'the log file is missing' });
    else this.#checkEnd(last, lastLsn, checkpoint);
    return { walFiles, lastRecordLsn: lastLsn, lastLsn: Math.max(lastLsn, checkpoint.lsn), isClean: replay.isClosed, unused };
  }

  /** A file follows the one it names, and all that was in that one before it began is there. */
  #checkChain(
    path: string,
    header: { fileId: number; previousId: number; previousLsn: number },
    last: End | undefined,
    lastLsn: number,
    walFrom: number,
  ): void {
    if (last === undefined) {
      if (header.fileId !== walFrom)
        this.#report({
          path: filePath(this.#directory, walFrom, Role.Wal),
          offset: 0,
          text: 'the log file is missing, or its header is gone',
        });
      return;
    }
    if (header.previousId !== last.file.id)
      this.#report({
        path: filePath(this.#directory, header.previousId, Role.Wal),
        offset: 0,
        text: `the log file before ${path} is missing, or its header is gone`,
      });
    else if (header.previousLsn > lastLsn && !last.isDamaged)
      this.#report({
        path: last.file.file.path,
        offset: last.end,
        text: `record ${lastLsn + 1} or the next was durable and is not whole`,
      });
  }

  /** Nothing that the checkpoint knows of is behind the end. */
  #checkEnd(last: End | undefined, lastLsn: number, { walTo, recordLsn }: Checkpoint): void {
    if (last === undefined) return;
    if (last.file.id < walTo)
      this.#report({
        path: filePath(this.#directory, walTo, Role.Wal),
        offset: 0,
        text: 'the log file is missing, or its header is gone',
      });
    else if (lastLsn < recordLsn && !last.isDamaged)
      this.#report({
        path: last.file.file.path,
        offset: last.end,
        text: `record ${lastLsn + 1} or the next was durable and is not whole`,
      });
  }

  // Reading.

  #measure(walIds: readonly number[], checkpoint: Checkpoint): void {
    const paths = walIds.map((id) => filePath(this.#directory, id, Role.Wal));
    for (const { id } of checkpoint.segments) paths.push(directoryPath(this.#directory, id));
    for (const path of paths) {
      if (!this.#disk.existsNow(path)) continue;
      const file = this.#disk.openNow(path, 'read');
      this.#totalBytes += file.sizeNow();
      file.closeNow();
    }
  }

  #open(path: string): DiskFile {
    if (!this.#disk.existsNow(path)) {
      this.#report({ path, offset: 0, text: 'the file is missing' });
      return NO_FILE;
    }
    return this.#disk.openNow(path, 'change');
  }

  #readFile(file: DiskFile): Buffer {
    const bytes = Buffer.allocUnsafeSlow(file.sizeNow());
    const count = file.readNow(bytes, 0);
    this.#readBytes += count;
    this.#notices.notice({
      kind: 'recovery.progress',
      severity: 'info',
      text: 'reading the log',
      fields: { done: this.#readBytes, total: this.#totalBytes },
    });
    return bytes.subarray(0, count);
  }

  #readWhole(path: string): Buffer {
    if (!this.#disk.existsNow(path)) {
      this.#report({ path, offset: 0, text: 'the file is missing' });
      return Buffer.alloc(0);
    }
    const file = this.#disk.openNow(path, 'read');
    try {
      return this.#readFile(file);
    } finally {
      file.closeNow();
    }
  }
}

export function newerFormat(path: string): StoreError {
  return new StoreError('format', `${path} was written by a newer version of Leveret`, {
    path,
    hint: 'start that version, or a newer one, with this data directory',
  });
}

/** Before the first. */
export const NO_CHECKPOINT: Checkpoint = {
  number: 0,
  lsn: 0,
  recordLsn: 0,
  walFrom: 1,
  walTo: 0,
  nextFileId: 1,
  queueNumberMax: 0,
  segments: [],
  redeliveredBelow: [],
  definitions: [],
};

/** Stands in for a file that is missing when damage is only reported, or that could not be made. */
export const NO_FILE: DiskFile = {
  path: '(missing)',
  write: (_pieces, _position, done) => done(null, 0),
  sync: (done) => done(null),
  read: (_into, _position, done) => done(null, 0),
  readNow: () => 0,
  writeNow: () => undefined,
  syncNow: () => undefined,
  truncateNow: () => undefined,
  sizeNow: () => 0,
  closeNow: () => undefined,
};
