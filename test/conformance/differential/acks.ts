// Situations: get, ack, nack, reject, recover; tags that are unknown; the order and the mark of what comes back.

import type { MethodFields } from '../../../shared/amqp/methods.ts';
import { type Channel, type Play, type Stage, situations } from './stage.ts';

/** A queue 'q' with this many messages. */
async function filled(s: Stage, count: number): Promise<Channel> {
  const ch = await s.channel();
  await ch.declare(s.name('q'), {}, { exclusive: true });
  ch.put(s.name('q'), ...Array.from({ length: count }, (_, i) => `${i + 1}`));
  return ch;
}

/** Some got messages, settled so, and then all that is there. */
function settled(name: 'basic.ack' | 'basic.nack', got: number, ...settlements: readonly Partial<MethodFields<'basic.nack'>>[]): Play {
  return async (s) => {
    const ch = await filled(s, 5);
    for (let i = 0; i < got; i++) await ch.get(s.name('q'), false);
    for (const settlement of settlements) ch.send(name, settlement);
    await ch.fence();
    if (!ch.isOpen) return;
    await ch.drain(s.name('q'));
    await ch.close();
    await (await ch.connection.channel()).drain(s.name('q'));
  };
}

export const acks = situations({
  'get tells how many are left, and when there is none': async (s) => {
    const ch = await filled(s, 2);
    await ch.get(s.name('q'));
    await ch.get(s.name('q'), false);
    await ch.get(s.name('q'));
  },
  'get without ack and get with it share the tags of the channel': async (s) => {
    const ch = await filled(s, 3);
    await ch.get(s.name('q'));
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 2 });
    await ch.get(s.name('q'));
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
  },
  'ack of one': settled('basic.ack', 3, { deliveryTag: 2 }),
  'ack of several': settled('basic.ack', 3, { deliveryTag: 2, multiple: true }),
  'ack of all by tag 0': settled('basic.ack', 3, { deliveryTag: 0, multiple: true }),
  'ack of all by tag 0 when there is none': settled('basic.ack', 0, { deliveryTag: 0, multiple: true }),
  'ack of tag 0 alone': settled('basic.ack', 3, { deliveryTag: 0 }),
  'ack of an unknown tag': settled('basic.ack', 0, { deliveryTag: 99 }),
  'ack of an unknown tag above known ones': settled('basic.ack', 2, { deliveryTag: 99 }),
  'ack of several up to an unknown tag': settled('basic.ack', 2, { deliveryTag: 99, multiple: true }),
  'ack of the same twice': settled('basic.ack', 3, { deliveryTag: 2 }, { deliveryTag: 2 }),
  'ack of several that are acked already': settled('basic.ack', 3, { deliveryTag: 2, multiple: true }, { deliveryTag: 1, multiple: true }),
  'ack of several up to one that is acked already': settled('basic.ack', 3, { deliveryTag: 2 }, { deliveryTag: 2, multiple: true }),
  'ack of a huge tag': settled('basic.ack', 1, { deliveryTag: 2 ** 50 }),
  'nack of one, to be requeued': settled('basic.nack', 3, { deliveryTag: 2, requeue: true }),
  'nack of one, to be dropped': settled('basic.nack', 3, { deliveryTag: 2 }),
  'nack of several, to be requeued': settled('basic.nack', 4, { deliveryTag: 3, multiple: true, requeue: true }),
  'nack of several, to be dropped': settled('basic.nack', 4, { deliveryTag: 3, multiple: true }),
  'nack of all by tag 0': settled('basic.nack', 4, { deliveryTag: 0, multiple: true, requeue: true }),
  'nack of an unknown tag': settled('basic.nack', 1, { deliveryTag: 7, requeue: true }),
  'nacks in another order than the deliveries': settled(
    'basic.nack',
    4,
    { deliveryTag: 4, requeue: true },
    { deliveryTag: 1, requeue: true },
    { deliveryTag: 3, requeue: true },
  ),
  'reject, to be requeued': async (s) => {
    const ch = await filled(s, 3);
    await ch.get(s.name('q'), false);
    await ch.get(s.name('q'), false);
    ch.send('basic.reject', { deliveryTag: 1, requeue: true });
    await ch.drain(s.name('q'));
  },
  'reject, to be dropped': async (s) => {
    const ch = await filled(s, 2);
    await ch.get(s.name('q'), false);
    ch.send('basic.reject', { deliveryTag: 1 });
    await ch.drain(s.name('q'));
  },
  'reject of an unknown tag': async (s) => {
    const ch = await filled(s, 1);
    ch.send('basic.reject', { deliveryTag: 1, requeue: true });
    await ch.next();
  },
  'ack of a message that was delivered without ack': async (s) => {
    const ch = await filled(s, 1);
    await ch.get(s.name('q'));
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
  },
  'ack on another channel than the delivery': async (s) => {
    const ch = await filled(s, 1);
    await ch.get(s.name('q'), false);
    const other = await ch.connection.channel();
    other.send('basic.ack', { deliveryTag: 1 });
    await other.next();
  },
  'ack of several covers consumers and gets of the channel': async (s) => {
    const ch = await filled(s, 4);
    await ch.get(s.name('q'), false);
    await ch.declare(s.name('other'), {}, { exclusive: true });
    ch.put(s.name('other'), 'x', 'y');
    await ch.consume(s.name('other'));
    await ch.take(2);
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 3, multiple: true });
    await ch.close();
    const next = await ch.connection.channel();
    await next.drain(s.name('q'));
    await next.drain(s.name('other'));
  },

  'what is requeued comes again, marked, before what waits': async (s) => {
    const ch = await filled(s, 4);
    await ch.call('basic.qos', { prefetchCount: 2 });
    await ch.consume(s.name('q'));
    await ch.take(2);
    ch.send('basic.nack', { deliveryTag: 2, multiple: true, requeue: true });
    await ch.take(2);
    ch.send('basic.ack', { deliveryTag: 0, multiple: true });
    await ch.take(2);
  },
  'what is requeued goes to its place among what waits': async (s) => {
    const ch = await filled(s, 5);
    for (let i = 0; i < 3; i++) await ch.get(s.name('q'), false);
    ch.send('basic.nack', { deliveryTag: 3, requeue: true });
    await ch.get(s.name('q'), false);
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    await ch.drain(s.name('q'));
  },
  'a message that comes back goes to another consumer': async (s) => {
    const ch = await filled(s, 1);
    await ch.consume(s.name('q'), { consumerTag: 'a' });
    await ch.next();
    const other = await ch.connection.channel();
    await other.consume(s.name('q'), { consumerTag: 'b' });
    await ch.call('basic.cancel', { consumerTag: 'a' });
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    await other.next();
  },
  'the mark stays through several returns': async (s) => {
    const ch = await filled(s, 1);
    for (let tag = 1; tag <= 3; tag++) {
      await ch.get(s.name('q'), false);
      ch.send('basic.nack', { deliveryTag: tag, requeue: true });
    }
    await ch.get(s.name('q'));
  },

  'recover gives back all that is unacked': async (s) => {
    const ch = await filled(s, 4);
    for (let i = 0; i < 3; i++) await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 2 });
    await ch.call('basic.recover', { requeue: true });
    await ch.drain(s.name('q'));
  },
  'recover sends again to a consumer': async (s) => {
    const ch = await filled(s, 2);
    await ch.consume(s.name('q'));
    await ch.take(2);
    await ch.call('basic.recover', { requeue: true });
    await ch.take(2);
  },
  'recover without requeue': async (s) => {
    const ch = await filled(s, 2);
    await ch.get(s.name('q'), false);
    await ch.call('basic.recover', { requeue: false });
    await ch.drain(s.name('q'));
  },
  'recover-async gives back without an answer': async (s) => {
    const ch = await filled(s, 2);
    await ch.get(s.name('q'), false);
    ch.send('basic.recover-async', { requeue: true });
    await ch.drain(s.name('q'));
  },
  'recover-async without requeue': async (s) => {
    const ch = await filled(s, 2);
    await ch.get(s.name('q'), false);
    ch.send('basic.recover-async', { requeue: false });
    await ch.drain(s.name('q'));
  },
  'recover with nothing unacked': async (s) => {
    const ch = await s.channel();
    await ch.call('basic.recover', { requeue: true });
  },
});
