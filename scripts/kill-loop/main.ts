// The kill loop by hand: `node scripts/dist/scripts/kill-loop/main.js --rounds 1000 --seed 1 --data-dir DIR`. docs/durability.md tells what it proves.
// Always: exit code 0 only when nothing was lost; the last line has the totals. Refuses: a data directory that has something in it.

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '../demo/chance.ts';
import { shimFrom } from './broker-process.ts';
import { KillLoop, type LoopResult } from './loop.ts';

const USAGE = `node scripts/dist/scripts/kill-loop/main.js [options]
  --rounds N       how often the broker is killed (1000)
  --epoch N        rounds between two drains (25)
  --load-ms N      the longest load of a round (600)
  --seed N         which load, which moments (1)
  --data-dir DIR   where the broker keeps its data: empty or not there (a temporary directory)
  --memory         a broker that keeps nothing: shows that a loss is seen`;

const COMPLAINTS_SHOWN = 40;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '1000' },
      epoch: { type: 'string', default: '25' },
      'load-ms': { type: 'string', default: '600' },
      seed: { type: 'string', default: '1' },
      'data-dir': { type: 'string' },
      memory: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    print(USAGE);
    return 0;
  }
  const given = values['data-dir'];
  if (given !== undefined && existsSync(given) && readdirSync(given).length > 0) {
    print(`${given} is not empty: the loop wants a data directory of its own`);
    return 64;
  }
  const directory = given ?? mkdtempSync(join(tmpdir(), 'leveret-kill-'));
  const startedAt = Date.now();
  const loop = new KillLoop({
    shim: shimFrom(import.meta.url, '../../../../'),
    dataDirectory: values.memory ? undefined : directory,
    rounds: positive('--rounds', values.rounds),
    epochRounds: positive('--epoch', values.epoch),
    loadMsMax: positive('--load-ms', values['load-ms']),
    random: seededRandom(positive('--seed', values.seed)),
    progress: (line) => print(`${Math.round((Date.now() - startedAt) / 1000)} s  ${line}`),
  });
  const result = await loop.run();
  for (const complaint of result.complaints.slice(0, COMPLAINTS_SHOWN)) print(`WRONG  ${complaint}`);
  if (result.complaints.length > 0) print(`the data directory is left in ${directory}; seed ${values.seed}`);
  else if (given === undefined) rmSync(directory, { recursive: true, force: true });
  print(total(result));
  return result.complaints.length === 0 ? 0 : 1;
}

function total(result: LoopResult): string {
  const { rounds, kills, recoveryKills, pauses, stops, attempts, confirmed, delivered, redelivered, drained, complaints } = result;
  const lost = complaints.filter((complaint) => complaint.endsWith(': lost')).length;
  return (
    `${rounds} rounds, ${kills} kills, ${recoveryKills} during recovery, ${pauses} pauses, ${stops} orderly stops; ` +
    `${attempts} attempts, ${confirmed} confirmed, ${delivered + drained} delivered, ${redelivered} redelivered; ` +
    `${lost} lost, ${complaints.length - lost} other complaints`
  );
}

function positive(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new Error(`${flag} ${text}: a whole number from 1 on is wanted`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
