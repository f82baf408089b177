// Dead letters: reasons, the x-death history field by field, keys, cycles, the delivery limit, and targets that refuse.
// Histories are those that RabbitMQ 3.10.8 gave for the same script, with the x-last-death-* headers of later versions added.

import { describe, expect } from 'vitest';
import type { JsonObject, MessageJson } from '../../shared/protocol/control.ts';
import { test } from '../support/broker.ts';
import { EPOCH_MS } from '../support/clock.ts';
import type { JsonSession } from '../support/json-session.ts';

const toQueue = (queue: string): JsonObject => ({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue });
const long = (value: number): JsonObject => ({ $amqp: 'l', value });
const seconds = (value: number): JsonObject => ({ $amqp: 'T', value });
const EPOCH_SECONDS = EPOCH_MS / 1_000;

/** A fanout exchange 'dlx' that feeds the queue 'dead', and 'q' that dead-letters there. */
async function graveyard(s: JsonSession, args: JsonObject = {}): Promise<void> {
  await s.exchange('dlx', 'fanout');
  await s.declare('dead');
  await s.bind('dead', 'dlx');
  await s.declare('q', { 'x-dead-letter-exchange': 'dlx', ...args });
}

const deaths = (message: MessageJson | undefined): unknown => message?.properties.headers?.['x-death'];
const death = (message: MessageJson | undefined, which: 'first' | 'last'): unknown[] =>
  ['queue', 'reason', 'exchange'].map((part) => message?.properties.headers?.[`x-${which}-death-${part}`]);
const first = (message: MessageJson | undefined): unknown[] => death(message, 'first');
const last = (message: MessageJson | undefined): unknown[] => death(message, 'last');

describe('reasons', () => {
  test('rejected: the history says from where, why, when and how often', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    await s.publish('', 'q', 'b', { headers: { a: 1 }, messageId: 'id' });
    await broker.advance(61_500);
    await s.reject((await s.take('q')).tag, false);
    const message = await s.take('dead');
    expect(message).toMatchObject({ exchange: 'dlx', key: 'q', redelivered: false, deliveryCount: 0, body: 'b' });
    expect(message.properties).toEqual({
      messageId: 'id',
      headers: {
        a: 1,
        'x-death': [
          { count: long(1), reason: 'rejected', queue: 'q', time: seconds(EPOCH_SECONDS + 61), exchange: '', 'routing-keys': ['q'] },
        ],
        'x-first-death-exchange': '',
        'x-first-death-queue': 'q',
        'x-first-death-reason': 'rejected',
        'x-last-death-exchange': '',
        'x-last-death-queue': 'q',
        'x-last-death-reason': 'rejected',
      },
    });
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { deadLettered: 1, dropped: 0, acked: 0 } });
  });

  test('nack without requeue is rejected too, and keeps the order', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    await s.send('q', '1', '2', '3');
    for (let i = 0; i < 3; i++) await s.take('q');
    await s.nack(3, { requeue: false, multiple: true });
    const dead = await s.drain('dead');
    expect(dead.map((message) => message.body)).toEqual(['1', '2', '3']);
    expect(dead.map((message) => first(message))).toEqual([
      ['q', 'rejected', ''],
      ['q', 'rejected', ''],
      ['q', 'rejected', ''],
    ]);
  });

  test('expired by its property: the property goes and is kept as original-expiration', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    await s.publish('', 'q', 'b', { expiration: '1000' });
    await broker.advance(1_000);
    const message = await s.take('dead');
    expect(message.properties.expiration).toBeUndefined();
    expect(deaths(message)).toEqual([
      {
        count: long(1),
        reason: 'expired',
        queue: 'q',
        time: seconds(EPOCH_SECONDS + 1),
        exchange: '',
        'routing-keys': ['q'],
        'original-expiration': '1000',
      },
    ]);
    // it does not expire again where it is now
    await s.nack(message.tag);
    await broker.advance(100_000);
    expect(await s.ready('dead')).toBe(1);
    expect(await s.inspect('q')).toMatchObject({ counts: { expired: 0, deadLettered: 1 } });
  });

  test('expired by its queue: a longer property is kept as original-expiration, none is none', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-message-ttl': 100 });
    await s.publish('', 'q', 'with', { expiration: '100000' });
    await s.publish('', 'q', 'without');
    await broker.advance(100);
    const [withProperty, without] = await s.drain('dead');
    const entry = { count: long(1), reason: 'expired', queue: 'q', time: seconds(EPOCH_SECONDS), exchange: '', 'routing-keys': ['q'] };
    expect(deaths(withProperty)).toEqual([{ ...entry, 'original-expiration': '100000' }]);
    expect(deaths(without)).toEqual([entry]);
  });

  test('deliveries that come back together too late or too often are dead-lettered in their order', async ({ broker }) => {
    const s = await broker.connect();
    const holder = await broker.connect();
    await graveyard(s, { 'x-message-ttl': 100 });
    await s.declare('limited', { 'x-dead-letter-exchange': 'dlx', 'x-delivery-limit': 0 });
    for (const queue of ['q', 'limited']) {
      await s.send(queue, '1', '2', '3');
      for (let i = 0; i < 3; i++) await holder.take(queue);
      await broker.advance(200);
      await holder.do('recover', {});
      await broker.idle();
      expect(await s.drainBodies('dead')).toEqual(['1', '2', '3']);
    }
  });

  test('maxlen: by number and by bytes', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-max-length': 1 });
    await s.declare('bytes', { 'x-dead-letter-exchange': 'dlx', 'x-max-length-bytes': 5 });
    await s.send('q', '1', '2');
    await s.send('bytes', 'bbbb', 'cccc');
    const dead = await s.drain('dead');
    expect(dead.map((message) => [message.body, ...first(message)])).toEqual([
      ['1', 'q', 'maxlen', ''],
      ['bbbb', 'bytes', 'maxlen', ''],
    ]);
  });

  test('each death is in the history with the exchange and key it was published with', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    await s.bind('q', 'amq.topic', 'a.#');
    await s.publish('amq.topic', 'a.b', 'm');
    await s.reject((await s.take('q')).tag, false);
    const message = await s.take('dead');
    expect(deaths(message)).toMatchObject([{ exchange: 'amq.topic', 'routing-keys': ['a.b'] }]);
    expect([message.exchange, message.key]).toEqual(['dlx', 'a.b']);
    expect(first(message)).toEqual(['q', 'rejected', 'amq.topic']);
  });
});

