// How exchanges route: direct, topic, fanout, headers, exchange to exchange, alternates, CC and BCC, mandatory.
// Each expectation was read from the specification; the topic and headers tables are what RabbitMQ 3.10.8 answered to the same bindings.

import { describe, expect } from 'vitest';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { test } from '../support/broker.ts';
import type { JsonSession } from '../support/json-session.ts';

describe('direct', () => {
  test('a direct exchange delivers to every queue bound with exactly the key', async ({ broker }) => {
    const s = await broker.connect();
    for (const queue of ['a', 'b', 'other']) await s.declare(queue);
    await s.bind('a', 'amq.direct', 'k');
    await s.bind('b', 'amq.direct', 'k');
    await s.bind('other', 'amq.direct', 'K');
    expect(await s.publish('amq.direct', 'k', 'm')).toBe(2);
    expect(await s.drainBodies('a')).toEqual(['m']);
    expect(await s.drainBodies('b')).toEqual(['m']);
    expect(await s.drainBodies('other')).toEqual([]);
  });

  test('two bindings to one queue deliver one copy', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.direct', 'k');
    await s.bind('q', 'amq.direct', 'k', { a: 1 });
    expect(await s.publish('amq.direct', 'k', 'm')).toBe(1);
    expect(await s.drainBodies('q')).toEqual(['m']);
  });

  test('a binding is its source, destination, key and arguments: unbinding one leaves the other', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.direct', 'k');
    await s.bind('q', 'amq.direct', 'k', { a: 1 });
    await s.do('queue.unbind', { queue: 'q', exchange: 'amq.direct', key: 'k' });
    expect(await s.publish('amq.direct', 'k')).toBe(1);
    await s.do('queue.unbind', { queue: 'q', exchange: 'amq.direct', key: 'k', arguments: { a: 2 } });
    expect(await s.publish('amq.direct', 'k')).toBe(1);
    await s.do('queue.unbind', { queue: 'q', exchange: 'amq.direct', key: 'k', arguments: { a: 1 } });
    expect(await s.publish('amq.direct', 'k')).toBe(0);
  });

  test('binding twice is binding once', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.direct', 'k');
    await s.bind('q', 'amq.direct', 'k');
    await s.do('queue.unbind', { queue: 'q', exchange: 'amq.direct', key: 'k' });
    expect(await s.publish('amq.direct', 'k')).toBe(0);
  });

  test('a binding made between two equal publishes counts for the second', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    expect(await s.publish('amq.direct', 'k', '1')).toBe(0);
    await s.bind('q', 'amq.direct', 'k');
    expect(await s.publish('amq.direct', 'k', '2')).toBe(1);
    await s.do('queue.delete', { queue: 'q' });
    expect(await s.publish('amq.direct', 'k', '3')).toBe(0);
  });

  test('another connection that changes a binding changes what the next publish reaches', async ({ broker }) => {
    const publisher = await broker.connect();
    const other = await broker.connect();
    await other.declare('q');
    await other.bind('q', 'amq.direct', 'k');
    expect(await publisher.publish('amq.direct', 'k')).toBe(1);
    await other.do('queue.unbind', { queue: 'q', exchange: 'amq.direct', key: 'k' });
    expect(await publisher.publish('amq.direct', 'k')).toBe(0);
  });
});

