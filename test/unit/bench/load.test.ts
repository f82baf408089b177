// The benchmark's own judgement: a run that lost or doubled a message has no number, and figures are medians.

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Load } from '../../../scripts/bench/load.ts';
import { display, median, meets } from '../../../scripts/bench/row.ts';

const LENGTH = { runMs: 100, warmUpMs: 10 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A peer that answers 10 messages a millisecond later with what `answer` makes of them. */
function loadAgainst(answer: (sent: number) => number): Load {
  let sent = 0;
  const load: Load = new Load({ size: 10, send: () => void setTimeout(() => load.received(answer((sent += 10))), 1) }, 100);
  return load;
}

async function run(load: Load): Promise<unknown> {
  const running = load.run(LENGTH).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  return running;
}

test('a run counts what came back between warm-up and end', async () => {
  expect(await run(loadAgainst(() => 10))).toMatchObject({ messages: 10_000, perSecond: 100_000 });
});

test('a run that lost a message fails', async () => {
  expect(String(await run(loadAgainst((sent) => (sent === 500 ? 9 : 10))))).toMatch(/messages went, only \d+ came back/);
});

test('a run that got a message twice fails', async () => {
  expect(String(await run(loadAgainst((sent) => (sent === 500 ? 11 : 10))))).toMatch(/messages went, \d+ came back/);
});

test('a run whose connection is lost fails with the reason', async () => {
  const load = loadAgainst(() => 10);
  setTimeout(() => load.failed('closed with 4506'), 50);
  expect(String(await run(load))).toContain('closed with 4506');
});

test('a median lies between its neighbours, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }), { minLength: 1 }), (values) => {
      const middle = median(values);
      expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(values.length / 2);
      expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(values.length / 2);
      expect(median([...values].reverse())).toBe(middle);
    }),
  );
  expect(() => median([])).toThrow('at least one run');
});

test('a target is met at its bound', () => {
  expect(meets({ at: 'most', value: 1 }, 1)).toBe(true);
  expect(meets({ at: 'most', value: 1 }, 1.01)).toBe(false);
  expect(meets({ at: 'least', value: 0.4 }, 0.4)).toBe(true);
  expect(meets({ at: 'least', value: 0.4 }, 0.39)).toBe(false);
});

test('figures are shown with three digits, large ones whole', () => {
  expect([1_234_567.8, 0.412_37, 48, 999.6].map(display)).toEqual(['1,234,568', '0.412', '48', '1000']);
});