describe('keys', () => {
  test('the empty exchange without a routing key leads back to the original key', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('k');
    await s.declare('q', { 'x-dead-letter-exchange': '' });
    await s.bind('q', 'amq.direct', 'k');
    await s.publish('amq.direct', 'k', 'm');
    await s.reject((await s.take('q')).tag, false);
    const message = await s.take('k');
    expect([message.exchange, message.key]).toEqual(['', 'k']);
  });

  test('without a routing key of its own all keys are used again, CC too; BCC is gone', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('dlx', 'direct');
    for (const queue of ['by key', 'by cc', 'by bcc']) await s.declare(queue);
    await s.bind('by key', 'dlx', 'k');
    await s.bind('by cc', 'dlx', 'q');
    await s.bind('by bcc', 'dlx', 'b');
    await s.declare('q', { 'x-dead-letter-exchange': 'dlx' });
    await s.publish('', 'k', 'm', { headers: { CC: ['q'], BCC: ['b'] } });
    await s.reject((await s.take('q')).tag, false);
    expect(await s.ready('by bcc')).toBe(0);
    for (const queue of ['by key', 'by cc']) {
      const message = await s.take(queue);
      expect([message.exchange, message.key]).toEqual(['dlx', 'k']);
      expect(message.properties.headers?.['CC']).toEqual(['q']);
      expect(message.properties.headers?.['BCC']).toBeUndefined();
      expect(deaths(message)).toMatchObject([{ 'routing-keys': ['k', 'q'] }]);
    }
  });

  test('with a routing key of its own only that is used, and the CC header is gone', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-dead-letter-routing-key': 'K' });
    await s.publish('', 'k', 'm', { headers: { CC: ['q'], BCC: ['b'], kept: true } });
    await s.reject((await s.take('q')).tag, false);
    const message = await s.take('dead');
    expect(message.key).toBe('K');
    expect(message.properties.headers?.['CC']).toBeUndefined();
    expect(message.properties.headers?.['kept']).toBe(true);
    expect(deaths(message)).toMatchObject([{ 'routing-keys': ['k', 'q'] }]);
  });

  test('an exchange with several queues gives each its copy', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    await s.declare('dead too');
    await s.bind('dead too', 'dlx');
    await s.send('q', 'm');
    await s.reject((await s.take('q')).tag, false);
    expect([await s.drainBodies('dead'), await s.drainBodies('dead too')]).toEqual([['m'], ['m']]);
  });
});

