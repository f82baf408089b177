// What holds an AMQP connection's input back, and that it always ends: alarms, queues that block, a disk that is behind; and what a peer may cost.
import { describe, expect, test } from 'vitest';
import { FrameType } from '../../../shared/amqp/frame.ts';
import { methodFrame } from '../../../shared/amqp/methods.ts';
import { encodeContentHeader } from '../../../shared/amqp/properties.ts';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { AmqpPeer, frame, publishFrames } from '../../support/amqp-peer.ts';
import { Engine } from '../../support/engine.ts';
import { StagedLog } from '../../support/staged-log.ts';

const capabilities: FieldTable = new Map([['connection.blocked', true]]);
const close = { replyCode: 200, replyText: '', failedClassId: 0, failedMethodId: 0 };
const readyIn = (engine: Engine, queue: string): number | undefined => engine.broker.vhost('/')?.queues.get(queue)?.readyCount;

describe('an alarm', () => {
  test('whose channel the server has closed meanwhile ends for the connection all the same', () => {
    const engine = new Engine();
    const peer = AmqpPeer.open(engine, { capabilities });
    const args = new Map<string, string | number>([
      ['x-consumer-timeout', 1000],
      ['x-consumer-timeout-action', 'close'],
    ]);
    peer.declare(1, 'slow', { arguments: args });
    peer.consume(1, 'slow');
    engine.broker.memoryAlarm(true);
    peer.publish(1, 'slow', 'never acked');
    engine.time.advance(2_000);
    expect(peer.names()).toEqual([
      '1 queue.declare-ok',
      '1 basic.consume-ok',
      '0 connection.blocked',
      '1 basic.deliver',
      '1 channel.close',
    ]);
    engine.broker.memoryAlarm(false);
    engine.time.settle();
    peer.send(1, 'channel.close-ok', {});
    peer.send(1, 'channel.open', {});
    expect(peer.names()).toEqual(['0 connection.unblocked', '1 channel.open-ok']);
  });

  test('that is over and begins again within one turn is told, and its end heard', () => {
    const engine = new Engine();
    const peer = AmqpPeer.open(engine, { capabilities });
    peer.declare(1, 'work');
    engine.broker.memoryAlarm(true);
    peer.publish(1, 'work', 'first');
    peer.names();
    engine.broker.memoryAlarm(false);
    engine.broker.memoryAlarm(true);
    peer.publish(1, 'work', 'second');
    expect(peer.names()).toEqual(['0 connection.unblocked', '0 connection.blocked']);
    engine.broker.memoryAlarm(false);
    engine.time.settle();
    peer.declare(1, 'after');
    expect(peer.names()).toEqual(['0 connection.unblocked', '1 queue.declare-ok']);
    expect(readyIn(engine, 'work')).toBe(2);
  });

  test('keeps nothing of the connections that came and went during it', () => {
    const engine = new Engine();
    engine.broker.memoryAlarm(true);
    for (let i = 0; i < 10; i++) {
      const peer = AmqpPeer.open(engine, { capabilities });
      peer.publish(1, 'nowhere', 'x');
      peer.connection.onClosed();
    }
    expect(engine.broker.alarms.watcherCount).toBe(0);
  });

  test.each(['in a chunk of its own', 'right behind the publishes'])('keeps nothing that came before a close %s', (how) => {
    const engine = new Engine();
    const peer = AmqpPeer.open(engine, { capabilities });
    peer.declare(1, 'work');
    peer.names();
    engine.broker.memoryAlarm(true);
    const publishes = Buffer.concat(Array.from({ length: 10 }, () => publishFrames(1, 'work', 'x')));
    const bye = methodFrame(0, 'connection.close', close);
    if (how === 'in a chunk of its own') {
      peer.bytes(publishes);
      peer.bytes(bye);
    } else peer.bytes(Buffer.concat([publishes, bye]));
    expect(peer.names().at(-1)).toBe('0 connection.close-ok');
    expect(readyIn(engine, 'work')).toBe(10);
  });
});

