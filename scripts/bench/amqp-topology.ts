// What an AMQP row needs on a broker: queues and bindings, there before a run and gone after it.
// Always: (1) many requests are on their way at once, but no more than a window, as a client with several channels would do it; (2) all of it is taken away.

import { parseAddress } from '../../server/cli/amqp-bench/address.ts';
import { Link } from '../../server/cli/amqp-bench/link.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';

// On their way: enough that neither broker waits for the client.
const WINDOW = 100;

export interface Binding {
  readonly queue: string;
  readonly routingKey: string;
}

export interface Topology {
  readonly queues: readonly string[];
  readonly isDurable: boolean;
  readonly queueType?: 'quorum';
  readonly exchange?: { readonly name: string; readonly type: 'topic' | 'fanout'; readonly bindings: readonly Binding[] };
}

export async function withTopology<Result>(url: string, topology: Topology, work: () => Promise<Result>): Promise<Result> {
  await withLink(url, (link) => declare(link, topology));
  try {
    return await work();
  } finally {
    await withLink(url, (link) => remove(link, topology));
  }
}

export async function withLink<Result>(url: string, work: (link: Link) => Promise<Result>): Promise<Result> {
  const link = await Link.open(parseAddress(url), 'bench');
  try {
    return await work(link);
  } finally {
    await link.close();
  }
}

async function declare(link: Link, { queues, isDurable, queueType, exchange }: Topology): Promise<void> {
  await declareQueues(link, queues, isDurable, new Map(queueType === undefined ? [] : [['x-queue-type', queueType]]));
  if (exchange === undefined) return;
  const { name, type, bindings } = exchange;
  const flags = { passive: false, durable: isDurable, autoDelete: false, internal: false, nowait: false };
  await link.request('exchange.declare', { exchange: name, type, ...flags, arguments: new Map() }, 'exchange.declare-ok');
  await inWindows(bindings, ({ queue, routingKey }) =>
    link.request('queue.bind', { queue, exchange: name, routingKey, nowait: false, arguments: new Map() }, 'queue.bind-ok'),
  );
}

export function declareQueues(link: Link, queues: readonly string[], durable: boolean, args: FieldTable = new Map()): Promise<void> {
  const flags = { passive: false, durable, exclusive: false, autoDelete: false, nowait: false };
  return inWindows(queues, (queue) => link.request('queue.declare', { queue, ...flags, arguments: args }, 'queue.declare-ok'));
}

export function deleteQueues(link: Link, queues: readonly string[]): Promise<void> {
  return inWindows(queues, (queue) =>
    link.request('queue.delete', { queue, ifUnused: false, ifEmpty: false, nowait: false }, 'queue.delete-ok'),
  );
}

async function remove(link: Link, { queues, exchange }: Topology): Promise<void> {
  if (exchange !== undefined)
    await link.request('exchange.delete', { exchange: exchange.name, ifUnused: false, nowait: false }, 'exchange.delete-ok');
  await deleteQueues(link, queues);
}

/** Asks for each, with at most a window of them unanswered. */
async function inWindows<Each>(all: readonly Each[], ask: (each: Each) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let each = all[next++]; each !== undefined; each = all[next++]) await ask(each);
  };
  await Promise.all(Array.from({ length: WINDOW }, lane));
}
