// A queue as RabbitMQ's management API shows it.
// Always: names and fields are RabbitMQ's; a rate is 0 where nobody measures. Refuses: who may see it (routes/topology.ts).

import { type Consumer, Standing } from '../broker/consumer.ts';
import { NODE } from '../broker/names.ts';
import { plainTable } from '../broker/plain-table.ts';
import type { Queue } from '../broker/queue.ts';
import { type Counter, indexOfCounter, readCounters } from '../broker/traffic.ts';
import { type Fields, showFields } from './listing.ts';
import type { LevelRates, RateSource, Rates } from './route.ts';

/** docs/performance.md: what a message costs beside its content, which is on disk. */
const INDEX_BYTES = 32;

/** Counters, and beside each the rate at which it grows, as RabbitMQ gives them. */
export function withRates(counters: Readonly<Record<string, number>>, rates: Rates | undefined): object {
  const shown: Record<string, unknown> = {};
  for (const name in counters) {
    shown[name] = counters[name];
    shown[`${name}_details`] = { rate: rates?.rate(name) ?? 0 };
  }
  return shown;
}

/** In RabbitMQ's message_stats; the rest of COUNTERS has no name there. */
const STATS = ['publish', 'deliver', 'deliver_no_ack', 'get', 'get_no_ack', 'get_empty', 'ack', 'redeliver'] as const;
/** What `deliver_get` sums. */
const DELIVER_GET: readonly Counter[] = ['deliver', 'deliver_no_ack', 'get', 'get_no_ack'];

/** `counters`: in the order of COUNTERS. */
export function messageStats(counters: readonly number[], rates: Rates | undefined): object {
  const of = (name: Counter): number => counters[indexOfCounter(name)] ?? 0;
  const sum = (read: (name: Counter) => number): number => DELIVER_GET.reduce((total, name) => total + read(name), 0);
  return {
    ...withRates(Object.fromEntries(STATS.map((name) => [name, of(name)])), rates),
    deliver_get: sum(of),
    deliver_get_details: { rate: sum((name) => rates?.rate(name) ?? 0) },
  };
}

type Field = (queue: Queue) => unknown;

/** Each field of a queue by itself, so that a list makes no more than what was asked for. */
export function queueFields(rates: RateSource | undefined): Fields<Queue> {
  const level =
    (rate: (rates: LevelRates) => number): Field =>
    (queue) => {
      const measured = rates?.queue(queue);
      return { rate: measured === undefined ? 0 : rate(measured) };
    };
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
    ['messages_details', level(({ readyRate, unackedRate }) => readyRate + unackedRate)],
    ['messages_ready', ({ readyCount }) => readyCount],
    ['messages_ready_details', level(({ readyRate }) => readyRate)],
    ['messages_unacknowledged', ({ unackedCount }) => unackedCount],
    ['messages_unacknowledged_details', level(({ unackedRate }) => unackedRate)],
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
    ['message_stats', (queue) => messageStats(readCounters(queue, []), rates?.queue(queue))],
  ]);
}

function isKeptEmpty({ consumerCount, readyCount }: Queue): number {
  return consumerCount > 0 && readyCount === 0 ? 1 : 0;
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
