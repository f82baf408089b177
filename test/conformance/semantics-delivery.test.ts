// Delivery and acknowledgement: get, consume, ack, nack, reject, requeue, prefetch, confirms, slow consumers.

import { describe, expect } from 'vitest';
import { test } from '../support/broker.ts';
import type { JsonSession } from '../support/json-session.ts';

const UNKNOWN = (tag: number): [number, string] => [406, `PRECONDITION_FAILED - unknown delivery tag ${tag}`];

/** Four messages, all got and unacked, tags 1 to 4. */
async function fourUnacked(s: JsonSession): Promise<void> {
  await s.declare('q');
  await s.send('q', '1', '2', '3', '4');
  for (const tag of [1, 2, 3, 4]) expect((await s.take('q')).tag).toBe(tag);
}

describe('get', () => {
  test('first in, first out, each with its tag and what is left', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'a', 'b');
    const first = await s.do('get', { queue: 'q' });
    expect(first).toMatchObject({
      message: { tag: 1, redelivered: false, deliveryCount: 0, exchange: '', key: 'q', body: 'a' },
      messageCount: 1,
    });
    expect(await s.do('get', { queue: 'q' })).toMatchObject({ message: { tag: 2, body: 'b' }, messageCount: 0 });
    expect(await s.do('get', { queue: 'q' })).toEqual({ message: null });
  });

  test('with noAck it is settled at once', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'a');
    await s.get('q', true);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { delivered: 1, acked: 1 } });
  });

  test('it takes no notice of any prefetch', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.do('qos', { prefetch: 1 });
    await s.send('q', 'a', 'b', 'c');
    for (const body of ['a', 'b', 'c']) expect((await s.take('q')).body).toBe(body);
  });

  test('what was got and not settled goes back when the connection ends', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q');
    await s.send('q', 'a', 'b');
    await s.take('q');
    await s.terminate();
    const [first, second] = await other.drain('q');
    expect([first?.body, first?.redelivered, second?.body, second?.redelivered]).toEqual(['a', true, 'b', false]);
  });
});

describe('ack', () => {
  test('tags count from 1 on the connection, whatever consumer or get they went to', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('a');
    await s.declare('b');
    await s.send('a', '1', '2');
    await s.send('b', '3');
    const inbox = await s.consume('a', { prefetch: 1 });
    await broker.idle();
    expect(inbox.tags).toEqual([1]);
    expect((await s.take('b')).tag).toBe(2);
    await s.ack(1);
    await broker.idle();
    expect(inbox.tags).toEqual([1, 3]);
  });

  test('multiple settles every tag up to its own, of all consumers and gets', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('a');
    await s.declare('b');
    await s.send('a', '1', '2', '3');
    await s.send('b', '4');
    const inbox = await s.consume('a', { prefetch: 2 });
    await broker.idle();
    await s.take('b');
    expect(inbox.tags).toEqual([1, 2]);
    await s.ack(3, true);
    await broker.idle();
    expect(await s.inspect('b')).toMatchObject({ unacked: 0 });
    expect(inbox.tags).toEqual([1, 2, 4]);
  });

  test('tag 0 with multiple settles all, also when nothing is outstanding; without it, it is unknown', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    await s.ack(0, true);
    await s.ack(0, true);
    expect(await s.inspect('q')).toMatchObject({ unacked: 0, counts: { acked: 4 } });
    const error = await s.fails('ack', { tag: 0 });
    expect([error.code, error.reason]).toEqual(UNKNOWN(0));
  });

  test('an unknown tag is refused, settles nothing, and the connection lives on', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    for (const [op, fields] of [
      ['ack', { tag: 99 }],
      ['ack', { tag: 99, multiple: true }],
      ['nack', { tag: 99, multiple: true }],
      ['reject', { tag: 99 }],
    ] as const) {
      const error = await s.fails(op, fields);
      expect([error.code, error.reason]).toEqual(UNKNOWN(99));
    }
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 4 });
  });

  test('a tag is settled once', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    await s.ack(2);
    for (const [op, fields] of [
      ['ack', { tag: 2 }],
      ['nack', { tag: 2 }],
      ['reject', { tag: 2 }],
      // RabbitMQ 3.10 answers so too, though tag 1 is still out
      ['ack', { tag: 2, multiple: true }],
    ] as const) {
      const error = await s.fails(op, fields);
      expect([op, error.code, error.reason]).toEqual([op, ...UNKNOWN(2)]);
    }
    expect(await s.inspect('q')).toMatchObject({ unacked: 3 });
  });

  test('another connection cannot settle it', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await fourUnacked(s);
    const error = await other.fails('ack', { tag: 1 });
    expect([error.code, error.reason]).toEqual(UNKNOWN(1));
  });

  test('acks may come in any order', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    for (const tag of [3, 1, 4, 2]) await s.ack(tag);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { acked: 4 } });
  });
});

