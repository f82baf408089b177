// What becomes of a delivery, and what that means for its delivery count.
// Always: a delivery has one outcome. Refuses: to carry it out (session.ts, queue.ts).

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Queue } from './queue.ts';

export const Outcome = {
  Ack: 0,
  Nack: 1,
  Reject: 2,
  Requeue: 3,
  Release: 4,
  TimedOut: 5,
  /** Acked by a transaction, whose record has told the log. */
  Committed: 6,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Whether a return counts as a failed delivery. RabbitMQ 4.3 counts neither a nack nor a consumer timeout in quorum queues. */
export function isCounted(outcome: Outcome, queue: Queue): boolean {
  if (outcome === Outcome.Release) return false;
  return (outcome !== Outcome.Nack && outcome !== Outcome.TimedOut) || queue.settings.countNack === 'all';
}

export function unknownTag(tag: number): AmqpError {
  return new AmqpError(ReplyCode.PreconditionFailed, `unknown delivery tag ${tag}`, {
    hint: 'settle each delivery once, on the connection that got it',
    path: '/tag',
  });
}
