// The demo's own exchanges and queues at the broker: cleared, declared anew, and sampled.
// Always: (1) only names that start with `demo.` are touched; (2) queues are deleted before they are declared, so a run starts with counters
// at zero and the demo can run twice in a row; (3) after a run they stay, for whoever wants to look.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, connect, LeveretError, topology } from 'leveret-client';
import type { QueueCounts } from './ledger.ts';
import { isRecord } from './payloads.ts';
import { DEMO_NAMES, EXCHANGES, QUEUES, WORKED_QUEUES } from './plan.ts';

// Short enough that the end of the run is not waited for, long enough to cost the broker nothing.
export const SAMPLE_MS = 200;

/** A broker that cannot be reached, with what to do about it. */
export class Unreachable extends Error {}

/** Connects once, without trying again: a demo without a broker should say so at once. */
export async function reach(url: string): Promise<Connection> {
  try {
    return await connect(url, { name: 'demo', reconnect: false });
  } catch (error) {
    if (error instanceof LeveretError && error.code === 'DISCONNECTED') {
      throw new Unreachable(`no broker answers at ${url}: start it with npm start, or name another with -- --url ws://HOST:PORT/ws`, {
        cause: error,
      });
    }
    throw error;
  }
}

export async function setStage(connection: Connection, url: string): Promise<void> {
  const known = new Set(Object.keys(QUEUES));
  for (const { queue } of await sample(connection)) known.add(queue);
  for (const queue of known) await connection.queue(queue).delete();
  for (const exchange of Object.keys(EXCHANGES)) await connection.deleteExchange(exchange);
  // The client declares a topology when it connects.
  const declaring = await connect(url, { name: 'demo-stage', topology: topology({ exchanges: EXCHANGES, queues: QUEUES }) });
  await declaring.close();
}

/** The broker's counters of all queues of the demo, at one instant. */
export async function sample(connection: Connection): Promise<QueueCounts[]> {
  const { queues } = await connection.call('stats', { queues: DEMO_NAMES });
  if (!Array.isArray(queues) || !queues.every(isQueueCounts))
    throw new Error('the broker answered stats with something else than a sample');
  return queues;
}

/** Samples until every worked queue is empty and nothing moves; tells each sample. Ends early when `signal` aborts. */
export async function settle(connection: Connection, tell: (counts: QueueCounts[]) => void, signal: AbortSignal): Promise<void> {
  let before = '';
  while (!signal.aborted) {
    const counts = await sample(connection);
    tell(counts);
    const now = JSON.stringify(counts);
    if (now === before && counts.every(isDone)) return;
    before = now;
    await sleep(SAMPLE_MS);
  }
}

function isDone({ queue, ready, unacked, deadLetterWaiting }: QueueCounts): boolean {
  return unacked === 0 && deadLetterWaiting === 0 && (ready === 0 || !WORKED_QUEUES.has(queue));
}

function isQueueCounts(value: unknown): value is QueueCounts {
  if (!isRecord(value) || typeof value['queue'] !== 'string' || !isRecord(value['counts'])) return false;
  const { ready, unacked, deadLetterWaiting } = value;
  const { published, acked, deadLettered, expired, dropped, purged } = value['counts'];
  const numbers = [ready, unacked, deadLetterWaiting, published, acked, deadLettered, expired, dropped, purged];
  return numbers.every((number) => typeof number === 'number');
}
