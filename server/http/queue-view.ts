// A queue as RabbitMQ's management API shows it.
// Always: names and fields are RabbitMQ's; a rate is 0 where nobody measures. Refuses: who may see it (routes/topology.ts).

import { type Consumer, Standing } from '../broker/consumer.ts';
import type { Queue } from '../broker/queue.ts';
import { type Fields, showFields } from './listing.ts';
import { plainTable } from './plain-table.ts';
import type { RateSource, Rates } from './route.ts';

export const NODE = 'leveret@localhost';
/** docs/performance.md: what a message costs beside its content, which is on disk. */
const INDEX_BYTES = 32;

/** Counters, and beside each the rate at which it grows, as RabbitMQ gives them. */
export function withRates(counters: Readonly<Record<string, number>>, rates: Rates | undefined): object {
  const shown: Record<string, unknown> = {};
  for (const name in counters) {
    shown[name] = counters[name];
    shown[`${name}_details`] = { rate: rateOf(name, rates) };
  }
  return shown;
}

/** RabbitMQ's name of all that went out, and the counters that it sums. */
const DELIVER_GET = ['deliver', 'deliver_no_ack', 'get', 'get_no_ack'];

function rateOf(name: string, rates: Rates | undefined): number {
  if (rates === undefined) return 0;
  return name === 'deliver_get' ? DELIVER_GET.reduce((sum, counter) => sum + rates.rate(counter), 0) : rates.rate(name);
}

type Field = (queue: Queue) => unknown;

/** Each field of a queue by itself, so that a list makes no more than what was asked for. */
export function queueFields(rates: RateSource | undefined): Fields<Queue> {
  const level =
    (rate: (queue: Queue) => number): Field =>
    (queue) => ({ rate: rate(queue) });
  const still = level(() => 0); // nobody measures these two apart
  return new Map<string, Field>([
    ['name', ({ name }) => name],
    ['vhost', ({ vhost }) => vhost.name],
    ['type', ({ settings }) => settings.type],
    ['durable', ({ durable }) => durable],
    ['auto_delete', ({ autoDelete }) => autoDelete],
    ['exclusive', ({ exclusiveOwner }) => exclusiveOwner !== undefined],
    ['arguments', (queue) => plainTable(queue.arguments)],
    ['node', () => NODE],
    ['state', () => 'running'],
    ['messages', ({ readyCount, unackedCount }) => readyCount + unackedCount],
    ['messages_details', level((queue) => -(rates?.queue(queue)?.drainRate ?? 0) + 0)], // no -0
    ['messages_ready', ({ readyCount }) => readyCount],
    ['messages_ready_details', still],
    ['messages_unacknowledged', ({ unackedCount }) => unackedCount],
    ['messages_unacknowledged_details', still],
    ['message_bytes_ready', ({ readyBytes }) => readyBytes],
    ['memory', ({ readyCount, unackedCount }) => INDEX_BYTES * (readyCount + unackedCount)],
    ['consumers', ({ consumerCount }) => consumerCount],
    ['consumer_utilisation', isKeptEmpty],
    ['consumer_capacity', isKeptEmpty],
    ['exclusive_consumer_tag', ({ roster }) => [...roster.consumers].find(({ exclusive }) => exclusive)?.tag ?? null],
    ['single_active_consumer_tag', activeTag],
    ['policy', ({ policy }) => policy.policy ?? null],
    ['operator_policy', ({ policy }) => policy.operatorPolicy ?? null],
    ['effective_policy_definition', ({ policy }) => policy.definition],
    ['message_stats', (queue) => messageStats(queue, rates?.queue(queue))],
  ]);
}

function isKeptEmpty({ consumerCount, readyCount }: Queue): number {
  return consumerCount > 0 && readyCount === 0 ? 1 : 0;
}

function messageStats({ counts }: Queue, rates: Rates | undefined): object {
  const { published, delivered, acked, redelivered } = counts;
  return withRates({ publish: published, deliver_get: delivered, ack: acked, redeliver: redelivered }, rates);
}

function activeTag({ settings, roster }: Queue): string | null {
  if (!settings.singleActiveConsumer) return null;
  return [...roster.consumers].find(({ standing }) => standing !== Standing.Waiting)?.tag ?? null;
}

/** One queue alone: with what takes from it. */
export function showQueueFully(rates: RateSource | undefined, queue: Queue): object {
  return {
    ...showFields(queueFields(rates), queue),
    consumer_details: [...queue.roster.consumers].map((each) => showConsumer(queue, each)),
    deliveries: [],
    incoming: [],
  };
}

export function showConsumer(queue: Queue, consumer: Consumer): object {
  const active = consumer.standing !== Standing.Waiting;
  return {
    consumer_tag: consumer.tag,
    queue: { name: queue.name, vhost: queue.vhost.name },
    ack_required: !consumer.noAck,
    exclusive: consumer.exclusive,
    prefetch_count: consumer.prefetch,
    active,
    activity_status: !active ? 'waiting' : queue.settings.singleActiveConsumer ? 'single_active' : 'up',
    arguments: {},
  };
}
