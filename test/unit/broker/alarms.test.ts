// Alarms: what holds publishers back, what they are told, and that nobody else is held back.
// Always: an engine and a log that the test owns.

import { expect, test } from 'vitest';
import { Engine } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';
import { StagedLog } from '../../support/staged-log.ts';

function setUp() {
  const log = new StagedLog();
  const engine = new Engine({ log, limits: { memoryBytes: 2 << 20, publisherWindowBytes: 1_000 } });
  const [publisher, consumer] = [engine.connect(), engine.connect()];
  engine.declare(publisher, 'q');
  engine.publish(publisher, '', 'q', 'first');
  engine.time.settle();
  const kinds = () => engine.notices.map(({ kind, severity }) => `${kind} ${severity}`);
  return { log, engine, publisher, consumer, kinds };
}

test('a disk alarm is told to who publishes, once, and so is its end', () => {
  const { log, engine, publisher, consumer, kinds } = setUp();
  log.listener.blocked('42 bytes are free');
  log.listener.blocked('41 bytes are free');
  engine.time.settle();
  expect(engine.broker.isBlocked).toBe(true);
  engine.publish(publisher, '', 'q', 'second');
  engine.time.settle();
  expect(publisher.sink.blocks).toEqual(['low on disk']);
  log.listener.blocked(undefined);
  log.listener.blocked(undefined);
  engine.time.settle();
  expect(publisher.sink.blocks).toEqual(['low on disk', undefined]);
  expect(consumer.sink.blocks).toEqual([]);
  expect(kinds()).toEqual(['disk.alarm warn', 'disk.alarm.cleared info']);
  expect(engine.notices[0]?.fields).toEqual({ reason: '42 bytes are free' });
});

test('publishers go on only when all alarms are over; who begins to publish meanwhile is told of those that stand', () => {
  const { log, engine, publisher, consumer, kinds } = setUp();
  log.listener.blocked('full');
  engine.broker.memoryAlarm(true);
  engine.publish(consumer, '', 'q', 'x');
  log.listener.blocked(undefined);
  engine.time.settle();
  expect(engine.broker.isBlocked).toBe(true);
  expect(engine.broker.alarms.reason).toBe('low on memory');
  expect(publisher.sink.blocks).toEqual(['low on disk']);
  expect(consumer.sink.blocks).toEqual(['low on memory & disk']);
  engine.broker.memoryAlarm(false);
  engine.time.settle();
  expect(publisher.sink.blocks).toEqual(['low on disk', undefined]);
  expect(consumer.sink.blocks).toEqual(['low on memory & disk', undefined]);
  expect(kinds()).toEqual(['disk.alarm warn', 'memory.alarm warn', 'disk.alarm.cleared info', 'memory.alarm.cleared info']);
  expect(engine.notices.map(({ text }) => text).slice(2)).toEqual(['publishers are still held back: low on memory', 'publishers go on']);
});

test('the alarm of messages is over at four fifths of its limit, not before', () => {
  const { engine, publisher, consumer } = setUp();
  for (const queue of ['a', 'b', 'c']) {
    engine.declare(consumer, queue);
    engine.publish(consumer, '', queue, 'x'.repeat(600_000)); // two of them do not fit one slab
    engine.time.settle();
  }
  expect(publisher.sink.blocks).toEqual(['low on memory']);
  consumer.session.purgeQueue('b');
  engine.time.settle();
  expect(engine.log.memoryBytes).toBeLessThanOrEqual(2 << 20);
  expect(engine.log.memoryBytes).toBeGreaterThan(0.8 * (2 << 20));
  expect(publisher.sink.blocks).toEqual(['low on memory']);
  consumer.session.purgeQueue('a');
  consumer.session.purgeQueue('c');
  publisher.session.purgeQueue('q');
  engine.time.settle();
  expect(publisher.sink.blocks).toEqual(['low on memory', undefined]);
});

test('under an alarm credit stays away, and consumers, settles and deletes go on', () => {
  const { log, engine, publisher, consumer } = setUp();
  log.listener.blocked('full');
  engine.publish(publisher, '', 'q', 'x'.repeat(800));
  engine.time.settle();
  expect(publisher.publisher.credit).toBeLessThan(200);
  engine.consume(consumer, 'q');
  engine.time.settle();
  expect(bodies(consumer)).toHaveLength(2);
  consumer.session.ack(1, false);
  consumer.session.nack(2, false, false);
  expect(queueOf(engine, 'q').counts).toMatchObject({ acked: 1, dropped: 1 });
  expect(consumer.session.deleteQueue('q', false, false)).toBe(0);
  log.listener.blocked(undefined);
  engine.time.settle();
  expect(publisher.publisher.credit).toBe(1_000);
});

test('who begins to publish under an alarm is told so, and gets its first credit when it is over', () => {
  const { log, engine, consumer } = setUp();
  log.listener.blocked('full');
  const late = consumer.session.openPublisher(7, true);
  engine.time.settle();
  expect([late.credit, consumer.sink.blocks]).toEqual([0, ['low on disk']]);
  log.listener.blocked(undefined);
  engine.time.settle();
  expect([late.credit, consumer.sink.blocks]).toEqual([1_000, ['low on disk', undefined]]);
});

test('what the log refuses is refused, with a reason, and is nowhere', () => {
  const { log, engine, publisher } = setUp();
  publisher.session.bindQueue('q', 'amq.fanout', '', new Map());
  log.refuses = true;
  engine.publish(publisher, 'amq.fanout', '', 'second');
  engine.time.settle();
  expect(publisher.sink.refused.map(({ seq, error }) => [seq, error.message])).toEqual([[2, 'RESOURCE_ERROR - the message log is full']]);
  expect(queueOf(engine, 'q').readyCount).toBe(1);
  log.refuses = false;
  engine.publish(publisher, '', 'q', 'third');
  engine.time.settle();
  expect(publisher.sink.confirmed.at(-1)).toEqual({ firstSeq: 3, count: 1, routed: 1 });
});

test('a dead letter that the log refuses waits until it is taken', () => {
  const { log, engine, publisher } = setUp();
  engine.declare(publisher, 'dead');
  engine.declare(publisher, 'source', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'dead'],
  ]);
  engine.publish(publisher, '', 'source', 'bad');
  publisher.session.get('source', false, (got) => publisher.session.reject(got?.tag ?? 0, false));
  log.refuses = true;
  engine.time.settle();
  expect(queueOf(engine, 'source').deadLetters?.size).toBe(1);
  log.refuses = false;
  engine.time.advance(1_000);
  expect(queueOf(engine, 'dead').readyCount).toBe(1);
  expect(queueOf(engine, 'source').deadLetters?.size).toBe(0);
});

test('an alarm that stands when the log is opened holds the first publisher back', () => {
  const log = new StagedLog();
  const open = log.open.bind(log);
  log.open = (sink, listener) => {
    open(sink, listener);
    listener.blocked('full');
  };
  const engine = new Engine({ log });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'x');
  engine.time.settle();
  expect(peer.sink.blocks).toEqual(['low on disk']);
});
