// Direct reply-to: a request's answer comes back without a queue.

import { describe, expect } from 'vitest';
import { test } from '../support/broker.ts';

const REPLY_TO = 'amq.rabbitmq.reply-to';

describe('direct reply-to', () => {
  test('the reply-to of a request is rewritten, and whoever answers there reaches the requester', async ({ broker }) => {
    const client = await broker.connect();
    const server = await broker.connect();
    await server.declare('requests');
    const replies = await client.consume(REPLY_TO, { noAck: true });
    await client.publish('', 'requests', 'question', { replyTo: REPLY_TO, correlationId: '7', headers: { a: 1 } });
    const request = await server.take('requests');
    const { replyTo } = request.properties;
    expect(replyTo).toMatch(/^amq\.rabbitmq\.reply-to\..+/);
    expect(request.properties).toEqual({ replyTo, correlationId: '7', headers: { a: 1 } });
    expect(await server.publish('', replyTo ?? '', 'answer', { correlationId: '7' })).toBe(1);
    await broker.idle();
    expect(replies.deliveries).toHaveLength(1);
    expect(replies.at(0)).toMatchObject({ redelivered: false, exchange: '', body: 'answer', properties: { correlationId: '7' } });
    await server.ack(request.tag);
  });

  test('it needs noAck, and only one consumer of a connection may have it', async ({ broker }) => {
    const s = await broker.connect();
    const withAck = await s.fails('consume', { handle: 1, queue: REPLY_TO });
    expect([withAck.code, withAck.reason]).toEqual([406, 'PRECONDITION_FAILED - reply consumer cannot acknowledge']);
    await s.consume(REPLY_TO, { noAck: true });
    const twice = await s.fails('consume', { handle: 2, queue: REPLY_TO, noAck: true });
    expect([twice.code, twice.reason]).toEqual([406, 'PRECONDITION_FAILED - reply consumer already set']);
  });

  test('a request without the consumer is refused and not stored', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('requests');
    const error = await s.fails('publish', { key: 'requests', body: '', properties: { replyTo: REPLY_TO } });
    expect([error.code, error.reason]).toEqual([406, 'PRECONDITION_FAILED - fast reply consumer does not exist']);
    expect(await s.ready('requests')).toBe(0);
  });

  test('the consumer may be cancelled and opened again', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('requests');
    const first = await s.consume(REPLY_TO, { noAck: true });
    await s.cancel(first);
    expect((await s.fails('publish', { key: 'requests', body: '', properties: { replyTo: REPLY_TO } })).code).toBe(406);
    await s.consume(REPLY_TO, { noAck: true });
    expect(await s.publish('', 'requests', '', { replyTo: REPLY_TO })).toBe(1);
  });

  test('it cannot be bound', async ({ broker }) => {
    const s = await broker.connect();
    await s.consume(REPLY_TO, { noAck: true });
    // RabbitMQ 3.10 answers 404: there is no such queue; later ones 403
    const error = await s.fails('queue.bind', { queue: REPLY_TO, exchange: 'amq.direct', key: 'k' });
    expect([403, 404]).toContain(error.code);
  });

  test('a passive declare tells whether the requester lives', async ({ broker }) => {
    const client = await broker.connect();
    const server = await broker.connect();
    await server.declare('requests');
    await client.consume(REPLY_TO, { noAck: true });
    await client.publish('', 'requests', '', { replyTo: REPLY_TO });
    const replyTo = (await server.take('requests')).properties.replyTo ?? '';
    await server.declare(replyTo, {}, { passive: true });
    await client.close();
    expect((await server.fails('queue.declare', { queue: replyTo, passive: true })).code).toBe(404);
  });

  test('an answer to a requester that is gone is dropped, and counts as routed', async ({ broker }) => {
    const client = await broker.connect();
    const server = await broker.connect();
    await server.declare('requests');
    await client.consume(REPLY_TO, { noAck: true });
    await client.publish('', 'requests', '', { replyTo: REPLY_TO });
    const replyTo = (await server.take('requests')).properties.replyTo ?? '';
    await client.close();
    await server.publish('', replyTo, 'too late', {}, true);
    await broker.idle();
    expect(server.returns).toEqual([]);
  });

  test('answers of many servers and connections each find their own requester', async ({ broker }) => {
    const server = await broker.connect();
    await server.declare('requests');
    const clients = await Promise.all(Array.from({ length: 5 }, () => broker.connect()));
    const inboxes = await Promise.all(clients.map((client) => client.consume(REPLY_TO, { noAck: true })));
    await Promise.all(clients.map((client, i) => client.publish('', 'requests', String(i), { replyTo: REPLY_TO })));
    for (const request of await server.drain('requests')) {
      await server.publish('', request.properties.replyTo ?? '', `answer to ${request.body}`);
    }
    await broker.idle();
    expect(inboxes.map((inbox) => inbox.bodies)).toEqual(clients.map((_, i) => [`answer to ${i}`]));
  });
});
