// The life of a queue: names, passive declare, exclusive, auto-delete, purge, delete, sizes. Texts as RabbitMQ 3.10.8 wrote them.

import { describe, expect } from 'vitest';
import type { OperationName } from '../../shared/protocol/control.ts';
import { test } from '../support/broker.ts';

const LOCKED = (queue: string): string =>
  `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`;

describe('declare', () => {
  test('the answer counts ready messages and consumers, not what is unacked', async ({ broker }) => {
    const s = await broker.connect();
    expect(await s.do('queue.declare', { queue: 'q' })).toEqual({ queue: 'q', messageCount: 0, consumerCount: 0 });
    await s.send('q', '1', '2', '3');
    await s.take('q');
    expect(await s.do('queue.declare', { queue: 'q' })).toEqual({ queue: 'q', messageCount: 2, consumerCount: 0 });
    await s.consume('q', { prefetch: 1 });
    await broker.idle();
    expect(await s.do('queue.declare', { queue: 'q', passive: true })).toEqual({ queue: 'q', messageCount: 1, consumerCount: 1 });
  });

  test('passive on a missing queue is 404, and the connection lives on', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('queue.declare', { queue: 'nosuch', passive: true });
    expect([error.code, error.reason]).toEqual([404, "NOT_FOUND - no queue 'nosuch' in vhost '/'"]);
    await s.do('ping', {});
  });

  test('passive ignores every property', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 5 });
    await s.do('queue.declare', { queue: 'q', passive: true, durable: false, autoDelete: true });
  });

  test('inspect answers for a queue that is there, and 404 for one that is not', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 5, 'x-foo': 'kept' });
    expect(await s.inspect('q')).toMatchObject({
      queue: 'q',
      durable: true,
      exclusive: false,
      autoDelete: false,
      arguments: { 'x-max-length': 5, 'x-foo': 'kept' },
      ready: 0,
      unacked: 0,
      consumers: 0,
    });
    expect((await s.fails('queue.inspect', { queue: 'nosuch' })).code).toBe(404);
    await s.do('ping', {});
  });

  // RabbitMQ differs: 4.3 denies transient queues that are not exclusive.
  test('a transient queue that is not exclusive is permitted', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', {}, { durable: false });
    await s.send('q', 'm');
    expect(await s.drainBodies('q')).toEqual(['m']);
  });

  test('a new name under amq. is refused', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('queue.declare', { queue: 'amq.foo' });
    expect([error.code, error.reason]).toEqual([403, "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'"]);
    expect((await s.fails('queue.declare', { queue: 'amq.foo', passive: true })).code).toBe(404);
  });

  // RabbitMQ differs: it strips line ends from names.
  test('a name with a line end is refused', async ({ broker }) => {
    const s = await broker.connect();
    for (const queue of ['a\rb', 'a\nb']) expect((await s.fails('queue.declare', { queue })).code).toBe(406);
  });

  test('publishing to a queue of 255 bytes of name reaches it', async ({ broker }) => {
    const s = await broker.connect();
    const queue = `${'é'.repeat(127)}x`;
    await s.declare(queue);
    expect(await s.publish('', queue)).toBe(1);
    expect((await s.fails('queue.declare', { queue: 'é'.repeat(128) })).code).toBe(502);
    expect((await s.fails('publish', { key: 'é'.repeat(128), body: '' })).code).toBe(502);
  });
});

