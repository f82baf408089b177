// Metrics of the broker and its process as a whole, by RabbitMQ's names where it has them, leveret_ where it has not.
// Always: (1) a name says what RabbitMQ's says, or is not used; (2) nothing here grows with the number of queues or connections.
// RabbitMQ differs: protocol is always amqp091 (leveret.v1 carries AMQP's model), queue_type always its classic queue's; erlang_version is 'none'.

import { type Family, labelsOf, type MetricType, sample } from './exposition.ts';
import { clusterName, type MetricsSource } from './source.ts';
import type { Sums } from './sums.ts';

/** A family of one value. */
export function single(name: string, type: MetricType, help: string, value: number, labels = ''): Family {
  return { name, type, help, samples: [sample(labels, value)] };
}

export function* infoFamilies(source: MetricsSource): Generator<Family> {
  const { version, node } = source;
  const versions = {
    rabbitmq_version: version,
    prometheus_plugin_version: version,
    prometheus_client_version: version,
    erlang_version: 'none',
  };
  yield single('rabbitmq_build_info', 'gauge', 'Version of the broker', 1, labelsOf({ ...versions, product: source.product }));
  const cluster = clusterName(source);
  const identity = { rabbitmq_node: node, rabbitmq_cluster: cluster, rabbitmq_cluster_permanent_id: cluster };
  yield single('rabbitmq_identity_info', 'gauge', 'Node and cluster of the broker', 1, labelsOf(identity));
}

export function* alarmFamilies({ broker }: MetricsSource): Generator<Family> {
  const reason = broker.isBlocked ? broker.alarms.reason : '';
  const alarm = (name: string, isStanding: boolean, what: string): Family =>
    single(`rabbitmq_alarms_${name}`, 'gauge', `1 while the ${what} alarm holds publishers back`, isStanding ? 1 : 0);
  yield alarm('memory_used_watermark', reason.includes('memory'), 'memory');
  yield alarm('free_disk_space_watermark', reason.includes('disk'), 'disk');
  yield alarm('file_descriptor_limit', false, 'file descriptor');
}

export function* churnFamilies({ broker }: MetricsSource, prefix: string): Generator<Family> {
  const { totals, connections } = broker;
  const counted = (name: string, help: string, value: number): Family => single(`${prefix}${name}_total`, 'counter', help, value);
  yield counted('connections_opened', 'Connections opened', connections.openedCount);
  yield counted('connections_closed', 'Connections closed', connections.closedCount);
  yield counted('channels_opened', 'Channels opened', totals.channelsOpened);
  yield counted('channels_closed', 'Channels closed', totals.channelsClosed);
  yield counted('queues_declared', 'Declares of queues, of those that existed too', totals.queuesDeclared);
  yield counted('queues_created', 'Queues created', totals.queuesCreated);
  yield counted('queues_deleted', 'Queues deleted', totals.queuesDeleted);
}

export function* processFamilies(source: MetricsSource, prefix: string): Generator<Family> {
  const figures = source.figures();
  const gauge = (name: string, help: string, value: number | undefined): Family[] =>
    value === undefined ? [] : [single(prefix + name, 'gauge', help, value)];
  yield* gauge('process_open_fds', 'Open file descriptors', figures.openFds);
  yield* gauge('process_max_fds', 'File descriptors that the process may open', figures.maxFds);
  yield* gauge('process_open_tcp_sockets', 'Open sockets of clients', figures.openSockets);
  yield* gauge('process_max_tcp_sockets', 'Sockets that the process may open', figures.maxFds);
  yield* gauge('process_resident_memory_bytes', 'Resident memory', figures.residentBytes);
  yield* gauge('resident_memory_limit_bytes', 'Resident memory at which publishers are held back', figures.memoryLimitBytes);
  yield* gauge('disk_space_available_bytes', 'Free disk space of the data directory', figures.diskFreeBytes);
  if (figures.diskFreeBytes !== undefined)
    yield* gauge('disk_space_available_limit_bytes', 'Free disk space at which publishers are held back', source.diskLimitBytes);
  yield* gauge('erlang_uptime_seconds', 'How long the broker runs', figures.uptimeMs / 1000);
}

export function* objectCounts({ broker }: MetricsSource, sums: Sums): Generator<Family> {
  const { totals } = broker;
  yield single('rabbitmq_connections', 'gauge', 'Connections that are open', broker.connections.size);
  yield single('rabbitmq_channels', 'gauge', 'Channels that are open', totals.channelsOpened - totals.channelsClosed);
  yield single('rabbitmq_consumers', 'gauge', 'Consumers', sums.consumers);
  yield single('rabbitmq_queues', 'gauge', 'Queues', sums.queues);
}

