// The typed-array index of ready messages against a plain sorted array.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReadyIndex } from '../../../server/broker/ready-index.ts';
import { Stored } from '../../../server/ports.ts';

function stored(seq: number): Stored {
  const message = new Stored();
  message.seq = seq;
  message.slab = seq % 7;
  message.offset = seq * 3;
  message.length = seq + 20;
  message.bodyBytes = seq;
  message.flags = seq % 8;
  message.deliveryCount = seq % 5;
  message.deadline = seq % 3 === 0 ? 1_000 + seq : 0;
  message.priority = 4;
  return message;
}

type Step =
  | { kind: 'push'; gap: number }
  | { kind: 'shift' }
  | { kind: 'giveBack'; pick: number }
  | { kind: 'take'; pick: number }
  | { kind: 'clear' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('push' as const), gap: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('shift' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('giveBack' as const), pick: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

test('the index holds what a sorted list holds, in the same order, whatever is pushed, shifted, given back or taken', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const index = new ReadyIndex(4);
      let model: number[] = [];
      const out: number[] = [];
      let next = 1;
      const into = new Stored();
      for (const each of steps) {
        if (each.kind === 'push') {
          next += each.gap;
          index.push(stored(next));
          model.push(next);
        } else if (each.kind === 'shift' && model.length > 0) {
          expect(index.peek(into)).toBe(true);
          expect(into).toEqual(stored(model[0] as number));
          index.shift();
          out.push(model.shift() as number);
        } else if (each.kind === 'giveBack' && out.length > 0) {
          const [seq] = out.splice(each.pick % out.length, 1) as [number];
          index.giveBack(stored(seq));
          model = [...model, seq].sort((a, b) => a - b);
        } else if (each.kind === 'take' && model.length > 0) {
          const [seq] = model.splice(each.pick % model.length, 1) as [number];
          expect(index.take(seq, into)).toBe(true);
          expect(into).toEqual(stored(seq));
          expect(index.take(seq, into)).toBe(false);
        } else if (each.kind === 'clear') {
          index.clear();
          model = [];
        }
        expect(index.count).toBe(model.length);
      }
      const seen: number[] = [];
      index.forEach((message) => seen.push(message.seq));
      expect(seen).toEqual(model);
      for (const seq of model) {
        expect(index.peek(into)).toBe(true);
        expect(into.seq).toBe(seq);
        index.shift();
      }
      expect(index.peek(into)).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test('a long index of thousands keeps its order over its chunks', () => {
  const index = new ReadyIndex(0);
  const into = new Stored();
  for (let seq = 1; seq <= 5_000; seq++) index.push(stored(seq));
  for (let seq = 2; seq <= 5_000; seq += 2) expect(index.take(seq, into)).toBe(true);
  for (let seq = 1; seq <= 5_000; seq += 2) {
    expect(index.peek(into)).toBe(true);
    expect(into.seq).toBe(seq);
    index.shift();
  }
  expect(index.count).toBe(0);
});

test('takeDue takes the oldest while it is due and never one without a deadline', () => {
  const index = new ReadyIndex(0);
  const into = new Stored();
  for (const seq of [3, 6, 7]) index.push(stored(seq)); // deadlines 1003, 1006, none
  expect(index.takeDue(1_002, into)).toBe(false);
  expect(index.takeDue(1_010, into)).toBe(true);
  expect(into.seq).toBe(3);
  expect(index.takeDue(1_010, into)).toBe(true);
  expect(index.takeDue(9_999, into)).toBe(false);
  expect(index.count).toBe(1);
});
