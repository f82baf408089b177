// A topology as operations, and what the broker has otherwise as a diff.
// Always: (1) exchanges come before queues, both before bindings, and all leave without waiting for each other; (2) every difference is found before
// any is told: one error names them all. Refuses: to change what exists.

import { type Duration, toMs } from './duration.ts';
import { LeveretError } from './error.ts';
import type { Arguments } from './options.ts';
import type { BindingSpec, ExchangeSpec, QueueSpec, Topology } from './topology.ts';
import type { Wire } from './wire.ts';

export async function declareAll(wire: Wire, { exchanges = {}, queues = {} }: Topology): Promise<void> {
  const all: Record<string, QueueSpec> = { ...queues };
  for (const { deadLetter } of Object.values(queues)) if (deadLetter !== undefined) all[deadLetter] ??= {};
  const exchangeList = Object.entries(exchanges);
  const queueList = Object.entries(all);
  const results = await Promise.allSettled([
    ...exchangeList.map(([name, spec]) => declareExchange(wire, name, spec)),
    ...queueList.map(([name, spec]) => declareQueue(wire, name, spec)),
    ...exchangeList.flatMap(([destination, spec]) =>
      bindings(spec).map(([source, bound]) => wire.request('exchange.bind', { destination, source, ...bound })),
    ),
    ...queueList.flatMap(([queue, spec]) =>
      bindings(spec).map(([exchange, bound]) => wire.request('queue.bind', { queue, exchange, ...bound })),
    ),
  ]);
  const diffs: string[] = [];
  let failed: unknown;
  for (const result of results) {
    if (result.status === 'rejected') failed ??= result.reason;
    else if (typeof result.value === 'string') diffs.push(result.value);
  }
  if (diffs.length === 0) {
    if (failed) throw failed;
    return;
  }
  // What could not be declared cannot be bound either: that is the smaller news.
  throw new LeveretError(
    'PRECONDITION_FAILED',
    `PRECONDITION_FAILED - the broker has it otherwise (- broker, + topology):\n${diffs.join('\n')}`,
    {
      replyCode: 406,
      hint: 'change the topology, or delete what differs and connect again',
    },
  );
}

/** Undefined, or how the broker's differs. */
async function declareExchange(wire: Wire, exchange: string, spec: ExchangeSpec): Promise<string | undefined> {
  const { type = 'direct', durable = true, autoDelete = false, internal = false, alternate } = spec;
  const args = defined({ 'alternate-exchange': alternate, ...spec.arguments });
  const error = await refusal(wire.request('exchange.declare', { exchange, type, durable, autoDelete, internal, arguments: args }));
  return error && toldDiff(`exchange ${exchange}`, error);
}

/** What the broker's text tells: its first difference. */
function toldDiff(what: string, { reason }: LeveretError): string {
  const [, field, ours, theirs] = /arg '([^']*)'.*received (.*) but current is (.*)$/.exec(reason) ?? [];
  return field === undefined ? reason : `  ${what}\n  - ${field}: ${theirs}\n  + ${field}: ${ours}`;
}

async function declareQueue(wire: Wire, queue: string, spec: QueueSpec): Promise<string | undefined> {
  const { durable = true, exclusive = false, autoDelete = false } = spec;
  const args = queueArguments(spec);
  const error = await refusal(wire.request('queue.declare', { queue, durable, exclusive, autoDelete, arguments: args }));
  if (error === undefined) return undefined;
  const theirs = await wire.request('queue.inspect', { queue }).catch((failure: LeveretError) => failure);
  // Over AMQP there is no looking at a queue.
  if (theirs instanceof LeveretError) return toldDiff(`queue ${queue}`, error);
  const current: Arguments = { durable: theirs.durable, exclusive: theirs.exclusive, autoDelete: theirs.autoDelete, ...theirs.arguments };
  const wanted: Arguments = { durable, exclusive, autoDelete, ...args };
  const lines: string[] = [];
  for (const name of Object.keys({ ...current, ...wanted })) {
    const [before, after] = [JSON.stringify(current[name]), JSON.stringify(wanted[name])];
    if (before === after) continue;
    if (before !== undefined) lines.push(`  - ${name}: ${before}`);
    if (after !== undefined) lines.push(`  + ${name}: ${after}`);
  }
  return lines.length === 0 ? error.reason : `  queue ${queue}\n${lines.join('\n')}`;
}

/** The PRECONDITION_FAILED that a request got; other errors are thrown. */
async function refusal(request: Promise<unknown>): Promise<LeveretError | undefined> {
  try {
    await request;
    return undefined;
  } catch (error) {
    if (error instanceof LeveretError && error.replyCode === 406) return error;
    throw error;
  }
}

function queueArguments(spec: QueueSpec): Arguments {
  const { deadLetter } = spec;
  const ms = (duration: Duration | undefined): number | undefined => (duration === undefined ? undefined : toMs(duration));
  return defined({
    'x-max-priority': spec.maxPriority,
    'x-max-length': spec.maxLength,
    'x-max-length-bytes': spec.maxBytes,
    'x-overflow': spec.overflow,
    'x-message-ttl': ms(spec.ttl),
    'x-expires': ms(spec.expires),
    'x-dead-letter-exchange': deadLetter === undefined ? spec.deadLetterExchange : '',
    'x-dead-letter-routing-key': deadLetter ?? spec.deadLetterKey,
    'x-delivery-limit': spec.deliveryLimit,
    'x-single-active-consumer': spec.singleActiveConsumer,
    'x-consumer-timeout': ms(spec.consumerTimeout),
    ...spec.arguments,
  });
}

function defined(fields: Readonly<Record<string, unknown>>): Arguments {
  const all: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) all[name] = value;
  return all;
}

function bindings({
  from,
  keys = [''],
  match = {},
  bindings: more = [],
}: ExchangeSpec | QueueSpec): [from: string, bound: { key: string; arguments: Arguments }][] {
  const all: readonly BindingSpec[] = from === undefined ? more : [{ from, keys, match }, ...more];
  return all.flatMap((binding) =>
    (binding.keys ?? ['']).map((key): ReturnType<typeof bindings>[number] => [binding.from, { key, arguments: { ...binding.match } }]),
  );
}
