// The two sides of a comparison in one form: what was seen of the broker, and what the model holds.
// Refuses judgement: model-run.ts compares.

import type { DeliveryJson, QueueSample } from '../../shared/protocol/control.ts';
import { QUEUES } from './commands.ts';
import type { Held } from './reference-broker.ts';

export const nameOf = (index: number): string => QUEUES[index] ?? 'q0';
export const seenAs = ({ body, key, redelivered, deliveryCount }: DeliveryJson): object => ({ body, key, redelivered, deliveryCount });
export const heldAs = ({ body, key, redelivered, deliveryCount }: Held): object => ({ body, key, redelivered, deliveryCount });

export function outcome(how: string, requeue: boolean): 'ack' | 'requeue' | 'discard' | 'release' {
  if (how === 'ack' || how === 'release') return how;
  return requeue ? 'requeue' : 'discard';
}

export function sameSpec(a: object, b: object): boolean {
  const sorted = (spec: object): string => JSON.stringify(Object.entries(spec).sort(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}

export function countersOf({ ready, readyBytes, unacked, deadLetterWaiting, consumers, counts }: QueueSample): object {
  const { published, acked, purged, refused } = counts;
  const lost = counts.expired + counts.deadLettered + counts.dropped;
  return { ready, readyBytes, unacked, deadLetterWaiting, consumers, published, acked, purged, refused, lost };
}
