// Time to live: of messages, by queue and by property, and of queues. The clock is the test's own.

import { describe, expect } from 'vitest';
import { test } from '../support/broker.ts';

const DEAD = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
const bodies = (messages: { body?: string }[]): (string | undefined)[] => messages.map((message) => message.body);

describe('x-message-ttl', () => {
  test('a message lives for its time to live, and not a millisecond longer', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-message-ttl': 1_000 });
    await s.send('q', 'm');
    await broker.advance(999);
    expect(await s.ready('q')).toBe(1);
    await broker.advance(1);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, counts: { expired: 1 } });
    expect(await s.get('q')).toBeUndefined();
  });

  test('the clock of a message is not set back by a requeue', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-message-ttl': 1_000 });
    await s.send('q', 'm');
    await broker.advance(600);
    const message = await s.take('q');
    await s.nack(message.tag);
    await broker.advance(400);
    expect(await s.ready('q')).toBe(0);
  });

  test('an unacked message does not expire, and goes at once when it comes back too late', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-message-ttl': 1_000, ...DEAD });
    await s.send('q', 'a', 'b');
    const first = await s.take('q');
    const second = await s.take('q');
    await broker.advance(5_000);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 2 });
    await s.ack(first.tag);
    await s.nack(second.tag);
    await broker.advance(1);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0 });
    expect(await s.drainBodies('dead')).toEqual(['b']);
  });

  test('a time to live of 0 expires what no consumer can take now', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-message-ttl': 0, ...DEAD });
    await s.send('q', 'early');
    await broker.advance(1);
    const inbox = await s.consume('q', { noAck: true });
    await broker.idle();
    await s.send('q', 'now');
    await broker.advance(1);
    expect(inbox.bodies).toEqual(['now']);
    expect(await s.drainBodies('dead')).toEqual(['early']);
  });

  test('a message that expired at 0 was routed: it is not returned', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-message-ttl': 0 });
    expect(await s.publish('', 'q', 'm', {}, true)).toBe(1);
    await broker.advance(1);
    expect(s.returns).toEqual([]);
    expect(await s.ready('q')).toBe(0);
  });
});

