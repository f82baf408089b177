// Each checker is fed histories that are broken in one way, and must say so.

import { describe, expect, test } from 'vitest';
import {
  type Attempt,
  countersBalance,
  countersGrow,
  type DeliveryRecord,
  type FlowEvent,
  firstDeliveriesInOrder,
  nothingDeliveredExpired,
  nothingLostOrInvented,
  oneActiveConsumer,
  prefetchHolds,
  repeatsSayRedelivered,
  totalQueue,
} from '../../scripts/kill-loop/checkers.ts';
import type { QueueSample } from '../../shared/protocol/control.ts';

const confirmed = (body: string, publisher = 'p'): Attempt => ({ body, publisher, outcome: 'confirmed' });
const delivered = (body: string, more: Partial<DeliveryRecord> = {}): DeliveryRecord => ({
  body,
  consumer: 'c',
  redelivered: false,
  atMs: 0,
  ...more,
});

const sample: QueueSample = {
  queue: 'q',
  number: 1,
  ready: 3,
  unacked: 1,
  deadLetterWaiting: 1,
  readyBytes: 30,
  consumers: 0,
  counts: {
    published: 10,
    delivered: 3,
    redelivered: 0,
    acked: 1,
    requeued: 0,
    expired: 1,
    deadLettered: 1,
    dropped: 1,
    refused: 0,
    purged: 1,
  },
};

describe('what was confirmed comes out, and nothing else', () => {
  const attempts: Attempt[] = [
    confirmed('a'),
    confirmed('b'),
    { body: 'c', publisher: 'p', outcome: 'unknown' },
    { body: 'd', publisher: 'p', outcome: 'refused' },
  ];

  test('a whole history is fine, with or without what was never answered', () => {
    expect(nothingLostOrInvented(attempts, [delivered('a'), delivered('b')])).toEqual([]);
    expect(nothingLostOrInvented(attempts, [delivered('a'), delivered('b'), delivered('c')])).toEqual([]);
    expect(totalQueue(attempts, [delivered('a'), delivered('a'), delivered('b'), delivered('c')])).toEqual({
      lost: [],
      unexpected: [],
      duplicated: ['a'],
      recovered: ['c'],
    });
  });

  test('a confirmed message that never comes is lost', () => {
    expect(nothingLostOrInvented(attempts, [delivered('a')])).toEqual(['b was confirmed and never delivered']);
  });

  test('a message nobody sent, or that was refused, is unexpected', () => {
    const history = [delivered('a'), delivered('b'), delivered('x'), delivered('d')];
    expect(nothingLostOrInvented(attempts, history)).toEqual(['x was delivered and never accepted', 'd was delivered and never accepted']);
  });
});

describe('repeats say so', () => {
  test('a repeat that says redelivered is fine, one that does not is not', () => {
    expect(repeatsSayRedelivered([delivered('a'), delivered('a', { redelivered: true })])).toEqual([]);
    expect(repeatsSayRedelivered([delivered('a'), delivered('a')])).toEqual(['a was delivered again without saying so']);
  });
});

describe('first deliveries in order', () => {
  const attempts = [confirmed('a1', 'a'), confirmed('b1', 'b'), confirmed('a2', 'a'), confirmed('b2', 'b')];

  test('publishers may interleave', () => {
    expect(
      firstDeliveriesInOrder(
        attempts,
        ['b1', 'a1', 'b2', 'a2'].map((body) => delivered(body)),
      ),
    ).toEqual([]);
  });

  test('one publisher may not be reordered', () => {
    expect(
      firstDeliveriesInOrder(
        attempts,
        ['a2', 'b1', 'a1', 'b2'].map((body) => delivered(body)),
      ),
    ).toEqual(['a1 was first delivered after a2, which was published later']);
  });

  test('a redelivery may come late', () => {
    expect(firstDeliveriesInOrder(attempts, [delivered('a1'), delivered('a2'), delivered('a1', { redelivered: true })])).toEqual([]);
  });
});

describe('prefetch', () => {
  const events = (...kinds: ('deliver' | 'settle')[]): FlowEvent[] => kinds.map((kind) => ({ kind, consumer: 'c' }));

  test('as many as allowed is fine, one more is not, nor a settlement too many', () => {
    expect(prefetchHolds(events('deliver', 'deliver', 'settle', 'deliver'), () => 2)).toEqual([]);
    expect(prefetchHolds(events('deliver', 'deliver', 'deliver'), () => 2)).toEqual(['c holds 3 of 2']);
    expect(prefetchHolds(events('deliver', 'settle', 'settle'), () => 2)).toEqual(['c settled more than it was given']);
  });
});

describe('one active consumer', () => {
  const of = (...events: [FlowEvent['kind'], string][]): FlowEvent[] => events.map(([kind, consumer]) => ({ kind, consumer }));

  test('a hand-over is fine', () => {
    expect(oneActiveConsumer(of(['activate', 'a'], ['deliver', 'a'], ['gone', 'a'], ['activate', 'b'], ['deliver', 'b']))).toEqual([]);
  });

  test('two at a time, a delivery to one that waits, and a delivery after it went, are not', () => {
    expect(oneActiveConsumer(of(['activate', 'a'], ['activate', 'b']))).toEqual(['b became active while a was']);
    expect(oneActiveConsumer(of(['activate', 'a'], ['deliver', 'b']))).toEqual(['b was given a message while a was active']);
    expect(oneActiveConsumer(of(['activate', 'a'], ['gone', 'a'], ['deliver', 'a']))).toEqual([
      'a was given a message while nobody was active',
    ]);
  });
});

describe('nothing expired is delivered', () => {
  test('in time is fine, later than the slack is not', () => {
    expect(nothingDeliveredExpired([delivered('a', { atMs: 150 })], () => 100)).toEqual([]);
    expect(nothingDeliveredExpired([delivered('a', { atMs: 151 })], () => 100)).toEqual(['a was delivered 51 ms after it expired']);
  });
});

describe('counters', () => {
  test('a balanced sample is fine', () => {
    expect(countersBalance(sample)).toEqual([]);
  });

  test('one message too many or too few anywhere does not balance', () => {
    for (const name of ['published', 'acked', 'expired', 'deadLettered', 'dropped', 'purged'] as const) {
      const counts = { ...sample.counts, [name]: sample.counts[name] + 1 };
      expect(countersBalance({ ...sample, counts }), name).toHaveLength(1);
    }
    for (const name of ['ready', 'unacked', 'deadLetterWaiting'] as const) {
      expect(countersBalance({ ...sample, [name]: sample[name] - 1 }), name).toHaveLength(1);
    }
  });

  test('a negative count is wrong even when the sum is right', () => {
    expect(countersBalance({ ...sample, ready: 5, unacked: -1 })).toEqual(['q: unacked is -1']);
  });

  test('a counter that falls is seen, unless the queue is another one', () => {
    const counts = { ...sample.counts, acked: 0 };
    expect(countersGrow(sample, { ...sample, counts })).toEqual(['q: acked fell from 1 to 0']);
    expect(countersGrow(sample, { ...sample, number: 2, counts })).toEqual([]);
    expect(countersGrow(sample, sample)).toEqual([]);
  });
});