describe('server-named', () => {
  test('an empty name gets a new amq.gen- name each time', async ({ broker }) => {
    const s = await broker.connect();
    const first = await s.declare('');
    const second = await s.declare('');
    expect(first).toMatch(/^amq\.gen-/);
    expect(second).toMatch(/^amq\.gen-/);
    expect(first).not.toBe(second);
  });

  test('an empty name in later operations means the queue declared last', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('before');
    const queue = await s.declare('');
    await s.bind('', 'amq.direct', 'k');
    await s.publish('amq.direct', 'k', 'bound');
    expect((await s.take('')).body).toBe('bound');
    await s.send(queue, 'x', 'y');
    expect(await s.do('queue.purge', { queue: '' })).toEqual({ messageCount: 2 });
    const inbox = await s.consume('');
    await s.send(queue, 'z');
    await broker.idle();
    expect(inbox.bodies).toEqual(['z']);
    await s.do('queue.unbind', { queue: '', exchange: 'amq.direct', key: 'k' });
    expect(await s.publish('amq.direct', 'k')).toBe(0);
    await s.do('queue.delete', { queue: '' });
    expect((await s.fails('queue.declare', { queue, passive: true })).code).toBe(404);
    expect(await s.ready('before')).toBe(0);
  });

  test('binding with an empty queue and an empty key binds by the name of the queue', async ({ broker }) => {
    const s = await broker.connect();
    const queue = await s.declare('');
    await s.bind('', 'amq.direct', '');
    expect(await s.publish('amq.direct', queue)).toBe(1);
    expect(await s.publish('amq.direct', '')).toBe(0);
  });

  test('a named queue and an empty key bind with the empty key', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.direct', '');
    expect(await s.publish('amq.direct', 'q')).toBe(0);
    expect(await s.publish('amq.direct', '')).toBe(1);
  });

  test('with none declared yet an empty name is 404', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await other.declare('q');
    const refused: [OperationName, object][] = [
      ['get', { queue: '' }],
      ['consume', { queue: '', handle: 1 }],
      ['queue.bind', { queue: '', exchange: 'amq.direct' }],
      ['queue.purge', { queue: '' }],
      ['queue.delete', { queue: '' }],
    ];
    for (const [op, fields] of refused) {
      const error = await s.fails(op, fields);
      expect([op, error.code, error.reason]).toEqual([op, 404, 'NOT_FOUND - no previously declared queue']);
    }
  });
});

describe('exclusive', () => {
  test('every operation of another connection on it is 405', async ({ broker }) => {
    const owner = await broker.connect();
    const other = await broker.connect();
    await owner.declare('q', {}, { exclusive: true });
    const refused: [OperationName, object][] = [
      ['queue.declare', { queue: 'q' }],
      ['queue.declare', { queue: 'q', exclusive: true }],
      ['queue.declare', { queue: 'q', passive: true }],
      ['get', { queue: 'q' }],
      ['consume', { queue: 'q', handle: 1 }],
      ['queue.purge', { queue: 'q' }],
      ['queue.delete', { queue: 'q' }],
      ['queue.bind', { queue: 'q', exchange: 'amq.direct', key: 'k' }],
    ];
    for (const [op, fields] of refused) {
      const error = await other.fails(op, fields);
      expect([op, error.code, error.reason]).toEqual([op, 405, LOCKED('q')]);
    }
    // its owner may do all that, and anybody may publish to it
    expect(await other.publish('', 'q', 'm')).toBe(1);
    expect(await owner.drainBodies('q')).toEqual(['m']);
  });

  test('exclusive or not is compared with 405, not 406', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('shared');
    await s.declare('mine', {}, { exclusive: true });
    expect((await s.fails('queue.declare', { queue: 'shared', exclusive: true })).reason).toBe(LOCKED('shared'));
    expect((await s.fails('queue.declare', { queue: 'mine', exclusive: false })).reason).toBe(LOCKED('mine'));
  });

  test('it is gone before its owner can see the connection closed', async ({ broker }) => {
    const owner = await broker.connect();
    await owner.declare('q', {}, { exclusive: true });
    await owner.send('q', 'm');
    // the close is seen by the client's own end, at once
    await owner.close();
    const next = await broker.connect();
    expect(await next.do('queue.declare', { queue: 'q', exclusive: true })).toEqual({ queue: 'q', messageCount: 0, consumerCount: 0 });
  });

  test('it is gone after a torn connection too, with its bindings', async ({ broker }) => {
    const owner = await broker.connect();
    const other = await broker.connect();
    await owner.declare('q', {}, { exclusive: true });
    await owner.bind('q', 'amq.direct', 'k');
    await owner.terminate();
    await broker.idle();
    expect(await other.publish('amq.direct', 'k')).toBe(0);
    expect((await other.fails('queue.declare', { queue: 'q', passive: true })).code).toBe(404);
  });

  test('it may be declared durable, and again the same way', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', {}, { exclusive: true, durable: true });
    await s.declare('q', {}, { exclusive: true, durable: true });
  });
});

