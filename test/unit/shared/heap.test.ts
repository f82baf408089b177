// The binary heap against a sorted list.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Heap } from '../../../shared/heap.ts';

const before = (a: number, b: number): boolean => a < b;

describe('a heap', () => {
  test('gives the first of what it holds, at every moment', () => {
    const step = fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new Heap(before);
        const held: number[] = [];
        for (const value of steps) {
          if (value === undefined) {
            expect(heap.pop()).toBe(held.shift());
          } else {
            heap.push(value);
            held.push(value);
            held.sort((a, b) => a - b);
          }
          expect(heap.peek()).toBe(held[0]);
          expect(heap.size).toBe(held.length);
        }
      }),
    );
  });

  test('is empty after clear', () => {
    const heap = new Heap(before);
    heap.push(2);
    heap.push(1);
    heap.clear();
    expect([heap.size, heap.peek(), heap.pop()]).toEqual([0, undefined, undefined]);
  });
});
