// What `leveret status` says of a broker, from the overview and the nodes of the HTTP API.
// Always: what the broker or the caller's tags do not tell is left out. Refuses: to ask for anything else.

import { type Api, ApiError, type Fields, isFields, path } from './api.ts';
import { aligned, cellText } from './table.ts';

export interface Status {
  readonly product: string;
  readonly version: string;
  readonly node: string;
  readonly cluster: string;
  readonly uptimeMs: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly memoryLimitBytes: number | undefined;
  readonly diskFreeBytes: number | undefined;
  /** In force: publishers are held back. */
  readonly alarms: readonly string[];
  readonly listeners: readonly string[];
  /** Such as connections, channels, queues. */
  readonly objects: Fields;
  /** messages, messages_ready, messages_unacknowledged. */
  readonly messages: Fields;
}

export async function readStatus(api: Api): Promise<Status> {
  const overview = await api.get(path('overview'));
  const node = await nodeOf(api, String(overview['node'] ?? ''));
  const listeners: unknown = overview['listeners'];
  return {
    product: String(overview['product_name'] ?? 'RabbitMQ'),
    version: String(overview['product_version'] ?? overview['rabbitmq_version'] ?? ''),
    node: String(overview['node'] ?? ''),
    cluster: String(overview['cluster_name'] ?? ''),
    uptimeMs: numberOf(node['uptime']),
    memoryBytes: numberOf(node['mem_used']),
    memoryLimitBytes: numberOf(node['mem_limit']),
    diskFreeBytes: numberOf(node['disk_free']),
    alarms: [...(node['mem_alarm'] === true ? ['memory'] : []), ...(node['disk_free_alarm'] === true ? ['disk'] : [])],
    listeners: Array.isArray(listeners) ? listeners.filter(isFields).map(listenerText) : [],
    objects: isFields(overview['object_totals']) ? overview['object_totals'] : {},
    messages: totalsOf(overview['queue_totals']),
  };
}

export function statusLines(status: Status): string[] {
  const { product, version, node, cluster, uptimeMs, memoryBytes, memoryLimitBytes, diskFreeBytes, alarms, listeners } = status;
  const limit = memoryLimitBytes === undefined ? '' : ` of ${bytesText(memoryLimitBytes)}`;
  const rows = [
    ['broker', `${product} ${version}`],
    ['node', node],
    ['cluster', cluster],
    ...(uptimeMs === undefined ? [] : [['up for', durationText(uptimeMs)]]),
    ...(memoryBytes === undefined ? [] : [['memory', `${bytesText(memoryBytes)}${limit}`]]),
    ...(diskFreeBytes === undefined ? [] : [['disk free', bytesText(diskFreeBytes)]]),
    ['alarms', alarms.length === 0 ? 'none' : `${alarms.join(', ')}: publishers are held back`],
    ...listeners.map((listener) => ['listens', listener]),
    ...[...Object.entries(status.messages), ...Object.entries(status.objects)].map(([name, value]) => [name, cellText(value)]),
  ];
  return aligned(rows.map((row) => row.map(cellText)));
}

/** {} where the caller may not see nodes. */
async function nodeOf(api: Api, name: string): Promise<Fields> {
  try {
    for await (const node of api.list(path('nodes'))) if (name === '' || node['name'] === name) return node;
    return {};
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return {};
    throw error;
  }
}

function listenerText({ protocol, ip_address: address, port }: Fields): string {
  const host = String(address ?? '');
  return `${String(protocol ?? '')} on ${host.includes(':') ? `[${host}]` : host}:${String(port ?? '')}`;
}

function totalsOf(totals: unknown): Fields {
  if (!isFields(totals)) return {};
  return Object.fromEntries(Object.entries(totals).filter(([, value]) => typeof value === 'number'));
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power] ?? 'B'}`;
}

export function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  const first = parts.findIndex((part) => part > 0);
  if (first < 0) return '0 s';
  return parts
    .map((part, index) => `${part} ${['d', 'h', 'min', 's'][index] ?? ''}`)
    .slice(first, first + 2)
    .join(' ');
}
