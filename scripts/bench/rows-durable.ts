// Rows of what is confirmed after fdatasync: publishes against a bare append loop, the whole way to the ack against the same in memory, one
// body to 100 queues against 100 bodies.
// Always: (1) broker and append loop write to the same directory, on a disk; (2) their runs alternate, and the ratio is taken pair by pair; (3)
// the same number is in flight on both sides, so group commit finds batches of the same size: the note says which.

import { join } from 'node:path';
import { type DataPlace, withDataPlace } from './data-place.ts';
import { startDurable, withQueues } from './durable-broker.ts';
import { RECORD_BYTES } from './durable-ends.ts';
import { openAppend, openAppendWs, openFlow, openPublish, type PublishRun } from './durable-lanes.ts';
import { publishFrame, type StockOptions } from './frame-stock.ts';
import type { Run } from './load.ts';
import { against, once, type Subject } from './pairs.ts';
import { startAppend } from './processes.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const BODY_BYTES = 1_024;
const FLOW_WINDOW = 1_000;
const FAN_OUT_QUEUES = 100;
const FAN_OUT_BODY_BYTES = 65_536;
const FAN_OUT_WINDOW = 64; // 4 MiB of bodies in flight
const SEPARATE_WINDOW = 2 * FAN_OUT_QUEUES; // while one round of 100 is stored the next is on its way; 13 MB, within a publisher's credit

/** A broker on `place` for as long as `work` takes. */
async function withBroker(work: (url: string, place: DataPlace) => Promise<Figure>): Promise<Figure> {
  return withDataPlace(async (place) => {
    const broker = await startDurable(join(place.directory, 'data'));
    try {
      const figure = await work(broker.url, place);
      return { ...figure, note: `${figure.note}; on ${place.fileSystem}` };
    } finally {
      await broker.stop();
    }
  });
}

const toDurable = (queue: string): PublishRun => ({
  bodyBytes: BODY_BYTES,
  persistent: true,
  targets: [{ exchange: '', key: queue }],
  window: FLOW_WINDOW,
});

const perSync = (runs: readonly Run[]): string => display(median(runs.map((run) => run.messages / (run.answers ?? run.messages))));

function publishRow(window: number): Row {
  const queue = `durable-${window}`;
  return {
    name: `durable-${window}`,
    what: `durable 1 KiB publishes, confirmed, ${window.toLocaleString('en-US')} in flight; against a bare loop of append and fdatasync`,
    unit: 'of append loop',
    target: { at: 'least', value: 0.6 },
    measure: (effort) =>
      withBroker((url, place) =>
        withAppend(place, queue, async ({ append, overwrite, ws }) =>
          against(effort, {
            name: 'append loop',
            baseline: once(() => openAppend(append, window)),
            subject: withOwnQueues(url, [queue], true, () => openPublish(url, { ...toDurable(queue), window })),
            asides: [
              { name: 'one that overwrites 64 MiB', subject: once(() => openAppend(overwrite, window)) },
              { name: 'the same behind bare ws', subject: once(() => openAppendWs(ws, window, frames(queue))) },
            ],
            note: (subjects, baselines) => `messages a confirm ${perSync(subjects)}, records a sync ${perSync(baselines)}`,
          }),
        ),
      ),
  };
}

const frames = (queue: string): StockOptions => ({ ...toDurable(queue), handle: 1 });

interface Loops {
  readonly append: string;
  readonly overwrite: string;
  readonly ws: string;
}

/** The bare loops, fed with records by a socket, and one with the broker's own frames by a WebSocket. */
async function withAppend(place: DataPlace, queue: string, work: (urls: Loops) => Promise<Figure>): Promise<Figure> {
  const options = frames(queue);
  const frameBytes = publishFrame({ exchange: '', key: queue }, options).length;
  const started = [
    startAppend(join(place.directory, 'append-tcp'), 'tcp', RECORD_BYTES, 'append'),
    startAppend(join(place.directory, 'overwrite-tcp'), 'tcp', RECORD_BYTES, 'overwrite'),
    startAppend(join(place.directory, 'overwrite-ws'), 'ws', frameBytes, 'overwrite'),
  ] as const;
  try {
    const [append, overwrite, ws] = await Promise.all(started);
    return await work({ append: append.url, overwrite: overwrite.url, ws: ws.url });
  } finally {
    for (const loop of await Promise.allSettled(started)) if (loop.status === 'fulfilled') await loop.value.stop();
  }
}

/** A subject that finds its queues empty and takes them away. */
function withOwnQueues(
  url: string,
  queues: readonly string[],
  durable: boolean,
  open: Parameters<typeof once>[0],
  fanout?: string,
): Subject {
  const setting = fanout === undefined ? { queues, durable } : { queues, durable, fanout };
  return { run: (length) => withQueues(url, setting, () => once(open).run(length)) };
}

function flow(effort: Effort): Promise<Figure> {
  const lane = (url: string, durable: boolean): Subject => {
    const queue = durable ? 'flow-durable' : 'flow-transient';
    const run = { ...toDurable(queue), persistent: durable, queue, prefetch: FLOW_WINDOW };
    return withOwnQueues(url, [queue], durable, () => openFlow(url, run));
  };
  return withBroker((url) => against(effort, { name: 'transient', baseline: lane(url, false), subject: lane(url, true) }));
}

function fanOut(effort: Effort): Promise<Figure> {
  const queues = Array.from({ length: FAN_OUT_QUEUES }, (_, i) => `fan-${i}`);
  const common = { bodyBytes: FAN_OUT_BODY_BYTES, persistent: true };
  return withBroker((url) => {
    const one = { ...common, targets: [{ exchange: 'fan', key: '' }], window: FAN_OUT_WINDOW };
    const separate = { ...common, targets: queues.map((key) => ({ exchange: '', key })), window: SEPARATE_WINDOW, size: FAN_OUT_QUEUES };
    return against(effort, {
      name: 'published one by one',
      baseline: withOwnQueues(url, queues, true, () => openPublish(url, separate)),
      subject: withOwnQueues(url, queues, true, () => openPublish(url, one), 'fan'),
      each: { baseline: 1, subject: FAN_OUT_QUEUES },
    });
  });
}

export const durableRows: readonly Row[] = [
  ...[1, 10, 100, 1_000].map(publishRow),
  {
    name: 'durable-flow',
    what: 'durable 1 KiB: publish, confirm, deliver, ack, 1,000 in flight; against the same transient',
    unit: 'of transient',
    target: { at: 'least', value: 0.5 },
    measure: flow,
  },
  {
    name: 'durable-fan-out',
    what: 'one 64 KiB publish to 100 durable queues, against 100 publishes: messages enqueued a second',
    unit: 'times',
    target: { at: 'least', value: 20 },
    measure: fanOut,
  },
];
