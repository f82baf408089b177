// Rows of a start that finds something: how fast the log is read, when a broker with a backlog listens, and what ten million messages do to it.
// Always: (1) each start reads what a broker wrote and left, by kill -9 unless the note says otherwise; (2) every message is found again, or the row
// fails; (3) the files are in the page cache, as after a crash of the process alone: the row measures the broker, not the disk.

import { join } from 'node:path';
import { type DataPlace, withDataPlace } from './data-place.ts';
import { declareQueue, readyCount, recoveryNotice, startDurable } from './durable-broker.ts';
import { consumeCount, openPublish, type PublishRun, publishCount } from './durable-lanes.ts';
import { residentBytes } from './process-figures.ts';
import { type Child, runDurableEngine } from './processes.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const QUEUE = 'backlog';
const PREFETCH = 1_000;
const START_MS_MAX = 120_000;

const load = (bodyBytes: number, queue = QUEUE): PublishRun => ({
  bodyBytes,
  persistent: true,
  targets: [{ exchange: '', key: queue }],
  window: 1_000,
});

/** Leaves `messages` in a data directory; ends with kill -9, or in good order. */
async function fill(directory: string, messages: number, bodyBytes: number, isClean: boolean): Promise<void> {
  const broker = await startDurable(directory);
  try {
    await declareQueue(broker.url, QUEUE);
    await publishCount(broker.url, load(bodyBytes), messages);
  } finally {
    if (isClean) await broker.stop();
    else await broker.kill();
  }
}

/** Starts on what is there, lets `look` see the broker, and ends it. */
async function restart<Result>(directory: string, messages: number, look: (broker: Child) => Promise<Result>): Promise<Result> {
  const broker = await startDurable(directory, START_MS_MAX);
  try {
    const ready = await readyCount(broker.url, QUEUE);
    if (ready !== messages) throw new Error(`${ready} of ${messages} messages were recovered`);
    return await look(broker);
  } finally {
    await broker.stop();
  }
}

async function recovery(effort: Effort): Promise<Figure> {
  const messages = effort.backlog / 5; // 205 MiB in full: all in the WAL, nothing in segments
  const rates: number[] = [];
  const last: string[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    await withDataPlace(async (place) => {
      const directory = join(place.directory, 'data');
      await fill(directory, messages, 1_024, false);
      await restart(directory, messages, async ({ written, readyMs }) => {
        const { ms, bytes } = recoveryNotice(written());
        rates.push(bytes / 1e6 / (ms / 1_000));
        last[0] = `${display(bytes / 1e6)} MB in ${display(ms)} ms after kill -9, by the broker's own count; listens after ${display(readyMs)} ms`;
      });
    });
  }
  return { value: median(rates), note: last[0] ?? '' };
}

async function recoveryBacklog(effort: Effort): Promise<Figure> {
  const seconds = (bodyBytes: number, isClean: boolean): Promise<number> =>
    withDataPlace(async (place) => {
      const directory = join(place.directory, 'data');
      await fill(directory, effort.backlog, bodyBytes, isClean);
      return restart(directory, effort.backlog, async ({ readyMs }) => readyMs / 1_000);
    });
  const killed = await seconds(1_024, false);
  const stopped = await seconds(1_024, true);
  const small = await seconds(100, false);
  return {
    value: killed,
    note: `${display(effort.backlog)} messages of 1 KiB after kill -9; after a clean stop ${display(stopped)} s; of 100 bytes, after kill -9, ${display(small)} s`,
  };
}

/** Publish rate beside the backlog, and the rate at which its oldest million goes. */
async function atWork(effort: Effort, { url, process: { pid = 0 } }: Child, count: number): Promise<string> {
  const resident = residentBytes(pid) / 1e6;
  await declareQueue(url, 'other');
  const opened = await openPublish(url, load(1_024, 'other'));
  const { perSecond } = await opened.load.run(effort);
  await opened.close();
  const seconds = await consumeCount(url, QUEUE, PREFETCH, count);
  return [
    `resident after start ${display(resident)} MB`,
    `publishes beside it ${display(perSecond)}/s`,
    `the oldest ${display(count)} consumed and acked at ${display(count / seconds)}/s`,
  ].join('; ');
}

async function backlog(effort: Effort): Promise<Figure> {
  const messages = effort.longBacklog;
  return withDataPlace(async (place: DataPlace) => {
    const [index = Number.NaN, resident = 0, rateFirst = 0, rateLast = 0] = await runDurableEngine('backlog', place.directory, messages);
    const broker = await startDurable(join(place.directory, 'backlog'), START_MS_MAX);
    try {
      const ready = await readyCount(broker.url, QUEUE);
      const working = await atWork(effort, broker, messages / 10);
      return {
        value: index,
        note: [
          `${display(ready)} messages, ${display(resident)} bytes of resident memory each, cache included`,
          `published at ${display(rateFirst)}/s at first, ${display(rateLast)}/s at last`,
          `listens ${display(broker.readyMs / 1_000)} s after start`,
          working,
        ].join('; '),
      };
    } finally {
      await broker.stop();
    }
  });
}

export const recoveryRows: readonly Row[] = [
  {
    name: 'recovery',
    what: 'a start after kill -9: log read and checked',
    unit: 'MB/s',
    target: { at: 'least', value: 100 },
    measure: recovery,
  },
  {
    name: 'recovery-backlog',
    what: 'a start that finds a million waiting messages, until it listens',
    unit: 's',
    target: { at: 'most', value: 5 },
    measure: recoveryBacklog,
  },
  {
    name: 'backlog',
    what: 'ten million waiting durable 1 KiB messages: memory of each beyond the bounded cache',
    unit: 'bytes',
    target: { at: 'most', value: 32 },
    onlyByName: 'minutes, and 12 GB of disk',
    measure: backlog,
  },
];
