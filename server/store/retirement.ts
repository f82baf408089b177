// Keeps the WAL short: the oldest file goes. What it still holds stays on disk as a segment; then a checkpoint says so.
// Always: (1) first the state is frozen, then all that was appended until then is synced, then files are written, then the checkpoint, and only then
// does anything go: a crash in between leaves what was before; (2) a file with nothing alive is recycled unread; one that is half alive stays as it
// is; the survivors of a sparser one are gathered in a new segment, each queue's together, each message once; (3) what was settled while
// this went on is kept apart and counts for the new segment.
// Refuses: per-queue files (docs/decisions/0006): one sync serves all queues.

import type { Definition } from '../ports.ts';
import { makeFile, readFrom, syncAll, writeFile } from './background.ts';
import { type Checkpoint, checkpointNumbers, checkpointPath, encodeCheckpoint } from './checkpoint.ts';
import type { Disk, DiskDirectory } from './file.ts';
import { Gathering } from './gathering.ts';
import { LogFile, Role } from './log-file.ts';
import type { LogFiles } from './log-files.ts';
import { skim } from './log-window.ts';
import { DirectoryEntry, encodeSettled, MessageDirectory } from './message-directory.ts';
import { directoryPath, filePath, META, SEGMENTS, settledPath } from './recovery.ts';
import { Replay } from './replay.ts';
import { SettledSeqs } from './settled-seqs.ts';

const SMALL_SEGMENTS_MAX = 8; // then they become one
const SPARSE = 0.5; // of a segment alive: below, it is worth gathering
const SMALL = 0.125; // of a WAL file
const READ_BYTES = 1 << 20;
const CHECKPOINTS_KEPT = 2;

export interface RetirementOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly files: LogFiles;
  readonly walFilesMax: number;
  readonly fileBytes: number;
  /** Resolves when all that was appended until now is on disk. */
  synced(): Promise<void>;
  /** What a checkpoint holds beside the files. */
  state(): Pick<Checkpoint, 'lsn' | 'recordLsn' | 'walTo' | 'queueNumberMax' | 'redeliveredBelow'> & {
    readonly definitions: readonly Definition[];
  };
  /** The survivors of `sources` are in `into` now. */
  gathered(gathering: Gathering, into: LogFile): void;
  /** `file` is about to be closed: resolves when nothing reads it. */
  forget(file: LogFile): Promise<void>;
  damaged(path: string, position: number): void;
}

/** What a round does with the oldest WAL file and with sparse segments. */
interface Plan {
  readonly victim: LogFile | undefined;
  readonly isKept: boolean;
  readonly sources: readonly LogFile[];
}

export class Retirement {
  readonly #options: RetirementOptions;
  readonly #segmentsDirectory: DiskDirectory;
  readonly #metaDirectory: DiskDirectory;
  #checkpointNumber: number;
  #walFrom: number;
  /** The newest log file that a checkpoint names: a later one could go without anybody knowing. */
  #walTo: number;
  #round: Promise<void> | undefined;

  constructor(checkpoint: Pick<Checkpoint, 'number' | 'walTo'>, walFrom: number, options: RetirementOptions) {
    this.#options = options;
    this.#checkpointNumber = checkpoint.number;
    this.#walFrom = walFrom;
    this.#walTo = checkpoint.walTo;
    this.#segmentsDirectory = options.disk.openDirectoryNow(`${options.directory}/${SEGMENTS}`);
    this.#metaDirectory = options.disk.openDirectoryNow(`${options.directory}/${META}`);
  }

  get isRunning(): boolean {
    return this.#round !== undefined;
  }

  /** Whether there is something to do. */
  get isDue(): boolean {
    const { files, walFilesMax } = this.#options;
    if (files.wal.length > walFilesMax || this.isFileNew) return true;
    for (const segment of files.segments) if (segment.refs === 0) return true;
    return false;
  }

  /** No checkpoint names the newest log file yet. */
  get isFileNew(): boolean {
    return (this.#options.files.wal.at(-1)?.id ?? 0) > this.#walTo;
  }

  /** One round. Rejects with the disk's error; what was before is then still so. */
  run(): Promise<void> {
    this.#round ??= this.#runOnce().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async close(): Promise<void> {
    await this.#round?.catch(() => undefined); // its starter has heard of it
    this.#segmentsDirectory.closeNow();
    this.#metaDirectory.closeNow();
  }

  /** A checkpoint without a retirement: at a clean end. */
  async checkpoint(): Promise<void> {
    await this.#round?.catch(() => undefined);
    await this.#retire({ victim: undefined, isKept: false, sources: [] });
  }

  async #runOnce(): Promise<void> {
    const { files, walFilesMax, fileBytes } = this.#options;
    const victim = files.wal.length > walFilesMax ? files.wal[0] : undefined;
    const isKept = victim !== undefined && victim.aliveBytes >= fileBytes * SPARSE;
    const sparse = this.#sparse();
    const isGathered = victim !== undefined && !isKept && victim.refs > 0;
    await this.#retire({ victim, isKept, sources: isGathered ? [victim, ...sparse] : sparse });
  }

