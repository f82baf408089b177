// What the metrics are made from: the broker, its sampler, and what only the process knows, which compose passes in.
// Always: a figure that this machine does not tell is undefined, and its metric is left out, not zero.
// Refuses: to read any of it from here: no files and no clocks in the HTTP layer.

import type { Broker } from '../../broker/broker.ts';
import type { Sampler } from '../../broker/sampler.ts';

/** Of the process and its machine. */
export interface ProcessFigures {
  readonly residentBytes: number;
  readonly memoryLimitBytes: number;
  readonly openFds: number | undefined;
  readonly maxFds: number | undefined;
  readonly openSockets: number;
  readonly diskFreeBytes: number | undefined;
  readonly uptimeMs: number;
  readonly cpuSeconds: number;
  /** How late timers were since the last sample. */
  readonly loopLagMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

export interface MetricsSource {
  readonly broker: Broker;
  readonly sampler: Sampler;
  readonly product: string;
  readonly version: string;
  readonly node: string;
  /** Queues, exchanges, connections or channels that one answer shows one by one; the rest is counted. */
  readonly objectsMax: number;
  /** Free bytes at which the disk alarm rises. */
  readonly diskLimitBytes: number;
  readonly figures: () => ProcessFigures;
  /** Alerts about dead letters: what the webhook took, and what it did not. */
  readonly alerts?: { readonly standing: number; readonly sent: number; readonly failed: number; readonly dropped: number };
}

export function clusterName({ broker, node }: MetricsSource): string {
  const name = broker.records.get('global-parameter', ['cluster_name'])?.['value'];
  return typeof name === 'string' ? name : node;
}
