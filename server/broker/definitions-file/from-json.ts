// The things a definitions file asks for: RabbitMQ's JSON of any release since 3.6, ours, or one written by hand.
// Always: (1) all of it is read, and the first thing that cannot be is refused with its place, before anybody changes anything; (2) sections and components nobody here
// knows are reported, not refused; (3) what RabbitMQ writes in two ways is read in both: tags as text or array, limits as object or pairs.
// Refuses: passwords in the clear: a file holds hashes.

import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { Json, JsonObject } from '../../../shared/protocol/control.ts';
import { isObject, tableFromJson } from '../../../shared/protocol/json.ts';
import { DEFAULT_HASHING, HASHING_ALGORITHMS, isPasswordHash } from '../password-hash.ts';
import { plainTable } from '../plain-table.ts';
import { type PolicyKind, policyRecord } from '../policies.ts';
import { isQueueType, QUEUE_TYPES } from '../queue-type.ts';
import { vhostValue } from './from-broker.ts';
import { canonicalJson, type Kind, plainText, type Thing } from './thing.ts';

export interface Wanted {
  readonly things: readonly Thing[];
  /** The kinds the file has a section for. */
  readonly kinds: ReadonlySet<Kind>;
  /** What was not read: names of sections. */
  readonly unknown: readonly string[];
}

/** A file of ours or of RabbitMQ's has five or so; without an end, whoever walks through one would run out of stack. */
const DEPTH_MAX = 64;
/** As much as any other route takes; and each is one record of the log, which has an end. */
const ENTRY_LENGTH_MAX = 1_000_000;
/** Said of the file, not by it. */
const HEADINGS: ReadonlySet<string> = new Set([
  'rabbit_version',
  'rabbitmq_version',
  'product_name',
  'product_version',
  'rabbitmq_definition_format',
  'original_vhost_name',
  'original_cluster_name',
  'explanation',
]);

const SECTIONS: ReadonlyMap<string, { readonly kinds: readonly Kind[]; readonly read: (entry: EntryReader) => Thing[] }> = new Map([
  ['vhosts', { kinds: ['vhost'], read: readVhost }],
  ['users', { kinds: ['user', 'user-limits'], read: readUser }],
  ['permissions', { kinds: ['permission'], read: readPermission }],
  ['topic_permissions', { kinds: ['topic-permission'], read: readTopicPermission }],
  ['global_parameters', { kinds: ['global-parameter'], read: readGlobalParameter }],
  ['parameters', { kinds: ['parameter', 'operator-policy', 'vhost-limits'], read: readParameter }],
  ['policies', { kinds: ['policy'], read: readPolicy }],
  ['exchanges', { kinds: ['exchange'], read: readExchange }],
  ['queues', { kinds: ['queue'], read: readQueue }],
  ['bindings', { kinds: ['binding'], read: readBinding }],
]);

/** `vhost`: where things go that name none, and then those alone are read that belong to a vhost. */
export function readDefinitions(file: JsonObject, vhost?: string): Wanted {
  if (!isWithinDepth(file)) throw refused(`nested deeper than ${DEPTH_MAX}`, '');
  const things: Thing[] = [];
  const kinds = new Set<Kind>();
  const unknown: string[] = [];
  for (const [section, entries] of Object.entries(file)) {
    if (HEADINGS.has(section)) continue;
    const known = SECTIONS.get(section);
    if (known === undefined) {
      unknown.push(section);
      continue;
    }
    if (!Array.isArray(entries)) throw refused('must be an array', `/${section}`);
    for (const kind of known.kinds) kinds.add(kind);
    entries.forEach((entry, index) => {
      const path = `/${section}/${index}`;
      if (!isObject(entry)) throw refused('must be an object', path);
      if (JSON.stringify(entry).length > ENTRY_LENGTH_MAX) throw refused(`an entry has at most ${ENTRY_LENGTH_MAX} characters`, path);
      for (const thing of known.read(new EntryReader(entry, path, vhost))) things.push({ ...thing, path });
    });
  }
  return { things, kinds, unknown };
}

function isWithinDepth(file: JsonObject): boolean {
  let level: readonly Json[] = [file];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEPTH_MAX) return false;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  return true;
}

class EntryReader {
  readonly entry: JsonObject;
  readonly path: string;
  readonly #vhost: string | undefined;

  constructor(entry: JsonObject, path: string, vhost: string | undefined) {
    this.entry = entry;
    this.path = path;
    this.#vhost = vhost;
  }

