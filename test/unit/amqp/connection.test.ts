// An AMQP connection on an engine whose time the test owns: the order of answers, heartbeats, alarms, ends.
import { beforeEach, describe, expect, test } from 'vitest';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { AmqpPeer, publishFrames } from '../../support/amqp-peer.ts';
import { Engine } from '../../support/engine.ts';
import { StagedLog } from '../../support/staged-log.ts';

let log: StagedLog;
let engine: Engine;
beforeEach(() => {
  log = new StagedLog();
  engine = new Engine({ log });
});

/** What was behind becomes durable. */
function catchUp(): void {
  log.isBehind = false;
  log.commit();
  log.listener.durable(log.durableLsn);
  engine.time.settle();
}

describe('answers', () => {
  test('a durable queue is declared-ok when it is on disk, and what was pipelined behind it is answered in order', () => {
    const peer = AmqpPeer.open(engine);
    log.isBehind = true;
    peer.declare(1, 'durable', { durable: true });
    peer.declare(1, 'transient');
    peer.consume(1, 'transient', true);
    peer.publish(1, 'transient', 'early');
    expect(peer.names()).toEqual([]);
    catchUp();
    expect(peer.names()).toEqual(['1 queue.declare-ok', '1 queue.declare-ok', '1 basic.consume-ok', '1 basic.deliver']);
    expect(peer.bodies).toEqual(['early']);
    expect(peer.isPaused).toBe(false);
  });

  test('while one answer is waited for the socket is not read, and nothing that comes all the same is lost', () => {
    const peer = AmqpPeer.open(engine, { channels: 2 });
    peer.declare(2, 'other');
    peer.names();
    log.isBehind = true;
    peer.declare(1, 'durable', { durable: true });
    peer.send(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 1, global: false });
    expect(peer.isPaused).toBe(true);
    for (let i = 0; i < 10; i++) peer.publish(2, 'other', `message ${i}`);
    catchUp();
    expect(peer.isPaused).toBe(false);
    expect(peer.names()).toEqual(['1 queue.declare-ok', '1 basic.qos-ok']);
    expect(engine.broker.vhost('/')?.queues.get('other')?.readyCount).toBe(10);
  });

  test('a channel error comes behind the answers that are due, and what follows it on the channel is dropped', () => {
    const peer = AmqpPeer.open(engine);
    log.isBehind = true;
    peer.declare(1, 'durable', { durable: true });
    peer.send(1, 'queue.bind', { queue: 'durable', exchange: 'nosuch', routingKey: '', nowait: false, arguments: new Map() });
    peer.declare(1, 'never');
    expect(peer.names()).toEqual([]);
    catchUp();
    expect(peer.names()).toEqual(['1 queue.declare-ok', '1 channel.close']);
    expect([...(engine.broker.vhost('/')?.queues.keys() ?? [])]).toEqual(['durable']);
  });

  test('a commit is answered when its record is on disk, and the next request waits for it', () => {
    const peer = AmqpPeer.open(engine);
    peer.declare(1, 'durable', { durable: true });
    peer.send(1, 'tx.select', {});
    peer.names();
    log.isBehind = true;
    peer.publish(1, 'durable', 'in the transaction', { deliveryMode: 2 });
    peer.send(1, 'tx.commit', {});
    peer.send(1, 'basic.get', { queue: 'durable', noAck: true });
    expect(peer.names()).toEqual([]);
    catchUp();
    expect(peer.names()).toEqual(['1 tx.commit-ok', '1 basic.get-ok']);
  });
});

describe('a get that the log answers later', () => {
  test('holds up what is answered, and nothing else', () => {
    engine = new Engine({ deferReads: true });
    const peer = AmqpPeer.open(engine);
    peer.declare(1, 'deep');
    peer.publish(1, 'deep', 'from the disk');
    peer.names();
    peer.send(1, 'basic.get', { queue: 'deep', noAck: true });
    peer.send(1, 'basic.get', { queue: 'deep', noAck: true });
    expect(peer.names()).toEqual(['1 basic.get-ok', '1 basic.get-empty']);
  });
});

describe('heartbeats', () => {
  test('leave at half the interval that the client named, when nothing else does', () => {
    const peer = AmqpPeer.open(engine, { heartbeat: 10 });
    for (let i = 0; i < 4; i++) {
      engine.time.advance(5_000);
      peer.bytes(Uint8Array.from([8, 0, 0, 0, 0, 0, 0, 0xce]));
    }
    expect(peer.heartbeats).toBeGreaterThanOrEqual(3);
    expect(peer.isEnded).toBe(false);
  });

  test('a peer that is silent for two intervals is cut, and what it held goes back', () => {
    const peer = AmqpPeer.open(engine, { heartbeat: 10 });
    peer.declare(1, 'jobs');
    peer.publish(1, 'jobs', 'held');
    peer.consume(1, 'jobs');
    expect(engine.broker.vhost('/')?.queues.get('jobs')?.unackedCount).toBe(1);
    engine.time.advance(19_000);
    expect(peer.isEnded).toBe(false);
    engine.time.advance(10_000);
    expect(peer.isEnded).toBe(true);
    expect(engine.broker.vhost('/')?.queues.get('jobs')?.readyCount).toBe(1);
    engine.time.advance(3_600_000);
    expect(engine.time.timerCount).toBe(0);
  });

  test('0 switches them off', () => {
    const peer = AmqpPeer.open(engine, { heartbeat: 0 });
    engine.time.advance(3_600_000);
    expect([peer.isEnded, peer.heartbeats]).toEqual([false, 0]);
  });
});

