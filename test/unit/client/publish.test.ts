// What becomes of a publish: coalescing, credit, confirms, refusals, time, signals, and a broken connection. On the test's own time.
import { describe, expect, test } from 'vitest';
import type { ConnectOptions, LeveretError, Published } from '../../../client/src/index.ts';
import { FakeBroker, turns } from './fake-broker.ts';

async function publisher(options: ConnectOptions = {}, credit = 8_388_608) {
  const broker = new FakeBroker();
  broker.credit = credit;
  const mq = await broker.connect(options);
  return { broker, mq, orders: mq.exchange('orders') };
}
const failure = (promise: Promise<unknown>): Promise<LeveretError> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (error: LeveretError) => error,
  );

describe('what leaves', () => {
  test('all publishes of a turn leave as one message, in order', async () => {
    const { broker, orders, mq } = await publisher();
    const all = Array.from({ length: 1000 }, (_, n) => orders.publish(`k${n % 3}`, { n }));
    expect(broker.link.publishes()).toHaveLength(0);
    await turns();
    const sent = broker.link.publishes();
    expect(sent.map(({ body }) => JSON.parse(body).n)).toEqual(all.map((_, n) => n));
    expect(new Set(sent.map(({ message }) => message))).toHaveProperty('size', 1);
    broker.link.confirm(1, 1000, 2);
    const results = await Promise.all(all);
    expect(results.every(({ routed }) => routed === 2)).toBe(true);
    await mq.close();
  });

  test('bodies say what they are: JSON, text or bytes', async () => {
    const { broker, orders, mq } = await publisher();
    const all = [
      orders.publish('a', { x: 'é' }),
      orders.publish('a', 'Grüße'),
      orders.publish('a', Uint8Array.of(104, 105)),
      orders.publish('a', null),
    ];
    await turns();
    expect(broker.link.publishes().map(({ properties, body }) => [properties.contentType, properties.deliveryMode, body])).toEqual([
      ['application/json', 2, '{"x":"é"}'],
      ['text/plain', 2, 'Grüße'],
      ['application/octet-stream', 2, 'hi'],
      ['application/json', 2, 'null'],
    ]);
    broker.link.confirm(1, 4);
    await Promise.all(all);
    await mq.close();
  });

  test('every option has its property', async () => {
    const { broker, orders, mq } = await publisher();
    const done = orders.publish('k', 'x', {
      id: 'm1',
      headers: { n: 1, deep: { list: [true, null, 1.5] }, skipped: undefined },
      priority: 5,
      persistent: false,
      ttl: '30s',
      correlationId: 'c',
      replyTo: 'r',
      type: 't',
      appId: 'a',
      userId: 'u',
      timestamp: new Date(1_700_000_000_999),
      contentType: 'text/html',
      contentEncoding: 'utf-8',
    });
    await turns();
    const { properties } = broker.link.publishes()[0] ?? {};
    expect(properties).toEqual({
      messageId: 'm1',
      headers: new Map<string, unknown>([
        ['n', 1],
        ['deep', new Map([['list', [true, null, 1.5]]])],
      ]),
      priority: 5,
      deliveryMode: 1,
      expiration: '30000',
      correlationId: 'c',
      replyTo: 'r',
      type: 't',
      appId: 'a',
      userId: 'u',
      timestamp: 1_700_000_000,
      contentType: 'text/html',
      contentEncoding: 'utf-8',
    });
    broker.link.confirm(1);
    await done;
    await mq.close();
  });

  test('a body above the frame limit leaves in parts', async () => {
    const { broker, orders, mq } = await publisher();
    const done = orders.publish('big', new Uint8Array(200_000));
    await turns();
    const [first, ...parts] = broker.link.said.slice(2);
    expect(first).toMatchObject({ kind: 'publish', bodyBytes: 200_000 });
    expect(parts.map((part) => part.kind === 'body' && part.bytes)).toEqual([65_536, 65_536, 200_000 - 3 * 65_536]);
    broker.link.confirm(1);
    await done;
    await mq.close();
  });

  test('a body above what the broker takes is refused here, as the broker would', async () => {
    const { broker, orders, mq } = await publisher();
    expect(await failure(orders.publish('big', new Uint8Array(16_777_217)))).toMatchObject({ code: 'PRECONDITION_FAILED', replyCode: 406 });
    expect(broker.link.publishes()).toEqual([]);
    await mq.close();
  });

  test.each([
    ['a body that JSON cannot hold', undefined, {}],
    ['a key above 255 bytes', 1, { key: 'k'.repeat(256) }],
    ['headers above 64 KiB', 1, { options: { headers: { h: 'x'.repeat(70_000) } } }],
    [
      'headers above 64 KiB in many fields',
      1,
      { options: { headers: Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`h${n}`, 'é'.repeat(60)])) } },
    ],
    ['a header that no table holds', 1, { options: { headers: { f: () => 1 } } }],
    ['a priority that is no octet', 1, { options: { priority: 256 } }],
    ['a duration that is none', 1, { options: { timeout: 'soon' as '1s' } }],
  ])('%s rejects that publish alone, as INVALID', async (_name, body, { key = 'k', options = {} }: { key?: string; options?: object }) => {
    const { broker, orders, mq } = await publisher();
    expect(await failure(orders.publish(key, body, options))).toMatchObject({ code: 'INVALID', retryable: false });
    const next = orders.publish('k', 'next');
    await turns();
    expect(broker.link.publishes().map(({ body: sent }) => sent)).toEqual(['next']);
    broker.link.confirm(1);
    await next;
    await mq.close();
  });
});

