// rabbitmq-client, through the interfaces that it recommends (Publisher, Consumer, RPCClient) and channels where those do not reach.
// Always: all that a script opened is closed before it ends, also when it fails: the client would go on connecting otherwise.

import { type AsyncMessage, type Channel, Connection, type ConsumerProps, ConsumerStatus, type ReturnedMessage } from 'rabbitmq-client';
import { fresh, holds, Inbox, largeBody, refused, same, sha256, takeBehind, within } from './checks.ts';
import type { Scripts, Target } from './scenarios.ts';

class Session {
  readonly rabbit: Connection;
  readonly channel: Channel;
  readonly #opened: { close(): Promise<void> }[] = [];

  constructor(rabbit: Connection, channel: Channel) {
    this.rabbit = rabbit;
    this.channel = channel;
  }

  publisher(onReturn?: (message: ReturnedMessage) => void): ReturnType<Connection['createPublisher']> {
    const publisher = this.rabbit.createPublisher({ confirm: true, maxAttempts: 3 });
    if (onReturn !== undefined) publisher.on('basic.return', onReturn);
    this.#opened.push(publisher);
    return publisher;
  }

  /** Ready when it consumes. */
  async consumer(
    props: ConsumerProps,
    handler: Parameters<Connection['createConsumer']>[1],
  ): Promise<ReturnType<Connection['createConsumer']>> {
    const consumer = this.rabbit.createConsumer(props, handler);
    consumer.on('error', () => {}); // it goes on by itself
    this.#opened.push(consumer);
    await new Promise<void>((resolve) => consumer.once('ready', resolve));
    return consumer;
  }

  rpcClient(): ReturnType<Connection['createRPCClient']> {
    const client = this.rabbit.createRPCClient({ confirm: true });
    this.#opened.push(client);
    return client;
  }

