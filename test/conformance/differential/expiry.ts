// Situations: time to live of queues and messages, seen where they go: in a queue for dead letters.

import { type Channel, type Stage, situations } from './stage.ts';

/** A queue 'q' whose dead letters go to 'dead', and a consumer there. */
async function mortal(s: Stage, args: Parameters<Channel['declare']>[1] = {}): Promise<{ ch: Channel; dead: Channel }> {
  const ch = await s.channel();
  await ch.declare(s.name('dead'));
  await ch.declare(s.name('q'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('dead'), ...args });
  const dead = await ch.connection.channel();
  await dead.consume(s.name('dead'), { noAck: true });
  return { ch, dead };
}

export const expiry = situations({
  'a queue with a time to live': async (s) => {
    const { ch, dead } = await mortal(s, { 'x-message-ttl': 30 });
    ch.put(s.name('q'), '1', '2');
    await dead.take(2);
    await ch.counts(s.name('q'), 0);
  },
  'a message with a time to live': async (s) => {
    const { ch, dead } = await mortal(s);
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '30' }, body: 'm' });
    await dead.next();
    await ch.counts(s.name('q'), 0);
  },
  'the shorter time to live holds: that of the message': async (s) => {
    const { ch, dead } = await mortal(s, { 'x-message-ttl': 3_600_000 });
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '30' }, body: 'm' });
    await dead.next();
  },
  'the shorter time to live holds: that of the queue': async (s) => {
    const { ch, dead } = await mortal(s, { 'x-message-ttl': 30 });
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '3600000' }, body: 'm' });
    await dead.next();
  },
  'a time to live of 0 without a consumer': async (s) => {
    const { ch, dead } = await mortal(s);
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '0' }, body: 'm', mandatory: true });
    await dead.next();
    await ch.counts(s.name('q'), 0);
  },
  'a time to live of 0 with a consumer': async (s) => {
    const { ch } = await mortal(s, { 'x-message-ttl': 0 });
    await ch.consume(s.name('q'), { noAck: true });
    ch.put(s.name('q'), 'delivered');
    await ch.next();
  },
  'a time to live of 0 with a consumer that has no credit': async (s) => {
    const { ch, dead } = await mortal(s, { 'x-message-ttl': 0 });
    await ch.call('basic.qos', { prefetchCount: 1 });
    await ch.consume(s.name('q'));
    ch.put(s.name('q'), 'delivered', 'dead');
    await ch.next();
    await dead.next();
  },
  'a message that is unacked does not expire': async (s) => {
    const { ch, dead } = await mortal(s, { 'x-message-ttl': 300 });
    ch.put(s.name('q'), 'unacked');
    await ch.get(s.name('q'), false);
    // Later than the time of the first one.
    ch.put(s.name('q'), 'ready');
    await dead.next();
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    await dead.next();
    await ch.counts(s.name('q'), 0);
  },
  'a message that expires behind one that does not': async (s) => {
    const { ch, dead } = await mortal(s);
    ch.put(s.name('q'), 'stays');
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '1' }, body: 'late' });
    // One of the same time in another queue has gone when this comes.
    await ch.declare(s.name('clock'), { 'x-message-ttl': 200, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('rung') });
    await ch.declare(s.name('rung'));
    await ch.consume(s.name('rung'), { noAck: true });
    ch.put(s.name('clock'), 'time');
    await ch.next();
    await ch.counts(s.name('q'), 2);
    await ch.get(s.name('q'));
    await dead.next();
    await ch.counts(s.name('q'), 0);
  },
  'expiration is gone from a dead letter, which does not expire again': async (s) => {
    const { ch, dead } = await mortal(s);
    await dead.call('basic.cancel', { consumerTag: 'c' });
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '1', priority: 3 }, body: 'm' });
    await ch.declare(s.name('clock'), { 'x-message-ttl': 100, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('rung') });
    await ch.declare(s.name('rung'));
    await ch.consume(s.name('rung'), { noAck: true });
    ch.put(s.name('clock'), 'time');
    await ch.next();
    await ch.get(s.name('dead'));
  },
  'expiration stays on a message that is delivered': async (s) => {
    const { ch } = await mortal(s);
    ch.publish({ routingKey: s.name('q'), properties: { expiration: '60000' }, body: 'm' });
    await ch.get(s.name('q'));
  },
  'expired messages keep their order': async (s) => {
    const { ch, dead } = await mortal(s, { 'x-message-ttl': 20 });
    ch.put(s.name('q'), ...Array.from({ length: 10 }, (_, i) => `${i}`));
    await dead.take(10);
  },
  'x-expires is renewed by a get': async (s) => {
    const { ch } = await mortal(s);
    await ch.declare(s.name('short'), { 'x-expires': 4000 });
    await ch.declare(s.name('tick'), { 'x-message-ttl': 1000, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('tock') });
    await ch.declare(s.name('tock'));
    await ch.consume(s.name('tock'), { noAck: true });
    for (let i = 0; i < 5; i++) {
      ch.put(s.name('tick'), 'tick');
      await ch.next();
      await ch.get(s.name('short'));
    }
    await s.gone(s.name('short'));
  },
});