describe('credit', () => {
  test('sends while credit is above 0, and goes on when there is more', async () => {
    const { broker, orders, mq } = await publisher({}, 100);
    const all = Promise.all(Array.from({ length: 5 }, () => orders.publish('k', 'x'.repeat(70))));
    await turns();
    expect(broker.link.publishes()).toHaveLength(1); // the head makes it more than 100 bytes
    broker.link.credit(1, 200);
    await turns();
    expect(broker.link.publishes()).toHaveLength(3);
    broker.link.credit(1, 10_000);
    await turns();
    expect(broker.link.publishes()).toHaveLength(5);
    broker.link.confirm(1, 5);
    await all;
    await mq.close();
  });

  test('maxInFlightBytes holds back what is not confirmed', async () => {
    const { broker, orders, mq } = await publisher({ publish: { maxInFlightBytes: 200 } });
    const all = Promise.all(Array.from({ length: 4 }, () => orders.publish('k', 'x'.repeat(70))));
    await turns();
    expect(broker.link.publishes()).toHaveLength(2);
    broker.link.confirm(1, 2);
    await turns();
    expect(broker.link.publishes()).toHaveLength(4);
    broker.link.confirm(3, 2);
    await all;
    await mq.close();
  });

  test('maxWaitingBytes bounds what waits', async () => {
    const { orders, mq } = await publisher({ publish: { maxWaitingBytes: 200 } }, 0);
    const waiting = Array.from({ length: 2 }, () => failure(orders.publish('k', 'x'.repeat(100))));
    expect(await failure(orders.publish('k', 'x'))).toMatchObject({ code: 'OVERFLOW', retryable: true });
    await mq.close();
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(['CLOSED', 'CLOSED']);
  });

  test("with confirm: 'none' it resolves when sent, and what was refused is a fault", async () => {
    const { broker, orders, mq } = await publisher({}, 100);
    const faults: LeveretError[] = [];
    mq.on('fault', (error) => faults.push(error));
    let resolved = 0;
    for (let n = 0; n < 2; n++) orders.publish('k', 'x'.repeat(100), { confirm: 'none' }).then(() => resolved++);
    await turns();
    expect(resolved).toBe(1);
    broker.link.credit(1, 100);
    await turns();
    expect(resolved).toBe(2);
    broker.link.refusePublish(1, { code: 404, reason: "NOT_FOUND - no exchange 'orders' in vhost '/'" });
    broker.link.confirm(2, 1, 0);
    await turns();
    expect(faults).toMatchObject([{ code: 'NOT_FOUND' }, { code: 'NO_ROUTE' }]);
    await mq.close();
  });
});

describe('what comes of it', () => {
  test('no route rejects, unless that is to be ignored', async () => {
    const { broker, orders, mq } = await publisher();
    const rejected = failure(orders.publish('k', 1));
    const ignored = orders.publish('k', 1, { unroutable: 'ignore' });
    await turns();
    broker.link.confirm(1, 2, 0);
    expect(await rejected).toMatchObject({ code: 'NO_ROUTE', replyCode: 312, retryable: false });
    expect(await ignored).toEqual({ routed: 0 });
    await mq.close();
  });

  test('a refusal rejects that one, with the reason of the broker', async () => {
    const { broker, orders, mq } = await publisher();
    const all = [orders.publish('k', 1), orders.publish('k', 2), orders.publish('k', 3)] as const;
    await turns();
    broker.link.refusePublish(2, { code: 506, reason: "RESOURCE_ERROR - queue 'q' is full" });
    broker.link.confirm(3);
    broker.link.confirm(1);
    expect(await failure(all[1])).toMatchObject({ code: 'RESOURCE_ERROR', retryable: true, reason: "RESOURCE_ERROR - queue 'q' is full" });
    expect(await all[0]).toEqual({ routed: 1 });
    expect(await all[2]).toEqual({ routed: 1 });
    await mq.close();
  });

  test('confirms may come in any order and settle each its own', async () => {
    const { broker, orders, mq } = await publisher();
    const order: number[] = [];
    const all = [1, 2, 3, 4].map((n) => orders.publish('k', n).then(() => order.push(n)));
    await turns();
    broker.link.confirm(3, 2);
    await turns();
    broker.link.confirm(2);
    await turns();
    broker.link.confirm(1);
    await Promise.all(all);
    expect(order).toEqual([3, 4, 2, 1]);
    const fifth = orders.publish('k', 5);
    await turns();
    broker.link.confirm(5);
    await fifth;
    await mq.close();
  });

  test('time ends a wait, sent or not, each at its own deadline, and the sequence stays right', async () => {
    const { broker, orders, mq } = await publisher({ publish: { timeout: '10s' } });
    const slow = failure(orders.publish('k', 'slow'));
    const quick = failure(orders.publish('k', 'quick', { timeout: '2s' }));
    const patient = orders.publish('k', 'patient', { timeout: '1m' });
    let order = '';
    void slow.then(() => (order += 'slow '));
    void quick.then(() => (order += 'quick '));
    await turns();
    await broker.advance(10_000);
    expect(order).toBe('quick slow ');
    expect(await slow).toMatchObject({ code: 'TIMEOUT', retryable: true });
    broker.link.confirm(1, 3);
    expect(await patient).toEqual({ routed: 1 });
    await mq.close();
  });

  test('a signal ends a wait; what was not sent is not sent any more', async () => {
    const { broker, orders, mq } = await publisher({}, 1);
    const first = orders.publish('k', 'first');
    const abort = new AbortController();
    const second = failure(orders.publish('k', 'second', { signal: abort.signal }));
    const third = orders.publish('k', 'third');
    await turns();
    abort.abort();
    expect(await second).toMatchObject({ code: 'ABORTED' });
    expect(await failure(orders.publish('k', 'late', { signal: abort.signal }))).toMatchObject({ code: 'ABORTED' });
    broker.link.credit(1, 1_000);
    await turns();
    expect(broker.link.publishes().map(({ body }) => body)).toEqual(['first', 'third']);
    broker.link.confirm(1, 2);
    await Promise.all([first, third]);
    await mq.close();
  });
});

