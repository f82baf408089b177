// Survivors of sparse log files on their way into one new segment: each queue's messages together, each message once.
// Always: (1) a record's crc is checked before it is copied, so damage is not given a new seal; (2) the new file is a log file like any other: header,
// batches, Publish records with the references that are alive; (3) `movedOf` tells where each survivor of a slab went; (4) reads and writes are
// about a megabyte each, and the broker's turns run in between.
// Refuses: to say what is alive, or when the sources may go.

import { writeAll } from './background.ts';
import type { DiskFile } from './file.ts';
import type { LogFile, Moved, Slab } from './log-file.ts';
import { LogWindow } from './log-window.ts';
import { DirectoryEntry, MessageDirectory } from './message-directory.ts';
import {
  BATCH_HEADER_BYTES,
  FILE_HEADER_BYTES,
  finishRecord,
  padded,
  RECORD_HEADER_BYTES,
  REFERENCE_BYTES,
  RecordHeader,
  RecordType,
  startRecord,
  writeBatchHeader,
  writeFileHeader,
  writeReference,
} from './records.ts';

const BATCH_BYTES = 1 << 20;

/** One message, with the references that are alive. */
interface Survivor {
  readonly source: LogFile;
  readonly position: number;
  readonly content: Buffer;
  readonly lsn: number;
  readonly entries: DirectoryEntry[];
}

export class Gathering {
  readonly id: number;
  /** Bytes of all references, and of content. */
  refBytes = 0;
  contentBytes = 0;
  readonly #damage: (path: string, position: number) => never;
  readonly #survivors: Survivor[] = [];
  readonly #positions = new Map<LogFile, Map<number, number>>();

  constructor(id: number, damage: (path: string, position: number) => never) {
    this.id = id;
    this.#damage = damage;
  }

  /** Takes the messages of `source` that `alive` names. */
  async add(source: LogFile, alive: MessageDirectory): Promise<void> {
    const window = new LogWindow(source.file);
    const header = new RecordHeader();
    let survivor: Survivor | undefined;
    for (const index of alive.byPosition()) {
      const entry = alive.fill(index, new DirectoryEntry());
      if (survivor?.position !== entry.position) {
        const at = await window.record(entry.position - RECORD_HEADER_BYTES, source.id);
        if (at < 0) this.#damage(source.file.path, entry.position - RECORD_HEADER_BYTES);
        const from = at + RECORD_HEADER_BYTES;
        const content = Buffer.from(window.bytes.subarray(from, from + entry.length));
        survivor = { source, position: entry.position, content, lsn: header.read(window.bytes, at).lsn, entries: [] };
        this.#survivors.push(survivor);
        this.contentBytes += entry.length;
      }
      survivor.entries.push(entry);
      this.refBytes += entry.length;
    }
    this.#positions.set(source, new Map());
  }

  /** Where the survivors of `slab` stand now, by their offsets in it. */
  movedOf(source: LogFile, slab: Slab, slabBytes: number): Moved {
    const positions = this.#positions.get(source) ?? new Map<number, number>();
    const pairs: [offset: number, position: number][] = [];
    if (slab.moved !== undefined) {
      slab.moved.offsets.forEach((offset, i) => {
        const position = positions.get(slab.moved?.positions[i] ?? -1);
        if (position !== undefined) pairs.push([offset, position]);
      });
    } else {
      const end = slab.filePosition + Math.max(slab.used, slab.used === 0 ? slabBytes : 0);
      for (const [old, position] of positions) if (old >= slab.filePosition && old < end) pairs.push([old - slab.filePosition, position]);
    }
    pairs.sort((a, b) => a[0] - b[0]);
    return { offsets: Uint32Array.from(pairs, ([offset]) => offset), positions: Uint32Array.from(pairs, ([, position]) => position) };
  }
  get sources(): Iterable<LogFile> {
    return this.#positions.keys();
  }

  /** Writes the new file, but does not sync it; answers its size and its directory. */
  async write(file: DiskFile): Promise<{ bytes: number; list: MessageDirectory }> {
    const survivors = this.#survivors;
    survivors.sort((a, b) => order(a.entries[0] as DirectoryEntry, b.entries[0] as DirectoryEntry));
    const list = new MessageDirectory(Math.max(1, survivors.length));
    let position = FILE_HEADER_BYTES;
    for (let from = 0; from < survivors.length; ) {
      const { to, bytes } = this.#batch(from, position, list);
      await writeAll(file, bytes, position);
      position += bytes.length;
      from = to;
    }
    const header = Buffer.alloc(FILE_HEADER_BYTES);
    writeFileHeader(header, { fileId: this.id, previousId: 0, previousLsn: 0, fileBytes: position });
    await writeAll(file, header, 0);
    return { bytes: position, list: list.sort() };
  }

  /** A batch that stands at `position`, from the survivor `from` up to `to`. */
  #batch(from: number, position: number, list: MessageDirectory): { to: number; bytes: Buffer } {
    let records = 0;
    let to = from;
    for (; to < this.#survivors.length; to++) {
      const next = recordBytes(this.#survivors[to] as Survivor);
      if (to > from && records + next > BATCH_BYTES) break;
      records += next;
    }
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES + records);
    let at = BATCH_HEADER_BYTES;
    for (let i = from; i < to; i++) at = this.#write(bytes, at, position, this.#survivors[i] as Survivor, list);
    writeBatchHeader(bytes, 0, this.id, { count: to - from, firstLsn: 0, durableLsn: 0, lastLsn: 0, bytes: records });
    return { to, bytes };
  }

  #write(bytes: Buffer, at: number, base: number, survivor: Survivor, list: MessageDirectory): number {
    const { content, entries, lsn, source, position } = survivor;
    const first = entries[0] as DirectoryEntry;
    startRecord(bytes, at, {
      lsn,
      type: RecordType.Publish,
      payloadBytes: content.length + entries.length * REFERENCE_BYTES,
      flags: first.flags,
      contentBytes: content.length,
      bodyBytes: first.bodyBytes,
      count: entries.length,
    });
    const contentAt = at + RECORD_HEADER_BYTES;
    content.copy(bytes, contentAt);
    let end = contentAt + content.length;
    for (const entry of entries) {
      writeReference(bytes, end, entry.queueNumber, entry.priority, entry.seq, entry.deadline);
      end += REFERENCE_BYTES;
      entry.position = base + contentAt;
      list.add(entry);
    }
    finishRecord(bytes, at, this.id);
    this.#positions.get(source)?.set(position, base + contentAt);
    return at + recordBytes(survivor);
  }
}

function recordBytes({ content, entries }: Survivor): number {
  return padded(RECORD_HEADER_BYTES + content.length + entries.length * REFERENCE_BYTES);
}

function order(a: DirectoryEntry, b: DirectoryEntry): number {
  return a.queueNumber - b.queueNumber || a.seq - b.seq;
}