describe('history', () => {
  test('the same queue and reason again: its entry counts on, moves to the front and keeps all else', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('A', toQueue('B'));
    await s.declare('B', toQueue('A'));
    await s.publish('', 'A', 'm', { expiration: '60000' });
    const seen: unknown[] = [];
    for (const queue of ['A', 'B', 'A', 'B']) {
      await broker.advance(1_000);
      const message = await s.take(queue);
      seen.push(deaths(message));
      await s.reject(message.tag, false);
    }
    const message = await s.take('A');
    seen.push(deaths(message));
    const a = (count: number): JsonObject => ({
      count: long(count),
      reason: 'rejected',
      queue: 'A',
      time: seconds(EPOCH_SECONDS + 1),
      exchange: '',
      'routing-keys': ['A'],
      'original-expiration': '60000',
    });
    const b = (count: number): JsonObject => ({
      count: long(count),
      reason: 'rejected',
      queue: 'B',
      time: seconds(EPOCH_SECONDS + 2),
      exchange: '',
      'routing-keys': ['B'],
    });
    expect(seen).toEqual([undefined, [a(1)], [b(1), a(1)], [a(2), b(1)], [b(2), a(2)]]);
    expect([first(message), last(message)]).toEqual([
      ['A', 'rejected', ''],
      ['B', 'rejected', ''],
    ]);
    expect(message.properties.expiration).toBeUndefined();
  });

  test('another reason in the same queue is another entry', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('A', { ...toQueue('B'), 'x-message-ttl': 1_000 });
    await s.declare('B', toQueue('A'));
    await s.send('A', 'm');
    await s.reject((await s.take('A')).tag, false);
    await s.reject((await s.take('B')).tag, false);
    await broker.advance(1_000);
    const message = await s.take('B');
    expect(deaths(message)).toMatchObject([
      { queue: 'A', reason: 'expired', count: long(1) },
      { queue: 'B', reason: 'rejected', count: long(1) },
      { queue: 'A', reason: 'rejected', count: long(1) },
    ]);
  });

  test('first-death is set once, last-death each time', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    await s.declare('again', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'end', 'x-max-length': 0 });
    await s.declare('end');
    await s.bind('again', 'dlx');
    await s.send('q', 'm');
    await s.reject((await s.take('q')).tag, false);
    const message = await s.take('end');
    expect([first(message), last(message)]).toEqual([
      ['q', 'rejected', ''],
      ['again', 'maxlen', 'dlx'],
    ]);
  });

  test('headers that a client wrote like deaths break nothing, and are not counted on', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s);
    const invented: JsonObject[] = [
      { 'x-death': 'not an array' },
      { 'x-death': [1, 'two', null] },
      { 'x-death': [{ queue: 'q', reason: 'rejected', count: long(41), exchange: '', 'routing-keys': ['q'], time: seconds(1) }] },
      { 'x-death': [{ queue: 5, reason: {} }], 'x-first-death-queue': 'mine' },
    ];
    for (const headers of invented) {
      await s.publish('', 'q', 'm', { headers });
      await s.reject((await s.take('q')).tag, false);
      const message = await s.take('dead');
      const history = deaths(message);
      expect(Array.isArray(history) && history[0]).toMatchObject({ queue: 'q', reason: 'rejected', count: long(1) });
      await s.ack(message.tag);
    }
  });
});

