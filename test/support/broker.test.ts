// The helper that every conformance test stands on: it sees what is left over, and time moves as it is told.

import { describe, expect, test } from 'vitest';
import { TestBroker } from './broker.ts';
import { VirtualClock, VirtualTurns } from './clock.ts';

describe('a broker that ends', () => {
  test('clean, when its sessions left queues, messages, consumers and unacked deliveries to the helper', async () => {
    const broker = new TestBroker();
    const s = await broker.connect();
    await s.declare('q');
    await s.declare('mine', {}, { exclusive: true });
    await s.send('q', '1', '2');
    await s.take('q');
    await s.consume('q');
    expect(await broker.end()).toEqual([]);
  });

  test('with a complaint, when a timer, a task or a socket stays', async () => {
    const broker = new TestBroker();
    broker.clock.setTimer(broker.clock.now() + 1_000, () => {});
    expect(await broker.end()).toEqual(['1 timers left']);
  });

  test('with what was logged as an error', async () => {
    const broker = new TestBroker();
    await broker.connect();
    broker.errors.push('logged as an error: for this test');
    expect(await broker.end()).toEqual(['logged as an error: for this test']);
  });
});

describe('the virtual clock', () => {
  test('fires by deadline, then by age, each at its own time, and those that are set on the way', async () => {
    const clock = new VirtualClock();
    const start = clock.now();
    const fired: string[] = [];
    const note = (name: string) => (): void => void fired.push(`${name} at ${clock.now() - start}`);
    clock.setTimer(start + 20, note('late'));
    clock.setTimer(start + 10, () => {
      note('early')();
      clock.setTimer(start + 15, note('set by early'));
    });
    clock.setTimer(start + 20, note('later'));
    clock.setTimer(start + 5, note('cancelled')).cancel();
    clock.setTimer(start + 31, note('not yet'));
    await clock.advance(30);
    expect(fired).toEqual(['early at 10', 'set by early at 15', 'late at 20', 'later at 20']);
    expect([clock.now() - start, clock.pendingTimers]).toEqual([30, 1]);
  });

  test('a timer that sets itself again without end is told', async () => {
    const clock = new VirtualClock();
    const again = (): void => void clock.setTimer(clock.now(), again);
    again();
    await expect(clock.advance(1)).rejects.toThrow('for ever');
  });

  test('turns run in order, tasks deferred meanwhile a turn later', () => {
    const turns = new VirtualTurns();
    const ran: string[] = [];
    turns.defer(() => {
      ran.push('first');
      turns.defer(() => ran.push('third'));
    });
    turns.defer(() => ran.push('second'));
    turns.drain();
    expect(ran).toEqual(['first', 'second', 'third']);
  });
});
