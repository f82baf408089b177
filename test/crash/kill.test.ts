// kill -9 of the real binary under load, with an oracle outside (scripts/kill-loop), and the proof that the oracle sees a loss.
// KILL_ROUNDS=n kills more often, KILL_SEED=n draws other moments. By hand, and for longer: docs/durability.md.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { shimFrom } from '../../scripts/kill-loop/broker-process.ts';
import { KillLoop } from '../../scripts/kill-loop/loop.ts';
import { seeded } from '../support/sim-random.ts';

const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 30);
const SEED = Number(process.env['KILL_SEED'] ?? 1);
const SHIM = shimFrom(import.meta.url, '../../');
const MINUTE = 60_000;

test(
  'a broker that is killed at any moment loses nothing that it confirmed',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'leveret-kill-'));
    const random = seeded(SEED);
    const loop = new KillLoop({ shim: SHIM, dataDirectory: directory, rounds: ROUNDS, epochRounds: 10, random, loadMsMax: 400 });
    const { complaints, kills, recoveryKills, confirmed } = await loop.run();
    // what is wrong stays where it can be looked at
    expect(complaints, `KILL_SEED=${SEED}, ${directory}`).toEqual([]);
    rmSync(directory, { recursive: true });
    expect(kills + recoveryKills).toBeGreaterThan(ROUNDS / 2);
    expect(confirmed).toBeGreaterThan(0);
  },
  MINUTE + ROUNDS * 10_000,
);

test(
  'a broker that keeps nothing is caught',
  async () => {
    const loop = new KillLoop({ shim: SHIM, dataDirectory: undefined, rounds: 8, epochRounds: 8, random: seeded(3), loadMsMax: 400 });
    const { complaints } = await loop.run();
    expect(complaints.filter((complaint) => complaint.endsWith(': lost'))).not.toEqual([]);
  },
  MINUTE,
);
