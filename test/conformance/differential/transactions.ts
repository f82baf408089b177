// Situations: tx: what is held until commit, what rollback forgets, and what does not go together.

import { type Channel, type Stage, situations } from './stage.ts';

/** A queue 'q' and a channel in tx mode; and another to look from. */
async function transacted(s: Stage): Promise<{ ch: Channel; watcher: Channel }> {
  const ch = await s.channel();
  const watcher = await ch.connection.channel();
  await watcher.declare(s.name('q'), {}, { exclusive: true });
  await ch.call('tx.select');
  return { ch, watcher };
}

export const transactions = situations({
  'tx.select, commit and rollback of nothing': async (s) => {
    const ch = await s.channel();
    await ch.call('tx.select');
    await ch.call('tx.select');
    await ch.call('tx.commit');
    await ch.call('tx.rollback');
    await ch.call('tx.commit');
  },
  'tx.commit without select': async (s) => s.probe('tx.commit'),
  'tx.rollback without select': async (s) => s.probe('tx.rollback'),
  'tx.select in confirm mode': async (s) => {
    const ch = await s.channel();
    await ch.call('confirm.select');
    await ch.call('tx.select');
  },
  'confirm.select in tx mode': async (s) => {
    const ch = await s.channel();
    await ch.call('tx.select');
    await ch.call('confirm.select');
  },
  'what is published is there at commit': async (s) => {
    const { ch, watcher } = await transacted(s);
    ch.put(s.name('q'), '1', '2');
    await ch.fence();
    await watcher.counts(s.name('q'), 0);
    await ch.call('tx.commit');
    await watcher.drain(s.name('q'));
  },
  'what is published is forgotten at rollback': async (s) => {
    const { ch, watcher } = await transacted(s);
    ch.put(s.name('q'), '1');
    await ch.call('tx.rollback');
    ch.put(s.name('q'), '2');
    await ch.call('tx.commit');
    await watcher.drain(s.name('q'));
  },
  'what is published is forgotten at close': async (s) => {
    const { ch, watcher } = await transacted(s);
    ch.put(s.name('q'), '1');
    await ch.close();
    await watcher.drain(s.name('q'));
  },
  'an ack holds at commit': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1', '2');
    await watcher.counts(s.name('q'), 2);
    await ch.get(s.name('q'), false);
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.call('tx.commit');
    await ch.close();
    await watcher.drain(s.name('q'));
  },
  'an ack is forgotten at rollback, and the message stays unacked': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1');
    await watcher.counts(s.name('q'), 1);
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.call('tx.rollback');
    await watcher.counts(s.name('q'), 0);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.call('tx.commit');
    await ch.close();
    await watcher.drain(s.name('q'));
  },
  'an ack is forgotten at close': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1');
    await watcher.counts(s.name('q'), 1);
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.close();
    await watcher.drain(s.name('q'));
  },
  'a nack and a reject hold at commit': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1', '2', '3');
    await watcher.counts(s.name('q'), 3);
    for (let i = 0; i < 3; i++) await ch.get(s.name('q'), false);
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    ch.send('basic.reject', { deliveryTag: 2, requeue: false });
    await ch.fence();
    await watcher.counts(s.name('q'), 0);
    await ch.call('tx.commit');
    await watcher.drain(s.name('q'));
    await ch.close();
    await watcher.drain(s.name('q'));
  },
  'a nack is forgotten at rollback': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1');
    await watcher.counts(s.name('q'), 1);
    await ch.get(s.name('q'), false);
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    await ch.call('tx.rollback');
    await watcher.counts(s.name('q'), 0);
  },
  'an unknown tag is refused at once': async (s) => {
    const { ch } = await transacted(s);
    ch.send('basic.ack', { deliveryTag: 99 });
    await ch.next();
  },
  'a tag that was acked in the same transaction is unknown': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1');
    await watcher.counts(s.name('q'), 1);
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.next();
    await watcher.counts(s.name('q'), 1);
    await watcher.drain(s.name('q'));
  },
  'acks and publishes together': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1', '2', '3');
    await watcher.counts(s.name('q'), 3);
    for (let i = 0; i < 3; i++) await ch.get(s.name('q'), false);
    ch.put(s.name('q'), '4');
    ch.send('basic.ack', { deliveryTag: 2, multiple: true });
    await ch.call('tx.commit');
    await watcher.drain(s.name('q'));
  },
  'consuming is not part of it': async (s) => {
    const { ch, watcher } = await transacted(s);
    await ch.consume(s.name('q'));
    watcher.put(s.name('q'), '1');
    await ch.next();
    await ch.call('tx.rollback');
    await ch.fence();
    await watcher.counts(s.name('q'), 0);
  },
  'prefetch is freed at commit': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1', '2');
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    await ch.next();
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.fence();
    await watcher.counts(s.name('q'), 1);
    await ch.call('tx.commit');
    await ch.next();
  },
  'a mandatory message comes back at commit': async (s) => {
    const { ch } = await transacted(s);
    ch.publish({ routingKey: s.name('nosuch'), mandatory: true, body: 'back' });
    await ch.fence();
    ch.lane.note('commit');
    await ch.call('tx.commit');
    await ch.next();
  },
  'a missing exchange is refused at once': async (s) => {
    const { ch, watcher } = await transacted(s);
    ch.put(s.name('q'), 'forgotten');
    ch.publish({ exchange: s.name('nosuch'), body: 'm' });
    await ch.next();
    await watcher.counts(s.name('q'), 0);
  },
  'an exchange that is gone by the time of the commit': async (s) => {
    const { ch, watcher } = await transacted(s);
    await watcher.exchange(s.name('e'), 'fanout');
    ch.publish({ exchange: s.name('e'), body: 'm', mandatory: true });
    await ch.fence();
    await watcher.call('exchange.delete', { exchange: s.name('e') });
    await ch.call('tx.commit');
    await ch.fence();
  },
  'a refused publish of a full queue': async (s) => {
    const { ch, watcher } = await transacted(s);
    await watcher.declare(s.name('full'), { 'x-max-length': 1, 'x-overflow': 'reject-publish' }, { exclusive: true });
    watcher.put(s.name('full'), '1');
    await watcher.counts(s.name('full'), 1);
    ch.put(s.name('full'), '2');
    ch.put(s.name('q'), 'beside it');
    await ch.call('tx.commit');
    await watcher.drain(s.name('full'));
    await watcher.drain(s.name('q'));
  },
  'declaring is not part of it': async (s) => {
    const { ch } = await transacted(s);
    await ch.declare(s.name('new'), {}, { exclusive: true });
    await ch.call('tx.rollback');
    await ch.counts(s.name('new'));
  },
  'recover in a transaction': async (s) => {
    const { ch, watcher } = await transacted(s);
    watcher.put(s.name('q'), '1', '2');
    await watcher.counts(s.name('q'), 2);
    await ch.get(s.name('q'), false);
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.call('basic.recover', { requeue: true });
    await watcher.counts(s.name('q'), 1);
    await ch.call('tx.commit');
    await watcher.drain(s.name('q'));
  },
});
