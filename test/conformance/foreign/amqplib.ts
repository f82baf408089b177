// amqplib, through its promise API: the client that most services in Node have.
// Each script opens connections of its own and declares names of its own, so that no scenario leans on another.

import amqp, { type ChannelModel, type ConfirmChannel, type ConsumeMessage, type Message } from 'amqplib';
import { fresh, holds, Inbox, largeBody, refused, same, sha256, takeBehind, within } from './checks.ts';
import type { Scripts, Target } from './scenarios.ts';

type Step = (channel: ConfirmChannel, connection: ChannelModel) => Promise<string>;

async function connected(target: Target, step: Step): Promise<string> {
  const connection = await amqp.connect(target.amqpUrl);
  // Without a listener a closed connection or channel would be an uncaught error; the pending call rejects anyway.
  connection.on('error', () => {});
  try {
    return await step(await openChannel(connection), connection);
  } finally {
    await connection.close().catch(() => {});
  }
}

async function openChannel(connection: ChannelModel): Promise<ConfirmChannel> {
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => {});
  return channel;
}

async function taken(channel: ConfirmChannel, queue: string): Promise<Message> {
  const message = await channel.get(queue);
  if (message === false) throw new Error(`nothing is in ${queue}`);
  return message;
}

const script =
  (step: (target: Target, ...given: Parameters<Step>) => Promise<string>): ((target: Target) => Promise<string>) =>
  (target) =>
    connected(target, (channel, connection) => step(target, channel, connection));

const COUNT = 200;

const confirms = script(async (target, channel) => {
  const queue = fresh('confirms');
  await channel.assertQueue(queue, { durable: true });
  let confirmed = 0;
  for (let index = 0; index < COUNT; index++) {
    channel.sendToQueue(queue, Buffer.from(`message ${index}`), { persistent: true }, (error) => {
      if (error === null) confirmed++;
    });
  }
  await within(target.patienceMs, 'the confirms', channel.waitForConfirms());
  same('confirmed', confirmed, COUNT);
  same('messages in the queue', (await channel.checkQueue(queue)).messageCount, COUNT);
  for (let index = 0; index < COUNT; index++) {
    const message = await channel.get(queue, { noAck: true });
    same('body', message ? message.content.toString() : message, `message ${index}`);
  }
  await channel.deleteQueue(queue);
  return `${COUNT} confirmed`;
});

const ackAndNack = script(async (target, channel, connection) => {
  const queue = fresh('acks');
  await channel.assertQueue(queue);
  for (const body of ['one', 'two', 'three']) channel.sendToQueue(queue, Buffer.from(body));
  await channel.waitForConfirms();
  await channel.prefetch(1);
  const inbox = new Inbox<ConsumeMessage>(target.patienceMs);
  const { consumerTag } = await channel.consume(queue, (message) => message !== null && inbox.put(message));
  const seen: string[] = [];
  for (let index = 0; index < 4; index++) {
    const message = await inbox.take('a delivery');
    seen.push(`${message.content.toString()}${message.fields.redelivered ? ' again' : ''}`);
    if (index === 0) channel.nack(message, false, true);
    else channel.ack(message);
  }
  same('deliveries', seen, ['one', 'one again', 'two', 'three']);
  await channel.cancel(consumerTag);
  same('messages left', (await channel.checkQueue(queue)).messageCount, 0);

  // What is not acked when its channel closes goes back.
  channel.sendToQueue(queue, Buffer.from('four'));
  await channel.waitForConfirms();
  const second = await openChannel(connection);
  same('first time', (await taken(second, queue)).fields.redelivered, false);
  await second.close();
  const back = await taken(channel, queue);
  same('second time', back.fields.redelivered, true);
  channel.reject(back, false);
  await channel.deleteQueue(queue);
  return 'ack, nack, reject';
});

