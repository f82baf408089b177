// What becomes of a publish over AMQP: confirms, returns, refusals, the soft errors that close its channel, and a broken connection. On the test's own time.
import { describe, expect, test } from 'vitest';
import type { AmqpConnectOptions, LeveretError, Published } from '../../../client/src/amqp/index.ts';
import { FakeAmqp, turns } from './fake-amqp.ts';

async function publisher(options: AmqpConnectOptions = {}) {
  const server = new FakeAmqp();
  const mq = await server.connect(options);
  return { server, mq, orders: mq.exchange('orders') };
}
/** As publisher, with an exchange that has taken a publish: what follows need not go alone. */
async function proven(options: AmqpConnectOptions = {}) {
  const all = await publisher(options);
  const first = all.orders.publish('k', 'first');
  await turns();
  all.server.link.ack(1);
  await first;
  return all;
}
const failure = (promise: Promise<unknown>): Promise<LeveretError> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (error: LeveretError) => error,
  );
/** What becomes of each; asked for at once, so that no rejection is without its owner. */
const outcomes = async (all: Promise<Published>[]): Promise<string[]> =>
  (await Promise.allSettled(all)).map((each) => (each.status === 'fulfilled' ? 'stored' : (each.reason as LeveretError).code));

describe('what leaves', () => {
  test('publishes of a turn leave in one write, mandatory, in order, on a channel that confirms', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const all = Array.from({ length: 500 }, (_, n) => orders.publish(`k${n % 3}`, { n }));
    await turns();
    const sent = link.of('basic.publish').slice(1);
    expect(sent.map(({ body }) => JSON.parse(body).n)).toEqual(all.map((_, n) => n));
    expect(new Set(sent.map(({ write }) => write)).size).toBe(1);
    expect(new Set(sent.map(({ channel, fields }) => `${channel} ${fields['mandatory']}`))).toEqual(
      new Set([`${link.publishChannel} true`]),
    );
    link.ack(501, true);
    expect(await outcomes(all)).toEqual(all.map(() => 'stored'));
    await mq.close();
  });

  test('a body is cut at the frame size that was agreed on; an empty one has no frame', async () => {
    const server = new FakeAmqp();
    server.tune = { ...server.tune, frameMax: 4_096 };
    const mq = await server.connect();
    const sent = [mq.queue('q').publish('x'.repeat(10_000)), mq.queue('q').publish('')];
    await turns();
    server.link.ack(1);
    await turns();
    server.link.ack(2);
    await Promise.all(sent);
    expect(server.link.of('basic.publish').map(({ frames }) => frames)).toEqual([[4_088, 4_088, 1_824], []]);
    await mq.close();
  });

  test('a body that the client cuts in parts arrives whole', async () => {
    const { server, orders, mq } = await publisher();
    const done = orders.publish('big', new Uint8Array(300_000).fill(0x61));
    await turns();
    const [sent] = server.link.of('basic.publish');
    expect([sent?.body.length, sent?.frames]).toEqual([300_000, [131_064, 131_064, 37_872]]);
    server.link.ack(1);
    await done;
    await mq.close();
  });
});

