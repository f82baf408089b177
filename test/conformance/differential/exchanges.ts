// Situations: declaring and deleting exchanges, and all that is refused.

import type { FieldValue } from '../../../shared/amqp/table.ts';
import { type Play, situations, table } from './stage.ts';

type Declaration = { type?: string; durable?: boolean; autoDelete?: boolean; internal?: boolean; args?: Record<string, FieldValue> };

/** One exchange, declared and then declared otherwise. */
function redeclared(first: Declaration, second: Declaration): Play {
  return async (s) => {
    const ch = await s.channel();
    for (const { type = 'direct', args = {}, ...fields } of [first, { ...first, ...second }]) {
      if (ch.isOpen) await ch.call('exchange.declare', { exchange: s.name('e'), type, arguments: table(args), ...fields });
    }
  };
}

/** An exchange of a fixed name, declared. */
function declared(exchange: string, { type = 'direct', args = {}, ...fields }: Declaration = {}): Play {
  return (s) => s.probe('exchange.declare', { exchange, type, arguments: table(args), ...fields });
}

export const exchanges = situations({
  'each type of exchange': async (s) => {
    const ch = await s.channel();
    for (const type of ['direct', 'fanout', 'topic', 'headers']) await ch.exchange(s.name(type), type);
  },
  'an exchange that is declared again alike': redeclared({ durable: true }, {}),
  'an exchange of another type': redeclared({ type: 'direct' }, { type: 'fanout' }),
  'an exchange that is not durable': redeclared({ durable: true }, { durable: false }),
  'an exchange that is durable': redeclared({ durable: false }, { durable: true }),
  'an exchange that is auto-delete': redeclared({}, { autoDelete: true }),
  'an exchange that is internal': redeclared({}, { internal: true }),
  'an exchange that differs in all': redeclared({}, { type: 'topic', durable: true, autoDelete: true, internal: true }),
  'an exchange with another alternate exchange': redeclared(
    { args: { 'alternate-exchange': 'a' } },
    { args: { 'alternate-exchange': 'b' } },
  ),
  'an exchange that got an alternate exchange': redeclared({}, { args: { 'alternate-exchange': 'a' } }),
  'an exchange that lost its alternate exchange': redeclared({ args: { 'alternate-exchange': 'a' } }, { args: {} }),
  'an exchange with other arguments that nobody knows': redeclared({ args: { 'x-mine': 1 } }, { args: { 'x-yours': 2 } }),
  'an alternate exchange that is no string': redeclared({ args: { 'alternate-exchange': 1 } }, {}),

  'an unknown exchange type': declared('e', { type: 'nosuch' }),
  'an empty exchange type': declared('e', { type: '' }),
  'an exchange type in capitals': declared('e', { type: 'DIRECT' }),
  'an exchange whose name is reserved': declared('amq.foo'),
  'an exchange whose name only begins like a reserved one': async (s) => {
    await s.probe('exchange.declare', { exchange: s.name('amqp'), type: 'direct', autoDelete: true });
    await s.probe('exchange.declare', { exchange: `amqfoo.${s.name('e')}`, type: 'direct', autoDelete: true });
  },
  'a predeclared exchange, declared as it is': declared('amq.direct', { durable: true }),
  'a predeclared exchange, declared otherwise': declared('amq.direct', { type: 'fanout', durable: true }),
  'a predeclared exchange, declared not durable': declared('amq.topic', { type: 'topic' }),
  'the default exchange, declared': declared('', { durable: true }),
  'the default exchange, declared passively': async (s) => {
    await s.probe('exchange.declare', { exchange: '', type: 'direct', passive: true });
  },
  'the predeclared exchanges': async (s) => {
    for (const name of ['direct', 'fanout', 'topic', 'headers', 'match', 'rabbitmq.trace']) {
      await s.probe('exchange.declare', { exchange: `amq.${name}`, type: 'x', passive: true });
    }
  },
  'the types of the predeclared exchanges': async (s) => {
    const types = { direct: 'direct', fanout: 'fanout', topic: 'topic', headers: 'headers', match: 'headers' };
    for (const [name, type] of Object.entries(types)) await s.probe('exchange.declare', { exchange: `amq.${name}`, type, durable: true });
    await s.probe('exchange.declare', { exchange: 'amq.rabbitmq.trace', type: 'topic', durable: true, internal: true });
  },
  'a passive declare of a missing exchange': async (s) => {
    await s.probe('exchange.declare', { exchange: s.name('nosuch'), type: 'direct', passive: true });
  },
  'a passive declare looks at nothing but the name': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'fanout', {}, { durable: true });
    await ch.call('exchange.declare', { exchange: s.name('e'), type: 'nosuch', passive: true, autoDelete: true, internal: true });
  },
  'an exchange with a name of 255 octets': async (s) => {
    const ch = await s.channel();
    const name = s.name('x').padEnd(255, 'x');
    await ch.exchange(name, 'direct', {}, { autoDelete: true });
    await ch.call('exchange.delete', { exchange: name });
  },
  'an exchange with a name beyond ASCII': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('börse €'), 'fanout');
    await ch.exchange(s.name('börse €'), 'direct');
  },
  'an exchange whose name has a line end': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('two\r\nlines'), 'fanout');
    if (ch.isOpen) await ch.call('exchange.declare', { exchange: s.name('twolines'), passive: true });
  },

  'deleting a missing exchange': async (s) => s.probe('exchange.delete', { exchange: s.name('nosuch') }),
  'deleting a missing exchange only if it is unused': async (s) =>
    s.probe('exchange.delete', { exchange: s.name('nosuch'), ifUnused: true }),
  'deleting a predeclared exchange': async (s) => s.probe('exchange.delete', { exchange: 'amq.direct' }),
  'deleting a missing exchange whose name is reserved': async (s) => s.probe('exchange.delete', { exchange: 'amq.nosuch' }),
  'deleting the default exchange': async (s) => s.probe('exchange.delete', { exchange: '' }),
  'deleting an exchange that is in use, only if it is unused': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'fanout');
    await ch.declare(s.name('q'));
    await ch.bind(s.name('q'), s.name('e'));
    await ch.call('exchange.delete', { exchange: s.name('e'), ifUnused: true });
    await s.probe('exchange.delete', { exchange: s.name('e') });
    await s.probe('exchange.declare', { exchange: s.name('e'), passive: true });
  },
  'deleting an exchange that is only a destination, only if it is unused': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('source'), 'fanout');
    await ch.exchange(s.name('e'), 'fanout');
    await ch.call('exchange.bind', { destination: s.name('e'), source: s.name('source') });
    await ch.call('exchange.delete', { exchange: s.name('e'), ifUnused: true });
    await ch.call('exchange.delete', { exchange: s.name('source'), ifUnused: true });
  },
  'deleting an exchange takes its bindings with it': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'fanout');
    await ch.declare(s.name('q'));
    await ch.bind(s.name('q'), s.name('e'));
    await ch.call('exchange.delete', { exchange: s.name('e') });
    await ch.exchange(s.name('e'), 'fanout');
    ch.publish({ exchange: s.name('e'), mandatory: true, body: 'x' });
    await ch.next();
  },

  'an auto-delete exchange goes with its last binding': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'direct', {}, { autoDelete: true });
    await ch.declare(s.name('q'));
    await ch.call('exchange.declare', { exchange: s.name('e'), passive: true });
    await ch.bind(s.name('q'), s.name('e'), '1');
    await ch.bind(s.name('q'), s.name('e'), '2');
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: '1' });
    await ch.call('exchange.declare', { exchange: s.name('e'), passive: true });
    await ch.call('queue.unbind', { queue: s.name('q'), exchange: s.name('e'), routingKey: '2' });
    await ch.call('exchange.declare', { exchange: s.name('e'), passive: true });
  },
  'an auto-delete exchange goes with its last queue': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'fanout', {}, { autoDelete: true });
    await ch.declare(s.name('q'));
    await ch.bind(s.name('q'), s.name('e'));
    await ch.call('queue.delete', { queue: s.name('q') });
    await ch.call('exchange.declare', { exchange: s.name('e'), passive: true });
  },
  'an auto-delete exchange goes with the exchange it fed, and so on': async (s) => {
    const ch = await s.channel();
    for (const name of ['a', 'b', 'c']) await ch.exchange(s.name(name), 'fanout', {}, { autoDelete: true });
    await ch.call('exchange.bind', { destination: s.name('b'), source: s.name('a') });
    await ch.call('exchange.bind', { destination: s.name('c'), source: s.name('b') });
    await ch.call('exchange.delete', { exchange: s.name('c') });
    for (const name of ['a', 'b', 'c']) await s.probe('exchange.declare', { exchange: s.name(name), passive: true });
  },
  'an auto-delete exchange stays when it is no destination any more': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('source'), 'fanout');
    await ch.exchange(s.name('e'), 'fanout', {}, { autoDelete: true });
    await ch.call('exchange.bind', { destination: s.name('e'), source: s.name('source') });
    await ch.call('exchange.unbind', { destination: s.name('e'), source: s.name('source') });
    await ch.call('exchange.declare', { exchange: s.name('e'), passive: true });
  },
});
