// Part of client-contract.ts: what becomes of a publish.
import { describe, expect, test } from 'vitest';
import type { Message } from '../../client/src/index.ts';
import { type Given, until } from './client-subject.ts';

export function publishingContract(of: () => Given): void {
  describe('publishing', () => {
    test('any body, with any header, comes back as it was', async () => {
      const given = of();
      await given.mq.declareQueue('q');
      const headers = {
        text: 'ä',
        int: -5,
        big: 2 ** 40,
        huge: 2n ** 60n,
        real: 1.5,
        yes: true,
        no: null,
        at: new Date(1_700_000_000_000),
        raw: Uint8Array.of(0, 255),
        list: [1, 'two', [3]],
        deep: { a: { b: 1 } },
      };
      const bodies = [{ a: 1 }, 'text', '', Uint8Array.of(0, 254), null, 'x'.repeat(20_000), new Uint8Array(700_000).fill(7)];
      const options = { id: 'm', priority: 3, type: 't', correlationId: 'c', ttl: '1h', timestamp: new Date(5_000) } as const;
      for (const body of bodies) await given.mq.queue('q').publish(body, { headers, ...options });
      const seen: Message[] = [];
      for await (const msg of given.mq.queue('q').consume()) {
        seen.push(msg);
        msg.ack();
        if (seen.length === bodies.length) break;
      }
      // Large ones by their bytes: comparing them element by element takes seconds.
      const seenBodies = seen.map(({ body }) => (body instanceof Uint8Array ? Buffer.from(body).toString('base64') : body));
      expect(seenBodies).toEqual(bodies.map((body) => (body instanceof Uint8Array ? Buffer.from(body).toString('base64') : body)));
      for (const msg of seen) {
        expect({ ...msg.headers, deep: { ...(msg.headers['deep'] as object) } }).toMatchObject({ ...headers, deep: {} });
        expect(msg.properties).toMatchObject({
          messageId: 'm',
          priority: 3,
          type: 't',
          correlationId: 'c',
          expiration: '3600000',
          timestamp: 5,
          deliveryMode: 2,
        });
        expect([msg.key, msg.exchange, msg.attempt]).toEqual(['q', '', 1]);
      }
      expect(new Set(seen.map(({ id }) => id)).size).toBe(bodies.length);
    });

    test('ten megabytes come back as they were, and a megabyte got by hand', async () => {
      const given = of();
      await given.mq.declareQueue('big');
      const body = Buffer.alloc(10_000_000);
      for (let n = 0; n < body.length; n++) body[n] = (n * 31) >>> 3;
      await given.mq.queue('big').publish(body);
      const [read] = await given.bodiesOf('big', 1);
      expect(body.equals(read as Uint8Array)).toBe(true);
      const part = body.subarray(0, 1_000_000);
      await given.mq.queue('big').publish(part);
      const got = await given.mq.queue('big').get();
      expect(part.equals(got?.body as Uint8Array)).toBe(true);
      expect(got?.ack()).toBe(true);
    });

    test('a thousand at a time, all confirmed, in order', async () => {
      const given = of();
      await given.mq.declareQueue('q');
      const q = given.mq.queue<number>('q');
      for (let round = 0; round < 3; round++)
        await Promise.all(Array.from({ length: 1_000 }, (_, n) => q.publish(round * 1_000 + n, { persistent: false })));
      const seen: number[] = [];
      for await (const msg of q.consume({ prefetch: 300 })) {
        seen.push(msg.body);
        msg.ack();
        if (seen.length === 3_000) break;
      }
      expect(seen).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
    });

    test('to an exchange that is not there, above a limit, or into a full queue: that publish alone is refused', async () => {
      const given = of();
      await given.mq.declareQueue('full', { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
      const results = await Promise.allSettled([
        given.mq.exchange('nowhere').publish('k', 1),
        given.mq.queue('full').publish(1),
        given.mq.queue('full').publish(2),
        given.mq.queue('full').publish(new Uint8Array(17_000_000)),
      ]);
      expect(results.map((result) => (result.status === 'fulfilled' ? 'stored' : result.reason.code))).toEqual([
        'NOT_FOUND',
        'stored',
        given.differs.overflow ?? 'CONTENT_TOO_LARGE',
        'PRECONDITION_FAILED',
      ]);
      expect(given.mq.state).toBe('open');
    });

    test('to many keys of one exchange: each is told whether a queue took it', async () => {
      const given = of();
      await given.mq.declareQueue('even');
      for (let n = 0; n < 40; n += 2) await given.mq.bindQueue('even', 'amq.direct', `k${n}`);
      const results = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => given.mq.exchange('amq.direct').publish(`k${n}`, n)));
      expect(results.map((result) => (result.status === 'fulfilled' ? 'stored' : result.reason.code))).toEqual(
        Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? 'stored' : 'NO_ROUTE')),
      );
      expect(await given.bodiesOf('even', 20)).toEqual(Array.from({ length: 20 }, (_, n) => n * 2));
    });

    test('without confirms it is sent, and what fails is a fault', async () => {
      const given = of();
      await given.mq.declareQueue('q');
      await given.mq.queue('q').publish('a', { confirm: 'none' });
      await until(async () => (await given.readyIn('q')) === 1);
      await given.mq.exchange('amq.topic').publish('nobody', 'b', { confirm: 'none' });
      await until(() => given.faults.length === 1);
      expect(given.faults[0]?.code).toBe('NO_ROUTE');
      await given.mq.exchange('nowhere').publish('k', 'c', { confirm: 'none' });
      await until(() => given.faults.length === 2);
      expect(given.faults[1]?.code).toBe('NOT_FOUND');
    });
  });
}
