// @cloudamqp/amqp-client over any of its transports: TCP, WebSocket in Node, WebSocket in a page. The same code is bundled for the page.
// Always: it is written against what the transports share; who makes connections is handed in. Recovery is its AMQPSession's.

import type { AMQPBaseClient, AMQPChannel, AMQPMessage, AMQPSession } from '@cloudamqp/amqp-client';
import { fresh, holds, Inbox, largeBody, refused, same, sha256, takeBehind, within } from './checks.ts';
import type { Scripts, Target } from './scenarios.ts';

export interface Transport {
  client(target: Target): AMQPBaseClient;
  session(target: Target, onconnect: () => void): Promise<AMQPSession>;
}

type Step = (target: Target, channel: AMQPChannel, connection: AMQPBaseClient) => Promise<string>;

const COUNT = 200;

async function open(connection: AMQPBaseClient): Promise<AMQPChannel> {
  const channel = await connection.channel();
  channel.onerror = () => {}; // the pending call rejects
  await channel.confirmSelect();
  return channel;
}

async function connected(transport: Transport, target: Target, step: Step): Promise<string> {
  const client = transport.client(target);
  client.onerror = () => {};
  const connection = await within(target.patienceMs, 'the connection', client.connect());
  try {
    return await step(target, await open(connection), connection);
  } finally {
    await connection.close().catch(() => {});
  }
}

async function taken(channel: AMQPChannel, queue: string): Promise<AMQPMessage> {
  const message = await channel.basicGet(queue, { noAck: false });
  if (message === null) throw new Error(`nothing is in ${queue}`);
  return message;
}

const confirms: Step = async (target, channel) => {
  const queue = fresh('confirms');
  await channel.queueDeclare(queue, { durable: true });
  const sent = Array.from({ length: COUNT }, (_, index) => channel.basicPublish('', queue, `message ${index}`, { deliveryMode: 2 }));
  const sequence = await within(target.patienceMs, 'the confirms', Promise.all(sent));
  same('the last confirm', Math.max(...sequence), COUNT);
  same('messages in the queue', (await channel.queueDeclare(queue, { passive: true })).messageCount, COUNT);
  for (let index = 0; index < COUNT; index++) {
    const message = await channel.basicGet(queue, { noAck: true });
    same('body', message?.bodyString(), `message ${index}`);
  }
  await channel.queueDelete(queue);
  return `${COUNT} confirmed`;
};

const ackAndNack: Step = async (target, channel, connection) => {
  const queue = fresh('acks');
  await channel.queueDeclare(queue);
  for (const body of ['one', 'two', 'three']) await channel.basicPublish('', queue, body);
  await channel.prefetch(1);
  const inbox = new Inbox<AMQPMessage>(target.patienceMs);
  const consumer = await channel.basicConsume(queue, { noAck: false }, (message) => inbox.put(message));
  const seen: string[] = [];
  for (let index = 0; index < 4; index++) {
    const message = await inbox.take('a delivery');
    seen.push(`${message.bodyString()}${message.redelivered ? ' again' : ''}`);
    if (index === 0) await message.nack(true);
    else await message.ack();
  }
  same('deliveries', seen, ['one', 'one again', 'two', 'three']);
  await consumer.cancel();
  same('messages left', (await channel.queueDeclare(queue, { passive: true })).messageCount, 0);

  // What is not acked when its channel closes goes back.
  await channel.basicPublish('', queue, 'four');
  const second = await open(connection);
  same('first time', (await taken(second, queue)).redelivered, false);
  await second.close();
  const back = await taken(channel, queue);
  same('second time', back.redelivered, true);
  await back.reject(false);
  await channel.queueDelete(queue);
  return 'ack, nack, reject';
};

