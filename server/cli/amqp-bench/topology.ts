// What a run of the verb publishes to and consumes from: one queue, bound to the exchange if one was named.
// Always: (1) a queue that exists under the name given is taken as it is, and stays; so does one that is made under it; (2) a queue of our own goes at the
// end, and before that with its last consumer; (3) what the broker refuses is told in its words, with what to do.

import type { FieldTable } from '../../../shared/amqp/table.ts';
import { CliError, ExitCode } from '../exit-codes.ts';
import { ChannelClosed, type Link } from './link.ts';

const NOT_FOUND = 404;
const PRECONDITION_FAILED = 406;

export interface TopologyOptions {
  readonly queue: string;
  /** It was not named by the user: it goes in the end. */
  readonly isOwn: boolean;
  readonly isDurable: boolean;
  readonly arguments: FieldTable;
  /** '' is the default exchange. */
  readonly exchange: string;
  /** Declare the exchange too. */
  readonly exchangeType: string | undefined;
  readonly routingKeys: readonly string[];
}

export async function declareTopology(link: Link, options: TopologyOptions): Promise<void> {
  if (options.isOwn || !(await exists(link, options.queue))) await declareQueue(link, options);
  if (options.exchange === '') return;
  if (options.exchangeType !== undefined) await declareExchange(link, options, options.exchangeType);
  for (const routingKey of options.routingKeys) await bind(link, options, routingKey);
}

export async function removeTopology(link: Link, { queue, isOwn }: TopologyOptions): Promise<void> {
  if (isOwn) await link.request('queue.delete', { queue, ifUnused: false, ifEmpty: false, nowait: false }, 'queue.delete-ok');
}

async function exists(link: Link, queue: string): Promise<boolean> {
  const passive = { queue, passive: true, durable: false, exclusive: false, autoDelete: false, nowait: false, arguments: new Map() };
  try {
    await link.request('queue.declare', passive, 'queue.declare-ok');
    return true;
  } catch (error) {
    if (!(error instanceof ChannelClosed) || error.code !== NOT_FOUND) throw error;
    await link.openChannel();
    return false;
  }
}

async function declareQueue(link: Link, { queue, isDurable, isOwn, arguments: args }: TopologyOptions): Promise<void> {
  const flags = { passive: false, durable: isDurable, exclusive: false, autoDelete: isOwn && !isQuorum(args), nowait: false };
  await hinted(link, link.request('queue.declare', { queue, ...flags, arguments: args }, 'queue.declare-ok'), {
    [PRECONDITION_FAILED]: 'see to --queue-args and -p: a quorum queue, say, is durable',
  });
}

/** It refuses to be auto-delete. */
function isQuorum(args: FieldTable): boolean {
  return args.get('x-queue-type') === 'quorum';
}

async function declareExchange(link: Link, { exchange, isDurable }: TopologyOptions, type: string): Promise<void> {
  const flags = { passive: false, durable: isDurable, autoDelete: true, internal: false, nowait: false };
  await hinted(link, link.request('exchange.declare', { exchange, type, ...flags, arguments: new Map() }, 'exchange.declare-ok'), {
    [PRECONDITION_FAILED]: 'it exists already: leave out -t',
  });
}

async function bind(link: Link, { queue, exchange }: TopologyOptions, routingKey: string): Promise<void> {
  await hinted(link, link.request('queue.bind', { queue, exchange, routingKey, nowait: false, arguments: new Map() }, 'queue.bind-ok'), {
    [NOT_FOUND]: 'declare it with -t direct, fanout, topic or headers',
  });
}

/** A refusal with what to do about it, and the channel open again: what is there already is to be taken away. */
async function hinted<Result>(link: Link, request: Promise<Result>, hints: Readonly<Record<number, string>>): Promise<Result> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof ChannelClosed)) throw error;
    await link.openChannel();
    throw new CliError(ExitCode.Failure, error.message, hints[error.code]);
  }
}
