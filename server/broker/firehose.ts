// The firehose: a copy of every publish and delivery of a vhost that is traced, on its exchange amq.rabbitmq.trace (RabbitMQ, Firehose Tracer).
// Always: (1) the keys are publish.<exchange> and deliver.<queue>, the headers RabbitMQ's, the body the message's; (2) what came from the trace exchange is not traced,
// even where it was dead-lettered since, so traces make no traces; (3) a vhost that is not traced pays one look at a boolean (Vhost.isTraced).
// Refuses: to hold anybody up: copies are routed at the end of the turn (internal-publisher.ts).

import type { Properties } from '../../shared/amqp/properties.ts';
import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import { Content } from '../../shared/content.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import { MessageFlag, type Stored, type View } from '../ports.ts';
import type { Broker } from './broker.ts';
import type { InternalPublisher } from './internal-publisher.ts';
import { NODE } from './names.ts';
import { TRACE_EXCHANGE } from './predeclared.ts';
import type { Queue } from './queue.ts';
import { extraKeysOf } from './router.ts';
import type { Session } from './session.ts';

/** As RabbitMQ spells properties in a trace, in its order. */
const PROPERTY_NAMES: readonly (readonly [field: keyof Properties, name: string])[] = [
  ['appId', 'app_id'],
  ['userId', 'user_id'],
  ['type', 'type'],
  ['timestamp', 'timestamp'],
  ['messageId', 'message_id'],
  ['expiration', 'expiration'],
  ['replyTo', 'reply_to'],
  ['correlationId', 'correlation_id'],
  ['priority', 'priority'],
  ['deliveryMode', 'delivery_mode'],
  ['headers', 'headers'],
  ['contentEncoding', 'content_encoding'],
  ['contentType', 'content_type'],
];

interface Origin {
  readonly connection: string;
  readonly channel: number;
}

export class Firehose {
  readonly #broker: Broker;
  readonly #publisher: InternalPublisher;
  readonly #content = new Content();
  readonly #origins = new WeakMap<Session, Origin>();

  constructor(broker: Broker, publisher: InternalPublisher) {
    this.#broker = broker;
    this.#publisher = publisher;
  }

  published(session: Session, content: Content, queues: readonly Queue[]): void {
    if (!this.#isHeard(session, content)) return;
    const routed = queues.filter(({ isTap }) => !isTap).map(({ name }) => name);
    this.#copy(session, `publish.${content.exchange}`, content, (headers) => headers, [['routed_queues', routed]]);
  }

  delivered(session: Session, queue: Queue, stored: Stored, view: View): void {
    const content = this.#content.read(view.bytes, view.start, view.start + stored.length);
    if (queue.isTap || !this.#isHeard(session, content)) return;
    const redelivered = (stored.flags & MessageFlag.Redelivered) === 0 ? 0 : 1;
    this.#copy(session, `deliver.${queue.name}`, content, (headers) => headers.set('redelivered', redelivered), []);
  }

  #isHeard({ vhost }: Session, content: Content): boolean {
    if (!this.#publisher.hasListeners(vhost, TRACE_EXCHANGE) || content.exchange === TRACE_EXCHANGE) return false;
    return content.headersStart === 0 || content.headers?.get('x-first-death-exchange') !== TRACE_EXCHANGE;
  }

  #copy(
    session: Session,
    key: string,
    content: Content,
    between: (headers: FieldTable) => FieldTable,
    more: readonly (readonly [string, FieldValue])[],
  ): void {
    const { connection, channel } = this.#originOf(session);
    const headers: FieldTable = new Map<string, FieldValue>([
      ['exchange_name', content.exchange],
      ['routing_keys', [content.key, ...extraKeysOf(content)]],
      ['properties', propertyTable(content.properties)],
      ['node', NODE],
    ]);
    between(headers);
    headers
      .set('vhost', session.vhost.name)
      .set('connection', connection)
      .set('channel', channel)
      .set('user', session.identity.account.name);
    for (const [name, value] of more) headers.set(name, value);
    const body = new Uint8Array(content.bytes.subarray(content.bodyStart, content.end)); // a Buffer's slice would be a view
    this.#publisher.publish(session.vhost, TRACE_EXCHANGE, shortKey(key), { headers }, body);
  }

  /** The connection and channel a session stands for. */
  #originOf(session: Session): Origin {
    let origin = this.#origins.get(session);
    if (origin === undefined) {
      origin = this.#findOrigin(session);
      this.#origins.set(session, origin);
    }
    return origin;
  }

  #findOrigin(session: Session): Origin {
    for (const view of this.#broker.connections)
      for (const [channel, each] of view.sessions()) if (each === session) return { connection: view.name, channel };
    return { connection: session.identity.name, channel: 0 };
  }
}

function propertyTable(properties: Properties): FieldTable {
  const table: FieldTable = new Map();
  for (const [field, name] of PROPERTY_NAMES) {
    const value = properties[field];
    if (value !== undefined) table.set(name, value);
  }
  if (properties.headers === undefined) table.set('headers', new Map());
  return table;
}

/** A name of 255 bytes leaves no room for what stands before it. */
function shortKey(key: string): string {
  let short = key;
  while (utf8Length(short) > SHORT_STRING_BYTES_MAX) short = short.slice(0, -1);
  return short;
}