describe('auto-delete', () => {
  test('the queue goes when its last consumer is cancelled, not before', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', {}, { autoDelete: true });
    const first = await s.consume('q');
    const second = await s.consume('q');
    await s.cancel(first);
    await s.do('queue.declare', { queue: 'q', passive: true });
    await s.cancel(second);
    expect((await s.fails('queue.declare', { queue: 'q', passive: true })).code).toBe(404);
  });

  test('the queue goes when the connection of its last consumer ends', async ({ broker }) => {
    const s = await broker.connect();
    const consumer = await broker.connect();
    await s.declare('q', {}, { autoDelete: true });
    await consumer.consume('q');
    await consumer.close();
    expect((await s.fails('queue.declare', { queue: 'q', passive: true })).code).toBe(404);
  });

  test('a get is no consumer, and a queue that never had one stays', async ({ broker }) => {
    const s = await broker.connect();
    const getter = await broker.connect();
    await s.declare('q', {}, { autoDelete: true });
    await s.send('q', 'm');
    await getter.get('q');
    await getter.close();
    await broker.advance(3_600_000);
    expect(await s.ready('q')).toBe(1);
  });

  test('what it held is not dead-lettered', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }, { autoDelete: true });
    const inbox = await s.consume('q', { prefetch: 1 });
    await s.send('q', '1', '2');
    await broker.idle();
    await s.cancel(inbox);
    expect(await s.ready('dead')).toBe(0);
  });
});

describe('purge', () => {
  test('it takes what is ready, counts it, and leaves what is unacked', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', '1', '2', '3');
    const held = await s.take('q');
    expect(await s.do('queue.purge', { queue: 'q' })).toEqual({ messageCount: 2 });
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 1, counts: { purged: 2 } });
    await s.nack(held.tag);
    expect(await s.drainBodies('q')).toEqual(['1']);
  });

  test('it does not dead-letter', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead');
    await s.declare('q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' });
    await s.send('q', '1');
    await s.do('queue.purge', { queue: 'q' });
    expect(await s.ready('dead')).toBe(0);
  });

  test('a missing queue is 404', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('queue.purge', { queue: 'nosuch' });
    expect([error.code, error.reason]).toEqual([404, "NOT_FOUND - no queue 'nosuch' in vhost '/'"]);
  });
});

describe('delete', () => {
  test('it answers how many were ready, and a missing queue is ok with 0', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', '1', '2', '3');
    await s.take('q');
    expect(await s.do('queue.delete', { queue: 'q' })).toEqual({ messageCount: 2 });
    expect(await s.do('queue.delete', { queue: 'q' })).toEqual({ messageCount: 0 });
  });

  test('if-empty refuses a queue with ready messages, if-unused one with a consumer', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'm');
    const full = await s.fails('queue.delete', { queue: 'q', ifEmpty: true });
    expect([full.code, full.reason]).toEqual([406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"]);
    await s.consume('q');
    const used = await s.fails('queue.delete', { queue: 'q', ifUnused: true });
    expect([used.code, used.reason]).toEqual([406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use"]);
    // RabbitMQ 3.10 names the messages first when both hold
    const other = await s.fails('queue.delete', { queue: 'q', ifUnused: true, ifEmpty: true });
    expect(other.reason).toBe("PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
  });

  test('its bindings go along: a new queue of that name is not bound', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.bind('q', 'amq.direct', 'k');
    await s.do('queue.delete', { queue: 'q' });
    await s.declare('q');
    expect(await s.publish('amq.direct', 'k')).toBe(0);
  });

  test('a message unacked when its queue went can still be acked, and is gone', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'm');
    const message = await s.take('q');
    await s.do('queue.delete', { queue: 'q' });
    await s.declare('q');
    await s.ack(message.tag);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0 });
  });

  test('a queue declared again has another number: old deliveries do not return into it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.send('q', 'old');
    const message = await s.take('q');
    await s.do('queue.delete', { queue: 'q' });
    await s.declare('q');
    await s.nack(message.tag);
    expect(await s.drainBodies('q')).toEqual([]);
  });
});

