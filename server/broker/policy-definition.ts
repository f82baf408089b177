// What a policy may say: its keys, what each value must be, and what holds where an argument, a policy and an operator policy all say something.
// Always: (1) a key stands for the x-argument of the same name, so that queue-arguments.ts alone reads both; (2) of numbers the lower one holds, of the
// rest the argument (semantics 43); (3) an operator policy knows only keys of which the lower holds: it caps, and grants nothing.
// Refuses, with RabbitMQ's texts: keys it does not know, and values that are none. What clusters, mirrors, lazy queues and streams need is taken and
// ignored, as among the arguments. RabbitMQ differs: a negative delivery-limit is none here, as in its version 4; a time above ten years is refused.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import { integerOf } from './field-values.ts';
import { CONSUMER_TIMEOUT_ACTIONS, COUNT_NACKS, OVERFLOWS, TEN_YEARS_MS } from './queue-arguments.ts';

/** What holds for one queue or exchange. As the management API lists it. */
export interface EffectivePolicy {
  readonly policy: string | undefined;
  readonly operatorPolicy: string | undefined;
  /** Of both together. */
  readonly definition: JsonObject;
}
export const NO_POLICY: EffectivePolicy = { policy: undefined, operatorPolicy: undefined, definition: {} };

interface Key {
  readonly isValid: (value: Json) => boolean;
  /** As in "0 is not a valid queue expiry". */
  readonly noun: string;
  /** Against an argument that says something else. */
  readonly holds: 'lower' | 'argument';
  readonly isOperators: boolean;
}

const isAnything = (): boolean => true;
const isInteger = (value: Json): boolean => Number.isSafeInteger(value);
const isCount = (value: Json): boolean => isInteger(value) && Number(value) >= 0;
const isMs = (value: Json): boolean => isCount(value) && Number(value) <= TEN_YEARS_MS;
const isPositiveMs = (value: Json): boolean => isMs(value) && value !== 0;
const isName = (value: Json): boolean => typeof value === 'string' && utf8Length(value) <= SHORT_STRING_BYTES_MAX;
const isOneOf =
  (choices: readonly string[]) =>
  (value: Json): boolean =>
    typeof value === 'string' && choices.includes(value);

function lower(noun: string, isValid: (value: Json) => boolean, isOperators = true): Key {
  return { noun, isValid, holds: 'lower', isOperators };
}
function argument(noun: string, isValid: (value: Json) => boolean): Key {
  return { noun, isValid, holds: 'argument', isOperators: false };
}

const KEYS: ReadonlyMap<string, Key> = new Map([
  ['alternate-exchange', argument('alternate exchange name', isName)],
  ['block-timeout', argument('block timeout', isMs)],
  ['consumer-timeout', argument('consumer timeout', isPositiveMs)],
  ['consumer-timeout-action', argument('consumer timeout action', isOneOf(CONSUMER_TIMEOUT_ACTIONS))],
  ['count-nack', argument('count-nack value', isOneOf(COUNT_NACKS))],
  ['dead-letter-exchange', argument('dead letter exchange name', isName)],
  ['dead-letter-routing-key', argument('dead letter routing key', isName)],
  ['delivery-limit', lower('delivery limit', isInteger)],
  ['expires', lower('queue expiry', isPositiveMs)],
  ['max-length', lower('maximum length', isCount)],
  ['max-length-bytes', lower('maximum length in bytes', isCount)],
  ['max-message-bytes', lower('maximum message size', isCount)],
  ['message-ttl', lower('message TTL', isMs)],
  ['overflow', argument('overflow value', isOneOf(OVERFLOWS))],
]);

/** RabbitMQ's, without a meaning here. Those of its operator policies first. */
const IGNORED_OPERATORS = ['max-in-memory-length', 'max-in-memory-bytes', 'target-group-size'];
const IGNORED: ReadonlySet<string> = new Set([
  ...IGNORED_OPERATORS,
  'dead-letter-strategy',
  'filter-field-names',
  'ha-mode',
  'ha-params',
  'ha-promote-on-failure',
  'ha-promote-on-shutdown',
  'ha-sync-batch-size',
  'ha-sync-mode',
  'initial-cluster-size',
  'max-age',
  'queue-leader-locator',
  'queue-master-locator',
  'queue-mode',
  'queue-version',
  'stream-filter-size-bytes',
  'stream-max-segment-size-bytes',
]);

