// Length limits, what overflow does, and priorities.

import { describe, expect } from 'vitest';
import { test } from '../support/broker.ts';
import type { JsonSession } from '../support/json-session.ts';

const DEAD = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };

/** 'in' or the code of the refusal, for each body in turn. */
async function outcomes(s: JsonSession, exchange: string, key: string, bodies: string[]): Promise<(string | number)[]> {
  const got: (string | number)[] = [];
  for (const body of bodies) {
    try {
      await s.publish(exchange, key, body);
      got.push('in');
    } catch (error) {
      got.push((error as { code: number }).code);
    }
  }
  return got;
}

describe('drop-head', () => {
  test('at x-max-length the oldest ready message makes room', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 2 });
    await s.send('q', '1', '2', '3', '4');
    expect(await s.inspect('q')).toMatchObject({ ready: 2, counts: { published: 4, dropped: 2 } });
    expect(await s.drainBodies('q')).toEqual(['3', '4']);
  });

  test('x-max-length-bytes counts bodies alone', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length-bytes': 10 });
    await s.publish('', 'q', 'aaaa', { headers: { long: 'x'.repeat(1_000) } });
    await s.send('q', 'bbbb', 'cc');
    expect(await s.inspect('q')).toMatchObject({ ready: 3, readyBytes: 10 });
    await s.send('q', 'd');
    expect(await s.inspect('q')).toMatchObject({ ready: 3, readyBytes: 7 });
    expect(await s.drainBodies('q')).toEqual(['bbbb', 'cc', 'd']);
  });

  test('a body above x-max-length-bytes by itself leaves the queue empty', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-max-length-bytes': 5, ...DEAD });
    await s.send('q', 'aa', 'much too long');
    expect(await s.ready('q')).toBe(0);
    expect(await s.drainBodies('dead')).toEqual(['aa', 'much too long']);
  });

  test('of two limits the first that is hit wins', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 3, 'x-max-length-bytes': 6 });
    await s.send('q', 'a', 'b', 'c', 'd');
    expect(await s.ready('q')).toBe(3);
    await s.send('q', 'eeeee');
    expect(await s.drainBodies('q')).toEqual(['d', 'eeeee']);
  });

  test('what is unacked does not count', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 1 });
    await s.send('q', '1');
    await s.take('q');
    await s.send('q', '2');
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 1, counts: { dropped: 0 } });
  });

  test('the limit holds again when a message comes back', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-max-length': 1, ...DEAD });
    await s.send('q', '1');
    const first = await s.take('q');
    await s.send('q', '2');
    await s.nack(first.tag);
    // RabbitMQ 3.10 does the same: the message that came back is the oldest, so it is the one that goes
    expect(await s.drainBodies('q')).toEqual(['2']);
    expect(await s.drainBodies('dead')).toEqual(['1']);
  });

  test('deliveries that come back together are all put back before the oldest go', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-max-length-bytes': 20, ...DEAD });
    const holder = await broker.connect();
    await s.send('q', 'm0', 'm1....');
    await holder.take('q');
    await holder.take('q');
    await s.send('q', 'm2', 'm3...........');
    await holder.terminate();
    expect(await s.drainBodies('q')).toEqual(['m2', 'm3...........']);
    expect(await s.drainBodies('dead')).toEqual(['m0', 'm1....']);
  });

  test('with a length of 0 a waiting consumer still gets every message', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 0 });
    await s.send('q', 'lost');
    expect(await s.ready('q')).toBe(0);
    const inbox = await s.consume('q');
    await broker.idle();
    await s.send('q', 'taken');
    await broker.idle();
    expect(inbox.bodies).toEqual(['taken']);
  });

  test('its victims are dead-lettered with the reason maxlen, the oldest first', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-max-length': 1, ...DEAD });
    await s.send('q', '1', '2', '3');
    const dead = await s.drain('dead');
    expect(dead.map((message) => message.body)).toEqual(['1', '2']);
    expect(dead.map((message) => message.properties.headers?.['x-first-death-reason'])).toEqual(['maxlen', 'maxlen']);
  });
});

