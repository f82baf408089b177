// Situations: consumers: tags, exclusive ones, priorities, prefetch, cancelling from either side, single active consumers.

import { Typed } from '../../../shared/amqp/table.ts';
import { isMethod } from '../../support/amqp-client.ts';
import { type Channel, type Play, type Stage, situations, table } from './stage.ts';

/** A queue 'q' of one's own, on an open channel. */
async function queue(s: Stage): Promise<Channel> {
  const ch = await s.channel();
  await ch.declare(s.name('q'), {}, { exclusive: true });
  return ch;
}

/** consume with these arguments. */
function withArguments(args: Parameters<typeof table>[0]): Play {
  return async (s) => {
    const ch = await queue(s);
    await ch.consume(s.name('q'), { arguments: table(args) });
  };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i + 1}`);

export const consuming = situations({
  'a consumer gets what waits, then what comes': async (s) => {
    const ch = await queue(s);
    ch.put(s.name('q'), '1', '2');
    await ch.consume(s.name('q'));
    await ch.take(2);
    ch.put(s.name('q'), '3');
    await ch.next();
    await ch.counts(s.name('q'), 0);
  },
  'consume-ok comes before the first delivery': async (s) => {
    const ch = await queue(s);
    ch.put(s.name('q'), ...numbers(20));
    await ch.consume(s.name('q'), { noAck: true });
    await ch.take(20);
  },
  'a tag that the server makes': async (s) => {
    const ch = await queue(s);
    const first = await ch.consume(s.name('q'), { consumerTag: '' });
    const second = await ch.consume(s.name('q'), { consumerTag: '' });
    if (!isMethod(first, 'basic.consume-ok') || !isMethod(second, 'basic.consume-ok')) return;
    s.note(`a tag of its own: ${first.method.fields.consumerTag !== second.method.fields.consumerTag}`);
    ch.put(s.name('q'), '1');
    await ch.next();
    await ch.call('basic.cancel', { consumerTag: first.method.fields.consumerTag });
  },
  'a tag that is taken': async (s) => {
    const ch = await queue(s);
    await ch.consume(s.name('q'), { consumerTag: 't' });
    await ch.consume(s.name('q'), { consumerTag: 't' });
  },
  'a tag that is taken, on another queue': async (s) => {
    const ch = await queue(s);
    await ch.declare(s.name('other'), {}, { exclusive: true });
    await ch.consume(s.name('q'), { consumerTag: 't' });
    await ch.consume(s.name('other'), { consumerTag: 't' });
  },
  'a tag is free again after cancel, and on other channels': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.consume(s.name('q'), { consumerTag: 't' });
    await (await connection.channel()).consume(s.name('q'), { consumerTag: 't' });
    await ch.call('basic.cancel', { consumerTag: 't' });
    await ch.consume(s.name('q'), { consumerTag: 't' });
  },
  'a tag of 255 octets, and one beyond ASCII': async (s) => {
    const ch = await queue(s);
    for (const consumerTag of ['x'.repeat(255), 'tåg €']) {
      await ch.consume(s.name('q'), { consumerTag, noAck: true });
      ch.put(s.name('q'), 'm');
      await ch.next();
      await ch.call('basic.cancel', { consumerTag });
    }
  },
  'consumers take turns': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    for (const consumerTag of ['a', 'b', 'c']) await ch.consume(s.name('q'), { consumerTag, noAck: true });
    ch.put(s.name('q'), ...numbers(9));
    await ch.take(9);
  },
  'a consumer that wants no local messages gets them': async (s) => {
    const ch = await queue(s);
    await ch.consume(s.name('q'), { noLocal: true, noAck: true });
    ch.put(s.name('q'), 'my own');
    await ch.next();
  },

  'an exclusive consumer refuses others': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    await ch.consume(s.name('q'), { exclusive: true });
    await s.probe('basic.consume', { queue: s.name('q') });
    await s.probe('basic.consume', { queue: s.name('q'), exclusive: true });
    await s.probe('basic.get', { queue: s.name('q') });
    await ch.call('basic.cancel', { consumerTag: 'c' });
    await s.probe('basic.consume', { queue: s.name('q') });
  },
  'an exclusive consumer is refused where others are': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    await ch.consume(s.name('q'));
    await s.probe('basic.consume', { queue: s.name('q'), exclusive: true });
  },
  'an exclusive consumer on a queue of a single active one': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-single-active-consumer': true });
    await ch.consume(s.name('q'), { exclusive: true });
  },

  'x-priority that is no number': withArguments({ 'x-priority': 'high' }),
  'x-priority that is a double': withArguments({ 'x-priority': 1.5 }),
  'x-priority that is a timestamp': withArguments({ 'x-priority': new Typed('T', 5) }),
  'x-priority below zero': withArguments({ 'x-priority': -5 }),
  'x-priority of 64 bits': withArguments({ 'x-priority': new Typed('l', 2 ** 40) }),
  'consumer arguments that nobody knows': withArguments({ 'x-mine': 1, yours: null }),
  'x-cancel-on-ha-failover': withArguments({ 'x-cancel-on-ha-failover': true }),
  'x-stream-offset on a classic queue': withArguments({ 'x-stream-offset': 'first' }),
  'a consumer of a higher priority comes first while it has credit': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 2 });
    await ch.consume(s.name('q'), { consumerTag: 'low', arguments: table({ 'x-priority': -1 }) });
    await ch.consume(s.name('q'), { consumerTag: 'high', arguments: table({ 'x-priority': 5 }) });
    await ch.consume(s.name('q'), { consumerTag: 'middle' });
    ch.put(s.name('q'), ...numbers(7));
    await ch.take(6);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
  },

  'cancelling an unknown tag': async (s) => {
    const ch = await s.channel();
    await ch.call('basic.cancel', { consumerTag: 'nosuch' });
  },
  'a cancelled consumer gets nothing more, and keeps what it has': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 2 });
    await ch.consume(s.name('q'));
    ch.put(s.name('q'), '1', '2', '3');
    await ch.take(2);
    await ch.call('basic.cancel', { consumerTag: 'c' });
    await ch.counts(s.name('q'), 1);
    ch.send('basic.ack', { deliveryTag: 1 });
    ch.send('basic.nack', { deliveryTag: 2, requeue: true });
    await ch.drain(s.name('q'));
  },
  'a consumer of a deleted queue is told, when its client understands': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'));
    await ch.consume(s.name('q'));
    const other = await s.channel();
    await other.call('queue.delete', { queue: s.name('q') });
    await ch.next();
    await ch.call('basic.cancel', { consumerTag: 'c' });
  },
  'a consumer of a deleted queue is not told, when its client does not understand': async (s) => {
    const connection = await s.connect({ clientProperties: table({ capabilities: table({ 'basic.nack': true }) }) });
    const ch = await connection.channel();
    await ch.declare(s.name('q'));
    await ch.consume(s.name('q'));
    const other = await s.channel();
    await other.call('queue.delete', { queue: s.name('q') });
    await ch.fence();
  },
  'unacked messages of a deleted queue can be settled': async (s) => {
    const ch = await queue(s);
    ch.put(s.name('q'), '1', '2', '3');
    await ch.consume(s.name('q'));
    await ch.take(3);
    await (await ch.connection.channel()).call('queue.delete', { queue: s.name('q') });
    await ch.next();
    ch.send('basic.ack', { deliveryTag: 1 });
    ch.send('basic.nack', { deliveryTag: 2, requeue: true });
    ch.send('basic.reject', { deliveryTag: 3, requeue: false });
    await ch.fence();
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
  },
  'basic.cancel-ok from a client': async (s) => {
    const ch = await s.channel();
    ch.send('basic.cancel-ok', { consumerTag: 'c' });
    await ch.next();
  },

  'qos with a prefetch size': async (s) => {
    const ch = await s.channel();
    await ch.call('basic.qos', { prefetchSize: 1000 });
  },
  'qos is for each consumer that follows': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 2 });
    await ch.consume(s.name('q'), { consumerTag: 'two' });
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'), { consumerTag: 'one' });
    ch.put(s.name('q'), ...numbers(5));
    await ch.take(3);
    await ch.counts(s.name('q'), 2);
  },
  'qos later does not touch a consumer that runs': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    ch.put(s.name('q'), ...numbers(5));
    await ch.next();
    await ch.call('basic.qos', { prefetchCount: 3 });
    await ch.counts(s.name('q'), 4);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
    await ch.counts(s.name('q'), 3);
  },
  'global qos is for the whole channel, and holds at once': async (s) => {
    const ch = await queue(s);
    await ch.consume(s.name('q'), { consumerTag: 'a' });
    await ch.consume(s.name('q'), { consumerTag: 'b' });
    await ch.call('basic.qos', { prefetchCount: 3, global: true });
    ch.put(s.name('q'), ...numbers(6));
    await ch.take(3);
    await ch.counts(s.name('q'), 3);
    await ch.call('basic.qos', { prefetchCount: 4, global: true });
    await ch.next();
    await ch.counts(s.name('q'), 2);
    await ch.call('basic.qos', { prefetchCount: 0, global: true });
    await ch.take(2);
  },
  'both limits hold together': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 2 });
    await ch.call('basic.qos', { prefetchCount: 3, global: true });
    await ch.consume(s.name('q'), { consumerTag: 'a' });
    await ch.consume(s.name('q'), { consumerTag: 'b' });
    ch.put(s.name('q'), ...numbers(6));
    await ch.take(3);
    await ch.counts(s.name('q'), 3);
  },
  'a message that was got counts for no consumer': async (s) => {
    const ch = await queue(s);
    ch.put(s.name('q'), ...numbers(4));
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    await ch.next();
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
    await ch.counts(s.name('q'), 1);
  },
  'a message that was got does not count for the limit of the channel': async (s) => {
    const ch = await queue(s);
    ch.put(s.name('q'), ...numbers(5));
    await ch.call('basic.qos', { prefetchCount: 2, global: true });
    await ch.get(s.name('q'), false);
    await ch.consume(s.name('q'));
    await ch.take(2);
    await ch.counts(s.name('q'), 2);
  },
  'a message that was got before there was a limit of the channel': async (s) => {
    const ch = await queue(s);
    ch.put(s.name('q'), ...numbers(5));
    await ch.get(s.name('q'), false);
    await ch.call('basic.qos', { prefetchCount: 2, global: true });
    await ch.consume(s.name('q'));
    await ch.next();
    await ch.counts(s.name('q'), 3);
  },
  'no_ack knows no prefetch': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'), { noAck: true });
    ch.put(s.name('q'), ...numbers(5));
    await ch.take(5);
    await ch.counts(s.name('q'), 0);
  },
  'a settled message makes room for the next': async (s) => {
    const ch = await queue(s);
    await ch.call('basic.qos', { prefetchCount: 2 });
    await ch.consume(s.name('q'));
    ch.put(s.name('q'), ...numbers(6));
    await ch.take(2);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
    ch.send('basic.reject', { deliveryTag: 2 });
    await ch.next();
    ch.send('basic.ack', { deliveryTag: 4, multiple: true });
    await ch.take(2);
  },

  'a single active consumer, and the next when it goes': async (s) => {
    const connection = await s.connect();
    const [a, b] = [await connection.channel(), await connection.channel()];
    await a.declare(s.name('q'), { 'x-single-active-consumer': true }, { exclusive: true });
    await a.consume(s.name('q'), { consumerTag: 'a' });
    await b.consume(s.name('q'), { consumerTag: 'b' });
    const publisher = await connection.channel();
    publisher.put(s.name('q'), '1', '2');
    await a.take(2);
    await publisher.counts(s.name('q'), 0);
    await a.call('basic.cancel', { consumerTag: 'a' });
    publisher.put(s.name('q'), '3');
    await b.next();
    await a.close();
    await b.take(2);
  },
  'a single active consumer whose connection is torn': async (s) => {
    const [a, b] = [await s.channel(), await s.channel()];
    await a.declare(s.name('q'), { 'x-single-active-consumer': true });
    await a.consume(s.name('q'), { consumerTag: 'a' });
    await b.consume(s.name('q'), { consumerTag: 'b' });
    const publisher = await s.channel();
    publisher.put(s.name('q'), '1', '2', '3');
    await a.take(3);
    a.connection.client.destroy();
    await b.take(3);
  },
  'a single active consumer without credit does not make room for others': async (s) => {
    const connection = await s.connect();
    const [a, b] = [await connection.channel(), await connection.channel()];
    await a.declare(s.name('q'), { 'x-single-active-consumer': true }, { exclusive: true });
    await a.call('basic.qos', { prefetchCount: 1 });
    await a.consume(s.name('q'), { consumerTag: 'a' });
    await b.consume(s.name('q'), { consumerTag: 'b' });
    a.put(s.name('q'), '1', '2');
    await a.next();
    await a.counts(s.name('q'), 1);
  },
  'getting from a queue of a single active consumer': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-single-active-consumer': true }, { exclusive: true });
    ch.put(s.name('q'), '1');
    await ch.get(s.name('q'));
  },
});
