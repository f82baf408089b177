// The sampler: rates, ages, drain times and dead-letter queues, on a clock that the test owns.

import { describe, expect, test } from 'vitest';
import { type Alert, DeadLetterAlerts } from '../../../server/broker/dead-letter-alerts.ts';
import { deadLetterQueues } from '../../../server/broker/dead-letter-targets.ts';
import { EnqueueMarks } from '../../../server/broker/enqueue-marks.ts';
import type { Queue } from '../../../server/broker/queue.ts';
import { Sampler } from '../../../server/broker/sampler.ts';
import { Engine } from '../../support/engine.ts';

function start() {
  const engine = new Engine();
  const sampler = new Sampler(engine.broker);
  const peer = engine.connect();
  const publish = (queue: string, count = 1): void => {
    for (let i = 0; i < count; i++) engine.publish(peer, '', queue, 'x');
    engine.time.settle();
  };
  const queue = (name: string): Queue => peer.session.inspectQueue(name);
  return { engine, sampler, peer, publish, queue };
}

describe('rates', () => {
  test('are what was counted between the last two samples, by the time between them', () => {
    const { engine, sampler, peer, publish, queue } = start();
    engine.declare(peer, 'jobs');
    sampler.start();
    expect(sampler.queue(queue('jobs'))?.rate('publish')).toBe(0);
    publish('jobs', 50);
    peer.session.get('jobs', true, () => undefined);
    engine.time.advance(5_000);
    expect(sampler.queue(queue('jobs'))?.rate('publish')).toBe(10);
    expect(sampler.queue(queue('jobs'))?.rate('get_no_ack')).toBe(0.2);
    expect(sampler.vhost('/')?.rate('publish')).toBe(10);
    expect(sampler.exchange(peer.session.vhost.defaultExchange)?.rate('publish_in')).toBe(10);
    engine.time.advance(5_000);
    expect(sampler.queue(queue('jobs'))?.rate('publish')).toBe(0);
    sampler.close();
    expect(engine.time.timerCount).toBe(0);
  });

  test('deliveries, gets and acks are counted apart, auto-ack is no ack', () => {
    const { engine, sampler, peer, publish, queue } = start();
    engine.declare(peer, 'jobs');
    publish('jobs', 3);
    peer.session.get('jobs', true, () => undefined);
    peer.session.get('jobs', false, (got) => peer.session.ack(got?.tag ?? 0, false));
    engine.consume(peer, 'jobs', { noAck: true });
    engine.time.settle();
    peer.session.get('jobs', false, () => undefined);
    sampler.sample();
    const track = sampler.queue(queue('jobs'));
    const totals = (['deliver', 'deliver_no_ack', 'get', 'get_no_ack', 'get_empty', 'ack'] as const).map((name) => track?.total(name));
    expect(totals).toEqual([0, 1, 1, 1, 1, 1]);
  });

  test('stand under the names of message_stats, of a queue and of the broker', () => {
    const { engine, sampler, peer, publish, queue } = start();
    engine.declare(peer, 'jobs');
    const jobs = queue('jobs');
    expect(sampler.queue(jobs)).toBeUndefined();
    publish('jobs', 20);
    sampler.start();
    publish('jobs', 10);
    publish('nowhere', 5);
    for (let i = 0; i < 15; i++) peer.session.get('jobs', i < 10, () => undefined);
    engine.time.advance(5_000);
    const names = ['publish', 'get', 'get_no_ack', 'deliver', 'ack'] as const;
    for (const track of [sampler.queue(jobs), sampler.all]) {
      expect(names.map((name) => track?.rate(name))).toEqual([2, 1, 2, 0, 0]);
      expect([track?.readyRate, track?.unackedRate]).toEqual([-1, 1]);
    }
    const published = (['publish', 'drop_unroutable', 'return_unroutable'] as const).map((name) => sampler.publishers.rate(name));
    expect(published).toEqual([3, 1, 0]);
    sampler.close();
  });

  test('the counters of a vhost do not fall when a queue goes', () => {
    const { engine, sampler, peer, publish } = start();
    engine.declare(peer, 'jobs');
    publish('jobs', 7);
    sampler.sample();
    peer.session.deleteQueue('jobs', false, false);
    engine.time.advance(5_000);
    sampler.sample();
    expect(sampler.vhost('/')?.total('publish')).toBe(7);
    expect(sampler.all.total('publish')).toBe(7);
    expect(engine.broker.totals.queuesDeleted).toBe(1);
  });
});

