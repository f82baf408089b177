// The records of a log file as plain objects, for a person who looks into it.
// Always: (1) what is shown has been checked by its crc; (2) the end says where reading stopped, and whether more may stand behind.
// Refuses: to show bodies: what a message says is not for whoever looks after a disk.

import { Content } from '../../shared/content.ts';
import type { Disk } from './file.ts';
import {
  BATCH_HEADER_BYTES,
  FILE_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  REFERENCE_BYTES,
  type RecordHeader,
  RecordType,
  Reference,
  RUN_BYTES,
  readBatchHeader,
  readFileHeader,
  readU64,
} from './records.ts';
import { eachInside, isMessage, salvage, scanFile } from './scan.ts';

export type Line = Readonly<Record<string, unknown>>;

const NAMES = new Map<number, string>(Object.entries(RecordType).map(([name, type]) => [type, name]));

/** Shows every record of the file; with `isAll` also those behind a bad place. Answers whether something that was durable is not whole. */
export function dumpFile(disk: Disk, path: string, isAll: boolean, show: (line: Line) => void): boolean {
  const bytes = readPath(disk, path);
  const header = readFileHeader(bytes);
  if (typeof header === 'string') {
    show({ file: path, header });
    return header === 'broken' && bytes.length > 0; // an empty one was never begun
  }
  show({ file: path, ...header });
  const { fileId } = header;
  let readTo = FILE_HEADER_BYTES;
  const visit = (record: Buffer, at: number, head: RecordHeader): void => {
    const batchAt = at - BATCH_HEADER_BYTES; // a batch's header stands right before its first record
    const batch = batchAt >= readTo ? readBatchHeader(bytes, batchAt, fileId) : undefined;
    if (batch !== undefined) show({ batch: batchAt, ...batch });
    show(describe(record, at, head));
    readTo = at + head.recordBytes;
  };
  const { end, lastLsn, durableLsn } = scanFile(bytes, fileId, header.previousLsn, isAll ? () => undefined : visit);
  const isCut = bytes.length < header.fileBytes;
  const isDamaged = durableLsn > lastLsn || isCut;
  if (isAll) for (const { from, to } of salvage(bytes, fileId, bytes.length, visit)) show({ gap: from, to });
  show({
    end,
    lastLsn,
    durableLsn,
    ...(isCut ? { damaged: `the file ends at ${bytes.length}, but had ${header.fileBytes} bytes` } : {}),
    ...(isDamaged && !isCut && !isAll ? { damaged: 'records behind this place were durable: --all shows what is whole' } : {}),
  });
  return isDamaged;
}

function readPath(disk: Disk, path: string): Buffer {
  const file = disk.openNow(path, 'read');
  try {
    const bytes = Buffer.allocUnsafeSlow(file.sizeNow());
    return bytes.subarray(0, file.readNow(bytes, 0));
  } finally {
    file.closeNow();
  }
}

function describe(bytes: Buffer, at: number, header: RecordHeader): Line {
  const { type, lsn } = header;
  const line = { lsn, type: NAMES.get(type) ?? type, offset: at, bytes: header.recordBytes };
  const start = at + RECORD_HEADER_BYTES;
  if (isMessage(type)) return { ...line, ...messageOf(bytes, start, header) };
  switch (type) {
    case RecordType.Transaction: {
      const records: Line[] = [];
      eachInside(bytes, at, header.count, (inner, innerAt, head) => void records.push(describe(inner, innerAt, head)));
      return { ...line, records };
    }
    case RecordType.Settled:
      return { ...line, settled: entries(bytes, start, header.count, (queue, word, seq) => ({ queue, first: seq, messages: word })) };
    case RecordType.Requeued:
      return {
        ...line,
        requeued: entries(bytes, start, header.count, (queue, word, seq) => ({
          queue,
          seq,
          deliveryCount: word & 0xff_ffff,
          flags: word >>> 24,
        })),
      };
    case RecordType.Definition:
      return { ...line, definition: JSON.parse(bytes.toString('utf8', start, start + header.contentBytes)) };
    default:
      return line;
  }
}

function messageOf(bytes: Buffer, start: number, header: RecordHeader): Line {
  const { contentBytes, bodyBytes, flags, count } = header;
  const references: Line[] = [];
  const reference = new Reference();
  let end = start + contentBytes;
  for (let i = 0; i < count; i++) {
    const { queueNumber, seq, priority, deadline } = reference.read(bytes, end);
    references.push({ queue: queueNumber, seq, priority, deadline });
    end += REFERENCE_BYTES;
  }
  const source = header.type === RecordType.Move ? { from: { queue: bytes.readUInt32LE(end), seq: readU64(bytes, end + 8) } } : {};
  return { contentBytes, bodyBytes, flags, ...addressOf(bytes, start, start + contentBytes), references, ...source };
}

/** Nothing for a content that does not parse, such as that of a move that stores none. */
function addressOf(bytes: Buffer, start: number, end: number): Line {
  if (start === end) return {};
  try {
    const content = new Content().read(bytes, start, end);
    return {
      exchange: bytes.toString('utf8', start + 1, content.keyStart),
      key: bytes.toString('utf8', content.keyStart + 1, content.headerStart),
    };
  } catch {
    return {}; // shown without: the record is whole, whatever it holds
  }
}

function entries(bytes: Buffer, start: number, count: number, line: (queue: number, word: number, seq: number) => Line): Line[] {
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * RUN_BYTES;
    return line(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), readU64(bytes, at + 8));
  });
}
