// The seeds of the simulation, in shards that run side by side: nothing confirmed is lost, nothing settled comes back, and every seed repeats itself.
// SIM_SEED=n runs that seed alone, with its trace in SIM_TRACE; SIM_RUNS=n says how many. Seeds that once failed stand in test/seeds.json.

import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import known from '../seeds.json' with { type: 'json' };
import { World } from './world.ts';

const RUNS = Number(process.env['SIM_RUNS'] ?? 2_000);
const ONE = process.env['SIM_SEED'];
const TRACE_FILE = process.env['SIM_TRACE'];
const FIRST = Number(process.env['SIM_FIRST'] ?? 1);

/** What must have happened somewhere: what is never reached is not proven. */
const REACHED = [
  ...['attempt', 'confirmed', 'delivered', 'acked', 'returned', 'discarded', 'dropped', 'gone', 'synced', 'counted', 'transaction'],
  ...['killed power', 'killed kill', 'stopped power', 'stopped kill', 'fault', 'no start', 'blocked', 'segments'],
];

async function check(seed: number, tally: Map<string, number>): Promise<void> {
  const outcome = await new World(seed).run();
  if (TRACE_FILE !== undefined) writeFileSync(TRACE_FILE, `${outcome.trace.join('\n')}\n`);
  expect(outcome.complaints, `SIM_SEED=${seed}`).toEqual([]);
  const again = await new World(seed).run();
  expect(again.traceHash, `SIM_SEED=${seed} does not repeat`).toBe(outcome.traceHash);
  for (const [what, count] of outcome.tally) tally.set(what, (tally.get(what) ?? 0) + count);
}

/** The test of every seed whose number leaves `shard` when divided by `shards`. */
export function testSeeds(shard: number, shards: number): void {
  const which = ONE === undefined ? `${RUNS} seeds, part ${shard + 1} of ${shards}` : `SIM_SEED=${ONE}`;
  const isOurs = (seed: number): boolean => seed % shards === shard;
  test(
    `nothing confirmed is lost under any seed, and each repeats itself (${which})`,
    async () => {
      const tally = new Map<string, number>();
      const seeds = ONE === undefined ? [...known, ...Array.from({ length: RUNS }, (_, i) => FIRST + i)] : [Number(ONE)];
      for (const seed of seeds.filter(isOurs)) await check(seed, tally);
      if (ONE === undefined && RUNS >= 1_000) expect(REACHED.filter((what) => (tally.get(what) ?? 0) < RUNS / shards / 50)).toEqual([]);
    },
    60_000 + RUNS * 1_000,
  );
}