describe('a broken connection', () => {
  test('what was not confirmed is sent again in order, with its id, before what came later', async () => {
    const { broker, orders, mq } = await publisher();
    const all = ['a', 'b', 'c'].map((id) => orders.publish('k', id, { id }));
    await turns();
    broker.link.confirm(2);
    await turns();
    broker.link.cut();
    all.push(orders.publish('k', 'd', { id: 'd' }));
    await broker.advance(1_000);
    expect(broker.link.publishes().map(({ properties }) => properties.messageId)).toEqual(['a', 'c', 'd']);
    broker.link.confirm(1, 3);
    await Promise.all(all);
    await mq.close();
  });

  test('what was given up meanwhile is not sent again', async () => {
    const { broker, orders, mq } = await publisher();
    const abort = new AbortController();
    const given = failure(orders.publish('k', 'a', { signal: abort.signal }));
    const kept = orders.publish('k', 'b');
    await turns();
    abort.abort();
    broker.link.cut();
    await broker.advance(1_000);
    expect(broker.link.publishes().map(({ body }) => body)).toEqual(['b']);
    broker.link.confirm(1);
    await Promise.all([given, kept]);
    await mq.close();
  });

  test("whenDown: 'fail' rejects at once without a connection, and when it breaks before the confirm", async () => {
    const { broker, orders, mq } = await publisher({ publish: { whenDown: 'fail' } });
    const sent = failure(orders.publish('k', 'sent'));
    await turns();
    broker.link.cut();
    expect(await sent).toMatchObject({ code: 'DISCONNECTED', retryable: true });
    expect(await failure(orders.publish('k', 'down'))).toMatchObject({ code: 'DISCONNECTED', retryable: true });
    const waits = orders.publish('k', 'waits', { whenDown: 'wait' });
    await broker.advance(1_000);
    expect(broker.link.publishes().map(({ body }) => body)).toEqual(['waits']);
    broker.link.confirm(1);
    await waits;
    await mq.close();
  });

  test('nothing is sent while the broker blocks: there is no credit, and listeners know why', async () => {
    const { broker, mq } = await publisher();
    const reasons: (string | undefined)[] = [];
    const stop = mq.on('blocked', (reason) => reasons.push(reason));
    broker.link.text({ event: 'blocked', reason: 'low on memory' });
    broker.link.text({ event: 'unblocked', reason: '' });
    await turns();
    stop();
    broker.link.text({ event: 'blocked', reason: 'again' });
    await turns();
    expect(reasons).toEqual(['low on memory', undefined]);
    const late: (string | undefined)[] = [];
    mq.on('blocked', (reason) => late.push(reason));
    await turns();
    expect(late, 'who listens late is told what stands').toEqual(['again']);
    await mq.close();
    expect(late).toEqual(['again']);
  });

  test('drain waits for every confirm, and refuses nothing that was begun', async () => {
    const { broker, orders, mq } = await publisher();
    const results: Published[] = [];
    void orders.publish('k', 1).then((result) => results.push(result));
    let isDrained = false;
    const drained = mq.drain().then(() => {
      isDrained = true;
    });
    await turns();
    expect(isDrained).toBe(false);
    broker.link.confirm(1);
    await drained;
    expect(results).toEqual([{ routed: 1 }]);
    expect(broker.link.said.at(-1)).toEqual({ kind: 'close', code: 1000 });
    expect(broker.clock.pendingTimers).toBe(0);
  });
});
