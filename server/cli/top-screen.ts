// What `leveret top` shows of one look at a broker: lines of text, made of numbers.
// Always: (1) no line is wider and there are no more of them than the screen; (2) a rate the broker does not tell is made of two looks at its counters;
// (3) control characters of names are shown, not sent. Refuses: to ask the broker or to draw.

import { type Fields, isFields } from './api.ts';
import { valueAt } from './list.ts';
import { printable } from './output.ts';
import { aligned } from './table.ts';

export const ORDERS = ['rate', 'ready', 'unacked', 'name'] as const;
export type Order = (typeof ORDERS)[number];

/** How the API calls what an order goes by: it sorts, for it has all queues and the screen only some. */
export const SORT_FIELDS: Readonly<Record<Order, string>> = {
  rate: 'message_stats.publish_details.rate',
  ready: 'messages_ready',
  unacked: 'messages_unacknowledged',
  name: 'name',
};

/** Fields of a queue that a look asks for. */
export const QUEUE_FIELDS = [
  ...['name', 'vhost', 'messages_ready', 'messages_unacknowledged', 'consumers', 'state'],
  ...['message_stats.publish', 'message_stats.publish_details.rate', 'message_stats.deliver_get', 'message_stats.deliver_get_details.rate'],
  ...['message_stats.ack', 'message_stats.ack_details.rate'],
].join(',');

export interface Look {
  readonly atMs: number;
  readonly overview: Fields;
  readonly queues: readonly Fields[];
}

export interface QueueRow {
  readonly vhost: string;
  readonly name: string;
  readonly ready: number;
  readonly unacked: number;
  readonly consumers: number;
  /** Messages a second. */
  readonly publishRate: number;
  readonly deliverRate: number;
  readonly ackRate: number;
}

export function rowsOf(look: Look, before: Look | undefined, order: Order, isReversed: boolean): QueueRow[] {
  const earlier = new Map(before?.queues.map((queue) => [keyOf(queue), queue]));
  const seconds = before === undefined ? 0 : (look.atMs - before.atMs) / 1_000;
  const rows = look.queues.map((queue) => {
    const rate = (counter: string): number => rateOf(queue, earlier.get(keyOf(queue)), counter, seconds);
    return {
      vhost: String(queue['vhost'] ?? ''),
      name: String(queue['name'] ?? ''),
      ready: numberAt(queue, 'messages_ready'),
      unacked: numberAt(queue, 'messages_unacknowledged'),
      consumers: numberAt(queue, 'consumers'),
      publishRate: rate('publish'),
      deliverRate: rate('deliver_get'),
      ackRate: rate('ack'),
    };
  });
  rows.sort((a, b) => compare(a, b, order) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return isReversed ? rows.reverse() : rows;
}

export function headLines(overview: Fields): string[] {
  const product = `${String(overview['product_name'] ?? 'RabbitMQ')} ${String(overview['product_version'] ?? overview['rabbitmq_version'] ?? '')}`;
  const total = (field: string): string => count(numberAt(overview, field));
  const objects = ['connections', 'channels', 'consumers', 'queues', 'exchanges'].map(
    (what) => `${total(`object_totals.${what}`)} ${what}`,
  );
  const rates = [
    ['publish', 'publish'],
    ['deliver', 'deliver_get'],
    ['ack', 'ack'],
  ].map(([word, counter]) => `${word} ${rateText(numberAt(overview, `message_stats.${counter}_details.rate`))}`);
  const messages = `${total('queue_totals.messages_ready')} ready, ${total('queue_totals.messages_unacknowledged')} unacked`;
  return [`${product}  ${String(overview['node'] ?? '')}`, objects.join(', '), `messages: ${messages};  a second: ${rates.join(', ')}`].map(
    printable,
  );
}

export function tableLines(rows: readonly QueueRow[]): string[] {
  const isOneVhost = new Set(rows.map(({ vhost }) => vhost)).size <= 1;
  const head = [...(isOneVhost ? [] : ['VHOST']), 'QUEUE', 'READY', 'UNACKED', 'CONSUMERS', 'PUBLISH/S', 'DELIVER/S', 'ACK/S'];
  const cells = rows.map(({ vhost, name, ready, unacked, consumers, publishRate, deliverRate, ackRate }) => [
    ...(isOneVhost ? [] : [printable(vhost)]),
    printable(name),
    ...[ready, unacked, consumers].map(count),
    ...[publishRate, deliverRate, ackRate].map(rateText),
  ]);
  return aligned([head, ...cells]);
}

/** Fits lines into a screen: cut at its right and at its bottom. */
export function fitted(lines: readonly string[], { columns, rows }: { readonly columns: number; readonly rows: number }): string[] {
  return lines.slice(0, rows).map((line) => [...line].slice(0, columns).join(''));
}

export function rateText(rate: number): string {
  return rate === 0 || rate >= 10 ? String(Math.round(rate)) : rate.toFixed(1);
}

const count = (number: number): string => String(number);
const keyOf = ({ vhost, name }: Fields): string => JSON.stringify([vhost, name]);

function compare(a: QueueRow, b: QueueRow, order: Order): number {
  if (order === 'rate') return b.publishRate + b.deliverRate - a.publishRate - a.deliverRate;
  return order === 'name' ? 0 : b[order] - a[order];
}

function rateOf(queue: Fields, earlier: Fields | undefined, counter: string, seconds: number): number {
  const stats = isFields(queue['message_stats']) ? queue['message_stats'] : {};
  const told = valueAt(stats, `${counter}_details.rate`);
  if (typeof told === 'number') return told;
  if (earlier === undefined || seconds <= 0) return 0;
  return Math.max(0, (numberAt(queue, `message_stats.${counter}`) - numberAt(earlier, `message_stats.${counter}`)) / seconds);
}

function numberAt(fields: Fields, field: string): number {
  const value = valueAt(fields, field);
  return typeof value === 'number' ? value : 0;
}
