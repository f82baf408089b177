// What administrators decide, as named records: vhosts, users, permissions, policies, parameters. Each is a kind, a key of one or more names, and JSON.
// Always: (1) a record that is put or deleted is defined in the log before anybody hears of it; (2) kinds are restored in the order of RECORD_KINDS,
// so a permission finds its user and its vhost; (3) whoever watches a kind hears of every change, those of recovery too.
// Refuses: to know what a record means. Logs on disk hold this: {kind: 'record', of, key, value} and {kind: 'record.delete', of, key}.

import { invariant } from '../../shared/assert.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { isObject } from '../../shared/protocol/json.ts';
import type { Definition } from '../ports.ts';

/** In the order in which they are restored. */
export const RECORD_KINDS = [
  'vhost',
  'user',
  'permission', // vhost, user
  'topic-permission', // vhost, user, exchange
  'vhost-limits', // vhost
  'user-limits', // user
  'policy', // vhost, name
  'operator-policy', // vhost, name
  'parameter', // vhost, component, name
  'global-parameter', // name
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

export type RecordKey = readonly string[];
/** `value` undefined: the record is gone. */
export type RecordWatcher = (key: RecordKey, value: JsonObject | undefined) => void;

interface Entry {
  readonly key: RecordKey;
  readonly value: JsonObject;
}

export class Records {
  readonly #define: (definition: Definition) => void;
  readonly #kinds = new Map<RecordKind, Map<string, Entry>>();
  readonly #watchers = new Map<RecordKind, RecordWatcher[]>();

  constructor(define: (definition: Definition) => void) {
    this.#define = define;
    for (const kind of RECORD_KINDS) {
      this.#kinds.set(kind, new Map());
      this.#watchers.set(kind, []);
    }
  }

  get(kind: RecordKind, key: RecordKey): JsonObject | undefined {
    return this.#of(kind).get(JSON.stringify(key))?.value;
  }

  entries(kind: RecordKind): readonly Entry[] {
    return [...this.#of(kind).values()];
  }

  watch(kind: RecordKind, watcher: RecordWatcher): void {
    this.#watchers.get(kind)?.push(watcher);
  }

  put(kind: RecordKind, key: RecordKey, value: JsonObject): void {
    this.#define({ kind: 'record', of: kind, key, value });
    this.#set(kind, key, value);
  }

  /** Deleting what is not there is done already; answers whether it was. */
  delete(kind: RecordKind, key: RecordKey): boolean {
    if (!this.#of(kind).has(JSON.stringify(key))) return false;
    this.#define({ kind: 'record.delete', of: kind, key });
    this.#unset(kind, key);
    return true;
  }

  /** Deletes every record whose key has `name` at `position`: a vhost's, or a user's. */
  deleteAt(kind: RecordKind, position: number, name: string): void {
    for (const { key } of this.entries(kind)) if (key[position] === name) this.delete(kind, key);
  }

  /** True when the definition was a record's. */
  restore(definition: Definition): boolean {
    if (definition.kind !== 'record' && definition.kind !== 'record.delete') return false;
    const kind = RECORD_KINDS.find((each) => each === definition['of']);
    const { key, value } = definition;
    invariant(kind !== undefined && isKey(key), 'a logged record has a kind and a key');
    if (definition.kind === 'record.delete') this.#unset(kind, key);
    else {
      invariant(isObject(value), 'a logged record has a value');
      this.#set(kind, key, value);
    }
    return true;
  }

  definitions(): Definition[] {
    return RECORD_KINDS.flatMap((of) => this.entries(of).map(({ key, value }) => ({ kind: 'record', of, key, value })));
  }

  #set(kind: RecordKind, key: RecordKey, value: JsonObject): void {
    this.#of(kind).set(JSON.stringify(key), { key, value });
    for (const watcher of this.#watchers.get(kind) ?? []) watcher(key, value);
  }

  #unset(kind: RecordKind, key: RecordKey): void {
    if (!this.#of(kind).delete(JSON.stringify(key))) return;
    for (const watcher of this.#watchers.get(kind) ?? []) watcher(key, undefined);
  }

  #of(kind: RecordKind): Map<string, Entry> {
    const entries = this.#kinds.get(kind);
    invariant(entries !== undefined, 'every kind of record has its map');
    return entries;
  }
}

function isKey(key: unknown): key is RecordKey {
  return Array.isArray(key) && key.every((part) => typeof part === 'string');
}