  async end(): Promise<void> {
    for (const opened of this.#opened) await opened.close().catch(() => {});
    await this.channel.close().catch(() => {});
    await this.rabbit.close();
  }
}

async function connected(target: Target, step: (session: Session) => Promise<string>): Promise<string> {
  const rabbit = new Connection({ url: target.amqpUrl, retryLow: 50, retryHigh: 200, acquireTimeout: target.patienceMs });
  rabbit.on('error', () => {});
  const channel = await rabbit.acquire().catch((error: unknown) => {
    rabbit.unsafeDestroy();
    throw error;
  });
  channel.on('error', () => {});
  const session = new Session(rabbit, channel);
  try {
    const note = await step(session);
    await session.end();
    return note;
  } catch (error) {
    rabbit.unsafeDestroy(); // an orderly end would wait for what did not come
    throw error;
  }
}

const script =
  (step: (target: Target, session: Session) => Promise<string>): ((target: Target) => Promise<string>) =>
  (target) =>
    connected(target, (session) => step(target, session));

async function taken(session: Session, queue: string, noAck = true): Promise<NonNullable<Awaited<ReturnType<Channel['basicGet']>>>> {
  const message = await session.channel.basicGet({ queue, noAck });
  if (message === undefined) throw new Error(`nothing is in ${queue}`);
  return message;
}

const COUNT = 200;

const confirms = script(async (target, session) => {
  const queue = fresh('confirms');
  await session.rabbit.queueDeclare({ queue, durable: true });
  const publisher = session.publisher();
  const sent = Array.from({ length: COUNT }, (_, index) => publisher.send({ routingKey: queue, durable: true }, `message ${index}`));
  await within(target.patienceMs, 'the confirms', Promise.all(sent));
  same('messages in the queue', (await session.rabbit.queueDeclare({ queue, passive: true })).messageCount, COUNT);
  for (let index = 0; index < COUNT; index++) same('body', (await taken(session, queue)).body, `message ${index}`);
  await session.rabbit.queueDelete({ queue });
  return `${COUNT} confirmed`;
});

const ackAndNack = script(async (target, session) => {
  const queue = fresh('acks');
  await session.rabbit.queueDeclare({ queue, durable: true });
  const publisher = session.publisher();
  for (const body of ['one', 'two', 'three']) await publisher.send(queue, body);
  const inbox = new Inbox<string>(target.patienceMs);
  const answers = [ConsumerStatus.REQUEUE, ConsumerStatus.ACK, ConsumerStatus.ACK, ConsumerStatus.DROP];
  const props = { queue, queueOptions: { durable: true }, qos: { prefetchCount: 1 } };
  const consumer = await session.consumer(props, async ({ body, redelivered }) => {
    inbox.put(`${body}${redelivered ? ' again' : ''}`);
    return answers.shift() ?? ConsumerStatus.ACK;
  });
  const seen: string[] = [];
  for (let index = 0; index < 4; index++) seen.push(await inbox.take('a delivery'));
  same('deliveries', seen, ['one', 'one again', 'two', 'three']);
  await consumer.close();
  same('messages left', (await session.rabbit.queueDeclare({ queue, passive: true })).messageCount, 0);

  // What is not acked when its channel closes goes back.
  await publisher.send(queue, 'four');
  const second = await session.rabbit.acquire();
  same('first time', (await second.basicGet({ queue }))?.redelivered, false);
  await second.close();
  same('second time', (await taken(session, queue)).redelivered, true);
  await session.rabbit.queueDelete({ queue });
  return 'ack, requeue, drop';
});

const topology = script(async (_target, session) => {
  const { rabbit, channel } = session;
  const [source, sink] = [fresh('source'), fresh('sink')];
  await channel.exchangeDeclare({ exchange: source, type: 'topic' });
  await channel.exchangeDeclare({ exchange: sink, type: 'fanout' });
  await channel.exchangeBind({ destination: sink, source, routingKey: 'order.*' });
  const { queue } = await channel.queueDeclare({ exclusive: true });
  holds('the server names the queue', queue.startsWith('amq.gen-'));
  await channel.queueBind({ queue, exchange: sink });
  const publisher = session.publisher();
  await publisher.send({ exchange: source, routingKey: 'order.new' }, 'routed');
  await publisher.send({ exchange: source, routingKey: 'order.new.late' }, 'not routed');
  same('messages', (await channel.queueDeclare({ queue, passive: true })).messageCount, 1);
  same('body', (await taken(session, queue)).body, 'routed');

  await channel.exchangeUnbind({ destination: sink, source, routingKey: 'order.*' });
  await publisher.send({ exchange: source, routingKey: 'order.new' }, 'unbound');
  same('what came after unbind', await channel.basicGet({ queue }), undefined);

  await channel.queueBind({ queue, exchange: 'amq.headers', arguments: { 'x-match': 'all', region: 'eu', rank: 1 } });
  await publisher.send({ exchange: 'amq.headers', headers: { region: 'eu', rank: 1 } }, 'matched');
  await publisher.send({ exchange: 'amq.headers', headers: { region: 'us', rank: 1 } }, 'other');
  same('purged', (await rabbit.queuePurge({ queue })).messageCount, 1);

  await channel.exchangeDeclare({ exchange: source, passive: true });
  await channel.exchangeDelete({ exchange: source });
  await channel.exchangeDelete({ exchange: sink });
  await channel.queueDelete({ queue });
  await refused('a passive declare of a deleted queue', () => rabbit.queueDeclare({ queue, passive: true }), /NOT_FOUND.*no queue/);
  await refused(
    'a passive declare of a deleted exchange',
    () => rabbit.exchangeDeclare({ exchange: source, passive: true }),
    /NOT_FOUND.*no exchange/,
  );
  return 'e2e, server-named, passive';
});

const rpc = script(async (target, session) => {
  const queue = fresh('rpc');
  await session.consumer({ queue, queueOptions: { exclusive: true } }, (request, reply) => reply(`${request.body}, world`));
  const client = session.rpcClient();
  for (const word of ['hello', 'good morning']) {
    const reply = await within(target.patienceMs, 'the reply', client.send(queue, word));
    same('reply', reply.body, `${word}, world`);
  }
  return 'direct reply-to';
});

const ttlAndDlx = script(async (target, session) => {
  const { rabbit } = session;
  const [dlx, dead, queue] = [fresh('dlx'), fresh('dead'), fresh('ttl')];
  await rabbit.exchangeDeclare({ exchange: dlx, type: 'direct' });
  const inbox = new Inbox<AsyncMessage>(target.patienceMs);
  const consumer = await session.consumer(
    { queue: dead, exchanges: [], queueBindings: [{ exchange: dlx, routingKey: queue }] },
    (message) => inbox.put(message),
  );
  await rabbit.queueDeclare({ queue, arguments: { 'x-message-ttl': 60_000, 'x-dead-letter-exchange': dlx } });

  const publisher = session.publisher();
  await publisher.send({ routingKey: queue, expiration: '20' }, 'short-lived');
  const expired = await inbox.take('the expired message');
  same('body', expired.body, 'short-lived');
  same('expiration', expired.expiration, undefined);
  const { time, ...death } = expired.headers?.['x-death']?.[0] ?? { time: 0 };
  holds('x-death has a time', time > 1_600_000_000);
  same('x-death', death, {
    count: 1,
    reason: 'expired',
    queue,
    exchange: '',
    'routing-keys': [queue],
    'original-expiration': '20',
  });
  same('x-first-death-reason', expired.headers?.['x-first-death-reason'], 'expired');

  await publisher.send(queue, 'refused');
  const message = await taken(session, queue, false);
  session.channel.basicNack({ deliveryTag: message.deliveryTag, requeue: false });
  same('reason', (await inbox.take('the rejected message')).headers?.['x-death']?.[0]?.reason, 'rejected');
  await consumer.close();
  for (const name of [dead, queue]) await rabbit.queueDelete(name);
  await rabbit.exchangeDelete({ exchange: dlx });
  return 'expired, rejected';
});

const large = script(async (target, session) => {
  const body = largeBody();
  const queue = fresh('large');
  const inbox = new Inbox<AsyncMessage>(target.patienceMs);
  await session.consumer({ queue, queueOptions: { exclusive: true } }, (message) => inbox.put(message));
  await within(target.patienceMs, 'the confirm', session.publisher().send(queue, Buffer.from(body.buffer)));
  const message = await inbox.take('the message');
  same('sha256', await sha256(Uint8Array.from(message.body)), await sha256(body));
  return 'sha256';
});

/** The client's own recovery: connection, consumer and publisher go on. */
const surviving = (end: (target: Target) => Promise<void>): ((target: Target) => Promise<string>) =>
  script(async (target, session) => {
    const [kept, flow] = [fresh('kept'), fresh('flow')];
    const { rabbit } = session;
    await rabbit.queueDeclare({ queue: kept, durable: true });
    const inbox = new Inbox<string>(target.patienceMs);
    const consumer = await session.consumer({ queue: flow, queueOptions: { durable: true } }, (message) => inbox.put(message.body));
    const publisher = session.publisher();
    await publisher.send({ routingKey: kept, durable: true }, 'kept');
    await publisher.send({ routingKey: flow, durable: true }, 'before');
    same('first', await inbox.take('the message before'), 'before');
    const back = new Promise<void>((resolve) => consumer.once('ready', resolve));
    await end(target);
    await within(target.patienceMs, 'the new connection', back);
    await within(target.patienceMs, 'the confirm', publisher.send({ routingKey: flow, durable: true }, 'after'));
    same('second', await takeBehind(inbox, 'before'), 'after');
    await consumer.close();
    const message = await rabbit.basicGet({ queue: kept, noAck: true });
    same('kept', [message?.body, message?.durable], ['kept', true]);
    for (const name of [kept, flow]) await rabbit.queueDelete(name);
    return 'own recovery';
  });

const headers = script(async (_target, session) => {
  const { queue } = await session.channel.queueDeclare({ exclusive: true });
  const plain = { text: 'hébé', yes: true, no: false, byte: -5, short: -300, int: 70_000, long: 2 ** 40, double: 1.5, nothing: null };
  const sent = { ...plain, list: [1, 'two', { three: 3 }, null], table: { a: { b: 'c' } } };
  const properties = { contentType: 'text/x', contentEncoding: 'y', priority: 3, messageId: 'm', type: 't', appId: 'a', userId: 'guest' };
  await session.publisher().send({ routingKey: queue, ...properties, timestamp: 1_700_000_001, headers: sent }, Buffer.alloc(0));
  const got = await taken(session, queue);
  same('headers', got.headers, sent);
  same(
    'properties',
    [got.contentType, got.contentEncoding, got.priority, got.messageId, got.type, got.appId, got.userId],
    Object.values(properties),
  );
  same('timestamp', got.timestamp, 1_700_000_001);
  return '10 types';
});

const priority = script(async (_target, session) => {
  const { queue } = await session.channel.queueDeclare({ exclusive: true, arguments: { 'x-max-priority': 10 } });
  const publisher = session.publisher();
  for (const level of [1, 9, 5, 20, 0]) await publisher.send({ routingKey: queue, priority: level }, String(level));
  const order: string[] = [];
  for (let index = 0; index < 5; index++) order.push((await taken(session, queue)).body);
  same('order', order, ['20', '9', '5', '1', '0']); // above the maximum is the maximum
  return '';
});

const returned = script(async (target, session) => {
  const inbox = new Inbox<ReturnedMessage>(target.patienceMs);
  const publisher = session.publisher((message) => inbox.put(message));
  await publisher.send({ exchange: 'amq.direct', routingKey: 'nowhere', mandatory: true }, 'lost');
  const { replyCode, replyText, exchange, routingKey, body } = await inbox.take('the return');
  same('return', [replyCode, replyText, exchange, routingKey, body], [312, 'NO_ROUTE', 'amq.direct', 'nowhere', 'lost']);
  return '312 NO_ROUTE';
});

const exclusive = script(async (target, session) => {
  const { queue } = await session.channel.queueDeclare({ exclusive: true });
  await connected(target, async ({ rabbit }) => {
    await refused('a passive declare by another connection', () => rabbit.queueDeclare({ queue, passive: true }), /RESOURCE_LOCKED/);
    return '';
  });
  await session.end();
  return connected(target, async ({ rabbit }) => {
    await refused('a queue whose connection is gone', () => rabbit.queueDeclare({ queue, passive: true }), /NOT_FOUND/);
    return '405, then 404';
  });
});

const cancelled = script(async (target, session) => {
  const { rabbit, channel } = session;
  const queue = fresh('cancelled');
  await rabbit.queueDeclare(queue);
  const inbox = new Inbox<string>(target.patienceMs);
  channel.on('basic.cancel', (tag) => inbox.put(tag));
  const { consumerTag } = await channel.basicConsume({ queue }, () => {});
  await rabbit.queueDelete(queue);
  same('cancelled', await inbox.take('the cancel'), consumerTag);
  return '';
});

const get = script(async (_target, session) => {
  const { queue } = await session.channel.queueDeclare({ exclusive: true });
  same('empty queue', await session.channel.basicGet(queue), undefined);
  const publisher = session.publisher();
  for (const body of ['a', 'b']) await publisher.send(queue, body);
  const { body, messageCount, redelivered, routingKey } = await taken(session, queue);
  same('message', [body, messageCount, redelivered, routingKey], ['a', 1, false, queue]);
  return '';
});

async function blocked(target: Target): Promise<string> {
  const squeezed = await target.squeeze();
  try {
    return await connected({ ...target, ...squeezed }, async (session) => {
      const told = new Inbox<string>(target.patienceMs);
      session.rabbit.on('connection.blocked', () => told.put('blocked'));
      session.rabbit.on('connection.unblocked', () => told.put('unblocked'));
      const { queue } = await session.channel.queueDeclare({ exclusive: true });
      const sent = session.publisher().send(queue, 'held');
      sent.catch(() => {}); // awaited below, where nothing fails before
      same('told', await told.take('connection.blocked'), 'blocked');
      await target.relieve();
      same('told', await told.take('connection.unblocked'), 'unblocked');
      await within(target.patienceMs, 'the confirm', sent);
      same('body', (await taken(session, queue)).body, 'held');
      return 'blocked, unblocked, confirmed';
    });
  } finally {
    await target.relieve();
  }
}

export const RABBITMQ_CLIENT: Scripts = {
  confirms,
  'ack and nack': ackAndNack,
  topology,
  rpc,
  'ttl and dlx': ttlAndDlx,
  '10 MB': large,
  restart: surviving((target) => target.restart()),
  killed: surviving((target) => target.kill()),
  headers,
  priority,
  returned,
  exclusive,
  cancelled,
  get,
  blocked,
};