describe('the age of the oldest ready message', () => {
  test('counts from the first sample that met it', () => {
    const { engine, sampler, peer, publish, queue } = start();
    engine.declare(peer, 'jobs');
    sampler.start();
    publish('jobs');
    expect(sampler.oldestAgeMs(queue('jobs'))).toBe(0);
    engine.time.advance(5_000);
    publish('jobs');
    engine.time.advance(60_000);
    expect(sampler.oldestAgeMs(queue('jobs'))).toBe(60_000);
    peer.session.get('jobs', true, () => undefined);
    expect(sampler.oldestAgeMs(queue('jobs'))).toBe(55_000);
    peer.session.get('jobs', true, () => undefined);
    expect(sampler.oldestAgeMs(queue('jobs'))).toBe(0);
    sampler.close();
  });

  test('a message that comes back has its place, and its age', () => {
    const { engine, sampler, peer, publish, queue } = start();
    engine.declare(peer, 'jobs');
    publish('jobs');
    sampler.start();
    engine.time.advance(20_000);
    publish('jobs');
    let tag = 0;
    peer.session.get('jobs', false, (got) => (tag = got?.tag ?? 0));
    peer.session.reject(tag, true);
    expect(sampler.oldestAgeMs(queue('jobs'))).toBe(20_000);
    sampler.close();
  });

  test('is never too high, at most an eighth too low, and costs at most 16 marks', () => {
    const marks = new EnqueueMarks();
    const bornAt: number[] = [0];
    for (let now = 5_000; now <= 86_400_000; now += 5_000) {
      bornAt.push(now); // seq n came at n * 5 s, and nobody takes any away
      marks.note(bornAt.length, 1, now, 5_000);
      expect(marks.count).toBeLessThanOrEqual(16);
    }
    const now = 86_400_000;
    for (let seq = 1; seq < bornAt.length; seq += 97) {
      const age = now - (bornAt[seq] as number);
      expect(marks.ageMs(seq, now)).toBeLessThanOrEqual(age);
      expect(marks.ageMs(seq, now)).toBeGreaterThanOrEqual(age - now / 8 - 5_000);
    }
  });
});

test('the drain time is what is ready by the pace at which it gets less; Infinity while it does not', () => {
  const { engine, sampler, peer, publish, queue } = start();
  engine.declare(peer, 'jobs');
  publish('jobs', 1_000);
  sampler.start();
  engine.time.advance(5_000);
  expect(sampler.drainMs(queue('jobs'))).toBe(Number.POSITIVE_INFINITY);
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 10; i++) peer.session.get('jobs', true, () => undefined);
    engine.time.advance(5_000);
  }
  expect(queue('jobs').readyCount).toBe(400);
  expect(sampler.drainMs(queue('jobs')) / 1000).toBeCloseTo(200, 0); // two a second
  sampler.close();
});

describe('dead-letter queues', () => {
  test('are those that the dead-letter exchange of another routes to', () => {
    const { engine, peer, queue } = start();
    peer.session.declareExchange({
      exchange: 'dlx',
      type: 'direct',
      durable: true,
      autoDelete: false,
      internal: false,
      passive: false,
      arguments: new Map(),
    });
    for (const name of ['dead', 'other', 'free', 'by-name']) engine.declare(peer, name);
    peer.session.bindQueue('dead', 'dlx', 'dead', new Map());
    peer.session.bindQueue('other', 'dlx', 'other', new Map());
    engine.declare(peer, 'a', [
      ['x-dead-letter-exchange', 'dlx'],
      ['x-dead-letter-routing-key', 'dead'],
    ]);
    engine.declare(peer, 'b', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'by-name'],
    ]);
    engine.declare(peer, 'itself', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'itself'],
    ]);
    expect([...deadLetterQueues(engine.broker)]).toEqual([queue('dead'), queue('by-name')]);
    engine.declare(peer, 'c', [['x-dead-letter-exchange', 'dlx']]); // with each message's own key
    expect(new Set(deadLetterQueues(engine.broker))).toEqual(new Set([queue('dead'), queue('other'), queue('by-name')]));
  });
});

describe('alerts about dead letters', () => {
  function watch(limits: { depth?: number; oldestMs?: number; growthPerMin?: number }) {
    const started = start();
    const { engine, sampler, peer } = started;
    engine.declare(peer, 'dead');
    engine.declare(peer, 'jobs', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'dead'],
    ]);
    const told: Alert[] = [];
    const alerts = new DeadLetterAlerts(engine.broker, sampler, limits, (alert) => told.push(alert));
    sampler.start();
    const look = (): string[] => {
      engine.time.advance(5_000);
      return told.splice(0).map(({ state, queue, passed }) => `${state} ${queue} ${passed.join()}`.trim());
    };
    return { ...started, alerts, look };
  }

  test('a depth that is reached raises once, and clears below four fifths of it', () => {
    const { publish, peer, look, alerts } = watch({ depth: 10 });
    publish('dead', 9);
    expect(look()).toEqual([]);
    publish('dead', 1);
    expect(look()).toEqual(['raised dead depth']);
    expect(alerts.standing).toBe(1);
    expect(look()).toEqual([]);
    for (let i = 0; i < 2; i++) peer.session.get('dead', true, () => undefined);
    expect(look()).toEqual([]); // 8 is no less than four fifths
    publish('dead', 2);
    expect(look()).toEqual([]);
    for (let i = 0; i < 3; i++) peer.session.get('dead', true, () => undefined);
    expect(look()).toEqual(['cleared dead']);
    expect(alerts.standing).toBe(0);
  });

  test('so do an age and a growth within a minute, and another limit raises again', () => {
    const { publish, look } = watch({ oldestMs: 60_000, growthPerMin: 5 });
    publish('dead', 4);
    expect(look()).toEqual([]);
    publish('dead');
    expect(look()).toEqual(['raised dead growthPerMin']);
    const later = Array.from({ length: 14 }, look).flat();
    expect(later).toEqual(['raised dead oldestMs']);
  });

  test('a queue that goes clears its alert, and other queues never raise one', () => {
    const { publish, peer, look } = watch({ depth: 1 });
    publish('jobs', 5);
    publish('dead', 5);
    expect(look()).toEqual(['raised dead depth']);
    peer.session.deleteQueue('dead', false, false);
    expect(look()).toEqual(['cleared dead']);
  });
});
