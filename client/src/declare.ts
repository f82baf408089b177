// A topology as operations, and what the broker has otherwise as a diff.
// Always: (1) exchanges come before queues, both before bindings, and all leave without waiting for each other; (2) every difference is found before
// any is told: one error names them all. Refuses: to change what exists.

import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { toMs } from './duration.ts';
import { LeveretError } from './error.ts';
import type { BindingSpec, ExchangeSpec, QueueSpec, Topology } from './topology.ts';
import type { Wire } from './wire.ts';

const PRECONDITION_FAILED = 406;

export async function declareAll(wire: Wire, topology: Topology): Promise<void> {
  const exchanges = Object.entries(topology.exchanges ?? {});
  const queues = Object.entries(topology.queues ?? {});
  for (const [, { deadLetter }] of [...queues]) {
    if (deadLetter !== undefined && !queues.some(([name]) => name === deadLetter)) queues.push([deadLetter, {}]);
  }
  const asked: Promise<string | undefined>[] = [
    ...exchanges.map(([name, spec]) => declareExchange(wire, name, spec)),
    ...queues.map(([name, spec]) => declareQueue(wire, name, spec)),
    ...exchanges.flatMap(([destination, spec]) => bindings(spec).map((b) => done(wire.request('exchange.bind', { destination, source: b.from, ...b.bound })))),
    ...queues.flatMap(([queue, spec]) => bindings(spec).map((b) => done(wire.request('queue.bind', { queue, exchange: b.from, ...b.bound })))),
  ];
  const results = await Promise.allSettled(asked);
  const diffs: string[] = [];
  for (const result of results) {
    if (result.status === 'rejected') throw result.reason;
    if (result.value !== undefined) diffs.push(result.value);
  }
  if (diffs.length === 0) return;
  throw new LeveretError('PRECONDITION_FAILED', `PRECONDITION_FAILED - the broker has it otherwise (- broker, + topology):\n${diffs.join('\n')}`, {
    replyCode: PRECONDITION_FAILED,
    hint: 'change the topology, or delete what differs and connect again',
  });
}

/** Undefined, or how the broker's differs. */
async function declareExchange(wire: Wire, exchange: string, spec: ExchangeSpec): Promise<string | undefined> {
  const { type = 'direct', durable = true, autoDelete = false, internal = false, alternate } = spec;
  const args = toArguments({ 'alternate-exchange': alternate }, spec.arguments);
  try {
    await wire.request('exchange.declare', { exchange, type, durable, autoDelete, internal, arguments: args });
    return undefined;
  } catch (error) {
    if (!(error instanceof LeveretError) || error.replyCode !== PRECONDITION_FAILED) throw error;
    const [, field = '', ours = '', theirs = ''] = /arg '([^']*)'.*received (.*) but current is (.*)$/.exec(error.reason) ?? [];
    return field === '' ? `  ${error.reason}` : `  exchange ${exchange}\n  - ${field}: ${theirs}\n  + ${field}: ${ours}`;
  }
}

async function declareQueue(wire: Wire, queue: string, spec: QueueSpec): Promise<string | undefined> {
  const { durable = true, exclusive = false, autoDelete = false } = spec;
  const args = queueArguments(spec);
  try {
    await wire.request('queue.declare', { queue, durable, exclusive, autoDelete, arguments: args });
    return undefined;
  } catch (error) {
    if (!(error instanceof LeveretError) || error.replyCode !== PRECONDITION_FAILED) throw error;
    const theirs = await wire.request('queue.inspect', { queue }).catch(() => undefined);
    if (theirs === undefined) throw error;
    const current: JsonObject = { durable: theirs.durable, exclusive: theirs.exclusive, autoDelete: theirs.autoDelete, ...theirs.arguments };
    const lines = diff(current, { durable, exclusive, autoDelete, ...args });
    return lines.length === 0 ? `  ${error.reason}` : `  queue ${queue}\n${lines.join('\n')}`;
  }
}

function diff(theirs: JsonObject, ours: JsonObject): string[] {
  const names = new Set([...Object.keys(theirs), ...Object.keys(ours)]);
  const lines: string[] = [];
  for (const name of names) {
    const [before, after] = [JSON.stringify(theirs[name]), JSON.stringify(ours[name])];
    if (before === after) continue;
    if (before !== undefined) lines.push(`  - ${name}: ${before}`);
    if (after !== undefined) lines.push(`  + ${name}: ${after}`);
  }
  return lines;
}

function queueArguments(spec: QueueSpec): JsonObject {
  const ms = (duration: QueueSpec['ttl']): number | undefined => (duration === undefined ? undefined : toMs(duration));
  return toArguments(
    {
      'x-max-priority': spec.maxPriority,
      'x-max-length': spec.maxLength,
      'x-max-length-bytes': spec.maxBytes,
      'x-overflow': spec.overflow,
      'x-message-ttl': ms(spec.ttl),
      'x-expires': ms(spec.expires),
      'x-dead-letter-exchange': spec.deadLetter === undefined ? spec.deadLetterExchange : '',
      'x-dead-letter-routing-key': spec.deadLetter ?? spec.deadLetterKey,
      'x-delivery-limit': spec.deliveryLimit,
      'x-single-active-consumer': spec.singleActiveConsumer,
      'x-consumer-timeout': ms(spec.consumerTimeout),
    },
    spec.arguments,
  );
}

/** Arguments as JSON: undefined ones are left out. */
export function toArguments(...parts: (Readonly<Record<string, unknown>> | undefined)[]): JsonObject {
  const all: JsonObject = {};
  for (const part of parts) for (const [name, value] of Object.entries(part ?? {})) if (value !== undefined) all[name] = toJson(value);
  return all;
}

/** docs/protocol.md, "Properties and tables in JSON": what plain JSON would lose is written out. */
function toJson(value: unknown): Json {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return { $amqp: 'l', value: String(value) };
  if (value instanceof Date) return { $amqp: 'T', value: Math.floor(value.getTime() / 1000) };
  if (value instanceof Uint8Array) return { $amqp: 'x', value: btoa(String.fromCharCode(...value)) };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === 'object') return toArguments(Object.fromEntries(Object.entries(value)));
  throw new LeveretError('INVALID', `an argument cannot be a ${typeof value}`);
}

function bindings(spec: ExchangeSpec | QueueSpec): { from: string; bound: { key: string; arguments: JsonObject } }[] {
  const all: BindingSpec[] = [...(spec.bindings ?? [])];
  if (spec.from !== undefined) all.unshift({ from: spec.from, keys: spec.keys ?? [''], match: spec.match ?? {} });
  return all.flatMap(({ from, keys = [''], match = {} }) => keys.map((key) => ({ from, bound: { key, arguments: toArguments(match) } })));
}

async function done(request: Promise<unknown>): Promise<undefined> {
  await request;
}
