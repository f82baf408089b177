// Metrics, probes and alerts over HTTP of a running broker; their text by Debian's promtool, their names by a real RabbitMQ.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { findCommand } from '../../scripts/system-packages.ts';
import type { Alert } from '../../server/broker/dead-letter-alerts.ts';
import { SystemClock } from '../../server/clock.ts';
import { Leveret } from '../../server/compose.ts';
import { configOf } from '../../server/config.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { Engine } from '../support/engine.ts';
import { ask, metricNames, metricsOf, readMetrics } from '../support/metrics.ts';
import { ROOT } from '../tidy/sources.ts';

const promtool = findCommand(['promtool']);
const RULES = join(ROOT, 'docs/monitoring');

function check(...words: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(promtool ?? '', words, { encoding: 'utf8', cwd: RULES });
  return { status, text: stdout + stderr };
}
function checkMetrics(input: string): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(promtool ?? '', ['check', 'metrics'], { encoding: 'utf8', input });
  return { status, text: stdout + stderr };
}

const silent = { notices: { notice: () => undefined }, logFor: () => ({ debug() {}, info() {}, warn() {}, error() {} }) };

describe('a running broker', () => {
  const alerts: Alert[] = [];
  const hook = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      alerts.push(JSON.parse(body));
      response.writeHead(204).end();
    });
  });
  let leveret: Leveret;
  let base = '';

  beforeAll(async () => {
    hook.listen(0, '127.0.0.1');
    await once(hook, 'listening');
    const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    leveret = new Leveret(configOf({ memory: true, 'alerts.webhook-url': url, 'alerts.dlq-depth': 3, 'metrics.objects-max': 5 }), {
      logs: silent,
      clock: new SystemClock(),
      messageLog: new MemoryLog(),
    });
    const { http } = await leveret.listen('127.0.0.1', { http: 0 });
    base = `http://127.0.0.1:${http.port}`;
  });
  afterAll(async () => {
    await leveret.close();
    hook.closeAllConnections();
    hook.close();
  });

  test.each(['/livez', '/readyz', '/startupz', '/health'])('%s is 200, without a password', async (path) => {
    expect((await fetch(base + path)).status).toBe(200);
  });

  test('an alarm takes no readiness', async () => {
    leveret.broker.memoryAlarm(true);
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    leveret.broker.memoryAlarm(false);
  });

  test('metrics.objects-max is how many objects of a kind are shown', async () => {
    const text = await (await fetch(`${base}/metrics/per-object`)).text();
    expect(text.match(/^rabbitmq_exchange_messages_published_total\{/gm)).toHaveLength(5);
    expect(readMetrics(text).get('leveret_metrics_objects_left_out{kind="exchange"}')).toBe(3);
  });

  test.each(['/metrics', '/metrics/per-object', '/metrics/detailed?family=queue_coarse_metrics&vhost=%2F'])('%s is text', async (path) => {
    const answer = await fetch(base + path);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(readMetrics(await answer.text()).get([...readMetrics(await (await fetch(base + path)).text()).keys()][0] ?? '')).toBe(1);
  });

  test('HEAD has no body, POST is refused, and other paths below are none', async () => {
    expect(await (await fetch(`${base}/metrics`, { method: 'HEAD' })).text()).toBe('');
    expect((await fetch(`${base}/metrics`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${base}/metrics/other`)).status).toBe(404);
  });

  test('a reader that goes in the middle of a long page costs nothing', async () => {
    const abort = new AbortController();
    const answer = await fetch(`${base}/metrics/per-object`, { signal: abort.signal });
    abort.abort();
    await expect(answer.text()).rejects.toThrow();
    expect((await fetch(`${base}/livez`)).status).toBe(200);
  });

  test('the management API shows the rates that were sampled', async () => {
    const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` };
    const send = (method: string, path: string, body: object): Promise<Response> =>
      fetch(base + path, { method, headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) });
    await send('PUT', '/api/queues/%2F/rated', {});
    const message = { routing_key: 'rated', payload: 'x', payload_encoding: 'string', properties: {} };
    const rates = async (): Promise<number[]> => {
      await send('POST', '/api/exchanges/%2F/amq.default/publish', message);
      const shown = await Promise.all(
        ['/api/queues/%2F/rated', '/api/overview'].map(async (path) => (await fetch(base + path, { headers })).json()),
      );
      return shown.map(({ message_stats: stats }) => stats.publish_details.rate);
    };
    await expect.poll(async () => (await rates()).every((rate) => rate > 0), { timeout: 20_000, interval: 200 }).toBe(true);
  });

  test('dead letters above the limit reach the webhook', async () => {
    const auth = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`, 'content-type': 'application/json' };
    const put = async (queue: string, args: object): Promise<void> => {
      const body = JSON.stringify({ durable: true, arguments: args });
      expect((await fetch(`${base}/api/queues/%2F/${queue}`, { method: 'PUT', headers: auth, body })).status).toBeLessThan(300);
    };
    await put('dead', {});
    await put('jobs', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', 'x-max-length': 0 });
    const body = JSON.stringify({ routing_key: 'jobs', payload: 'x', payload_encoding: 'string', properties: {} });
    for (let i = 0; i < 3; i++) await fetch(`${base}/api/exchanges/%2F/amq.default/publish`, { method: 'POST', headers: auth, body });
    await expect.poll(() => alerts.length, { timeout: 20_000 }).toBe(1);
    expect(alerts[0]).toMatchObject({ state: 'raised', vhost: '/', queue: 'dead', depth: 3, passed: ['depth'], limits: { depth: 3 } });
    const metrics = readMetrics(await (await fetch(`${base}/metrics`)).text());
    expect(metrics.get('leveret_alerts_standing')).toBe(1);
    expect(metrics.get('leveret_dead_letter_queue_messages{vhost="/",queue="dead"}')).toBe(3);
  });
});

describe.skipIf(promtool === undefined)('promtool', () => {
  test.each([
    '/metrics',
    '/metrics/per-object',
    '/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&family=queue_delivery_metrics&family=connection_churn_metrics&family=node_metrics&family=exchange_metrics',
  ])('finds nothing to say about %s', (path) => {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'dead "letters" \\');
    engine.declare(peer, 'jobs', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'dead "letters" \\'],
    ]);
    engine.publish(peer, '', 'jobs', 'x');
    const source = metricsOf(engine, { alerts: { standing: 1, sent: 2, failed: 0, dropped: 0 } });
    source.sampler.sample();
    expect(checkMetrics(ask(source, path))).toEqual({ status: 0, text: '' });
  });

  test('does find what is wrong with a wrong text', () => {
    expect(checkMetrics('# TYPE a_total gauge\na_total 1\n').status).not.toBe(0);
  });

  test('takes the alert rules, and they alert when they should', () => {
    expect(check('check', 'rules', 'leveret.rules.yml').text).toContain('SUCCESS: 13 rules found');
    expect(check('test', 'rules', 'leveret.rules.test.yml')).toMatchObject({ status: 0 });
  });
});

// Of rabbitmq_ names that 3.10.8 does not have: those of 4.x for what it counts per channel, and this.
const NEWER = /^rabbitmq_(exchange_messages_published_total|queue_(get|messages_(acked|delivered|redelivered)).*_total|queue_get_total)$/;

test.skipIf(!hasRabbitMq())('a real RabbitMQ has every rabbitmq_ metric of ours, and its type', { timeout: 120_000 }, async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const rabbit = await RabbitMq.start({
    plugins: ['rabbitmq_prometheus'],
    config: [`prometheus.tcp.port = ${port}`, 'prometheus.tcp.ip = 127.0.0.1'],
  });
  try {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'jobs');
    const types = (text: string): Map<string, string> =>
      new Map([...text.matchAll(/^# TYPE (rabbitmq_\S+) (\S+)/gm)].map((match) => [match[1] ?? '', match[2] ?? '']));
    const theirs = types(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
    const ours = types(ask(metricsOf(engine), '/metrics') + ask(metricsOf(engine), '/metrics/per-object'));
    for (const [name, type] of ours) {
      if (NEWER.test(name)) continue;
      const known = theirs.get(name);
      expect(`${name} ${known === 'untyped' ? 'gauge' : known}`).toBe(`${name} ${type}`);
    }
    expect(metricNames(ask(metricsOf(engine), '/metrics')).size).toBeGreaterThan(60);
  } finally {
    await rabbit.stop();
  }
});
