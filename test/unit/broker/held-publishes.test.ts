// Publishes that wait for room in a queue with x-overflow: block: their order, their confirms, and the turns they cost.
// Always: an engine and a clock that the test owns.

import { expect, test } from 'vitest';
import { Engine, type Peer } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';

const BLOCK: [string, string | number][] = [
  ['x-max-length', 1],
  ['x-overflow', 'block'],
];

function take(peer: Peer, queue: string): string | undefined {
  let body: string | undefined;
  peer.session.get(queue, true, (got) => {
    if (got !== undefined) body = new TextDecoder().decode(got.bytes.subarray(got.end - 1, got.end));
  });
  return body;
}

test('the engine comes to rest while a publish is held, whatever others do', () => {
  const engine = new Engine();
  const [peer, other] = [engine.connect(), engine.connect()];
  engine.declare(peer, 'q', BLOCK);
  engine.declare(peer, 'free');
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  engine.publish(other, '', 'free', 'x');
  engine.time.settle();
  expect(other.sink.confirmed).toEqual([{ firstSeq: 1, count: 1, routed: 1 }]);
});

test('a dead letter waits behind the publishes that its target holds', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', BLOCK);
  engine.declare(peer, 'source', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'q'],
  ]);
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'q', 'b');
  engine.publish(peer, '', 'source', 'd');
  engine.consume(peer, 'source');
  engine.time.settle();
  expect(take(peer, 'q')).toBe('a');
  peer.session.reject(1, false);
  engine.time.settle();
  expect(take(peer, 'q')).toBe('b');
  engine.time.advance(1_000);
  const seqs: number[] = [];
  peer.session.get('q', true, (got) => got !== undefined && seqs.push(got.seq));
  expect(seqs).toEqual([3]);
  expect(queueOf(engine, 'source').counts.deadLettered).toBe(1);
});

test('a publish that can never fit is refused at once and holds nothing back', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [
    ['x-max-length-bytes', 3],
    ['x-overflow', 'block'],
  ]);
  engine.publish(peer, '', 'q', 'four');
  engine.publish(peer, '', 'q', 'abc');
  engine.time.settle();
  expect(peer.sink.refused.map((each) => [each.seq, each.error.code])).toEqual([[1, 311]]);
  expect(peer.sink.confirmed).toEqual([{ firstSeq: 2, count: 1, routed: 1 }]);
  expect(queueOf(engine, 'q').counts.refused).toBe(1);
});

test('a held publish of a publisher that closed is stored, and confirmed to nobody', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', BLOCK);
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  peer.session.closePublisher(peer.publisher);
  expect(take(peer, 'q')).toBe('a');
  engine.time.settle();
  expect(peer.sink.confirmed).toEqual([{ firstSeq: 1, count: 1, routed: 1 }]);
  expect(take(peer, 'q')).toBe('b');
});

test('a publisher without confirms that closed hears nothing of a held publish that is refused', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', [...BLOCK, ['x-block-timeout', 50]]);
  const publisher = peer.session.openPublisher(7, false);
  const unconfirmed = { ...peer, publisher };
  engine.publish(unconfirmed, '', 'q', 'a');
  engine.publish(unconfirmed, '', 'q', 'b');
  peer.session.closePublisher(publisher);
  engine.time.advance(60);
  expect(peer.sink.failures).toEqual([]);
  expect(queueOf(engine, 'q').counts.refused).toBe(1);
});

test('a publish held by two queues is confirmed when both have it', () => {
  const engine = new Engine();
  const peer = engine.connect();
  for (const name of ['q1', 'q2']) {
    engine.declare(peer, name, BLOCK);
    peer.session.bindQueue(name, 'amq.fanout', '', new Map());
  }
  engine.publish(peer, 'amq.fanout', '', 'a');
  engine.publish(peer, 'amq.fanout', '', 'b');
  engine.time.settle();
  take(peer, 'q1');
  engine.time.settle();
  expect(peer.sink.confirmed.length).toBe(1);
  take(peer, 'q2');
  engine.time.settle();
  expect(peer.sink.confirmed.at(-1)).toEqual({ firstSeq: 2, count: 1, routed: 2 });
});

test('a publish that waits in one queue is refused when that queue is deleted, and stays in the other', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q1', BLOCK);
  engine.declare(peer, 'q2');
  for (const name of ['q1', 'q2']) peer.session.bindQueue(name, 'amq.fanout', '', new Map());
  engine.publish(peer, 'amq.fanout', '', 'a');
  engine.publish(peer, 'amq.fanout', '', 'b');
  engine.time.settle();
  peer.session.deleteQueue('q1', false, false);
  engine.time.settle();
  expect(peer.sink.refused.map((each) => each.seq)).toEqual([2]);
  expect(queueOf(engine, 'q2').readyCount).toBe(2);
});

test('what a session that closed has published enters when there is room', () => {
  const engine = new Engine();
  const [peer, other] = [engine.connect(), engine.connect()];
  engine.declare(peer, 'q', BLOCK);
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'q', 'b');
  peer.session.close();
  expect(take(other, 'q')).toBe('a');
  engine.time.settle();
  expect(take(other, 'q')).toBe('b');
  engine.consume(other, 'q');
  engine.time.settle();
  expect(bodies(other)).toEqual([]);
});
