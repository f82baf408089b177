// Situations: why messages die, what their history says, where they go, and what stops them from going round for ever.

import type { FieldValue } from '../../../shared/amqp/table.ts';
import { isMethod } from '../../support/amqp-client.ts';
import { type Channel, type Play, type Stage, situations, table } from './stage.ts';

type Args = Readonly<Record<string, FieldValue>>;

/** A topic exchange 'dlx' that feeds the queue 'dead', and a queue 'q' that dead-letters there. */
async function graveyard(s: Stage, args: Args = {}): Promise<Channel> {
  const ch = await s.channel();
  await ch.exchange(s.name('dlx'), 'topic');
  await ch.declare(s.name('dead'), {}, { exclusive: true });
  await ch.bind(s.name('dead'), s.name('dlx'), '#');
  await ch.declare(s.name('q'), { 'x-dead-letter-exchange': s.name('dlx'), ...args }, { exclusive: true });
  return ch;
}

/** Consumes from a queue, as its first deliveries come. */
async function collect(ch: Channel, queue: string, count: number): Promise<Channel> {
  const other = await ch.connection.channel();
  await other.consume(queue, { noAck: true });
  await other.take(count);
  return other;
}

/** Rejects the one message of a queue. */
async function reject(ch: Channel, queue: string): Promise<void> {
  const item = await ch.get(queue, false);
  if (isMethod(item, 'basic.get-ok')) ch.send('basic.reject', { deliveryTag: item.method.fields.deliveryTag });
}

/** Gets from a queue until there is something. What is empty is not written down. */
async function arrived(ch: Channel, queue: string, noAck = false): Promise<number> {
  for (;;) {
    ch.lane.hidden.add('basic.get-empty');
    const item = await ch.get(queue, noAck);
    ch.lane.hidden.clear();
    if (isMethod(item, 'basic.get-ok')) return item.method.fields.deliveryTag;
    if (!isMethod(item, 'basic.get-empty')) return 0;
  }
}

/** What a client says of the past of its message, rejected once. */
function withHistory(headers: Args): Play {
  return async (s) => {
    const ch = await graveyard(s);
    ch.publish({ routingKey: s.name('q'), properties: { headers: table(headers) }, body: 'm' });
    await reject(ch, s.name('q'));
    await collect(ch, s.name('dead'), 1);
  };
}

