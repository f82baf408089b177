// Makes a damaged data directory one that opens again, with all that is whole.
// Always: (1) what is lost is known before anything is changed (repair-plan.ts); (2) survivors are on disk before the checkpoint that names them, and that
// one rename is the repair: a crash before it leaves the directory as it was; (3) what is replaced goes to `damaged/`, last of all; (4) numbers
// and seqs go on behind all that were ever seen, and every message that stays says `redelivered`.
// Refuses: to touch a directory that is whole, or that a process has.

import { makeFile, syncAll, writeAll, writeFile } from './background.ts';
import { hasFolders, lockOf, noDataDirectory } from './check.ts';
import { checkpointNumbers, checkpointPath, encodeCheckpoint, type SegmentEntry } from './checkpoint.ts';
import type { Disk } from './file.ts';
import { Gathering } from './gathering.ts';
import { Role } from './log-file.ts';
import { encodeSettled } from './message-directory.ts';
import { checkFormat, syncNow } from './opening.ts';
import {
  BATCH_HEADER_BYTES,
  FILE_HEADER_BYTES,
  FORMAT,
  finishRecord,
  padded,
  RECORD_HEADER_BYTES,
  RecordType,
  startRecord,
  writeBatchHeader,
  writeFileHeader,
} from './records.ts';
import { type Damage, directoryPath, FORMAT_FILE, filePath, META, SEGMENTS, settledPath, WAL } from './recovery.ts';
import { closePlan, type DefinitionRecord, type Loss, type Plan, planRepair, seqDefinitions } from './repair-plan.ts';
import { StoreError } from './store-error.ts';
import type { Processes } from './store-options.ts';

export const DAMAGED = 'damaged';

export interface Repair extends Loss {
  /** Where what was replaced is now; undefined: nothing was changed. */
  readonly movedTo: string | undefined;
}

export interface RepairOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly processes: Processes;
  /** Told what will be lost; false: leave all as it is. */
  readonly confirm: (loss: Loss) => boolean;
}

export async function repair({ disk, directory, processes, confirm }: RepairOptions): Promise<Repair> {
  if (!disk.existsNow(directory))
    throw new StoreError('unusable', `there is no data directory ${directory}`, { path: directory, hint: 'name another with --data-dir' });
  const lock = lockOf(disk, directory, processes);
  try {
    if (!hasFolders(disk, directory)) throw noDataDirectory(directory);
    for (const name of [META, WAL, SEGMENTS]) // what a process left that was killed is read now, and must not be undone by a loss of power
      if (disk.existsNow(`${directory}/${name}`)) syncNow(disk, `${directory}/${name}`);
    const formatDamage = damageOfFormat(disk, directory);
    const plan = planRepair(disk, directory, formatDamage);
    try {
      const { loss } = plan;
      const isNeeded = loss.damages.length + loss.messages.length + loss.stretches.length > 0;
      if (!isNeeded || !confirm(loss)) return { ...loss, movedTo: undefined };
      return { ...loss, movedTo: await new Repairer(disk, directory, plan, formatDamage.length > 0).carryOut() };
    } finally {
      closePlan(plan);
    }
  } finally {
    lock.release();
  }
}

function damageOfFormat(disk: Disk, directory: string): Damage[] {
  const path = `${directory}/${FORMAT_FILE}`;
  try {
    return checkFormat(disk, directory) ? [] : [{ path, offset: 0, text: 'the file is missing' }];
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'damaged') return [{ path, offset: 0, text: "this is not Leveret's" }];
    throw error;
  }
}

class Repairer {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #plan: Plan;
  readonly #isFormatLost: boolean;
  #nextId: number;

  constructor(disk: Disk, directory: string, plan: Plan, isFormatLost: boolean) {
    this.#disk = disk;
    this.#directory = directory;
    this.#plan = plan;
    this.#isFormatLost = isFormatLost;
    this.#nextId = Math.max(plan.recovery.checkpoint.nextFileId, plan.filesMax + 1);
  }

  async carryOut(): Promise<string> {
    const disk = this.#disk;
    const directory = this.#directory;
    for (const name of [META, WAL, SEGMENTS]) disk.makeDirectoryNow(`${directory}/${name}`);
    syncNow(disk, directory);
    const before = [META, WAL, SEGMENTS].flatMap((folder) => disk.listNow(`${directory}/${folder}`).map((name) => `${folder}/${name}`));
    const segments = await this.#segments();
    const { walId, lastLsn } = await this.#wal();
    await this.#sync(SEGMENTS, WAL);
    const number = Math.max(0, this.#plan.recovery.checkpoint.number, ...checkpointNumbers(disk, `${directory}/${META}`)) + 1;
    await this.#checkpoint(number, segments, walId, lastLsn);
    if (this.#isFormatLost) await this.#format();
    return await this.#moveAway(before, segments, number);
  }

  /** Undamaged segments stay; survivors of all other files get one each. */
  async #segments(): Promise<SegmentEntry[]> {
    const disk = this.#disk;
    const directory = this.#directory;
    const entries: SegmentEntry[] = [];
    for (const { file, alive, isLeft, settled } of this.#plan.sources) {
      if (alive.count === 0) continue;
      if (isLeft) {
        const version = file.settledVersion + 1;
        if (!settled.isEmpty) await writeFile(disk, settledPath(directory, file.id, version), encodeSettled(settled, file.id));
        entries.push({ id: file.id, role: file.role, settled: settled.isEmpty ? 0 : version });
        continue;
      }
      const gathering = new Gathering(this.#nextId++, (path, offset) => {
        throw new StoreError('damaged', `${path}, offset ${offset}: it changed while it was repaired`, {
          path,
          offset,
          hint: 'let nothing else use the directory, and repair it again',
        });
      });
      await gathering.add(file, alive);
      const path = filePath(directory, gathering.id, Role.Gathered);
      const { list } = await makeFile(disk, path, (made) => gathering.write(made));
      await writeFile(disk, directoryPath(directory, gathering.id), list.encode(gathering.id));
      entries.push({ id: gathering.id, role: Role.Gathered, settled: 0 });
    }
    return entries;
  }