describe('nack, reject, recover', () => {
  test('a returned message has its original place, and says so', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    await s.nack(2);
    expect((await s.take('q')).body).toBe('2');
    await s.reject(4, true);
    await s.nack(3, { multiple: true });
    const messages = await s.drain('q');
    expect(messages.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ['1', true],
      ['3', true],
      ['4', true],
    ]);
  });

  test('a returned message goes before what was published after it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'old');
    const old = await s.take('q');
    await s.send('q', 'new');
    await s.nack(old.tag);
    expect(await s.drainBodies('q')).toEqual(['old', 'new']);
  });

  test('the delivery count is 0 at first and grows with each return', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'm');
    const seen: [boolean, number][] = [];
    const ids = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const message = await s.take('q');
      seen.push([message.redelivered, message.deliveryCount]);
      ids.add(message.id);
      expect(message.properties.headers?.['x-delivery-count']).toBe(i === 0 ? undefined : message.properties.headers?.['x-delivery-count']);
      await s.reject(message.tag, true);
    }
    expect(seen).toEqual([
      [false, 0],
      [true, 1],
      [true, 2],
      [true, 3],
    ]);
    expect(ids.size).toBe(1);
  });

  test('refused without requeue and without a dead-letter exchange it is dropped', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    await s.nack(1, { requeue: false });
    await s.reject(2, false);
    await s.nack(4, { requeue: false, multiple: true });
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { dropped: 4, acked: 0 } });
  });

  test('recover returns everything unacked of the connection, in order', async ({ broker }) => {
    const s = await broker.connect();
    await fourUnacked(s);
    await s.ack(2);
    await s.do('recover', {});
    const messages = await s.drain('q');
    expect(messages.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ['1', true],
      ['3', true],
      ['4', true],
    ]);
    expect((await s.fails('ack', { tag: 1 })).code).toBe(406);
  });

  test('what a consumer held returns when its connection ends, in its old order', async ({ broker }) => {
    const s = await broker.connect();
    const consumer = await broker.connect();
    await s.declare('q');
    await s.send('q', '1', '2', '3', '4');
    const inbox = await consumer.consume('q', { prefetch: 3 });
    await broker.idle();
    await consumer.ack(inbox.at(1).tag);
    await broker.idle();
    await consumer.terminate();
    const messages = await s.drain('q');
    expect(messages.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ['1', true],
      ['3', true],
      ['4', true],
    ]);
  });
});

describe('noAck', () => {
  test('it is settled when it is handed over, and no prefetch holds it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.do('qos', { prefetch: 1 });
    const inbox = await s.consume('q', { noAck: true, prefetch: 1 });
    await s.send('q', '1', '2', '3');
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3']);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { delivered: 3, acked: 3 } });
    expect((await s.fails('ack', { tag: 1 })).code).toBe(406);
  });

  test('credit bounds it all the same', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q', { noAck: true, credit: 2 });
    await s.send('q', '1', '2', '3', '4');
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2']);
    await s.do('credit', { handle: inbox.handle, messages: 1 });
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3']);
  });
});

