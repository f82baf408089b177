// Situations: length limits and what they do to publishers, and priorities.

import type { FieldValue } from '../../../shared/amqp/table.ts';
import { type Channel, type Stage, situations } from './stage.ts';

/** A queue 'q' of these arguments. */
async function limited(s: Stage, args: Readonly<Record<string, FieldValue>>): Promise<Channel> {
  const ch = await s.channel();
  await ch.declare(s.name('q'), args, { exclusive: true });
  return ch;
}

/** Bodies named by their priorities, published in this order. */
function prioritized(ch: Channel, queue: string, ...priorities: (number | undefined)[]): void {
  for (const [i, priority] of priorities.entries()) {
    ch.publish({ routingKey: queue, properties: priority === undefined ? {} : { priority }, body: `${i + 1}: ${priority ?? 'none'}` });
  }
}

export const limits = situations({
  'x-max-length: the oldest goes': async (s) => {
    const ch = await limited(s, { 'x-max-length': 2 });
    ch.put(s.name('q'), '1', '2', '3', '4');
    await ch.drain(s.name('q'));
  },
  'x-max-length: a confirm comes all the same': async (s) => {
    const ch = await limited(s, { 'x-max-length': 1 });
    await ch.call('confirm.select');
    ch.put(s.name('q'), '1', '2', '3');
    await ch.confirmed();
    await ch.drain(s.name('q'));
  },
  'x-max-length counts ready messages only': async (s) => {
    const ch = await limited(s, { 'x-max-length': 2 });
    ch.put(s.name('q'), '1', '2');
    await ch.get(s.name('q'), false);
    await ch.get(s.name('q'), false);
    ch.put(s.name('q'), '3', '4');
    await ch.counts(s.name('q'), 2);
    ch.send('basic.nack', { deliveryTag: 2, multiple: true, requeue: true });
    await ch.drain(s.name('q'));
  },
  'x-max-length-bytes counts bodies only': async (s) => {
    const ch = await limited(s, { 'x-max-length-bytes': 10 });
    for (const body of ['12345', '67890']) ch.publish({ routingKey: s.name('q'), properties: { messageId: 'x'.repeat(200) }, body });
    await ch.counts(s.name('q'), 2);
    ch.put(s.name('q'), 'a');
    await ch.drain(s.name('q'));
  },
  'a message above x-max-length-bytes': async (s) => {
    const ch = await limited(s, { 'x-max-length-bytes': 5 });
    ch.put(s.name('q'), 'abc', 'too long');
    await ch.counts(s.name('q'), 0);
  },
  'both limits, whichever comes first': async (s) => {
    const ch = await limited(s, { 'x-max-length': 3, 'x-max-length-bytes': 6 });
    ch.put(s.name('q'), '1', '2', '3', '4', '55555');
    await ch.drain(s.name('q'));
  },
  'x-max-length of 0 with a consumer': async (s) => {
    const ch = await limited(s, { 'x-max-length': 0 });
    await ch.consume(s.name('q'), { noAck: true });
    ch.put(s.name('q'), '1');
    await ch.next();
  },
  'x-max-length of 0 without a consumer': async (s) => {
    const ch = await limited(s, { 'x-max-length': 0 });
    ch.put(s.name('q'), '1');
    await ch.counts(s.name('q'), 0);
  },
  'reject-publish: nacked': async (s) => {
    const ch = await limited(s, { 'x-max-length': 2, 'x-overflow': 'reject-publish' });
    await ch.call('confirm.select');
    for (const body of ['1', '2', '3', '4']) {
      ch.put(s.name('q'), body);
      await ch.confirmed();
    }
    await ch.drain(s.name('q'));
    ch.put(s.name('q'), '5');
    await ch.confirmed();
  },
  'reject-publish: many at once': async (s) => {
    const ch = await limited(s, { 'x-max-length': 3, 'x-overflow': 'reject-publish' });
    await ch.call('confirm.select');
    ch.put(s.name('q'), ...Array.from({ length: 3 }, (_, i) => `${i + 1}`));
    await ch.confirmed();
    ch.put(s.name('q'), ...Array.from({ length: 5 }, (_, i) => `${i + 4}`));
    await ch.confirmed();
    await ch.drain(s.name('q'));
  },
  'reject-publish without confirms: lost in silence': async (s) => {
    const ch = await limited(s, { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    ch.put(s.name('q'), '1');
    await ch.counts(s.name('q'), 1);
    ch.publish({ routingKey: s.name('q'), body: '2', mandatory: true });
    await ch.drain(s.name('q'));
  },
  'reject-publish of one queue of two': async (s) => {
    const ch = await limited(s, { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    await ch.exchange(s.name('e'), 'fanout');
    await ch.declare(s.name('other'), {}, { exclusive: true });
    for (const queue of ['q', 'other']) await ch.bind(s.name(queue), s.name('e'));
    await ch.call('confirm.select');
    for (const body of ['1', '2']) {
      ch.publish({ exchange: s.name('e'), body });
      await ch.confirmed();
    }
    await ch.drain(s.name('q'));
    await ch.drain(s.name('other'));
  },
  'reject-publish of a message above x-max-length-bytes': async (s) => {
    const ch = await limited(s, { 'x-max-length-bytes': 5, 'x-overflow': 'reject-publish' });
    await ch.call('confirm.select');
    for (const body of ['123456', '1', '12345', '1']) {
      ch.put(s.name('q'), body);
      await ch.confirmed();
    }
    await ch.drain(s.name('q'));
  },

  'priorities: the higher first, in order within each': async (s) => {
    const ch = await limited(s, { 'x-max-priority': 5 });
    prioritized(ch, s.name('q'), 1, undefined, 5, 3, 0, 5, 1);
    await ch.drain(s.name('q'));
  },
  'priorities above the highest': async (s) => {
    const ch = await limited(s, { 'x-max-priority': 3 });
    prioritized(ch, s.name('q'), 3, 200, 255, 1);
    await ch.drain(s.name('q'));
  },
  'priorities in a queue that has none': async (s) => {
    const ch = await limited(s, {});
    prioritized(ch, s.name('q'), 1, 5, undefined, 9);
    await ch.drain(s.name('q'));
  },
  'priorities of what comes back': async (s) => {
    const ch = await limited(s, { 'x-max-priority': 5 });
    prioritized(ch, s.name('q'), 1, 2, 2, 1);
    for (let i = 0; i < 3; i++) await ch.get(s.name('q'), false);
    prioritized(ch, s.name('q'), 2, 1);
    ch.send('basic.nack', { deliveryTag: 3, multiple: true, requeue: true });
    await ch.drain(s.name('q'));
  },
  'priorities do not overtake what is delivered': async (s) => {
    const ch = await limited(s, { 'x-max-priority': 5 });
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    prioritized(ch, s.name('q'), 0);
    await ch.next();
    prioritized(ch, s.name('q'), 1, 5);
    await ch.counts(s.name('q'), 2);
    for (let tag = 1; tag <= 2; tag++) {
      ch.send('basic.ack', { deliveryTag: tag });
      await ch.next();
    }
  },
  'priorities with a length limit': async (s) => {
    const ch = await limited(s, { 'x-max-priority': 5, 'x-max-length': 2 });
    prioritized(ch, s.name('q'), 5, 1, 3);
    await ch.drain(s.name('q'));
  },
  'x-max-priority of 0': async (s) => {
    const ch = await limited(s, { 'x-max-priority': 0 });
    prioritized(ch, s.name('q'), 1, 5, 3);
    await ch.drain(s.name('q'));
  },
});
