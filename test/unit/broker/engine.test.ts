// The engine without a protocol: one message's way through it, and the accounts that must always balance.

import { expect, test } from 'vitest';
import type { Queue } from '../../../server/broker/queue.ts';
import { Engine, type Peer } from '../../support/engine.ts';

function queueOf(engine: Engine, name: string): Queue {
  const queue = engine.broker.vhost('/')?.queues.get(name);
  if (queue === undefined) throw new Error(`no queue ${name}`);
  return queue;
}
function bodies(peer: Peer): string[] {
  return peer.sink.delivered.map((each) => each.body);
}

test('a published message is delivered, confirmed and gone once it is acked', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.consume(peer, 'q');
  engine.publish(peer, '', 'q', 'hello');
  engine.time.settle();
  expect(bodies(peer)).toEqual(['hello']);
  expect(peer.sink.confirmed).toEqual([{ firstSeq: 1, count: 1, routed: 1 }]);
  peer.session.ack(1, false);
  engine.time.settle();
  expect(queueOf(engine, 'q').counts.acked).toBe(1);
  expect(queueOf(engine, 'q').unackedCount).toBe(0);
});

test('publishes of one turn with one fate are confirmed as one run', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  for (let i = 0; i < 100; i++) engine.publish(peer, '', 'q', `${i}`);
  engine.publish(peer, '', 'nowhere', 'x');
  engine.time.settle();
  expect(peer.sink.confirmed).toEqual([
    { firstSeq: 1, count: 100, routed: 1 },
    { firstSeq: 101, count: 1, routed: 0 },
  ]);
});

test('a requeued message returns to its original place', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  for (const body of ['a', 'b', 'c', 'd']) engine.publish(peer, '', 'q', body);
  const consumer = engine.consume(peer, 'q', { prefetch: 3 });
  engine.time.settle();
  expect(bodies(peer)).toEqual(['a', 'b', 'c']);
  peer.session.cancel(consumer);
  peer.session.nack(2, false, true);
  peer.session.nack(1, false, true);
  engine.consume(peer, 'q', { handle: 3 });
  engine.time.settle();
  expect(bodies(peer).slice(3)).toEqual(['a', 'b', 'd']);
  expect(peer.sink.delivered.slice(3).map((each) => each.redelivered)).toEqual([true, true, false]);
});

test('a message expires on time in the middle of the queue', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'stays');
  engine.publish(peer, '', 'q', 'goes', { expiration: '500' });
  engine.publish(peer, '', 'q', 'stays too');
  engine.time.advance(499);
  expect(queueOf(engine, 'q').readyCount).toBe(3);
  engine.time.advance(1);
  expect(queueOf(engine, 'q').readyCount).toBe(2);
  expect(queueOf(engine, 'q').counts.expired).toBe(1);
});

test('a rejected message reaches the dead-letter queue with its history', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'dead');
  engine.declare(peer, 'q', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'dead'],
  ]);
  engine.publish(peer, '', 'q', 'bad');
  engine.consume(peer, 'q');
  engine.time.settle();
  peer.session.reject(1, false);
  engine.consume(peer, 'dead', { handle: 3 });
  engine.time.settle();
  const dead = peer.sink.delivered[1];
  expect(dead?.body).toBe('bad');
  expect(dead?.content.headers?.get('x-first-death-queue')).toBe('q');
  expect(dead?.content.headers?.get('x-last-death-reason')).toBe('rejected');
  expect(queueOf(engine, 'q').counts.deadLettered).toBe(1);
  expect(queueOf(engine, 'dead').counts.published).toBe(1);
});

test('a message over its delivery limit is dropped at the delivery after the limit', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [['x-delivery-limit', 3]]);
  engine.publish(peer, '', 'q', 'poison');
  engine.consume(peer, 'q');
  for (let tag = 1; tag <= 4; tag++) {
    engine.time.settle();
    expect(peer.sink.delivered.length).toBe(tag);
    expect(peer.sink.delivered[tag - 1]?.deliveryCount).toBe(tag - 1);
    peer.session.nack(tag, false, true);
  }
  engine.time.settle();
  expect(peer.sink.delivered.length).toBe(4);
  expect(queueOf(engine, 'q').counts.dropped).toBe(1);
});

test('fan-out to a hundred queues stores the body once', () => {
  const engine = new Engine();
  const peer = engine.connect();
  for (let i = 0; i < 100; i++) {
    engine.declare(peer, `q${i}`);
    peer.session.bindQueue(`q${i}`, 'amq.fanout', '', new Map());
  }
  const before = engine.log.memoryBytes;
  engine.publish(peer, 'amq.fanout', '', 'x'.repeat(3_000_000));
  engine.time.settle();
  expect(engine.log.memoryBytes - before).toBeLessThan(3_001_000);
  for (let i = 0; i < 100; i++) queueOf(engine, `q${i}`).purge();
  engine.publish(peer, '', 'nowhere', 'x');
  expect(engine.log.memoryBytes - before).toBeLessThan(3_001_000 + (1 << 20));
});

test('an unacked message that is timed out goes back alone and its late ack is forgiven once', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [['x-consumer-timeout', 60_000]]);
  engine.publish(peer, '', 'q', 'slow');
  engine.consume(peer, 'q');
  engine.time.settle();
  engine.time.advance(60_000);
  expect(peer.sink.delivered.length).toBe(2);
  expect(peer.sink.delivered[1]?.redelivered).toBe(true);
  peer.session.ack(1, false);
  expect(() => peer.session.ack(1, false)).toThrow('PRECONDITION_FAILED - unknown delivery tag 1');
  peer.session.ack(2, false);
});

test('a blocking queue withholds the confirm until there is room', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [
    ['x-max-length', 1],
    ['x-overflow', 'block'],
  ]);
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  expect(peer.sink.confirmed).toEqual([{ firstSeq: 1, count: 1, routed: 1 }]);
  peer.session.get('q', true, (got) => expect(got?.seq).toBe(1));
  engine.time.settle();
  expect(peer.sink.confirmed.at(-1)).toEqual({ firstSeq: 2, count: 1, routed: 1 });
  expect(queueOf(engine, 'q').readyCount).toBe(1);
});

test('a refused publish is answered although nothing was stored', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.publish(peer, 'nosuch', 'k', 'x');
  engine.time.settle();
  expect(peer.sink.refused.map((each) => [each.seq, each.error.message])).toEqual([[1, "NOT_FOUND - no exchange 'nosuch' in vhost '/'"]]);
});

test('a tap ends, and its consumer is told, when its exchange is deleted', () => {
  const engine = new Engine();
  const peer = engine.connect();
  const declare = (): void =>
    peer.session.declareExchange({
      exchange: 'x',
      type: 'topic',
      durable: false,
      autoDelete: false,
      internal: false,
      passive: false,
      arguments: new Map(),
    });
  declare();
  peer.session.openTap(5, 'x', '#', new Map(), 10);
  peer.session.deleteExchange('x', false);
  engine.time.settle();
  expect(peer.sink.cancels).toEqual([{ handle: 5, reason: 'exchange deleted' }]);
  declare();
  peer.session.openTap(6, 'x', '#', new Map(), 10);
  engine.publish(peer, 'x', 'k', 'seen');
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => [each.handle, each.body])).toEqual([[6, 'seen']]);
});