describe('a queue that blocks', () => {
  const blocking = new Map<string, string | number>([
    ['x-max-length', 10],
    ['x-overflow', 'block'],
  ]);
  const limits = { publisherWindowBytes: 10_000 };

  test('stops a publisher when it holds too much of it, and lets it go on when it has let go', () => {
    const engine = new Engine({ limits });
    const publisher = AmqpPeer.open(engine);
    const consumer = AmqpPeer.open(engine);
    publisher.declare(1, 'narrow', { arguments: blocking });
    for (let i = 0; i < 100; i++) publisher.publish(1, 'narrow', 'x'.repeat(1000));
    expect(publisher.isPaused).toBe(true);
    expect(engine.broker.vhost('/')?.queues.get('narrow')?.held?.size).toBeLessThan(20);
    consumer.consume(1, 'narrow', true);
    expect(consumer.bodies).toHaveLength(100);
    expect(publisher.isPaused).toBe(false);
  });

  test('does not keep a connection whose channel has failed', () => {
    const engine = new Engine({ limits });
    const peer = AmqpPeer.open(engine);
    peer.declare(1, 'narrow', { arguments: blocking });
    for (let i = 0; i < 100; i++) peer.publish(1, 'narrow', 'x'.repeat(1000));
    expect(peer.isPaused).toBe(true);
    engine.broker.vhost('/')?.removeQueue([...(engine.broker.vhost('/')?.queues.values() ?? [])][0] as never, 'gone');
    engine.time.settle();
    peer.names();
    peer.send(0, 'connection.close', close);
    expect(peer.names()).toContain('0 connection.close-ok');
  });
});

test('so many declarations may wait for the disk together, and no more', () => {
  const log = new StagedLog();
  const engine = new Engine({ log });
  const peer = AmqpPeer.open(engine);
  log.isBehind = true;
  const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, nowait: false, arguments: new Map() };
  peer.bytes(Buffer.concat(Array.from({ length: 1_500 }, (_, i) => methodFrame(1, 'queue.declare', { queue: `q${i}`, ...flags }))));
  expect(engine.broker.vhost('/')?.queues.size).toBe(1_000);
  log.isBehind = false;
  log.commit();
  log.listener.durable(log.durableLsn);
  engine.time.settle();
  expect(peer.names().filter((name) => name === '1 queue.declare-ok')).toHaveLength(1_500);
});

test('an answer reaches a requester whose commit waits for the disk', () => {
  const log = new StagedLog();
  const engine = new Engine({ log });
  const requester = AmqpPeer.open(engine);
  const worker = AmqpPeer.open(engine);
  requester.declare(1, 'requests');
  requester.consume(1, 'amq.rabbitmq.reply-to', true, 'replies');
  requester.send(1, 'tx.select', {});
  worker.consume(1, 'requests', true);
  requester.publish(1, 'requests', 'ping', { replyTo: 'amq.rabbitmq.reply-to', deliveryMode: 2 });
  log.isBehind = true;
  requester.send(1, 'tx.commit', {});
  worker.publish(1, worker.properties[0]?.replyTo ?? '', 'pong');
  expect(requester.bodies).toEqual(['pong']);
});

test('headers of publishes that never get a body count against the connection’s limit', () => {
  const engine = new Engine({ limits: { messageBytes: 10_000 } });
  const peer = AmqpPeer.open(engine, { channels: 200 });
  const headers = new Map([['x', 'y'.repeat(8_000)]]);
  for (let channel = 1; channel <= 200; channel++) {
    peer.send(channel, 'basic.publish', { exchange: '', routingKey: 'q', mandatory: false, immediate: false });
    peer.bytes(frame(FrameType.Header, channel, encodeContentHeader({ headers }, 100)));
  }
  expect(peer.names()).toEqual(['0 connection.close']);
  expect([peer.connection.assemblingBytes, peer.connection.assemblingHeaderBytes]).toEqual([0, 0]);
});

test('a password in a login that cannot be read is neither logged nor sent back', () => {
  const engine = new Engine();
  const peer = new AmqpPeer(engine);
  peer.bytes(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
  const whole = methodFrame(0, 'connection.start-ok', {
    clientProperties: new Map(),
    mechanism: 'PLAIN',
    response: encodeUtf8('\0admin\0s3cret'),
    locale: '',
  });
  peer.bytes(frame(FrameType.Method, 0, whole.subarray(7, whole.length - 2)));
  const octets = [...encodeUtf8('s3cret')].join(',');
  const said = JSON.stringify(peer.methods);
  expect(said).toContain('cannot decode');
  expect(said).not.toContain(octets);
  expect(said).not.toContain('s3cret');
});