describe('missing queues and exchanges', () => {
  test('get, consume and bind name what is missing', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const texts = [
      (await s.fails('get', { queue: 'nosuch' })).reason,
      (await s.fails('consume', { queue: 'nosuch', handle: 1 })).reason,
      (await s.fails('queue.bind', { queue: 'nosuch', exchange: 'amq.direct' })).reason,
      (await s.fails('queue.bind', { queue: 'q', exchange: 'noex' })).reason,
      (await s.fails('queue.bind', { queue: 'nosuch', exchange: 'noex' })).reason,
    ];
    const queue = "NOT_FOUND - no queue 'nosuch' in vhost '/'";
    const exchange = "NOT_FOUND - no exchange 'noex' in vhost '/'";
    expect(texts).toEqual([queue, queue, queue, exchange, exchange]);
  });

  test('unbinding what was never bound is ok', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.do('queue.unbind', { queue: 'q', exchange: 'amq.direct', key: 'never' });
  });
});

describe('message size', () => {
  test('a body above messageBytes is refused, and the next one is taken', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const { messageBytes } = broker.limits;
    const error = await s.fails('publish', { key: 'q', body: 'x'.repeat(messageBytes + 1) });
    expect([error.code, error.reason]).toEqual([
      406,
      `PRECONDITION_FAILED - message size ${messageBytes + 1} is larger than configured max size ${messageBytes}`,
    ]);
    expect(await s.publish('', 'q', 'x'.repeat(messageBytes))).toBe(1);
    expect((await s.take('q')).body?.length).toBe(messageBytes);
  });
});

describe('properties', () => {
  test('all fourteen, and header values of every type, come back as they were sent', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const properties = {
      contentType: 'text/plain',
      contentEncoding: 'identity',
      headers: {
        text: 'é',
        yes: true,
        nothing: null,
        int: -5,
        long: 1_099_511_627_776,
        exact: { $amqp: 'l', value: '9223372036854775807' },
        small: { $amqp: 'b', value: -1 },
        real: 1.5,
        when: { $amqp: 'T', value: 1_767_225_600 },
        bytes: { $amqp: 'x', value: 'AAEC' },
        list: [1, 'two', [3]],
        table: { deep: { deeper: 1 } },
      },
      deliveryMode: 2,
      priority: 7,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '60000',
      messageId: 'id',
      timestamp: 1_767_225_600,
      type: 't',
      userId: 'guest',
      appId: 'a',
      clusterId: 'cl',
    };
    await s.do('publish', { key: 'q', body: 'b', properties });
    expect((await s.take('q')).properties).toEqual(properties);
    await s.do('publish', { key: 'q', bodyBase64: '//79' });
    const bare = await s.take('q');
    expect(bare.properties).toEqual({});
    expect([bare.body, bare.bodyBase64]).toEqual([undefined, '//79']);
  });

  test('a user-id that is not the user is refused', async ({ broker }) => {
    const s = await broker.connect();
    const error = await s.fails('publish', { key: 'q', body: '', properties: { userId: 'bob' } });
    expect([error.code, error.reason]).toEqual([
      406,
      "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
    ]);
  });
});
