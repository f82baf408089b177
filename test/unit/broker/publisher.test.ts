// One publisher: each publish takes a seq and is answered once, in order, and credit comes back when it is due.
// Always: an engine and a clock that the test owns.

import { expect, test } from 'vitest';
import type { Publisher } from '../../../server/broker/publisher.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { Engine } from '../../support/engine.ts';

test('answers come in the order of the publishes, whatever they are', () => {
  const engine = new Engine();
  const peer = engine.connect();
  const told: string[] = [];
  peer.sink.confirm = (_publisher, firstSeq, count, routed) => void told.push(`${firstSeq}+${count}:${routed}`);
  peer.sink.refuse = (_publisher, seq, error) => void told.push(`${seq}!${error.code}`);
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'q', 'b');
  engine.publish(peer, 'none', '', 'c');
  engine.publish(peer, '', 'nowhere', 'd');
  peer.session.refusePublish(peer.publisher, new AmqpError(ReplyCode.PreconditionFailed, 'too large'), 10);
  engine.publish(peer, '', 'q', 'e');
  engine.time.settle();
  expect(told).toEqual(['1+2:1', '3!404', '4+1:0', '5!406', '6+1:1']);
});

test('a publisher without confirms hears of refusals alone', () => {
  const engine = new Engine();
  const peer = engine.connect();
  const publisher = peer.session.openPublisher(7, false);
  engine.declare(peer, 'q');
  engine.publish({ ...peer, publisher }, '', 'q', 'a');
  engine.publish({ ...peer, publisher }, 'none', '', 'a');
  engine.time.settle();
  expect(peer.sink.confirmed).toEqual([]);
  expect(peer.sink.failures.map((each) => each.code)).toEqual([404]);
});

test('credit is granted once half the window is used, and not while a queue holds a publish', () => {
  const engine = new Engine({ limits: { publisherWindowBytes: 1_000 } });
  const peer = engine.connect();
  let granted = 0;
  Object.assign(peer.sink, { credit: (_publisher: Publisher, bytes: number) => void (granted += bytes) });
  engine.declare(peer, 'q', [
    ['x-max-length', 1],
    ['x-overflow', 'block'],
  ]);
  engine.publish(peer, '', 'q', 'x'.repeat(100));
  engine.time.settle();
  expect(granted).toBe(0);
  engine.publish(peer, '', 'q', 'x'.repeat(600));
  engine.time.settle();
  expect(granted).toBe(0);
  const used = 1_000 - peer.publisher.credit;
  peer.session.purgeQueue('q');
  engine.time.settle();
  expect([granted, peer.publisher.credit]).toEqual([used, 1_000]);
});

test('a publisher that is closed is confirmed nothing more', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'a');
  peer.session.closePublisher(peer.publisher);
  engine.time.settle();
  expect(peer.sink.confirmed).toEqual([]);
});