describe('topic', () => {
  const KEYS = ['', 'a', 'a.b', '.', '..', 'a.', '.a', 'a..b', 'a.b.c', 'b', 'a.x.y.b', 'audit', '.b', 'A'];
  const ALL = KEYS;
  const WORDS = KEYS.slice(1);
  const TABLE: [pattern: string, matches: string[]][] = [
    ['#', ALL],
    ['*', ['a', 'b', 'audit', 'A']],
    ['#.#', ALL],
    ['*.#', WORDS],
    ['#.*', WORDS],
    ['', ['']],
    ['a.*', ['a.b', 'a.']],
    ['a.#', ['a', 'a.b', 'a.', 'a..b', 'a.b.c', 'a.x.y.b']],
    ['#.a', ['a', '.a']],
    ['a.#.b', ['a.b', 'a..b', 'a.x.y.b']],
    ['*.*', ['a.b', '.', 'a.', '.a', '.b']],
    ['.', ['.']],
    ['*..', ['..']],
    ['a..b', ['a..b']],
    ['#.#.#', ALL],
    ['a.*.#', ['a.b', 'a.', 'a..b', 'a.b.c', 'a.x.y.b']],
    ['#.b.#', ['a.b', 'a..b', 'a.b.c', 'b', 'a.x.y.b', '.b']],
    ['*.b', ['a.b', '.b']],
    ['audit.#', ['audit']],
  ];

  test('words, empty words, leading and trailing dots, # anywhere: the table that RabbitMQ answers', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('t', 'topic');
    for (const [i, [pattern]] of TABLE.entries()) {
      await s.declare(`q${i}`);
      await s.bind(`q${i}`, 't', pattern);
    }
    for (const key of KEYS) await s.publish('t', key, key);
    const got: [string, string[]][] = [];
    for (const [i, [pattern]] of TABLE.entries()) got.push([pattern, await s.drainBodies(`q${i}`)]);
    expect(got).toEqual(TABLE);
  });

  test('the empty key has no words, so * does not match it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.topic', '*');
    expect(await s.publish('amq.topic', '')).toBe(0);
  });

  test('a queue bound by three patterns that all match gets one copy', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    for (const pattern of ['a.#', '*.b', '#']) await s.bind('q', 'amq.topic', pattern);
    expect(await s.publish('amq.topic', 'a.b')).toBe(1);
    expect(await s.drainBodies('q')).toHaveLength(1);
  });

  test('twenty # in one pattern cost no more than one answer', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.topic', Array.from({ length: 20 }, () => '#').join('.a.'));
    expect(await s.publish('amq.topic', Array.from({ length: 100 }, () => 'a').join('.'))).toBe(1);
    expect(await s.publish('amq.topic', Array.from({ length: 100 }, () => 'b').join('.'))).toBe(0);
  });

  test('unbinding a pattern stops it and leaves its neighbours', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('one');
    await s.declare('two');
    await s.bind('one', 'amq.topic', 'a.#');
    await s.bind('two', 'amq.topic', 'a.#.b');
    await s.do('queue.unbind', { queue: 'one', exchange: 'amq.topic', key: 'a.#' });
    expect(await s.publish('amq.topic', 'a.x.b')).toBe(1);
    expect(await s.drainBodies('two')).toHaveLength(1);
  });
});

describe('fanout', () => {
  test('a fanout exchange ignores the key, and each queue has its own place for the one message', async ({ broker }) => {
    const s = await broker.connect();
    for (const queue of ['a', 'b']) {
      await s.declare(queue);
      await s.bind(queue, 'amq.fanout', `key of ${queue}`);
    }
    expect(await s.publish('amq.fanout', 'any', '1')).toBe(2);
    expect(await s.publish('amq.fanout', '', '2')).toBe(2);
    expect(await s.drainBodies('a')).toEqual(['1', '2']);
    expect(await s.drainBodies('b')).toEqual(['1', '2']);
  });
});

