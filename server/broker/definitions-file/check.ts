// Whether a thing of a definitions file can be, asked before anything is done.
// Always: the answer is that of the declaration itself: the same readers of names, arguments and patterns, so the same texts.
// Refuses: to look at a broker: what will be there is asked of the plan's World.

import type { FieldTable } from '../../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { JsonObject } from '../../../shared/protocol/control.ts';
import { isObject, tableFromJson } from '../../../shared/protocol/json.ts';
import { utf8Length } from '../../../shared/text.ts';
import { createMatcher, Exchange, type ExchangeOptions } from '../exchange.ts';
import { checkKey, checkName, RESERVED_PREFIX } from '../names.ts';
import { predeclaredType } from '../predeclared.ts';
import { checkEquivalent, checkProperties, readQueueSettings } from '../queue-arguments.ts';
import type { QueueShape } from '../queue-type.ts';
import { compile } from '../rights.ts';
import { variablesOf } from '../users.ts';
import type { Kind, Thing } from './thing.ts';

/** Of what will be there. */
export interface Presence {
  has(kind: Kind, ...key: readonly string[]): boolean;
  valueOf(kind: Kind, ...key: readonly string[]): JsonObject | undefined;
}

const NAME_BYTES_MAX = 255; // AMQP's short string

/** Throws what cannot be; answers why a thing is better left out, where that harms nobody. */
export function checkThing({ kind, key, value }: Thing, world: Presence): string | undefined {
  const [first = '', second = ''] = key;
  if (kind === 'vhost' || kind === 'user') checkShort(kind, first);
  else if (kind === 'user-limits') checkUser(first, world);
  else if (kind !== 'global-parameter' && !world.has('vhost', first))
    throw new AmqpError(ReplyCode.NotFound, `no vhost '${first}'`, { hint: 'the file may bring it: vhosts' });
  switch (kind) {
    case 'permission':
    case 'topic-permission':
      checkUser(second, world);
      for (const pattern of Object.values(value)) compile(String(pattern), kind === 'permission' ? {} : variablesOf(second, first));
      return undefined;
    case 'exchange':
      return checkExchange(second, first, value);
    case 'queue':
      checkName('queue', second);
      checkProperties(readQueueSettings(tableOf(value), { queue: second, vhost: first }).type, queueShape(value), {
        queue: second,
        vhost: first,
      });
      return second === '' ? 'a queue without a name' : undefined;
    case 'binding':
      return checkBinding(key, value, world);
    default:
      return undefined;
  }
}

/** Throws 406, in RabbitMQ's words, unless the queue or exchange that is there is what is asked for. */
export function checkEquivalentThing(had: Thing, asked: Thing): void {
  const [vhost = '', name = ''] = asked.key;
  if (asked.kind === 'queue') checkEquivalent(queueShape(had.value), queueShape(asked.value), { queue: name, vhost });
  else new Exchange(name, exchangeOptions(had.value), vhost).checkEquivalent(exchangeOptions(asked.value), vhost);
}

export function exchangeOptions(value: JsonObject): ExchangeOptions {
  return {
    type: String(value['type']),
    durable: value['durable'] === true,
    autoDelete: value['auto_delete'] === true,
    internal: value['internal'] === true,
    arguments: tableOf(value),
  };
}

export function queueShape(value: JsonObject): QueueShape {
  return {
    durable: value['durable'] === true,
    autoDelete: value['auto_delete'] === true,
    exclusiveOwner: undefined,
    arguments: tableOf(value),
  };
}

export function tableOf(value: JsonObject): FieldTable {
  const args = value['arguments'];
  return isObject(args) ? tableFromJson(args) : new Map();
}

function checkExchange(name: string, vhost: string, value: JsonObject): string | undefined {
  if (name === '' || name.startsWith(RESERVED_PREFIX)) return 'the broker declares such exchanges itself';
  checkName('exchange', name);
  createMatcher(String(value['type']));
  new Exchange(name, exchangeOptions(value), vhost); // reads its arguments
  return undefined;
}

function checkBinding(key: readonly string[], value: JsonObject, world: Presence): string | undefined {
  const [vhost = '', source = '', kind = '', destination = '', routingKey = ''] = key;
  checkKey(routingKey);
  if (source === '') return 'every queue is bound to the default exchange under its own name; nothing else is';
  const isExchange = (name: string): boolean =>
    name !== '' && (world.has('exchange', vhost, name) || predeclaredType(vhost, name) !== undefined);
  const type = predeclaredType(vhost, source) ?? world.valueOf('exchange', vhost, source)?.['type'];
  if (type !== undefined) createMatcher(String(type)).check(routingKey, tableOf(value));
  if (!isExchange(source)) return `no exchange '${source}' in vhost '${vhost}'`;
  if (kind === 'queue' ? world.has('queue', vhost, destination) : isExchange(destination)) return undefined;
  return `no ${kind} '${destination}' in vhost '${vhost}'`;
}

function checkUser(name: string, world: Presence): void {
  if (!world.has('user', name)) throw new AmqpError(ReplyCode.NotFound, `no user '${name}'`, { hint: 'the file may bring it: users' });
}

function checkShort(kind: Kind, name: string): void {
  if (name === '' || utf8Length(name) > NAME_BYTES_MAX)
    throw new AmqpError(ReplyCode.PreconditionFailed, `a ${kind}'s name has 1 to ${NAME_BYTES_MAX} bytes`);
}
