// What a damaged data directory still holds, and exactly what of it is gone: read in full before anything is changed.
// Always: (1) nothing is written; (2) a message is told as kept, as lost for certain (a directory names it, its record is not whole), or lies in a stretch
// of the log that is told as lost; (3) a message counts once, also when an interrupted retirement left it in two files; (4) what no damage touches
// is left to the recovery rule: a tail that was never confirmed is no loss.
// Refuses: to guess at what a broken record held.

import type { Definition, Lsn, Notices } from '../ports.ts';
import { aliveEntries, queueNames, queueText, readAll } from './check.ts';
import type { Disk } from './file.ts';
import { LogFile, Role } from './log-file.ts';
import { DirectoryEntry, MessageDirectory } from './message-directory.ts';
import { FILE_HEADER_BYTES, isRecordWhole, RECORD_HEADER_BYTES, type RecordHeader, RecordType, readFileHeader } from './records.ts';
import { type Damage, filePath, META, Recoverer, type Recovery, SEGMENTS, WAL } from './recovery.ts';
import { Replay } from './replay.ts';
import { durableBehind, salvage } from './scan.ts';
import { SettledSeqs } from './settled-seqs.ts';

/** A stretch of the log that was durable and is gone. */
export interface LostStretch {
  readonly path: string;
  /** Bytes [from, to); undefined: to the end of the file. */
  readonly from: number;
  readonly to: number | undefined;
  /** It held records between these two; undefined where the log does not say. */
  readonly afterLsn: Lsn | undefined;
  readonly beforeLsn: Lsn | undefined;
}

export interface LostMessage {
  readonly queue: string;
  readonly seq: number;
  readonly path: string;
  readonly offset: number;
}

export interface Loss {
  readonly damages: readonly Damage[];
  readonly stretches: readonly LostStretch[];
  /** Lost for certain: their records are not whole. */
  readonly messages: readonly LostMessage[];
  /** What else follows, in words. */
  readonly remarks: readonly string[];
  /** References to messages that stay. */
  readonly kept: number;
}

/** A log file, with what of it is to stay. */
export interface Source {
  readonly file: LogFile;
  readonly alive: MessageDirectory;
  /** Undamaged segment: it stays where it is. What was settled in it is in `settled`. */
  readonly isLeft: boolean;
  readonly settled: SettledSeqs;
}

export interface DefinitionRecord {
  readonly lsn: Lsn;
  readonly json: Buffer;
}

export interface Plan {
  readonly loss: Loss;
  readonly recovery: Recovery;
  readonly replay: Replay;
  readonly sources: readonly Source[];
  /** Since the checkpoint. */
  readonly definitions: readonly DefinitionRecord[];
  readonly lastLsn: Lsn;
  readonly filesMax: number;
}

const SILENT: Notices = { notice: () => undefined };

/** Of a locked directory. The files of `recovery` and `sources` are open: `closePlan`. */
export function planRepair(disk: Disk, directory: string, formatDamage: readonly Damage[]): Plan {
  const damages: Damage[] = [...formatDamage];
  const recovery = new Recoverer(disk, directory, SILENT, (damage) => void damages.push(damage)).recover();
  return new Planner(disk, directory, recovery, damages).plan();
}

export function closePlan({ recovery, sources }: Plan): void {
  const files = new Set([...recovery.directories.keys(), ...sources.map(({ file }) => file)]);
  for (const { file } of files) file.closeNow();
}

class Planner {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #recovery: Recovery;
  readonly #damages: Damage[];
  readonly #replay: Replay;
  readonly #stretches: LostStretch[] = [];
  readonly #messages: (LostMessage & { readonly queueNumber: number })[] = [];
  readonly #remarks: string[] = [];
  readonly #definitions: DefinitionRecord[] = [];
  /** What one file or another has already. */
  readonly #taken = new SettledSeqs();
  #lastLsn: Lsn;
  #kept = 0;

  constructor(disk: Disk, directory: string, recovery: Recovery, damages: Damage[]) {
    this.#disk = disk;
    this.#directory = directory;
    this.#recovery = recovery;
    this.#damages = damages;
    const { checkpoint } = recovery;
    this.#replay = new Replay(checkpoint.definitions, checkpoint.lsn, checkpoint.queueNumberMax);
    this.#lastLsn = Math.max(checkpoint.lsn, checkpoint.recordLsn);
  }

