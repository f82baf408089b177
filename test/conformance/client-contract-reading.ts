// Part of client-contract.ts: workers, loops, batches, gets, and all of it over a connection that is lost.
import { describe, expect, test } from 'vitest';
import { Drop, topology } from '../../client/src/index.ts';
import { failure, type Given, until } from './client-subject.ts';

export function readingContract(of: () => Given): void {
  describe('reading', () => {
    test('a worker acks, retries up to the limit, dead-letters a Drop; nothing is lost', async () => {
      const given = of();
      await given.mq.declareQueue('dead');
      await given.mq.declareQueue('q', {
        arguments: { 'x-delivery-limit': 2, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', ...given.differs.counting },
      });
      const attempts: Record<number, number> = {};
      const acked = new Set<number>();
      const worker = given.mq.queue<number>('q').work({ concurrency: 4 }, async (msg) => {
        attempts[msg.body] = msg.attempt;
        if (msg.body === 3) throw new Drop('three');
        if (msg.body === 5) throw new Error('always');
        if (msg.body === 7 && msg.attempt === 1) throw new Error('once');
        acked.add(msg.body);
      });
      await Promise.all(Array.from({ length: 10 }, (_, n) => given.mq.queue('q').publish(n)));
      await until(async () => acked.size === 8 && (await given.readyIn('dead')) === 2);
      await worker.drain();
      expect(attempts).toMatchObject({ 0: 1, 3: 1, 5: 3, 7: 2 });
      expect((await given.bodiesOf('dead', 2)).sort()).toEqual([3, 5]);
      expect(await given.readyIn('q')).toBe(0);
    });

    test('leaving a loop returns what is unacked at once, to its place', async () => {
      const given = of();
      await given.mq.declareQueue('q');
      for (let n = 0; n < 5; n++) await given.mq.queue('q').publish(n);
      for await (const msg of given.mq.queue('q').consume({ prefetch: 5 })) if (msg.body === 1) break;
      const again: [unknown, number][] = [];
      for await (const msg of given.mq.queue('q').consume({ prefetch: 5 })) {
        again.push([msg.body, msg.attempt]);
        msg.ack();
        if (again.length === 5) break;
      }
      expect(again.map(([body]) => body)).toEqual([0, 1, 2, 3, 4]);
      // What was not handed out is not counted, where the wire can say that.
      if (!given.differs.releasesCount) expect(again.slice(2).map(([, attempt]) => attempt)).toEqual([1, 1, 1]);
    });

    test('each consumer has its own prefetch, and holds up no other', async () => {
      const given = of();
      for (const queue of ['slow', 'quick']) {
        await given.mq.declareQueue(queue);
        for (let n = 0; n < 10; n++) await given.mq.queue(queue).publish(n);
      }
      const slow = given.mq.queue('slow').consume({ prefetch: 2 });
      await slow.next();
      await until(async () => (await given.readyIn('slow')) === 8);
      expect(await given.bodiesOf('quick', 10)).toHaveLength(10);
      expect(await given.readyIn('slow')).toBe(8);
      await slow.cancel();
      await until(async () => (await given.readyIn('slow')) === 10);
    });

    test('a consumer whose queue is not there, is taken, or goes, says so, and no other is touched', async () => {
      const given = of();
      await given.mq.declareQueue('mine');
      await given.mq.declareQueue('other');
      const other = given.mq.queue('other').consume();
      const mine = given.mq.queue('mine').consume({ exclusive: true });
      await until(async () => (await given.mq.declareQueue('mine', { passive: true })).consumerCount === 1);
      expect((await failure(given.mq.queue('nowhere').consume().next())).code).toBe('NOT_FOUND');
      expect((await failure(given.mq.queue('mine').consume().next())).code).toBe('ACCESS_REFUSED');
      await given.mq.queue('mine').delete();
      expect((await failure(mine.next())).code).toBe('NOT_FOUND');
      await given.mq.queue('other').publish('still');
      expect((await other.next()).value?.body).toBe('still');
      await other.cancel();
    });

    test('batches, and messages got by hand, are settled one by one', async () => {
      const given = of();
      await given.mq.declareQueue('q');
      for (let n = 0; n < 7; n++) await given.mq.queue('q').publish(n);
      for await (const batch of given.mq.queue('q').batches({ size: 5, within: '1m' })) {
        expect(batch.messages.map(({ body }) => body)).toEqual([0, 1, 2, 3, 4]);
        batch.ack();
        break;
      }
      await until(async () => (await given.readyIn('q')) === 2);
      const five = await given.mq.queue('q').get();
      const six = await given.mq.queue('q').get();
      expect([five?.body, six?.body, await given.mq.queue('q').get()]).toEqual([5, 6, undefined]);
      expect((await failure(given.mq.queue('nowhere').get())).code).toBe('NOT_FOUND'); // and the two above are still held
      expect([five?.reject({ requeue: true }), six?.ack(), six?.ack()]).toEqual([true, true, false]);
      await until(async () => (await given.readyIn('q')) === 1);
      const again = await given.mq.queue('q').get({ noAck: true });
      expect([again?.body, again?.redelivered, (again?.attempt ?? 0) > 1, again?.ack()]).toEqual([5, true, true, false]);
      expect(await given.readyIn('q')).toBe(0);
    });

    test('a lost connection comes back with its topology, its consumers and its publishes', async () => {
      const given = of();
      const topo = topology({ queues: { mine: { exclusive: true, durable: false }, kept: {} } });
      const { mq: torn, tear, links } = await given.room.connectTorn({ topology: topo, reconnect: { min: 1, max: 20 } });
      const seen = new Set<unknown>();
      torn.queue('kept').work({ concurrency: 10 }, (msg) => void seen.add(msg.body));
      const publishes: Promise<unknown>[] = [];
      for (let n = 0; n < 300; n++) {
        publishes.push(torn.queue('kept').publish(n, { id: String(n) }));
        if (n % 100 === 50) {
          await new Promise((resolve) => setImmediate(resolve));
          tear();
        }
      }
      await Promise.all(publishes);
      await until(() => seen.size === 300);
      expect((await failure(given.mq.queue('mine').get())).code).toBe('RESOURCE_LOCKED');
      expect(links()).toBeGreaterThan(1);
      await torn.drain();
    });
  });
}
