// AMQP 0-9-1's methods as data: every class, method and field, with RabbitMQ's extensions. The codec (methods.ts) and its types follow from it.
// Always: (1) fields stand in wire order, and consecutive bits share an octet, the first in its lowest bit; (2) a field named reservedN is written as
// zero or empty and not read; (3) names are the specification's in camel case, `class.method` as RabbitMQ spells it.
// Source: amqp0-9-1.xml; basic.nack, exchange.bind, confirm, connection.blocked and update-secret from RabbitMQ's amqp-rabbitmq-0.9.1.json.

export type FieldType = 'bit' | 'octet' | 'short' | 'long' | 'longlong' | 'shortstr' | 'longstr' | 'table';

export interface MethodSpec {
  readonly classId: number;
  readonly methodId: number;
  readonly fields: { readonly [field: string]: FieldType };
}

function define<const Fields extends { readonly [field: string]: FieldType }>(
  classId: number,
  methodId: number,
  fields: Fields,
): { readonly classId: number; readonly methodId: number; readonly fields: Fields } {
  return { classId, methodId, fields };
}

const NO_FIELDS = {} as const;
const CLOSE = { replyCode: 'short', replyText: 'shortstr', failedClassId: 'short', failedMethodId: 'short' } as const;
const TUNE = { channelMax: 'short', frameMax: 'long', heartbeat: 'short' } as const;
const EXCHANGE_BINDING = {
  reserved1: 'short',
  destination: 'shortstr',
  source: 'shortstr',
  routingKey: 'shortstr',
  nowait: 'bit',
  arguments: 'table',
} as const;

