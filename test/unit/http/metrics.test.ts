// Metrics as text: names, labels, limits; and that what dashboards and rules ask for is served.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { healthAnswer, type Phase } from '../../../server/http/health.ts';
import { metricsAnswer } from '../../../server/http/metrics/answer.ts';
import type { MetricsSource } from '../../../server/http/metrics/source.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { ask, metricNames, metricsOf, piecesOf, readMetrics } from '../../support/metrics.ts';
import { ROOT } from '../../tidy/sources.ts';

function start(): { engine: Engine; peer: Peer } {
  const engine = new Engine();
  return { engine, peer: engine.connect() };
}

// All that RabbitMQ-Overview.json asks for (rabbitmq_prometheus, its version of 2021-03-22).
const OVERVIEW = `build_info identity_info
  process_resident_memory_bytes resident_memory_limit_bytes disk_space_available_bytes
  process_open_fds process_max_fds process_open_tcp_sockets process_max_tcp_sockets
  queue_messages_ready queue_messages_unacked queue_messages_published_total
  channel_messages_published_total channel_messages_confirmed_total channel_messages_unconfirmed
  channel_messages_unroutable_dropped_total channel_messages_unroutable_returned_total
  channel_messages_delivered_total channel_messages_delivered_ack_total channel_messages_redelivered_total channel_messages_acked_total
  channel_get_total channel_get_ack_total channel_get_empty_total channel_consumers
  queues queues_declared_total queues_created_total queues_deleted_total
  channels channels_opened_total channels_closed_total
  connections connections_opened_total connections_closed_total`
  .split(/\s+/)
  .map((name) => `rabbitmq_${name}`);

