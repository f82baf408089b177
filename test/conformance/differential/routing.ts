// Situations: which queues a message reaches, by each type of exchange, CC and BCC, and alternate exchanges.

import { type FieldTable, type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import type { PublishOptions } from '../../support/amqp-client.ts';
import { isMethod } from '../../support/amqp-client.ts';
import { type Channel, type Play, type Stage, situations, table } from './stage.ts';

/** An exchange 'e', and a queue of its own for each binding. */
async function bound(
  s: Stage,
  type: string,
  bindings: Readonly<Record<string, [key: string, args?: Record<string, FieldValue>]>>,
): Promise<Channel> {
  const ch = await s.channel();
  await ch.exchange(s.name('e'), type);
  for (const [queue, [key, args]] of Object.entries(bindings)) {
    await ch.declare(s.name(queue), {}, { exclusive: true });
    await ch.bind(s.name(queue), s.name('e'), key, args);
  }
  return ch;
}

/** Notes which queues got each message. Their answers are not written down. */
async function reached(
  s: Stage,
  ch: Channel,
  queues: readonly string[],
  messages: Readonly<Record<string, PublishOptions>>,
): Promise<void> {
  for (const [name, message] of Object.entries(messages)) {
    ch.publish({ exchange: s.name('e'), ...message });
    const found: string[] = [];
    for (const queue of queues) {
      ch.lane.hidden.add('queue.purge-ok');
      const item = await ch.call('queue.purge', { queue: s.name(queue) });
      if (!isMethod(item, 'queue.purge-ok')) return;
      const count = item.method.fields.messageCount;
      if (count > 0) found.push(count === 1 ? queue : `${queue} x${count}`);
    }
    s.note(`${name}: ${found.join(', ') || 'nowhere'}`);
  }
}

function keys(type: string, bindingKeys: readonly string[], routingKeys: readonly string[]): Play {
  return async (s) => {
    const queues = new Map(bindingKeys.map((key): [string, [string]] => [`[${key.slice(0, 20)}]`, [key]]));
    const ch = await bound(s, type, Object.fromEntries(queues));
    const messages = Object.fromEntries(routingKeys.map((routingKey) => [`'${routingKey}'`, { routingKey }]));
    await reached(s, ch, [...queues.keys()], messages);
  };
}

/** Headers of messages against arguments of bindings. */
function headers(
  bindings: Readonly<Record<string, Record<string, FieldValue>>>,
  messages: Readonly<Record<string, FieldTable | undefined>>,
): Play {
  return async (s) => {
    const ch = await bound(s, 'headers', Object.fromEntries(Object.entries(bindings).map(([name, args]) => [name, ['', args]])));
    const published = Object.entries(messages).map(([name, value]) => [name, { properties: { headers: value } }] as const);
    await reached(s, ch, Object.keys(bindings), Object.fromEntries(published));
  };
}

/** Queues a, b, c bound by their names, and messages with these headers. */
function copies(exchange: 'e' | '', ...messages: readonly FieldTable[]): Play {
  return async (s) => {
    const ch = await bound(s, 'direct', { a: [s.name('a')], b: [s.name('b')], c: [s.name('c')] });
    for (const value of messages) {
      const named = new Map(
        [...value].map(([key, list]) => [
          key,
          Array.isArray(list) ? list.map((each) => (typeof each === 'string' ? s.name(each) : each)) : list,
        ]),
      );
      ch.publish({ exchange: exchange === '' ? '' : s.name('e'), routingKey: s.name('a'), properties: { headers: named }, body: 'm' });
      await ch.fence();
      if (!ch.isOpen) return;
    }
    for (const queue of ['a', 'b', 'c']) await ch.drain(s.name(queue));
  };
}

const int = (type: Typed['type'], value: number): Typed => new Typed(type, value);

export const routing = situations({
  'direct: keys are compared octet by octet': keys(
    'direct',
    ['a', 'A', 'a.b', '', 'ä', '#', '*'],
    ['a', 'A', 'a.b', '', 'ä', 'a ', '#', 'b'],
  ),
  'fanout: keys do not matter': keys('fanout', ['a', 'b'], ['a', 'c', '']),
  'topic: a star is one word': keys(
    'topic',
    ['*', 'a.*', '*.b', 'a.*.c', '*.*'],
    ['', 'a', 'a.b', 'a.b.c', 'b', 'c.b', '.', 'a.', '.b', 'a..c'],
  ),
  'topic: a hash is any number of words': keys(
    'topic',
    ['#', 'a.#', '#.b', 'a.#.c', '#.#', '#.*', '*.#', '#.a.#', '#.*.#.*'],
    ['', 'a', 'b', 'a.b', 'a.c', 'a.b.c', 'a.x.y.c', '.', '..', 'x.a.y', 'a.'],
  ),
  'topic: words that only look like wildcards': keys(
    'topic',
    ['a*', '#a', 'a.b#', '**', '##'],
    ['a*', 'ax', '#a', 'a', 'a.b', 'a.b#', '**', '##', 'x'],
  ),
  'topic: empty words': keys('topic', ['', '.', 'a.', '.a', 'a..b', '..'], ['', '.', 'a.', '.a', 'a..b', '..', 'a.b']),
  'topic: many hashes': keys('topic', ['#.a.#.b.#.c.#', '#.#.#.#'], ['a.b.c', 'x.a.x.b.x.c.x', 'c.b.a', 'a.a.b.b.c.c', 'a.b']),
  'topic: a long key': keys('topic', [`${'a.'.repeat(126)}a`, '#.z'], [`${'a.'.repeat(126)}a`, `${'a.'.repeat(126)}z`]),

  'headers: all, any, and neither': headers(
    {
      all: { 'x-match': 'all', a: 1, b: 'x' },
      any: { 'x-match': 'any', a: 1, b: 'x' },
      default: { a: 1, b: 'x' },
      'all of none': { 'x-match': 'all' },
      'any of none': { 'x-match': 'any' },
      'no arguments': {},
    },
    {
      both: table({ a: 1, b: 'x' }),
      'both and more': table({ a: 1, b: 'x', c: true }),
      one: table({ a: 1 }),
      'the other': table({ b: 'x' }),
      'another value': table({ a: 2, b: 'x' }),
      'nothing alike': table({ c: 1 }),
      'an empty table': table({}),
      'no table': undefined,
    },
  ),
  'headers: arguments that begin with x-': headers(
    {
      all: { 'x-match': 'all', 'x-a': 1, b: 1 },
      any: { 'x-match': 'any', 'x-a': 1, b: 1 },
      'all-with-x': { 'x-match': 'all-with-x', 'x-a': 1, b: 1 },
      'any-with-x': { 'x-match': 'any-with-x', 'x-a': 1, b: 1 },
      'all only x': { 'x-match': 'all', 'x-a': 1 },
      'any only x': { 'x-match': 'any', 'x-a': 1 },
    },
    { both: table({ 'x-a': 1, b: 1 }), x: table({ 'x-a': 1 }), b: table({ b: 1 }), neither: table({ c: 1 }) },
  ),
  'headers: a void argument asks for presence': headers(
    { void: { a: null }, 'void and value': { a: null, b: 1 }, 'any void': { 'x-match': 'any', a: null, b: 1 } },
    {
      'a string': table({ a: 's' }),
      'a number': table({ a: 7 }),
      'a void': table({ a: null }),
      both: table({ a: 1, b: 1 }),
      b: table({ b: 1 }),
    },
  ),
  'headers: a void header against a value': headers({ one: { a: 1 }, empty: { a: '' } }, { void: table({ a: null }) }),
  'headers: numbers of other widths': headers(
    {
      int: { a: 5 },
      long: { a: int('l', 5) },
      short: { a: int('s', 5) },
      byte: { a: int('b', 5) },
      unsigned: { a: int('i', 5) },
      double: { a: int('d', 5) },
      float: { a: int('f', 5) },
    },
    {
      int: table({ a: 5 }),
      long: table({ a: int('l', 5) }),
      byte: table({ a: int('b', 5) }),
      'unsigned byte': table({ a: int('B', 5) }),
      short: table({ a: int('s', 5) }),
      double: table({ a: int('d', 5) }),
      float: table({ a: int('f', 5) }),
      timestamp: table({ a: int('T', 5) }),
      string: table({ a: '5' }),
    },
  ),
  'headers: values of other types': headers(
    {
      string: { a: 'x' },
      bytes: { a: new Typed('x', Buffer.from('x')) },
      true: { a: true },
      list: { a: [1, 'x'] },
      table: { a: table({ b: 1 }) },
      timestamp: { a: int('T', 9) },
      double: { a: 1.5 },
    },
    {
      string: table({ a: 'x' }),
      bytes: table({ a: new Typed('x', Buffer.from('x')) }),
      true: table({ a: true }),
      false: table({ a: false }),
      list: table({ a: [1, 'x'] }),
      'another list': table({ a: ['x', 1] }),
      table: table({ a: table({ b: 1 }) }),
      timestamp: table({ a: int('T', 9) }),
      double: table({ a: 1.5 }),
      float: table({ a: new Typed('f', 1.5) }),
    },
  ),
  'headers: keys do not matter': async (s) => {
    const ch = await bound(s, 'headers', { one: ['k', { a: 1 }], other: ['j', { a: 1 }] });
    await reached(s, ch, ['one', 'other'], { k: { routingKey: 'k', properties: { headers: table({ a: 1 }) } } });
  },

  'CC: more keys': copies('e', table({ CC: ['b'] }), table({ CC: ['b', 'c'] })),
  'CC: the same key twice is one copy': copies('e', table({ CC: ['a', 'b', 'b'] })),
  'CC: by the default exchange': copies('', table({ CC: ['b', 'nosuch'] })),
  'BCC: goes, and nobody sees it': copies('e', table({ BCC: ['b'] }), table({ CC: ['c'], BCC: ['b'], more: 1 })),
  'CC: an empty list': copies('e', table({ CC: [], BCC: [] })),
  'CC: no list': copies('e', table({ CC: 'b' })),
  'BCC: no list': copies('e', table({ BCC: 5 })),
  'CC: a list with a number': copies('e', table({ CC: [1, 'b'] })),
  'cc in small letters is a header like any other': copies('e', table({ cc: ['b'] })),

  'an alternate exchange gets what matched nothing': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('ae'), 'fanout');
    await ch.exchange(s.name('e'), 'direct', { 'alternate-exchange': s.name('ae') });
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.declare(s.name('rest'), {}, { exclusive: true });
    await ch.bind(s.name('q'), s.name('e'), 'k');
    await ch.bind(s.name('rest'), s.name('ae'));
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'matched', mandatory: true });
    ch.publish({ exchange: s.name('e'), routingKey: 'x', body: 'the rest', mandatory: true });
    await ch.drain(s.name('q'));
    await ch.drain(s.name('rest'));
  },
  'alternate exchanges in a chain, and in a circle': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('a'), 'direct', { 'alternate-exchange': s.name('b') });
    await ch.exchange(s.name('b'), 'direct', { 'alternate-exchange': s.name('c') });
    await ch.exchange(s.name('c'), 'direct', { 'alternate-exchange': s.name('a') });
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.bind(s.name('q'), s.name('c'), 'k');
    ch.publish({ exchange: s.name('a'), routingKey: 'k', body: 'found', mandatory: true });
    await ch.drain(s.name('q'));
    ch.publish({ exchange: s.name('a'), routingKey: 'x', body: 'never', mandatory: true });
    await ch.next();
  },
  'a missing alternate exchange': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'direct', { 'alternate-exchange': s.name('nosuch') });
    ch.publish({ exchange: s.name('e'), routingKey: 'x', body: 'returned', mandatory: true });
    await ch.next();
  },
  'the default exchange as an alternate exchange': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'direct', { 'alternate-exchange': '' });
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ exchange: s.name('e'), routingKey: s.name('q'), body: 'by name', mandatory: true });
    await ch.drain(s.name('q'));
  },
  'an alternate exchange is used per exchange, not per message': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('ae'), 'fanout');
    await ch.exchange(s.name('inner'), 'direct', { 'alternate-exchange': s.name('ae') });
    await ch.exchange(s.name('e'), 'fanout');
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.declare(s.name('rest'), {}, { exclusive: true });
    await ch.bind(s.name('q'), s.name('e'));
    await ch.bind(s.name('rest'), s.name('ae'));
    await ch.call('exchange.bind', { destination: s.name('inner'), source: s.name('e') });
    ch.publish({ exchange: s.name('e'), routingKey: 'x', body: 'm' });
    await ch.drain(s.name('q'));
    await ch.drain(s.name('rest'));
  },
});