describe('headers', () => {
  const int64 = (value: number): JsonObject => ({ $amqp: 'l', value });
  const TABLE: [args: JsonObject, headers: JsonObject | undefined, matches: boolean][] = [
    [{}, undefined, true],
    [{}, {}, true],
    [{ 'x-match': 'all' }, undefined, true],
    [{ 'x-match': 'any' }, { a: 1 }, false],
    [{ 'x-match': 'any' }, undefined, false],
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1 }, { a: int64(1) }, true],
    [{ a: int64(5) }, { a: { $amqp: 'b', value: 5 } }, true],
    [{ a: 1 }, { a: 1_099_511_627_776 }, false],
    [{ a: 1_099_511_627_776 }, { a: 1_099_511_627_776 }, true],
    [{ a: 1 }, { a: '1' }, false],
    [{ a: 1 }, { a: true }, false],
    [{ a: null }, { a: 'q' }, true],
    [{ a: null }, {}, false],
    [{ a: null }, { a: null }, true],
    [{ a: 'q' }, { a: null }, false],
    [{ 'x-foo': 1 }, {}, true],
    [{ 'x-match': 'any', 'x-foo': 1 }, { 'x-foo': 1 }, false],
    [{ 'x-match': 'all-with-x', 'x-foo': 1 }, { 'x-foo': 1 }, true],
    [{ 'x-match': 'all-with-x', 'x-foo': 1 }, {}, false],
    [{ 'x-match': 'any-with-x', 'x-foo': 1 }, { 'x-foo': 1 }, true],
    [{ 'x-match': 'any-with-x' }, { a: 1 }, false],
    [{ 'x-match': 'all-with-x' }, {}, true],
    [{ 'x-match': 'all', a: 1, b: 2 }, { a: 1, b: 2, c: 3 }, true],
    [{ 'x-match': 'all', a: 1, b: 2 }, { a: 1 }, false],
    [{ 'x-match': 'any', a: 1, b: 2 }, { b: 2 }, true],
    [{ 'x-match': 'any', a: 1, b: 2 }, { b: 3 }, false],
    [{ a: [1, 2] }, { a: [1, 2] }, true],
    [{ a: { n: 1 } }, { a: { n: 1 } }, true],
    [{ a: 'x' }, { a: 'X' }, false],
  ];

  test('x-match, void, x- names and integer widths: the table that RabbitMQ answers', async ({ broker }) => {
    const s = await broker.connect();
    const got: typeof TABLE = [];
    for (const [i, [args, headers]] of TABLE.entries()) {
      await s.declare(`q${i}`);
      await s.bind(`q${i}`, 'amq.headers', 'unused', args);
      const routed = await s.publish('amq.headers', 'other', '', headers === undefined ? {} : { headers });
      got.push([args, headers, routed === 1]);
      await s.do('queue.delete', { queue: `q${i}` });
    }
    expect(got).toEqual(TABLE);
  });

  test('amq.match is a headers exchange too', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.match', '', { kind: 'a' });
    expect(await s.publish('amq.match', '', '', { headers: { kind: 'a' } })).toBe(1);
    expect(await s.publish('amq.match', '', '', { headers: { kind: 'b' } })).toBe(0);
  });

  test('an unknown x-match is refused with the words of RabbitMQ', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const error = await s.fails('queue.bind', { queue: 'q', exchange: 'amq.headers', arguments: { 'x-match': 'bad' } });
    expect(error.code).toBe(406);
    expect(error.reason).toBe('PRECONDITION_FAILED - Invalid x-match field value <<"bad">>; expected all, any, all-with-x, or any-with-x');
    const typed = await s.fails('queue.bind', { queue: 'q', exchange: 'amq.headers', arguments: { 'x-match': 5 } });
    expect(typed.code).toBe(406);
    expect(typed.reason).toBe('PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr');
  });
});

describe('the default exchange', () => {
  test('the routing key is the name of the queue, also of one declared a moment ago', async ({ broker }) => {
    const s = await broker.connect();
    expect(await s.publish('', 'q', 'lost')).toBe(0);
    await s.declare('q');
    expect(await s.publish('', 'q', 'kept')).toBe(1);
    expect(await s.drainBodies('q')).toEqual(['kept']);
  });

  test('no operation but publish may name it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const denied = [
      await s.fails('queue.bind', { queue: 'q', exchange: '', key: 'k' }),
      await s.fails('queue.unbind', { queue: 'q', exchange: '', key: 'q' }),
      await s.fails('exchange.bind', { destination: 'amq.direct', source: '' }),
      await s.fails('exchange.bind', { destination: '', source: 'amq.direct' }),
      await s.fails('exchange.unbind', { destination: 'amq.direct', source: '' }),
      await s.fails('exchange.declare', { exchange: '' }),
      await s.fails('exchange.delete', { exchange: '' }),
    ];
    for (const error of denied) {
      expect([error.code, error.reason]).toEqual([403, 'ACCESS_REFUSED - operation not permitted on the default exchange']);
    }
    expect(await s.publish('', 'q', 'm')).toBe(1);
  });
});