  plan(): Plan {
    const { segments } = this.#recovery;
    const wal = this.#readWal();
    const strays = this.#isCheckpointDoubtful ? this.#strays() : [];
    if (strays.length > 0)
      this.#remarks.push('segments that no whole checkpoint names were read too: what was settled in them may come again');
    for (const { file, list } of [...wal, ...strays]) this.#recovery.directories.set(file, list);
    for (const segment of segments) this.#see(segment);
    const queues = queueNames(this.#replay.definitions);
    const sources = [
      ...segments.map((segment) => this.#segment(segment, queues)),
      ...strays.map(({ file }) => this.#salvaged(file, queues)),
      ...wal.map(({ file }) => this.#salvaged(file, queues)),
    ];
    this.#remark();
    return {
      loss: {
        damages: this.#damages,
        stretches: this.#stretches,
        messages: this.#lost(),
        remarks: this.#remarks,
        kept: this.#kept,
      },
      recovery: this.#recovery,
      replay: this.#replay,
      sources,
      definitions: this.#definitions,
      lastLsn: this.#lastLsn,
      filesMax: Math.max(0, ...this.#ids(WAL), ...this.#ids(SEGMENTS)),
    };
  }

  get #isCheckpointLost(): boolean {
    return this.#damages.some(({ path }) => path.startsWith(`${this.#directory}/${META}`));
  }
  /** It may be an old one: it is damaged, or names files that are not there. */
  get #isCheckpointDoubtful(): boolean {
    return this.#isCheckpointLost || this.#damages.some(({ path }) => !this.#disk.existsNow(path));
  }
  #isDamaged(path: string): boolean {
    return this.#damages.some((damage) => damage.path === path);
  }
  #ids(folder: string): number[] {
    const path = `${this.#directory}/${folder}`;
    return (this.#disk.existsNow(path) ? this.#disk.listNow(path) : []).filter((name) => /^\d{8}$/.test(name)).map(Number);
  }

  // The WAL: every whole record of every file, in order.

  #readWal(): { file: LogFile; list: MessageDirectory }[] {
    const { checkpoint } = this.#recovery;
    const kept = new Set(this.#recovery.segments.filter(({ role }) => role === Role.Kept).map(({ id }) => id));
    const found: { file: LogFile; list: MessageDirectory; needed: Lsn; last: Lsn; isCut: boolean }[] = [];
    for (const id of this.#ids(WAL).sort((a, b) => a - b)) {
      if (id < checkpoint.walFrom || kept.has(id)) continue;
      const path = filePath(this.#directory, id, Role.Wal);
      const file = new LogFile(id, this.#disk.openNow(path, 'read'), 0, Role.Wal);
      const bytes = readAll(file);
      const header = readFileHeader(bytes);
      if (header === 'blank' || (typeof header !== 'string' && header.fileId < id)) {
        file.file.closeNow(); // prepared, and never begun
        continue;
      }
      const before = found.at(-1);
      const previousLsn = typeof header === 'string' ? 0 : header.previousLsn;
      const isNext = typeof header === 'string' || header.fileId !== id || header.previousId === (before?.file.id ?? header.previousId);
      if (!isNext && typeof header !== 'string') this.#gone(header.previousId, before?.last, header.previousLsn);
      else if (before !== undefined) before.needed = Math.max(before.needed, previousLsn);
      if (before === undefined && id !== checkpoint.walFrom) this.#gone(checkpoint.walFrom, undefined, previousLsn);
      const { list, lsns, end } = this.#readFile(bytes, id, path);
      file.used = end;
      const last = Math.max(previousLsn, lsns.at(-1) ?? before?.last ?? 0);
      found.push({
        file,
        list,
        needed: durableBehind(bytes, 0, id),
        last,
        isCut: typeof header !== 'string' && bytes.length < header.fileBytes,
      });
    }
    this.#tails(found);
    return found;
  }

  /** Visits the whole records of a file, and tells the stretches between them if the file is damaged. */
  #readFile(bytes: Buffer, id: number, path: string): { list: MessageDirectory; lsns: number[]; end: number } {
    const list = new MessageDirectory();
    const places: number[] = [];
    const lsns: number[] = [];
    let end = FILE_HEADER_BYTES;
    this.#replay.directory = list;
    const gaps = salvage(bytes, id, bytes.length, (record, at, header) => {
      places.push(at);
      lsns.push(header.lsn);
      end = at + header.recordBytes;
      this.#lastLsn = Math.max(this.#lastLsn, header.lsn);
      if (header.type === RecordType.Definition && header.lsn > this.#recovery.checkpoint.lsn) {
        const start = at + RECORD_HEADER_BYTES;
        this.#definitions.push({ lsn: header.lsn, json: Buffer.from(record.subarray(start, start + header.contentBytes)) });
      }
      this.#replay.visit(record, at, header);
    });
    if (this.#isDamaged(path)) {
      for (const { from, to } of gaps) {
        const next = places.findIndex((at) => at >= to);
        if (next < 0) continue; // behind the last record: #tails
        this.#stretches.push({ path, from, to, afterLsn: next > 0 ? lsns[next - 1] : undefined, beforeLsn: lsns[next] });
      }
    }
    list.sort();
    return { list, lsns, end };
  }

  /** Files whose end is gone: a later batch, file or checkpoint says that there was more, durable. */
  #tails(found: readonly { file: LogFile; needed: Lsn; last: Lsn; isCut: boolean }[]): void {
    const { walTo, walFrom, recordLsn } = this.#recovery.checkpoint;
    const newest = found.at(-1);
    if (found.length === 0 || (newest !== undefined && newest.file.id < walTo))
      this.#gone(Math.max(walTo, walFrom), newest?.last, recordLsn);
    for (const [i, { file, needed, last, isCut }] of found.entries()) {
      const isNewest = i === found.length - 1;
      const least = isNewest && file.id >= walTo ? Math.max(needed, recordLsn) : needed;
      const path = filePath(this.#directory, file.id, Role.Wal);
      // what stood behind a cut, nobody can tell
      if (last < least || isCut)
        this.#stretches.push({ path, from: file.used, to: undefined, afterLsn: last, beforeLsn: isCut ? undefined : least + 1 });
    }
  }

  #gone(id: number, afterLsn: Lsn | undefined, lastLsn: Lsn): void {
    const path = filePath(this.#directory, id, Role.Wal);
    this.#stretches.push({ path, from: 0, to: undefined, afterLsn, beforeLsn: lastLsn + 1 });
  }

  // Segments.

  /** Segments that the checkpoint, which is an old one, does not name. */
  #strays(): { file: LogFile; list: MessageDirectory }[] {
    const named = new Set(this.#recovery.segments.map(({ id }) => id));
    const strays: { file: LogFile; list: MessageDirectory }[] = [];
    for (const id of this.#ids(SEGMENTS)) {
      if (named.has(id)) continue;
      const file = new LogFile(id, this.#disk.openNow(filePath(this.#directory, id, Role.Gathered), 'read'), 0, Role.Gathered);
      const bytes = readAll(file);
      file.used = bytes.length;
      strays.push({ file, list: listOf(bytes, id) });
    }
    return strays;
  }

  /** Its messages were given out, whatever became of them. */
  #see(segment: LogFile): void {
    const list = this.#recovery.directories.get(segment);
    for (const { queueNumber, to } of list?.ranges() ?? []) this.#replay.seen(queueNumber, list?.seqOf(to - 1) ?? 0);
  }

  #segment(segment: LogFile, queues: ReadonlyMap<number, string>): Source {
    const path = filePath(this.#directory, segment.id, segment.role);
    if (segment.file.path !== path) return this.#missing(segment, path, queues);
    const stem = `${this.#directory}/${SEGMENTS}/${String(segment.id).padStart(8, '0')}.`;
    const isTouched = this.#damages.some((damage) => damage.path === path || damage.path.startsWith(stem));
    if (this.#damages.some((damage) => damage.path.startsWith(stem) && damage.path.endsWith('.set')))
      this.#remarks.push(`messages of ${path} that were settled may come again: the list of them is not whole`);
    const bytes = readAll(segment);
    if (this.#damages.some((damage) => damage.path === `${stem}dir`)) {
      this.#recovery.directories.set(segment, listOf(bytes, segment.id));
      this.#remarks.push(`of ${path} those messages stay whose records are whole: the directory of the others is not`);
    }
    const lostBefore = this.#messages.length;
    const alive = this.#alive(segment, bytes, queues);
    const isLeft = !isTouched && this.#messages.length === lostBefore && !this.#isCheckpointDoubtful;
    return { file: segment, alive, isLeft, settled: isLeft ? this.#settledOf(segment) : new SettledSeqs() };
  }

  #missing(segment: LogFile, path: string, queues: ReadonlyMap<number, string>): Source {
    for (const { queueNumber, seq, position } of aliveEntries(this.#recovery, segment, queues)) {
      if (this.#settledSince(queueNumber, seq) || this.#taken.has(queueNumber, seq)) continue;
      this.#messages.push({ queueNumber, queue: queueText(queues, queueNumber), seq, path, offset: position - RECORD_HEADER_BYTES });
    }
    return { file: segment, alive: new MessageDirectory(), isLeft: false, settled: new SettledSeqs() };
  }

  #salvaged(file: LogFile, queues: ReadonlyMap<number, string>): Source {
    return { file, alive: this.#alive(file, readAll(file), queues), isLeft: false, settled: new SettledSeqs() };
  }

  /** What queues still hold of a file; what of it is not whole is lost. */
  #alive(file: LogFile, bytes: Buffer, queues: ReadonlyMap<number, string>): MessageDirectory {
    const alive = new MessageDirectory();
    for (const entry of aliveEntries(this.#recovery, file, queues)) {
      const { queueNumber, seq } = entry;
      if (this.#settledSince(queueNumber, seq) || this.#taken.has(queueNumber, seq)) continue;
      const at = entry.position - RECORD_HEADER_BYTES;
      if (!isRecordWhole(bytes, at, bytes.length, file.id)) {
        const path = filePath(this.#directory, file.id, file.role);
        this.#messages.push({ queueNumber, queue: queueText(queues, queueNumber), seq, path, offset: at });
        continue;
      }
      this.#taken.add(queueNumber, seq);
      const change = this.#replay.settled.changeOf(queueNumber, seq);
      if (change !== undefined) {
        entry.flags = change.flags;
        entry.deliveryCount = change.deliveryCount;
      }
      alive.add(entry);
      this.#kept++;
    }
    return alive.sort();
  }

  /** What no file has whole: another may hold a copy of what is bad in one. Each once. */
  #lost(): LostMessage[] {
    const told = new SettledSeqs();
    const lost: LostMessage[] = [];
    for (const { queueNumber, ...message } of this.#messages) {
      if (this.#taken.has(queueNumber, message.seq) || told.has(queueNumber, message.seq)) continue;
      told.add(queueNumber, message.seq);
      lost.push(message);
    }
    return lost;
  }

  /** By a record of the WAL, also one behind a bad place. */
  #settledSince(queueNumber: number, seq: number): boolean {
    return this.#replay.settled.has(queueNumber, seq);
  }

  /** All that was settled or changed of a segment, the WAL's part included: the WAL goes. */
  #settledOf(segment: LogFile): SettledSeqs {
    const settled = new SettledSeqs();
    settled.addAll(segment.settled);
    const list = this.#recovery.directories.get(segment);
    const entry = new DirectoryEntry();
    for (let i = 0; i < (list?.count ?? 0); i++) {
      const { queueNumber, seq } = list?.fill(i, entry) ?? entry;
      const change = this.#replay.settled.changeOf(queueNumber, seq);
      if (this.#settledSince(queueNumber, seq)) settled.add(queueNumber, seq);
      else if (change !== undefined && !settled.has(queueNumber, seq)) settled.change(queueNumber, seq, change.flags, change.deliveryCount);
    }
    return settled;
  }

  #remark(): void {
    if (this.#stretches.length > 0)
      this.#remarks.push(
        'in lost stretches of the log there may have been publishes (lost), settlings (those messages come again) and changes of topology (undone)',
      );
    if (this.#isCheckpointLost) {
      const { number, lsn } = this.#recovery.checkpoint;
      const from = number === 0 ? 'no checkpoint is whole' : `checkpoint ${number} is the newest that is whole, as of record ${lsn}`;
      this.#remarks.push(
        `${from}: changes of topology after it are gone where their records are, and messages settled after it may come again`,
      );
    }
  }
}

/** What the records of a segment say themselves. */
function listOf(bytes: Buffer, id: number): MessageDirectory {
  const list = new MessageDirectory();
  const replay = new Replay([], Number.POSITIVE_INFINITY, 0);
  replay.directory = list;
  salvage(bytes, id, bytes.length, (record, at, header: RecordHeader) => replay.visit(record, at, header));
  return list.sort();
}

/** The names by which a queue's place in its life is told to the next start. */
export function seqDefinitions(definitions: readonly Definition[], replay: Replay): Definition[] {
  const queues = new Map<number, Definition>();
  for (const definition of definitions) {
    const { kind, number } = definition;
    if (typeof number !== 'number') continue;
    if (kind === 'queue') queues.set(number, definition);
    else if (kind === 'queue.delete') queues.delete(number);
  }
  return [...queues].map(([queueNumber, { vhost, name }]) => ({
    kind: 'queue.seq',
    vhost,
    name,
    queueNumber,
    nextSeq: replay.seqMax(queueNumber) + 1,
  }));
}