describe('what comes of it', () => {
  test('an ack says that a queue took it, and not how many did', async () => {
    const { server, orders, mq } = await publisher();
    const done = orders.publish('k', 1);
    await turns();
    server.link.ack(1);
    const published = await done;
    expect(() => published.routed).toThrow(expect.objectContaining({ code: 'UNSUPPORTED', retryable: false }));
    expect(JSON.stringify(published)).toBe('{}');
    await mq.close();
  });

  test('confirms may be multiple, and come in any order', async () => {
    const { server, orders, mq } = await proven();
    const order: number[] = [];
    const all = [2, 3, 4, 5, 6].map((n) => orders.publish('k', n).then(() => order.push(n)));
    await turns();
    server.link.ack(4);
    await turns();
    server.link.ack(3, true);
    await turns();
    server.link.ack(0, true);
    await Promise.all(all);
    expect(order).toEqual([4, 2, 3, 5, 6]);
    await mq.close();
  });

  test('a return before the ack is no route; who ignores that is told 0', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const all = [orders.publish('a', 1), failure(orders.publish('b', 2)), orders.publish('b', 3, { unroutable: 'ignore' })] as const;
    await turns();
    const [, , second, third] = link.of('basic.publish');
    if (second) link.giveBack(second);
    if (third) link.giveBack(third);
    link.ack(4, true);
    expect(await all[1]).toMatchObject({
      code: 'NO_ROUTE',
      replyCode: 312,
      reason: "NO_ROUTE - exchange 'orders' has no queue for key 'b'",
      retryable: false,
    });
    expect(await all[2]).toEqual({ routed: 0 });
    await all[0];
    await mq.close();
  });

  test('of two that differ in their headers alone, the right one is returned; a header that the broker changed is known by its names', async () => {
    const { server, mq } = await proven();
    const { link } = server;
    const by = (n: number) => mq.exchange('orders').publish('k', 'same', { headers: { n } });
    const all = outcomes([by(1), by(2), by(3)]);
    await turns();
    const [, , second, third] = link.of('basic.publish');
    if (second) link.giveBack(second);
    if (third) link.giveBack(third, 312, 'NO_ROUTE', { ...third.properties, replyTo: 'rewritten' });
    link.ack(4, true);
    expect(await all).toEqual(['stored', 'NO_ROUTE', 'NO_ROUTE']);
    await mq.close();
  });

  test('a nack is a refusal that may pass; one that says why is told so', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const bare = failure(orders.publish('a', 1));
    const told = failure(orders.publish('b', 2));
    await turns();
    link.nack(2);
    const second = link.of('basic.publish')[2];
    if (second) link.giveBack(second, 311, "OVERFLOW queue='full'");
    link.nack(3);
    expect(await bare).toMatchObject({ code: 'REFUSED', retryable: true, replyCode: undefined });
    expect(await told).toMatchObject({ code: 'CONTENT_TOO_LARGE', replyCode: 311, queue: 'full', retryable: true });
    await mq.close();
  });

  test("with confirm: 'none' it resolves when sent, and what fails is a fault", async () => {
    const { server, orders, mq } = await publisher();
    const faults: LeveretError[] = [];
    mq.on('fault', (error) => faults.push(error));
    await orders.publish('k', 'x', { confirm: 'none' });
    await turns();
    server.link.closeChannel(server.link.publishChannel, 404, "NOT_FOUND - no exchange 'orders' in vhost '/'");
    await turns();
    expect(faults).toMatchObject([{ code: 'NOT_FOUND', replyCode: 404 }]);
    await mq.close();
  });

  test('a confirm of what was not published ends the connection, and the next is made', async () => {
    const { server, orders, mq } = await publisher();
    const done = orders.publish('k', 1);
    await turns();
    const first = server.link;
    first.ack(2);
    await turns();
    expect(first.of('connection.close')[0]?.fields).toMatchObject({ replyCode: 541 });
    await server.advance(1_000);
    expect(server.link).not.toBe(first);
    server.link.ack(1);
    await done;
    await mq.close();
  });
});

