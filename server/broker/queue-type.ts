// The types of a queue, and the one a vhost gives to a queue that is declared without.
// Refuses: to say what a type means; queue-arguments.ts has its settings, and what it asks of a queue.

import type { FieldTable } from '../../shared/amqp/table.ts';

export const QUEUE_TYPES = ['classic', 'quorum', 'stream'] as const;
export type QueueType = (typeof QUEUE_TYPES)[number];

/** What two declarations of one queue must agree on. */
export interface QueueShape {
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusiveOwner: object | undefined;
  readonly arguments: FieldTable;
}

export function isQueueType(value: unknown): value is QueueType {
  return QUEUE_TYPES.some((type) => type === value);
}

/**
 * A declaration without x-queue-type gets its vhost's default, if a queue like that may be of that type; it is an argument from then on, as in RabbitMQ.
 * An `existing` queue that the default came too late for has the type that is meant: who declares it again as before is not refused.
 */
export function withQueueType(shape: QueueShape, byDefault: QueueType | undefined, existing: QueueShape | undefined): QueueShape {
  if (byDefault === undefined || shape.arguments.has('x-queue-type')) return shape;
  const isPossible = byDefault === 'classic' || (shape.durable && !shape.autoDelete && shape.exclusiveOwner === undefined);
  const type = existing === undefined ? (isPossible ? byDefault : undefined) : existing.arguments.get('x-queue-type');
  return type === undefined ? shape : { ...shape, arguments: new Map(shape.arguments).set('x-queue-type', type) };
}
