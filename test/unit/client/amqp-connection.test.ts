// How a connection over AMQP comes up, stays up and ends, and what its operations are answered. On the test's own time.
import { describe, expect, test } from 'vitest';
import { type AmqpConnectOptions, connect, type LeveretError, topology } from '../../../client/src/amqp/index.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { FakeAmqp, frame, turns } from './fake-amqp.ts';

const failure = (promise: Promise<unknown>): Promise<LeveretError> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (error: LeveretError) => error,
  );
const codes = async (all: Promise<unknown>[]): Promise<unknown[]> =>
  (await Promise.allSettled(all)).map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as LeveretError).code));

describe('connecting', () => {
  test('shakes hands with the credentials and the vhost of the url, and says what it can', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect({ name: 'billing-1' }, 'amqp://ann:s%40crit@host:1/my%2Fvhost');
    const { link } = server;
    expect(link.url).toBe('amqp://host:1/my%2Fvhost');
    expect(link.rest).toEqual(['AMQP0-0-9-1']);
    const start = link.of('connection.start-ok')[0]?.fields;
    expect(start).toMatchObject({ mechanism: 'PLAIN', response: encodeUtf8('\0ann\0s@crit'), locale: 'en_US' });
    const properties = start?.['clientProperties'] as Map<string, unknown>;
    expect(properties.get('connection_name')).toBe('billing-1');
    const capabilities = [...(properties.get('capabilities') as Map<string, unknown>).keys()];
    expect(capabilities).toEqual(expect.arrayContaining(['consumer_cancel_notify', 'connection.blocked', 'authentication_failure_close']));
    expect(link.of('connection.open')[0]?.fields).toMatchObject({ virtualHost: 'my/vhost' });
    expect(mq.broker).toMatchObject({ product: 'Fake', version: '1.2', vhost: 'my/vhost', user: 'ann' });
    await mq.close();
    expect(server.clock.pendingTimers).toBe(0);
  });

  test.each([
    ['amqp://host', {}, '/'],
    ['amqp://host/', {}, '/'],
    ['amqp://host/%2F', {}, '/'],
    ['amqp://host/a', { vhost: 'b' }, 'b'],
    ['ws://host/ws', {}, '/'],
    ['ws://host/ws', { vhost: 'b' }, 'b'],
  ])('%s with %o opens the vhost %s', async (url, options, vhost) => {
    const server = new FakeAmqp();
    const mq = await server.connect(options, url);
    expect(server.link.of('connection.open')[0]?.fields).toMatchObject({ virtualHost: vhost });
    await mq.close();
  });

  test.each([
    [{ channelMax: 0, frameMax: 0, heartbeat: 0 }, 0, { channelMax: 2047, frameMax: 131_072, heartbeat: 0 }],
    [{ channelMax: 10, frameMax: 4096, heartbeat: 60 }, '20s', { channelMax: 10, frameMax: 4096, heartbeat: 20 }],
    [{ channelMax: 65_535, frameMax: 1_000_000, heartbeat: 5 }, '20s', { channelMax: 2047, frameMax: 131_072, heartbeat: 5 }],
    [{ channelMax: 2047, frameMax: 131_072, heartbeat: 0 }, '20s', { channelMax: 2047, frameMax: 131_072, heartbeat: 20 }],
    [{ channelMax: 2047, frameMax: 131_072, heartbeat: 60 }, 0, { channelMax: 2047, frameMax: 131_072, heartbeat: 60 }],
  ] as const)('a server that offers %o is answered, with a heartbeat of %s here, %o', async (offer, heartbeat, answer) => {
    const server = new FakeAmqp();
    server.tune = { ...offer };
    const mq = await server.connect({ heartbeat });
    expect(server.link.of('connection.tune-ok')[0]?.fields).toEqual(answer);
    await mq.close();
  });

  test('it is the same byte by byte', async () => {
    const server = new FakeAmqp();
    const open = server.open.bind(server);
    server.open = (url, handlers) => {
      const link = open(url, handlers);
      server.link.chunkBytes = 1;
      return link;
    };
    const mq = await server.connect();
    const loop = mq.queue('q').consume();
    await turns();
    server.link.deliver(server.link.consumerOf('q'), 1, 'x'.repeat(5_000), { headers: new Map([['n', 1]]) }, false, 1_000);
    const { value } = await loop.next();
    expect([value?.body, value?.headers]).toEqual(['x'.repeat(5_000), Object.assign(Object.create(null), { n: 1 })]);
    await loop.cancel();
    await mq.close();
  });

  test('each url in its turn, waiting between', async () => {
    const server = new FakeAmqp();
    server.isUp = false;
    const opening = server.connect({}, ['amqp://a', 'amqps://b:1', 'ws://c/ws']);
    await turns();
    await server.advance(2_000);
    expect(server.links.slice(0, 4).map(({ url }) => url)).toEqual(['amqp://a', 'amqps://b:1', 'ws://c/ws', 'amqp://a']);
    server.isUp = true;
    await server.advance(10_000);
    await (await opening).close();
  });

  test("a url that is none, or that cannot be spoken over, is the caller's fault, and shows no password", async () => {
    const server = new FakeAmqp();
    for (const url of ['nonsense', 'http://ann:secret@host/', 'mqtt://host']) {
      const error = await failure(server.connect({}, ['amqp://fine', url]));
      expect(error.code).toBe('INVALID');
      expect(error.reason).not.toContain('secret');
    }
    expect(await failure(server.connect({ heartbeat: 'often' as '1s' }))).toMatchObject({ code: 'INVALID' });
    expect(server.links).toEqual([]);
  });

  test('a refused login rejects with the words of the server, and is not tried again', async () => {
    const server = new FakeAmqp();
    const text = 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.';
    server.answers['connection.start-ok'] = (_fields, link) =>
      link.say(0, 'connection.close', { replyCode: 403, replyText: text, failedClassId: 0, failedMethodId: 0 });
    expect(await failure(server.connect())).toMatchObject({ code: 'ACCESS_REFUSED', replyCode: 403, reason: text });
    await turns();
    expect(server.link.rest).toEqual(['AMQP0-0-9-1', 'end']);
    expect(server.clock.pendingTimers).toBe(0);
  });

  test('so does a vhost that is not there', async () => {
    const server = new FakeAmqp();
    server.answers['connection.open'] = (_fields, link) =>
      link.say(0, 'connection.close', {
        replyCode: 530,
        replyText: 'NOT_ALLOWED - vhost v not found',
        failedClassId: 10,
        failedMethodId: 40,
      });
    expect(await failure(server.connect({ vhost: 'v' }))).toMatchObject({ code: 'NOT_ALLOWED', replyCode: 530 });
  });

  test.each([
    [
      'speaks another protocol',
      (server: FakeAmqp) => (server.greet = (link) => link.bytes(Buffer.from('AMQP\0\0\x09\0'))),
      /does not speak/,
    ],
    ['has no such login', (server: FakeAmqp) => (server.mechanisms = 'EXTERNAL'), /no PLAIN login, but EXTERNAL/],
    ['says something else', (server: FakeAmqp) => (server.greet = (link) => link.say(0, 'connection.open-ok', {})), /out of turn/],
  ])('a server that %s rejects, for good', async (_name, change, reason) => {
    const server = new FakeAmqp();
    change(server);
    expect(await failure(server.connect())).toMatchObject({ code: 'PROTOCOL', reason: expect.stringMatching(reason) });
    await turns();
    expect(server.links).toHaveLength(1);
    expect(server.link.isOpen).toBe(false);
  });

  test('EXTERNAL sends no password', async () => {
    const server = new FakeAmqp();
    server.mechanisms = 'PLAIN EXTERNAL';
    const mq = await server.connect({ mechanism: 'EXTERNAL' });
    expect(server.link.of('connection.start-ok')[0]?.fields).toMatchObject({ mechanism: 'EXTERNAL', response: new Uint8Array(0) });
    await mq.close();
  });

  test('a server that does not answer in time is given up for the next', async () => {
    const server = new FakeAmqp();
    const greet = server.greet.bind(server);
    server.greet = () => undefined;
    const opening = server.connect({ connectTimeout: '3s' }, ['amqp://a', 'amqp://b']);
    await turns();
    server.greet = greet;
    await server.advance(3_000);
    expect(server.links[0]?.rest).toEqual(['AMQP0-0-9-1', 'cut']);
    await server.advance(200);
    await (await opening).close();
  });
});

