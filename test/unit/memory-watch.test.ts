// The alarm on the memory of the process: when it rises, when it falls, and what the limit is.

import { expect, test } from 'vitest';
import { MemoryWatch, memoryLimitBytes } from '../../server/memory-watch.ts';
import { VirtualClock } from '../support/clock.ts';

test('it rises above 60 % of the limit and falls a tenth below that, each told once', async () => {
  const clock = new VirtualClock();
  const told: [number, boolean][] = [];
  let used = 0;
  const watch = new MemoryWatch({
    clock,
    alarmPercent: 60,
    limitBytes: 1000,
    usedBytes: () => used,
    tell: (isOver) => void told.push([used, isOver]),
  });
  for (used of [600, 601, 700, 560, 541, 540, 100, 601]) await clock.advance(1000, async () => undefined);
  expect(told).toEqual([
    [601, true],
    [540, false],
    [601, true],
  ]);
  watch.close();
  expect(clock.pendingTimers).toBe(0);
});

test('the limit is that of the container, and never more than there is', () => {
  expect(memoryLimitBytes(256, 1000)).toBe(256);
  expect(memoryLimitBytes(0, 1000)).toBe(1000);
  expect(memoryLimitBytes(Number.MAX_SAFE_INTEGER, 1000)).toBe(1000);
  expect(memoryLimitBytes()).toBeGreaterThan(0);
});