const PROTOCOL = labelsOf({ protocol: 'amqp091' });
const PROTOCOL_AND_TYPE = labelsOf({ protocol: 'amqp091', queue_type: 'rabbit_classic_queue' });

export function* globalFamilies({ broker }: MetricsSource, sums: Sums): Generator<Family> {
  const { totals } = broker;
  const { total } = sums;
  const counted = (name: string, help: string, value: number, labels = PROTOCOL): Family =>
    single(`rabbitmq_global_messages_${name}_total`, 'counter', help, value, labels);
  const delivered = total('deliver') + total('deliver_no_ack') + total('get') + total('get_no_ack');
  yield counted('received', 'Messages received from publishers', broker.publishedCount);
  yield counted('received_confirm', 'Messages received from publishers that want confirms', totals.receivedConfirm);
  yield counted('confirmed', 'Messages confirmed to publishers', totals.confirmed);
  yield counted('routed', 'Messages routed to queues', totals.routed);
  yield counted('unroutable_dropped', 'Unroutable messages that were dropped', broker.unroutableCount - totals.returned);
  yield counted('unroutable_returned', 'Unroutable messages that were returned', totals.returned);
  yield counted('delivered', 'Messages delivered', delivered, PROTOCOL_AND_TYPE);
  yield counted('delivered_consume_manual_ack', 'Deliveries that are to be acked', total('deliver'), PROTOCOL_AND_TYPE);
  yield counted('delivered_consume_auto_ack', 'Deliveries with auto-ack', total('deliver_no_ack'), PROTOCOL_AND_TYPE);
  yield counted('delivered_get_manual_ack', 'Gets that are to be acked', total('get'), PROTOCOL_AND_TYPE);
  yield counted('delivered_get_auto_ack', 'Gets with auto-ack', total('get_no_ack'), PROTOCOL_AND_TYPE);
  yield counted('get_empty', 'Gets that found nothing', total('get_empty'), PROTOCOL_AND_TYPE);
  yield counted('redelivered', 'Messages delivered again', total('redeliver'), PROTOCOL_AND_TYPE);
  yield counted('acknowledged', 'Messages acked by consumers', total('ack'), PROTOCOL_AND_TYPE);
  yield single('rabbitmq_global_consumers', 'gauge', 'Consumers', sums.consumers, PROTOCOL);
}

/** What RabbitMQ has no metric for. */
export function* leveretFamilies(source: MetricsSource, sums: Sums): Generator<Family> {
  const { broker } = source;
  const { p50, p99, max } = source.figures().loopLagMs;
  const { bounds, counts, sum } = broker.commits.latencyMs;
  const buckets: string[] = [];
  let below = 0;
  counts.forEach((count, i) => {
    below += count;
    const bound = bounds[i];
    buckets.push(sample(labelsOf({ le: bound === undefined ? '+Inf' : String(bound / 1000) }), below, '_bucket'));
  });
  yield {
    name: 'leveret_commit_latency_seconds',
    type: 'histogram',
    help: 'From the commit of records to the log until they are durable',
    samples: [...buckets, sample('', sum / 1000, '_sum'), sample('', below, '_count')],
  };
  yield {
    name: 'leveret_event_loop_lag_seconds',
    type: 'gauge',
    help: 'How late timers were since the last sample of five seconds',
    samples: Object.entries({ p50, p99, max }).map(([stat, ms]) => sample(labelsOf({ stat }), ms / 1000)),
  };
  yield single('leveret_process_cpu_seconds_total', 'counter', 'Processor time used', source.figures().cpuSeconds);
  yield single('leveret_message_memory_bytes', 'gauge', 'Memory that messages use', broker.log.memoryBytes);
  const messages = (name: string, help: string, value: number): Family => single(`leveret_messages_${name}_total`, 'counter', help, value);
  yield messages('expired', 'Messages that expired and went nowhere', sums.total('expired'));
  yield messages('dead_lettered', 'Messages that were dead-lettered', sums.total('dead_lettered'));
  yield messages('dropped', 'Messages dropped by a length limit or without a way on', sums.total('dropped'));
  yield messages('refused', 'Publishes that a full queue refused', sums.total('refused'));
  if (source.alerts === undefined) return;
  const { standing, sent, failed, dropped } = source.alerts;
  yield single('leveret_alerts_standing', 'gauge', 'Alerts about dead letters that stand', standing);
  yield single('leveret_alert_webhook_sent_total', 'counter', 'Alerts that the webhook took', sent);
  yield single('leveret_alert_webhook_failed_total', 'counter', 'Alerts that the webhook did not take after all tries', failed);
  yield single('leveret_alert_webhook_dropped_total', 'counter', 'Alerts dropped because too many waited for the webhook', dropped);
}