describe('reject-publish', () => {
  test('a full queue refuses exactly what would exceed its length', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 2, 'x-overflow': 'reject-publish' });
    expect(await outcomes(s, '', 'q', ['1', '2', '3'])).toEqual(['in', 'in', expect.any(Number)]);
    expect(await s.inspect('q')).toMatchObject({ ready: 2, counts: { published: 2, refused: 1, dropped: 0 } });
    expect(await s.drainBodies('q')).toEqual(['1', '2']);
    expect(await outcomes(s, '', 'q', ['4'])).toEqual(['in']);
  });

  test('bytes are counted exactly: no overshoot, and a smaller body still fits', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length-bytes': 5, 'x-overflow': 'reject-publish' });
    const no = expect.any(Number);
    expect(await outcomes(s, '', 'q', ['aaa', 'bbb', 'c', 'ddddddddd', 'e', 'f'])).toEqual(['in', no, 'in', no, 'in', no]);
    expect(await s.drainBodies('q')).toEqual(['aaa', 'c', 'e']);
  });

  test('one refusing queue refuses the publish, though the others kept it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('full', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    await s.declare('open');
    for (const queue of ['full', 'open']) await s.bind(queue, 'amq.fanout');
    expect(await outcomes(s, 'amq.fanout', '', ['1', '2'])).toEqual(['in', expect.any(Number)]);
    expect(await s.drainBodies('full')).toEqual(['1']);
    expect(await s.drainBodies('open')).toEqual(['1', '2']);
  });

  test('a message that comes back to a full queue is not lost', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    await s.send('q', '1');
    const first = await s.take('q');
    await s.send('q', '2');
    await s.nack(first.tag);
    expect(await s.drainBodies('q')).toEqual(['1', '2']);
  });

  test('reject-publish-dlx dead-letters what it refuses', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx', ...DEAD });
    expect(await outcomes(s, '', 'q', ['1', '2'])).toEqual(['in', expect.any(Number)]);
    expect(await s.drainBodies('q')).toEqual(['1']);
    const [dead] = await s.drain('dead');
    expect(dead?.body).toBe('2');
    expect(dead?.properties.headers?.['x-first-death-reason']).toBe('maxlen');
  });
});

describe('priority', () => {
  test('higher first, first in first out inside a level, none is 0, above the maximum is the maximum', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-priority': 5 });
    for (const [body, priority] of [['0', 0], ['none'], ['9', 9], ['5', 5], ['200', 200], ['1', 1], ['0 again', 0]] as [
      string,
      number?,
    ][]) {
      await s.publish('', 'q', body, priority === undefined ? {} : { priority });
    }
    const messages = await s.drain('q');
    expect(messages.map((message) => message.body)).toEqual(['9', '5', '200', '1', '0', 'none', '0 again']);
    // the property itself is the publisher's
    expect(messages[0]?.properties.priority).toBe(9);
  });

  test('all 256 levels of x-max-priority 255 are distinct', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-priority': 255 });
    for (let priority = 0; priority <= 255; priority++) await s.publish('', 'q', String(priority), { priority: (priority * 77) % 256 });
    const priorities = (await s.drain('q')).map((message) => message.properties.priority);
    expect(priorities).toEqual(Array.from({ length: 256 }, (_, i) => 255 - i));
  });

  test('without x-max-priority the property orders nothing', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.publish('', 'q', 'low', { priority: 1 });
    await s.publish('', 'q', 'high', { priority: 9 });
    expect(await s.drainBodies('q')).toEqual(['low', 'high']);
  });

  test('a message that comes back keeps its priority and its place', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-priority': 5 });
    for (const [body, priority] of [
      ['a1', 1],
      ['b5', 5],
      ['c5', 5],
      ['d1', 1],
    ] as [string, number][])
      await s.publish('', 'q', body, { priority });
    const taken = [await s.take('q'), await s.take('q'), await s.take('q')];
    for (const message of [taken[2], taken[0], taken[1]]) await s.nack(message?.tag ?? 0);
    expect(await s.drainBodies('q')).toEqual(['b5', 'c5', 'a1', 'd1']);
  });

  test('what is prefetched already is not overtaken', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-priority': 5 });
    const inbox = await s.consume('q', { prefetch: 1 });
    await s.publish('', 'q', 'low', { priority: 1 });
    await s.publish('', 'q', 'mid', { priority: 3 });
    await s.publish('', 'q', 'high', { priority: 5 });
    await broker.idle();
    for (let i = 0; i < 2; i++) {
      await s.ack(inbox.at(i).tag);
      await broker.idle();
    }
    expect(inbox.bodies).toEqual(['low', 'high', 'mid']);
  });

  test('drop-head takes the oldest of the lowest level', async ({ broker }) => {
    // RabbitMQ differs: 3.10.8 drops the head, the highest.
    const s = await broker.connect();
    await s.declare('q', { 'x-max-priority': 5, 'x-max-length': 2 });
    for (const priority of [5, 1, 3, 1]) await s.publish('', 'q', String(priority), { priority });
    expect(await s.drainBodies('q')).toEqual(['5', '3']);
  });

  test('a quorum queue has 32 levels, and 4 where none is named', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-queue-type': 'quorum' });
    for (const [body, priority] of [['3', 3], ['none'], ['4', 4], ['31', 31], ['200', 200], ['5', 5]] as [string, number?][]) {
      await s.publish('', 'q', body, priority === undefined ? {} : { priority });
    }
    expect(await s.drainBodies('q')).toEqual(['31', '200', '5', 'none', '4', '3']);
  });
});
