// The figure of resident memory when the system cannot say it.

import { expect, test } from 'vitest';
import { MemoryWatch } from '../../server/memory-watch.ts';
import { lastKnown, residentBytes } from '../../server/resident-memory.ts';
import { VirtualClock } from '../support/clock.ts';

test('a system that is out of file descriptors is taken to say what it said last, and the watch goes on', async () => {
  const clock = new VirtualClock();
  const said: (number | undefined)[] = [undefined, 700, undefined, 100];
  const usedBytes = lastKnown(() => {
    const figure = said.shift();
    if (figure === undefined) throw new Error('EMFILE: too many open files, uv_resident_set_memory');
    return figure;
  });
  const told: boolean[] = [];
  const watch = new MemoryWatch({ clock, alarmPercent: 60, limitBytes: 1000, usedBytes, tell: (isOver) => void told.push(isOver) });
  const seen: boolean[][] = [];
  for (let second = 0; second < 4; second++) {
    await clock.advance(1000);
    seen.push([...told]);
  }
  expect(seen).toEqual([[], [true], [true], [true, false]]);
  watch.close();
  expect(residentBytes()).toBeGreaterThan(0);
});
