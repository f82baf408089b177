// What operators see, as the configuration says.

import { expect, onTestFinished, test } from 'vitest';
import { Leveret } from '../../server/compose.ts';
import { configOf } from '../../server/config.ts';
import { Operations } from '../../server/operations.ts';
import type { SettingValue } from '../../server/setting.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { VirtualClock } from '../support/clock.ts';
import { Engine } from '../support/engine.ts';
import { readMetrics } from '../support/metrics.ts';

function metricsWith(settings: Readonly<Record<string, SettingValue>>): Map<string, number> {
  const { broker } = new Engine();
  const parts = { broker, clock: broker.clock, notices: broker.notices, product: 'Leveret', version: '1.2.3', node: 'leveret@localhost' };
  const operations = new Operations(parts, configOf({ memory: true, ...settings }));
  const page = operations.answer('/metrics', new URLSearchParams());
  const text = Array.from(page?.pieces ?? [], (piece) => Buffer.from(piece).toString()).join('');
  operations.close();
  return readMetrics(text);
}

test('a dead letter is alerted of unless every limit of alerts.* is 0', () => {
  expect(metricsWith({}).get('leveret_alerts_standing')).toBe(0);
  expect(metricsWith({ 'alerts.dlq-depth': 0 }).get('leveret_alerts_standing')).toBeUndefined();
  expect(metricsWith({ 'alerts.dlq-depth': 0, 'alerts.dlq-oldest-ms': 60_000 }).get('leveret_alerts_standing')).toBe(0);
});

test('the overview tells what makes an alert and whether it is sent, and not where to', async () => {
  const ignore = (): void => undefined;
  const logs = { notices: { notice: ignore }, logFor: () => ({ debug: ignore, info: ignore, warn: ignore, error: ignore }) };
  const alertsWith = async (settings: Readonly<Record<string, SettingValue>>): Promise<unknown> => {
    const leveret = new Leveret(configOf({ memory: true, ...settings }), { logs, clock: new VirtualClock(), messageLog: new MemoryLog() });
    onTestFinished(() => leveret.close());
    const { http } = await leveret.listen('127.0.0.1', { http: 0 });
    const authorization = `Basic ${btoa('guest:guest')}`;
    const response = await fetch(`http://127.0.0.1:${http.port}/api/overview`, { headers: { authorization } });
    const text = await response.text();
    expect(text).not.toContain('planted');
    return JSON.parse(text);
  };
  const shown = { depth: 1, oldest_ms: 0, growth_per_min: 0, webhook: false };
  expect(await alertsWith({})).toMatchObject({ dead_letter_alerts: shown });
  const settings = { 'alerts.webhook-url': 'http://planted.example/', 'alerts.dlq-depth': 7, 'alerts.dlq-oldest-ms': 8 };
  const more = { 'alerts.dlq-growth-per-min': 9 };
  expect(await alertsWith({ ...settings, ...more })).toMatchObject({
    dead_letter_alerts: { depth: 7, oldest_ms: 8, growth_per_min: 9, webhook: true },
  });
});

test('the memory that publishers are held back at follows limits.memory-percent', () => {
  const at = (percent: number): number =>
    metricsWith({ 'limits.memory-percent': percent }).get('rabbitmq_resident_memory_limit_bytes') ?? 0;
  expect(at(30) / at(60)).toBeCloseTo(0.5, 6);
});
