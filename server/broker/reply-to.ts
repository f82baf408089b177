// Direct reply-to: answers that go straight to the connection that asked, without a queue.
// Always: (1) a token is 128 random bits, known only to whom the request reached; (2) it is valid while its consumer lives; (3) a reply
// whose requester is gone, or too slow to take it, is dropped and counts as routed. RabbitMQ's documentation, "Direct Reply-to".
// Refuses: to be bound, stored or confirmed late: a reply is at most once.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Random } from '../ports.ts';
import type { Consumer } from './consumer.ts';

export const REPLY_TO = 'amq.rabbitmq.reply-to';
const PREFIX = `${REPLY_TO}.`;
const TOKEN_BYTES = 16;

export class ReplyConsumers {
  readonly #random: Random;
  readonly #byName = new Map<string, Consumer>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The name that goes into the reply-to property of this consumer's requests. */
  add(consumer: Consumer): string {
    const token = [...this.#random.bytes(TOKEN_BYTES)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const name = PREFIX + token;
    this.#byName.set(name, consumer);
    return name;
  }

  remove(name: string): void {
    this.#byName.delete(name);
  }

  find(name: string): Consumer | undefined {
    return this.#byName.get(name);
  }
}

export function isReplyName(name: string): boolean {
  return name.startsWith(PREFIX);
}

export function checkReplyConsumer(noAck: boolean, isTaken: boolean): void {
  if (!noAck)
    throw new AmqpError(ReplyCode.PreconditionFailed, 'reply consumer cannot acknowledge', { hint: 'consume with noAck', path: '/noAck' });
  if (isTaken) throw new AmqpError(ReplyCode.PreconditionFailed, 'reply consumer already set', { hint: 'one reply consumer a connection' });
}
