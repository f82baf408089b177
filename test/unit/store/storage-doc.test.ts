// docs/storage.md against the code: real files are read through the document's tables, and by the store's own readers, and must say the same.

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Append } from '../../../server/ports.ts';
import { encodeCheckpoint } from '../../../server/store/checkpoint.ts';
import { DirectoryEntry, decodeSettled, encodeSettled, MessageDirectory } from '../../../server/store/message-directory.ts';
import {
  isRecordWhole,
  padded,
  RecordHeader,
  RecordType,
  Reference,
  readBatchHeader,
  readFileHeader,
} from '../../../server/store/records.ts';
import { directoryPath, filePath, NO_CHECKPOINT, settledPath } from '../../../server/store/recovery.ts';
import { SettledSeqs } from '../../../server/store/settled-seqs.ts';
import { encodeContent } from '../../../shared/content.ts';
import { DataDirectory } from '../../support/data-directory.ts';
import { type Fields, StorageDocument } from '../../support/storage-doc.ts';

const text = readFileSync(new URL('../../../docs/storage.md', import.meta.url), 'utf8');
const directory = new DataDirectory();
const wal: Buffer[] = [];
let names: string[] = [];

beforeAll(async () => {
  await directory.use((log) => {
    const content = encodeContent('', 'jobs', { deliveryMode: 2 }, Buffer.from('a body'));
    const append = (queueNumbers: readonly number[], seq: number): Append => {
      const made = new Append();
      made.begin(content, 0, content.length, 6, 1);
      for (const queueNumber of queueNumbers) made.add(queueNumber, seq, 3, 4102444800123);
      return made;
    };
    for (const number of [1, 2, 3])
      log.define({ kind: 'queue', vhost: '/', name: `jobs-${number}`, number, autoDelete: false, arguments: {} });
    const first = append([1, 2], 11);
    log.append(first);
    const second = append([1], 12);
    log.append(second);
    log.requeue(1, 12, second.place.slab, 3, 0x010203);
    log.move(2, 11, first.place.slab, first.place.length, 1, append([1, 3], 13));
    log.settle(1, 11, first.place.slab, first.place.length, 1);
    log.transact([append([2], 14), append([3], 15)], []);
    log.commit();
  });
  names = readdirSync(directory.path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(directory.path.length + 1));
  for (const name of names.filter((each) => each.startsWith('wal/'))) wal.push(readFileSync(`${directory.path}/${name}`));
});
afterAll(() => directory.close());

describe('docs/storage.md', () => {
  test('says what the code reads, of every record type', () => {
    const seen = checkLog(text);
    for (const type of ['Publish', 'Move', 'Transaction', 'Settled', 'Requeued', 'Definition', 'Closed'])
      expect(seen, type).toContain(type);
    checkLists(text);
    checkTypes(text);
  });

  test('lists every file that the store writes', () => {
    const known = new StorageDocument(text).table('Files').map(([name = '']) => name.replaceAll('`', ''));
    const patterns = known.map((name) => new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('N', '\\d').replace('V', '\\d+')}$`));
    const written = [
      ...names,
      'lock',
      'spill',
      'reserve',
      filePath('', 1, 2).slice(1),
      directoryPath('', 1).slice(1),
      settledPath('', 1, 9).slice(1),
    ];
    for (const name of written) expect(patterns.some((pattern) => pattern.test(name)), name).toBe(true); // biome-ignore format: one line
  });

  test('names every field of a checkpoint', () => {
    const fields = new StorageDocument(text).table('Checkpoint').map(([name = '']) => name.replaceAll('`', ''));
    const written: { leveret: object } = JSON.parse(encodeCheckpoint(NO_CHECKPOINT).toString());
    expect(fields.sort()).toEqual(Object.keys(written.leveret).sort());
  });
});

describe('the check of docs/storage.md', () => {
  const isFound = (altered: string): boolean => {
    expect(altered).not.toBe(text);
    try {
      checkLog(altered);
      checkLists(altered);
      checkTypes(altered);
      return false;
    } catch {
      return true;
    }
  };

  test('finds every offset that is off by one', () => {
    const rows = [...text.matchAll(/^\| (\d+) \| [uf]\d+/gm)];
    expect(rows.length).toBeGreaterThan(50);
    for (const row of rows) {
      const line = `| ${Number(row[1]) + 1}${row[0].slice(2 + (row[1] ?? '').length)}`;
      expect(isFound(text.slice(0, row.index) + line + text.slice(row.index + row[0].length)), row[0]).toBe(true);
    }
  });

  test('finds a wrong type number, and two fields that changed places', () => {
    expect(isFound(text.replace('| 4 | Settled', '| 5 | Settled'))).toBe(true);
    for (const [a, b] of [['contentBytes', 'bodyBytes'], ['fileId', 'count'], ['queueNumber', 'priority'], ['previousId', 'fileId'], ['length', 'bodyBytes'], ['seq', 'deadline'], ['fileId', 'first']] as const) // biome-ignore format: pairs
      expect(isFound(text.replaceAll(`| ${a} |\n`, '| ? |\n').replaceAll(`| ${b} |\n`, `| ${a} |\n`).replaceAll('| ? |\n', `| ${b} |\n`)), a).toBe(true); // biome-ignore format: one line
  });
});

