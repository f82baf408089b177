// Runs of settled messages against a plain set, and the changes of those that are not settled.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SettledSeqs } from '../../../server/store/settled-seqs.ts';

const QUEUES = 3;
const SEQ_MAX = 40;

type Step =
  | { readonly do: 'add'; readonly queue: number; readonly seq: number }
  | { readonly do: 'run'; readonly queue: number; readonly seq: number; readonly count: number }
  | { readonly do: 'change'; readonly queue: number; readonly seq: number; readonly count: number };
const queue = fc.integer({ min: 1, max: QUEUES });
const seq = fc.integer({ min: 1, max: SEQ_MAX });
const steps = fc.array(
  fc.record({
    do: fc.constantFrom('add' as const, 'add' as const, 'run' as const, 'change' as const),
    queue,
    seq,
    count: fc.integer({ min: 1, max: 9 }),
  }),
  { maxLength: 60, size: 'max' },
);

/** The same, one number at a time. */
class Plain {
  readonly settled = new Set<string>();
  readonly changes = new Map<string, number>();
  act(one: Step): void {
    const last = one.do === 'run' ? one.seq + one.count - 1 : one.seq;
    if (one.do === 'change') this.changes.set(`${one.queue} ${one.seq}`, one.count);
    else for (let at = one.seq; at <= last; at++) this.settled.add(`${one.queue} ${at}`);
    if (one.do === 'add') this.changes.delete(`${one.queue} ${one.seq}`);
  }
}
function act(settled: SettledSeqs, one: Step): void {
  if (one.do === 'add') settled.add(one.queue, one.seq);
  else if (one.do === 'run') settled.addRun(one.queue, one.seq, one.seq + one.count - 1);
  else settled.change(one.queue, one.seq, one.count & 7, one.count);
}
function expectSame(settled: SettledSeqs, plain: Plain): void {
  for (let number = 0; number <= QUEUES + 1; number++)
    for (let at = 0; at <= SEQ_MAX + 12; at++) {
      expect(settled.has(number, at)).toBe(plain.settled.has(`${number} ${at}`));
      expect(settled.changeOf(number, at)?.deliveryCount).toBe(plain.changes.get(`${number} ${at}`));
    }
  let messages = 0;
  let runs = 0;
  const ends = new Map<number, number>();
  settled.forEachRun((number, first, last) => {
    expect(first, 'runs are sorted, disjoint and not adjacent').toBeGreaterThan((ends.get(number) ?? -1) + 1);
    expect(last).toBeGreaterThanOrEqual(first);
    ends.set(number, last);
    messages += last - first + 1;
    runs++;
  });
  expect(messages).toBe(plain.settled.size);
  expect(settled.runCount).toBe(runs);
  expect(settled.changeCount).toBe(plain.changes.size);
}

describe('settled seqs', () => {
  test('are those that were added, one by one or in runs, whatever their order', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const settled = new SettledSeqs();
        const plain = new Plain();
        for (const one of list) {
          act(settled, one);
          plain.act(one);
        }
        expectSame(settled, plain);
        expect(settled.isEmpty && list.length > 0).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  test('a clone goes its own way, and what is cleared is empty', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const settled = new SettledSeqs();
        const plain = new Plain();
        for (const one of before) act(settled, one);
        const clone = settled.clone();
        for (const one of after) act(settled, one);
        settled.clear();
        expect([settled.isEmpty, settled.runCount, settled.changeCount]).toEqual([true, 0, 0]);
        settled.add(1, 1);
        expect(settled.has(1, 1)).toBe(true);
        for (const one of before) plain.act(one);
        for (const key of plain.changes.keys()) if (plain.settled.has(key)) plain.changes.delete(key); // a clone needs no change of what is settled
        expectSame(clone, plain);
      }),
      { numRuns: 40 },
    );
  });

  test('of two are those of either, and what is settled in one has no change from the other', () => {
    const one = new SettledSeqs();
    const other = new SettledSeqs();
    one.addRun(1, 5, 9);
    other.addRun(1, 8, 12);
    other.add(2, 1);
    other.change(1, 6, 1, 4);
    other.change(1, 20, 2, 5);
    one.addAll(other);
    const runs: number[][] = [];
    one.forEachRun((...run) => runs.push(run));
    expect(runs).toEqual([
      [1, 5, 12],
      [2, 1, 1],
    ]);
    expect(one.changeOf(1, 6)).toBeUndefined();
    expect(one.changeOf(1, 20)).toEqual({ flags: 2, deliveryCount: 5 });
  });

  test('in order cost one run, and every second one a run each', () => {
    const settled = new SettledSeqs();
    for (let at = 1; at <= 10_000; at++) settled.add(7, at);
    expect(settled.runCount).toBe(1);
    for (let at = 20_000; at > 10_001; at -= 2) settled.add(7, at);
    expect(settled.runCount).toBe(5_001);
    for (let at = 10_001; at < 20_000; at += 2) settled.add(7, at);
    expect(settled.runCount).toBe(1);
  });
});
