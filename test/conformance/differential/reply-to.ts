// Situations: direct reply-to.

import { isMethod } from '../../support/amqp-client.ts';
import { type Channel, type Stage, situations } from './stage.ts';

const REPLY_TO = 'amq.rabbitmq.reply-to';

/** A requester with its reply consumer. */
async function requester(s: Stage): Promise<Channel> {
  const ch = await s.channel();
  await ch.consume(REPLY_TO, { noAck: true });
  return ch;
}

/** The address that a request of this requester carries. */
async function address(s: Stage, ch: Channel): Promise<string> {
  const server = await s.channel();
  await server.declare(s.name('requests'), {}, { exclusive: true });
  ch.publish({ routingKey: s.name('requests'), properties: { replyTo: REPLY_TO, correlationId: '1' }, body: 'request' });
  await ch.fence();
  await server.counts(s.name('requests'), 1);
  const item = await server.get(s.name('requests'));
  return isMethod(item, 'basic.get-ok') && item.kind === 'method' ? (item.content?.properties.replyTo ?? '') : '';
}

export const replyTo = situations({
  'a request and its reply': async (s) => {
    const ch = await requester(s);
    const to = await address(s, ch);
    const server = await s.channel();
    server.publish({ routingKey: to, properties: { correlationId: '1' }, body: 'reply', mandatory: true });
    await server.fence();
    await ch.next();
  },
  'several replies': async (s) => {
    const ch = await requester(s);
    const to = await address(s, ch);
    const server = await s.channel();
    await server.call('confirm.select');
    server.put(to, '1', '2', '3');
    await server.confirmed();
    await ch.take(3);
  },
  'the address of one channel stays the same': async (s) => {
    const ch = await requester(s);
    const other = await requester(s);
    const server = await s.channel();
    await server.declare(s.name('requests'));
    const addresses: string[] = [];
    for (const from of [ch, ch, other]) {
      from.publish({ routingKey: s.name('requests'), properties: { replyTo: REPLY_TO }, body: 'request' });
      await from.fence();
      await server.counts(s.name('requests'), 1);
      const item = await server.get(s.name('requests'));
      addresses.push(isMethod(item, 'basic.get-ok') && item.kind === 'method' ? (item.content?.properties.replyTo ?? '') : '');
    }
    s.note(`the same from one channel: ${addresses[0] === addresses[1]}, from another: ${addresses[0] === addresses[2]}`);
  },
  'a request without a reply consumer': async (s) => {
    const ch = await s.channel();
    ch.publish({ routingKey: s.name('q'), properties: { replyTo: REPLY_TO }, body: 'request' });
    await ch.next();
  },
  'a reply consumer that acknowledges': async (s) => {
    const ch = await s.channel();
    await ch.consume(REPLY_TO);
  },
  'a second reply consumer': async (s) => {
    const ch = await requester(s);
    await ch.consume(REPLY_TO, { noAck: true, consumerTag: 'd' });
  },
  'a reply consumer that is exclusive': async (s) => {
    const ch = await s.channel();
    await ch.consume(REPLY_TO, { noAck: true, exclusive: true });
  },
  'a reply consumer after one that was cancelled': async (s) => {
    const ch = await requester(s);
    await ch.call('basic.cancel', { consumerTag: 'c' });
    await ch.consume(REPLY_TO, { noAck: true, consumerTag: 'd' });
  },
  'a reply consumer whose tag the server makes': async (s) => {
    const ch = await s.channel();
    await ch.consume(REPLY_TO, { noAck: true, consumerTag: '' });
  },
  'a reply consumer with a tag that is taken': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    await ch.consume(s.name('q'), { consumerTag: 't' });
    await ch.consume(REPLY_TO, { noAck: true, consumerTag: 't' });
  },
  'a request whose consumer was cancelled': async (s) => {
    const ch = await requester(s);
    await ch.call('basic.cancel', { consumerTag: 'c' });
    ch.publish({ routingKey: s.name('q'), properties: { replyTo: REPLY_TO }, body: 'request' });
    await ch.next();
  },
  'does the requester live? a passive declare of its address tells': async (s) => {
    const ch = await requester(s);
    const to = await address(s, ch);
    await s.probe('queue.declare', { queue: to, passive: true });
    await ch.connection.close();
    await s.probe('queue.declare', { queue: to, passive: true });
  },
  'a reply to a requester that is gone': async (s) => {
    const ch = await requester(s);
    const to = await address(s, ch);
    await ch.connection.close();
    const server = await s.channel();
    server.publish({ routingKey: to, body: 'too late', mandatory: true });
    server.publish({ routingKey: to, body: 'too late' });
    await server.fence();
  },
  'a reply to a channel that is closed': async (s) => {
    const ch = await requester(s);
    const to = await address(s, ch);
    await ch.close();
    const server = await s.channel();
    server.publish({ routingKey: to, body: 'too late' });
    await server.fence();
  },
  'a reply to an address that nobody ever had': async (s) => {
    const ch = await s.channel();
    ch.publish({ routingKey: `${REPLY_TO}.nonsense`, body: 'm' });
    ch.publish({ routingKey: `${REPLY_TO}.nonsense`, body: 'm', mandatory: true });
    await ch.fence();
  },
  'a message to the reply queue itself': async (s) => {
    const ch = await requester(s);
    ch.publish({ routingKey: REPLY_TO, body: 'm', mandatory: true });
    await ch.fence();
  },
  'the reply queue cannot be bound': async (s) => s.probe('queue.bind', { queue: REPLY_TO, exchange: 'amq.direct', routingKey: 'k' }),
  'the reply queue, declared passively': async (s) => s.probe('queue.declare', { queue: REPLY_TO, passive: true }),
  'the reply queue, got from': async (s) => s.probe('basic.get', { queue: REPLY_TO, noAck: true }),
  'the reply queue, purged': async (s) => s.probe('queue.purge', { queue: REPLY_TO }),
  'the reply queue, deleted': async (s) => s.probe('queue.delete', { queue: REPLY_TO }),
  'a replyTo that is another queue stays as it is': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), properties: { replyTo: 'my.replies' }, body: 'request' });
    await ch.get(s.name('q'));
  },
});
