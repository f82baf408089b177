// What a segment holds, and what of it is settled, as files: they come back, sorted, and damage is noticed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DirectoryEntry, decodeSettled, ENTRY_BYTES, encodeSettled, MessageDirectory } from '../../../server/store/message-directory.ts';
import { SettledSeqs } from '../../../server/store/settled-seqs.ts';

const HEAD_BYTES = 32;
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const seq = fc.integer({ min: 1, max: 2 ** 40 });
const entry = fc.record({
  queueNumber: fc.integer({ min: 1, max: 5 }),
  length: u32,
  bodyBytes: u32,
  flags: fc.nat({ max: 255 }),
  deliveryCount: fc.nat({ max: 0xff_ffff }),
  seq,
  deadline: fc.constantFrom(0, 1_767_225_600_000.5, 2 ** 52),
  position: u32,
  priority: u32,
});
type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never;
const entries = fc.uniqueArray(entry, { selector: (one) => `${one.queueNumber} ${one.seq}`, maxLength: 40 });

function directoryOf(list: readonly Entry[], room = 1): MessageDirectory {
  const directory = new MessageDirectory(room);
  for (const one of list) directory.add(one);
  return directory;
}
const contents = (directory: MessageDirectory): Entry[] =>
  Array.from({ length: directory.count }, (_, i) => ({ ...directory.fill(i, new DirectoryEntry()) }));
const ordered = (list: readonly Entry[]): Entry[] => [...list].sort((a, b) => a.queueNumber - b.queueNumber || a.seq - b.seq);

/** Every bit once, and every length. */
function expectNoticed(bytes: Buffer, read: (bytes: Buffer) => unknown): void {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const copy = Buffer.from(bytes);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(read(copy), `bit ${bit}`).toBeUndefined();
  }
  for (let length = 0; length < bytes.length; length++) expect(read(bytes.subarray(0, length)), `${length} bytes`).toBeUndefined();
  expect(read(Buffer.concat([bytes, Buffer.alloc(8)]))).toBeUndefined();
}

describe('a directory', () => {
  test('has the entries that were added, sorted by queue and seq, each queue in one range', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const directory = directoryOf(list);
        expect(contents(directory)).toEqual(list);
        const sorted = ordered(list);
        expect(contents(directory.sort())).toEqual(sorted);
        const ranges = directory.ranges();
        expect(ranges.map(({ queueNumber }) => queueNumber)).toEqual([...new Set(sorted.map(({ queueNumber }) => queueNumber))]);
        for (const { queueNumber, from, to } of ranges) {
          expect(sorted.slice(from, to).every((one) => one.queueNumber === queueNumber)).toBe(true);
          expect([directory.queueOf(from), directory.seqOf(to - 1)]).toEqual([queueNumber, sorted[to - 1]?.seq]);
        }
        expect(ranges.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(list.length);
      }),
    );
  });

  test('comes back from its bytes, in its own file alone', () => {
    fc.assert(
      fc.property(entries, fc.nat(), (list, fileId) => {
        const bytes = directoryOf(list).sort().encode(fileId);
        expect(bytes).toHaveLength(HEAD_BYTES + list.length * ENTRY_BYTES);
        const found = MessageDirectory.decode(Buffer.from(bytes), fileId);
        expect(found === undefined ? undefined : contents(found)).toEqual(ordered(list));
        expect(MessageDirectory.decode(Buffer.from(bytes), fileId + 1)).toBeUndefined();
      }),
    );
  });

  test('with any bit flipped, or cut short, is none', () => {
    const list = fc.sample(entries, { seed: 3, numRuns: 20 }).find(({ length }) => length > 1 && length < 6) ?? [];
    expect(list.length).toBeGreaterThan(0);
    expectNoticed(Buffer.from(directoryOf(list).encode(7)), (bytes) => MessageDirectory.decode(bytes, 7));
  });
});

describe('a list of settled messages', () => {
  const drawn = fc.record({
    runs: fc.array(fc.record({ queueNumber: u32, first: seq, count: fc.integer({ min: 1, max: 1_000 }) }), { maxLength: 20 }),
    changes: fc.array(fc.record({ queueNumber: u32, seq, flags: fc.nat({ max: 255 }), deliveryCount: fc.nat({ max: 0xff_ffff }) }), {
      maxLength: 10,
    }),
  });
  const settledOf = ({ runs, changes }: typeof drawn extends fc.Arbitrary<infer T> ? T : never): SettledSeqs => {
    const settled = new SettledSeqs();
    for (const { queueNumber, first, count } of runs) settled.addRun(queueNumber, first, first + count - 1);
    for (const one of changes) settled.change(one.queueNumber, one.seq, one.flags, one.deliveryCount);
    return settled;
  };
  const listed = (settled: SettledSeqs | undefined): unknown[] => {
    const found: unknown[] = [];
    settled?.forEachRun((...run) => found.push(run));
    settled?.forEachChange((...change) => found.push(change));
    return found;
  };

  test('comes back from its bytes, in its own file alone', () => {
    fc.assert(
      fc.property(drawn, fc.nat(), (one, fileId) => {
        const settled = settledOf(one);
        const bytes = encodeSettled(settled, fileId);
        const found = decodeSettled(bytes, fileId);
        expect(found).toBeDefined();
        expect(listed(found)).toEqual(listed(settled));
        expect(decodeSettled(bytes, fileId + 1)).toBeUndefined();
      }),
    );
  });

  test('with any bit flipped, or cut short, is none', () => {
    const settled = new SettledSeqs();
    settled.addRun(1, 4, 9);
    settled.addRun(2, 1, 1);
    settled.change(3, 2, 3, 70_000);
    expectNoticed(encodeSettled(settled, 9), (bytes) => decodeSettled(bytes, 9));
  });
});