const topology: Step = async (_target, channel, connection) => {
  const [source, sink] = [fresh('source'), fresh('sink')];
  await channel.exchangeDeclare(source, 'topic', { durable: false });
  await channel.exchangeDeclare(sink, 'fanout', { durable: false });
  await channel.exchangeBind(sink, source, 'order.*');
  const { name: queue } = await channel.queueDeclare('', { exclusive: true });
  holds('the server names the queue', queue.startsWith('amq.gen-'));
  await channel.queueBind(queue, sink, '');
  await channel.basicPublish(source, 'order.new', 'routed');
  await channel.basicPublish(source, 'order.new.late', 'not routed');
  same('messages', (await channel.queueDeclare(queue, { passive: true })).messageCount, 1);
  same('body', (await taken(channel, queue)).bodyString(), 'routed');

  await channel.exchangeUnbind(sink, source, 'order.*');
  await channel.basicPublish(source, 'order.new', 'unbound');
  same('what came after unbind', await channel.basicGet(queue), null);

  await channel.queueBind(queue, 'amq.headers', '', { 'x-match': 'all', region: 'eu', rank: 1 });
  await channel.basicPublish('amq.headers', '', 'matched', { headers: { region: 'eu', rank: 1 } });
  await channel.basicPublish('amq.headers', '', 'other', { headers: { region: 'us', rank: 1 } });
  same('purged', (await channel.queuePurge(queue)).messageCount, 1);

  await channel.exchangeDeclare(source, 'topic', { passive: true });
  await channel.exchangeDelete(source);
  await channel.exchangeDelete(sink);
  await channel.queueDelete(queue);
  const [first, second] = [await open(connection), await open(connection)];
  await refused('a passive declare of a deleted queue', () => first.queueDeclare(queue, { passive: true }), /NOT_FOUND.*no queue/);
  await refused('one of a deleted exchange', () => second.exchangeDeclare(source, 'topic', { passive: true }), /NOT_FOUND.*no exchange/);
  return 'e2e, server-named, passive';
};

const ttlAndDlx: Step = async (target, channel) => {
  const [dlx, dead, queue] = [fresh('dlx'), fresh('dead'), fresh('ttl')];
  await channel.exchangeDeclare(dlx, 'direct');
  await channel.queueDeclare(dead);
  await channel.queueBind(dead, dlx, queue);
  await channel.queueDeclare(queue, {}, { 'x-message-ttl': 60_000, 'x-dead-letter-exchange': dlx });
  const inbox = new Inbox<AMQPMessage>(target.patienceMs);
  await channel.basicConsume(dead, { noAck: true }, (message) => inbox.put(message));

  await channel.basicPublish('', queue, 'short-lived', { expiration: '20' });
  const expired = await inbox.take('the expired message');
  same('body', expired.bodyString(), 'short-lived');
  same('expiration', expired.properties.expiration, undefined);
  const death = firstDeath(expired);
  holds('x-death has a time', death['time'] instanceof Date && death['time'].getTime() > 1_600_000_000_000);
  same(
    'x-death',
    ['count', 'reason', 'queue', 'exchange', 'routing-keys', 'original-expiration'].map((field) => death[field]),
    [1, 'expired', queue, '', [queue], '20'],
  );
  same('x-first-death-reason', expired.properties.headers?.['x-first-death-reason'], 'expired');

  await channel.basicPublish('', queue, 'refused');
  await (await taken(channel, queue)).reject(false);
  same('reason', firstDeath(await inbox.take('the rejected message'))['reason'], 'rejected');
  for (const name of [dead, queue]) await channel.queueDelete(name);
  await channel.exchangeDelete(dlx);
  return 'expired, rejected';
};

function firstDeath(message: AMQPMessage): Record<string, unknown> {
  const deaths: unknown = message.properties.headers?.['x-death'];
  const first: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  if (typeof first !== 'object' || first === null) throw new Error('the message has no x-death');
  // a 64-bit integer comes as a bigint
  return Object.fromEntries(Object.entries(first).map(([field, value]) => [field, typeof value === 'bigint' ? Number(value) : value]));
}

