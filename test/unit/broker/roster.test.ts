// Whose turn it is: priorities, parking, and the single active consumer.
// Always: an engine and a clock that the test owns.

import { expect, test } from 'vitest';
import { Engine } from '../../support/engine.ts';

const SAC: [string, boolean][] = [['x-single-active-consumer', true]];

test('consumers of one priority take turns, and one that is full is not waited for', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.consume(peer, 'q', { handle: 2, prefetch: 1 });
  engine.consume(peer, 'q', { handle: 3, noAck: true });
  for (let i = 0; i < 5; i++) engine.publish(peer, '', 'q', `${i}`);
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => each.handle)).toEqual([2, 3, 3, 3, 3]);
});

test('the higher priority is served first, and the lower one while that is full', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.consume(peer, 'q', { handle: 2 });
  engine.consume(peer, 'q', { handle: 3, priority: 5, prefetch: 2 });
  for (let i = 0; i < 3; i++) engine.publish(peer, '', 'q', `${i}`);
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => each.handle)).toEqual([3, 3, 2]);
  peer.session.ack(1, false);
  engine.publish(peer, '', 'q', '3');
  engine.time.settle();
  expect(peer.sink.delivered.at(-1)?.handle).toBe(3);
});

test('a higher priority takes over as single active once what is out is settled', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', SAC);
  engine.consume(peer, 'q', { handle: 2 });
  engine.publish(peer, '', 'q', 'a');
  engine.time.settle();
  engine.consume(peer, 'q', { handle: 3, priority: 1 });
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => each.handle)).toEqual([2]);
  peer.session.ack(1, false);
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => each.handle)).toEqual([2, 3]);
  expect(peer.sink.actives).toEqual([
    { handle: 2, active: true },
    { handle: 2, active: false },
    { handle: 3, active: true },
  ]);
});

test('a single active consumer goes on when the one that was to replace it leaves', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', SAC);
  engine.consume(peer, 'q', { handle: 2 });
  engine.publish(peer, '', 'q', 'a');
  engine.time.settle();
  const newcomer = engine.consume(peer, 'q', { handle: 3, priority: 1 });
  engine.time.settle();
  peer.session.cancel(newcomer);
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => [each.handle, each.body])).toEqual([
    [2, 'a'],
    [2, 'b'],
  ]);
  expect(peer.sink.actives).toEqual([{ handle: 2, active: true }]);
});

test('when the active one leaves the next is by priority, then by age', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q', SAC);
  const first = engine.consume(peer, 'q', { handle: 2, priority: 9 });
  engine.consume(peer, 'q', { handle: 3 });
  const third = engine.consume(peer, 'q', { handle: 4, priority: 1 });
  engine.consume(peer, 'q', { handle: 5, priority: 1 });
  peer.session.cancel(first);
  engine.publish(peer, '', 'q', 'a');
  engine.time.settle();
  peer.session.cancel(third);
  engine.publish(peer, '', 'q', 'b');
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => each.handle)).toEqual([4, 5]);
});

test('an exclusive consumer is alone, and there is none beside a single active one', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.declare(peer, 'single', SAC);
  const exclusive = engine.consume(peer, 'q', { exclusive: true });
  expect(() => engine.consume(peer, 'q')).toThrow('ACCESS_REFUSED');
  peer.session.cancel(exclusive);
  engine.consume(peer, 'q');
  expect(() => engine.consume(peer, 'q', { exclusive: true })).toThrow('ACCESS_REFUSED');
  expect(() => engine.consume(peer, 'single', { exclusive: true })).toThrow('ACCESS_REFUSED');
});
