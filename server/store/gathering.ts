// Survivors of sparse log files on their way into one new segment: each queue's messages together, each message once.
// Always: (1) a record's crc is checked before it is copied, so damage is not given a new seal; (2) the new file is a log file like any other: header,
// batches, Publish records with the references that are alive; (3) `movedOf` tells where each survivor of a slab went.
// Refuses: to read or write files.

import type { LogFile, Moved, Slab } from './log-file.ts';
import { DirectoryEntry, MessageDirectory } from './message-directory.ts';
import {
  BATCH_HEADER_BYTES,
  FILE_HEADER_BYTES,
  finishRecord,
  isRecordWhole,
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

  /** `alive` are entries of `source`, whose bytes are `bytes`. */
  add(source: LogFile, bytes: Buffer, alive: MessageDirectory): void {
    const byPosition = new Map<number, Survivor>();
    const header = new RecordHeader();
    for (let i = 0; i < alive.count; i++) {
      const entry = alive.fill(i, new DirectoryEntry());
      let survivor = byPosition.get(entry.position);
      if (survivor === undefined) {
        const at = entry.position - RECORD_HEADER_BYTES;
        if (!isRecordWhole(bytes, at, bytes.length, source.id)) this.#damage(source.file.path, at);
        const content = Buffer.from(bytes.subarray(entry.position, entry.position + entry.length));
        survivor = { source, position: entry.position, content, lsn: header.read(bytes, at).lsn, entries: [] };
        byPosition.set(entry.position, survivor);
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

  /** The bytes of the new file, and its directory. */
  finish(): { bytes: Buffer; list: MessageDirectory } {
    const survivors = this.#survivors;
    survivors.sort((a, b) => order(a.entries[0] as DirectoryEntry, b.entries[0] as DirectoryEntry));
    let records = 0;
    for (const survivor of survivors) records += recordBytes(survivor);
    const batchesMax = Math.ceil(records / BATCH_BYTES) * 2 + 1; // two neighbours hold more than one batch's worth
    const bytes = Buffer.alloc(FILE_HEADER_BYTES + records + batchesMax * BATCH_HEADER_BYTES);
    const list = new MessageDirectory(Math.max(1, survivors.length));
    let at = FILE_HEADER_BYTES;
    for (let from = 0; from < survivors.length; ) {
      const batchAt = at;
      let to = from;
      at += BATCH_HEADER_BYTES;
      while (to < survivors.length && (to === from || at - batchAt + recordBytes(survivors[to] as Survivor) <= BATCH_BYTES)) {
        at = this.#write(bytes, at, survivors[to++] as Survivor, list);
      }
      writeBatchHeader(bytes, batchAt, this.id, {
        count: to - from,
        firstLsn: 0,
        durableLsn: 0,
        lastLsn: 0,
        bytes: at - batchAt - BATCH_HEADER_BYTES,
      });
      from = to;
    }
    writeFileHeader(bytes, { fileId: this.id, previousId: 0, previousLsn: 0, fileBytes: at });
    return { bytes: bytes.subarray(0, at), list: list.sort() };
  }

  #write(bytes: Buffer, at: number, survivor: Survivor, list: MessageDirectory): number {
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
      entry.position = contentAt;
      list.add(entry);
    }
    finishRecord(bytes, at, this.id);
    this.#positions.get(source)?.set(position, contentAt);
    return at + recordBytes(survivor);
  }
}

function recordBytes({ content, entries }: Survivor): number {
  return padded(RECORD_HEADER_BYTES + content.length + entries.length * REFERENCE_BYTES);
}

function order(a: DirectoryEntry, b: DirectoryEntry): number {
  return a.queueNumber - b.queueNumber || a.seq - b.seq;
}