const large: Step = async (target, channel) => {
  const body = largeBody();
  const { name: queue } = await channel.queueDeclare('', { exclusive: true });
  const inbox = new Inbox<AMQPMessage>(target.patienceMs);
  await channel.basicConsume(queue, { noAck: false }, (message) => inbox.put(message));
  await within(target.patienceMs, 'the confirm', channel.basicPublish('', queue, body));
  const message = await inbox.take('the message');
  if (!(message.body instanceof Uint8Array)) throw new Error('the message has no body');
  same('sha256', await sha256(Uint8Array.from(message.body)), await sha256(body));
  await message.ack();
  return 'sha256';
};

const headers: Step = async (_target, channel) => {
  const { name: queue } = await channel.queueDeclare('', { exclusive: true });
  const plain = { text: 'hébé', yes: true, no: false, int: 70_000, long: 2 ** 40, float: 1.5, nothing: null };
  const nested = { list: [1, 'two', { three: 3 }, null], table: { a: { b: 'c' } }, stamp: new Date(1_700_000_000_000) };
  const properties = { contentType: 'text/x', contentEncoding: 'y', priority: 3, messageId: 'm', type: 't', appId: 'a', userId: 'guest' };
  await channel.basicPublish('', queue, null, {
    ...properties,
    timestamp: new Date(1_700_000_001_000),
    headers: { ...plain, ...nested, bytes: Uint8Array.of(0, 255, 206) },
  });
  const { properties: got, bodySize } = await taken(channel, queue);
  const { bytes, ...rest } = got.headers ?? {};
  same('headers', rest, { ...plain, ...nested });
  same('bytes', bytes instanceof Uint8Array && [...bytes], [0, 255, 206]);
  same(
    'properties',
    [got.contentType, got.contentEncoding, got.priority, got.messageId, got.type, got.appId, got.userId],
    Object.values(properties),
  );
  same('timestamp', got.timestamp?.getTime(), 1_700_000_001_000);
  same('body', bodySize, 0);
  return '10 types';
};

const priority: Step = async (_target, channel) => {
  const { name: queue } = await channel.queueDeclare('', { exclusive: true }, { 'x-max-priority': 10 });
  for (const level of [1, 9, 5, 20, 0]) await channel.basicPublish('', queue, String(level), { priority: level });
  const order: (string | null)[] = [];
  for (let index = 0; index < 5; index++) order.push((await taken(channel, queue)).bodyString());
  same('order', order, ['20', '9', '5', '1', '0']); // above the maximum is the maximum
  return '';
};

const returned: Step = async (target, channel) => {
  const inbox = new Inbox<AMQPMessage>(target.patienceMs);
  channel.onReturn = (message) => inbox.put(message);
  await channel.basicPublish('amq.direct', 'nowhere', 'lost', {}, true);
  same('returned before its confirm', inbox.waiting, 1);
  const message = await inbox.take('the return');
  const { replyCode, replyText, exchange, routingKey } = message;
  same('return', [replyCode, replyText, exchange, routingKey], [312, 'NO_ROUTE', 'amq.direct', 'nowhere']);
  same('body', message.bodyString(), 'lost');
  return '312 NO_ROUTE';
};

const cancelled: Step = async (target, channel) => {
  const { name: queue } = await channel.queueDeclare(fresh('cancelled'));
  const consumer = await channel.basicConsume(queue, { noAck: false }, () => {});
  const ended = consumer.wait(target.patienceMs);
  const told = refused('waiting for more', () => ended, /cancel/i);
  await channel.queueDelete(queue);
  await told;
  return '';
};

const get: Step = async (_target, channel) => {
  const { name: queue } = await channel.queueDeclare('', { exclusive: true });
  same('empty queue', await channel.basicGet(queue), null);
  for (const body of ['a', 'b']) await channel.basicPublish('', queue, body);
  const message = await taken(channel, queue);
  same('message', [message.bodyString(), message.messageCount, message.redelivered, message.routingKey], ['a', 1, false, queue]);
  return '';
};

