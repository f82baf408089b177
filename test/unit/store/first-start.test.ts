// The first start on a disk that fails once: whatever it leaves, the next start makes whole, and a power loss after that takes nothing.

import { expect, test } from 'vitest';
import { openDirectory } from '../../../server/store/opening.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

const OPERATIONS_MAX = 200;
const CHANCES = 8;

function start(disk: SimDisk): void {
  const processes = { self: '1 1', isAlive: () => false };
  const refuse = (damage: { text: string }): void => {
    throw new Error(damage.text);
  };
  openDirectory(disk, 'data', processes, { notice: () => undefined }, refuse).lock.release();
}

test('a directory whose making failed anywhere is made by the next start, for good', () => {
  let failures = 0;
  for (let at = 1; at <= OPERATIONS_MAX; at++) {
    for (let seed = 1; seed <= CHANCES; seed++) {
      const fail = { at, code: 'EIO', onwards: false };
      const first = new SimDisk({ random: seeded(seed * 1_000 + at), schedule: () => undefined, faults: { fail } });
      try {
        start(first);
        continue;
      } catch {
        failures++;
      }
      const second = first.kill();
      start(second);
      expect(second.powerLoss().existsNow('data/format'), `operation ${at}, chance ${seed}`).toBe(true);
    }
  }
  expect(failures).toBeGreaterThan(CHANCES * 10);
});