describe('an alarm', () => {
  const capabilities: FieldTable = new Map([['connection.blocked', true]]);

  test('is told once to who publishes, whose next publish waits until it is over; consumers go on', () => {
    const publisher = AmqpPeer.open(engine, { capabilities });
    const consumer = AmqpPeer.open(engine, { capabilities });
    consumer.declare(1, 'work');
    consumer.consume(1, 'work');
    consumer.names();
    engine.broker.memoryAlarm(true);
    engine.time.settle();
    expect(publisher.names()).toEqual([]);
    for (const body of ['one', 'two', 'three']) publisher.publish(1, 'work', body);
    expect(publisher.names()).toEqual(['0 connection.blocked']);
    expect(consumer.bodies).toEqual(['one']);
    consumer.send(1, 'basic.ack', { deliveryTag: 1, multiple: false });
    expect(consumer.names()).toEqual(['1 basic.deliver']);
    engine.broker.memoryAlarm(false);
    engine.time.settle();
    expect(publisher.names()).toEqual(['0 connection.unblocked']);
    expect(consumer.bodies).toEqual(['one', 'two', 'three']);
    expect(publisher.isPaused).toBe(false);
  });

  test('does not keep a publisher from closing its connection', () => {
    const publisher = AmqpPeer.open(engine, { capabilities });
    publisher.declare(1, 'work');
    engine.broker.memoryAlarm(true);
    publisher.publish(1, 'work', 'taken');
    publisher.publish(1, 'work', 'held back');
    publisher.names();
    publisher.send(0, 'connection.close', { replyCode: 200, replyText: 'bye', failedClassId: 0, failedMethodId: 0 });
    expect(publisher.names()).toEqual(['0 connection.close-ok']);
    expect(publisher.isEnded).toBe(true);
  });

  test('does not keep the server from ending a connection whose publisher it holds back', () => {
    const publisher = AmqpPeer.open(engine, { capabilities });
    publisher.declare(1, 'work');
    engine.broker.memoryAlarm(true);
    for (const body of ['taken', 'held back', 'held back too']) publisher.publish(1, 'work', body);
    publisher.names();
    publisher.connection.shutDown('the server shuts down');
    expect(publisher.names()).toEqual(['0 connection.close']);
    publisher.send(0, 'connection.close-ok', {});
    expect([publisher.isEnded, publisher.errors]).toEqual([true, []]);
    expect(engine.broker.vhost('/')?.queues.get('work')?.readyCount).toBe(1);
  });

  test('stops reading a publisher that goes on all the same', () => {
    const publisher = AmqpPeer.open(engine, { capabilities });
    publisher.declare(1, 'work');
    engine.broker.memoryAlarm(true);
    for (let i = 0; i < 100; i++) publisher.publish(1, 'work', 'x'.repeat(1000));
    expect(publisher.isPaused).toBe(true);
    engine.broker.memoryAlarm(false);
    engine.time.settle();
    expect(engine.broker.vhost('/')?.queues.get('work')?.readyCount).toBe(100);
  });

  test('without the capability nothing is said', () => {
    const publisher = AmqpPeer.open(engine);
    publisher.declare(1, 'work');
    publisher.names();
    engine.broker.memoryAlarm(true);
    publisher.publish(1, 'work', 'one');
    engine.broker.memoryAlarm(false);
    engine.time.settle();
    expect(publisher.names()).toEqual([]);
  });
});

