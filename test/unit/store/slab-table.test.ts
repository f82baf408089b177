// Slabs by number: names, buffers and the memory they take, against a plain account.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Slab } from '../../../server/store/log-file.ts';
import { SlabTable } from '../../../server/store/slab-table.ts';

const SLAB_BYTES = 64;
const steps = fc.array(
  fc.record({ do: fc.constantFrom('open', 'open', 'large', 'cold', 'drop', 'remove', 'remove'), pick: fc.nat({ max: 1_000 }) }),
  { maxLength: 80, size: 'max' },
);

test('a number names one slab until that is removed, and memory is what their buffers take', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const table = new SlabTable(SLAB_BYTES);
      const live = new Map<number, Slab>();
      const buffers = new Set<Buffer>();
      for (const { do: what, pick } of list) {
        const chosen = [...live.values()][pick % Math.max(1, live.size)];
        if (what === 'open' || what === 'large' || what === 'cold') {
          const slab = what === 'cold' ? table.openCold() : table.open(what === 'large' ? SLAB_BYTES + 1 + pick : 1 + (pick % SLAB_BYTES));
          expect(live.has(slab.number), 'a number that is in use').toBe(false);
          if (slab.bytes !== undefined) {
            expect(buffers.has(slab.bytes), 'a buffer that is in use').toBe(false);
            buffers.add(slab.bytes);
          }
          expect(slab.isOpen).toBe(what !== 'cold');
          live.set(slab.number, slab);
        } else if (chosen !== undefined) {
          if (chosen.bytes !== undefined) buffers.delete(chosen.bytes);
          if (what === 'drop') table.dropBytes(chosen);
          else {
            table.remove(chosen);
            live.delete(chosen.number);
          }
          expect(chosen.bytes).toBeUndefined();
        }
        for (const [number, slab] of live) expect(table.get(number)).toBe(slab);
        expect(table.memoryBytes).toBe([...buffers].reduce((sum, { length }) => sum + length, 0));
        expect([...table.warm]).toEqual([...live.values()].filter(({ bytes }) => bytes !== undefined).sort(byOpening(table)));
      }
    }),
    { numRuns: 40 },
  );
});

/** Oldest first is the order of the set itself: the same slabs are enough here. */
function byOpening(table: SlabTable): (a: Slab, b: Slab) => number {
  const order = [...table.warm];
  return (a, b) => order.indexOf(a) - order.indexOf(b);
}

test('slabs leave memory oldest first', () => {
  const table = new SlabTable(SLAB_BYTES);
  const slabs = [table.open(1), table.open(1), table.open(1)];
  table.dropBytes(slabs[0] as Slab);
  expect([...table.warm]).toEqual([slabs[1], slabs[2]]);
});

test('a buffer of the usual size is used again, a large one is not', () => {
  const table = new SlabTable(SLAB_BYTES);
  const usual = table.open(1);
  const large = table.open(SLAB_BYTES + 1);
  const [usualBytes, largeBytes] = [usual.bytes, large.bytes];
  table.remove(usual);
  table.remove(large);
  expect(table.open(SLAB_BYTES).bytes).toBe(usualBytes);
  expect(table.open(SLAB_BYTES + 1).bytes).not.toBe(largeBytes);
});

test('a slab that is gone is asked for in vain, and a buffer that is being written is not given back', () => {
  const table = new SlabTable(SLAB_BYTES);
  const slab = table.open(1);
  slab.writes = 1;
  expect(() => table.dropBytes(slab)).toThrow('no write reads a buffer that is given back');
  slab.writes = 0;
  table.remove(slab);
  expect(() => table.get(slab.number)).toThrow('a message lies in a slab that is there');
});
