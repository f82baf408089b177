// Durations as people write them. Always: milliseconds inside. Refuses: negative ones, and units it does not know.

import { LeveretError } from './error.ts';

/**
 * Milliseconds as a number, or a number with its unit: '250ms', '1.5s', '30s', '5m', '2h', '7d'.
 * ```ts
 * const patience: Duration = '30s';
 * await mq.exchange('amq.topic').publish('a.b', 'hello', { timeout: patience, unroutable: 'ignore' });
 * ```
 */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS: { readonly [unit: string]: number } = { '': 1, ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 };

/** Whole milliseconds. */
export function toMs(duration: Duration): number {
  const text = String(duration);
  const ms = Number.parseFloat(text) * (UNIT_MS[text.replace(/^[\d.]+/, '')] ?? Number.NaN);
  if (!(ms >= 0)) throw new LeveretError('INVALID', `not a duration: '${text}'`);
  return Math.round(ms);
}
