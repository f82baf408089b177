// The x-arguments of queues: settings, refusals with their exact texts, and when two declarations agree.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkEquivalent, checkProperties, readQueueSettings } from '../../../server/broker/queue-arguments.ts';
import type { QueueShape } from '../../../server/broker/queue-type.ts';
import { type FieldTable, type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { table } from '../../support/routing.ts';

const place = { queue: 'q', vhost: '/' };
const read = (args: { readonly [name: string]: FieldValue }): ReturnType<typeof readQueueSettings> => readQueueSettings(table(args), place);

describe('settings', () => {
  test('of a queue without arguments', () => {
    expect(read({})).toEqual({
      type: 'classic',
      messageTtlMs: Infinity,
      expiresMs: Infinity,
      maxLength: Infinity,
      maxLengthBytes: Infinity,
      overflow: 'drop-head',
      blockTimeoutMs: Infinity,
      maxPriority: 0,
      defaultPriority: 0,
      deadLetterExchange: undefined,
      deadLetterRoutingKey: undefined,
      singleActiveConsumer: false,
      deliveryLimit: Infinity,
      consumerTimeoutMs: undefined,
      consumerTimeoutAction: 'requeue',
      countNack: 'all',
      maxMessageBytes: Infinity,
    });
  });

  test('of a quorum queue: 32 levels with default 4, 20 redeliveries, a nack does not count', () => {
    const quorum = { type: 'quorum', maxPriority: 31, defaultPriority: 4, deliveryLimit: 20, countNack: '4.3' };
    expect(read({ 'x-queue-type': 'quorum' })).toMatchObject(quorum);
    expect(read({ 'x-queue-type': 'quorum', 'x-max-priority': 2, 'x-count-nack': 'all' })).toMatchObject({
      maxPriority: 2,
      defaultPriority: 2,
      countNack: 'all',
    });
  });

  test('that arguments of any integer width set', () => {
    expect(
      read({
        'x-message-ttl': 0,
        'x-expires': new Typed('l', 1000),
        'x-max-length': new Typed('B', 5),
        'x-max-length-bytes': new Typed('l', 2n ** 62n),
        'x-overflow': 'block',
        'x-block-timeout': new Typed('u', 7),
        'x-max-priority': new Typed('s', 255),
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'dead',
        'x-dead-letter-strategy': 'at-least-once',
        'x-single-active-consumer': true,
        'x-delivery-limit': 3,
        'x-consumer-timeout': 60_000,
        'x-consumer-timeout-action': 'close',
        'x-count-nack': '4.3',
        'x-max-message-bytes': 1024,
        'x-queue-mode': 'lazy',
        'x-queue-version': 2,
        'x-whatever': 'kept',
      }),
    ).toEqual({
      type: 'classic',
      messageTtlMs: 0,
      expiresMs: 1000,
      maxLength: 5,
      maxLengthBytes: 2 ** 62,
      overflow: 'block',
      blockTimeoutMs: 7,
      maxPriority: 255,
      defaultPriority: 0,
      deadLetterExchange: '',
      deadLetterRoutingKey: 'dead',
      singleActiveConsumer: true,
      deliveryLimit: 3,
      consumerTimeoutMs: 60_000,
      consumerTimeoutAction: 'close',
      countNack: '4.3',
      maxMessageBytes: 1024,
    });
  });

  test('a negative delivery limit is none', () => {
    expect(read({ 'x-queue-type': 'quorum', 'x-delivery-limit': -1 }).deliveryLimit).toBe(Infinity);
  });

  test.each<[string, string, FieldValue]>([
    ['x-message-ttl', '"expected integer, got longstr"', 'soon'],
    ['x-message-ttl', '"expected integer, got double"', 1.5],
    ['x-message-ttl', '"expected integer, got timestamp"', new Typed('T', 1)],
    ['x-message-ttl', '"expected integer, got void"', null],
    ['x-message-ttl', '{value_negative,-1}', -1],
    ['x-message-ttl', '{value_too_large,315360000001}', 315_360_000_001],
    ['x-expires', '{value_zero,0}', 0],
    ['x-expires', '{value_negative,-5}', -5],
    ['x-max-length', '{value_negative,-1152921504606846976}', new Typed('l', -(2n ** 60n))],
    ['x-max-length-bytes', '"expected integer, got bool"', true],
    ['x-max-priority', '{max_value_exceeded,256}', 256],
    ['x-max-priority', '{value_negative,-1}', -1],
    ['x-overflow', 'invalid_overflow', 'bad'],
    ['x-overflow', '{unacceptable_type,signedint}', 1],
    ['x-overflow', 'invalid_overflow', new Typed('S', new Uint8Array([0xff]))],
    ['x-queue-type', `"unsupported queue type 'bad'"`, 'bad'],
    ['x-queue-type', '{unacceptable_type,array}', []],
    ['x-dead-letter-routing-key', 'routing_key_but_no_dlx_defined', 'k'],
    ['x-dead-letter-routing-key', '{unacceptable_type,bool}', false],
    ['x-dead-letter-strategy', 'invalid_dlx_strategy', 'maybe'],
    ['x-single-active-consumer', '{unacceptable_type,longstr}', 'true'],
    ['x-delivery-limit', '"expected integer, got longstr"', '3'],
    ['x-consumer-timeout', '{value_zero,0}', 0],
    ['x-consumer-timeout-action', 'invalid_consumer_timeout_action', 'explode'],
    ['x-count-nack', 'invalid_count_nack', '4'],
    ['x-block-timeout', '{value_negative,-1}', -1],
    ['x-max-message-bytes', '{value_negative,-1}', -1],
  ])('%s is refused with %s', (argument, reason, value) => {
    expect(() => read({ [argument]: value })).toThrow(
      expect.objectContaining({
        message: `PRECONDITION_FAILED - invalid arg '${argument}' for queue 'q' in vhost '/': ${reason}`,
        detail: expect.objectContaining({ path: `/arguments/${argument}` }),
      }),
    );
  });

  test('a dead-letter exchange that is no string is refused', () => {
    expect(() => read({ 'x-dead-letter-exchange': 1 })).toThrow(
      "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
    );
  });
});

describe('properties', () => {
  const shape = { durable: true, autoDelete: false, exclusiveOwner: undefined, arguments: table() };

  test.each([
    ['non-durable', { ...shape, durable: false }],
    ['exclusive-owner', { ...shape, durable: false, exclusiveOwner: {} }],
    ['auto-delete', { ...shape, autoDelete: true }],
  ])('%s is refused for quorum queues and streams', (property, wrong) => {
    const text = `PRECONDITION_FAILED - invalid property '${property}' for queue 'q' in vhost '/'`;
    expect(() => checkProperties('quorum', wrong, place)).toThrow(text);
    expect(() => checkProperties('stream', wrong, place)).toThrow(text);
    expect(() => checkProperties('classic', wrong, place)).not.toThrow();
    expect(() => checkProperties('quorum', shape, place)).not.toThrow();
  });
});

describe('equivalence', () => {
  const owner = {};
  const shape = (args: FieldTable, change: Partial<QueueShape> = {}): QueueShape => ({
    durable: true,
    autoDelete: false,
    exclusiveOwner: undefined,
    arguments: args,
    ...change,
  });
  const compare = (existing: QueueShape, requested: QueueShape) => (): void => checkEquivalent(existing, requested, place);
  const text = (argument: string, received: string, current: string): string =>
    `PRECONDITION_FAILED - inequivalent arg '${argument}' for queue 'q' in vhost '/': received ${received} but current is ${current}`;
  const none = table();

  test('a queue is equivalent to itself, whatever the width of its integers', () => {
    const widths = fc.constantFrom<(value: number) => FieldValue>(
      (value) => value,
      (value) => new Typed('l', value),
      (value) => new Typed('b', value),
      (value) => new Typed('i', value),
    );
    fc.assert(
      fc.property(fc.nat(127), widths, widths, (value, one, other) => {
        for (const argument of ['x-max-length', 'x-message-ttl', 'x-max-priority']) {
          expect(compare(shape(table({ [argument]: one(value) })), shape(table({ [argument]: other(value) })))).not.toThrow();
        }
      }),
    );
  });

  test.each<[string, FieldTable, FieldTable, string]>([
    ['another value', table({ 'x-max-length': 1 }), table({ 'x-max-length': 2 }), text('x-max-length', "'2'", "'1'")],
    ['another type', table({ 'x-max-length': 1 }), table({ 'x-max-length': '1' }), text('x-max-length', "'1'", "'1'")],
    ['one that was not there', none, table({ 'x-expires': 9 }), text('x-expires', "the value '9' of type 'signedint'", 'none')],
    [
      'one that is missing',
      table({ 'x-overflow': 'drop-head' }),
      none,
      text('x-overflow', 'none', "the value 'drop-head' of type 'longstr'"),
    ],
    ['a queue type', none, table({ 'x-queue-type': 'quorum' }), text('x-queue-type', "the value 'quorum' of type 'longstr'", 'none')],
    ['our own argument', none, table({ 'x-count-nack': 'all' }), text('x-count-nack', "the value 'all' of type 'longstr'", 'none')],
  ])('%s is a difference', (_name, existing, requested, message) => {
    expect(compare(shape(existing), shape(requested))).toThrow(message);
  });

  test('no queue type is classic, and arguments nobody knows, or RabbitMQ ignores, are not compared', () => {
    expect(compare(shape(none), shape(table({ 'x-queue-type': 'classic' })))).not.toThrow();
    expect(compare(shape(table({ 'x-queue-type': 'classic' })), shape(none))).not.toThrow();
    expect(compare(shape(none), shape(table({ 'x-mine': 1, 'x-consumer-timeout': 5, 'x-queue-mode': 'lazy' })))).not.toThrow();
  });

  test('durable and auto-delete are compared, before arguments', () => {
    expect(compare(shape(none, { durable: false }), shape(table({ 'x-expires': 9 })))).toThrow(text('durable', "'true'", "'false'"));
    expect(compare(shape(none), shape(none, { autoDelete: true }))).toThrow(text('auto_delete', "'true'", "'false'"));
  });

  test('exclusive is compared first of all, and a difference is 405', () => {
    const locked =
      "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another " +
      'connection or the exclusive property value does not match that of the original declaration.';
    const mine = shape(none, { durable: false, exclusiveOwner: owner });
    expect(compare(mine, shape(none))).toThrow(locked);
    expect(compare(shape(none), mine)).toThrow(locked);
    expect(compare(mine, shape(none, { durable: false, exclusiveOwner: {} }))).toThrow(locked);
    expect(compare(mine, mine)).not.toThrow();
  });
});
