// Metrics of single queues, exchanges, channels and connections; and the same names as sums, for /metrics.
// Always: (1) a sum and its parts have one name, as in RabbitMQ; (2) a group is what `family=` of /metrics/detailed asks for, by RabbitMQ's word; (3) a
// label `channel` holds a connection's name, and its channel's number: Erlang's process ids are nowhere else.
// Refuses: what is not counted per object here (persistent, ram, paged_out, reductions) rather than to say 0.

import type { ConnectionView } from '../../broker/connections.ts';
import type { Exchange } from '../../broker/exchange.ts';
import type { Queue } from '../../broker/queue.ts';
import type { Session } from '../../broker/session.ts';
import type { Family, MetricType } from './exposition.ts';
import { single } from './node-families.ts';
import { ObjectTable, type Shown } from './rows.ts';
import type { MetricsSource } from './source.ts';
import type { Sums } from './sums.ts';

export interface ObjectFamily<Thing> {
  readonly group: string;
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly value: (thing: Thing, source: MetricsSource) => number;
}

const define = <Thing>(
  group: string,
  type: MetricType,
  families: Readonly<Record<string, readonly [help: string, value: (thing: Thing, source: MetricsSource) => number]>>,
): ObjectFamily<Thing>[] => Object.entries(families).map(([name, [help, value]]) => ({ group, name, type, help, value }));

export const QUEUE_FAMILIES: readonly ObjectFamily<Queue>[] = [
  ...define<Queue>('queue_coarse_metrics', 'gauge', {
    queue_messages_ready: ['Messages ready to be delivered', (queue) => queue.readyCount],
    queue_messages_unacked: ['Messages delivered and not acked yet', (queue) => queue.unackedCount],
    queue_messages: ['Messages ready and unacked', (queue) => queue.readyCount + queue.unackedCount],
  }),
  ...define<Queue>('queue_consumer_count', 'gauge', { queue_consumers: ['Consumers of a queue', (queue) => queue.consumerCount] }),
  ...define<Queue>('queue_metrics', 'gauge', { queue_messages_ready_bytes: ['Bytes of ready bodies', (queue) => queue.readyBytes] }),
  ...define<Queue>('queue_delivery_metrics', 'counter', {
    queue_messages_delivered_ack_total: [
      'Deliveries of a queue that are to be acked',
      ({ counts, traffic }) => counts.delivered - traffic.deliveredAuto - traffic.got - traffic.gotAuto,
    ],
    queue_messages_delivered_total: ['Deliveries of a queue with auto-ack', ({ traffic }) => traffic.deliveredAuto],
    queue_get_ack_total: ['Gets from a queue that are to be acked', ({ traffic }) => traffic.got],
    queue_get_total: ['Gets from a queue with auto-ack', ({ traffic }) => traffic.gotAuto],
    queue_get_empty_total: ['Gets from a queue that found nothing', ({ traffic }) => traffic.gotNothing],
    queue_messages_redelivered_total: ['Messages of a queue delivered again', ({ counts }) => counts.redelivered],
    queue_messages_acked_total: [
      'Messages of a queue acked by consumers',
      ({ counts, traffic }) => counts.acked - traffic.deliveredAuto - traffic.gotAuto,
    ],
  }),
];

/** Under leveret_, whatever the prefix of the others. */
export const OWN_QUEUE_FAMILIES: readonly ObjectFamily<Queue>[] = [
  ...define<Queue>('queue_metrics', 'counter', {
    queue_messages_enqueued_total: ['Messages that came into a queue, restored ones too', ({ counts }) => counts.published],
    queue_messages_expired_total: ['Messages of a queue that expired and went nowhere', ({ counts }) => counts.expired],
    queue_messages_dead_lettered_total: ['Messages of a queue that were dead-lettered', ({ counts }) => counts.deadLettered],
    queue_messages_dropped_total: ['Messages of a queue dropped by its length limit, or without a way on', ({ counts }) => counts.dropped],
  }),
  ...define<Queue>('queue_metrics', 'gauge', {
    queue_dead_letters_waiting: ['Messages that died in a queue and wait for room where they go', (queue) => queue.deadLetters?.size ?? 0],
    queue_oldest_message_age_seconds: [
      'How long the oldest ready message is in its queue, at least; sampled every five seconds',
      (queue, { sampler }) => sampler.oldestAgeMs(queue) / 1000,
    ],
    queue_drain_seconds: [
      'How long until nothing is ready, at the pace of the last half minute; +Inf while it does not get less',
      (queue, { sampler }) => sampler.drainMs(queue) / 1000,
    ],
  }),
];

/** Of dead-letter queues: on every page. */
export const DEAD_LETTER_FAMILIES: readonly ObjectFamily<Queue>[] = define<Queue>('dead_letter_metrics', 'gauge', {
  dead_letter_queue: ['1: the dead-letter exchange of another queue routes here', () => 1],
  dead_letter_queue_messages: ['Messages in a dead-letter queue, ready and unacked', (queue) => queue.readyCount + queue.unackedCount],
  dead_letter_queue_oldest_message_age_seconds: [
    'How long the oldest ready message is in a dead-letter queue, at least',
    (queue, { sampler }) => sampler.oldestAgeMs(queue) / 1000,
  ],
});

