// Situations: declaring, deleting and purging queues, names, exclusive and auto-delete ones.

import type { MethodFields } from '../../../shared/amqp/methods.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import { isMethod } from '../../support/amqp-client.ts';
import { type Play, situations } from './stage.ts';

type Flags = Partial<Pick<MethodFields<'queue.declare'>, 'durable' | 'exclusive' | 'autoDelete'>>;

/** One queue, declared and then declared otherwise on the same connection. */
function redeclared(first: Flags, second: Flags): Play {
  return async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, first);
    await ch.declare(s.name('q'), {}, second);
  };
}

/** A method that names no queue, on a channel that has declared none. */
function nameless<Name extends MethodName>(name: Name, fields: Partial<MethodFields<Name>> = {}): Play {
  return (s) => s.probe(name, fields);
}

export const queues = situations({
  'a queue that is declared again alike': redeclared({ durable: true }, { durable: true }),
  'a queue that is durable': redeclared({}, { durable: true }),
  'a queue that is not durable': redeclared({ durable: true }, {}),
  'a queue that is auto-delete': redeclared({}, { autoDelete: true }),
  'a queue that is exclusive': redeclared({}, { exclusive: true }),
  'a queue that is not exclusive any more': redeclared({ exclusive: true }, {}),
  'an exclusive queue that is durable': redeclared({ exclusive: true, durable: true }, { exclusive: true, durable: true }),
  'an exclusive queue that was durable': redeclared({ exclusive: true, durable: true }, { exclusive: true }),
  'a queue that differs in all': redeclared({}, { durable: true, autoDelete: true, exclusive: true }),

  'a passive declare of a missing queue': async (s) => s.probe('queue.declare', { queue: s.name('nosuch'), passive: true }),
  'a passive declare of a missing queue whose name is reserved': async (s) =>
    s.probe('queue.declare', { queue: 'amq.nosuch', passive: true }),
  'a text that is longer than a short string is cut': async (s) => {
    await s.probe('queue.declare', { queue: s.name('x').padEnd(255, 'x'), passive: true });
    await s.probe('queue.declare', { queue: s.name('x').padEnd(226, 'x'), passive: true });
    await s.probe('queue.declare', { queue: s.name('ä').padEnd(130, 'ä'), passive: true });
  },
  'a passive declare looks at nothing but the name, and counts': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { durable: true });
    ch.put(s.name('q'), '1', '2', '3');
    await ch.consume(s.name('q'));
    await ch.take(3);
    ch.send('basic.cancel', { consumerTag: 'c' });
    await ch.next();
    ch.put(s.name('q'), '4');
    await ch.counts(s.name('q'), 1);
    await ch.call('queue.declare', { queue: s.name('q'), passive: true, exclusive: true, autoDelete: true });
  },
  'declare-ok counts ready messages and consumers': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    ch.put(s.name('q'), '1', '2', '3', '4', '5');
    await ch.get(s.name('q'), false);
    await ch.declare(s.name('q'));
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    await ch.consume(s.name('q'), { consumerTag: 'd' });
    await ch.take(2);
    await ch.declare(s.name('q'));
  },
  'a queue whose name is reserved': async (s) => s.probe('queue.declare', { queue: 'amq.foo' }),
  'a queue with the name of the reply queue': async (s) => s.probe('queue.declare', { queue: 'amq.rabbitmq.reply-to' }),
  'a queue with a name of 255 octets': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('x').padEnd(255, 'x'), {}, { exclusive: true });
    ch.put(s.name('x').padEnd(255, 'x'), 'x');
    await ch.get(s.name('x').padEnd(255, 'x'));
  },
  'a queue with a name beyond ASCII': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('kø €'), {}, { exclusive: true });
    ch.put(s.name('kø €'), 'x');
    await ch.get(s.name('kø €'));
    await ch.counts(s.name('kö €'));
  },
  'a queue whose name has a line end': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('two\nlines'));
    if (ch.isOpen) await ch.counts(s.name('twolines'));
  },

  'a queue that the server names': async (s) => {
    const ch = await s.channel();
    const first = await ch.declare('', {}, { exclusive: true });
    const second = await ch.declare('');
    if (!isMethod(first, 'queue.declare-ok') || !isMethod(second, 'queue.declare-ok')) return;
    s.note(`a name of its own: ${first.method.fields.queue !== second.method.fields.queue}`);
    await ch.call('queue.delete', { queue: second.method.fields.queue });
  },
  'an empty name is the queue that was declared last': async (s) => {
    const ch = await s.channel();
    await ch.declare('', {}, { exclusive: true });
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.call('queue.bind', { exchange: 'amq.direct', routingKey: s.name('k') });
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('k'), body: 'bound by k' });
    await ch.call('basic.get', { noAck: true });
    ch.put(s.name('q'), 'x');
    await ch.call('queue.purge');
    await ch.call('queue.unbind', { exchange: 'amq.direct', routingKey: s.name('k') });
    await ch.consume('', { noAck: true });
    ch.put(s.name('q'), 'consumed');
    await ch.next();
    await ch.call('basic.cancel', { consumerTag: 'c' });
    await ch.call('queue.delete');
    await ch.counts(s.name('q'));
  },
  'an empty name and an empty key bind by the name of the queue': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.call('queue.bind', { exchange: 'amq.direct' });
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('q'), body: 'by its name' });
    await ch.get(s.name('q'));
    await ch.call('queue.unbind', { exchange: 'amq.direct' });
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('q'), body: 'no more', mandatory: true });
    await ch.next();
  },
  'a name and an empty key bind by the empty key': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'direct');
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.bind(s.name('q'), s.name('e'));
    ch.publish({ exchange: s.name('e'), body: 'empty key' });
    ch.publish({ exchange: s.name('e'), routingKey: s.name('q'), body: 'by its name', mandatory: true });
    await ch.next();
    await ch.drain(s.name('q'));
  },
  'a passive declare and a redeclare are declared last too': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('a'), {}, { exclusive: true });
    await ch.declare(s.name('b'), {}, { exclusive: true });
    await ch.counts(s.name('a'));
    ch.put(s.name('a'), 'from a');
    await ch.call('basic.get', { noAck: true });
    await ch.declare(s.name('b'), {}, { exclusive: true });
    ch.put(s.name('b'), 'from b');
    await ch.call('basic.get', { noAck: true });
  },
  'a passive declare with an empty name is the last too': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.call('queue.declare', { passive: true });
  },
  'the queue that was declared last is gone': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.call('queue.delete', { queue: s.name('q') });
    await ch.call('basic.get');
  },
  'what a channel declared last, another does not know': async (s) => {
    const connection = await s.connect();
    await (await connection.channel()).declare(s.name('q'), {}, { exclusive: true });
    await (await connection.channel()).call('basic.get');
  },
  'no queue was declared: declare passively': nameless('queue.declare', { passive: true }),
  'no queue was declared: bind': nameless('queue.bind', { exchange: 'amq.direct', routingKey: 'k' }),
  'no queue was declared: unbind': nameless('queue.unbind', { exchange: 'amq.direct', routingKey: 'k' }),
  'no queue was declared: purge': nameless('queue.purge'),
  'no queue was declared: delete': nameless('queue.delete'),
  'no queue was declared: consume': nameless('basic.consume'),
  'no queue was declared: get': nameless('basic.get'),

  'an exclusive queue is refused to other connections': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    const queue = s.name('q');
    await s.probe('queue.declare', { queue });
    await s.probe('queue.declare', { queue, exclusive: true });
    await s.probe('queue.declare', { queue, passive: true });
    await s.probe('basic.consume', { queue });
    await s.probe('basic.get', { queue });
    await s.probe('queue.purge', { queue });
    await s.probe('queue.delete', { queue });
    await s.probe('queue.bind', { queue, exchange: 'amq.fanout' });
  },
  'an exclusive queue takes messages from other connections': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.consume(s.name('q'), { noAck: true });
    const other = await s.channel();
    other.put(s.name('q'), 'from outside');
    await ch.next();
  },
  'an exclusive queue serves all channels of its connection': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.close();
    await (await connection.channel()).counts(s.name('q'));
  },

  'an auto-delete queue goes with its last consumer': async (s) => {
    const connection = await s.connect();
    const [a, b] = [await connection.channel(), await connection.channel()];
    await a.declare(s.name('q'), {}, { autoDelete: true });
    await a.get(s.name('q'));
    await a.counts(s.name('q'), 0);
    await a.consume(s.name('q'));
    await b.consume(s.name('q'));
    await a.call('basic.cancel', { consumerTag: 'c' });
    await a.counts(s.name('q'), 0);
    await b.close();
    await s.gone(s.name('q'));
    await a.counts(s.name('q'));
  },
  'an auto-delete queue whose consumer is cancelled is gone at cancel-ok': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { autoDelete: true });
    await ch.consume(s.name('q'));
    ch.put(s.name('q'), 'goes too');
    await ch.next();
    await ch.call('basic.cancel', { consumerTag: 'c' });
    await ch.counts(s.name('q'));
  },
  'a queue whose time without use is over is gone': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-expires': 50, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('dead') });
    await ch.declare(s.name('dead'));
    ch.put(s.name('q'), 'is not dead-lettered');
    await s.gone(s.name('q'));
    await ch.counts(s.name('dead'), 0);
    await ch.counts(s.name('q'));
  },
  'a consumer keeps a queue from expiring': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('used'), { 'x-expires': 400 });
    await ch.consume(s.name('used'));
    // One that expires later than the other would have.
    await ch.declare(s.name('unused'), { 'x-expires': 1000 });
    await s.gone(s.name('unused'));
    await ch.counts(s.name('used'), 0);
    await ch.call('basic.cancel', { consumerTag: 'c' });
    await s.gone(s.name('used'));
  },

  'deleting a missing queue': async (s) => s.probe('queue.delete', { queue: s.name('nosuch') }),
  'deleting a missing queue only if it is empty and unused': async (s) => {
    await s.probe('queue.delete', { queue: s.name('nosuch'), ifEmpty: true, ifUnused: true });
  },
  'deleting a queue tells how many messages were ready': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    ch.put(s.name('q'), '1', '2', '3');
    await ch.get(s.name('q'), false);
    await ch.call('queue.delete', { queue: s.name('q') });
    // The message of an unacked delivery is gone with its queue; its tag is not.
    ch.send('basic.ack', { deliveryTag: 1 });
  },
  'deleting a queue that is not empty, only if it is empty': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    ch.put(s.name('q'), '1');
    await ch.call('queue.delete', { queue: s.name('q'), ifEmpty: true });
  },
  'deleting a queue of unacked messages only if it is empty': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    ch.put(s.name('q'), '1');
    await ch.get(s.name('q'), false);
    await ch.call('queue.delete', { queue: s.name('q'), ifEmpty: true });
  },
  'deleting a queue that has a consumer, only if it is unused': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    await ch.consume(s.name('q'));
    await ch.call('queue.delete', { queue: s.name('q'), ifUnused: true });
  },
  'deleting a queue that is in use and not empty, only if it is neither': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    ch.put(s.name('q'), '1', '2');
    await ch.next();
    await ch.call('queue.delete', { queue: s.name('q'), ifUnused: true, ifEmpty: true });
  },
  'a message published just before a conditional delete': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    ch.put(s.name('q'), 'counts');
    await ch.call('queue.delete', { queue: s.name('q'), ifEmpty: true });
  },
  'purging a missing queue': async (s) => s.probe('queue.purge', { queue: s.name('nosuch') }),
  'purging counts and drops what is ready': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('dead') });
    await ch.declare(s.name('dead'));
    ch.put(s.name('q'), '1', '2', '3', '4');
    await ch.get(s.name('q'), false);
    await ch.call('queue.purge', { queue: s.name('q') });
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    await ch.drain(s.name('q'));
    await ch.counts(s.name('dead'), 0);
  },
  'getting from a missing queue': async (s) => s.probe('basic.get', { queue: s.name('nosuch') }),
  'consuming from a missing queue': async (s) => s.probe('basic.consume', { queue: s.name('nosuch') }),
});