describe('expiration', () => {
  test('a message expires on time behind one that does not', async ({ broker }) => {
    // RabbitMQ differs: it looks at the head alone.
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', DEAD);
    await s.publish('', 'q', 'stays');
    await s.publish('', 'q', 'goes', { expiration: '1000' });
    await s.publish('', 'q', 'goes later', { expiration: '2000' });
    await broker.advance(1_000);
    expect(await s.ready('q')).toBe(2);
    expect(await s.drainBodies('dead')).toEqual(['goes']);
    await broker.advance(1_000);
    expect(await s.drainBodies('q')).toEqual(['stays']);
    expect(await s.drainBodies('dead')).toEqual(['goes later']);
  });

  test('messages of one queue expire in the order of their deadlines', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', DEAD);
    for (const ms of ['300', '100', '200', '100']) await s.publish('', 'q', ms, { expiration: ms });
    await broker.advance(1_000);
    expect(await s.drainBodies('dead')).toEqual(['100', '100', '200', '300']);
  });

  test('the smaller of message and queue counts', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-message-ttl': 500 });
    await s.publish('', 'q', 'a', { expiration: '100000' });
    await s.publish('', 'q', 'b', { expiration: '100' });
    await broker.advance(100);
    expect(await s.ready('q')).toBe(1);
    await broker.advance(400);
    expect(await s.ready('q')).toBe(0);
  });

  test('one message has its own deadline in each queue', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('short', { 'x-message-ttl': 100 });
    await s.declare('long', { 'x-message-ttl': 1_000 });
    for (const queue of ['short', 'long']) await s.bind(queue, 'amq.fanout');
    await s.publish('amq.fanout', '', 'm');
    await broker.advance(100);
    expect([await s.ready('short'), await s.ready('long')]).toEqual([0, 1]);
    await broker.advance(900);
    expect(await s.ready('long')).toBe(0);
  });

  test('what is not a decimal number of milliseconds up to ten years is refused', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const TABLE: [expiration: string, why: string][] = [
      ['abc', 'no_integer'],
      ['', 'no_integer'],
      ['-1', '{value_negative,-1}'],
      ['1.5', '{leftover_string,".5"}'],
      ['5 ', '{leftover_string," "}'],
      ['0x10', '{leftover_string,"x10"}'],
      ['315360000001', '{value_too_large,315360000001}'],
    ];
    const got: typeof TABLE = [];
    for (const [expiration] of TABLE) {
      const error = await s.fails('publish', { key: 'q', body: '', properties: { expiration } });
      expect(error.code).toBe(406);
      got.push([expiration, error.reason.replace(`PRECONDITION_FAILED - invalid expiration '${expiration}': `, '')]);
    }
    expect(got).toEqual(TABLE);
    expect(await s.ready('q')).toBe(0);
    await s.publish('', 'q', '', { expiration: '315360000000' });
    await s.publish('', 'q', '', { expiration: '05' });
    expect(await s.ready('q')).toBe(2);
  });

  test('a ten-year message does not expire early', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.publish('', 'q', 'm', { expiration: '315360000000' });
    await broker.advance(315_359_999_999);
    expect(await s.ready('q')).toBe(1);
    await broker.advance(1);
    expect(await s.ready('q')).toBe(0);
  });

  test('expiration 0 reaches a waiting consumer, and nobody else', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.publish('', 'q', 'lost', { expiration: '0' });
    await broker.advance(1);
    const inbox = await s.consume('q');
    await broker.idle();
    await s.publish('', 'q', 'taken', { expiration: '0' });
    await broker.advance(1);
    expect(inbox.bodies).toEqual(['taken']);
  });

  test('an expired message is never delivered, whatever stands before it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q', { prefetch: 1 });
    for (const [body, expiration] of [['1'], ['2', '50'], ['3'], ['4', '100']] as [string, string?][]) {
      await s.publish('', 'q', body, expiration === undefined ? {} : { expiration });
    }
    await broker.advance(60);
    for (let i = 0; i < 2; i++) {
      await s.ack(inbox.at(i).tag);
      await broker.idle();
    }
    await broker.advance(60);
    expect(inbox.bodies).toEqual(['1', '3', '4']);
  });

  test('a prefetched message outlives its expiration', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.publish('', 'q', 'm', { expiration: '10' });
    const message = await s.take('q');
    await broker.advance(1_000);
    await s.ack(message.tag);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { acked: 1, expired: 0 } });
  });

  test('priorities do not hold an expiry up', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-priority': 5 });
    await s.publish('', 'q', 'high', { priority: 5 });
    await s.publish('', 'q', 'low', { priority: 1, expiration: '100' });
    await s.publish('', 'q', 'mid', { priority: 3, expiration: '50' });
    await broker.advance(50);
    expect(await s.ready('q')).toBe(2);
    await broker.advance(50);
    expect(bodies(await s.drain('q'))).toEqual(['high']);
  });
});

describe('x-expires', () => {
  test('an unused queue goes, with its messages and bindings, and dead-letters nothing', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-expires': 1_000, ...DEAD });
    await s.bind('q', 'amq.direct', 'k');
    await s.send('q', 'm');
    await broker.advance(999);
    expect(await broker.queueNames()).toEqual(['dead', 'q']);
    await broker.advance(1);
    expect(await broker.queueNames()).toEqual(['dead']);
    expect(await s.publish('amq.direct', 'k')).toBe(0);
    expect(await s.ready('dead')).toBe(0);
  });

  test('publishing does not keep it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-expires': 1_000 });
    await broker.advance(900);
    await s.send('q', 'm');
    await broker.advance(100);
    expect(await broker.queueNames()).toEqual([]);
  });

  test('a get and a redeclare each give it its whole time again', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-expires': 1_000 });
    await broker.advance(900);
    await s.get('q');
    await broker.advance(900);
    await s.declare('q', { 'x-expires': 1_000 });
    await broker.advance(999);
    expect(await broker.queueNames()).toEqual(['q']);
    await broker.advance(1);
    expect(await broker.queueNames()).toEqual([]);
  });

  test('a consumer keeps it, and its time begins anew when the last one goes', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-expires': 1_000 });
    const first = await s.consume('q');
    const second = await s.consume('q');
    await broker.advance(10_000);
    await s.cancel(first);
    await broker.advance(10_000);
    await s.cancel(second);
    await broker.advance(999);
    expect(await broker.queueNames()).toEqual(['q']);
    await broker.advance(1);
    expect(await broker.queueNames()).toEqual([]);
  });
});
