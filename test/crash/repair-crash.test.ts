// A repair that is interrupted at every one of its operations, by a kill and by a loss of power: the next one ends well, and with the same messages.

import { expect, test } from 'vitest';
import { repair } from '../../server/store/repair.ts';
import { DIRECTORY, type LeftDisk, LogBench, leftOf } from '../support/log-bench.ts';
import { newBench } from './crash-points.ts';

const processes = { self: '9 9', isAlive: () => false };

/** Runs a repair until it ends, or its machine does. */
async function run({ disk, time }: LeftDisk): Promise<string> {
  let ended: string | undefined;
  repair({ disk, directory: DIRECTORY, processes, confirm: () => true }).then(
    ({ movedTo, damages, kept }) => {
      ended = movedTo === undefined && damages.length > 0 ? 'refused' : `kept ${kept}`;
    },
    (error: unknown) => {
      ended = String(error);
    },
  );
  for (let ms = 0; ms < 20_000 && ended === undefined && !disk.isOff; ms++) {
    time.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return ended ?? 'interrupted';
}

function messagesOf(left: LeftDisk): string[] {
  const found = new LogBench(left, 1).recover();
  return found.messages.map(
    ({ queueNumber, stored, bytes }) =>
      `${queueNumber}:${stored.seq} ${stored.deliveryCount} ${Buffer.from(bytes ?? []).toString('base64')}`,
  );
}

/** A directory with segments and a WAL in which one record is bad. */
async function damaged(seed: number): Promise<LeftDisk> {
  const bench = newBench(seed);
  bench.begin();
  await bench.work(150);
  await bench.close();
  const left = leftOf(bench.disk, 'kill', seed);
  const wal = [...left.disk.contents()].filter(
    ([path, bytes]) => /\/wal\/\d{8}$/.test(path) && bytes.subarray(64, 2000).some((byte) => byte !== 0),
  );
  const [path, bytes] = wal.at(-1) ?? ['', new Uint8Array(0)];
  const changed = Uint8Array.from(bytes);
  changed[64 + 48 + 40] = (changed[64 + 48 + 40] ?? 0) ^ 0xff;
  left.disk.replace(path, changed);
  return left;
}

test.each([1, 2, 3])('an interrupted repair is made good by the next, wherever it was (seed %i)', { timeout: 120_000 }, async (seed) => {
  const origin = await damaged(seed);
  const whole = leftOf(origin.disk, 'kill', seed);
  expect(await run(whole)).toMatch(/^kept \d+$/);
  const operations = whole.disk.operations;
  const expected = messagesOf(leftOf(whole.disk, 'kill', seed));
  expect(expected.length).toBeGreaterThan(0);
  for (let at = 1; at <= operations; at++) {
    for (const how of ['kill', 'power'] as const) {
      const interrupted = leftOf(origin.disk, 'kill', seed);
      interrupted.disk.haltAfter(at);
      await run(interrupted);
      const again = leftOf(interrupted.disk, how, seed + at);
      const said = await run(again);
      expect(said, `${how} after ${at}`).toMatch(/^kept \d+$/);
      expect(messagesOf(leftOf(again.disk, 'power', seed)), `${how} after ${at}`).toEqual(expected);
    }
  }
});
