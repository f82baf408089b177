// What a definitions file is made of: things of thirteen kinds, each a key of names and a JSON value, the same from a file and from a broker.
// Always: (1) two things are the same when kind and key are, and equal when sameJson says so of their values; (2) KINDS is the order in which things are made,
// and backwards that in which they go; (3) a value is as records.ts keeps it, or as RabbitMQ's file spells it where no record does.
// Refuses: to know brokers (from-broker.ts, apply.ts) and files (from-json.ts, to-json.ts).

import type { Json, JsonObject } from '../../../shared/protocol/control.ts';
import { masked } from './masking.ts';

export const KINDS = [
  'vhost', // name
  'vhost-limits', // vhost
  'user', // name
  'user-limits', // user
  'permission', // vhost, user
  'topic-permission', // vhost, user, exchange
  'global-parameter', // name
  'parameter', // vhost, component, name
  'policy', // vhost, name
  'operator-policy', // vhost, name
  'exchange', // vhost, name
  'queue', // vhost, name
  'binding', // vhost, source, 'queue' or 'exchange', destination, routing key, canonical arguments
] as const;
export type Kind = (typeof KINDS)[number];

/** Whose first name is a vhost's, and that a file of one vhost holds. */
export const VHOST_KINDS: ReadonlySet<Kind> = new Set([
  'parameter',
  'policy',
  'operator-policy',
  'exchange',
  'queue',
  'binding',
  'vhost-limits',
]);

export interface Thing {
  readonly kind: Kind;
  readonly key: readonly string[];
  readonly value: JsonObject;
  /** Where it stands in its file: a JSON pointer. */
  readonly path?: string;
}

/** One string for each thing there can be. */
export function identityOf({ kind, key }: Pick<Thing, 'kind' | 'key'>): string {
  return JSON.stringify([kind, ...key]);
}

/** What must be there for it to be, and takes it along when it goes. They come before it in KINDS. */
export function parentsOf({ kind, key }: Pick<Thing, 'kind' | 'key'>): string[] {
  const [first = '', second = '', third = '', fourth = ''] = key;
  const identity = (...names: string[]): string => JSON.stringify(names);
  if (kind === 'vhost' || kind === 'user' || kind === 'global-parameter') return [];
  if (kind === 'user-limits') return [identity('user', first)];
  const vhost = identity('vhost', first);
  if (kind === 'permission' || kind === 'topic-permission') return [vhost, identity('user', second)];
  if (kind === 'binding') return [vhost, identity('exchange', first, second), identity(third, first, fourth)];
  return [vhost];
}

/** As others may see it: a user's hash and other secrets are never shown, only whether they are others than `before`. */
export function shown({ kind, value }: Pick<Thing, 'kind' | 'value'>, before?: JsonObject): JsonObject {
  if (kind !== 'user') return masked(value, before);
  const { passwordHash, hashingAlgorithm: _algorithm, importedTag: _tag, ...others } = value;
  if (before === undefined) return { ...others, password: passwordHash === '' ? 'none' : 'set' };
  return passwordHash === before['passwordHash'] ? others : { ...others, password: passwordHash === '' ? 'cleared' : 'changed' };
}

/** For people: `queue 'orders' in vhost '/'`. */
export function nameOf({ kind, key }: Pick<Thing, 'kind' | 'key'>): string {
  const [first = '', second = '', third = '', fourth = '', fifth = ''] = key;
  switch (kind) {
    case 'binding':
      return `binding from '${second}' to ${third} '${fourth}' with key '${fifth}' in vhost '${first}'`;
    case 'permission':
      return `permissions of user '${second}' in vhost '${first}'`;
    case 'topic-permission':
      return `topic permissions of user '${second}' on exchange '${third}' in vhost '${first}'`;
    case 'parameter':
      return `parameter '${third}' of ${second} in vhost '${first}'`;
    case 'policy':
    case 'operator-policy':
    case 'exchange':
    case 'queue':
      return `${kind.replace('-', ' ')} '${second}' in vhost '${first}'`;
    default:
      return `${kind.replace('-', ' ')} '${first}'`;
  }
}

/** One text for all values that are the same, in whatever order their fields stand. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
  return `{${fields.sort().join(',')}}`;
}

export function sameJson(a: Json, b: Json): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** Of an error that is told as another: without the name of its code. */
export function plainText({ message }: Error): string {
  return message.replace(/^[A-Z_]+ - /, '');
}