describe('exchange to exchange', () => {
  async function chain(s: JsonSession): Promise<void> {
    await s.exchange('source', 'topic');
    await s.exchange('middle', 'direct');
    await s.exchange('end', 'fanout');
    await s.do('exchange.bind', { source: 'source', destination: 'middle', key: 'a.*' });
    await s.do('exchange.bind', { source: 'middle', destination: 'end', key: 'a.b' });
    await s.declare('q');
    await s.bind('q', 'end');
  }

  test('a message follows a chain, each exchange matching the one routing key', async ({ broker }) => {
    const s = await broker.connect();
    await chain(s);
    expect(await s.publish('source', 'a.b', 'm')).toBe(1);
    expect(await s.publish('source', 'a.c')).toBe(0);
    const [message] = await s.drain('q');
    expect(message).toMatchObject({ exchange: 'source', key: 'a.b', body: 'm' });
  });

  test('a cycle ends, and a queue reached along two ways gets one copy', async ({ broker }) => {
    const s = await broker.connect();
    await chain(s);
    await s.do('exchange.bind', { source: 'end', destination: 'source' });
    await s.do('exchange.bind', { source: 'source', destination: 'source', key: '#' });
    await s.bind('q', 'source', '#');
    expect(await s.publish('source', 'a.b', 'm')).toBe(1);
    expect(await s.drainBodies('q')).toEqual(['m']);
  });

  test('unbinding one exchange from another ends the way', async ({ broker }) => {
    const s = await broker.connect();
    await chain(s);
    await s.do('exchange.unbind', { source: 'middle', destination: 'end', key: 'a.b' });
    expect(await s.publish('source', 'a.b')).toBe(0);
    // RabbitMQ 3.10: unbinding what is not bound, or does not exist, is ok
    await s.do('exchange.unbind', { source: 'middle', destination: 'end', key: 'a.b' });
  });

  test('a missing end of a binding is named, the source first', async ({ broker }) => {
    const s = await broker.connect();
    const texts = [
      (await s.fails('exchange.bind', { destination: 'nodst', source: 'amq.direct' })).reason,
      (await s.fails('exchange.bind', { destination: 'amq.direct', source: 'nosrc' })).reason,
      (await s.fails('exchange.bind', { destination: 'nodst', source: 'nosrc' })).reason,
    ];
    expect(texts).toEqual([
      "NOT_FOUND - no exchange 'nodst' in vhost '/'",
      "NOT_FOUND - no exchange 'nosrc' in vhost '/'",
      "NOT_FOUND - no exchange 'nosrc' in vhost '/'",
    ]);
  });

  test('deleting an exchange in the middle takes its bindings along', async ({ broker }) => {
    const s = await broker.connect();
    await chain(s);
    await s.do('exchange.delete', { exchange: 'middle' });
    expect(await s.publish('source', 'a.b')).toBe(0);
    await s.exchange('middle', 'direct');
    expect(await s.publish('source', 'a.b')).toBe(0);
  });

  test('an internal exchange is reached through a binding, never by a client', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('hidden', 'fanout', { internal: true });
    await s.do('exchange.bind', { source: 'amq.fanout', destination: 'hidden' });
    await s.declare('q');
    await s.bind('q', 'hidden');
    expect(await s.publish('amq.fanout', '', 'm')).toBe(1);
    const error = await s.fails('publish', { exchange: 'hidden', body: 'm' });
    expect([error.code, error.reason]).toEqual([403, "ACCESS_REFUSED - cannot publish to internal exchange 'hidden' in vhost '/'"]);
    expect(await s.drainBodies('q')).toEqual(['m']);
  });
});

