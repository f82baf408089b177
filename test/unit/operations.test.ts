// What operators see, as the configuration says.

import { expect, test } from 'vitest';
import { configOf } from '../../server/config.ts';
import { Operations } from '../../server/operations.ts';
import type { SettingValue } from '../../server/setting.ts';
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

test('the memory that publishers are held back at follows limits.memory-percent', () => {
  const at = (percent: number): number =>
    metricsWith({ 'limits.memory-percent': percent }).get('rabbitmq_resident_memory_limit_bytes') ?? 0;
  expect(at(30) / at(60)).toBeCloseTo(0.5, 6);
});