function expectSame(read: Fields, own: object): void {
  for (const [name, value] of Object.entries(own)) expect(read[name], name).toBe(value);
}

/** Walks the log files by the document alone, and asks the code about each place. */
function checkLog(of: string): Set<string> {
  const document = new StorageDocument(of);
  const types = new Map(document.table('Record types').map(([number, name = '']) => [Number(number), name]));
  const seen = new Set<string>();
  for (const bytes of wal) {
    const header = readFileHeader(bytes);
    if (typeof header === 'string') continue;
    expectSame(document.read('File header', bytes, 0), { ...header, format: 1 });
    let at = document.layout('File header').bytes;
    for (let batch = readBatchHeader(bytes, at, header.fileId); batch !== undefined; batch = readBatchHeader(bytes, at, header.fileId)) {
      expectSame(document.read('Batch header', bytes, at), { ...batch, fileId: header.fileId });
      at += document.layout('Batch header').bytes;
      for (const end = at + batch.bytes; at < end; ) {
        expect(isRecordWhole(bytes, at, end, header.fileId)).toBe(true);
        at += checkRecord(document, types, bytes, at, seen);
      }
    }
  }
  return seen;
}

function checkRecord(
  document: StorageDocument,
  types: ReadonlyMap<number, string>,
  bytes: Buffer,
  start: number,
  seen: Set<string>,
): number {
  const own = new RecordHeader().read(bytes, start);
  const record = document.read('Record header', bytes, start);
  expectSame(record, own);
  const type = types.get(Number(record['type'])) ?? '';
  seen.add(type);
  const count = Number(record['count']);
  const behind = start + document.layout('Record header').bytes;
  let at = behind;
  if (type === 'Publish' || type === 'Move') {
    at += Number(record['contentBytes']);
    for (let i = 0; i < count; i++, at += document.layout('Reference').bytes) {
      expectSame(document.read('Reference', bytes, at), new Reference().read(bytes, at));
    }
    if (type === 'Move') {
      expectSame(document.read('Source', bytes, at), { queueNumber: 2, seq: 11 });
      at += document.layout('Source').bytes;
    }
  } else if (type === 'Transaction') {
    for (let i = 0; i < count; i++) at += checkRecord(document, types, bytes, at, seen);
  } else if (type === 'Settled') {
    expectSame(document.read('Run', bytes, at), { queueNumber: 1, messages: 1, seq: 11 });
    at += document.layout('Run').bytes * count;
  } else if (type === 'Requeued') {
    expectSame(document.read('Change', bytes, at), { queueNumber: 1, deliveryCount: 0x010203, flags: 3, seq: 12 });
    at += document.layout('Change').bytes * count;
  } else if (type === 'Definition') at += Number(record['contentBytes']);
  expect(at - behind, type).toBe(own.payloadBytes);
  return padded(at - start);
}

function checkLists(of: string): void {
  const document = new StorageDocument(of);
  const made = new MessageDirectory();
  for (let i = 1; i <= 3; i++) made.put(i, 257 + i, 10_000 * i, 50 + i, 40 + i, 0x010200 + i, 1 + i, 3 + i, 4102444800000 + i);
  const list = made.sort().encode(7);
  expectSame(document.read('List header', list, 0), { fileId: 7, first: 3, second: 0, format: 1 });
  const decoded = MessageDirectory.decode(list, 7);
  for (let i = 0; i < 3; i++) {
    const at = document.layout('List header').bytes + i * document.layout('Entry').bytes;
    expectSame(document.read('Entry', list, at), decoded?.fill(i, new DirectoryEntry()) ?? {});
  }
  const settled = new SettledSeqs();
  settled.addRun(5, 100, 109);
  settled.change(6, 200, 3, 0x010204);
  const set = encodeSettled(settled, 9);
  expect(decodeSettled(set, 9)?.has(5, 109)).toBe(true);
  expectSame(document.read('List header', set, 0), { fileId: 9, first: 1, second: 1, format: 1 });
  const at = document.layout('List header').bytes;
  expectSame(document.read('Run', set, at), { queueNumber: 5, messages: 10, seq: 100 });
  expectSame(document.read('Change', set, at + document.layout('Run').bytes), {
    queueNumber: 6,
    deliveryCount: 0x010204,
    flags: 3,
    seq: 200,
  });
}

function checkTypes(of: string): void {
  const types = new StorageDocument(of).table('Record types').map(([number, name = '']) => [name, Number(number)]);
  expect(Object.fromEntries(types)).toEqual(RecordType);
  expect(types.length).toBe(Object.keys(RecordType).length);
}
