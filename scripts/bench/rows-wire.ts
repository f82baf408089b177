// Rows over the WebSocket: raw frames in large messages, the client API, and one frame a message, each against the echo next to it.
// Always: (1) this process is the load generator, broker and echo server are processes of their own; (2) a run of the baseline and a run
// of the subject alternate, and the ratio is taken pair by pair; (3) the generator's own ceiling stands beside the result.

import { openClient } from './client-lane.ts';
import type { Run, RunLength } from './load.ts';
import { startBroker, startEcho } from './processes.ts';
import { openEcho, openQueue, type Parcel, parcel } from './raw-lanes.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const BODY_BYTES = 100;
const MESSAGE_BYTES = 16_384;
const QUEUE = 'bench';

interface Subject {
  run(length: RunLength): Promise<Run>;
}

/** Opens a subject, uses it once, closes it: no run inherits a connection or a queue from the one before. */
const once = (open: () => Promise<{ readonly load: Subject; close(): Promise<void> }>): Subject => ({
  async run(length) {
    const opened = await open();
    const run = await opened.load.run(length);
    await opened.close();
    return run;
  },
});

async function against(effort: Effort, baseline: Subject, subject: Subject): Promise<Figure> {
  const ratios: number[] = [];
  const rates: number[] = [];
  const echoes: number[] = [];
  const ceilings: number[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    const echo = await baseline.run(effort);
    const run = await subject.run(effort);
    echoes.push(echo.perSecond);
    rates.push(run.perSecond);
    ratios.push(run.perSecond / echo.perSecond);
    ceilings.push(run.perSecond / run.busy);
  }
  const rate = median(rates);
  const ceiling = median(ceilings);
  return {
    value: median(ratios),
    note: `${display(rate)} messages/s; echo ${display(median(echoes))}`,
    ceiling,
    generatorBound: ceiling < 1.2 * rate,
  };
}

async function measure(effort: Effort, load: Parcel, subject: (brokerUrl: string) => Subject): Promise<Figure> {
  const echo = await startEcho();
  try {
    const broker = await startBroker();
    try {
      return await against(
        effort,
        once(() => openEcho(echo.url, load)),
        subject(broker.url),
      );
    } finally {
      await broker.stop();
    }
  } finally {
    await echo.stop();
  }
}

const raw =
  (load: Parcel) =>
  (brokerUrl: string): Subject =>
    once(() => openQueue(brokerUrl, QUEUE, load));

export const wireRows: readonly Row[] = [
  {
    name: 'raw',
    what: 'pre-encoded frames, 100-byte bodies, 16 KiB messages: publish, queue, auto-ack consumer',
    unit: 'of echo',
    target: { at: 'least', value: 0.4 },
    measure: (effort) => {
      const load = parcel(QUEUE, BODY_BYTES, MESSAGE_BYTES);
      return measure(effort, load, raw(load));
    },
  },
  {
    name: 'client',
    what: 'the same through the client API, batches awaited',
    unit: 'of echo',
    target: { at: 'least', value: 0.1 },
    measure: (effort) => measure(effort, parcel(QUEUE, BODY_BYTES, MESSAGE_BYTES), (url) => once(() => openClient(url, QUEUE, BODY_BYTES))),
  },
  {
    name: 'single',
    what: 'one frame in each WebSocket message, and so the echo; deliveries come back in batches',
    unit: 'of echo',
    target: { at: 'least', value: 0.7 },
    measure: (effort) => {
      const load = parcel(QUEUE, BODY_BYTES, 1);
      return measure(effort, load, raw(load));
    },
  },
];