async function exclusive(transport: Transport, target: Target): Promise<string> {
  let queue = '';
  await connected(transport, target, async (_target, channel) => {
    queue = (await channel.queueDeclare('', { exclusive: true })).name;
    return connected(transport, target, async (_other, other) => {
      await refused('a passive declare by another connection', () => other.queueDeclare(queue, { passive: true }), /RESOURCE_LOCKED/);
      return '';
    });
  });
  return connected(transport, target, async (_target, channel) => {
    await refused('a queue whose connection is gone', () => channel.queueDeclare(queue, { passive: true }), /NOT_FOUND/);
    return '405, then 404';
  });
}

async function blocked(transport: Transport, target: Target): Promise<string> {
  const squeezed = await target.squeeze();
  try {
    return await connected(transport, { ...target, ...squeezed }, async (_target, channel, connection) => {
      const told = new Inbox<string>(target.patienceMs);
      connection.onblocked = () => told.put('blocked');
      connection.onunblocked = () => told.put('unblocked');
      const { name: queue } = await channel.queueDeclare('', { exclusive: true });
      const sent = channel.basicPublish('', queue, 'held');
      sent.catch(() => {}); // awaited below, where nothing fails before
      same('told', await told.take('connection.blocked'), 'blocked');
      await target.relieve();
      same('told', await told.take('connection.unblocked'), 'unblocked');
      await within(target.patienceMs, 'the confirm', sent);
      same('body', (await taken(channel, queue)).bodyString(), 'held');
      return 'blocked, unblocked, confirmed';
    });
  } finally {
    await target.relieve();
  }
}

async function rpc(transport: Transport, target: Target): Promise<string> {
  const queue = fresh('rpc');
  const session = await transport.session(target, () => {});
  try {
    await session.rpcServer(queue, (request) => `${request.bodyString()}, world`);
    const client = await session.rpcClient();
    for (const word of ['hello', 'good morning']) {
      const reply = await within(target.patienceMs, 'the reply', client.call(queue, word));
      same('reply', reply.bodyString(), `${word}, world`);
    }
    await (await session.queue(queue)).delete();
    return 'direct reply-to';
  } finally {
    await session.stop();
  }
}

/** Its session's recovery: the consumer goes on. */
async function surviving(transport: Transport, target: Target, end: () => Promise<void>): Promise<string> {
  const [kept, flow] = [fresh('kept'), fresh('flow')];
  const connects = new Inbox<'connected'>(target.patienceMs);
  const inbox = new Inbox<string | null>(target.patienceMs);
  const session = await transport.session(target, () => connects.put('connected'));
  try {
    await connects.take('the first connection');
    const [keptQueue, flowQueue] = [await session.queue(kept, { durable: true }), await session.queue(flow, { durable: true })];
    await flowQueue.subscribe((message) => inbox.put(message.bodyString()));
    await keptQueue.publish('kept', { deliveryMode: 2 });
    await flowQueue.publish('before', { deliveryMode: 2 });
    same('first', await inbox.take('the message before'), 'before');
    await end();
    await connects.take('the new connection');
    await within(target.patienceMs, 'the confirm', flowQueue.publish('after', { deliveryMode: 2 }));
    same('second', await takeBehind(inbox, 'before'), 'after');
    const message = await keptQueue.get({ noAck: true });
    same('kept', [message?.bodyString(), message?.properties.deliveryMode], ['kept', 2]);
    for (const queue of [keptQueue, flowQueue]) await queue.delete();
    return 'own recovery';
  } finally {
    await session.stop();
  }
}

export function amqpClient(transport: Transport): Scripts {
  const script =
    (step: Step): ((target: Target) => Promise<string>) =>
    (target) =>
      connected(transport, target, step);
  return {
    confirms: script(confirms),
    'ack and nack': script(ackAndNack),
    topology: script(topology),
    rpc: (target) => rpc(transport, target),
    'ttl and dlx': script(ttlAndDlx),
    '10 MB': script(large),
    restart: (target) => surviving(transport, target, () => target.restart()),
    killed: (target) => surviving(transport, target, () => target.kill()),
    headers: script(headers),
    priority: script(priority),
    returned: script(returned),
    exclusive: (target) => exclusive(transport, target),
    cancelled: script(cancelled),
    get: script(get),
    blocked: (target) => blocked(transport, target),
  };
}
