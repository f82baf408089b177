// The log files of a data directory: those in the WAL, the segments, and one that is ready for when the newest is full.
// Always: (1) a file has its size from the start, and is named by its id before anything in it counts; (2) ids grow in the order of use;
// (3) a file that was used before is used again where one is at hand: its room on the disk is found already; (4) without one that is ready a new file
// is made at once, at the cost of a pause. A new file is sparse: to fill it first would write every byte of a growing backlog twice (measured: a
// third of all processor time, for syncs that are hardly faster).
// Refuses: to say which file may go (retirement.ts).

import { makeFile, removeFile, syncAll } from './background.ts';
import type { Disk, DiskDirectory, DiskError, DiskFile } from './file.ts';
import { LogFile, Role } from './log-file.ts';
import { filePath, WAL } from './recovery.ts';

interface Ready {
  readonly id: number;
  readonly file: DiskFile;
}

export interface LogFilesOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly fileBytes: number;
  failed(error: DiskError): void;
  full(): void;
}

export class LogFiles {
  /** Oldest first; the last is appended to. */
  readonly wal: LogFile[];
  readonly segments = new Set<LogFile>();
  nextId: number;
  readonly walDirectory: DiskDirectory;
  readonly #options: LogFilesOptions;
  #ready: Ready | undefined;
  #isPreparing = false;
  #isClosed = false;
  #lastTaken = 0;

  constructor(wal: LogFile[], segments: readonly LogFile[], nextId: number, options: LogFilesOptions) {
    this.wal = wal;
    for (const segment of segments) this.segments.add(segment);
    this.nextId = nextId;
    this.#options = options;
    this.walDirectory = options.disk.openDirectoryNow(`${options.directory}/${WAL}`);
  }

  /** What the directories of the WAL's files take in memory. */
  get directoryBytes(): number {
    let bytes = 0;
    for (const { directory } of this.wal) bytes += directory?.memoryBytes ?? 0;
    return bytes;
  }

  /** The next file of the WAL; its header is still to be written. */
  take(): LogFile {
    const { fileBytes } = this.#options;
    const ready = this.#ready ?? this.#makeNow();
    this.#ready = undefined;
    this.#lastTaken = ready.id;
    const logFile = new LogFile(ready.id, ready.file, fileBytes, Role.Wal);
    logFile.bytes = 0;
    logFile.list();
    this.wal.push(logFile);
    return logFile;
  }

  /** Sees to it that a file is ready. */
  prepare(): void {
    if (this.#ready !== undefined || this.#isPreparing || this.#isClosed) return;
    this.#isPreparing = true;
    this.#make().then(
      () => this.#prepared(),
      (error: DiskError) => this.#failed(error),
    );
  }

  /** `logFile` is done with: its file is used again, or removed. */
  async recycle(logFile: LogFile): Promise<void> {
    const { disk, directory, fileBytes } = this.#options;
    const { path } = logFile.file;
    const isUseful = logFile.role !== Role.Gathered && logFile.fileBytes === fileBytes;
    if (!isUseful || this.#ready !== undefined || this.#isPreparing || this.#isClosed) {
      logFile.file.closeNow();
      await removeFile(disk, path);
      return;
    }
    this.#isPreparing = true;
    logFile.file.closeNow();
    const id = this.nextId++;
    const name = filePath(directory, id, Role.Wal);
    disk.renameNow(path, name);
    this.#name({ id, file: disk.openNow(name, 'change') }).then(
      () => this.#prepared(),
      (error: DiskError) => this.#failed(error),
    );
  }

  close(): void {
    this.#isClosed = true;
    for (const logFile of [...this.wal, ...this.segments]) logFile.file.closeNow();
    this.#ready?.file.closeNow();
    if (!this.#isPreparing) this.walDirectory.closeNow();
  }

  #makeNow(): Ready {
    const { disk, directory, fileBytes } = this.#options;
    const id = this.nextId++;
    const file = disk.openNow(filePath(directory, id, Role.Wal), 'create');
    file.truncateNow(fileBytes);
    file.syncNow();
    this.walDirectory.syncNow();
    return { id, file };
  }

  async #make(): Promise<void> {
    const { disk, directory, fileBytes } = this.#options;
    const path = `${directory}/${WAL}/next`;
    await makeFile(disk, path, async (file) => file.truncateNow(fileBytes));
    if (this.#isClosed) return;
    const id = this.nextId++;
    const name = filePath(directory, id, Role.Wal);
    disk.renameNow(path, name);
    await this.#name({ id, file: disk.openNow(name, 'change') });
  }

  /** Makes the name durable; should a newer file have been begun meanwhile, under a name that is newer still. */
  async #name(ready: Ready): Promise<void> {
    const { disk, directory } = this.#options;
    let named = ready;
    for (;;) {
      await syncAll(this.walDirectory);
      if (this.#isClosed) {
        named.file.closeNow();
        return;
      }
      if (named.id > this.#lastTaken) break;
      named.file.closeNow();
      const id = this.nextId++;
      const name = filePath(directory, id, Role.Wal);
      disk.renameNow(named.file.path, name);
      named = { id, file: disk.openNow(name, 'change') };
    }
    this.#ready = named;
  }

  #prepared(): void {
    this.#isPreparing = false;
    if (this.#isClosed) this.walDirectory.closeNow();
  }

  #failed(error: DiskError): void {
    this.#prepared();
    if (this.#isClosed) return;
    if (error.code === 'ENOSPC') this.#options.full();
    else this.#options.failed(error);
  }
}