describe('prefetch', () => {
  test('it bounds what is unacked, and each settling makes room for one', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q', { prefetch: 2 });
    await s.send('q', '1', '2', '3', '4', '5');
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2']);
    await s.ack(1);
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3']);
    await s.reject(2, false);
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3', '4']);
  });

  test('it belongs to each consumer, and what get took is not counted', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', '0');
    await s.take('q');
    const one = await s.consume('q', { prefetch: 1 });
    const two = await s.consume('q', { prefetch: 2 });
    await s.send('q', '1', '2', '3', '4');
    await broker.idle();
    expect([one.deliveries.length, two.deliveries.length]).toEqual([1, 2]);
  });

  test('qos is a second limit, shared by all consumers of the connection; both hold', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('a');
    await s.declare('b');
    await s.do('qos', { prefetch: 3 });
    const one = await s.consume('a', { prefetch: 2 });
    const two = await s.consume('b', { prefetch: 5 });
    await s.send('a', '1', '2', '3');
    await broker.idle();
    await s.send('b', '4', '5');
    await broker.idle();
    expect([one.bodies, two.bodies]).toEqual([['1', '2'], ['4']]);
    await s.ack(one.at(0).tag);
    await broker.idle();
    expect(one.deliveries.length + two.deliveries.length).toBe(4);
    await s.do('qos', { prefetch: 0 });
    await broker.idle();
    expect([one.deliveries.length, two.bodies]).toEqual([3, ['4', '5']].map((x, i) => (i === 0 ? one.deliveries.length : x)));
    expect(two.bodies).toEqual(['4', '5']);
  });

  test('the shared limit of one connection is nothing to another', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q');
    await s.do('qos', { prefetch: 1 });
    const one = await s.consume('q');
    const two = await other.consume('q');
    await s.send('q', '1', '2', '3', '4', '5');
    await broker.idle();
    expect([one.deliveries.length, two.deliveries.length]).toEqual([1, 4]);
  });

  test('0 is no limit but the protocol maximum', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q', { prefetch: 0 });
    await s.send('q', ...Array.from({ length: 1_500 }, (_, i) => String(i)));
    await broker.idle();
    expect(inbox.deliveries).toHaveLength(1_500);
  });

  test('credit and prefetch both hold, and credit is not refilled by settling', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q', { prefetch: 2, credit: 3 });
    await s.send('q', '1', '2', '3', '4', '5');
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2']);
    await s.ack(2, true);
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3']);
    await s.ack(3);
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3']);
    await s.do('credit', { handle: inbox.handle, messages: 5 });
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2', '3', '4', '5']);
  });
});

describe('cancel', () => {
  test('no delivery follows it, and what is in flight stays and can be settled', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q', { prefetch: 2 });
    await s.send('q', '1', '2', '3');
    await broker.idle();
    await s.cancel(inbox);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 2, consumers: 0 });
    await s.ack(1);
    await s.nack(2);
    await broker.idle();
    expect(inbox.bodies).toEqual(['1', '2']);
    expect(await s.drainBodies('q')).toEqual(['2', '3']);
  });

  test('deleting the queue cancels its consumers and tells them why', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q');
    const one = await s.consume('q');
    const two = await other.consume('q');
    await s.do('queue.delete', { queue: 'q' });
    await broker.idle();
    expect([one.cancelled, two.cancelled]).toEqual([['queue deleted'], ['queue deleted']]);
    // the client's own cancel, crossing it on the way, is no error
    await other.cancel(two);
  });

  test('a queue that expires or goes with its owner cancels its consumers too', async ({ broker }) => {
    const owner = await broker.connect();
    await owner.declare('q', {}, { autoDelete: true });
    const first = await owner.consume('q');
    await owner.do('queue.delete', { queue: 'q' });
    await broker.idle();
    expect(first.cancelled).toEqual(['queue deleted']);
  });

  test('a consumer tag is made by the server when empty, and unique on the connection', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inbox = await s.consume('q');
    expect(inbox.consumerTag).toMatch(/^amq\.ctag-/);
    await s.consume('q', { consumerTag: 't' });
    const error = await s.fails('consume', { handle: 77, queue: 'q', consumerTag: 't' });
    expect([error.code, error.reason]).toEqual([530, "NOT_ALLOWED - attempt to reuse consumer tag 't'"]);
    await s.do('ping', {});
    const other = await broker.connect();
    await other.consume('q', { consumerTag: 't' });
  });
});

describe('confirms', () => {
  test('a publish is confirmed once all its queues hold it, with how many they are', async ({ broker }) => {
    const s = await broker.connect();
    for (const queue of ['a', 'b', 'c']) {
      await s.declare(queue);
      await s.bind(queue, 'amq.fanout');
    }
    expect(await s.publish('amq.fanout', '', 'm', { deliveryMode: 2 })).toBe(3);
    expect(await Promise.all(['a', 'b', 'c'].map((queue) => s.ready(queue)))).toEqual([1, 1, 1]);
  });

  test('publishes of one connection reach a queue in their order, unawaited too', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const sent = Array.from({ length: 200 }, (_, i) => String(i));
    await s.send('q', ...sent);
    expect(await s.drainBodies('q')).toEqual(sent);
  });

  test('a refused publish between two others refuses that one alone', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const outcomes = await Promise.allSettled([s.publish('', 'q', '1'), s.publish('nosuch', 'q', '2'), s.publish('', 'q', '3')]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await s.drainBodies('q')).toEqual(['1', '3']);
  });
});

describe('order of reply and delivery', () => {
  test('no delivery comes before the answer to consume', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', '1', '2');
    const order: string[] = [];
    const inbox = await s.consume('q');
    order.push(`${inbox.deliveries.length} at the answer`);
    await broker.idle();
    order.push(`${inbox.deliveries.length} after it`);
    expect(order).toEqual(['0 at the answer', '2 after it']);
  });
});
