// Whose turn it is: priorities, parking, and the single active consumer.
// Always: an engine and a clock that the test owns.

import { describe, expect, test } from 'vitest';
import type { Consumer } from '../../../server/broker/consumer.ts';
import { Ring } from '../../../shared/ring.ts';
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

describe('many consumers of one queue', () => {
  const COUNT = 5_000;

  function onRead(consumer: Consumer, field: 'priority' | 'exclusive', seen: () => void): void {
    const value = consumer[field];
    Object.defineProperty(consumer, field, {
      get: () => {
        seen();
        return value;
      },
    });
  }

  /** What `work` does to rings, and how often it looks at the priority of `consumers`. */
  function steps(consumers: readonly Consumer[], work: () => void): number {
    let count = 0;
    for (const consumer of consumers) onRead(consumer, 'priority', () => count++);
    const { push, shift } = Ring.prototype;
    Ring.prototype.push = function (value) {
      count++;
      push.call(this, value);
    };
    Ring.prototype.shift = function () {
      count++;
      return shift.call(this);
    };
    try {
      work();
    } finally {
      Object.assign(Ring.prototype, { push, shift });
    }
    return count;
  }

  test.each([
    ['in turns', []],
    ['single active', SAC],
  ])('leave it in a few steps each (%s)', (_, args) => {
    const engine = new Engine({ limits: { consumersPerSession: COUNT } });
    const peer = engine.connect();
    engine.declare(peer, 'q', args);
    const consumers = Array.from({ length: COUNT }, () => engine.consume(peer, 'q'));
    expect(steps(consumers, () => peer.session.close())).toBeLessThan(6 * COUNT);
  });

  test('are not looked through for an exclusive one by each that comes', () => {
    const engine = new Engine({ limits: { consumersPerSession: 200 } });
    const peer = engine.connect();
    engine.declare(peer, 'q');
    let looks = 0;
    for (let i = 0; i < 200; i++) onRead(engine.consume(peer, 'q'), 'exclusive', () => looks++);
    expect(looks).toBeLessThan(400);
  });

  test('keep their turns when others leave from between them, and those get nothing', () => {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'q');
    const consumers = Array.from({ length: 8 }, (_, i) => engine.consume(peer, 'q', { handle: i, noAck: true }));
    const send = (count: number) => {
      for (let i = 0; i < count; i++) engine.publish(peer, '', 'q', 'x');
      engine.time.settle();
      return peer.sink.delivered.splice(0).map((each) => each.handle);
    };
    expect(send(3)).toEqual([0, 1, 2]);
    for (const at of [1, 4, 5]) peer.session.cancel(consumers[at] as Consumer);
    expect(send(7)).toEqual([3, 6, 7, 0, 2, 3, 6]);
    for (const at of [0, 7]) peer.session.cancel(consumers[at] as Consumer);
    engine.consume(peer, 'q', { handle: 8, noAck: true });
    expect(send(5)).toEqual([2, 3, 6, 8, 2]);
  });

  test('a consumer that was full when its neighbours left is served once a turn after it is woken', () => {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'q');
    const full = engine.consume(peer, 'q', { handle: 2, credit: 1, noAck: true });
    const neighbours = [3, 4, 5].map((handle) => engine.consume(peer, 'q', { handle, noAck: true }));
    for (let i = 0; i < 5; i++) engine.publish(peer, '', 'q', 'x');
    engine.time.settle();
    expect(peer.sink.delivered.splice(0).map((each) => each.handle)).toEqual([2, 3, 4, 5, 3]);
    peer.session.cancel(neighbours[0] as Consumer);
    peer.session.grant(full, 10);
    peer.session.cancel(neighbours[1] as Consumer);
    for (let i = 0; i < 4; i++) engine.publish(peer, '', 'q', 'x');
    engine.time.settle();
    expect(peer.sink.delivered.map((each) => each.handle)).toEqual([5, 2, 5, 2]);
  });
});
