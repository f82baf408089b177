// Rows over the WebSocket: raw frames in large messages, the client API, and one frame a message, each against the echo next to it.
// Always: (1) this process is the load generator, broker and echo server are processes of their own; (2) a run of the baseline and a run
// of the subject alternate, and the ratio is taken pair by pair; (3) the generator's own ceiling stands beside the result.

import { openClient } from './client-lane.ts';
import { against, once, type Subject } from './pairs.ts';
import { startBroker, startEcho } from './processes.ts';
import { openEcho, openQueue, type Parcel, parcel } from './raw-lanes.ts';
import type { Effort, Figure, Row } from './row.ts';

const BODY_BYTES = 100;
const MESSAGE_BYTES = 16_384;
const QUEUE = 'bench';

async function measure(effort: Effort, load: Parcel, subject: (brokerUrl: string) => Subject): Promise<Figure> {
  const echo = await startEcho();
  try {
    const broker = await startBroker();
    try {
      return await against(effort, { baseline: once(() => openEcho(echo.url, load)), subject: subject(broker.url), name: 'echo' });
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