describe("dashboards' names", () => {
  test("all that RabbitMQ's overview asks for is on /metrics", () => {
    const { engine } = start();
    const names = metricNames(ask(metricsOf(engine), '/metrics'));
    expect(OVERVIEW.filter((name) => !names.has(name))).toEqual([]);
    expect(OVERVIEW).toHaveLength(35);
  });

  const served = (): Set<string> => {
    const { engine, peer } = start();
    engine.declare(peer, 'dead');
    engine.declare(peer, 'jobs', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'dead'],
    ]);
    const source = metricsOf(engine, { alerts: { standing: 0, sent: 0, failed: 0, dropped: 0 } });
    source.sampler.sample();
    const names = metricNames(ask(source, '/metrics') + ask(source, '/metrics/per-object'));
    for (const name of [...names]) if (name.endsWith('latency_seconds')) names.add(`${name}_bucket`);
    return names;
  };
  const asked = (text: string): string[] => [...new Set(text.match(/\b(rabbitmq|leveret)_[a-z0-9_]+/g))];

  test('our dashboard asks for nothing that is not served', () => {
    const dashboard: { panels: { targets: { expr: string }[] }[] } = JSON.parse(
      readFileSync(join(ROOT, 'docs/monitoring/leveret-overview.json'), 'utf8'),
    );
    const names = asked(dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join('\n'));
    const known = served();
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    expect(names.length).toBeGreaterThan(25);
  });

  test('nor do our alert rules', () => {
    const rules = readFileSync(join(ROOT, 'docs/monitoring/leveret.rules.yml'), 'utf8');
    const names = asked([...rules.matchAll(/expr: (.*)/g)].map((match) => match[1]).join('\n'));
    const known = served();
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('figures', () => {
  test('publishes, deliveries and acks are counted, in sums and by queue', () => {
    const { engine, peer } = start();
    engine.declare(peer, 'jobs');
    for (let i = 0; i < 5; i++) engine.publish(peer, '', 'jobs', 'hello');
    engine.publish(peer, '', 'nowhere', 'x');
    engine.publish(peer, '', 'nowhere', 'x', {}, true);
    engine.time.settle();
    const consumer = engine.consume(peer, 'jobs', { prefetch: 2 });
    engine.time.settle();
    peer.session.ack(1, false);
    peer.session.cancel(consumer);
    engine.time.settle();
    const source = metricsOf(engine);
    const sums = readMetrics(ask(source, '/metrics'));
    const value = (name: string): number | undefined => sums.get(`rabbitmq_${name}`);
    expect(value('channel_messages_published_total')).toBe(7);
    expect(value('channel_messages_confirmed_total')).toBe(7);
    expect(value('channel_messages_unroutable_dropped_total')).toBe(1);
    expect(value('channel_messages_unroutable_returned_total')).toBe(1);
    expect(value('queue_messages_published_total')).toBe(5);
    expect(value('channel_messages_acked_total')).toBe(1);
    const byQueue = readMetrics(ask(source, '/metrics/per-object'));
    for (const name of ['queue_messages_ready', 'queue_messages_unacked', 'queue_messages', 'queue_messages_ready_bytes'])
      expect(byQueue.get(`rabbitmq_${name}{vhost="/",queue="jobs"}`)).toBe(value(name));
    expect(byQueue.get('rabbitmq_exchange_messages_published_total{vhost="/",exchange=""}')).toBe(7);
  });

  test('sums of counters do not fall when a queue is deleted', () => {
    const { engine, peer } = start();
    engine.declare(peer, 'jobs');
    engine.publish(peer, '', 'jobs', 'x');
    peer.session.get('jobs', true, () => undefined);
    peer.session.deleteQueue('jobs', false, false);
    const sums = readMetrics(ask(metricsOf(engine), '/metrics'));
    expect(sums.get('rabbitmq_channel_get_total')).toBe(1);
    expect(sums.get('rabbitmq_queues_deleted_total')).toBe(1);
    expect(sums.get('rabbitmq_queues')).toBe(0);
  });

  test('depth and age of dead-letter queues are on /metrics, of other queues on per-object alone', () => {
    const { engine, peer } = start();
    engine.declare(peer, 'dead');
    engine.declare(peer, 'jobs', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'dead'],
    ]);
    engine.publish(peer, '', 'dead', 'x');
    engine.publish(peer, '', 'jobs', 'x');
    const source = metricsOf(engine);
    source.sampler.sample();
    engine.time.advance(90_000);
    const dead = '{vhost="/",queue="dead"}';
    const text = ask(source, '/metrics');
    expect(readMetrics(text).get(`leveret_dead_letter_queue_messages${dead}`)).toBe(1);
    expect(readMetrics(text).get(`leveret_dead_letter_queue_oldest_message_age_seconds${dead}`)).toBe(90);
    expect(text).not.toContain('queue="jobs"');
    expect(readMetrics(ask(source, '/metrics/per-object')).get('leveret_queue_oldest_message_age_seconds{vhost="/",queue="jobs"}')).toBe(
      90,
    );
  });
});

