// What doctor finds in a topology, one finding at a time, and that a healthy one has none.

import { describe, expect, test } from 'vitest';
import type { Fields } from '../../../server/cli/api.ts';
import { ADVICE, lint } from '../../../server/cli/lint.ts';

const queue = (name: string, args: object = {}): Fields => ({ name, vhost: '/', durable: true, auto_delete: false, arguments: args });
const exchange = (name: string, type = 'direct', args: object = {}): Fields => ({ name, vhost: '/', type, arguments: args });
const binding = (source: string, destination: string, key = '', kind = 'queue'): Fields => ({
  ...{ source, vhost: '/', destination, destination_type: kind, routing_key: key, arguments: {} },
});
const policy = (pattern: string, definition: object, more: object = {}): Fields => ({
  ...{ vhost: '/', name: pattern, pattern, 'apply-to': 'all', definition, priority: 0, ...more },
});
const codes = (definitions: Fields, consumers: Fields[] = []): string[] =>
  lint(definitions, { consumers }).map(({ code, subject }) => `${code} ${subject}`);

const HEALTHY: Fields = {
  exchanges: [exchange('dlx', 'fanout'), exchange('orders', 'topic')],
  queues: [queue('orders', { 'x-dead-letter-exchange': 'dlx', 'x-max-length': 10 }), queue('dead', { 'x-message-ttl': 60_000 })],
  bindings: [binding('orders', 'orders', 'order.#'), binding('dlx', 'dead')],
};

test('a queue with a limit and a watched dead-letter queue has no findings', () => {
  expect(codes(HEALTHY)).toEqual([]);
});

test('a bare queue lacks a dead-letter exchange and a limit', () => {
  expect(codes({ queues: [queue('q')] })).toEqual(["queue-without-dlx queue 'q'", "queue-without-limit queue 'q'"]);
});

describe('policies count', () => {
  const both = { 'max-length': 5, 'dead-letter-exchange': 'amq.fanout' };
  const world = { queues: [queue('q')], bindings: [binding('amq.fanout', 'x')] };
  test('as the arguments they set', () => {
    expect(codes({ ...world, policies: [policy('^q$', both)] })).toEqual([]);
  });
  test('only for the names they match and the kind they apply to', () => {
    expect(codes({ ...world, policies: [policy('^other', both)] })).toHaveLength(2);
    expect(codes({ ...world, policies: [policy('^q$', both, { 'apply-to': 'exchanges' })] })).toHaveLength(2);
  });
  test('one alone: that of the highest priority', () => {
    const policies = [policy('q', both), policy('^q', { 'max-length': 5 }, { priority: 1 })];
    expect(codes({ ...world, policies })).toEqual(["queue-without-dlx queue 'q'"]);
  });
  test('with operator policies, which are parameters in a file', () => {
    const value = { pattern: '^q', definition: { 'max-length': 5 }, 'apply-to': 'queues', priority: 0 };
    const parameters = [{ vhost: '/', component: 'operator_policy', name: 'p', value }];
    expect(codes({ ...world, parameters })).toEqual(["queue-without-dlx queue 'q'"]);
  });
  test('but not with a pattern that cannot be read here', () => {
    expect(codes({ ...world, policies: [policy('(?>q)', both)] })).toHaveLength(2);
  });
});

