// Situations: opening, closing and losing channels; what follows an error; flow.

import { frameOf, publishFrames } from '../../support/amqp-client.ts';
import { type Play, situations } from './stage.ts';

const done = { replyCode: 200, replyText: 'done' };

function onClosedChannel(...frames: Uint8Array[]): Play {
  return async (s) => {
    const connection = await s.connect();
    connection.client.write(...frames);
    await connection.ended();
  };
}

export const channels = situations({
  'channel.open and channel.close': async (s) => {
    const connection = await s.connect();
    await connection.at(1).call('channel.open');
    await connection.at(1).call('channel.close', done);
  },
  'a channel that is opened twice': async (s) => {
    const ch = await s.channel();
    await ch.call('channel.open');
  },
  'a channel number is free again after its close': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel(5);
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.call('channel.close', done);
    await ch.call('channel.open');
    await ch.counts(s.name('q'));
  },
  'a channel number is free again after an error': async (s) => {
    const ch = await s.channel();
    await ch.counts(s.name('nosuch'));
    await ch.call('channel.open');
    await ch.declare(s.name('q'), {}, { exclusive: true });
  },
  'delivery tags and confirms begin at 1 on a channel that was opened again': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.put(s.name('q'), '1', '2', '3');
    await ch.get(s.name('q'), false);
    await ch.get(s.name('q'), false);
    await ch.call('channel.close', done);
    await ch.call('channel.open');
    await ch.get(s.name('q'), false);
  },
  'the highest channel number': async (s) => {
    const connection = await s.connect();
    await connection.at(2047).call('channel.open');
  },
  'a channel number above the negotiated channel_max': async (s) => {
    const connection = await s.connect({ channelMax: 3 });
    await connection.channel(3);
    await connection.at(4).call('channel.open');
  },
  'more channels than the negotiated channel_max': async (s) => {
    const connection = await s.connect({ channelMax: 1 });
    await connection.channel(1);
    await connection.at(2).call('channel.open');
  },
  'channel.close of a channel that is not open': onClosedChannel(frameOf(1, 'channel.close', done)),
  'queue.declare on a channel that is not open': onClosedChannel(frameOf(1, 'queue.declare', { queue: 'q' })),
  'basic.publish on a channel that is not open': onClosedChannel(...publishFrames(1, { routingKey: 'q', body: 'x' })),
  'basic.ack on a channel that is not open': onClosedChannel(frameOf(3, 'basic.ack', { deliveryTag: 1 })),
  'channel.close-ok on a channel that is not open': async (s) => {
    const connection = await s.connect();
    connection.client.write(frameOf(1, 'channel.close-ok'));
    await connection.at(0).next(1_000);
  },
  'a method on a channel after its close': async (s) => {
    const ch = await s.channel();
    await ch.call('channel.close', done);
    await ch.call('basic.qos', { prefetchCount: 1 });
  },
  'channel.close-ok on a channel that is open': async (s) => {
    const ch = await s.channel();
    ch.send('channel.close-ok');
    await ch.connection.ended();
  },
  'channel.open-ok from a client': async (s) => {
    const ch = await s.channel();
    await ch.call('channel.open-ok');
  },
  'basic.deliver from a client': async (s) => {
    const ch = await s.channel();
    ch.connection.client.write(frameOf(1, 'basic.deliver'), ...publishFrames(1, {}).slice(1));
    await ch.next();
  },
  'queue.declare-ok from a client': async (s) => {
    const ch = await s.channel();
    await ch.call('queue.declare-ok');
  },

  'an error closes its own channel only': async (s) => {
    const connection = await s.connect();
    const sibling = await connection.channel();
    await sibling.declare(s.name('q'), {}, { exclusive: true });
    await sibling.consume(s.name('q'));
    await (await connection.channel()).counts(s.name('nosuch'));
    sibling.put(s.name('q'), 'still here');
    await sibling.next();
  },
  'what follows an error is dropped until close-ok': async (s) => {
    const connection = await s.connect();
    connection.client.answersCloses = false;
    const ch = await connection.channel();
    ch.send('queue.declare', { queue: s.name('nosuch'), passive: true });
    ch.send('queue.declare', { queue: s.name('a') });
    await ch.next();
    ch.send('queue.declare', { queue: s.name('b') });
    ch.put(s.name('b'), 'lost');
    ch.send('basic.ack', { deliveryTag: 77 });
    ch.send('channel.close-ok');
    ch.send('channel.open');
    await ch.next();
    await s.probe('queue.declare', { queue: s.name('a'), passive: true });
    await s.probe('queue.declare', { queue: s.name('b'), passive: true });
  },
  'channel.close from both sides at once': async (s) => {
    const connection = await s.connect();
    connection.client.answersCloses = false;
    const ch = await connection.channel();
    ch.send('queue.declare', { queue: s.name('nosuch'), passive: true });
    await ch.next();
    ch.send('channel.close', done);
    await ch.next();
    ch.send('channel.close-ok');
    ch.send('channel.open');
    await ch.next();
  },
  'an error of a method that asks for no answer': async (s) => {
    const ch = await s.channel();
    ch.send('queue.bind', { queue: s.name('nosuch'), exchange: 'amq.direct', nowait: true });
    await ch.next();
  },
  'methods that ask for no answer get none': async (s) => {
    const ch = await s.channel();
    const [q, e] = [s.name('q'), s.name('e')];
    ch.send('queue.declare', { queue: q, nowait: true });
    ch.send('exchange.declare', { exchange: e, type: 'fanout', nowait: true });
    ch.send('queue.bind', { queue: q, exchange: e, nowait: true });
    ch.send('exchange.bind', { destination: e, source: 'amq.direct', routingKey: s.name('k'), nowait: true });
    ch.send('basic.consume', { queue: q, consumerTag: 'c', noAck: true, nowait: true });
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('k'), body: 'there' });
    await ch.next();
    ch.send('basic.cancel', { consumerTag: 'c', nowait: true });
    ch.put(q, 'stays');
    await ch.counts(q, 1);
    ch.send('queue.purge', { queue: q, nowait: true });
    await ch.counts(q, 0);
    ch.send('exchange.unbind', { destination: e, source: 'amq.direct', routingKey: s.name('k'), nowait: true });
    ch.send('queue.delete', { queue: q, nowait: true });
    ch.send('exchange.delete', { exchange: e, nowait: true });
    ch.send('confirm.select', { nowait: true });
    ch.put(q, 'nowhere');
    await ch.confirmed();
    await ch.counts(q);
  },

  'channel.flow with active': async (s) => {
    const ch = await s.channel();
    await ch.call('channel.flow', { active: true });
  },
  'channel.flow without active': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.consume(s.name('q'), { noAck: true });
    await ch.call('channel.flow', { active: false });
    ch.put(s.name('q'), 'held');
    await ch.counts(s.name('q'), 1);
    await ch.call('channel.flow', { active: true });
    await ch.next();
  },
  'channel.flow-ok that nobody asked for': async (s) => {
    const ch = await s.channel();
    ch.send('channel.flow-ok', { active: true });
    await ch.fence();
  },
  'access.request': async (s) => {
    const ch = await s.channel();
    await ch.call('access.request', { realm: '/data', exclusive: false, passive: true, active: true, write: true, read: true });
  },

  'a close gives back what was unacked, in order and redelivered': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.put(s.name('q'), '1', '2', '3', '4', '5');
    for (let i = 0; i < 4; i++) await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 2 });
    await ch.close();
    const next = await connection.channel();
    await next.counts(s.name('q'), 4);
    await next.drain(s.name('q'));
  },
  'an error gives back what was unacked': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.put(s.name('q'), '1', '2');
    await ch.consume(s.name('q'));
    await ch.take(2);
    await ch.counts(s.name('nosuch'));
    const next = await connection.channel();
    await next.counts(s.name('q'), 2);
    await next.drain(s.name('q'));
  },
  'a close ends the consumers of its channel': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.consume(s.name('q'));
    await ch.close();
    await (await connection.channel()).counts(s.name('q'), 0);
  },
});