describe('cycles', () => {
  test('a message that expires round a circle of queues is dropped when it would come to a queue again', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('A', { ...toQueue('B'), 'x-message-ttl': 100 });
    await s.declare('B', { ...toQueue('A'), 'x-message-ttl': 100 });
    await s.send('A', 'm');
    await broker.advance(100);
    expect([await s.ready('A'), await s.ready('B')]).toEqual([0, 1]);
    await broker.advance(100);
    expect([await s.ready('A'), await s.ready('B')]).toEqual([0, 0]);
  });

  test('a queue that dead-letters into itself drops what expires there', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('A', { 'x-dead-letter-exchange': '', 'x-message-ttl': 100 });
    await s.send('A', 'm');
    await broker.advance(100);
    expect(await s.inspect('A')).toMatchObject({ ready: 0, unacked: 0 });
  });

  test('a queue that dead-letters into itself takes back what is rejected there', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('A', { 'x-dead-letter-exchange': '' });
    await s.send('A', 'm');
    for (let count = 1; count <= 5; count++) {
      await s.reject((await s.take('A')).tag, false);
      const message = await s.take('A');
      expect(deaths(message)).toMatchObject([{ count: long(count) }]);
      await s.nack(message.tag);
    }
  });

  test('a circle with a reject in it goes on', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('work', toQueue('wait'));
    await s.declare('wait', { ...toQueue('work'), 'x-message-ttl': 1_000 });
    await s.send('work', 'm');
    for (let round = 1; round <= 3; round++) {
      await s.reject((await s.take('work')).tag, false);
      await broker.advance(1_000);
      const message = await s.take('work');
      expect(deaths(message)).toMatchObject([
        { queue: 'wait', reason: 'expired', count: long(round) },
        { queue: 'work', reason: 'rejected', count: long(round) },
      ]);
      await s.nack(message.tag);
    }
  });

  test('only the way since the target was last visited counts: a reject before it saves nothing', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('start', toQueue('A'));
    await s.declare('A', { ...toQueue('B'), 'x-message-ttl': 100 });
    await s.declare('B', { ...toQueue('A'), 'x-message-ttl': 100 });
    await s.send('start', 'm');
    await s.reject((await s.take('start')).tag, false);
    await broker.advance(200);
    expect([await s.ready('A'), await s.ready('B')]).toEqual([0, 0]);
  });

  test('a target in no circle still gets its copy', async ({ broker }) => {
    const s = await broker.connect();
    await s.exchange('dlx', 'fanout');
    await s.declare('A', { 'x-dead-letter-exchange': 'dlx', 'x-message-ttl': 100 });
    await s.declare('end');
    for (const queue of ['A', 'end']) await s.bind(queue, 'dlx');
    await s.send('A', 'm');
    await broker.advance(100);
    expect([await s.ready('A'), await s.drainBodies('end')]).toEqual([0, ['m']]);
  });
});

describe('what is not dead-lettered', () => {
  test('deleting, purging and expiring a queue', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-expires': 1_000 });
    await s.send('q', '1');
    await s.do('queue.purge', { queue: 'q' });
    await s.send('q', '2');
    await broker.advance(1_000);
    await s.declare('q', { 'x-dead-letter-exchange': 'dlx' });
    await s.send('q', '3');
    await s.do('queue.delete', { queue: 'q' });
    expect(await s.ready('dead')).toBe(0);
  });

  test('a missing dead-letter exchange drops the message, one declared later gets the next', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-dead-letter-exchange': 'later' });
    await s.send('q', '1', '2');
    await s.reject((await s.take('q')).tag, false);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0, deadLetterWaiting: 0 });
    await s.exchange('later', 'fanout');
    await s.declare('dead');
    await s.bind('dead', 'later');
    await s.reject((await s.take('q')).tag, false);
    expect(await s.drainBodies('dead')).toEqual(['2']);
  });
});

