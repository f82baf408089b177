// The broker against the reference model: random commands, compared after every one.
// MODEL_RUNS=5000 runs longer, MODEL_SEED=n repeats a run; a failure prints its seed and the shrunk commands.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TestBroker, type TestBrokerOptions } from '../support/broker.ts';
import { type Command, commands } from './commands.ts';
import { ModelRun } from './model-run.ts';
import { topicMatches } from './topic-matches.ts';

const RUNS = Number(process.env['MODEL_RUNS'] ?? 250);
const SEED = process.env['MODEL_SEED'];

/** Every rule of the model must have been at work. */
const RULES = [
  ...[
    'delivered',
    'redelivered',
    'got',
    'refused',
    'returned',
    'auto-deleted',
    'settled after the queue went',
    'taken by the next single consumer',
  ],
  ...['ack', 'ack of several', 'requeue', 'requeue of several', 'discard', 'discard of several', 'release', 'release of several'],
  ...['expired', 'rejected', 'maxlen', 'delivery_limit', 'dead-lettered', 'dead-lettered nowhere', 'died again', 'cycle'],
];

const tally = new Map<string, number>();

async function runs(list: readonly Command[], options: TestBrokerOptions): Promise<number> {
  const broker = new TestBroker(options);
  const run = await ModelRun.begin(broker);
  let isSaid = true;
  for (const one of list) {
    isSaid = await run.step(one);
    if (!isSaid) break;
  }
  if (isSaid) await run.end();
  expect(await broker.end(), 'left over or gone wrong').toEqual([]);
  for (const [rule, count] of run.tally) tally.set(rule, (tally.get(rule) ?? 0) + count);
  return run.compared;
}

async function agrees(options: TestBrokerOptions): Promise<void> {
  let compared = 0;
  let drawn = 0;
  const property = fc.asyncProperty(commands, async (list) => {
    drawn += list.length;
    compared += await runs(list, options);
  });
  await fc.assert(property, { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) });
  // a model that mostly gives up would pass and prove nothing
  expect(compared / drawn, 'part of the commands that were compared').toBeGreaterThan(0.5);
}

describe('any commands in any order', () => {
  const limitMs = 10_000 + RUNS * 1_000;
  test('the broker does what the model does', () => agrees({}), limitMs);
  test('the broker does what the model does when every read of a message comes later', () => agrees({ defersReads: true }), limitMs);

  test('every rule of the model was at work', () => {
    // a dozen runs by hand need not meet each
    if (RUNS >= 200) expect(RULES.filter((rule) => !tally.has(rule))).toEqual([]);
  });
});

describe('the model itself', () => {
  test('topic patterns of the specification', () => {
    const matched = ['a', 'a.b', 'b', '', 'a.b.c', '.'].filter((key) => topicMatches('#.b.#', key));
    expect(matched).toEqual(['a.b', 'b', 'a.b.c']);
    expect([topicMatches('#', ''), topicMatches('*', ''), topicMatches('audit.#', 'audit'), topicMatches('*.*', '.')]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });
});
