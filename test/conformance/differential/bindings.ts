// Situations: binding and unbinding, of queues and of exchanges, and what is refused there.

import type { FieldValue } from '../../../shared/amqp/table.ts';
import { type Channel, type Play, type Stage, situations, table } from './stage.ts';

/** A queue 'q' and a direct exchange 'e' with a channel to use them. */
async function pair(s: Stage, type = 'direct'): Promise<Channel> {
  const ch = await s.channel();
  await ch.declare(s.name('q'), {}, { exclusive: true });
  await ch.exchange(s.name('e'), type);
  return ch;
}

function headersBinding(args: Record<string, FieldValue>): Play {
  return async (s) => {
    const ch = await pair(s, 'headers');
    await ch.bind(s.name('q'), s.name('e'), '', args);
  };
}

export const bindings = situations({
  'binding a missing queue': async (s) => s.probe('queue.bind', { queue: s.name('nosuch'), exchange: 'amq.direct', routingKey: 'k' }),
  'binding to a missing exchange': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), s.name('nosuch'));
  },
  'binding a missing queue to a missing exchange': async (s) => {
    await s.probe('queue.bind', { queue: s.name('nosuch'), exchange: s.name('nosuch'), routingKey: 'k' });
  },
  'binding to the default exchange': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), '', 'k');
  },
  'binding a missing queue to the default exchange': async (s) => s.probe('queue.bind', { queue: s.name('nosuch'), exchange: '' }),
  'unbinding from the default exchange': async (s) => {
    const ch = await pair(s);
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: '', routingKey: s.name('q') });
  },
  'unbinding what was never bound': async (s) => {
    const ch = await pair(s);
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: 'never' });
  },
  'unbinding a missing queue': async (s) => s.probe('queue.unbind', { queue: s.name('nosuch'), exchange: 'amq.direct', routingKey: 'k' }),
  'unbinding from a missing exchange': async (s) => {
    const ch = await pair(s);
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('nosuch'), routingKey: 'k' });
  },
  'a binding that is made twice is one': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), s.name('e'), 'k');
    await ch.bind(s.name('q'), s.name('e'), 'k');
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'once' });
    await ch.drain(s.name('q'));
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: 'k' });
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'never', mandatory: true });
    await ch.next();
  },
  'two bindings of one queue that both match deliver once': async (s) => {
    const ch = await pair(s, 'topic');
    await ch.bind(s.name('q'), s.name('e'), 'a.*');
    await ch.bind(s.name('q'), s.name('e'), 'a.b');
    await ch.bind(s.name('q'), s.name('e'), '#');
    ch.publish({ exchange: s.name('e'), routingKey: 'a.b', body: 'once' });
    await ch.drain(s.name('q'));
  },
  'a binding is known by its arguments too': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), s.name('e'), 'k', { a: 1 });
    await ch.bind(s.name('q'), s.name('e'), 'k', { a: 2 });
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: 'k' });
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'both are there' });
    await ch.drain(s.name('q'));
    for (const a of [1, 2])
      await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: 'k', arguments: table({ a }) });
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'none is there', mandatory: true });
    await ch.next();
  },
  'bindings go with their queue': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), s.name('e'), 'k');
    await ch.call('queue.delete', { queue: s.name('q') });
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'lost', mandatory: true });
    await ch.next();
  },
  'an exclusive queue of another connection cannot be bound': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), s.name('e'), 'k');
    await s.probe('queue.bind', { queue: s.name('q'), exchange: s.name('e'), routingKey: 'k' });
    await s.probe('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: 'k' });
  },

  'binding an exchange to a missing one': async (s) => {
    const ch = await pair(s);
    await ch.call('exchange.bind', { destination: s.name('e'), source: s.name('nosuch') });
  },
  'binding a missing exchange to one': async (s) => {
    const ch = await pair(s);
    await ch.call('exchange.bind', { destination: s.name('nosuch'), source: s.name('e') });
  },
  'binding an exchange from the default exchange': async (s) => {
    const ch = await pair(s);
    await ch.call('exchange.bind', { destination: s.name('e'), source: '' });
  },
  'binding the default exchange to one': async (s) => {
    const ch = await pair(s);
    await ch.call('exchange.bind', { destination: '', source: s.name('e') });
  },
  'unbinding exchanges that were never bound': async (s) => {
    const ch = await pair(s);
    await ch.call('exchange.unbind', { destination: s.name('e'), source: 'amq.fanout' });
  },
  'unbinding missing exchanges': async (s) => {
    await s.probe('exchange.unbind', { destination: s.name('nosuch'), source: 'amq.fanout' });
    await s.probe('exchange.unbind', { destination: 'amq.fanout', source: s.name('nosuch') });
    await s.probe('exchange.unbind', { destination: 'amq.fanout', source: '' });
  },
  'exchanges in a chain': async (s) => {
    const ch = await pair(s);
    await ch.exchange(s.name('first'), 'topic');
    await ch.call('exchange.bind', { destination: s.name('e'), source: s.name('first'), routingKey: '#.b' });
    await ch.bind(s.name('q'), s.name('e'), 'a.b');
    for (const routingKey of ['a.b', 'b', 'a']) ch.publish({ exchange: s.name('first'), routingKey, body: routingKey, mandatory: true });
    await ch.take(2);
    await ch.drain(s.name('q'));
  },
  'exchanges in a circle, and two ways to one queue, deliver once': async (s) => {
    const ch = await pair(s, 'fanout');
    await ch.exchange(s.name('f'), 'fanout');
    await ch.call('exchange.bind', { destination: s.name('f'), source: s.name('e') });
    await ch.call('exchange.bind', { destination: s.name('e'), source: s.name('f') });
    await ch.call('exchange.bind', { destination: s.name('e'), source: s.name('e') });
    await ch.bind(s.name('q'), s.name('e'));
    await ch.bind(s.name('q'), s.name('f'));
    ch.publish({ exchange: s.name('e'), body: 'once' });
    await ch.drain(s.name('q'));
  },
  'what came by an exchange behind another names the first': async (s) => {
    const ch = await pair(s);
    await ch.exchange(s.name('inner'), 'fanout', {}, { internal: true });
    await ch.call('exchange.bind', { destination: s.name('inner'), source: s.name('e'), routingKey: 'k' });
    await ch.bind(s.name('q'), s.name('inner'));
    ch.publish({ exchange: s.name('e'), routingKey: 'k', body: 'through' });
    await ch.get(s.name('q'));
  },

  'x-match with a value nobody knows': headersBinding({ 'x-match': 'bad', a: 1 }),
  'x-match that is no string': headersBinding({ 'x-match': 1, a: 1 }),
  'x-match of each known value': async (s) => {
    const ch = await pair(s, 'headers');
    for (const match of ['all', 'any', 'all-with-x', 'any-with-x']) await ch.bind(s.name('q'), s.name('e'), '', { 'x-match': match, a: 1 });
  },
  'x-match with a value nobody knows, on a direct exchange': async (s) => {
    const ch = await pair(s);
    await ch.bind(s.name('q'), s.name('e'), '', { 'x-match': 'bad' });
  },
  'unbinding with an x-match nobody knows': async (s) => {
    const ch = await pair(s, 'headers');
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), arguments: table({ 'x-match': 'bad' }) });
  },
});