describe('a soft error', () => {
  const NOT_FOUND = "NOT_FOUND - no exchange 'nowhere' in vhost '/'";

  test('meets the first publish to an exchange alone: those before are confirmed, those behind are sent once', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const nowhere = mq.exchange('nowhere');
    const refused = nowhere.publish('k', 'zero');
    const error = failure(refused);
    await turns();
    link.closeChannel(link.publishChannel, 404, NOT_FOUND);
    expect(await error).toMatchObject({ reason: NOT_FOUND, code: 'NOT_FOUND', replyCode: 404, retryable: false });
    const again = orders.publish('k', 'first again');
    await turns();
    link.ack(1);
    await again;
    const all = outcomes([orders.publish('k', 'a'), nowhere.publish('k', 'b'), orders.publish('k', 'c'), nowhere.publish('k', 'd')]);
    await turns();
    const before = ['first', 'zero', 'first again'];
    expect(link.publishes()).toEqual([...before, 'a']);
    link.ack(2);
    await turns();
    expect(link.publishes()).toEqual([...before, 'a', 'b']);
    link.closeChannel(link.publishChannel, 404, NOT_FOUND);
    await turns();
    expect(link.methods().slice(-4)).toEqual(['1 channel.close-ok', '1 channel.open', '1 confirm.select', '1 basic.publish']);
    expect(link.publishes()).toEqual([...before, 'a', 'b', 'c']);
    link.ack(1);
    expect(await all).toEqual(['stored', 'NOT_FOUND', 'stored', 'NOT_FOUND']);
    expect(mq.state).toBe('open');
    await mq.close();
  });

  test('in the middle of many is of those whose exchange it names; the others are sent again, in their order', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const other = mq.exchange('other').publish('k', 'other first');
    await turns();
    link.ack(2);
    await other;
    const all = outcomes(['a', 'b', 'c', 'd'].map((body, n) => (n % 2 === 0 ? orders : mq.exchange('other')).publish('k', body)));
    await turns();
    link.closeChannel(link.publishChannel, 404, "NOT_FOUND - no exchange 'other' in vhost '/'"); // deleted meanwhile
    await turns();
    link.ack(1);
    await turns();
    expect(link.publishes().slice(2)).toEqual(['a', 'b', 'c', 'd', 'a', 'c']);
    link.ack(2);
    expect(await all).toEqual(['stored', 'NOT_FOUND', 'stored', 'NOT_FOUND']);
    await mq.close();
  });

  test('that names nothing is found by sending one by one', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const all = outcomes(['a', 'b', 'c', 'd'].map((body) => orders.publish('k', body)));
    await turns();
    const text = 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}';
    link.closeChannel(link.publishChannel, 406, text);
    await turns();
    expect(link.publishes().slice(1)).toEqual(['a', 'b', 'c', 'd', 'a']);
    link.ack(1);
    await turns();
    expect(link.publishes().slice(5)).toEqual(['a', 'b']);
    link.closeChannel(link.publishChannel, 406, text);
    await turns();
    expect(link.publishes().slice(5)).toEqual(['a', 'b', 'c']);
    link.ack(1);
    await turns();
    link.ack(2);
    expect(await all).toEqual(['stored', 'PRECONDITION_FAILED', 'stored', 'stored']);
    await mq.close();
  });

  test('by topic is of those with that key', async () => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const all = outcomes(['a.b', 'c.d', 'a.b'].map((key) => orders.publish(key, key)));
    await turns();
    link.closeChannel(
      link.publishChannel,
      403,
      "ACCESS_REFUSED - access to topic 'a.b' in exchange 'orders' in vhost '/' refused for user 'guest'",
    );
    await turns();
    link.ack(1);
    expect(await all).toEqual(['ACCESS_REFUSED', 'stored', 'ACCESS_REFUSED']);
    await mq.close();
  });

  test.each([
    ["the first in a user's name", { userId: 'ann' }, 'x'],
    ['the first of a size', {}, 'x'.repeat(2_000_000)],
  ])('is expected for %s, which goes alone; the next like it does not', async (_name, options, body) => {
    const { server, orders, mq } = await proven();
    const { link } = server;
    const all = Array.from({ length: 4 }, () => orders.publish('k', body, options));
    await turns();
    expect(link.publishes()).toHaveLength(2);
    link.ack(2);
    await turns();
    expect(link.publishes()).toHaveLength(5);
    link.ack(5, true);
    await Promise.all(all);
    await mq.close();
  });

  test('that no publish can have caused, or a channel that cannot be opened again, ends the connection', async () => {
    const { server, orders, mq } = await proven();
    const why: (string | undefined)[] = [];
    mq.on('state', (_state, error) => why.push(error?.code));
    server.link.closeChannel(server.link.publishChannel, 506, 'RESOURCE_ERROR - out of something');
    await server.advance(1_000);
    expect(server.links).toHaveLength(2);
    expect(why[0]).toBe('RESOURCE_ERROR');
    const done = orders.publish('k', 1);
    await turns();
    server.link.ack(1);
    await done;
    await mq.close();
  });
});

describe('a broken connection', () => {
  test('what was not confirmed is sent again in order, before what came later; what was given up is not', async () => {
    const { server, orders, mq } = await proven();
    const abort = new AbortController();
    const given = failure(orders.publish('k', 'given up', { signal: abort.signal }));
    const all = ['a', 'b', 'c'].map((id) => orders.publish('k', id, { id }));
    await turns();
    server.link.ack(3); // a
    server.link.ack(4); // b
    await turns();
    abort.abort();
    server.link.tear();
    all.push(orders.publish('k', 'd', { id: 'd' }));
    await server.advance(1_000);
    expect(server.links).toHaveLength(2);
    server.link.ack(1); // goes alone: this connection has seen no publish to it yet
    await turns();
    server.link.ack(2, true);
    await Promise.all(all);
    expect(server.link.of('basic.publish').map(({ properties }) => properties.messageId)).toEqual(['c', 'd']);
    expect(await given).toMatchObject({ code: 'ABORTED' });
    await mq.close();
  });

  test('nothing is sent while the broker blocks, and listeners know why', async () => {
    const { server, orders, mq } = await proven();
    const reasons: (string | undefined)[] = [];
    mq.on('blocked', (reason) => reasons.push(reason));
    server.link.say(0, 'connection.blocked', { reason: 'low on memory' });
    const done = orders.publish('k', 'held');
    await turns();
    expect(server.link.publishes()).toEqual(['first']);
    server.link.say(0, 'connection.unblocked', {});
    await turns();
    expect(server.link.publishes()).toEqual(['first', 'held']);
    server.link.ack(2);
    await done;
    expect(reasons).toEqual(['low on memory', undefined]);
    await mq.close();
  });

  test('drain waits for every confirm', async () => {
    const { server, orders, mq } = await proven();
    const done = outcomes([orders.publish('k', 1)]);
    let isDrained = false;
    const drained = mq.drain().then(() => (isDrained = true));
    await turns();
    expect(isDrained).toBe(false);
    server.link.ack(2);
    await drained;
    expect(await done).toEqual(['stored']);
    expect(server.link.said.at(-1)?.name).toBe('connection.close');
    expect(server.clock.pendingTimers).toBe(0);
  });
});
