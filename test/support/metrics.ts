// Metrics of the engine alone, and how to read their text.
// Always: figures of the process are fixed, so that a text is the same each time.

import { Sampler } from '../../server/broker/sampler.ts';
import { metricsAnswer } from '../../server/http/metrics/answer.ts';
import type { MetricsSource } from '../../server/http/metrics/source.ts';
import type { Engine } from './engine.ts';

const FIGURES = {
  residentBytes: 50_000_000,
  memoryLimitBytes: 600_000_000,
  openFds: 20,
  maxFds: 1024,
  openSockets: 3,
  diskFreeBytes: 9_000_000_000,
  uptimeMs: 12_000,
  cpuSeconds: 1.5,
  loopLagMs: { p50: 0.1, p99: 2, max: 5 },
};

export function metricsOf(engine: Engine, options: Partial<MetricsSource> = {}): MetricsSource {
  return {
    broker: engine.broker,
    sampler: new Sampler(engine.broker),
    product: 'Leveret',
    version: '1.2.3',
    node: 'leveret@localhost',
    objectsMax: 10_000,
    diskLimitBytes: 1_000_000_000,
    figures: () => FIGURES,
    ...options,
  };
}

/** Read as they come, for a piece stands until the next. They are cut at lines. */
export function piecesOf(source: MetricsSource, path: string, query = new URLSearchParams()): string[] {
  return Array.from(metricsAnswer(source, path, query)?.pieces ?? [], (piece) => Buffer.from(piece).toString());
}

/** What `path` answers: '/metrics/detailed?family=queue_coarse_metrics'. */
export function ask(source: MetricsSource, path: string): string {
  const [name = '', query] = path.split('?');
  return piecesOf(source, name, new URLSearchParams(query)).join('');
}

/** Values by name and labels, as they stand in the text. */
export function readMetrics(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, series = '', value = ''] = /^([^#].*) (\S+)$/.exec(line) ?? [];
    if (series !== '') values.set(series, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value));
  }
  return values;
}

export function metricNames(text: string): Set<string> {
  return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1] ?? ''));
}
