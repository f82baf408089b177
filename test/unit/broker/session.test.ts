// One session: what parks its consumers wakes them again, and what it leaves behind does not stay.
// Always: an engine and a clock that the test owns.

import { expect, test, vi } from 'vitest';
import type { Consumer } from '../../../server/broker/consumer.ts';
import { Queue } from '../../../server/broker/queue.ts';
import { encodeContent } from '../../../shared/content.ts';
import { Engine } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';

test('settling what a get took makes room for consumers that its bytes had parked', () => {
  const engine = new Engine({ limits: { unackedBytesPerSession: 4 } });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'aaaa');
  engine.publish(peer, '', 'q', 'b');
  let tag = 0;
  peer.session.get('q', false, (got) => (tag = got?.tag ?? 0));
  engine.consume(peer, 'q');
  engine.time.settle();
  expect(bodies(peer)).toEqual([]);
  peer.session.ack(tag, false);
  engine.time.settle();
  expect(bodies(peer)).toEqual(['b']);
});

test('a late settle is forgiven for the newest timeouts, however many there were', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [
    ['x-consumer-timeout', 1_000],
    ['x-max-length', 20_000],
  ]);
  for (let i = 0; i < 10_001; i++) engine.publish(peer, '', 'q', 'x');
  const consumer = engine.consume(peer, 'q', { credit: 10_001 });
  engine.time.settle();
  engine.time.advance(1_000);
  expect(queueOf(engine, 'q').unackedCount).toBe(0);
  peer.session.grant(consumer, 1);
  engine.time.settle();
  engine.time.advance(1_000);
  expect(() => peer.session.ack(10_002, false)).not.toThrow();
  expect(() => peer.session.ack(10_002, false)).toThrow('unknown delivery tag');
});

test('a session that its sink closes in a consumer timeout leaves no alarm', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [
    ['x-consumer-timeout', 1_000],
    ['x-consumer-timeout-action', 'close'],
  ]);
  peer.sink.close = () => peer.session.close();
  engine.publish(peer, '', 'q', 'a');
  engine.consume(peer, 'q');
  engine.time.settle();
  engine.time.advance(500);
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  engine.time.advance(500);
  expect(peer.session.isClosed).toBe(true);
  expect(queueOf(engine, 'q').readyCount).toBe(2);
  expect(engine.time.timerCount).toBe(0);
});

test('taps count as consumers of their session', () => {
  const engine = new Engine({ limits: { consumersPerSession: 2 } });
  const peer = engine.connect();
  for (let handle = 2; handle < 4; handle++) peer.session.openTap(handle, 'amq.fanout', '', new Map(), 10);
  expect(() => peer.session.openTap(4, 'amq.fanout', '', new Map(), 10)).toThrow('NOT_ALLOWED');
});

test('consumers are limited per connection, or per channel where the connection has several', () => {
  const engine = new Engine({ limits: { consumersPerSession: 0 } });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  expect(() => engine.consume(peer, 'q')).toThrow('more than 0 consumers on one connection');
  const channel = engine.broker.openSession(peer.sink, peer.session.identity, {});
  expect(() => engine.consume({ ...peer, session: channel }, 'q')).toThrow('more than 0 consumers on one channel');
});

test.each(['is cancelled', 'loses its queue'])(
  'a consumer that waits for room and %s waits no more, and the others go on in their order',
  (how) => {
    const engine = new Engine();
    const peer = engine.connect();
    for (const name of ['q', 'gone']) engine.declare(peer, name);
    peer.sink.isWritable = false;
    const parked = (queue: string, handle: number): Consumer => {
      engine.publish(peer, '', queue, 'x');
      const consumer = engine.consume(peer, queue, { handle });
      engine.time.settle();
      return consumer;
    };
    parked('q', 2);
    const leaving = [parked('gone', 3), parked('gone', 4)];
    parked('q', 5);
    const woken = vi.spyOn(Queue.prototype, 'wake');
    try {
      if (how === 'is cancelled') for (const consumer of leaving) peer.session.cancel(consumer);
      else peer.session.deleteQueue('gone', false, false);
      for (let round = 0; round < 2; round++) {
        peer.session.resume(); // there is no room yet: they wait on
        expect(woken.mock.calls.map(([consumer]) => consumer.handle)).toEqual([2, 5]);
        woken.mockClear();
      }
    } finally {
      woken.mockRestore();
    }
    peer.sink.isWritable = true;
    peer.session.resume();
    engine.time.settle();
    expect(peer.sink.delivered.map((each) => each.handle)).toEqual([2, 5]);
  },
);

test('a message larger than the window is taken from a publisher that began it with credit', () => {
  const engine = new Engine({ limits: { publisherWindowBytes: 1_000 } });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'x'.repeat(400));
  engine.publish(peer, '', 'q', 'x'.repeat(5_000));
  engine.time.settle();
  expect(peer.sink.confirmed.at(-1)).toEqual({ firstSeq: 1, count: 2, routed: 1 });
  expect(peer.publisher.credit).toBe(1_000);
});

test('a publisher that goes on at more than twice its window is thrown out', () => {
  const engine = new Engine({ limits: { publisherWindowBytes: 1_000 } });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  const send = () => engine.publish(peer, '', 'q', 'x'.repeat(1_000));
  expect(() => [send(), send(), send()]).toThrow('RESOURCE_ERROR');
});

test('who publishes is told of the memory alarm and of its end once each', () => {
  const engine = new Engine({ limits: { memoryBytes: 2 << 20 } });
  const [peer, reader] = [engine.connect(), engine.connect()];
  let flushes = 0;
  peer.sink.flush = () => void flushes++;
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'first');
  engine.time.settle();
  const other = engine.connect();
  flushes = 0;
  for (let i = 0; i < 4; i++) engine.publish(other, '', 'q', 'x'.repeat(700_000));
  engine.time.settle();
  expect(peer.sink.blocks).toEqual(['low on memory']);
  expect(flushes).toBeGreaterThan(0);
  expect(reader.sink.blocks).toEqual([]);
  peer.session.purgeQueue('q');
  engine.time.settle();
  expect(peer.sink.blocks).toEqual(['low on memory', undefined]);
});

test('an auto-delete queue that goes with its closing session takes what was unacked with it', () => {
  const engine = new Engine();
  const peer = engine.connect();
  peer.session.declareQueue({ queue: 'q', durable: false, exclusive: false, autoDelete: true, passive: false, arguments: new Map() });
  const run = encodeContent('', 'q', {}, new Uint8Array(2_000_000));
  engine.time.settle();
  peer.session.publish(peer.publisher, run, 0, run.length, false);
  engine.consume(peer, 'q');
  engine.time.settle();
  expect(peer.session.unackedCount).toBe(1);
  peer.session.close();
  engine.time.settle();
  expect(engine.broker.vhost('/')?.queues.size).toBe(0);
  expect(engine.log.memoryBytes).toBe(0);
});
