// Situations: publishing, returns, confirms, and what a message may not have.

import type { Properties } from '../../../shared/amqp/properties.ts';
import { isMethod } from '../../support/amqp-client.ts';
import { type Play, situations, table } from './stage.ts';

/** A message with these properties to a queue of one's own, and what came of it. */
function withProperties(properties: Properties): Play {
  return async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), properties, body: 'm' });
    await ch.fence();
    if (ch.isOpen) await ch.get(s.name('q'));
  };
}

export const publishing = situations({
  'messages of one channel keep their order': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.put(s.name('q'), ...Array.from({ length: 20 }, (_, i) => `${i}`));
    await ch.drain(s.name('q'));
  },
  'a message that reaches no queue is dropped': async (s) => {
    const ch = await s.channel();
    ch.put(s.name('nosuch'), 'lost');
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('nosuch'), body: 'lost' });
    await ch.fence();
  },
  'a mandatory message that reaches no queue comes back whole': async (s) => {
    const ch = await s.channel();
    const properties: Properties = { headers: table({ a: 1 }), deliveryMode: 2, correlationId: 'id', contentType: 'text/plain' };
    ch.publish({ exchange: 'amq.topic', routingKey: s.name('no.where'), mandatory: true, properties, body: 'back' });
    await ch.next();
  },
  'a mandatory message of many frames comes back in many': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    ch.publish({ routingKey: s.name('nosuch'), mandatory: true, body: 'x'.repeat(10_000) });
    await ch.next();
  },
  'a mandatory empty message comes back': async (s) => {
    const ch = await s.channel();
    ch.publish({ routingKey: s.name('nosuch'), mandatory: true });
    await ch.next();
  },
  'a routing key of 255 octets': async (s) => {
    const ch = await s.channel();
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('x').padEnd(255, 'x'), mandatory: true, body: 'back' });
    await ch.next();
  },
  'a mandatory message that reaches a queue does not come back': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), mandatory: true, body: 'there' });
    await ch.get(s.name('q'));
  },
  'a mandatory message with CC and BCC comes back with its CC': async (s) => {
    const ch = await s.channel();
    const headers = table({ CC: [s.name('no')], BCC: [s.name('nono')] });
    ch.publish({ routingKey: s.name('nosuch'), mandatory: true, properties: { headers }, body: 'back' });
    await ch.next();
  },
  'an immediate message': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), immediate: true, body: 'now' });
    await ch.next();
  },
  'a message to a missing exchange': async (s) => {
    const ch = await s.channel();
    ch.publish({ exchange: s.name('nosuch'), routingKey: 'k', body: 'm' });
    await ch.next();
  },
  'a message to a missing exchange while confirms are due': async (s) => {
    const ch = await s.channel();
    await ch.call('confirm.select');
    ch.publish({ exchange: s.name('nosuch'), routingKey: 'k', mandatory: true, body: 'm' });
    await ch.next();
  },
  'a message to an internal exchange': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'fanout', {}, { internal: true });
    ch.publish({ exchange: s.name('e'), body: 'm' });
    await ch.next();
  },
  'a message to the exchange of the tracer': async (s) => {
    const ch = await s.channel();
    ch.publish({ exchange: 'amq.rabbitmq.trace', body: 'm' });
    await ch.next();
  },
  'a message above the largest': async (s) => {
    const ch = await s.channel();
    ch.publish({ routingKey: s.name('q'), body: new Uint8Array(1_048_577) });
    await ch.next();
  },
  'the largest message': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), body: new Uint8Array(1_048_576) });
    await ch.get(s.name('q'));
  },
  'expiration that is no number': withProperties({ expiration: 'abc' }),
  'an empty expiration': withProperties({ expiration: '' }),
  'a negative expiration': withProperties({ expiration: '-1' }),
  'expiration with a fraction': withProperties({ expiration: '1.5' }),
  'expiration with a sign': withProperties({ expiration: '+60000' }),
  'expiration with a space': withProperties({ expiration: ' 60000' }),
  'expiration with something behind it': withProperties({ expiration: '60000ms' }),
  'expiration with leading zeros': withProperties({ expiration: '0060000' }),
  'expiration of ten years': withProperties({ expiration: '315360000000' }),
  'expiration of more than ten years': withProperties({ expiration: '315360000001' }),
  'expiration of a minute': withProperties({ expiration: '60000' }),
  'expiration that is wrong, to a missing exchange': async (s) => {
    const ch = await s.channel();
    ch.publish({ exchange: s.name('nosuch'), properties: { expiration: 'abc' } });
    await ch.next();
  },
  'expiration that is wrong, on a message that reaches no queue': async (s) => {
    const ch = await s.channel();
    ch.publish({ routingKey: s.name('nosuch'), properties: { expiration: 'abc' } });
    await ch.fence();
  },
  'user_id of the user': withProperties({ userId: 'guest' }),
  'user_id of another': withProperties({ userId: 'bob' }),
  'an empty user_id': withProperties({ userId: '' }),
  'a priority of 255': withProperties({ priority: 255 }),
  'a delivery mode of 0': withProperties({ deliveryMode: 0 }),
  'a delivery mode of 7': withProperties({ deliveryMode: 7 }),

  'confirm.select': async (s) => {
    const ch = await s.channel();
    await ch.call('confirm.select');
    await ch.call('confirm.select');
  },
  'confirms count from 1, also for what reaches no queue': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.put(s.name('q'), 'before');
    await ch.call('confirm.select');
    ch.put(s.name('q'), '1', '2');
    ch.put(s.name('nosuch'), '3');
    ch.publish({ routingKey: s.name('q'), body: '4', properties: { deliveryMode: 2 } });
    await ch.confirmed();
    await ch.call('confirm.select');
    ch.put(s.name('q'), '5');
    await ch.confirmed();
  },
  'a persistent message in a durable queue is confirmed': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { durable: true });
    await ch.call('confirm.select');
    for (let i = 0; i < 5; i++) ch.publish({ routingKey: s.name('q'), properties: { deliveryMode: 2 }, body: `${i}` });
    await ch.confirmed();
    await ch.drain(s.name('q'));
  },
  'a mandatory message comes back before it is confirmed': async (s) => {
    const ch = await s.channel();
    await ch.call('confirm.select');
    for (const body of ['1', '2', '3']) {
      ch.publish({ routingKey: s.name('nosuch'), mandatory: true, body });
      await ch.confirmed();
    }
  },
  'a message to several queues is confirmed once': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('e'), 'fanout');
    for (const queue of ['a', 'b', 'c']) {
      await ch.declare(s.name(queue), {}, { exclusive: true });
      await ch.bind(s.name(queue), s.name('e'));
    }
    await ch.call('confirm.select');
    ch.publish({ exchange: s.name('e'), body: 'm' });
    await ch.confirmed();
    await ch.fence();
  },
  'basic.ack and basic.nack of the client are no confirms': async (s) => {
    const ch = await s.channel();
    await ch.call('confirm.select');
    ch.put(s.name('nosuch'), '1');
    await ch.confirmed();
    await ch.call('basic.ack', { deliveryTag: 1 });
  },
  'a channel that closes loses no message that it published': async (s) => {
    const connection = await s.connect();
    const ch = await connection.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.put(s.name('q'), ...Array.from({ length: 10 }, (_, i) => `${i}`));
    ch.send('channel.close');
    const item = await ch.next();
    if (isMethod(item, 'channel.close-ok')) await (await connection.channel()).counts(s.name('q'), 10);
  },
});