  get vhost(): string {
    return this.#vhost ?? this.text('vhost');
  }

  text(field: string, absent?: string): string {
    const value = this.entry[field] ?? absent;
    if (typeof value === 'string') return value;
    throw refused(value === undefined ? `'${field}' is missing` : `'${field}' must be text`, this.path);
  }

  flag(field: string, absent: boolean): boolean {
    const value = this.entry[field] ?? absent;
    if (typeof value === 'boolean') return value;
    throw refused(`'${field}' must be true or false`, this.path);
  }

  /** An object, or what Erlang writes in its place: pairs of name and value. */
  object(field: string): JsonObject {
    const object = objectFrom(this.entry[field]);
    if (object === undefined) throw refused(`'${field}' must be an object`, this.path);
    return object;
  }

  /** An object that is a table of arguments. Throws 502 where AMQP cannot carry it. */
  arguments(): JsonObject {
    const object = this.object('arguments');
    tableFromJson(object, `${this.path}/arguments`);
    return object;
  }

  tags(value: Json | undefined): string[] {
    if (value === undefined || value === null) return [];
    if (typeof value === 'string')
      return value
        .split(',')
        .map((tag) => tag.trim())
        .filter((tag) => tag !== '');
    if (Array.isArray(value) && value.every((tag) => typeof tag === 'string')) return value.map(String);
    throw refused("'tags' must be a list of words", this.path);
  }

  limits(value: Json | undefined, names: readonly string[]): JsonObject {
    const limits = objectFrom(value);
    if (limits === undefined) throw refused('limits must be an object', this.path);
    for (const [name, limit] of Object.entries(limits)) {
      if (!names.includes(name)) throw refused(`no limit '${name}': ${names.join(' or ')}`, this.path);
      if (typeof limit !== 'number' || !Number.isSafeInteger(limit)) throw refused(`the limit '${name}' must be a whole number`, this.path);
    }
    return limits;
  }
}

function objectFrom(value: Json | undefined): JsonObject | undefined {
  if (value === undefined || value === null) return {};
  if (isObject(value)) return value;
  if (!Array.isArray(value)) return undefined;
  const fields: [string, Json][] = [];
  for (const pair of value) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string' || pair[1] === undefined) return undefined;
    fields.push([pair[0], pair[1]]);
  }
  return Object.fromEntries(fields);
}

function readVhost(reader: EntryReader): Thing[] {
  const name = reader.text('name');
  const { tags, description, ...others } = { ...reader.object('metadata') };
  const told = { tags: reader.tags(reader.entry['tags'] ?? tags), description: reader.entry['description'] ?? description ?? '' };
  const defaultType = reader.entry['default_queue_type'] ?? others['default_queue_type'];
  const { default_queue_type: _, ...rest } = others;
  const isTyped = defaultType !== undefined && defaultType !== null && defaultType !== '' && defaultType !== 'undefined'; // as Erlang says nothing
  if (isTyped && !isQueueType(defaultType))
    throw refused(`no queue type ${JSON.stringify(defaultType)}`, `${reader.path}/default_queue_type`, QUEUE_TYPES.join(', '));
  const tracing = reader.entry['tracing'] === true ? { tracing: true } : {};
  const value = vhostValue({ ...rest, ...told, ...tracing, ...(isTyped ? { default_queue_type: defaultType } : {}) });
  const limits = reader.limits(reader.entry['limits'], VHOST_LIMITS);
  return [
    { kind: 'vhost', key: [name], value },
    ...(Object.keys(limits).length === 0 ? [] : [{ kind: 'vhost-limits' as const, key: [name], value: limits }]),
  ];
}
const VHOST_LIMITS = ['max-connections', 'max-queues'];
const USER_LIMITS = ['max-connections', 'max-channels'];

function readUser(reader: EntryReader): Thing[] {
  const name = reader.text('name');
  if (reader.entry['password'] !== undefined && reader.entry['password_hash'] === undefined)
    throw refused(`user '${name}' has a password in the clear`, reader.path, 'give its password_hash, as leveret hash_password prints it');
  const hashingAlgorithm = reader.text('hashing_algorithm', DEFAULT_HASHING);
  if (!HASHING_ALGORITHMS.includes(hashingAlgorithm))
    throw refused(
      `unknown hashing algorithm '${hashingAlgorithm}' of user '${name}'`,
      reader.path,
      `one of ${HASHING_ALGORITHMS.join(', ')}`,
    );
  const passwordHash = reader.text('password_hash', '');
  if (!isPasswordHash(passwordHash)) throw refused(`the password_hash of user '${name}' is not base64`, `${reader.path}/password_hash`);
  const value = { passwordHash, hashingAlgorithm, tags: reader.tags(reader.entry['tags']) };
  const limits = reader.limits(reader.entry['limits'], USER_LIMITS);
  return [
    { kind: 'user', key: [name], value },
    ...(Object.keys(limits).length === 0 ? [] : [{ kind: 'user-limits' as const, key: [name], value: limits }]),
  ];
}

