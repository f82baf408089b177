// Declaring and deleting exchanges: pre-declared and reserved names, equivalence, auto-delete, if-unused. Texts as RabbitMQ 3.10.8 wrote them.

import { describe, expect } from 'vitest';
import { test } from '../support/broker.ts';

const PREDECLARED: [exchange: string, type: string][] = [
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.topic', 'topic'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
];

describe('pre-declared exchanges', () => {
  test('they exist, may be declared again as they are, and may not be deleted', async ({ broker }) => {
    const s = await broker.connect();
    for (const [exchange, type] of PREDECLARED) {
      await s.exchange(exchange, type, { passive: true });
      await s.exchange(exchange, type);
      const error = await s.fails('exchange.delete', { exchange });
      expect(error.code).toBe(403);
      expect(error.reason).toBe(`ACCESS_REFUSED - deletion of system exchange '${exchange}' in vhost '/' not allowed`);
    }
  });

  test('amq.rabbitmq.trace exists', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('amq.rabbitmq.trace', 'topic', { passive: true });
  });

  test('declared differently, they refuse as any exchange does', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('exchange.declare', { exchange: 'amq.direct', type: 'fanout' });
    expect([error.code, error.reason]).toEqual([
      406,
      "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but current is 'direct'",
    ]);
  });
});

describe('names', () => {
  test('a new name under amq. is refused', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('exchange.declare', { exchange: 'amq.foo' });
    expect([error.code, error.reason]).toEqual([403, "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'"]);
  });

  // RabbitMQ differs: it strips line ends from names.
  test('a name with a line end is refused', async ({ broker }) => {
    const s = await broker.connect();
    for (const name of ['a\rb', 'a\nb', 'a\r\n']) expect((await s.fails('exchange.declare', { exchange: name })).code).toBe(406);
  });

  test('a name of 255 bytes is accepted, one of 256 bytes is not', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange(`${'é'.repeat(127)}x`, 'direct');
    expect((await s.fails('exchange.declare', { exchange: 'é'.repeat(128) })).code).toBe(502);
  });
});

describe('declare', () => {
  test('passive finds what exists, whatever else is asked, and nothing else', async ({ broker }) => {
    const s = await broker.connect();
    await s.do('exchange.declare', { exchange: 'amq.direct', type: 'fanout', durable: false, passive: true });
    const error = await s.fails('exchange.declare', { exchange: 'nosuch', passive: true });
    expect([error.code, error.reason]).toEqual([404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'"]);
  });

  test('each differing property is named with both values', async ({ broker }) => {
    const s = await broker.connect();
    await s.do('exchange.declare', { exchange: 'e', durable: false });
    const texts = [
      (await s.fails('exchange.declare', { exchange: 'e', durable: false, type: 'fanout' })).reason,
      (await s.fails('exchange.declare', { exchange: 'e', durable: true })).reason,
      (await s.fails('exchange.declare', { exchange: 'e', durable: false, autoDelete: true })).reason,
      (await s.fails('exchange.declare', { exchange: 'e', durable: false, internal: true })).reason,
    ];
    const text = (arg: string, received: string, current: string): string =>
      `PRECONDITION_FAILED - inequivalent arg '${arg}' for exchange 'e' in vhost '/': received '${received}' but current is '${current}'`;
    expect(texts).toEqual([
      text('type', 'fanout', 'direct'),
      text('durable', 'true', 'false'),
      text('auto_delete', 'true', 'false'),
      text('internal', 'true', 'false'),
    ]);
  });

  test('of the arguments only alternate-exchange is compared', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('e', 'direct', { arguments: { 'alternate-exchange': 'x', 'x-foo': 1 } });
    await s.exchange('e', 'direct', { arguments: { 'alternate-exchange': 'x', 'x-foo': 2 } });
    const other = await s.fails('exchange.declare', { exchange: 'e', arguments: { 'alternate-exchange': 'y' } });
    expect([other.code, other.reason]).toEqual([
      406,
      "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'e' in vhost '/': received 'y' but current is 'x'",
    ]);
    const none = await s.fails('exchange.declare', { exchange: 'e' });
    expect(none.reason).toBe(
      "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'e' in vhost '/': received none but current is the value 'x' of type 'longstr'",
    );
  });

  test('an alternate-exchange that is not a string is refused', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('exchange.declare', { exchange: 'e', arguments: { 'alternate-exchange': 5 } });
    expect([error.code, error.reason]).toEqual([
      406,
      "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'e' in vhost '/'",
    ]);
  });

  test('an unknown type is refused with 406, as RabbitMQ 4 does', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('exchange.declare', { exchange: 'e', type: 'nosuch' });
    expect([error.code, error.reason]).toEqual([406, "PRECONDITION_FAILED - unknown exchange type 'nosuch'"]);
    await s.do('ping', {});
  });
});

describe('delete', () => {
  test('deleting what is not there is ok', async ({ broker }) => {
    const s = await broker.connect();
    await s.do('exchange.delete', { exchange: 'nosuch' });
  });

  test('if-unused refuses while the exchange is the source of a binding', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('e', 'direct');
    await s.declare('q');
    await s.bind('q', 'e', 'k');
    const error = await s.fails('exchange.delete', { exchange: 'e', ifUnused: true });
    expect([error.code, error.reason]).toEqual([406, "PRECONDITION_FAILED - exchange 'e' in vhost '/' in use"]);
    await s.do('queue.unbind', { queue: 'q', exchange: 'e', key: 'k' });
    await s.do('exchange.delete', { exchange: 'e', ifUnused: true });
    expect((await s.fails('exchange.declare', { exchange: 'e', passive: true })).code).toBe(404);
  });

  test('an exchange that is only the destination of a binding is unused', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('e', 'direct');
    await s.do('exchange.bind', { source: 'amq.direct', destination: 'e' });
    await s.do('exchange.delete', { exchange: 'e', ifUnused: true });
  });
});

describe('auto-delete', () => {
  test('the exchange goes with its last binding as source', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('e', 'direct', { autoDelete: true });
    await s.declare('a');
    await s.declare('b');
    await s.bind('a', 'e', 'k');
    await s.bind('b', 'e', 'k');
    await s.do('queue.unbind', { queue: 'a', exchange: 'e', key: 'k' });
    await s.exchange('e', 'direct', { passive: true });
    await s.do('queue.delete', { queue: 'b' });
    expect((await s.fails('exchange.declare', { exchange: 'e', passive: true })).code).toBe(404);
  });

  test('a never-bound exchange stays, and so does one that was only a destination', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('e', 'direct', { autoDelete: true });
    await s.do('exchange.bind', { source: 'amq.direct', destination: 'e' });
    await s.do('exchange.unbind', { source: 'amq.direct', destination: 'e' });
    await s.exchange('e', 'direct', { passive: true });
  });

  test('an exchange bound to an exchange goes with that binding, and so does the next in the chain', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('first', 'direct', { autoDelete: true });
    await s.exchange('second', 'direct', { autoDelete: true });
    await s.declare('q');
    await s.do('exchange.bind', { source: 'first', destination: 'second' });
    await s.bind('q', 'second', 'k');
    await s.do('queue.delete', { queue: 'q' });
    expect((await s.fails('exchange.declare', { exchange: 'second', passive: true })).code).toBe(404);
    expect((await s.fails('exchange.declare', { exchange: 'first', passive: true })).code).toBe(404);
  });
});