describe('staying up', () => {
  test('says that it lives at half of the interval, unless something else did', async () => {
    const server = new FakeAmqp();
    server.tune = { ...server.tune, heartbeat: 10 };
    const mq = await server.connect();
    await server.advance(5_000); // the handshake was heard in this one
    await server.advance(5_000);
    expect(server.link.heartbeats).toBe(1);
    await mq.queue('q').purge();
    await server.advance(5_000);
    expect(server.link.heartbeats).toBe(1);
    server.link.bytes(frame(8, 0, new Uint8Array(0)));
    await server.advance(5_000);
    expect(server.link.heartbeats).toBe(2);
    await mq.close();
  });

  test('a silent server is asked, then left for another; one that beats is not', async () => {
    const server = new FakeAmqp();
    server.tune = { ...server.tune, heartbeat: 10 };
    const why: (string | undefined)[] = [];
    const mq = await server.connect({ onState: (_state, error) => why.push(error?.reason) });
    const first = server.link;
    for (let n = 0; n < 20; n++) {
      first.bytes(frame(8, 0, new Uint8Array(0)));
      await server.advance(5_000);
    }
    expect(server.links).toHaveLength(1);
    server.answers['basic.qos'] = () => undefined;
    await server.advance(60_000); // opening a channel for the question is answered still
    expect(first.of('basic.qos')).not.toEqual([]);
    expect(server.links.length).toBeGreaterThan(1);
    expect(why.some((reason) => reason?.includes('silent'))).toBe(true);
    await mq.close();
  });

  test.each([
    ['a frame on a channel that is not open', Buffer.from('01ffff0000000400' + '0b0014ce', 'hex')],
    ['a heartbeat on a channel', frame(8, 1, new Uint8Array(0))],
    ['a body that nobody announced', frame(3, 1, new Uint8Array(5))],
    ['an answer that nobody asked for', frame(1, 1, Uint8Array.of(0, 50, 0, 31, 0, 0, 0, 1))],
    ['a method that there is not', frame(1, 1, Uint8Array.of(9, 9, 9, 9))],
    ['a wrong end', Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 1)],
    ['a frame that is too large', Uint8Array.of(1, 0, 0, 127, 255, 255, 255)],
  ])('%s ends the connection, and the next is made', async (_name, bytes) => {
    const server = new FakeAmqp();
    const why: (string | undefined)[] = [];
    const mq = await server.connect({ onState: (_state, error) => why.push(error?.code) });
    const first = server.link;
    first.bytes(bytes);
    await turns();
    expect(first.of('connection.close')[0]?.fields).toMatchObject({ replyCode: 541 });
    await server.advance(1_000);
    expect(mq.state).toBe('open');
    expect(server.link).not.toBe(first);
    expect(why).toContain('PROTOCOL');
    await mq.close();
  });

  test('a server that closes is answered, and connected to again', async () => {
    const server = new FakeAmqp();
    const why: (string | undefined)[] = [];
    const mq = await server.connect({ onState: (_state, error) => why.push(error?.reason) });
    const reason = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    server.link.say(0, 'connection.close', { replyCode: 320, replyText: reason, failedClassId: 0, failedMethodId: 0 });
    await turns();
    expect(server.link.said.at(-1)?.name).toBe('connection.close-ok');
    await server.advance(1_000);
    expect([server.links.length, mq.state]).toEqual([2, 'open']);
    expect(why).toContain(reason);
    await mq.close();
  });

  test('closing says so, waits for the answer, and cuts where none comes', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect();
    await mq.close();
    expect(server.link.of('connection.close')[0]?.fields).toMatchObject({ replyCode: 200 });
    expect(server.link.rest).toEqual(['AMQP0-0-9-1', 'end']);
    expect(server.clock.pendingTimers).toBe(0);
    const other = await server.connect();
    server.answers['connection.close'] = () => undefined;
    const closed = other.close();
    await server.advance(5_000);
    await closed;
    expect(server.link.rest).toEqual(['AMQP0-0-9-1', 'cut']);
    expect(server.clock.pendingTimers).toBe(0);
  });
});