describe('where dead letters go', () => {
  const dead = (dlx: string, key?: string): Fields =>
    queue('q', { 'x-max-length': 1, 'x-dead-letter-exchange': dlx, ...(key === undefined ? {} : { 'x-dead-letter-routing-key': key }) });
  test('an exchange that is not there is missing', () => {
    expect(codes({ queues: [dead('nowhere')] })).toEqual(["dlx-missing queue 'q'"]);
  });
  test('a direct exchange must have a binding for the key', () => {
    const bindings = [binding('amq.direct', 'q', 'other')];
    expect(codes({ queues: [dead('amq.direct', 'key')], bindings })).toEqual(["dlx-routes-nowhere queue 'q'"]);
    expect(codes({ queues: [dead('amq.direct', 'other')], bindings })).toEqual([]);
    expect(codes({ queues: [dead('amq.direct')], bindings })).toEqual([]); // any key: it may be this one
  });
  test('a topic exchange must have a pattern for the key', () => {
    const bindings = [binding('amq.topic', 'q', 'a.*.#')];
    expect(codes({ queues: [dead('amq.topic', 'a.b.c.d')], bindings })).toEqual([]);
    expect(codes({ queues: [dead('amq.topic', 'a')], bindings })).toEqual(["dlx-routes-nowhere queue 'q'"]);
  });
  test('bindings between exchanges are followed, in circles too, and alternate exchanges as well', () => {
    const round = [binding('amq.fanout', 'amq.direct', '', 'exchange'), binding('amq.direct', 'amq.fanout', 'key', 'exchange')];
    expect(codes({ queues: [dead('amq.fanout', 'key')], bindings: round })).toEqual(["dlx-routes-nowhere queue 'q'"]);
    expect(codes({ queues: [dead('amq.fanout', 'key')], bindings: [...round, binding('amq.direct', 'q', 'key')] })).toEqual([]);
    const exchanges = [exchange('e', 'direct', { 'alternate-exchange': 'amq.headers' })];
    expect(codes({ exchanges, queues: [dead('e', 'key')], bindings: [binding('amq.headers', 'q')] })).toEqual([]);
  });
  test('the default exchange must have a queue of that name', () => {
    expect(codes({ queues: [dead('', 'gone')] })).toEqual(["dlx-routes-nowhere queue 'q'"]);
    expect(codes({ queues: [dead('', 'dlq'), queue('dlq', { 'x-max-length': 1 })] })).toEqual([]);
  });
});

test('a dead-letter queue needs an end, a limit or a ttl, but no dead-letter exchange', () => {
  const queues = [queue('orders', { 'x-dead-letter-exchange': 'dlx', 'x-max-length': 10 }), queue('dead')];
  expect(codes({ ...HEALTHY, queues })).toEqual(["queue-without-limit queue 'dead'"]);
});

test('a dead-letter queue needs an alert that goes somewhere, where a broker tells of alerts', () => {
  const told = (alerts: Fields | undefined): string[] =>
    lint(HEALTHY, { consumers: [], alerts }).map(({ code, subject, text }) => `${code} ${subject} ${text}`);
  const [depth, never] = [
    { depth: 1, oldest_ms: 0, growth_per_min: 0 },
    { depth: 0, oldest_ms: 0, growth_per_min: 0 },
  ];
  expect(told(undefined)).toEqual([]);
  expect(told({ ...depth, webhook: true })).toEqual([]);
  expect(told({ ...never, oldest_ms: 5, webhook: true })).toEqual([]);
  const found = "dead-letter-queue-without-alert queue 'dead' holds dead letters, and";
  expect(told({ ...depth, webhook: false })).toEqual([`${found} alerts on them are in the metrics alone`]);
  expect(told({ ...never, webhook: true })).toEqual([`${found} nothing makes an alert of them`]);
});

test('a ttl of 0 is found', () => {
  const queues = [queue('q', { 'x-message-ttl': 0, 'x-dead-letter-exchange': 'amq.fanout' })];
  expect(codes({ queues, bindings: [binding('amq.fanout', 'q')] })).toEqual(["ttl-0 queue 'q'"]);
});

test('an exchange that leads nowhere is found, unless the broker made it or it has an alternate', () => {
  const exchanges = [exchange('lost'), exchange('safe', 'direct', { 'alternate-exchange': 'amq.fanout' })];
  expect(codes({ exchanges })).toEqual(["exchange-unrouted exchange 'lost'"]);
});

test('consumers without prefetch or acks are found', () => {
  const consumer = (tag: string, more: object): Fields => ({
    consumer_tag: tag,
    queue: { name: 'q', vhost: '/' },
    ack_required: true,
    prefetch_count: 1,
    ...more,
  });
  const consumers = [
    consumer('good', {}),
    consumer('greedy', { prefetch_count: 0 }),
    consumer('hasty', { ack_required: false, prefetch_count: 0 }),
  ];
  expect(codes({}, consumers)).toEqual([
    "consumer-prefetch-0 consumer 'greedy' of queue 'q'",
    "consumer-auto-ack consumer 'hasty' of queue 'q'",
  ]);
});

test('every finding has an advice, and a file of no form has no findings', () => {
  for (const advice of Object.values(ADVICE)) expect(advice.length).toBeGreaterThan(20);
  expect(codes({ queues: 'x', exchanges: [1, null], bindings: [{}], policies: [{}] })).toEqual([]);
});