  /** A log file with the changes of topology since the checkpoint, in their order, and how far each queue has come. */
  async #wal(): Promise<{ walId: number; lastLsn: number }> {
    const { definitions, replay, lastLsn: before } = this.#plan;
    const walId = this.#nextId++;
    let lastLsn = before;
    const records: DefinitionRecord[] = [...definitions];
    for (const definition of seqDefinitions(replay.definitions, replay))
      records.push({ lsn: ++lastLsn, json: Buffer.from(JSON.stringify(definition)) });
    const bytes = encodeWal(walId, before, records);
    await makeFile(this.#disk, filePath(this.#directory, walId, Role.Wal), (file) => writeAll(file, bytes, 0));
    return { walId, lastLsn };
  }

  async #checkpoint(number: number, segments: readonly SegmentEntry[], walId: number, lastLsn: number): Promise<void> {
    const { recovery, replay } = this.#plan;
    const { lsn, redeliveredBelow, definitions } = recovery.checkpoint;
    const path = checkpointPath(`${this.#directory}/${META}`, number);
    const bytes = encodeCheckpoint({
      number,
      lsn,
      recordLsn: lastLsn,
      walFrom: walId,
      walTo: walId,
      nextFileId: this.#nextId,
      queueNumberMax: replay.queueNumberMax,
      segments,
      redeliveredBelow,
      definitions,
    });
    await writeFile(this.#disk, `${path}.new`, bytes);
    this.#disk.renameNow(`${path}.new`, path);
    await this.#sync(META);
  }

  async #format(): Promise<void> {
    const path = `${this.#directory}/${FORMAT_FILE}`;
    await writeFile(this.#disk, `${path}.new`, Buffer.from(`leveret ${FORMAT}\n`));
    this.#disk.renameNow(`${path}.new`, path);
    await this.#syncDirectory(this.#directory);
  }

  /** All that was there before, but for what stays. */
  async #moveAway(before: readonly string[], segments: readonly SegmentEntry[], number: number): Promise<string> {
    const left = new Set(segments.map(({ id }) => String(id).padStart(8, '0')));
    const versions = new Map(segments.map(({ id, settled }) => [String(id).padStart(8, '0'), settled]));
    const to = `${this.#directory}/${DAMAGED}/${String(number).padStart(8, '0')}`;
    this.#disk.makeDirectoryNow(to);
    for (const path of before) {
      if (!this.#disk.existsNow(`${this.#directory}/${path}`)) continue; // a checkpoint's `.new` of an interrupted repair: it has its name now
      const [, stem = '', rest = ''] = /\/(\d{8})(.*)$/.exec(path) ?? [];
      const isLeft = left.has(stem) && !path.startsWith(META) && (rest === '' || rest === '.dir' || rest === `.${versions.get(stem)}.set`);
      if (!isLeft) this.#disk.renameNow(`${this.#directory}/${path}`, `${to}/${path.replace('/', '-')}`);
    }
    await this.#syncDirectory(to);
    await this.#sync(META, WAL, SEGMENTS);
    await this.#syncDirectory(this.#directory);
    return to;
  }

  async #sync(...folders: readonly string[]): Promise<void> {
    for (const folder of folders) await this.#syncDirectory(`${this.#directory}/${folder}`);
  }
  async #syncDirectory(path: string): Promise<void> {
    const directory = this.#disk.openDirectoryNow(path);
    await syncAll(directory);
    directory.closeNow();
  }
}

function encodeWal(walId: number, previousLsn: number, records: readonly DefinitionRecord[]): Buffer {
  let recordsBytes = 0;
  for (const { json } of records) recordsBytes += padded(RECORD_HEADER_BYTES + json.length);
  const bytes = Buffer.alloc(FILE_HEADER_BYTES + (records.length > 0 ? BATCH_HEADER_BYTES : 0) + recordsBytes);
  writeFileHeader(bytes, { fileId: walId, previousId: 0, previousLsn, fileBytes: bytes.length });
  if (records.length === 0) return bytes;
  writeBatchHeader(bytes, FILE_HEADER_BYTES, walId, {
    count: records.length,
    firstLsn: records[0]?.lsn ?? 0,
    durableLsn: 0,
    lastLsn: records.at(-1)?.lsn ?? 0,
    bytes: recordsBytes,
  });
  let at = FILE_HEADER_BYTES + BATCH_HEADER_BYTES;
  for (const { lsn, json } of records) {
    startRecord(bytes, at, { lsn, type: RecordType.Definition, payloadBytes: json.length, contentBytes: json.length });
    json.copy(bytes, at + RECORD_HEADER_BYTES);
    finishRecord(bytes, at, walId);
    at += padded(RECORD_HEADER_BYTES + json.length);
  }
  return bytes;
}
