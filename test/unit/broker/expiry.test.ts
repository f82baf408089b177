// The broker's one timer, and what waits on it.
// Always: nothing that is over stays reachable through a slot.

import { expect, test } from 'vitest';
import { Alarm, MessageDeadlines, Schedule } from '../../../server/broker/expiry.ts';
import { Engine, EngineTime } from '../../support/engine.ts';
import { queueOf } from '../../support/engine-queues.ts';

function scheduled(): { time: EngineTime; schedule: Schedule } {
  const time = new EngineTime();
  const schedule: Schedule = new Schedule(time, () => schedule.run(time.now()));
  return { time, schedule };
}

test('alarms ring in the order of their times, once, and one timer serves all', () => {
  const { time, schedule } = scheduled();
  const rung: string[] = [];
  const start = time.now();
  for (const [name, after] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
  ] as const)
    schedule.set(new Alarm((now) => rung.push(`${name}${now - start}`)), start + after);
  expect(time.timerCount).toBe(1);
  time.advance(100);
  expect(rung).toEqual(['a10', 'b20', 'c30']);
  expect(time.timerCount).toBe(0);
});

test('an alarm that was moved rings at its new time alone, and one that was cleared never', () => {
  const { time, schedule } = scheduled();
  const rung: number[] = [];
  const start = time.now();
  const moved = new Alarm((now) => rung.push(now - start));
  const cleared = new Alarm(() => rung.push(-1));
  schedule.set(moved, start + 10);
  schedule.set(moved, start + 30);
  schedule.setBy(moved, start + 20);
  schedule.setBy(moved, start + 25);
  schedule.set(cleared, start + 15);
  schedule.clear(cleared);
  time.advance(100);
  expect(rung).toEqual([20]);
});

test('alarms that were cleared or moved leave no more slots than there are alarms set', () => {
  const { time, schedule } = scheduled();
  const kept = new Alarm(() => {});
  for (let i = 0; i < 10_000; i++) {
    const alarm = new Alarm(() => {});
    schedule.set(alarm, time.now() + 1_000_000);
    schedule.clear(alarm);
    schedule.set(kept, time.now() + 2_000_000 - i);
    schedule.set(kept, time.now() + 3_000_000);
  }
  expect(schedule.size).toBeLessThan(200);
  let rung = 0;
  const last = new Alarm(() => rung++);
  schedule.set(last, time.now() + 5);
  time.advance(5);
  expect(rung).toBe(1);
  expect(kept.dueAt).toBe(time.now() - 5 + 3_000_000);
});

test('a message with a deadline that is nacked again and again keeps one deadline', () => {
  const deadlines = new MessageDeadlines();
  for (let i = 0; i < 10_000; i++) {
    deadlines.add(1_000, 1, 0);
    deadlines.sweep(1, () => true);
  }
  expect(deadlines.size).toBeLessThan(200);
  expect(deadlines.first).toBe(1_000);
});

test('a message that is due is not delivered because another with TTL 0 arrives', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.publish(peer, '', 'q', 'due', { expiration: '1' });
  engine.time.settle();
  // the clock moves without its timers: the alarm has not rung yet
  const now = engine.time.now();
  engine.time.now = () => now + 1;
  engine.consume(peer, 'q');
  engine.publish(peer, '', 'q', 'now', { expiration: '0' });
  engine.time.settle();
  expect(peer.sink.delivered.map((each) => each.body)).toEqual(['now']);
  expect(queueOf(engine, 'q').counts.expired).toBe(1);
});
