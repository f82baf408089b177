// The small parts of the AMQP benchmark: addresses, schedules, shares, stamps and figures.

import { expect, test } from 'vitest';
import { parseAddress } from '../../../server/cli/amqp-bench/address.ts';
import { Latency } from '../../../server/cli/amqp-bench/latency.ts';
import { queuesOf, shareOf } from '../../../server/cli/amqp-bench/plan.ts';
import { Schedule, Ticker } from '../../../server/cli/amqp-bench/schedule.ts';
import { isStamp, nowUs } from '../../../server/cli/amqp-bench/stamp.ts';

test.each([
  ['amqp://host', { host: 'host', port: 5672, isTls: false, user: 'guest', password: 'guest', vhost: '/' }],
  ['amqps://host/', { port: 5671, isTls: true, vhost: '/' }],
  ['amqp://ann:p%40ss@[::1]:1234/%2Fprod', { host: '::1', port: 1234, user: 'ann', password: 'p@ss', vhost: '/prod' }],
  ['amqp://ann@host', { user: 'ann', password: '' }],
])('%s is understood', (url, expected) => expect(parseAddress(url)).toMatchObject(expected));

test('a vhost given apart wins, and what is shown holds no password', () => {
  expect(parseAddress('amqp://ann:secret@host/one', 'two')).toMatchObject({ vhost: 'two', shown: 'amqp://host:5672' });
});

test.each(['amqp://', 'amqp://host:99999', 'amqp://ann:%zz@host'])('%s is refused, without what may be a password', (url) => {
  expect(() => parseAddress(url)).toThrow(/^--url is like amqp:/);
  expect(() => parseAddress(url.replace('://', '://bob:secret@'))).not.toThrow(/secret/);
});

test('of a rate, every message has its own time, late or not', () => {
  const schedule = new Schedule(1_000, 2_000);
  expect([999, 1_000, 1_499, 1_500, 11_000].map((now) => schedule.dueCount(now))).toEqual([0, 1, 1, 2, 21]);
  expect([0, 1, 20].map((index) => schedule.dueUs(index))).toEqual([1_000, 1_500, 11_000]);
});

test('a ticker ticks until it is stopped', async () => {
  let ticker: Ticker | undefined;
  await new Promise<void>((resolve) => {
    let ticks = 0;
    ticker = new Ticker(nowUs(), 1_000, () => {
      if (++ticks === 5) resolve();
    });
  });
  await ticker?.stop();
});

test('limits and queues are shared out whole', () => {
  expect([0, 1, 2].map((index) => shareOf(10, index, 3))).toEqual([4, 3, 3]);
  expect(shareOf(0, 0, 3)).toBe(Number.POSITIVE_INFINITY);
  const queues = ['a', 'b', 'c', 'd', 'e'];
  expect([0, 1].map((index) => queuesOf({ queues, consumers: 2 }, index))).toEqual([
    ['a', 'c', 'e'],
    ['b', 'd'],
  ]);
  expect([0, 1, 2].map((index) => queuesOf({ queues: ['a', 'b'], consumers: 3 }, index))).toEqual([['a'], ['b'], ['a']]);
});

test("the clock is the machine's, so that another process can tell how old a message is", () => {
  const machineUs = (): number => Number(process.hrtime.bigint()) / 1e3;
  for (let i = 0; i < 100; i++) {
    const before = machineUs();
    const now = nowUs();
    const after = machineUs();
    expect(now).toBeGreaterThan(before - 50);
    expect(now).toBeLessThan(after + 50);
  }
});

test('the body of a message that somebody else wrote is no time', () => {
  const now = nowUs();
  expect(isStamp(now - 1_000, now)).toBe(true);
  for (const stamp of [0, now + 1, now - 3_601e6, Number.NaN, Buffer.from('{"hello"').readDoubleBE(0)])
    expect(isStamp(stamp, now)).toBe(false);
});

test('latencies are percentiles, from a microsecond to a minute', () => {
  const latency = new Latency();
  for (let us = 1; us <= 1_000; us++) latency.record(us);
  expect(latency.figures()).toEqual({ p50: 500, p90: 900, p99: 990, 'p99.9': 999, mean: 500.5, max: 1_000 });
  latency.reset();
  for (const us of [-1, 0, 1e12]) latency.record(us);
  expect(latency.count).toBe(3);
  expect(latency.toString()).toContain('p50 1 us');
});
