// Rows of the durable log without sockets: what it writes for what it is given, what a waiting message costs in memory, and the measured reason for
// gathering survivors in one file.
// Always: each run has a fresh process and a fresh directory on a disk.

import { withDataPlace } from './data-place.ts';
import { runDurableEngine } from './processes.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const at = (printed: readonly number[], index: number): number => {
  const value = printed[index];
  if (value === undefined) throw new Error(`the engine printed no number ${index}`);
  return value;
};

const fresh = (row: string, ...numbers: number[]): Promise<readonly number[]> =>
  withDataPlace(({ directory }) => runDurableEngine(row, directory, ...numbers));

async function amplification(effort: Effort): Promise<Figure> {
  const printed = await fresh('amplification', effort.messages, 1_000);
  const alone = await fresh('amplification', Math.min(2_000, effort.messages), 1);
  const device = at(printed, 2) > 0 ? `, the device wrote ${display(at(printed, 2))} (for whoever)` : '';
  return {
    value: at(printed, 0),
    note: `1,000 in flight, ${display(effort.messages)} messages: the log's batches alone ${display(at(printed, 1))}${device}; one at a time ${display(at(alone, 1))}`,
  };
}

async function memory(effort: Effort): Promise<Figure> {
  const [index, resident, cache] = await fresh('memory', effort.backlog).then((printed) => [
    at(printed, 0),
    at(printed, 1),
    at(printed, 2),
  ]);
  return {
    value: index ?? Number.NaN,
    note: `${display(resident ?? 0)} bytes of resident memory each with ${display(effort.backlog)} waiting, cache of ${display((cache ?? 0) / 1e6)} MB included`,
  };
}

async function segments(effort: Effort): Promise<Figure> {
  const queues = 1_000;
  const one: number[] = [];
  const each: number[] = [];
  const { fileSystem } = await withDataPlace(async (place) => {
    for (let round = 0; round < effort.rounds; round++) {
      const printed = await runDurableEngine('segments', place.directory, queues);
      one.push(at(printed, 0));
      each.push(at(printed, 1));
    }
    return place;
  });
  return {
    value: median(each.map((ms, round) => ms / at(one, round))),
    note: `one file ${display(median(one))} ms, a file for each queue ${display(median(each))} ms; on ${fileSystem}`,
  };
}

export const storeRows: readonly Row[] = [
  {
    name: 'write-amplification',
    what: 'durable 1 KiB, consumed and acked at once: bytes written for a byte of body, acks included',
    unit: 'bytes',
    target: { at: 'most', value: 1.3 },
    measure: amplification,
  },
  {
    name: 'memory-durable',
    what: 'a waiting durable 1 KiB message: memory beyond the bounded cache',
    unit: 'bytes',
    target: { at: 'most', value: 32 },
    measure: memory,
  },
  {
    name: 'segments',
    what: 'bare: 32 MiB of survivors for 1,000 queues to 1,000 files with a sync each, against one file with one sync',
    unit: 'times slower',
    target: { at: 'least', value: 3 },
    measure: segments,
  },
];