describe('alternate exchange', () => {
  test('it gets only what its exchange itself routes nowhere', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('alt', 'fanout');
    await s.exchange('main', 'direct', { arguments: { 'alternate-exchange': 'alt' } });
    await s.declare('kept');
    await s.declare('rest');
    await s.bind('kept', 'main', 'k');
    await s.bind('rest', 'alt');
    await s.publish('main', 'k', '1');
    await s.publish('main', 'nobody', '2');
    expect(await s.drainBodies('kept')).toEqual(['1']);
    expect(await s.drainBodies('rest')).toEqual(['2']);
  });

  test('a chain of alternates ends at the first that routes, at its end, or where it began', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('one', 'direct', { arguments: { 'alternate-exchange': 'two' } });
    await s.exchange('two', 'direct', { arguments: { 'alternate-exchange': 'three' } });
    await s.exchange('three', 'direct', { arguments: { 'alternate-exchange': 'one' } });
    await s.declare('q');
    expect(await s.publish('one', 'k')).toBe(0);
    await s.bind('q', 'three', 'k');
    expect(await s.publish('one', 'k')).toBe(1);
    expect(await s.publish('one', 'other')).toBe(0);
  });

  test('an exchange reached over a binding may fall back to its own alternate', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('alt', 'fanout');
    await s.exchange('inner', 'direct', { arguments: { 'alternate-exchange': 'alt' } });
    await s.do('exchange.bind', { source: 'amq.fanout', destination: 'inner' });
    await s.declare('q');
    await s.bind('q', 'alt');
    expect(await s.publish('amq.fanout', 'x')).toBe(1);
  });

  test('a message routed by an alternate is not returned, one that none routes is', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('main', 'direct', { arguments: { 'alternate-exchange': 'amq.fanout' } });
    await s.publish('main', 'k', 'lost', {}, true);
    expect(s.returns).toHaveLength(1);
    await s.declare('q');
    await s.bind('q', 'amq.fanout');
    await s.publish('main', 'k', 'kept', {}, true);
    expect(s.returns).toHaveLength(1);
  });

  test('a missing alternate is no error: the message is dropped', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('main', 'direct', { arguments: { 'alternate-exchange': 'nowhere' } });
    expect(await s.publish('main', 'k')).toBe(0);
  });
});

describe('CC and BCC', () => {
  test('a message goes where its key and all its CC and BCC keys go, once per queue', async ({ broker }) => {
    const s = await broker.connect();
    for (const queue of ['a', 'b', 'c', 'd']) await s.declare(queue);
    const headers = { CC: ['b', 'a'], BCC: ['c', 'b'] };
    expect(await s.publish('', 'a', 'm', { headers })).toBe(3);
    const got = [];
    for (const queue of ['a', 'b', 'c', 'd']) got.push(await s.drainBodies(queue));
    expect(got).toEqual([['m'], ['m'], ['m'], []]);
  });

  test('CC is delivered, BCC is taken out, other headers stay', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.publish('', 'q', 'm', { headers: { CC: ['x'], BCC: ['y'], other: 5 }, messageId: 'id' });
    const message = await s.take('q');
    expect(message.properties).toEqual({ headers: { CC: ['x'], other: 5 }, messageId: 'id' });
    expect(message.key).toBe('q');
    await s.ack(message.tag);
  });

  test('a CC or BCC that is not an array is refused', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const texts = [
      (await s.fails('publish', { key: 'q', body: '', properties: { headers: { CC: 'x' } } })).reason,
      (await s.fails('publish', { key: 'q', body: '', properties: { headers: { BCC: 'a' } } })).reason,
      (await s.fails('publish', { key: 'q', body: '', properties: { headers: { CC: 5 } } })).reason,
      (await s.fails('publish', { key: 'q', body: '', properties: { headers: { CC: null } } })).reason,
    ];
    expect(texts).toEqual([
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"BCC",longstr}',
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",signedint}',
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",void}',
    ]);
    expect(await s.ready('q')).toBe(0);
  });
});

describe('mandatory', () => {
  test('an unroutable mandatory message comes back whole before its confirm', async ({ broker }) => {
    const s = await broker.connect();
    const id = s.nextId;
    const properties = { messageId: 'm1', headers: { CC: ['k1'] } };
    const ok = await s.do('publish', { exchange: 'amq.direct', key: 'nokey', body: 'b', properties, mandatory: true });
    expect(ok).toEqual({ routed: 0 });
    expect(s.returns).toEqual([
      { event: 'return', handle: 0, seq: id, code: 312, reason: 'NO_ROUTE', exchange: 'amq.direct', key: 'nokey', properties, body: 'b' },
    ]);
  });

  test('an unroutable message without mandatory is confirmed and forgotten', async ({ broker }) => {
    const s = await broker.connect();
    expect(await s.publish('amq.direct', 'nokey')).toBe(0);
    expect(s.events).toEqual([]);
  });

  test('a routed mandatory message does not come back', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    expect(await s.publish('', 'q', 'm', {}, true)).toBe(1);
    expect(s.events).toEqual([]);
  });

  test('a publish to a missing exchange is refused, and the connection lives on', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('publish', { exchange: 'nosuch', key: 'k', body: '' });
    expect([error.code, error.reason]).toEqual([404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'"]);
    await s.do('ping', {});
  });
});