describe('delivery limit', () => {
  test('limit 3 is four deliveries, then the message is dead-lettered with that reason', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-delivery-limit': 3 });
    await s.send('q', 'm');
    for (let delivery = 0; delivery < 4; delivery++) {
      const message = await s.take('q');
      expect(message.deliveryCount).toBe(delivery);
      await s.reject(message.tag, true);
    }
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { deadLettered: 1 } });
    expect(first(await s.take('dead'))).toEqual(['q', 'delivery_limit', '']);
  });

  test('a lost connection counts as a delivery that failed', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-delivery-limit': 1 });
    await s.send('q', 'm');
    for (let i = 0; i < 2; i++) {
      const crashing = await broker.connect();
      await crashing.take('q');
      await crashing.terminate();
    }
    expect(await s.ready('q')).toBe(0);
    expect(await s.drainBodies('dead')).toEqual(['m']);
  });

  test('without a dead-letter exchange the message is dropped', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-delivery-limit': 0 });
    await s.send('q', 'm');
    await s.reject((await s.take('q')).tag, true);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, counts: { dropped: 1 } });
  });

  test('a classic queue has no limit of its own; there nack counts as reject does', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('free');
    await s.send('free', 'm');
    for (let i = 0; i < 30; i++) await s.nack((await s.take('free')).tag);
    expect(await s.ready('free')).toBe(1);
    await s.declare('limited', { 'x-delivery-limit': 1 });
    await s.send('limited', 'm');
    for (let i = 0; i < 2; i++) await s.nack((await s.take('limited')).tag);
    expect(await s.ready('limited')).toBe(0);
  });

  test('a quorum queue has the limit 20', async ({ broker }) => {
    const s = await broker.connect();
    await graveyard(s, { 'x-queue-type': 'quorum' });
    await s.send('q', 'm');
    for (let i = 0; i < 20; i++) await s.reject((await s.take('q')).tag, true);
    expect(await s.ready('q')).toBe(1);
    await s.reject((await s.take('q')).tag, true);
    expect([await s.ready('q'), await s.ready('dead')]).toEqual([0, 1]);
  });

  test('in a quorum queue a nack does not count, unless x-count-nack says all', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('4.3', { 'x-queue-type': 'quorum', 'x-delivery-limit': 1 });
    await s.declare('all', { 'x-queue-type': 'quorum', 'x-delivery-limit': 1, 'x-count-nack': 'all' });
    for (const queue of ['4.3', 'all']) {
      await s.send(queue, 'm');
      for (let i = 0; i < 2; i++) await s.nack((await s.take(queue)).tag);
    }
    expect([await s.ready('4.3'), await s.ready('all')]).toEqual([1, 0]);
  });

  test('a consumer timeout does not count in a quorum queue', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-queue-type': 'quorum', 'x-delivery-limit': 0, 'x-consumer-timeout': 1_000 });
    await s.send('q', 'm');
    await s.consume('q', { credit: 1 });
    await broker.idle();
    await broker.advance(1_000);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0 });
  });

  test('a release gives a message back without counting it', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-delivery-limit': 0 });
    await s.send('q', 'm');
    for (let i = 0; i < 3; i++) await s.raw('release', { tag: (await s.take('q')).tag });
    const message = await s.take('q');
    expect([message.body, message.deliveryCount]).toEqual(['m', 0]);
  });
});

describe('a target that refuses', () => {
  test('what was rejected waits in its queue, outside the length limit, and goes when there is room', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    await s.declare('q', { ...toQueue('dead'), 'x-max-length': 2 });
    await s.send('dead', 'in the way');
    await s.send('q', 'm');
    await s.reject((await s.take('q')).tag, false);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 0, deadLetterWaiting: 1, counts: { deadLettered: 0, dropped: 0 } });
    await s.send('q', '1', '2');
    expect(await s.inspect('q')).toMatchObject({ ready: 2, deadLetterWaiting: 1, counts: { dropped: 0 } });
    expect(await s.drainBodies('dead')).toEqual(['in the way']);
    await broker.advance(60_000);
    expect(await s.drainBodies('dead')).toEqual(['m']);
    expect(await s.inspect('q')).toMatchObject({ ready: 2, deadLetterWaiting: 0, counts: { deadLettered: 1 } });
  });

  test('what expired waits too', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    await s.declare('q', toQueue('dead'));
    await s.send('dead', 'in the way');
    await s.publish('', 'q', 'm', { expiration: '100' });
    await broker.advance(100);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, deadLetterWaiting: 1 });
    await s.drain('dead');
    await broker.advance(60_000);
    expect(first((await s.drain('dead'))[0])).toEqual(['q', 'expired', '']);
  });

  test('a victim of a length limit is dropped and counted', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('dead', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    await s.declare('q', { ...toQueue('dead'), 'x-max-length': 1 });
    await s.send('dead', 'in the way');
    await s.send('q', '1', '2');
    expect(await s.inspect('q')).toMatchObject({ ready: 1, deadLetterWaiting: 0, counts: { dropped: 1, deadLettered: 0 } });
    expect(await s.drainBodies('q')).toEqual(['2']);
  });
});
