// What leveret-client promises its users, end to end, whatever wire is beneath it and whatever broker answers: one suite, run for each subject.
// Always: (1) each test has a broker, or a vhost, of its own; (2) nothing is left out in silence: see client-subject.ts.
// Refuses: to know how a subject connects.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { publishingContract } from './client-contract-publishing.ts';
import { readingContract } from './client-contract-reading.ts';
import { topologyContract } from './client-contract-topology.ts';
import { failure, Given, type Subject, until } from './client-subject.ts';

export function clientContract({ name, start, room: enter, differs }: Subject): void {
  let given: Given;
  let end: () => Promise<void>;

  describe(name, () => {
    beforeAll(async () => {
      end = await start();
    });
    afterAll(() => end());
    beforeEach(async () => {
      const room = await enter();
      given = new Given(differs, room, await room.connect());
    });
    afterEach(async () => {
      await given.mq.close();
      await given.room.close();
    });

    topologyContract(() => given, differs.counting);
    publishingContract(() => given);
    readingContract(() => given);

    test('a tap sees what passes, and statistics are pushed; or it is said that they cannot be', async () => {
      const tap = given.mq.exchange('amq.topic').subscribe('order.*');
      const stats = given.mq.stats({ queues: 'no*', every: 100 });
      if (given.differs.unwatched) {
        expect(await failure(tap.next())).toMatchObject({ code: 'UNSUPPORTED', retryable: false, hint: expect.stringContaining('queue') });
        expect((await failure(stats.next())).code).toBe('UNSUPPORTED');
        return;
      }
      await given.mq.exchange('amq.topic').publish('order.created', { n: 1 }, { unroutable: 'ignore' });
      expect((await tap.next()).value?.body).toEqual({ n: 1 });
      await tap.cancel();
      expect((await stats.next()).value).toMatchObject({ ready: 0, queues: [] });
      await stats.cancel();
    });

    test('requests are answered, or it is said that nobody is there', async () => {
      const service = await given.mq.serve<number>('double', (msg) => {
        if (msg.body < 0) throw new Error('negative');
        return msg.body * 2;
      });
      const other = await given.room.connect();
      expect(await Promise.all([1, 2, 3].map((n) => other.request<number>('double', n)))).toEqual([2, 4, 6]);
      expect(await given.mq.request<number>('double', 7)).toBe(14);
      await expect(given.mq.request('double', -1)).rejects.toMatchObject({ code: 'REMOTE', reason: 'negative' });
      await service.drain();
      await expect(given.mq.request('double', 1)).rejects.toMatchObject({ code: 'NOBODY_ANSWERS' });
      await other.close();
    });

    test('drain finishes what runs, and confirms what was published', async () => {
      await given.mq.declareQueue('q');
      await given.mq.queue('q').publish('one');
      await given.mq.queue('q').publish('two');
      const own = await given.room.connect();
      let finish = (): void => undefined;
      let running = 0;
      own.queue('q').work({ concurrency: 1, prefetch: 2 }, () => {
        running++;
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      });
      await until(() => running === 1);
      const published = own.queue('q').publish('three');
      const drained = own.drain();
      finish();
      await drained;
      await published;
      expect(await given.bodiesOf('q', 2)).toEqual(['two', 'three']);
    });
  });
}
