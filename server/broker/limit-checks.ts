// The limits that a message's headers and a binding are held to, where an operator has set them lower than AMQP and the log need.
// Always: a refusal is 406 and names the setting. Refuses: to count for itself.

import { checkTable, TABLE_DEPTH_MAX } from '../../shared/amqp/table.ts';
import type { Content } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { type Destination, type Exchange, incomingOf } from './exchange.ts';
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

/** Of a binding that is not there yet. */
export function checkBinding(
  source: Exchange,
  destination: Destination,
  key: string,
  { bindingsPerQueue, topicWords }: TopologyLimits,
): void {
  if (destination.kind === 'queue' && bindingsPerQueue !== Number.POSITIVE_INFINITY) {
    const count = incomingOf(destination).size;
    if (count >= bindingsPerQueue)
      throw above(`queue '${destination.name}' has ${count} bindings, and ${bindingsPerQueue} are allowed`, 'bindings-per-queue', '/queue');
  }
  if (source.type !== 'topic') return;
  const words = key === '' ? 0 : key.split('.').length;
  if (words > topicWords) throw above(`a topic binding key has at most ${topicWords} words, this one ${words}`, 'topic-words', '/key');
}

function above(text: string, setting: string, path: string): AmqpError {
  return new AmqpError(ReplyCode.PreconditionFailed, text, { path, hint: `the setting limits.${setting} allows no more` });
}