describe('the end of a connection', () => {
  const close = { replyCode: 200, replyText: '', failedClassId: 0, failedMethodId: 0 };

  test('its exclusive queues are gone, and what it held is back, before its peer can see it', () => {
    const other = AmqpPeer.open(engine);
    other.declare(1, 'shared');
    const peer = AmqpPeer.open(engine, { channels: 2 });
    peer.declare(1, 'mine', { exclusive: true });
    peer.publish(1, 'shared', 'held');
    peer.consume(2, 'shared');
    expect(peer.bodies).toEqual(['held']);
    peer.names();
    peer.send(0, 'connection.close', close);
    expect(peer.names()).toEqual(['0 connection.close-ok']);
    expect([...(engine.broker.vhost('/')?.queues.keys() ?? [])]).toEqual(['shared']);
    expect(engine.broker.vhost('/')?.queues.get('shared')?.readyCount).toBe(1);
  });

  test('an exclusive queue is every channel’s of its connection, and outlives the channel that declared it', () => {
    const peer = AmqpPeer.open(engine, { channels: 2 });
    peer.declare(1, 'mine', { exclusive: true });
    peer.send(1, 'channel.close', close);
    peer.consume(2, 'mine');
    expect(peer.names()).toEqual(['1 queue.declare-ok', '1 channel.close-ok', '2 basic.consume-ok']);
    const stranger = AmqpPeer.open(engine);
    stranger.consume(1, 'mine');
    expect(stranger.methods[0]?.method).toMatchObject({ name: 'channel.close', fields: { replyCode: 405 } });
  });

  test('both sides closing at once is an ordinary end', () => {
    const peer = AmqpPeer.open(engine);
    peer.connection.shutDown('maintenance');
    peer.send(0, 'connection.close', close);
    expect(peer.names()).toEqual(['0 connection.close', '0 connection.close-ok']);
    expect(peer.isEnded).toBe(true);
    expect(engine.time.timerCount).toBe(0);
  });

  test('a close of ours waits for its answer, drops all else, and does not wait for ever', () => {
    const peer = AmqpPeer.open(engine);
    peer.connection.shutDown('maintenance');
    expect(peer.methods[0]?.method).toMatchObject({
      name: 'connection.close',
      fields: { replyCode: 320, replyText: "CONNECTION_FORCED - broker forced connection closure with reason 'maintenance'" },
    });
    peer.declare(1, 'too late');
    expect(peer.isEnded).toBe(false);
    engine.time.advance(5_000);
    expect(peer.isEnded).toBe(true);
    expect(engine.broker.vhost('/')?.queues.size).toBe(0);
  });

  test('a drain delivers nothing new and takes acks for what is held', () => {
    const peer = AmqpPeer.open(engine);
    peer.declare(1, 'jobs');
    peer.consume(1, 'jobs');
    peer.publish(1, 'jobs', 'first');
    peer.connection.drain();
    peer.publish(1, 'jobs', 'second');
    expect(peer.bodies).toEqual(['first']);
    expect(peer.connection.unackedCount).toBe(1);
    peer.send(1, 'basic.ack', { deliveryTag: 1, multiple: false });
    expect(peer.connection.unackedCount).toBe(0);
  });

  test('a handshake that is not finished in ten seconds is', () => {
    const peer = new AmqpPeer(engine);
    peer.bytes(Uint8Array.from([0x41, 0x4d]));
    engine.time.advance(9_999);
    expect(peer.isEnded).toBe(false);
    engine.time.advance(1);
    expect(peer.isEnded).toBe(true);
  });

  test('a fault of ours is 541 with nothing of what it was, and is logged as an error', () => {
    const peer = AmqpPeer.open(engine);
    peer.connection.fail(new TypeError('secret detail'), 0);
    expect(peer.methods[0]?.method).toMatchObject({ fields: { replyCode: 541, replyText: 'INTERNAL_ERROR - see the log of the server' } });
    expect(peer.errors).toHaveLength(1);
  });
});

test('a peer that does not read gets no more than its send queue holds, and goes on where it stopped', () => {
  const peer = AmqpPeer.open(engine);
  peer.declare(1, 'big');
  peer.isStalled = true;
  peer.consume(1, 'big', true);
  const body = 'x'.repeat(100_000);
  for (let i = 0; i < 100; i++) peer.publish(1, 'big', body);
  expect(peer.bodies.length).toBeGreaterThan(30);
  expect(peer.bodies.length).toBeLessThan(50);
  while (peer.bodies.length < 100) peer.unstall();
  expect(peer.bodies).toHaveLength(100);
});

test('confirms of one turn are one ack, and a refusal stands between two', () => {
  const peer = AmqpPeer.open(engine);
  peer.declare(1, 'full', {
    arguments: new Map<string, string | number>([
      ['x-max-length', 2],
      ['x-overflow', 'reject-publish'],
    ]),
  });
  peer.declare(1, 'open');
  peer.send(1, 'confirm.select', { nowait: false });
  peer.names();
  peer.bytes(Buffer.concat(['open', 'full', 'full', 'full', 'open', 'nowhere'].map((queue) => publishFrames(1, queue, 'x'))));
  expect(peer.methods.map(({ method }) => method)).toEqual([
    { name: 'basic.ack', fields: { deliveryTag: 3, multiple: true } },
    { name: 'basic.nack', fields: { deliveryTag: 4, multiple: false, requeue: false } },
    { name: 'basic.ack', fields: { deliveryTag: 6, multiple: true } },
  ]);
});

test('an error of the broker that ends a session ends the connection with its code', () => {
  const peer = AmqpPeer.open(engine);
  log.listener.unknown(1, new Error('EIO'));
  expect(peer.methods[0]?.method).toMatchObject({ name: 'connection.close', fields: { replyCode: ReplyCode.InternalError } });
  expect(new AmqpError(ReplyCode.InternalError, '').code).toBe(541);
});
