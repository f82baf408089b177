// The rules of one virtual host: declaring, binding, deleting, auto-delete, exclusiveness, with the exact texts.

import { describe, expect, test } from 'vitest';
import type { ExchangeDeclaration, QueueDeclaration } from '../../../server/broker/topology.ts';
import { type FieldTable, Typed } from '../../../shared/amqp/table.ts';
import { fakeQueue, table, testVhost } from '../../support/routing.ts';

const me = { name: 'this connection' };
const other = { name: 'another connection' };

function setUp() {
  const { vhost, definitions } = testVhost();
  const exchange = (name: string, change: Partial<ExchangeDeclaration> = {}) =>
    vhost.declareExchange({
      exchange: name,
      type: 'direct',
      durable: true,
      autoDelete: false,
      internal: false,
      passive: false,
      arguments: table(),
      ...change,
    });
  const queue = (name: string, change: Partial<QueueDeclaration> = {}, owner: object = me) =>
    vhost.declareQueue(
      { queue: name, durable: true, exclusive: false, autoDelete: false, passive: false, arguments: table(), ...change },
      owner,
    );
  const bind = (name: string, source: string, key = 'k', args: FieldTable = table()): void => vhost.bindQueue(name, source, key, args, me);
  return { vhost, definitions, exchange, queue, bind };
}