export const deadLetters = situations({
  'rejected: the history says from where, why, when and how often': async (s) => {
    const ch = await graveyard(s);
    const properties = { headers: table({ a: 1 }), messageId: 'id', deliveryMode: 2, correlationId: 'c', timestamp: 1234567890 };
    await ch.bind(s.name('q'), 'amq.direct', s.name('k'));
    ch.publish({ exchange: 'amq.direct', routingKey: s.name('k'), properties, body: 'm' });
    await reject(ch, s.name('q'));
    await collect(ch, s.name('dead'), 1);
  },
  'nacked without requeue, several at once: rejected, in order': async (s) => {
    const ch = await graveyard(s);
    ch.put(s.name('q'), '1', '2', '3');
    for (let i = 0; i < 3; i++) await ch.get(s.name('q'), false);
    ch.send('basic.nack', { deliveryTag: 3, multiple: true });
    await collect(ch, s.name('dead'), 3);
  },
  'rejected to be requeued is no death': async (s) => {
    const ch = await graveyard(s);
    ch.put(s.name('q'), '1');
    await ch.get(s.name('q'), false);
    ch.send('basic.reject', { deliveryTag: 1, requeue: true });
    await ch.get(s.name('q'));
    await ch.counts(s.name('dead'), 0);
  },
  'maxlen: the oldest dies': async (s) => {
    const ch = await graveyard(s, { 'x-max-length': 2 });
    ch.put(s.name('q'), '1', '2', '3', '4');
    await collect(ch, s.name('dead'), 2);
    await ch.drain(s.name('q'));
  },
  'maxlen by bytes': async (s) => {
    const ch = await graveyard(s, { 'x-max-length-bytes': 10 });
    ch.put(s.name('q'), '12345', '67890', 'abc', 'defghijklmno');
    await collect(ch, s.name('dead'), 4);
    await ch.counts(s.name('q'), 0);
  },
  'maxlen by reject-publish-dlx: the newest dies': async (s) => {
    const ch = await graveyard(s, { 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx' });
    await ch.call('confirm.select');
    ch.put(s.name('q'), '1', '2', '3');
    await ch.confirmed();
    const publisher = await collect(ch, s.name('dead'), 2);
    await publisher.drain(s.name('q'));
  },
  'delivery_limit: a quorum queue gives up': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('dead'), {}, { exclusive: true });
    const args = {
      'x-queue-type': 'quorum',
      'x-delivery-limit': 2,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': s.name('dead'),
    };
    await ch.declare(s.name('q'), args, { durable: true });
    await ch.call('confirm.select');
    ch.put(s.name('q'), 'm');
    await ch.confirmed();
    for (let tag = 1; tag <= 3; tag++) ch.send('basic.reject', { deliveryTag: await arrived(ch, s.name('q')), requeue: true });
    await arrived(ch, s.name('dead'), true);
    await ch.counts(s.name('q'), 0);
  },
  'purged, deleted and acked messages do not die': async (s) => {
    const ch = await graveyard(s);
    ch.put(s.name('q'), '1', '2', '3');
    await ch.get(s.name('q'), false);
    ch.send('basic.ack', { deliveryTag: 1 });
    await ch.call('queue.purge', { queue: s.name('q') });
    ch.put(s.name('q'), '4');
    await ch.call('queue.delete', { queue: s.name('q') });
    await ch.counts(s.name('dead'), 0);
  },
  'a key of its own for dead letters': async (s) => {
    const ch = await graveyard(s, { 'x-dead-letter-routing-key': 'the.dead' });
    ch.put(s.name('q'), 'm');
    await reject(ch, s.name('q'));
    await collect(ch, s.name('dead'), 1);
  },
  'an empty key of its own for dead letters': async (s) => {
    const ch = await graveyard(s, { 'x-dead-letter-routing-key': '' });
    ch.put(s.name('q'), 'm');
    await reject(ch, s.name('q'));
    await collect(ch, s.name('dead'), 1);
  },
  'CC stays and is used again': async (s) => {
    const ch = await graveyard(s);
    await ch.declare(s.name('by cc'), {}, { exclusive: true });
    await ch.bind(s.name('by cc'), s.name('dlx'), 'extra');
    ch.publish({ routingKey: s.name('q'), properties: { headers: table({ CC: ['extra'], BCC: ['hidden'] }) }, body: 'm' });
    await reject(ch, s.name('q'));
    const other = await collect(ch, s.name('dead'), 1);
    await other.drain(s.name('by cc'));
  },
  'CC goes where there is a key of its own': async (s) => {
    const ch = await graveyard(s, { 'x-dead-letter-routing-key': 'the.dead' });
    await ch.declare(s.name('by cc'), {}, { exclusive: true });
    await ch.bind(s.name('by cc'), s.name('dlx'), 'extra');
    ch.publish({ routingKey: s.name('q'), properties: { headers: table({ CC: ['extra'] }) }, body: 'm' });
    await reject(ch, s.name('q'));
    const other = await collect(ch, s.name('dead'), 1);
    await other.counts(s.name('by cc'), 0);
  },
  'a dead letter for several queues': async (s) => {
    const ch = await graveyard(s);
    await ch.declare(s.name('dead too'), {}, { exclusive: true });
    await ch.bind(s.name('dead too'), s.name('dlx'), '#');
    ch.put(s.name('q'), 'm');
    await reject(ch, s.name('q'));
    await collect(ch, s.name('dead'), 1);
    await collect(ch, s.name('dead too'), 1);
  },
  'a missing exchange for dead letters': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-dead-letter-exchange': s.name('nosuch') }, { exclusive: true });
    ch.put(s.name('q'), 'lost');
    await reject(ch, s.name('q'));
    await ch.counts(s.name('q'), 0);
  },
  'an exchange for dead letters that routes nowhere': async (s) => {
    const ch = await s.channel();
    await ch.declare(
      s.name('q'),
      { 'x-dead-letter-exchange': 'amq.direct', 'x-dead-letter-routing-key': s.name('nosuch') },
      { exclusive: true },
    );
    ch.put(s.name('q'), 'lost');
    await reject(ch, s.name('q'));
    await ch.counts(s.name('q'), 0);
  },
  'an internal exchange for dead letters': async (s) => {
    const ch = await s.channel();
    await ch.exchange(s.name('dlx'), 'fanout', {}, { internal: true });
    await ch.declare(s.name('dead'), {}, { exclusive: true });
    await ch.bind(s.name('dead'), s.name('dlx'));
    await ch.declare(s.name('q'), { 'x-dead-letter-exchange': s.name('dlx') }, { exclusive: true });
    ch.put(s.name('q'), 'm');
    await reject(ch, s.name('q'));
    await collect(ch, s.name('dead'), 1);
  },
  'the same death again adds to its count': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('dead'), {}, { exclusive: true });
    await ch.declare(s.name('q'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('dead') }, { exclusive: true });
    ch.put(s.name('q'), 'm');
    for (let round = 1; round <= 3; round++) {
      await reject(ch, s.name('q'));
      const tag = await arrived(ch, s.name('dead'));
      ch.send('basic.ack', { deliveryTag: tag });
      const item = ch.lastContent();
      ch.publish({ routingKey: s.name('q'), properties: item?.properties ?? {}, body: 'm' });
    }
  },
  'deaths in two queues, again and again: the last comes first': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('a'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('b') }, { exclusive: true });
    await ch.declare(s.name('b'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('a') }, { exclusive: true });
    ch.put(s.name('a'), 'm');
    for (const queue of ['a', 'b', 'a', 'b', 'a']) {
      const tag = await arrived(ch, s.name(queue));
      ch.send('basic.reject', { deliveryTag: tag });
    }
    await arrived(ch, s.name('b'), true);
  },
  'a circle of expiry drops the message': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('a'), { 'x-message-ttl': 5, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('b') });
    await ch.declare(s.name('b'), { 'x-message-ttl': 5, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('a') });
    ch.put(s.name('a'), 'round and round');
    await ch.declare(s.name('clock'), { 'x-message-ttl': 200, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('rung') });
    await ch.declare(s.name('rung'));
    await ch.consume(s.name('rung'), { noAck: true });
    ch.put(s.name('clock'), 'time');
    await ch.next();
    await ch.counts(s.name('a'), 0);
    await ch.counts(s.name('b'), 0);
  },
  'a queue that dead-letters to itself by expiry drops the message': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-message-ttl': 5, 'x-dead-letter-exchange': '' });
    ch.put(s.name('q'), 'to itself');
    await ch.declare(s.name('clock'), { 'x-message-ttl': 200, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('rung') });
    await ch.declare(s.name('rung'));
    await ch.consume(s.name('rung'), { noAck: true });
    ch.put(s.name('clock'), 'time');
    await ch.next();
    await ch.counts(s.name('q'), 0);
  },
  'a queue that dead-letters to itself by reject goes on': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), { 'x-dead-letter-exchange': '' }, { exclusive: true });
    ch.put(s.name('q'), 'to itself');
    for (let round = 0; round < 3; round++) ch.send('basic.reject', { deliveryTag: await arrived(ch, s.name('q')) });
    await arrived(ch, s.name('q'), true);
  },
  'a circle with a reject in it goes on': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('work'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('wait') });
    await ch.declare(s.name('wait'), { 'x-message-ttl': 20, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('work') });
    ch.put(s.name('work'), 'retried');
    await ch.consume(s.name('work'));
    for (let round = 1; round <= 3; round++) {
      await ch.next();
      ch.send('basic.reject', { deliveryTag: round });
    }
    await ch.next();
  },
  'a message that dies of one thing and then of another': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('last'), {}, { exclusive: true });
    await ch.declare(s.name('second'), { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('last') }, { exclusive: true });
    await ch.declare(
      s.name('first'),
      { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': s.name('second'), 'x-message-ttl': 10 },
      { exclusive: true },
    );
    ch.put(s.name('first'), 'm');
    ch.send('basic.reject', { deliveryTag: await arrived(ch, s.name('second')) });
    await arrived(ch, s.name('last'), true);
  },

  'x-death from a client that is no list': withHistory({ 'x-death': 'old' }),
  'x-death from a client of another queue': withHistory({
    'x-death': [table({ queue: 'elsewhere', reason: 'expired', count: 5, exchange: 'x', 'routing-keys': ['k'] })],
  }),
  'x-death from a client that is empty': withHistory({ 'x-death': [] }),
  'x-first-death headers from a client': withHistory({
    'x-first-death-queue': 'mine',
    'x-first-death-reason': 'boredom',
    'x-first-death-exchange': 'e',
  }),
});