const topology = script(async (_target, channel, connection) => {
  const [source, sink] = [fresh('source'), fresh('sink')];
  await channel.assertExchange(source, 'topic', { durable: false });
  await channel.assertExchange(sink, 'fanout', { durable: false });
  await channel.bindExchange(sink, source, 'order.*');
  const { queue } = await channel.assertQueue('', { exclusive: true });
  holds('the server names the queue', queue.startsWith('amq.gen-'));
  await channel.bindQueue(queue, sink, '');
  channel.publish(source, 'order.new', Buffer.from('routed'));
  channel.publish(source, 'order.new.late', Buffer.from('not routed'));
  await channel.waitForConfirms();
  same('messages', (await channel.checkQueue(queue)).messageCount, 1);
  same('body', (await taken(channel, queue)).content.toString(), 'routed');

  await channel.unbindExchange(sink, source, 'order.*');
  channel.publish(source, 'order.new', Buffer.from('unbound'));
  await channel.waitForConfirms();
  same('what came after unbind', await channel.get(queue), false);

  await channel.bindQueue(queue, 'amq.headers', '', { 'x-match': 'all', region: 'eu', rank: 1 });
  channel.publish('amq.headers', '', Buffer.from('matched'), { headers: { region: 'eu', rank: 1 } });
  channel.publish('amq.headers', '', Buffer.from('other'), { headers: { region: 'us', rank: 1 } });
  await channel.waitForConfirms();
  same('purged', (await channel.purgeQueue(queue)).messageCount, 1);

  await channel.checkExchange(source);
  await channel.deleteExchange(source);
  await channel.deleteExchange(sink);
  await channel.deleteQueue(queue);
  for (const [what, check] of [
    ['queue', (other: ConfirmChannel) => other.checkQueue(queue)],
    ['exchange', (other: ConfirmChannel) => other.checkExchange(source)],
  ] as const) {
    const other = await openChannel(connection);
    await refused(`a passive declare of a deleted ${what}`, () => check(other), /404 \(NOT-FOUND\).*NOT_FOUND - no /);
  }
  return 'e2e, server-named, passive';
});

const rpc = script(async (target, channel, connection) => {
  const queue = fresh('rpc');
  const server = await openChannel(connection);
  await server.assertQueue(queue, { exclusive: true });
  await server.consume(queue, (request) => {
    if (request === null) return;
    server.sendToQueue(request.properties.replyTo, Buffer.from(`${request.content}, world`), {
      correlationId: request.properties.correlationId,
    });
    server.ack(request);
  });
  const inbox = new Inbox<ConsumeMessage>(target.patienceMs);
  await channel.consume('amq.rabbitmq.reply-to', (reply) => reply !== null && inbox.put(reply), { noAck: true });
  for (const word of ['hello', 'good morning']) {
    channel.sendToQueue(queue, Buffer.from(word), { replyTo: 'amq.rabbitmq.reply-to', correlationId: word });
    const reply = await inbox.take('the reply');
    same('reply', [reply.content.toString(), reply.properties.correlationId], [`${word}, world`, word]);
  }
  return 'direct reply-to';
});

const ttlAndDlx = script(async (target, channel) => {
  const [dlx, dead, queue] = [fresh('dlx'), fresh('dead'), fresh('ttl')];
  await channel.assertExchange(dlx, 'direct');
  await channel.assertQueue(dead);
  await channel.bindQueue(dead, dlx, queue);
  await channel.assertQueue(queue, { messageTtl: 60_000, deadLetterExchange: dlx });
  const inbox = new Inbox<ConsumeMessage>(target.patienceMs);
  await channel.consume(dead, (message) => message !== null && inbox.put(message));

  channel.sendToQueue(queue, Buffer.from('short-lived'), { expiration: 20 });
  const expired = await inbox.take('the expired message');
  same('body', expired.content.toString(), 'short-lived');
  same('expiration', expired.properties.expiration, undefined);
  const { time, ...death } = expired.properties.headers?.['x-death']?.[0] ?? { time: { value: 0 } };
  holds('x-death has a time', time.value > 1_600_000_000);
  same('x-death', death, {
    count: 1,
    reason: 'expired',
    queue,
    exchange: '',
    'routing-keys': [queue],
    'original-expiration': '20',
  });
  same('x-first-death-reason', expired.properties.headers?.['x-first-death-reason'], 'expired');

  channel.sendToQueue(queue, Buffer.from('refused'));
  await channel.waitForConfirms();
  channel.reject(await taken(channel, queue), false);
  const rejected = await inbox.take('the rejected message');
  same('reason', rejected.properties.headers?.['x-death']?.[0]?.reason, 'rejected');
  channel.ackAll();
  for (const name of [dead, queue]) await channel.deleteQueue(name);
  await channel.deleteExchange(dlx);
  return 'expired, rejected';
});

