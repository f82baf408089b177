// The router against a plain breadth-first search over random graphs, and the rules of single routes.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Queue } from '../../../server/broker/queue.ts';
import { hasExtraKeys, Route, Router } from '../../../server/broker/router.ts';
import type { Vhost } from '../../../server/broker/vhost.ts';
import type { Notice } from '../../../server/ports.ts';
import { type FieldTable, type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import {
  bindingArguments,
  contentOf,
  type ExchangeType,
  fakeQueue,
  headerTables,
  references,
  table,
  testVhost,
} from '../../support/routing.ts';

const owner = {};
const types = ['direct', 'topic', 'fanout', 'headers'] as const;

interface Graph {
  readonly exchanges: readonly { readonly type: ExchangeType; readonly alternate: number | undefined }[];
  readonly bindings: readonly { readonly from: number; readonly to: number; readonly key: string; readonly args: FieldTable }[];
}

const EXCHANGES = 5;
const QUEUES = 4;
const TAPS = 2;
const keys = fc.constantFrom('a', 'b', 'a.b', '#', 'a.*', 'q0', 'q1', '');

// Destinations by number: exchanges first, then queues, then taps. Alternates may name an exchange that does not exist.
const graphs: fc.Arbitrary<Graph> = fc.record({
  exchanges: fc.array(
    fc.record({
      type: fc.constantFrom(...types),
      alternate: fc.option(fc.nat(EXCHANGES), { nil: undefined }),
    }),
    { minLength: EXCHANGES, maxLength: EXCHANGES },
  ),
  bindings: fc.array(
    fc.record({ from: fc.nat(EXCHANGES - 1), to: fc.nat(EXCHANGES + QUEUES + TAPS - 1), key: keys, args: bindingArguments }),
    { maxLength: 25 },
  ),
});
const copies = fc.option(fc.array(keys, { maxLength: 3 }), { nil: undefined });
const messages = fc.record({ to: fc.nat(EXCHANGES), key: keys, cc: copies, bcc: copies, headers: headerTables });

const nameOf = (exchange: number): string => (exchange === EXCHANGES ? '' : `x${exchange}`);

function build(graph: Graph): Vhost {
  const { vhost } = testVhost();
  const flags = { durable: false, autoDelete: false, internal: false, passive: false };
  for (const [i, { type, alternate }] of graph.exchanges.entries()) {
    const args =
      alternate === undefined ? table() : table({ 'alternate-exchange': alternate === EXCHANGES ? 'missing' : nameOf(alternate) });
    vhost.declareExchange({ ...flags, exchange: nameOf(i), type, arguments: args });
  }
  for (let i = 0; i < QUEUES; i++) {
    vhost.declareQueue({ queue: `q${i}`, durable: false, exclusive: false, autoDelete: false, passive: false, arguments: table() }, owner);
  }
  const taps = Array.from({ length: TAPS }, (_, i) => fakeQueue(`tap${i}`, { isTap: true }));
  for (const { from, to, key, args } of graph.bindings) {
    const tap = taps[to - EXCHANGES - QUEUES];
    if (to < EXCHANGES) vhost.bindExchange(nameOf(to), nameOf(from), key, args);
    else if (tap === undefined) vhost.bindQueue(`q${to - EXCHANGES}`, nameOf(from), key, args, owner);
    else vhost.bindTap(tap, nameOf(from), key, args);
  }
  return vhost;
}

/** Names of the queues a message reaches, breadth first, as the rules say it. */
function expectedQueues(graph: Graph, to: number, sentKeys: readonly string[], headers: FieldTable): Set<string> {
  const queues = new Set<string>();
  if (to === EXCHANGES) return new Set(sentKeys.filter((key) => /^q[0-3]$/.test(key)));
  const seen = new Set([to]);
  for (const at of seen) {
    const exchange = graph.exchanges[at];
    if (exchange === undefined) continue;
    const matched = graph.bindings.filter(
      ({ from, key, args }) => from === at && sentKeys.some((sent) => references[exchange.type](key, args, sent, headers)),
    );
    for (const { to: next } of matched) {
      if (next < EXCHANGES) seen.add(next);
      else queues.add(next < EXCHANGES + QUEUES ? `q${next - EXCHANGES}` : `tap${next - EXCHANGES - QUEUES}`);
    }
    const isEmpty = matched.every(({ to: next }) => next >= EXCHANGES + QUEUES);
    if (isEmpty && exchange.alternate !== undefined) seen.add(exchange.alternate);
  }
  return queues;
}

const silent = { notice: (): undefined => undefined };
const namesOf = (route: Route): string[] => route.queues.map((queue: Queue) => queue.name).sort();

describe('router', () => {
  test('reaches exactly what a plain search reaches, through cycles, alternates, CC and BCC, each queue once', () => {
    const router = new Router(silent);
    const route = new Route();
    fc.assert(
      fc.property(graphs, fc.array(messages, { minLength: 1, maxLength: 5 }), (graph, sent) => {
        const vhost = build(graph);
        for (const { to, key, cc, bcc, headers: drawn } of sent) {
          const headers: FieldTable = new Map<string, FieldValue>(drawn);
          if (cc !== undefined) headers.set('CC', cc);
          if (bcc !== undefined) headers.set('BCC', bcc);
          const content = contentOf(key, headers);
          router.route(vhost, vhost.exchangeToPublish(nameOf(to)), key, content, route);
          const queues = expectedQueues(graph, to, [key, ...(cc ?? []), ...(bcc ?? [])], headers);
          expect(namesOf(route)).toEqual([...queues].sort());
          expect(route.routedCount).toBe([...queues].filter((name) => !name.startsWith('tap')).length);
          expect(route.version).toBe(vhost.version);
          expect(hasExtraKeys(content)).toBe(cc !== undefined || bcc !== undefined);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('a cacheable route holds for every message with the same exchange and key and no extra keys', () => {
    const router = new Router(silent);
    fc.assert(
      fc.property(graphs, messages, headerTables, (graph, { to, key, headers }, others) => {
        const vhost = build(graph);
        const exchange = vhost.exchangeToPublish(nameOf(to));
        const first = new Route();
        router.route(vhost, exchange, key, contentOf(key, headers), first);
        if (!first.cacheable) return;
        const second = new Route();
        router.route(vhost, exchange, key, contentOf(key, others), second);
        expect(namesOf(second)).toEqual(namesOf(first));
      }),
      { numRuns: 400 },
    );
  });
});

describe('a route', () => {
  const flags = { durable: false, autoDelete: false, internal: false, passive: false, arguments: table() };
  const queueFlags = { durable: false, exclusive: false, autoDelete: false, passive: false, arguments: table() };

  function setUp(): { vhost: Vhost; notices: Notice[]; send: (exchange: string, key: string, headers?: FieldTable) => Route } {
    const { vhost } = testVhost();
    const notices: Notice[] = [];
    const router = new Router({ notice: (notice) => void notices.push(notice) });
    const send = (exchange: string, key: string, headers?: FieldTable): Route => {
      const route = new Route();
      router.route(vhost, vhost.exchangeToPublish(exchange), key, contentOf(key, headers), route);
      return route;
    };
    return { vhost, notices, send };
  }

  test('through the default exchange leads to the queue of that name, as soon as it is declared', () => {
    const { vhost, send } = setUp();
    const before = send('', 'q');
    expect(namesOf(before)).toEqual([]);
    vhost.declareQueue({ ...queueFlags, queue: 'q' }, owner);
    expect(before.version).not.toBe(vhost.version);
    expect(namesOf(send('', 'q'))).toEqual(['q']);
  });

  test('a tap on the default exchange sees what goes to queues whose names its pattern matches, and is no route', () => {
    const { vhost, send } = setUp();
    vhost.declareQueue({ ...queueFlags, queue: 'orders.eu' }, owner);
    const tap = fakeQueue('tap', { isTap: true });
    vhost.bindTap(tap, '', 'orders.*', table());
    const route = send('', 'orders.eu');
    expect([namesOf(route), route.routedCount]).toEqual([['orders.eu', 'tap'], 1]);
    expect([namesOf(send('', 'orders.us')), send('', 'orders.us').routedCount]).toEqual([['tap'], 0]);
    vhost.unbindTap(tap);
    expect(namesOf(send('', 'orders.eu'))).toEqual(['orders.eu']);
  });

  test('is not cacheable when headers decided: a headers exchange on the way, CC or BCC', () => {
    const { vhost, send } = setUp();
    vhost.bindExchange('amq.headers', 'amq.direct', 'h', table());
    expect(send('amq.topic', 'h').cacheable).toBe(true);
    expect(send('amq.topic', 'h', table({ a: 1 })).cacheable).toBe(true);
    expect(send('amq.topic', 'h', table({ CC: [] })).cacheable).toBe(false);
    expect(send('amq.topic', 'h', table({ BCC: ['x'] })).cacheable).toBe(false);
    expect(send('amq.headers', 'h').cacheable).toBe(false);
    expect(send('amq.direct', 'h').cacheable).toBe(false);
    expect(send('amq.direct', 'other').cacheable).toBe(true);
  });

  test.each<[string, FieldValue, string]>([
    ['CC', 'q', 'longstr'],
    ['BCC', 1, 'signedint'],
    ['CC', null, 'void'],
    ['BCC', new Typed('x', new Uint8Array(1)), 'binary'],
  ])('with a %s header that is no array is refused', (header, value, type) => {
    const { send } = setUp();
    expect(() => send('', 'q', table({ [header]: value }))).toThrow(
      `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"${header}",${type}}`,
    );
  });

  test('takes only strings in CC as keys', () => {
    const { vhost, send } = setUp();
    vhost.declareQueue({ ...queueFlags, queue: '1' }, owner);
    expect(namesOf(send('', 'none', table({ CC: [1, null, ['1']] })))).toEqual([]);
    expect(namesOf(send('', 'none', table({ CC: ['1', '1'] })))).toEqual(['1']);
  });

  test('reports a missing alternate exchange once, and again only after the topology changed', () => {
    const { vhost, notices, send } = setUp();
    vhost.declareExchange({ ...flags, exchange: 'x', type: 'direct', arguments: table({ 'alternate-exchange': 'gone' }) });
    send('x', 'a');
    send('x', 'b');
    expect(notices.map(({ kind, fields }) => [kind, fields])).toEqual([
      ['alternate.missing', { vhost: '/', exchange: 'x', alternate: 'gone' }],
    ]);
    vhost.declareQueue({ ...queueFlags, queue: 'q' }, owner);
    send('x', 'a');
    expect(notices).toHaveLength(2);
    vhost.declareExchange({ ...flags, exchange: 'gone', type: 'fanout' });
    vhost.bindQueue('q', 'gone', '', table(), owner);
    expect(namesOf(send('x', 'a'))).toEqual(['q']);
    expect(notices).toHaveLength(2);
  });

  test('made narrow again forgets the queues of a wide one', () => {
    const { vhost } = testVhost();
    const router = new Router(silent);
    for (let i = 0; i < 100; i++) {
      vhost.declareQueue({ ...queueFlags, queue: `q${i}` }, owner);
      vhost.bindQueue(`q${i}`, 'amq.fanout', '', table(), owner);
    }
    const route = new Route();
    router.route(vhost, vhost.exchangeToPublish('amq.fanout'), '', contentOf(''), route);
    expect([route.queues.length, route.routedCount]).toEqual([100, 100]);
    router.route(vhost, vhost.defaultExchange, 'q7', contentOf('q7'), route);
    expect([namesOf(route), route.routedCount]).toEqual([['q7'], 1]);
  });
});
