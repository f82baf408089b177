// The events of what administrators decide: users, vhosts, permissions, policies, parameters, limits. Told of records as they change.
// Always: (1) no event has a password or its hash; (2) names are RabbitMQ's: user.created, user.password.changed, permission.deleted, policy.set ...
// RabbitMQ differs: it has vhost limits and operator policies as parameters too, and tells of each twice.

import type { FieldValue } from '../../shared/amqp/table.ts';
import { AmqpError } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { tableFromJson } from '../../shared/protocol/json.ts';
import type { Events } from './events.ts';
import { isMadeOf } from './imported-hash.ts';
import { RECORD_KINDS, type RecordKey, type RecordKind, type Records } from './records.ts';

export class RecordEvents {
  readonly #events: Events;
  readonly #before = new Map<string, JsonObject>();

  constructor(records: Records, events: Events) {
    this.#events = events;
    for (const kind of RECORD_KINDS) records.watch(kind, (key, value) => this.#changed(kind, key, value));
  }

  #changed(kind: RecordKind, key: RecordKey, value: JsonObject | undefined): void {
    const identity = JSON.stringify([kind, ...key]);
    const before = this.#before.get(identity);
    if (value === undefined) this.#before.delete(identity);
    else this.#before.set(identity, value);
    if (!this.#events.isHeard) return;
    if (value === undefined) this.#ended(kind, key);
    else this.#set(kind, key, value, before);
  }

  #set(kind: RecordKind, [first = '', second = '', third = '']: RecordKey, value: JsonObject, before: JsonObject | undefined): void {
    const emit = (event: string, fields: Readonly<Record<string, FieldValue>>): void => this.#events.emit(event, fields);
    const fields = kind === 'parameter' || kind === 'global-parameter' ? {} : fieldsOf(value);
    switch (kind) {
      case 'user':
        if (before === undefined) emit('user.created', { name: first });
        if (before !== undefined && before['passwordHash'] !== value['passwordHash'] && !isMadeOf(value, before))
          emit(value['passwordHash'] === '' ? 'user.password.cleared' : 'user.password.changed', { name: first });
        if (JSON.stringify(before?.['tags'] ?? []) !== JSON.stringify(value['tags']))
          emit('user.tags.set', { name: first, tags: fields['tags'] ?? [] });
        break;
      case 'vhost':
        if (before === undefined) emit('vhost.created', { name: first, ...fields });
        break;
      case 'permission':
        emit('permission.created', { user: second, vhost: first, ...fields });
        break;
      case 'topic-permission':
        emit('topic.permission.created', { user: second, vhost: first, exchange: third, ...fields });
        break;
      case 'vhost-limits':
        emit('vhost.limits.set', { name: 'limits', vhost: first, ...fields });
        break;
      case 'user-limits':
        emit('user.limits.set', { name: 'limits', username: first, ...fields });
        break;
      case 'policy':
      case 'operator-policy':
        emit('policy.set', { name: second, vhost: first, ...fields });
        break;
      case 'parameter':
        emit('parameter.set', { component: second, name: third, vhost: first });
        break;
      case 'global-parameter':
        emit('parameter.set', { component: 'global', name: first });
    }
  }

  #ended(kind: RecordKind, [first = '', second = '', third = '']: RecordKey): void {
    const emit = (event: string, fields: Readonly<Record<string, FieldValue>>): void => this.#events.emit(event, fields);
    switch (kind) {
      case 'user':
        emit('user.deleted', { name: first });
        break;
      case 'vhost':
        emit('vhost.deleted', { name: first });
        break;
      case 'permission':
        emit('permission.deleted', { user: second, vhost: first });
        break;
      case 'topic-permission':
        emit('topic.permission.deleted', { user: second, vhost: first, exchange: third });
        break;
      case 'vhost-limits':
        emit('vhost.limits.cleared', { name: 'limits', vhost: first });
        break;
      case 'user-limits':
        emit('user.limits.cleared', { name: 'limits', username: first });
        break;
      case 'policy':
        emit('policy.cleared', { name: second, vhost: first });
        break;
      case 'operator-policy':
        emit('operator.policy.cleared', { name: second, vhost: first });
        break;
      case 'parameter':
        emit('parameter.cleared', { component: second, name: third, vhost: first });
        break;
      case 'global-parameter':
        emit('parameter.cleared', { component: 'global', name: first });
    }
  }
}

/**
 * A record's fields, less what nobody may see. Parameters may hold credentials of other brokers, so their values are left out; and so are the fields of what is larger or
 * deeper than a header table may be: the record is kept already, and an event is no reason to refuse it.
 */
function fieldsOf(value: JsonObject): Readonly<Record<string, FieldValue>> {
  const { passwordHash: _hash, importedTag: _tag, ...shown } = value;
  try {
    return Object.fromEntries(tableFromJson(shown));
  } catch (error) {
    if (error instanceof AmqpError) return {};
    throw error;
  }
}