export const METHODS = {
  'connection.start': define(10, 10, {
    versionMajor: 'octet',
    versionMinor: 'octet',
    serverProperties: 'table',
    mechanisms: 'longstr',
    locales: 'longstr',
  }),
  'connection.start-ok': define(10, 11, { clientProperties: 'table', mechanism: 'shortstr', response: 'longstr', locale: 'shortstr' }),
  'connection.secure': define(10, 20, { challenge: 'longstr' }),
  'connection.secure-ok': define(10, 21, { response: 'longstr' }),
  'connection.tune': define(10, 30, TUNE),
  'connection.tune-ok': define(10, 31, TUNE),
  'connection.open': define(10, 40, { virtualHost: 'shortstr', reserved1: 'shortstr', reserved2: 'bit' }),
  'connection.open-ok': define(10, 41, { reserved1: 'shortstr' }),
  'connection.close': define(10, 50, CLOSE),
  'connection.close-ok': define(10, 51, NO_FIELDS),
  'connection.blocked': define(10, 60, { reason: 'shortstr' }),
  'connection.unblocked': define(10, 61, NO_FIELDS),
  'connection.update-secret': define(10, 70, { newSecret: 'longstr', reason: 'shortstr' }),
  'connection.update-secret-ok': define(10, 71, NO_FIELDS),

  'channel.open': define(20, 10, { reserved1: 'shortstr' }),
  'channel.open-ok': define(20, 11, { reserved1: 'longstr' }),
  'channel.flow': define(20, 20, { active: 'bit' }),
  'channel.flow-ok': define(20, 21, { active: 'bit' }),
  'channel.close': define(20, 40, CLOSE),
  'channel.close-ok': define(20, 41, NO_FIELDS),

  'access.request': define(30, 10, { realm: 'shortstr', exclusive: 'bit', passive: 'bit', active: 'bit', write: 'bit', read: 'bit' }),
  'access.request-ok': define(30, 11, { ticket: 'short' }),

  'exchange.declare': define(40, 10, {
    reserved1: 'short',
    exchange: 'shortstr',
    type: 'shortstr',
    passive: 'bit',
    durable: 'bit',
    autoDelete: 'bit',
    internal: 'bit',
    nowait: 'bit',
    arguments: 'table',
  }),
  'exchange.declare-ok': define(40, 11, NO_FIELDS),
  'exchange.delete': define(40, 20, { reserved1: 'short', exchange: 'shortstr', ifUnused: 'bit', nowait: 'bit' }),
  'exchange.delete-ok': define(40, 21, NO_FIELDS),
  'exchange.bind': define(40, 30, EXCHANGE_BINDING),
  'exchange.bind-ok': define(40, 31, NO_FIELDS),
  'exchange.unbind': define(40, 40, EXCHANGE_BINDING),
  'exchange.unbind-ok': define(40, 51, NO_FIELDS),

  'queue.declare': define(50, 10, {
    reserved1: 'short',
    queue: 'shortstr',
    passive: 'bit',
    durable: 'bit',
    exclusive: 'bit',
    autoDelete: 'bit',
    nowait: 'bit',
    arguments: 'table',
  }),
  'queue.declare-ok': define(50, 11, { queue: 'shortstr', messageCount: 'long', consumerCount: 'long' }),
  'queue.bind': define(50, 20, {
    reserved1: 'short',
    queue: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    nowait: 'bit',
    arguments: 'table',
  }),
  'queue.bind-ok': define(50, 21, NO_FIELDS),
  'queue.purge': define(50, 30, { reserved1: 'short', queue: 'shortstr', nowait: 'bit' }),
  'queue.purge-ok': define(50, 31, { messageCount: 'long' }),
  'queue.delete': define(50, 40, { reserved1: 'short', queue: 'shortstr', ifUnused: 'bit', ifEmpty: 'bit', nowait: 'bit' }),
  'queue.delete-ok': define(50, 41, { messageCount: 'long' }),
  'queue.unbind': define(50, 50, {
    reserved1: 'short',
    queue: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    arguments: 'table',
  }),
  'queue.unbind-ok': define(50, 51, NO_FIELDS),

  'basic.qos': define(60, 10, { prefetchSize: 'long', prefetchCount: 'short', global: 'bit' }),
  'basic.qos-ok': define(60, 11, NO_FIELDS),
  'basic.consume': define(60, 20, {
    reserved1: 'short',
    queue: 'shortstr',
    consumerTag: 'shortstr',
    noLocal: 'bit',
    noAck: 'bit',
    exclusive: 'bit',
    nowait: 'bit',
    arguments: 'table',
  }),
  'basic.consume-ok': define(60, 21, { consumerTag: 'shortstr' }),
  'basic.cancel': define(60, 30, { consumerTag: 'shortstr', nowait: 'bit' }),
  'basic.cancel-ok': define(60, 31, { consumerTag: 'shortstr' }),
  'basic.publish': define(60, 40, { reserved1: 'short', exchange: 'shortstr', routingKey: 'shortstr', mandatory: 'bit', immediate: 'bit' }),
  'basic.return': define(60, 50, { replyCode: 'short', replyText: 'shortstr', exchange: 'shortstr', routingKey: 'shortstr' }),
  'basic.deliver': define(60, 60, {
    consumerTag: 'shortstr',
    deliveryTag: 'longlong',
    redelivered: 'bit',
    exchange: 'shortstr',
    routingKey: 'shortstr',
  }),
  'basic.get': define(60, 70, { reserved1: 'short', queue: 'shortstr', noAck: 'bit' }),
  'basic.get-ok': define(60, 71, {
    deliveryTag: 'longlong',
    redelivered: 'bit',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    messageCount: 'long',
  }),
  'basic.get-empty': define(60, 72, { reserved1: 'shortstr' }),
  'basic.ack': define(60, 80, { deliveryTag: 'longlong', multiple: 'bit' }),
  'basic.reject': define(60, 90, { deliveryTag: 'longlong', requeue: 'bit' }),
  'basic.recover-async': define(60, 100, { requeue: 'bit' }),
  'basic.recover': define(60, 110, { requeue: 'bit' }),
  'basic.recover-ok': define(60, 111, NO_FIELDS),
  'basic.nack': define(60, 120, { deliveryTag: 'longlong', multiple: 'bit', requeue: 'bit' }),

  'confirm.select': define(85, 10, { nowait: 'bit' }),
  'confirm.select-ok': define(85, 11, NO_FIELDS),

  'tx.select': define(90, 10, NO_FIELDS),
  'tx.select-ok': define(90, 11, NO_FIELDS),
  'tx.commit': define(90, 20, NO_FIELDS),
  'tx.commit-ok': define(90, 21, NO_FIELDS),
  'tx.rollback': define(90, 30, NO_FIELDS),
  'tx.rollback-ok': define(90, 31, NO_FIELDS),
} as const satisfies { readonly [name: string]: MethodSpec };

export type MethodName = keyof typeof METHODS;

/** Class and method as one number: what a method's payload begins with. */
export function methodKey(classId: number, methodId: number): number {
  return classId * 0x1_0000 + methodId;
}
