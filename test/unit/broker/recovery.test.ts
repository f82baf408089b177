// A broker over a log that outlived another broker: the port is enough to be durable.

import { expect, test } from 'vitest';
import { Engine } from '../../support/engine.ts';
import { RememberingLog } from '../../support/remembering-log.ts';

const PERSISTENT = { deliveryMode: 2 };

/** What every queue holds, by reading it empty. */
function drain(engine: Engine, queue: string): { body: string; redelivered: boolean; deliveryCount: number }[] {
  const peer = engine.connect();
  engine.consume(peer, queue);
  engine.time.settle();
  return peer.sink.delivered.map(({ body, redelivered, deliveryCount }) => ({ body, redelivered, deliveryCount }));
}

test('durable topology and persistent messages outlive the broker, in order, by level, with their counts', () => {
  const log = new RememberingLog();
  const before = new Engine({ log });
  const peer = before.connect();
  peer.session.declareExchange({
    exchange: 'orders',
    type: 'topic',
    durable: true,
    autoDelete: false,
    internal: false,
    passive: false,
    arguments: new Map(),
  });
  before.declare(peer, 'q', [['x-max-priority', 5]]);
  before.declare(peer, 'transient', [], false);
  peer.session.bindQueue('q', 'orders', 'order.#', new Map());
  for (const [body, priority] of [
    ['low', 0],
    ['high', 5],
    ['low too', 0],
  ] as const)
    before.publish(peer, 'orders', 'order.new', body, { ...PERSISTENT, priority });
  before.publish(peer, 'orders', 'order.new', 'not persistent');
  before.consume(peer, 'q', { prefetch: 1 });
  before.time.settle();
  peer.session.nack(1, false, true);
  before.time.settle();
  peer.session.close();
  before.time.settle();
  before.broker.close();

  const after = new Engine({ log });
  expect([...(after.broker.vhost('/')?.queues.keys() ?? [])]).toEqual(['q']);
  const publisher = after.connect();
  after.publish(publisher, 'orders', 'order.new', 'after', PERSISTENT);
  after.time.settle();
  expect(drain(after, 'q')).toEqual([
    { body: 'high', redelivered: true, deliveryCount: 2 },
    { body: 'low', redelivered: false, deliveryCount: 0 },
    { body: 'low too', redelivered: false, deliveryCount: 0 },
    { body: 'after', redelivered: false, deliveryCount: 0 },
  ]);
});

test('what was acked, expired or dead-lettered before does not come back, and deadlines still hold', () => {
  const log = new RememberingLog();
  const before = new Engine({ log });
  const peer = before.connect();
  before.declare(peer, 'dead');
  before.declare(peer, 'q', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'dead'],
  ]);
  for (const body of ['acked', 'rejected', 'kept']) before.publish(peer, '', 'q', body, PERSISTENT);
  before.publish(peer, '', 'q', 'expires', { ...PERSISTENT, expiration: '1000' });
  before.consume(peer, 'q', { prefetch: 2 });
  before.time.settle();
  peer.session.ack(1, false);
  peer.session.reject(2, false);
  peer.session.close();
  before.time.settle();
  before.broker.close();

  const after = new Engine({ log });
  after.time.advance(before.time.now() - after.time.now() + 1_000);
  expect(
    drain(after, 'dead')
      .map((each) => each.body)
      .sort(),
  ).toEqual(['expires', 'rejected']);
  expect(drain(after, 'q').map((each) => each.body)).toEqual(['kept']);
});

test('a queue that was deleted and declared again does not get the old one back', () => {
  const log = new RememberingLog();
  const before = new Engine({ log });
  const peer = before.connect();
  before.declare(peer, 'q');
  before.publish(peer, '', 'q', 'old', PERSISTENT);
  before.time.settle();
  peer.session.deleteQueue('q', false, false);
  before.declare(peer, 'q');
  before.time.settle();
  before.broker.close();
  expect(drain(new Engine({ log }), 'q')).toEqual([]);
});
