// The users there are, what they may do where, and the limits of each: records, as accounts that a login hands out.
// Always: (1) an account is live: a change shows in the next operation of whoever holds it, and a user who is deleted may do nothing more; (2) a record
// is checked before it is put; (3) deleting a user or a vhost deletes their permissions.
// Refuses: passwords. It keeps their hashes as RabbitMQ's definitions spell them, and server/identity/ makes and compares them.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import type { Notices } from '../ports.ts';
import { type Account, type AccountLimits, NO_LIMITS } from './login.ts';
import type { Records } from './records.ts';
import { compile, PatternRights, type Patterns, type Rights, type TopicPatterns, type Unreadable, unreadableNotice } from './rights.ts';

/** A user as it is kept. The names are RabbitMQ's. */
export interface UserRecord {
  /** '' for one who has no password, and logs in with a certificate or not at all. */
  readonly passwordHash: string;
  /** `rabbit_password_hashing_sha256`, `_sha512`, or ours: `leveret_scrypt`. */
  readonly hashingAlgorithm: string;
  readonly tags: readonly string[];
  /** Of the imported hash that this one was made of at a login (imported-hash.ts); a new password forgets it. */
  readonly importedTag?: string;
}

export class Users {
  readonly #records: Records;
  readonly #accounts = new Map<string, UserAccount>();

  constructor(records: Records, notices: Notices) {
    this.#records = records;
    const unreadable = (user: string, vhost: string): Unreadable =>
      unreadableNotice(notices, `a permission of user '${user}' in vhost '${vhost}' allows nothing`, { user, vhost });
    records.watch('user', ([name = ''], value) => this.#changed(name, value));
    records.watch('permission', ([vhost = '', user = ''], value) =>
      this.#accounts
        .get(user)
        ?.rightsIn(vhost)
        .grant(value && patternsOf(value), unreadable(user, vhost)),
    );
    records.watch('topic-permission', ([vhost = '', user = '', exchange = ''], value) =>
      this.#accounts
        .get(user)
        ?.rightsIn(vhost)
        .limitTopics(exchange, value && { write: text(value, 'write'), read: text(value, 'read') }, unreadable(user, vhost)),
    );
    records.watch('user-limits', ([user = ''], value) => this.#accounts.get(user)?.limit(value));
  }

  get size(): number {
    return this.#accounts.size;
  }
  names(): string[] {
    return [...this.#accounts.keys()];
  }
  account(name: string): Account | undefined {
    return this.#accounts.get(name);
  }
  record(name: string): UserRecord | undefined {
    return this.#accounts.get(name)?.record;
  }

  put(name: string, { passwordHash, hashingAlgorithm, tags, importedTag }: UserRecord): void {
    if (name === '' || utf8Length(name) > SHORT_STRING_BYTES_MAX)
      throw new AmqpError(ReplyCode.PreconditionFailed, `a user name has 1 to ${SHORT_STRING_BYTES_MAX} bytes`);
    this.#records.put('user', [name], {
      passwordHash,
      hashingAlgorithm,
      tags: [...tags],
      ...(importedTag === undefined ? {} : { importedTag }),
    });
  }

  /** Deleting who is not there is done already; answers whether they were. */
  delete(name: string): boolean {
    for (const kind of ['permission', 'topic-permission'] as const) this.#records.deleteAt(kind, 1, name);
    this.#records.delete('user-limits', [name]);
    return this.#records.delete('user', [name]);
  }

  /** Throws 406 for a pattern that is none, 404 for a user who is not there. */
  setPermissions(user: string, vhost: string, patterns: Patterns): void {
    this.#check(user, Object.values(patterns));
    const { configure, write, read } = patterns;
    this.#records.put('permission', [vhost, user], { configure, write, read });
  }
  clearPermissions(user: string, vhost: string): boolean {
    return this.#records.delete('permission', [vhost, user]);
  }

  setTopicPermissions(user: string, vhost: string, exchange: string, { write, read }: TopicPatterns): void {
    this.#check(user, [write, read], variablesOf(user, vhost));
    this.#records.put('topic-permission', [vhost, user, exchange], { write, read });
  }
  /** `exchange` undefined: of all of them. */
  clearTopicPermissions(user: string, vhost: string, exchange?: string): void {
    for (const { key } of this.#records.entries('topic-permission'))
      if (key[0] === vhost && key[1] === user && (exchange === undefined || key[2] === exchange))
        this.#records.delete('topic-permission', key);
  }

  #check(user: string, patterns: readonly string[], variables: Readonly<Record<string, string>> = {}): void {
    if (!this.#accounts.has(user))
      throw new AmqpError(ReplyCode.NotFound, `no user '${user}'`, { hint: 'an administrator may make one: PUT /api/users/{name}' });
    for (const pattern of patterns) compile(pattern, variables);
  }

  #changed(name: string, value: JsonObject | undefined): void {
    const account = this.#accounts.get(name);
    if (value === undefined) {
      account?.end();
      this.#accounts.delete(name);
      return;
    }
    const tags = Array.isArray(value['tags']) ? value['tags'].map(String) : [];
    const importedTag = value['importedTag'];
    const record = {
      passwordHash: text(value, 'passwordHash'),
      hashingAlgorithm: text(value, 'hashingAlgorithm'),
      tags,
      ...(typeof importedTag === 'string' ? { importedTag } : {}),
    };
    if (account !== undefined) account.change(record);
    else this.#accounts.set(name, new UserAccount(name, record));
  }
}

/** What stands for {names} in patterns over routing keys. */
export function variablesOf(username: string, vhost: string): Readonly<Record<string, string>> {
  return { username, vhost };
}

class UserAccount implements Account {
  readonly name: string;
  /** Not a field that is seen: whoever logs an account must not log a hash. */
  #record: UserRecord;
  limits: AccountLimits = NO_LIMITS;
  readonly #rights = new Map<string, PatternRights>();

  constructor(name: string, record: UserRecord) {
    this.name = name;
    this.#record = record;
  }

  get tags(): ReadonlySet<string> {
    return new Set(this.#record.tags);
  }

  get record(): UserRecord {
    return this.#record;
  }
  change(record: UserRecord): void {
    this.#record = record;
  }

  rights(vhost: string): Rights | undefined {
    const rights = this.#rights.get(vhost);
    return rights?.isGranted ? rights : undefined;
  }

  rightsIn(vhost: string): PatternRights {
    let rights = this.#rights.get(vhost);
    if (rights === undefined) {
      rights = new PatternRights(variablesOf(this.name, vhost));
      this.#rights.set(vhost, rights);
    }
    return rights;
  }

  limit(value: JsonObject | undefined): void {
    const read = (name: string): number => (typeof value?.[name] === 'number' ? value[name] : -1);
    this.limits = { maxConnections: read('max-connections'), maxChannels: read('max-channels') };
  }

  /** The user was deleted. */
  end(): void {
    this.#record = { ...this.#record, tags: [] };
    for (const rights of this.#rights.values()) rights.grant(undefined);
  }
}

function patternsOf(value: JsonObject): Patterns {
  return { configure: text(value, 'configure'), write: text(value, 'write'), read: text(value, 'read') };
}

function text(value: JsonObject, field: string): string {
  const found = value[field];
  return typeof found === 'string' ? found : '';
}
