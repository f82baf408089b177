// Open deliveries by tag, against a Map.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Queue } from '../../../server/broker/queue.ts';
import { Delivery, Unacked } from '../../../server/broker/unacked.ts';
import { Stored } from '../../../server/ports.ts';
import { Engine } from '../../support/engine.ts';

function someQueue(): Queue {
  const engine = new Engine();
  engine.declare(engine.connect(), 'q');
  const queue = engine.broker.vhost('/')?.queues.get('q');
  if (queue === undefined) throw new Error('the queue was declared');
  return queue;
}

function stored(seq: number): Stored {
  const message = new Stored();
  message.seq = seq;
  message.deadline = seq * 2;
  message.flags = 5;
  message.deliveryCount = seq % 100;
  message.priority = seq % 9;
  return message;
}

test('tags are taken once each, whatever the order, and stragglers survive the ring that outgrows them', () => {
  const queue = someQueue();
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          { weight: 5, arbitrary: fc.constant('add' as const) },
          { weight: 2, arbitrary: fc.constant('skip' as const) },
          { weight: 5, arbitrary: fc.nat() },
        ),
        { maxLength: 900 },
      ),
      (steps) => {
        const unacked = new Unacked();
        const model = new Map<number, number>();
        const delivery = new Delivery();
        let tag = 0;
        for (const each of steps) {
          if (each === 'add') {
            expect(unacked.add(queue, undefined, stored(tag + 1_000), tag)).toBe(++tag);
            model.set(tag, tag + 999);
          } else if (each === 'skip') expect(unacked.skip()).toBe(++tag);
          else if (model.size > 0) {
            const tags = [...model.keys()];
            // mostly the newest, so that an old one stays behind for long
            const taken = tags[tags.length - 1 - (each % Math.min(3, tags.length))] as number;
            expect(unacked.take(taken, delivery)).toBe(true);
            expect(delivery.stored).toEqual(stored(model.get(taken) as number));
            expect(delivery.queue).toBe(queue);
            model.delete(taken);
            expect(unacked.take(taken, delivery)).toBe(false);
          }
          expect(unacked.size).toBe(model.size);
        }
        expect(unacked.upTo(tag)).toEqual([...model.keys()]);
        const seen: number[] = [];
        unacked.forEach((each) => seen.push(each.tag));
        expect(seen).toEqual([...model.keys()]);
      },
    ),
    { numRuns: 200 },
  );
});

test('one delivery left open for ever does not make the ring grow', () => {
  const queue = someQueue();
  const unacked = new Unacked();
  const delivery = new Delivery();
  unacked.add(queue, undefined, stored(1), 0);
  for (let tag = 2; tag < 100_000; tag++) {
    unacked.add(queue, undefined, stored(tag), 0);
    expect(unacked.take(tag, delivery)).toBe(true);
  }
  expect(unacked.size).toBe(1);
  expect(unacked.capacity).toBeLessThanOrEqual(128);
  expect(unacked.take(1, delivery)).toBe(true);
});