  /** Segments to gather: those that are mostly dead, and the small ones once there are many; at most half a file of survivors. */
  #sparse(): LogFile[] {
    const { files, fileBytes } = this.#options;
    const alive = [...files.segments].filter(({ refs }) => refs > 0);
    const small = alive.filter((segment) => segment.fileBytes < fileBytes * SMALL);
    const candidates = alive.filter((segment) => segment.aliveBytes < segment.fileBytes * SPARSE && segment.fileBytes >= fileBytes * SMALL);
    if (small.length >= SMALL_SEGMENTS_MAX) candidates.push(...small);
    const chosen: LogFile[] = [];
    let bytes = 0;
    for (const segment of candidates.sort((a, b) => a.aliveBytes - b.aliveBytes)) {
      bytes += segment.aliveBytes;
      if (bytes > fileBytes / 2) break;
      chosen.push(segment);
    }
    return chosen;
  }

  async #retire({ victim, isKept, sources }: Plan): Promise<void> {
    const { files, disk, directory } = this.#options;
    // Frozen, in one go.
    const frozen = new Map<LogFile, SettledSeqs>();
    const touched = isKept && victim !== undefined ? [victim, ...sources] : sources;
    for (const file of touched) {
      frozen.set(file, file.settled.clone());
      file.after = new SettledSeqs();
    }
    const dead = [...files.segments].filter((segment) => segment.refs === 0 && !sources.includes(segment));
    const behind = [...files.segments]
      .filter((segment) => segment.isSettledBehind && segment.refs > 0 && !sources.includes(segment))
      .map((segment) => ({ segment, bytes: encodeSettled(segment.settled, segment.id) }));
    for (const { segment } of behind) segment.isSettledBehind = false;
    const state = this.#options.state();
    try {
      await this.#options.synced();
      let into: LogFile | undefined;
      let gathering: Gathering | undefined;
      if (isKept && victim !== undefined) await this.#writeDirectory(victim, frozen.get(victim) ?? new SettledSeqs());
      if (sources.length > 0) {
        gathering = await this.#gather(sources, frozen);
        into = await this.#writeGathered(gathering);
      }
      for (const { segment, bytes } of behind) await writeFile(disk, settledPath(directory, segment.id, segment.settledVersion + 1), bytes);
      await syncAll(this.#segmentsDirectory);
      const gone = new Set<LogFile>([...dead, ...sources, ...(victim === undefined ? [] : [victim])]);
      const stale = behind.map(({ segment }) => ({ segment, version: segment.settledVersion }));
      for (const { segment } of behind) segment.settledVersion++;
      const segments = [...files.segments].filter((segment) => !gone.has(segment));
      if (isKept && victim !== undefined) {
        segments.push(victim);
        gone.delete(victim);
      }
      if (into !== undefined) segments.push(into);
      const walFrom = victim === undefined ? this.#walFrom : (files.wal[1] as LogFile).id;
      await this.#writeCheckpoint(state, segments, walFrom, isKept ? victim : undefined);
      this.#install({ victim, isKept, sources }, gathering, into, walFrom);
      await this.#discard(gone, stale);
    } catch (error) {
      for (const file of touched) {
        if (file.role === Role.Wal || files.segments.has(file)) file.after = undefined;
      }
      for (const { segment } of behind) segment.isSettledBehind = true;
      throw error;
    }
  }

  // Reading.

  /** What a source holds, less what was settled when it was frozen. */
  async #survivors(file: LogFile, settled: SettledSeqs): Promise<MessageDirectory> {
    const alive = new MessageDirectory();
    const add = (entry: DirectoryEntry): void => {
      if (settled.has(entry.queueNumber, entry.seq)) return;
      const change = settled.changeOf(entry.queueNumber, entry.seq);
      if (change !== undefined) {
        entry.flags = change.flags;
        entry.deliveryCount = change.deliveryCount;
      }
      alive.add(entry);
    };
    const all = file.directory ?? (file.role === Role.Wal ? undefined : await this.#readDirectory(file));
    if (all === undefined) await this.#skim(file, add);
    else if (settled.isEmpty) return all.sort();
    else {
      const entry = new DirectoryEntry();
      for (let i = 0; i < all.count; i++) add(all.fill(i, entry));
    }
    return alive.sort();
  }

  /** Shows each reference in the records of a WAL file. */
  #skim(file: LogFile, add: (entry: DirectoryEntry) => void): Promise<void> {
    const replay = new Replay([], Number.POSITIVE_INFINITY, 0);
    replay.directory = { add };
    return skim(
      file,
      (base, bytes, at, header) => {
        replay.base = base;
        replay.visit(bytes, at, header);
      },
      (path, position) => this.#damage(path, position),
    );
  }

  async #readDirectory(file: LogFile): Promise<MessageDirectory> {
    const { disk, directory } = this.#options;
    const path = directoryPath(directory, file.id);
    const opened = disk.openNow(path, 'read');
    try {
      const found = MessageDirectory.decode(await readFrom(opened, opened.sizeNow(), READ_BYTES), file.id);
      if (found === undefined) this.#damage(path, 0);
      return found ?? new MessageDirectory(0);
    } finally {
      opened.closeNow();
    }
  }

  async #gather(sources: readonly LogFile[], frozen: ReadonlyMap<LogFile, SettledSeqs>): Promise<Gathering> {
    const gathering = new Gathering(this.#options.files.nextId++, (path, position) => this.#damage(path, position));
    for (const source of sources) {
      await gathering.add(source, await this.#survivors(source, frozen.get(source) ?? new SettledSeqs()));
    }
    return gathering;
  }

  #damage(path: string, position: number): never {
    this.#options.damaged(path, position);
    throw new Error(`${path} is damaged at ${position}`);
  }

  // Writing.

  async #writeDirectory(victim: LogFile, settled: SettledSeqs): Promise<void> {
    const { disk, directory } = this.#options;
    const alive = await this.#survivors(victim, settled);
    await writeFile(disk, directoryPath(directory, victim.id), alive.encode(victim.id));
  }

  async #writeGathered(gathering: Gathering): Promise<LogFile> {
    const { disk, directory } = this.#options;
    const path = filePath(directory, gathering.id, Role.Gathered);
    const { bytes, list } = await makeFile(disk, path, (file) => gathering.write(file));
    await writeFile(disk, directoryPath(directory, gathering.id), list.encode(gathering.id));
    const into = new LogFile(gathering.id, disk.openNow(path, 'change'), bytes, Role.Gathered);
    into.used = bytes;
    return into;
  }

  async #writeCheckpoint(
    state: ReturnType<RetirementOptions['state']>,
    segments: readonly LogFile[],
    walFrom: number,
    kept: LogFile | undefined,
  ): Promise<void> {
    const { disk, directory, files } = this.#options;
    const number = this.#checkpointNumber + 1;
    const bytes = encodeCheckpoint({
      ...state,
      number,
      walFrom,
      nextFileId: files.nextId,
      segments: segments.map((segment) => ({
        id: segment.id,
        role: segment === kept ? Role.Kept : segment.role,
        settled: segment === kept ? 0 : segment.settledVersion,
      })),
    });
    const path = checkpointPath(`${directory}/${META}`, number);
    await writeFile(disk, `${path}.new`, bytes);
    disk.renameNow(`${path}.new`, path);
    await syncAll(this.#metaDirectory);
    this.#checkpointNumber = number;
    this.#walTo = state.walTo;
  }

  // The change itself: synchronous, after the checkpoint.

  #install({ victim, isKept, sources }: Plan, gathering: Gathering | undefined, into: LogFile | undefined, walFrom: number): void {
    const { files } = this.#options;
    this.#walFrom = walFrom;
    if (victim !== undefined) files.wal.shift();
    if (isKept && victim !== undefined) {
      victim.role = Role.Kept;
      victim.directory = undefined; // it is on disk now
      victim.settled = victim.after ?? new SettledSeqs();
      victim.isSettledBehind = !victim.settled.isEmpty;
      victim.after = undefined;
      files.segments.add(victim);
    }
    if (gathering === undefined || into === undefined) return;
    for (const source of sources) {
      if (source.after !== undefined) into.settled.addAll(source.after);
      into.refs += source.refs;
      into.refBytes += source.refBytes;
      source.after = undefined;
      files.segments.delete(source);
    }
    into.refBytesEver = Math.max(gathering.refBytes, into.refBytes);
    into.contentBytes = gathering.contentBytes;
    into.isSettledBehind = !into.settled.isEmpty;
    files.segments.add(into);
    this.#options.gathered(gathering, into);
  }

  async #discard(gone: ReadonlySet<LogFile>, stale: readonly { segment: LogFile; version: number }[]): Promise<void> {
    const { disk, directory, files } = this.#options;
    for (const file of gone) {
      files.segments.delete(file);
      await this.#options.forget(file);
      if (file.role !== Role.Wal) this.#removeList(file);
      await files.recycle(file);
    }
    for (const { segment, version } of stale) {
      const path = settledPath(directory, segment.id, version);
      if (version > 0 && disk.existsNow(path)) disk.removeNow(path);
    }
    const meta = `${directory}/${META}`;
    for (const number of checkpointNumbers(disk, meta).slice(CHECKPOINTS_KEPT)) disk.removeNow(checkpointPath(meta, number));
  }

  #removeList(file: LogFile): void {
    const { disk, directory } = this.#options;
    const list = directoryPath(directory, file.id);
    if (disk.existsNow(list)) disk.removeNow(list);
    const settled = settledPath(directory, file.id, file.settledVersion);
    if (file.settledVersion > 0 && disk.existsNow(settled)) disk.removeNow(settled);
  }
}
