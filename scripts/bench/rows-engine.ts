// Rows inside one process: the engine without a socket, its memory, and how fast broker and embedded broker come up.
// Always: each run has a fresh process, so that no row inherits another's heap or compiled code.

import { pause } from './load.ts';
import { residentBytes } from './process-figures.ts';
import { runEngine, startBroker } from './processes.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

/** Runs an engine row `rounds` times; `pick` makes one figure of what a run printed. */
async function runs(
  effort: Effort,
  row: string,
  numbers: readonly number[],
  pick: (printed: readonly number[]) => number,
): Promise<number[]> {
  const values: number[] = [];
  for (let round = 0; round < effort.rounds; round++) values.push(pick(await runEngine(row, ...numbers)));
  return values;
}

const at = (printed: readonly number[], index: number): number => {
  const value = printed[index];
  if (value === undefined) throw new Error(`the engine printed no number ${index}`);
  return value;
};

async function topic(effort: Effort): Promise<Figure> {
  const printed: number[][] = [];
  for (let round = 0; round < effort.rounds; round++) printed.push(await runEngine('topic', effort.messages));
  const one = median(printed.map((run) => at(run, 0)));
  const thousand = median(printed.map((run) => at(run, 1)));
  return {
    value: median(printed.map((run) => at(run, 1) / at(run, 0))),
    note: `${display(thousand)} us a publish with 1,000 bindings, ${display(one)} us with one`,
  };
}

async function rights(effort: Effort): Promise<Figure> {
  const printed: number[][] = [];
  for (let round = 0; round < effort.rounds; round++) printed.push(await runEngine('rights', effort.messages));
  const ratio = (index: number): number => median(printed.map((run) => at(run, index) / at(run, 0)));
  const [all, patterns, topics] = [ratio(1), ratio(2), ratio(3)];
  const unchecked = median(printed.map((run) => at(run, 0)));
  return {
    value: Math.max(all, patterns, topics),
    note: `of ${display(unchecked)} us a publish: ${display(all)} with all rights, ${display(patterns)} with patterns, ${display(topics)} with patterns and topic permissions`,
  };
}

async function memory(effort: Effort): Promise<Figure> {
  const printed = await runEngine('memory', effort.queued);
  const [held, run] = [at(printed, 0), at(printed, 1)];
  return { value: held - run, note: `${display(held)} bytes each with ${display(effort.queued)} queued; the message itself is ${run}` };
}

async function start(effort: Effort): Promise<Figure> {
  const readyMs: number[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    const broker = await startBroker();
    readyMs.push(broker.readyMs);
    await broker.stop();
  }
  return { value: median(readyMs), note: `from spawn to listening; slowest ${display(Math.max(...readyMs))} ms` };
}

async function idle(effort: Effort): Promise<Figure> {
  const broker = await startBroker();
  try {
    await pause(effort.runMs);
    return { value: residentBytes(broker.process.pid ?? 0) / 1e6, note: `resident ${display(effort.runMs)} ms after start` };
  } finally {
    await broker.stop();
  }
}

async function embedded(effort: Effort): Promise<Figure> {
  const printed: number[][] = [];
  for (let round = 0; round < effort.rounds; round++) printed.push(await runEngine('embedded'));
  return {
    value: median(printed.map((run) => at(run, 0))),
    note: `createBroker() and connect(); importing it takes ${display(median(printed.map((run) => at(run, 1))))} ms before that`,
  };
}

export const engineRows: readonly Row[] = [
  {
    name: 'engine',
    what: 'in process: publish, route, enqueue, deliver 16 bytes',
    unit: 'us a message',
    target: { at: 'most', value: 1 },
    measure: async (effort) => {
      const values = await runs(effort, 'publish', [effort.messages], (printed) => at(printed, 0));
      return { value: median(values), note: `best ${display(Math.min(...values))}, worst ${display(Math.max(...values))}` };
    },
  },
  {
    name: 'topic',
    what: 'a publish with 1,000 topic bindings against one binding, 1,000 keys in turn',
    unit: 'times',
    target: { at: 'most', value: 1.2 },
    measure: topic,
  },
  {
    name: 'rights',
    what: 'the same publish again by a user whose rights are checked, against one by the process itself',
    unit: 'times',
    target: { at: 'most', value: 1.1 },
    measure: rights,
  },
  {
    name: 'fan-out',
    what: 'a 64 KiB message to 100 queues: bytes the log holds',
    unit: 'bodies',
    target: { at: 'most', value: 1.1 },
    measure: async () => ({ value: at(await runEngine('fan-out', 300), 0), note: '300 messages, 30,000 references' }),
  },
  {
    name: 'memory',
    what: 'a queued 100-byte transient message, beyond its own bytes',
    unit: 'bytes',
    target: { at: 'most', value: 48 },
    measure: memory,
  },
  { name: 'start', what: 'leveret start until it listens', unit: 'ms', target: { at: 'most', value: 500 }, measure: start },
  { name: 'idle', what: 'resident memory of an idle broker', unit: 'MB', target: { at: 'most', value: 90 }, measure: idle },
  { name: 'embedded', what: 'createBroker() until it serves', unit: 'ms', target: { at: 'most', value: 50 }, measure: embedded },
];