describe('operations', () => {
  test('one that is refused closes its channel; those behind it are asked again on the next, and each has its own answer', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect();
    const { link } = server;
    server.answers['queue.bind'] = ({ queue }, _link, channel) => {
      if (queue === 'nowhere') link.closeChannel(channel, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'");
      else link.say(channel, 'queue.bind-ok', {});
    };
    const answers = codes([
      mq.declareQueue('a'),
      mq.bindQueue('nowhere', 'e', 'k'),
      mq.declareQueue('b'),
      mq.bindQueue('nowhere', 'e', 'k'),
      mq.bindQueue('a', 'e', 'k', { n: 1, big: { $amqp: 'l', value: '9007199254740993' } }),
    ]);
    await turns(20);
    expect(await answers).toEqual([
      { queue: 'a', messageCount: 0, consumerCount: 0 },
      'NOT_FOUND',
      { queue: 'b', messageCount: 0, consumerCount: 0 },
      'NOT_FOUND',
      undefined,
    ]);
    expect(link.of('queue.bind').at(-1)?.fields).toMatchObject({ queue: 'a', routingKey: 'k', nowait: false });
    await mq.close();
  });

  test('one that ends the connection is told why, and the next connection is made', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect();
    const text = "COMMAND_INVALID - unknown exchange type 'odd'";
    server.answers['exchange.declare'] = (_fields, link) =>
      link.say(0, 'connection.close', { replyCode: 503, replyText: text, failedClassId: 40, failedMethodId: 10 });
    expect(await failure(mq.declareExchange('e', { type: 'odd' }))).toMatchObject({
      code: 'COMMAND_INVALID',
      replyCode: 503,
      reason: text,
    });
    await turns();
    await server.advance(1_000);
    expect([server.links.length, mq.state]).toEqual([2, 'open']);
    await mq.close();
  });

  test('in a topology that the broker refuses so, the very first connection rejects', async () => {
    const server = new FakeAmqp();
    server.answers['exchange.declare'] = (_fields, link) =>
      link.say(0, 'connection.close', { replyCode: 503, replyText: 'COMMAND_INVALID - no', failedClassId: 40, failedMethodId: 10 });
    const error = await failure(server.connect({ topology: topology({ exchanges: { e: { type: 'odd' } } }) }));
    expect(error).toMatchObject({ code: 'COMMAND_INVALID' });
    await turns();
    expect(server.clock.pendingTimers).toBe(0);
  });

  test('a topology is declared on every connection; a queue that differs shows what the broker tells', async () => {
    const server = new FakeAmqp();
    const shop = topology({
      exchanges: { orders: { type: 'topic' } },
      queues: { billing: { from: 'orders', keys: ['order.*'], maxPriority: 5, ttl: '1m' } },
    });
    const mq = await server.connect({ topology: shop });
    const declared = server.link.of('queue.declare')[0]?.fields;
    expect(declared).toMatchObject({ queue: 'billing', durable: true, exclusive: false, passive: false });
    expect(declared?.['arguments']).toEqual(
      new Map([
        ['x-max-priority', 5],
        ['x-message-ttl', 60_000],
      ]),
    );
    server.link.tear();
    await server.advance(1_000);
    expect(server.link.of('queue.declare')).toHaveLength(1);
    await mq.close();
    const text =
      "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'billing' in vhost '/': received the value '5' of type 'signedint' but current is the value '10' of type 'signedint'";
    server.answers['queue.declare'] = (_fields, link, channel) => link.closeChannel(channel, 406, text);
    expect((await failure(server.connect({ topology: shop }))).reason.split('\n').slice(1)).toEqual([
      '  queue billing',
      "  - x-max-priority: the value '10' of type 'signedint'",
      "  + x-max-priority: the value '5' of type 'signedint'",
    ]);
  });

  test('a name or a table that AMQP cannot hold rejects that call alone', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect();
    const long = 'x'.repeat(256);
    const calls: Promise<unknown>[] = [
      mq.declareQueue(long),
      mq.declareQueue('q', { arguments: { n: { $amqp: 'B', value: 300 } } }),
      mq.queue(long).get(),
      mq.queue(long).consume().next(),
      mq.queue('q').consume({ prefetch: 65_536 }).next(),
      mq.queue('q').purge(),
    ];
    expect(await codes(calls)).toEqual(['SYNTAX_ERROR', 'SYNTAX_ERROR', 'SYNTAX_ERROR', 'SYNTAX_ERROR', 'SYNTAX_ERROR', 3]);
    expect(server.link.of('channel.open')).toHaveLength(3); // publishes, operations, gets
    await mq.close();
  });

  test('what AMQP cannot say is unsupported, and says what to do instead', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect();
    for (const op of ['stats', 'recover', 'tap.open', 'qos', 'credit', 'publish'] as const) {
      const error = await failure(mq.call(op, { handle: 9, exchange: 'e', prefetch: 1, messages: 1 } as never));
      expect(error).toMatchObject({ code: 'UNSUPPORTED', retryable: false, replyCode: undefined, hint: expect.any(String) });
    }
    expect(await failure(mq.call('ack', { tag: 1, multiple: true }))).toMatchObject({ code: 'UNSUPPORTED' });
    expect(await failure(mq.call('ack', { tag: 1 }))).toMatchObject({ code: 'PRECONDITION_FAILED', replyCode: 406 });
    expect(await mq.call('ping', {})).toEqual({});
    await mq.close();
  });

  test('an answer that comes when its time is up ends nothing', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect({ requestTimeout: '2s' });
    server.answers['queue.purge'] = () => undefined;
    const late = failure(mq.queue('q').purge());
    await turns();
    await server.advance(2_000);
    expect(await late).toMatchObject({ code: 'TIMEOUT' });
    server.link.closeChannel(server.link.of('queue.purge')[0]?.channel ?? 0, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    await turns();
    expect([mq.state, server.links.length]).toEqual(['open', 1]);
    await mq.close();
  });

  test('a channel that is closed before it was open ends the connection, and is not tried without end', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect();
    const open = server.answers['channel.open'];
    server.answers['channel.open'] = (_fields, link, channel) => link.closeChannel(channel, 504, 'CHANNEL_ERROR - not today');
    expect(await failure(mq.queue('q').purge())).toMatchObject({ code: 'CHANNEL_ERROR' });
    await turns();
    expect(server.link.of('channel.open')).toHaveLength(2);
    server.answers['channel.open'] = open ?? (() => undefined);
    await server.advance(1_000);
    expect([await mq.queue('q').purge(), server.links.length]).toEqual([3, 2]);
    await mq.close();
  });

  test('with all channels taken, what would need another is refused, and the rest goes on', async () => {
    const server = new FakeAmqp();
    server.tune = { ...server.tune, channelMax: 3 };
    const mq = await server.connect();
    const loop = mq.queue('a').consume();
    await turns();
    await mq.queue('q').purge();
    expect(await failure(mq.queue('b').consume().next())).toMatchObject({ code: 'OVERFLOW', retryable: true });
    expect(await failure(mq.queue('b').get())).toMatchObject({ code: 'OVERFLOW' });
    await loop.cancel();
    await turns();
    expect(await mq.queue('b').get()).toBeUndefined();
    await mq.close();
  });
});

test('your own transport, when it cannot connect, says why', async () => {
  const options: AmqpConnectOptions = {
    transport: {
      open(_url, handlers) {
        setImmediate(() => handlers.closed('nobody here'));
        return { send: () => undefined, end: () => undefined, cut: () => undefined };
      },
    },
    reconnect: false,
  };
  expect(await failure(connect('amqp://memory', options))).toMatchObject({
    code: 'DISCONNECTED',
    reason: expect.stringContaining('nobody here'),
  });
});