const large = script(async (target, channel) => {
  const body = largeBody();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.sendToQueue(queue, Buffer.from(body.buffer));
  await within(target.patienceMs, 'the confirm', channel.waitForConfirms());
  const inbox = new Inbox<ConsumeMessage>(target.patienceMs);
  await channel.consume(queue, (message) => message !== null && inbox.put(message));
  const message = await inbox.take('the message');
  same('sha256', await sha256(Uint8Array.from(message.content)), await sha256(body));
  channel.ack(message);
  return 'sha256';
});

/** amqplib's own recovery: its `setup` runs on each connection, and its consumer goes on. */
async function surviving(target: Target, end: () => Promise<void>): Promise<string> {
  const [kept, flow] = [fresh('kept'), fresh('flow')];
  const inbox = new Inbox<string>(target.patienceMs);
  const connects = new Inbox<'connected'>(target.patienceMs);
  const setup = async (model: ChannelModel): Promise<void> => {
    const channel = await openChannel(model);
    await channel.assertQueue(kept, { durable: true });
    await channel.assertQueue(flow, { durable: true });
    await channel.consume(flow, (message) => {
      if (message === null) return;
      inbox.put(message.content.toString());
      channel.ack(message);
    });
  };
  const connection = await amqp.connect(target.amqpUrl, { recovery: { initialDelay: 50, maxDelay: 200, setup } });
  connection.on('connect', () => connects.put('connected'));
  connection.on('error', () => {});
  const send = async (queue: string, body: string): Promise<void> => {
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => {});
    channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
    await within(target.patienceMs, 'the confirm', channel.waitForConfirms());
    await channel.close();
  };
  try {
    await send(kept, 'kept');
    await send(flow, 'before');
    same('first', await inbox.take('the message before'), 'before');
    const known = connects.waiting;
    await end();
    for (let index = 0; index <= known; index++) await connects.take('the new connection');
    await send(flow, 'after');
    same('second', await takeBehind(inbox, 'before'), 'after');
    return await connected(target, async (channel) => {
      const message = await taken(channel, kept);
      same('body', message.content.toString(), 'kept');
      channel.ack(message);
      for (const name of [kept, flow]) await channel.deleteQueue(name);
      return 'own recovery';
    });
  } finally {
    await connection.close().catch(() => {});
  }
}

const headers = script(async (_target, channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const typed = (type: string, value: unknown): object => ({ '!': type, value });
  const plain = { text: 'hébé', yes: true, no: false, byte: -5, short: -300, int: 70_000, long: 2 ** 40, double: 1.5, nothing: null };
  const nested = { list: [1, 'two', { three: 3 }, null], table: { a: { b: 'c' } }, bytes: Buffer.from([0, 255, 206]) };
  const kept = { stamp: typed('timestamp', 1_700_000_000), decimal: typed('decimal', { places: 2, digits: 314 }) };
  const exact = { float: typed('float', 0.5), u8: typed('uint8', 200), u16: typed('uint16', 60_000), u32: typed('uint32', 4_000_000_000) };
  const properties = { contentType: 'text/x', contentEncoding: 'y', priority: 3, messageId: 'm', type: 't', appId: 'a', userId: 'guest' };
  channel.sendToQueue(queue, Buffer.alloc(0), {
    ...properties,
    timestamp: 1_700_000_001,
    headers: { ...plain, ...nested, ...kept, ...exact },
  });
  await channel.waitForConfirms();
  const message = await taken(channel, queue);
  const got = message.properties;
  same('headers', got.headers, { ...plain, ...nested, ...kept, float: 0.5, u8: 200, u16: 60_000, u32: 4_000_000_000 });
  same(
    'properties',
    [got.contentType, got.contentEncoding, got.priority, got.messageId, got.type, got.appId, got.userId],
    Object.values(properties),
  );
  same('timestamp', got.timestamp, 1_700_000_001);
  return '16 types';
});