describe('exchanges', () => {
  test('eight exist from the start', () => {
    const { vhost } = setUp();
    expect([...vhost.exchanges.values()].map(({ name, durable }) => [name, durable])).toEqual(
      ['', 'amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers', 'amq.match', 'amq.rabbitmq.trace', 'amq.rabbitmq.event'].map((name) => [
        name,
        true,
      ]),
    );
    expect(
      ['amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers', 'amq.match', 'amq.rabbitmq.trace'].map(
        (name) => vhost.exchanges.get(name)?.type,
      ),
    ).toEqual(['direct', 'fanout', 'topic', 'headers', 'headers', 'topic']);
  });

  test('declared again alike are the same exchange, a reserved one too', () => {
    const { exchange } = setUp();
    expect(exchange('x', { arguments: table({ mine: 1 }) })).toBe(exchange('x', { arguments: table({ mine: 2 }) }));
    expect(exchange('amq.topic', { type: 'topic' })).toBe(exchange('amq.topic', { passive: true, type: 'no matter' }));
  });

  test.each<[string, Partial<ExchangeDeclaration>, string]>([
    ['type', { type: 'fanout' }, "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'"],
    ['durable', { durable: false }, "inequivalent arg 'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'"],
    [
      'auto-delete',
      { autoDelete: true },
      "inequivalent arg 'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
    ],
    ['internal', { internal: true }, "inequivalent arg 'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'"],
    [
      'alternate',
      { arguments: table({ 'alternate-exchange': 'ae' }) },
      "inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received the value 'ae' of type 'longstr' but current is none",
    ],
  ])('declared again with another %s are refused', (_name, change, text) => {
    const { exchange } = setUp();
    exchange('x');
    expect(() => exchange('x', change)).toThrow(`PRECONDITION_FAILED - ${text}`);
  });

  test.each<[string, string, Partial<ExchangeDeclaration>, string]>([
    ['a reserved name', 'amq.foo', {}, "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'"],
    ['the default exchange', '', {}, 'ACCESS_REFUSED - operation not permitted on the default exchange'],
    ['the default exchange, passively', '', { passive: true }, 'ACCESS_REFUSED - operation not permitted on the default exchange'],
    ['a missing one, passively', 'nosuch', { passive: true }, "NOT_FOUND - no exchange 'nosuch' in vhost '/'"],
    ['an unknown type', 'x', { type: 'nosuch' }, "PRECONDITION_FAILED - unknown exchange type 'nosuch'"],
    ['a line feed', 'a\nb', {}, 'PRECONDITION_FAILED - exchange name "a\\nb" contains CR or LF'],
    ['too long a name', 'ü'.repeat(128), {}, `PRECONDITION_FAILED - exchange name '${'ü'.repeat(32)}...' is longer than 255 bytes`],
    [
      'an alternate that is no name',
      'x',
      { arguments: table({ 'alternate-exchange': new Typed('l', 1) }) },
      "PRECONDITION_FAILED - invalid type 'long' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
    ],
  ])('with %s are refused', (_name, name, change, text) => {
    const { exchange, vhost } = setUp();
    const { version } = vhost;
    expect(() => exchange(name, change)).toThrow(text);
    expect([vhost.exchanges.size, vhost.version]).toEqual([8, version]);
  });

  test('cannot be deleted when reserved, and are deleted already when missing', () => {
    const { vhost } = setUp();
    expect(() => vhost.deleteExchange('amq.direct', false)).toThrow(
      "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    );
    expect(() => vhost.deleteExchange('', false)).toThrow('ACCESS_REFUSED - operation not permitted on the default exchange');
    vhost.deleteExchange('nosuch', true);
  });

  test('in use are not deleted if-unused; being a destination is no use', () => {
    const { vhost, exchange, queue, bind } = setUp();
    exchange('x');
    exchange('y');
    queue('q');
    bind('q', 'x');
    vhost.bindExchange('y', 'x', '', table());
    expect(() => vhost.deleteExchange('x', true)).toThrow("PRECONDITION_FAILED - exchange 'x' in vhost '/' in use");
    vhost.deleteExchange('y', true);
    vhost.deleteExchange('x', false);
    expect([vhost.exchanges.size, vhost.queues.get('q')?.bindings.size]).toEqual([8, 0]);
  });

  test('can be published to unless missing or internal', () => {
    const { vhost, exchange } = setUp();
    exchange('inside', { internal: true });
    expect(() => vhost.exchangeToPublish('inside')).toThrow("ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'");
    expect(() => vhost.exchangeToPublish('nosuch')).toThrow("NOT_FOUND - no exchange 'nosuch' in vhost '/'");
    expect(vhost.exchangeToPublish('')).toBe(vhost.defaultExchange);
  });

  test('that are auto-delete go with their last binding as source, not before a first, and take their sources along', () => {
    const { vhost, exchange, queue, bind } = setUp();
    for (const name of ['a', 'b', 'c']) exchange(name, { autoDelete: true });
    queue('q');
    vhost.bindExchange('b', 'a', '', table());
    vhost.bindExchange('c', 'b', '', table());
    bind('q', 'c', 'one');
    bind('q', 'c', 'two');
    vhost.unbindQueue('q', 'c', 'one', table(), me);
    vhost.unbindQueue('q', 'c', 'never bound', table(), me);
    expect(vhost.exchanges.has('c')).toBe(true);
    vhost.deleteQueue('q', false, false, me);
    expect([...vhost.exchanges.keys()].filter((name) => 'abc'.includes(name))).toEqual(['']);
  });

  test('that are auto-delete stay with a binding in their own cycle', () => {
    const { vhost, exchange } = setUp();
    exchange('a', { autoDelete: true });
    exchange('b', { autoDelete: true });
    vhost.bindExchange('b', 'a', '', table());
    vhost.bindExchange('a', 'b', '', table());
    vhost.bindExchange('a', 'a', '', table());
    vhost.deleteExchange('b', false);
    expect(vhost.exchanges.has('a')).toBe(true);
    vhost.unbindExchange('a', 'a', '', table());
    expect(vhost.exchanges.has('a')).toBe(false);
  });

  test('are neither kept nor deleted by taps', () => {
    const { vhost, exchange, queue, bind } = setUp();
    exchange('x', { autoDelete: true });
    queue('q');
    const tap = fakeQueue('tap', { isTap: true });
    vhost.bindTap(tap, 'x', 'k', table());
    vhost.unbindTap(tap);
    expect([vhost.exchanges.has('x'), tap.bindings.size]).toEqual([true, 0]);
    vhost.bindTap(tap, 'x', 'k', table());
    bind('q', 'x');
    vhost.unbindQueue('q', 'x', 'k', table(), me);
    expect([vhost.exchanges.has('x'), tap.bindings.size]).toEqual([false, 0]);
  });

  test('in a chain of ten thousand go all together', () => {
    const { vhost, exchange, queue, bind } = setUp();
    for (let i = 0; i < 10_000; i++) exchange(`x${i}`, { autoDelete: true, durable: false });
    for (let i = 1; i < 10_000; i++) vhost.bindExchange(`x${i}`, `x${i - 1}`, '', table());
    queue('q');
    bind('q', 'x9999');
    vhost.deleteQueue('q', false, false, me);
    expect(vhost.exchanges.size).toBe(8);
  });
});

describe('bindings', () => {
  test('are their source, destination, key and arguments; integers of any width are alike', () => {
    const { vhost, queue, bind } = setUp();
    const q = queue('q');
    bind('q', 'amq.direct');
    bind('q', 'amq.direct');
    bind('q', 'amq.direct', 'k', table({ a: 1 }));
    bind('q', 'amq.direct', 'k', table({ a: new Typed('l', 1) }));
    bind('q', 'amq.direct', 'k', table({ a: '1' }));
    bind('q', 'amq.topic');
    expect(q.bindings.size).toBe(4);
    vhost.unbindQueue('q', 'amq.direct', 'k', table({ a: new Typed('b', 1) }), me);
    expect([...q.bindings].map(({ source, arguments: args }) => [source.name, args.get('a')])).toEqual([
      ['amq.direct', undefined],
      ['amq.direct', '1'],
      ['amq.topic', undefined],
    ]);
  });

  test('to a queue and to an exchange of one name are two', () => {
    const { vhost, exchange, queue, bind } = setUp();
    exchange('same');
    queue('same');
    bind('same', 'amq.direct');
    vhost.bindExchange('same', 'amq.direct', 'k', table());
    expect(vhost.exchanges.get('amq.direct')?.boundCount).toBe(2);
  });

  test('need both ends; the source is looked for first', () => {
    const { vhost, queue, bind } = setUp();
    expect(() => bind('nosuch', 'nosource')).toThrow("NOT_FOUND - no exchange 'nosource' in vhost '/'");
    expect(() => bind('nosuch', 'amq.direct')).toThrow("NOT_FOUND - no queue 'nosuch' in vhost '/'");
    expect(() => bind('amq.rabbitmq.reply-to', 'amq.direct')).toThrow("NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'");
    expect(() => vhost.bindExchange('nosuch', 'amq.direct', '', table())).toThrow("NOT_FOUND - no exchange 'nosuch' in vhost '/'");
    queue('q');
    expect(() => bind('q', '')).toThrow('ACCESS_REFUSED - operation not permitted on the default exchange');
    expect(() => vhost.bindExchange('', 'amq.direct', '', table())).toThrow(
      'ACCESS_REFUSED - operation not permitted on the default exchange',
    );
    expect(() => bind('q', 'amq.direct', 'k'.repeat(256))).toThrow(
      `PRECONDITION_FAILED - binding key '${'k'.repeat(32)}...' is longer than 255 bytes`,
    );
  });

  test('that do not exist are unbound already, and so are those of missing ends', () => {
    const { vhost, queue } = setUp();
    queue('q');
    vhost.unbindQueue('q', 'amq.direct', 'k', table(), me);
    vhost.unbindQueue('nosuch', 'amq.direct', 'k', table(), me);
    vhost.unbindQueue('q', 'nosuch', 'k', table(), me);
    vhost.unbindExchange('nosuch', 'amq.direct', 'k', table());
  });

  test('of a headers exchange need an x-match it knows', () => {
    const { queue, bind } = setUp();
    const q = queue('q');
    expect(() => bind('q', 'amq.headers', '', table({ 'x-match': 'bad' }))).toThrow(
      'PRECONDITION_FAILED - Invalid x-match field value <<"bad">>; expected all, any, all-with-x, or any-with-x',
    );
    expect(() => bind('q', 'amq.headers', '', table({ 'x-match': new Typed('b', 1) }))).toThrow(
      'PRECONDITION_FAILED - Invalid x-match field type byte (value 1); expected longstr',
    );
    bind('q', 'amq.direct', '', table({ 'x-match': 'bad' }));
    expect(q.bindings.size).toBe(1);
  });
});

describe('queues', () => {
  test('without a name get one that starts with amq.gen- and has 22 more characters', () => {
    const { vhost, queue } = setUp();
    const names = [queue('').name, queue('').name];
    expect(names).toEqual([
      `amq.gen-${Buffer.from(Array.from({ length: 16 }, (_, i) => i)).toString('base64url')}`,
      `amq.gen-${Buffer.from(Array.from({ length: 16 }, (_, i) => i + 16)).toString('base64url')}`,
    ]);
    expect([...vhost.queues.keys()]).toEqual(names);
  });

  test('declared again alike are the same queue', () => {
    const { queue } = setUp();
    expect(queue('q')).toBe(queue('q', {}, other));
    expect(queue('q')).toBe(queue('q', { passive: true, durable: false }));
  });

  test.each<[string, string, Partial<QueueDeclaration>, string]>([
    ['a reserved name', 'amq.foo', {}, "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'"],
    ['a carriage return', 'a\r', {}, 'PRECONDITION_FAILED - queue name "a\\r" contains CR or LF'],
    ['too long a name', 'q'.repeat(256), {}, `PRECONDITION_FAILED - queue name '${'q'.repeat(32)}...' is longer than 255 bytes`],
    ['a missing one, passively', 'nosuch', { passive: true }, "NOT_FOUND - no queue 'nosuch' in vhost '/'"],
    [
      'another durable',
      'q',
      { durable: false },
      "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
    ],
    [
      'a bad argument',
      'new',
      { arguments: table({ 'x-expires': 0 }) },
      "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'new' in vhost '/': {value_zero,0}",
    ],
    [
      'quorum and transient',
      'new',
      { durable: false, arguments: table({ 'x-queue-type': 'quorum' }) },
      "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'new' in vhost '/'",
    ],
  ])('with %s are refused', (_name, name, change, text) => {
    const { vhost, queue } = setUp();
    queue('q');
    const { version } = vhost;
    expect(() => queue(name, change)).toThrow(text);
    expect([vhost.queues.size, vhost.version]).toEqual([1, version]);
  });

  test('that are exclusive are locked to everybody else, not durable, and go with their owner', () => {
    const { vhost, definitions, queue, bind } = setUp();
    const q = queue('q', { exclusive: true });
    bind('q', 'amq.direct');
    expect([q.durable, definitions]).toEqual([false, []]);
    const locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'.";
    expect(() => queue('q', { exclusive: true }, other)).toThrow(locked);
    expect(() => queue('q', { passive: true }, other)).toThrow(locked);
    expect(() => vhost.findQueue('q', other)).toThrow(locked);
    expect(() => vhost.bindQueue('q', 'amq.direct', '', table(), other)).toThrow(locked);
    expect(() => vhost.unbindQueue('q', 'amq.direct', '', table(), other)).toThrow(locked);
    expect(() => vhost.deleteQueue('q', false, false, other)).toThrow(locked);
    queue('shared');
    vhost.releaseOwner(other);
    expect(vhost.findQueue('q', me)).toBe(q);
    vhost.releaseOwner(me);
    expect([...vhost.queues.keys()]).toEqual(['shared']);
    expect(q).toMatchObject({ deletedBecause: 'connection closed' });
    vhost.releaseOwner(me);
  });

  test('are deleted once, without bindings, and answer how many messages were ready', () => {
    const { vhost, queue, bind } = setUp();
    expect(vhost.deleteQueue('nosuch', true, true, me)).toBe(0);
    const q = queue('q');
    bind('q', 'amq.direct');
    const { version } = vhost;
    expect(vhost.deleteQueue('q', false, false, me)).toBe(0);
    expect([vhost.queues.size, q.bindings.size, vhost.exchanges.get('amq.direct')?.outgoing.size]).toEqual([0, 0, 0]);
    expect(vhost.version).toBeGreaterThan(version);
    expect(vhost.removeQueue(q, 'too late')).toBe(0);
    expect(q).toMatchObject({ deletedBecause: 'queue deleted' });
  });

  test('with messages are not deleted if-empty, with consumers not if-unused', () => {
    const { vhost, queue } = setUp();
    const q = queue('q');
    Object.assign(q, { readyCount: 3 });
    expect(() => vhost.deleteQueue('q', false, true, me)).toThrow("PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
    Object.assign(q, { consumerCount: 1 });
    expect(() => vhost.deleteQueue('q', true, false, me)).toThrow("PRECONDITION_FAILED - queue 'q' in vhost '/' in use");
    expect(() => vhost.deleteQueue('q', true, true, me)).toThrow('not empty');
    expect(vhost.deleteQueue('q', false, false, me)).toBe(3);
  });

  test('of the same name may follow each other; removing the old one does not touch the new', () => {
    const { vhost, queue } = setUp();
    const first = queue('q');
    vhost.deleteQueue('q', false, false, me);
    const second = queue('q');
    expect(vhost.removeQueue(first, 'queue expired')).toBe(0);
    expect(vhost.queues.get('q')).toBe(second);
    expect(second.number).not.toBe(first.number);
  });
});

test('every change that could alter a route raises the version, and nothing else does', () => {
  const { vhost, exchange, queue, bind } = setUp();
  let last = vhost.version;
  const changes = (change: () => unknown): boolean => {
    change();
    const isChanged = vhost.version > last;
    last = vhost.version;
    return isChanged;
  };
  expect(changes(() => exchange('x'))).toBe(true);
  expect(changes(() => exchange('x'))).toBe(false);
  expect(changes(() => queue('q'))).toBe(true);
  expect(changes(() => queue('q'))).toBe(false);
  expect(changes(() => bind('q', 'x'))).toBe(true);
  expect(changes(() => bind('q', 'x'))).toBe(false);
  expect(changes(() => vhost.unbindQueue('q', 'x', 'k', table(), me))).toBe(true);
  expect(changes(() => vhost.unbindQueue('q', 'x', 'k', table(), me))).toBe(false);
  expect(changes(() => vhost.bindExchange('x', 'x', '', table()))).toBe(true);
  const tap = fakeQueue('tap', { isTap: true });
  expect(changes(() => vhost.bindTap(tap, 'x', '', table()))).toBe(true);
  expect(changes(() => vhost.unbindTap(tap))).toBe(true);
  expect(changes(() => vhost.deleteQueue('q', false, false, me))).toBe(true);
  expect(changes(() => vhost.deleteExchange('x', false))).toBe(true);
  expect(changes(() => vhost.deleteExchange('x', false))).toBe(false);
});