/** Throws 406, which HTTP says as 400, for a definition that RabbitMQ would refuse. */
export function checkDefinition(definition: Json | undefined, isOperators: boolean): asserts definition is JsonObject {
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition))
    throw invalid(`policy definition should be an object, actually was ${erlang(definition ?? null)}`, '/definition');
  const names = Object.keys(definition).sort();
  if (names.length === 0) throw invalid('no policy provided', '/definition');
  const unknown: string[] = [];
  for (const name of names) {
    const value = definition[name] as Json;
    const key = keyOf(name, isOperators);
    if (key === undefined) unknown.push(`{${erlang(name)},${erlang(value)}}`);
    else if (!key.isValid(value)) throw invalid(`${erlang(value)} is not a valid ${key.noun}`, `/definition/${name}`);
  }
  if (unknown.length === 0) return;
  const known = [...KEYS].filter(([, key]) => key.isOperators || !isOperators).map(([name]) => name);
  throw invalid(`[${unknown.join(',')}] are not recognised policy settings`, '/definition', `Use ${known.join(', ')}.`);
}

/** As RabbitMQ words what it refuses of a policy. */
export function invalid(why: string, path: string, hint?: string): AmqpError {
  return new AmqpError(ReplyCode.PreconditionFailed, `Validation failed\n\n${why}\n`, hint === undefined ? { path } : { path, hint });
}

/** An operator policy over a user's: what both say is the lower. */
export function mergeDefinitions(policy: JsonObject, operatorPolicy: JsonObject): JsonObject {
  const merged: JsonObject = { ...policy };
  for (const [name, cap] of Object.entries(operatorPolicy)) {
    const value = merged[name];
    merged[name] = typeof value === 'number' && typeof cap === 'number' ? lowerOf(name, value, cap) : cap;
  }
  return merged;
}

/** The arguments a queue would have been declared with, had its declarer known this definition. */
export function withDefinition(args: FieldTable, definition: JsonObject): FieldTable {
  const merged: FieldTable = new Map(args);
  for (const [name, key] of KEYS) {
    const value = definition[name];
    if (value === undefined || (typeof value !== 'string' && typeof value !== 'number')) continue;
    const argumentName = `x-${name}`;
    const own = args.get(argumentName);
    if (own === undefined) merged.set(argumentName, value);
    else if (key.holds === 'lower') merged.set(argumentName, lowerOf(name, Number(integerOf(own)), Number(value)));
  }
  // A key for dead letters that go nowhere: an argument is refused so, a policy may match queues of both kinds.
  if (!merged.has('x-dead-letter-exchange')) merged.delete('x-dead-letter-routing-key');
  return merged;
}

/** The alternate exchange of an exchange without such an argument. */
export function alternateIn(definition: JsonObject): string | undefined {
  const alternate = definition['alternate-exchange'];
  return typeof alternate === 'string' ? alternate : undefined;
}

function keyOf(name: string, isOperators: boolean): Pick<Key, 'isValid' | 'noun'> | undefined {
  const key = KEYS.get(name);
  if (key !== undefined) return key.isOperators || !isOperators ? key : undefined;
  const isIgnored = isOperators ? IGNORED_OPERATORS.includes(name) : IGNORED.has(name);
  return isIgnored ? { isValid: isAnything, noun: name } : undefined;
}

/** A negative delivery limit is none, and so the higher one. */
function lowerOf(name: string, a: number, b: number): number {
  return name === 'delivery-limit' && (a < 0 || b < 0) ? Math.max(a, b) : Math.min(a, b);
}

/** As Erlang prints it, for RabbitMQ's texts. */
function erlang(value: Json): string {
  if (typeof value === 'string') return `<<${JSON.stringify(value)}>>`;
  if (Array.isArray(value)) return `[${value.map(erlang).join(',')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = Object.entries(value).map(([name, each]) => `${erlang(name)} => ${erlang(each)}`);
  return `#{${fields.join(',')}}`;
}
