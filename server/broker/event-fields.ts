// The fields of events about queues, exchanges, bindings, consumers, connections and channels: the names and the shape of RabbitMQ's event exchange.
// Always: arguments are an array of texts {"name",type,value}, for RabbitMQ prints Erlang there. RabbitMQ differs: its pid fields are processes; ours are names, so that an event of
// a channel and one of its connection can be put together.
// Refuses: to know when they are told.

import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import type { ConnectionView } from './connections.ts';
import type { Consumer } from './consumer.ts';
import type { Binding, Exchange } from './exchange.ts';
import { printValue, typeName } from './field-values.ts';
import type { Queue } from './queue.ts';
import type { Session } from './session.ts';

export type Fields = Readonly<Record<string, FieldValue>>;

export function queueFields(queue: Queue): Fields {
  const { name, vhost, durable, autoDelete, exclusiveOwner, arguments: args } = queue;
  const isExclusive = exclusiveOwner !== undefined;
  return {
    vhost: vhost.name,
    name,
    durable,
    auto_delete: autoDelete,
    arguments: argumentTexts(args),
    owner_pid: '',
    exclusive: isExclusive,
  };
}

export function exchangeFields(vhost: string, exchange: Exchange): Fields {
  const { name, type, durable, autoDelete, internal, arguments: args } = exchange;
  return { vhost, name, type, durable, auto_delete: autoDelete, internal, arguments: argumentTexts(args), policy: '' };
}

export function bindingFields(vhost: string, { source, destination, key, arguments: args }: Binding): Fields {
  return {
    source_name: source.name,
    source_kind: 'exchange',
    destination_name: destination.name,
    destination_kind: destination.kind,
    routing_key: key,
    arguments: argumentTexts(args),
    vhost,
  };
}

export function consumerFields(consumer: Consumer): Fields {
  const { tag, exclusive, noAck, queue, prefetch, session } = consumer;
  return {
    consumer_tag: tag,
    exclusive,
    ack_required: !noAck,
    channel: session.id,
    vhost: queue.vhost.name,
    queue: queue.name,
    prefetch_count: prefetch,
  };
}

export function consumerEndFields({ tag, queue, session }: Consumer): Fields {
  return { consumer_tag: tag, channel: session.id, vhost: queue.vhost.name, queue: queue.name };
}

/** `connection`: its name as in its own events, whatever the client calls it. */
export function channelFields(
  kind: 'channel.created' | 'channel.closed',
  connection: string,
  number: number,
  { id, identity, vhost }: Session,
): Fields {
  const fields = { pid: id, name: `${connection} (${number})` };
  return kind === 'channel.closed' ? fields : { ...fields, connection, number, user: identity.account.name, vhost: vhost.name };
}

export function connectionFields(view: ConnectionView): Fields {
  return {
    type: 'network',
    pid: view.name,
    name: view.name,
    port: view.local.port,
    peer_port: view.peer.port,
    host: view.local.host,
    peer_host: view.peer.host,
    ssl: view.isTls,
    auth_mechanism: view.mechanism,
    protocol: view.protocol,
    user: view.account.name,
    vhost: view.vhost,
    timeout: view.heartbeatSeconds,
    frame_max: view.frameMax,
    channel_max: view.channelMax,
    client_properties: argumentTexts(view.clientProperties),
    connected_at: view.connectedAt,
  };
}

export function connectionEndFields({ name, clientProperties }: ConnectionView): Fields {
  return { name, pid: name, client_properties: argumentTexts(clientProperties) };
}

function argumentTexts(table: FieldTable): string[] {
  return [...table].map(([name, value]) => `{<<"${name}">>,${typeName(value)},${printValue(value)}}`);
}
