// What the demo's main process and its client processes say to each other: the part a process plays, and a few words over Node's IPC channel.
// Always: a word that is not one of these is refused, in both directions.
// Refuses: to carry results. Those are in the journals, which the ledger reads.

import { isRecord } from './payloads.ts';

/** The part one process plays; its only argument, as JSON. */
export interface Part {
  readonly role: 'service' | 'worker';
  /** A name in SERVICES or WORKERS. */
  readonly name: string;
  readonly url: string;
  /** The directory of the journals. */
  readonly journals: string;
  readonly seed: number;
  /** Of all services together. */
  readonly messages: number;
  readonly perSecond: number;
}

/** To a process: begin; publish no more; finish what you hold and leave. */
export type Order = 'start' | 'enough' | 'stop';

/** From a process: connected; so many messages handled so far; nothing left to publish. */
export type Word = { readonly tell: 'ready' | 'done' } | { readonly tell: 'progress'; readonly handled: number };

export function isOrder(value: unknown): value is Order {
  return value === 'start' || value === 'enough' || value === 'stop';
}

export function isWord(value: unknown): value is Word {
  if (!isRecord(value)) return false;
  return value['tell'] === 'ready' || value['tell'] === 'done' || (value['tell'] === 'progress' && typeof value['handled'] === 'number');
}

export function parsePart(text: string | undefined): Part {
  const part: unknown = JSON.parse(text ?? 'null');
  if (!isPart(part)) throw new Error('a process of the demo is started by the demo (npm run demo)');
  return part;
}

function isPart(value: unknown): value is Part {
  if (!isRecord(value) || (value['role'] !== 'service' && value['role'] !== 'worker')) return false;
  const texts = [value['name'], value['url'], value['journals']];
  const numbers = [value['seed'], value['messages'], value['perSecond']];
  return texts.every((text) => typeof text === 'string') && numbers.every((number) => typeof number === 'number');
}