const priority = script(async (_target, channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true, maxPriority: 10 });
  for (const level of [1, 9, 5, 20, 0]) channel.sendToQueue(queue, Buffer.from(String(level)), { priority: level });
  await channel.waitForConfirms();
  const order: string[] = [];
  for (let index = 0; index < 5; index++) order.push((await taken(channel, queue)).content.toString());
  same('order', order, ['20', '9', '5', '1', '0']); // above the maximum is the maximum
  return '';
});

const returned = script(async (target, channel) => {
  const inbox = new Inbox<Message>(target.patienceMs);
  channel.on('return', (message) => inbox.put(message));
  channel.publish('amq.direct', 'nowhere', Buffer.from('lost'), { mandatory: true });
  await channel.waitForConfirms();
  same('returned before its confirm', inbox.waiting, 1);
  const { fields, content } = await inbox.take('the return');
  same('return', { ...fields }, { replyCode: 312, replyText: 'NO_ROUTE', exchange: 'amq.direct', routingKey: 'nowhere' });
  same('body', content.toString(), 'lost');
  return '312 NO_ROUTE';
});

const exclusive = script(async (target, channel, connection) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await connected(target, async (other) => {
    await refused('a passive declare by another connection', () => other.checkQueue(queue), /405 \(RESOURCE-LOCKED\)/);
    return '';
  });
  await connection.close();
  return connected(target, async (other) => {
    await refused('a queue whose connection is gone', () => other.checkQueue(queue), /404 \(NOT-FOUND\)/);
    return '405, then 404';
  });
});

const cancelled = script(async (target, channel) => {
  const queue = fresh('cancelled');
  await channel.assertQueue(queue);
  const inbox = new Inbox<ConsumeMessage | null>(target.patienceMs);
  await channel.consume(queue, (message) => inbox.put(message));
  await channel.deleteQueue(queue);
  same('what the consumer got', await inbox.take('the cancel'), null);
  return '';
});

const get = script(async (_target, channel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  same('empty queue', await channel.get(queue), false);
  for (const body of ['a', 'b']) channel.sendToQueue(queue, Buffer.from(body));
  await channel.waitForConfirms();
  const { content, fields } = await taken(channel, queue);
  same('message', [content.toString(), fields.messageCount, fields.redelivered, fields.routingKey], ['a', 1, false, queue]);
  return '';
});

async function blocked(target: Target): Promise<string> {
  const squeezed = await target.squeeze();
  try {
    return await connected({ ...target, ...squeezed }, async (channel, connection) => {
      const told = new Inbox<string>(target.patienceMs);
      connection.on('blocked', () => told.put('blocked'));
      connection.on('unblocked', () => told.put('unblocked'));
      const { queue } = await channel.assertQueue('', { exclusive: true });
      channel.sendToQueue(queue, Buffer.from('held'));
      same('told', await told.take('connection.blocked'), 'blocked');
      await target.relieve();
      same('told', await told.take('connection.unblocked'), 'unblocked');
      await within(target.patienceMs, 'the confirm', channel.waitForConfirms());
      same('body', (await taken(channel, queue)).content.toString(), 'held');
      return 'blocked, unblocked, confirmed';
    });
  } finally {
    await target.relieve();
  }
}

export const AMQPLIB: Scripts = {
  confirms,
  'ack and nack': ackAndNack,
  topology,
  rpc,
  'ttl and dlx': ttlAndDlx,
  '10 MB': large,
  restart: (target) => surviving(target, () => target.restart()),
  killed: (target) => surviving(target, () => target.kill()),
  headers,
  priority,
  returned,
  exclusive,
  cancelled,
  get,
  blocked,
};
