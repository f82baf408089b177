// What the kill loop declares: a queue for each thing that a restart could spoil.
// Always: declared until the broker has it on disk for certain, and never again: what a restart loses is missed.

import type { Connection } from 'leveret-client';
import type { History } from './history.ts';

export interface LoopQueue {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly deadLetters?: string;
  /** Levels above 0 that messages may have. */
  readonly levels?: number;
}

export const FANOUT = 'fan';
/** Nobody reads it: a publish to it, confirmed, says that all before it is on disk. */
export const ENDS = 'ends';
const TTL_MS = 400;

export const QUEUES: readonly LoopQueue[] = [
  { name: 'plain', arguments: {} },
  { name: 'fan-a', arguments: {} },
  { name: 'fan-b', arguments: {} },
  { name: 'levels', arguments: { 'x-max-priority': 3 }, levels: 3 },
  // what is discarded, or comes back too often, goes to 'dead'
  { name: 'work', arguments: toDead({ 'x-delivery-limit': 4 }), deadLetters: 'dead' },
  { name: 'brief', arguments: toDead({ 'x-message-ttl': TTL_MS }), deadLetters: 'dead' },
  { name: 'single', arguments: { 'x-single-active-consumer': true } },
  { name: 'dead', arguments: {} },
];

/** Where a message goes, and which queues then hold it. */
export interface Target {
  readonly exchange: string;
  readonly key: string;
  readonly queues: readonly LoopQueue[];
}

export const TARGETS: readonly Target[] = [
  ...QUEUES.filter(({ name }) => !name.startsWith('fan') && name !== 'dead').map((queue) => ({
    exchange: '',
    key: queue.name,
    queues: [queue],
  })),
  { exchange: FANOUT, key: '', queues: QUEUES.filter(({ name }) => name.startsWith('fan')) },
];

export function tellTopology(history: History): void {
  for (const { name, deadLetters } of QUEUES) history.declare(name, deadLetters);
}

export async function declareTopology(mq: Connection): Promise<void> {
  await mq.declareExchange(FANOUT, { type: 'fanout', durable: true });
  for (const { name, arguments: args } of QUEUES) await mq.declareQueue(name, { durable: true, arguments: args });
  await mq.declareQueue(ENDS, { durable: true, arguments: { 'x-max-length': 1 } });
  for (const { name } of TARGETS.find(({ exchange }) => exchange === FANOUT)?.queues ?? []) await mq.bindQueue(name, FANOUT);
}

function toDead(more: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', ...more };
}