export const EXCHANGE_FAMILIES: readonly ObjectFamily<Exchange>[] = define<Exchange>('exchange_metrics', 'counter', {
  exchange_messages_published_total: ['Messages published to an exchange', (exchange) => exchange.publishedCount],
});

export const CHANNEL_FAMILIES: readonly ObjectFamily<Session>[] = define<Session>('channel_metrics', 'gauge', {
  channel_consumers: ['Consumers of a channel', (session) => session.consumerCount],
  channel_messages_unacked: ['Messages delivered on a channel and not settled yet', (session) => session.unackedCount],
  channel_messages_unconfirmed: ['Publishes of a channel that wait for their confirm', (session) => session.publishers.unconfirmedCount],
  channel_prefetch: ['Limit of unacked messages of a channel; 0: none', (session) => session.prefetchCount],
});

export const CONNECTION_FAMILIES: readonly ObjectFamily<ConnectionView>[] = [
  ...define<ConnectionView>('connection_coarse_metrics', 'counter', {
    connection_incoming_bytes_total: ['Bytes received on a connection', (view) => view.receivedBytes],
    connection_outgoing_bytes_total: ['Bytes sent on a connection', (view) => view.sentBytes],
  }),
  ...define<ConnectionView>('connection_metrics', 'gauge', {
    connection_channels: ['Channels of a connection', (view) => [...view.sessions()].length],
  }),
];

/** `undefined`: let others have their turn. */
export function* objectFamilies<Thing extends object>(
  groups: readonly (readonly [prefix: string, families: readonly ObjectFamily<Thing>[]])[],
  shown: Shown<Thing>,
  source: MetricsSource,
): Generator<Family | undefined> {
  if (shown.things.length === 0) return;
  const named = groups.flatMap(([prefix, families]) => families.map((family) => ({ ...family, name: prefix + family.name })));
  const values = named.map(
    ({ value }) =>
      (thing: Thing) =>
        value(thing, source),
  );
  const table = new ObjectTable(shown, values);
  yield* table.read();
  for (const [column, { name, type, help }] of named.entries()) yield { name, type, help, rows: table.rows(column) };
}

/** One value for all queues. */
export function* queueSums(sums: Sums): Generator<Family> {
  const gauge = (name: string, help: string, value: number): Family => single(`rabbitmq_${name}`, 'gauge', help, value);
  yield gauge('queue_messages_ready', 'Messages ready to be delivered', sums.ready);
  yield gauge('queue_messages_unacked', 'Messages delivered and not acked yet', sums.unacked);
  yield gauge('queue_messages', 'Messages ready and unacked', sums.ready + sums.unacked);
  yield gauge('queue_consumers', 'Consumers of queues', sums.consumers);
  yield gauge('queue_messages_ready_bytes', 'Bytes of ready bodies', sums.readyBytes);
}

/** One value for all channels and connections. */
export function* channelSums(sums: Sums): Generator<Family> {
  const gauge = (name: string, help: string, value: number): Family => single(`rabbitmq_${name}`, 'gauge', help, value);
  yield gauge('channel_consumers', 'Consumers of channels', sums.consumers);
  yield gauge('channel_messages_unacked', 'Messages delivered on channels and not settled yet', sums.unacked);
  yield gauge('channel_messages_unconfirmed', 'Publishes that wait for their confirm', sums.unconfirmed);
}

export function* connectionSums({ broker }: MetricsSource, sums: Sums): Generator<Family> {
  const { totals } = broker;
  yield single('rabbitmq_connection_incoming_bytes_total', 'counter', 'Bytes received', sums.receivedBytes);
  yield single('rabbitmq_connection_outgoing_bytes_total', 'counter', 'Bytes sent', sums.sentBytes);
  yield single('rabbitmq_connection_channels', 'gauge', 'Channels of connections', totals.channelsOpened - totals.channelsClosed);
}

/** What RabbitMQ counts per channel, and dashboards sum up: here counted for the broker. */
export function* trafficSums({ broker }: MetricsSource, { total }: Sums): Generator<Family> {
  const { totals } = broker;
  const counted = (name: string, help: string, value: number): Family => single(`rabbitmq_${name}_total`, 'counter', help, value);
  yield counted('channel_messages_published', 'Messages published', broker.publishedCount);
  yield counted('channel_messages_confirmed', 'Messages confirmed to publishers', totals.confirmed);
  yield counted('channel_messages_unroutable_returned', 'Unroutable messages that were returned', totals.returned);
  yield counted('channel_messages_unroutable_dropped', 'Unroutable messages that were dropped', broker.unroutableCount - totals.returned);
  yield counted('channel_messages_delivered_ack', 'Deliveries that are to be acked', total('deliver'));
  yield counted('channel_messages_delivered', 'Deliveries with auto-ack', total('deliver_no_ack'));
  yield counted('channel_messages_redelivered', 'Messages delivered again', total('redeliver'));
  yield counted('channel_messages_acked', 'Messages acked by consumers', total('ack'));
  yield counted('channel_get_ack', 'Gets that are to be acked', total('get'));
  yield counted('channel_get', 'Gets with auto-ack', total('get_no_ack'));
  yield counted('channel_get_empty', 'Gets that found nothing', total('get_empty'));
  yield counted('queue_messages_published', 'Messages published to queues', totals.routed);
}
