// A broker with a data directory, and what a row does around a run: queues made before, taken away after, its own word on recovery.
// Always: (1) queues are durable unless a row says transient; (2) no run finds messages of the run before; (3) a missing `recovered` notice is an
// error, for its figures are the row's.

import { type Child, startBroker } from './processes.ts';
import { openSession } from './raw-lanes.ts';
import type { RawSocket } from './raw-socket.ts';

export function startDurable(directory: string, readyMsMax?: number): Promise<Child> {
  return startBroker(['--data-dir', directory], readyMsMax);
}

/** Declares `queues`, bound to `exchange` if given, for as long as `work` takes; then deletes them. */
export async function withQueues<Result>(
  url: string,
  setting: { readonly queues: readonly string[]; readonly durable: boolean; readonly fanout?: string },
  work: () => Promise<Result>,
): Promise<Result> {
  const session = await openSession(url);
  await declareQueues(session, setting.queues, setting.durable);
  const { fanout } = setting;
  if (fanout !== undefined) {
    await session.request('exchange.declare', { exchange: fanout, type: 'fanout', durable: setting.durable });
    await Promise.all(setting.queues.map((queue) => session.request('queue.bind', { queue, exchange: fanout })));
  }
  const result = await work();
  await Promise.all(setting.queues.map((queue) => session.request('queue.delete', { queue })));
  await session.close();
  return result;
}

async function declareQueues(session: RawSocket, queues: readonly string[], durable: boolean): Promise<void> {
  await Promise.all(queues.map((queue) => session.request('queue.declare', { queue, durable })));
}

/** One queue that stays. */
export async function declareQueue(url: string, queue: string): Promise<void> {
  const session = await openSession(url);
  await declareQueues(session, [queue], true);
  await session.close();
}

export async function readyCount(url: string, queue: string): Promise<number> {
  const session = await openSession(url);
  const { ready } = await session.request('queue.inspect', { queue });
  await session.close();
  return Number(ready);
}

export interface RecoveryNotice {
  readonly ms: number;
  readonly bytes: number;
  readonly messages: number;
}

/** The broker's notice about its recovery, among the lines it has written. */
export function recoveryNotice(written: string): RecoveryNotice {
  for (const line of written.split('\n')) {
    if (!line.startsWith('{')) continue;
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null || !('kind' in entry) || entry.kind !== 'recovered') continue;
    const { ms, bytes, messages } = { ms: undefined, bytes: undefined, messages: undefined, ...entry };
    if (typeof ms === 'number' && typeof bytes === 'number' && typeof messages === 'number') return { ms, bytes, messages };
  }
  throw new Error('the broker told nothing of its recovery');
}
