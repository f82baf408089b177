// The limits that a message's headers and a binding are held to, where an operator has set them lower than AMQP and the log need.
// Always: a refusal is 406 and names the setting. Refuses: to count for itself.

import { checkTable, TABLE_DEPTH_MAX } from '../../shared/amqp/table.ts';
import type { Content } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { BrokerLimits } from './limits.ts';

/** What a vhost holds declarations to. */
export type TopologyLimits = Pick<BrokerLimits, 'bindingsPerQueue' | 'topicWords' | 'deliveryLimit'>;

export function checkHeaders({ bytes, headersStart, headersEnd }: Content, { headerBytes, tableDepth }: BrokerLimits): void {
  if (headersStart === 0) return;
  const count = headersEnd - headersStart;
  if (count > headerBytes) throw above(`header table of ${count} bytes is above ${headerBytes}`, 'header-bytes', '/properties/headers');
  if (tableDepth >= TABLE_DEPTH_MAX) return; // looked at when it was read
  try {
    checkTable(bytes, headersStart, headersEnd, tableDepth);
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    throw above(`header table nested deeper than ${tableDepth}`, 'table-depth', '/properties/headers');
  }
}

/** What a binding that is not there yet is judged by. */
interface NewBinding {
  readonly sourceType: string;
  /** Its destination, where that is a queue. */
  readonly queue: string | undefined;
  /** Bindings that the queue has. */
  readonly count: () => number;
  readonly key: string;
}

export function checkBinding(
  { sourceType, queue, count, key }: NewBinding,
  { bindingsPerQueue, topicWords }: Omit<TopologyLimits, 'deliveryLimit'>,
): void {
  if (queue !== undefined && bindingsPerQueue !== Number.POSITIVE_INFINITY && count() >= bindingsPerQueue)
    throw above(`queue '${queue}' has ${count()} bindings, and ${bindingsPerQueue} are allowed`, 'bindings-per-queue', '/queue');
  if (sourceType !== 'topic') return;
  const words = key === '' ? 0 : key.split('.').length;
  if (words > topicWords) throw above(`a topic binding key has at most ${topicWords} words, this one ${words}`, 'topic-words', '/key');
}

/** Of one more queue beside `count`. `max`: the vhost's own; negative for none. */
export function checkQueueCount(vhost: string, count: number, { queuesPerVhost }: Pick<BrokerLimits, 'queuesPerVhost'>, max: number): void {
  if (count >= queuesPerVhost) throw above(`cannot declare queue: vhost '${vhost}' has ${count} queues`, 'queues-per-vhost', '/queue');
  if (max < 0 || count < max) return;
  throw new AmqpError(ReplyCode.PreconditionFailed, `cannot declare queue: queue limit in vhost '${vhost}' (${max}) is reached`, {
    path: '/queue',
    hint: `the vhost's limit max-queues allows no more: PUT /api/vhost-limits/{vhost}/max-queues`,
  });
}

function above(text: string, setting: string, path: string): AmqpError {
  return new AmqpError(ReplyCode.PreconditionFailed, text, { path, hint: `the setting limits.${setting} allows no more` });
}