function readPermission(reader: EntryReader): Thing[] {
  const value = { configure: reader.text('configure'), write: reader.text('write'), read: reader.text('read') };
  return [{ kind: 'permission', key: [reader.vhost, reader.text('user')], value }];
}

function readTopicPermission(reader: EntryReader): Thing[] {
  const key = [reader.vhost, reader.text('user'), reader.text('exchange')];
  return [{ kind: 'topic-permission', key, value: { write: reader.text('write'), read: reader.text('read') } }];
}

function readGlobalParameter(reader: EntryReader): Thing[] {
  return [{ kind: 'global-parameter', key: [reader.text('name')], value: { value: reader.entry['value'] ?? null } }];
}

function readParameter(reader: EntryReader): Thing[] {
  const [vhost, component, name] = [reader.vhost, reader.text('component'), reader.text('name')];
  if (component === 'operator_policy') {
    const value = new EntryReader(reader.object('value'), `${reader.path}/value`, vhost);
    return [policyThing('operator-policy', vhost, name, value)];
  }
  if (component === 'vhost-limits')
    return [{ kind: 'vhost-limits', key: [vhost], value: reader.limits(reader.entry['value'], VHOST_LIMITS) }];
  return [{ kind: 'parameter', key: [vhost, component, name], value: { value: reader.entry['value'] ?? null } }];
}

function readPolicy(reader: EntryReader): Thing[] {
  return [policyThing('policy', reader.vhost, reader.text('name'), reader)];
}

/** `reader`: of the object that has pattern and definition. */
function policyThing(kind: PolicyKind, vhost: string, name: string, reader: EntryReader): Thing {
  const definition = objectFrom(reader.entry['definition']) ?? reader.entry['definition'] ?? null;
  try {
    return { kind, key: [vhost, name], value: policyRecord(kind, name, policyBody({ ...reader.entry, definition })) };
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    const { path = '', hint } = error.detail;
    throw new AmqpError(error.code, plainText(error), { path: `${reader.path}${path}`, ...(hint === undefined ? {} : { hint }) });
  }
}

/** What Policies.put takes. Beside a glob stands the pattern of the same meaning, for RabbitMQ. */
export function policyBody({ pattern, glob, definition, priority, 'apply-to': applyTo }: JsonObject): JsonObject {
  return {
    ...(glob === undefined ? { pattern: pattern ?? null } : { glob }),
    definition: definition ?? null,
    ...(priority === undefined ? {} : { priority }),
    ...(applyTo === undefined ? {} : { 'apply-to': applyTo }),
  };
}

function readExchange(reader: EntryReader): Thing[] {
  const value = {
    type: reader.text('type'),
    durable: reader.flag('durable', true),
    auto_delete: reader.flag('auto_delete', false),
    internal: reader.flag('internal', false),
    arguments: reader.arguments(),
  };
  return [{ kind: 'exchange', key: [reader.vhost, reader.text('name')], value }];
}

function readQueue(reader: EntryReader): Thing[] {
  const value = {
    durable: reader.flag('durable', true),
    auto_delete: reader.flag('auto_delete', false),
    arguments: reader.arguments(),
  };
  return [{ kind: 'queue', key: [reader.vhost, reader.text('name')], value }];
}

function readBinding(reader: EntryReader): Thing[] {
  const args = reader.arguments();
  const kind = reader.text('destination_type', 'queue');
  if (kind !== 'queue' && kind !== 'exchange') throw refused(`'destination_type' must be queue or exchange`, reader.path);
  const ends = [reader.vhost, reader.text('source'), kind, reader.text('destination'), reader.text('routing_key', '')];
  return [{ kind: 'binding', key: [...ends, canonicalJson(plainTable(tableFromJson(args)))], value: { arguments: args } }];
}

function refused(text: string, path: string, hint?: string): AmqpError {
  return new AmqpError(ReplyCode.PreconditionFailed, `definitions: ${text}`, hint === undefined ? { path } : { path, hint });
}
