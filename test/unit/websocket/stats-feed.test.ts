// Statistics that a connection subscribed to: rates, intervals, and what a slow reader gets.

import { expect, test } from 'vitest';
import { withRates } from '../../../server/websocket/stats-feed.ts';
import type { QueueSample, Sample } from '../../../shared/protocol/control.ts';
import { TestBroker } from '../../support/broker.ts';

const none = {
  published: 0,
  delivered: 0,
  redelivered: 0,
  acked: 0,
  requeued: 0,
  expired: 0,
  deadLettered: 0,
  dropped: 0,
  refused: 0,
  purged: 0,
  returned: 0,
};
const queue = (number: number, published: number, delivered: number, acked: number): QueueSample => ({
  queue: 'q',
  number,
  ready: 0,
  unacked: 0,
  deadLetterWaiting: 0,
  readyBytes: 0,
  consumers: 0,
  counts: { ...none, published, delivered, acked },
});
const sample = (at: number, published: number, queues: QueueSample[]): Sample => ({
  at,
  broker: { connections: 1, queues: queues.length, exchanges: 7, published, unroutable: 0, messages: 0, bytes: 0 },
  queues,
});

test('a rate is the growth of a counter per second since the previous sample', () => {
  const rated = withRates(sample(3000, 60, [queue(1, 50, 30, 10)]), sample(1000, 20, [queue(1, 10, 10, 10)]));
  expect(rated.queues[0]).toMatchObject({ publishRate: 20, deliverRate: 10, ackRate: 0 });
  expect(rated.broker).toMatchObject({ publishRate: 20, deliverRate: 10, ackRate: 0 });
});

test('a queue that was deleted and declared again starts anew', () => {
  const rated = withRates(sample(2000, 5, [queue(2, 5, 0, 0)]), sample(1000, 100, [queue(1, 100, 0, 0)]));
  expect(rated.queues[0]).toMatchObject({ publishRate: 5 });
});

test('samples come at their interval, of the queues that the glob names, until the subscription is closed', async () => {
  const broker = new TestBroker();
  const session = await broker.connect();
  await session.declare('billing.in');
  await session.declare('audit/x');
  await session.do('stats.open', { handle: 9, queues: 'billing*', everyMs: 500 });
  await session.send('billing.in', 'a', 'b');
  await broker.advance(499);
  expect(session.events).toEqual([]);
  await broker.advance(1);
  expect(session.events).toMatchObject([{ event: 'stats', handle: 9, queues: [{ queue: 'billing.in', ready: 2, publishRate: 4 }] }]);
  await broker.advance(1000);
  expect(session.events).toHaveLength(3);
  await session.do('stats.close', { handle: 9 });
  await broker.advance(5000);
  expect(session.events.splice(0)).toHaveLength(3);
  const all = await session.do('stats', { queues: '*' });
  expect(all.queues.map((each) => each.queue).sort()).toEqual(['audit/x', 'billing.in']);
  expect((await session.do('stats', { queues: 'audit?x' })).queues).toHaveLength(1);
  expect(await session.fails('stats', { queues: '*1*2*3*4*5' })).toMatchObject({ code: 502, path: '/queues' });
  await session.do('queue.purge', { queue: 'billing.in' });
  expect(await broker.end()).toEqual([]);
});