describe('the text', () => {
  test('quotes and backslashes in names are escaped', () => {
    const { engine, peer } = start();
    engine.declare(peer, 'a"b\\c');
    expect(ask(metricsOf(engine), '/metrics/per-object')).toContain('rabbitmq_queue_messages_ready{vhost="/",queue="a\\"b\\\\c"} 0\n');
  });

  test('no series stands twice', () => {
    const { engine, peer } = start();
    engine.declare(peer, 'jobs');
    for (const path of ['/metrics', '/metrics/per-object']) {
      const text = ask(metricsOf(engine), path);
      const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      expect(readMetrics(text).size).toBe(lines.length);
      expect(metricNames(text).size).toBe([...text.matchAll(/^# TYPE/gm)].length);
    }
  });

  test('more objects than allowed are counted, not shown', () => {
    const { engine, peer } = start();
    for (let i = 0; i < 12; i++) engine.declare(peer, `q${i}`);
    const text = ask(metricsOf(engine, { objectsMax: 10 }), '/metrics/per-object');
    expect([...text.matchAll(/^rabbitmq_queue_messages_ready\{/gm)]).toHaveLength(10);
    expect(readMetrics(text).get('leveret_metrics_objects_left_out{kind="queue"}')).toBe(2);
    expect(readMetrics(ask(metricsOf(engine, { objectsMax: 10 }), '/metrics')).get('rabbitmq_queues')).toBe(12);
  });

  test('10,000 queues come in pieces of bounded size', () => {
    const { engine, peer } = start();
    for (let i = 0; i < 10_000; i++) engine.declare(peer, `queue-${i}`, [], false);
    const pieces = piecesOf(metricsOf(engine), '/metrics/per-object');
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(80_000);
    expect(readMetrics(pieces.join('')).get('leveret_metrics_objects_left_out{kind="queue"}')).toBe(0);
  });

  /** Does `meanwhile` after the first piece. */
  function askSlowly(source: MetricsSource, path: string, query: string, meanwhile: () => void): Map<string, number> {
    const texts: string[] = [];
    for (const piece of metricsAnswer(source, path, new URLSearchParams(query))?.pieces ?? []) {
      texts.push(Buffer.from(piece).toString());
      if (texts.length === 1) meanwhile();
    }
    return readMetrics(texts.join(''));
  }

  test('queues are read some at a time, and what one has fits together', () => {
    const { engine, peer } = start();
    for (let i = 0; i < 1_200; i++) engine.declare(peer, `queue-${i}`, [], false);
    const read = askSlowly(metricsOf(engine), '/metrics/detailed', 'family=queue_coarse_metrics', () => {
      for (const queue of ['queue-0', 'queue-1199']) engine.publish(peer, '', queue, 'x');
    });
    const of = (queue: string): unknown =>
      ['queue_messages_ready', 'queue_messages'].map((name) => read.get(`rabbitmq_detailed_${name}{vhost="/",queue="${queue}"}`));
    expect([of('queue-0'), of('queue-1199')]).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  test('a sum of counters does not fall when queues go while it is made', () => {
    const { engine, peer } = start();
    for (let i = 0; i < 1_200; i++) engine.declare(peer, `queue-${i}`, [], false);
    for (const queue of ['queue-0', 'queue-1199']) {
      engine.publish(peer, '', queue, 'x');
      peer.session.get(queue, true, () => undefined);
    }
    const source = metricsOf(engine);
    const during = askSlowly(source, '/metrics', '', () => {
      for (const queue of ['queue-0', 'queue-1199']) peer.session.deleteQueue(queue, false, false);
    });
    const after = readMetrics(ask(source, '/metrics'));
    expect([during, after].map((read) => read.get('rabbitmq_channel_get_total'))).toEqual([2, 2]);
  });

  test('detailed shows the families and vhosts that were asked for, and else nothing', () => {
    const { engine, peer } = start();
    engine.declare(peer, 'jobs');
    const source = metricsOf(engine);
    expect(metricNames(ask(source, '/metrics/detailed'))).toEqual(
      new Set(['rabbitmq_build_info', 'rabbitmq_identity_info', 'leveret_metrics_objects_left_out']),
    );
    const text = ask(source, '/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count');
    expect(readMetrics(text).get('rabbitmq_detailed_queue_messages_ready{vhost="/",queue="jobs"}')).toBe(0);
    expect(readMetrics(text).get('rabbitmq_detailed_queue_consumers{vhost="/",queue="jobs"}')).toBe(0);
    expect(ask(source, '/metrics/detailed?family=queue_coarse_metrics&vhost=other')).not.toContain('jobs');
    expect(metricsAnswer(source, '/metrics/other', new URLSearchParams())).toBeUndefined();
  });
});

describe('probes', () => {
  const status = (path: string, phase: Phase): number | undefined => healthAnswer(path, phase)?.status;
  test.each([
    ['starting', [200, 503, 503]],
    ['running', [200, 200, 200]],
    ['draining', [200, 503, 200]],
    ['failed', [503, 503, 200]],
  ] as const)('while %s: livez, readyz, startupz are %j', (phase, statuses) => {
    expect(['/livez', '/readyz', '/startupz'].map((path) => status(path, phase))).toEqual(statuses);
    expect(status('/health', phase)).toBe(200);
  });
  test('a reason is named', () => {
    expect(JSON.parse(healthAnswer('/readyz', 'draining')?.pieces.join('') ?? '')).toEqual({
      status: 'unavailable',
      reasons: ['draining'],
    });
  });
});
