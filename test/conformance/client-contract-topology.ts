// Part of client-contract.ts: what is declared, and what single operations are answered.
import { describe, expect, test } from 'vitest';
import { type Arguments, topology, type } from '../../client/src/index.ts';
import { failure, type Given, until } from './client-subject.ts';

export function topologyContract(of: () => Given, counting: Arguments = {}): void {
  describe('topology', () => {
    const shop = topology({
      exchanges: {
        orders: { type: 'topic', alternate: 'lost', messages: { 'order.created': type<{ id: string; total: number }>() } },
        lost: { type: 'fanout' },
        reports: { type: 'headers' },
        all: { bindings: [{ from: 'orders', keys: ['#'] }], type: 'fanout' },
      },
      queues: {
        billing: { from: 'orders', keys: ['order.*'], maxPriority: 10, deadLetter: 'billing.dead' },
        counted: { deliveryLimit: 2, arguments: counting },
        pdfs: { from: 'reports', match: { 'x-match': 'all', format: 'pdf' } },
        everything: { from: 'all' },
        unrouted: { from: 'lost' },
      },
    });

    test('is declared whole, and routes as it says', async () => {
      const given = of();
      const shopMq = await given.room.connect({ topology: shop });
      given.expectRouted(await shopMq.exchange('orders').publish('order.created', { id: '1', total: 2 }), 2);
      given.expectRouted(await shopMq.exchange('reports').publish('', 'a', { headers: { format: 'pdf' } }), 1);
      await expect(shopMq.exchange('reports').publish('', 'a', { headers: { format: 'txt' } })).rejects.toMatchObject({
        code: 'NO_ROUTE',
      });
      expect([
        await given.readyIn('billing'),
        await given.readyIn('everything'),
        await given.readyIn('pdfs'),
        await given.readyIn('unrouted'),
      ]).toEqual([1, 1, 1, 0]);
      const created = await shopMq.queue('billing').get();
      expect(created?.body.total).toBe(2);
      created?.reject();
      await until(async () => (await given.readyIn('billing.dead')) === 1);
      await shopMq.drain();
    });

    test('that given.differs is refused with a diff, and with nothing changed', async () => {
      const given = of();
      await (await given.room.connect({ topology: shop })).close();
      const other = topology({
        exchanges: { orders: { type: 'direct' } },
        queues: { billing: { maxPriority: 5, deadLetter: 'billing.dead' } },
      });
      const error = await failure(given.room.connect({ topology: other }));
      expect(error).toMatchObject({ code: 'PRECONDITION_FAILED', replyCode: 406 });
      expect(error.reason).toContain("exchange orders\n  - type: 'topic'\n  + type: 'direct'");
      if (given.differs.uninspected)
        expect(error.reason).toMatch(/queue billing\n {2}- x-max-priority: .*10.*\n {2}\+ x-max-priority: .*5/);
      else expect(error.reason).toContain('queue billing\n  - x-max-priority: 10\n  + x-max-priority: 5');
      await (await given.room.connect({ topology: shop })).close();
    });
  });

  describe('operations', () => {
    test('asked all at once get each its own answer', async () => {
      const given = of();
      const asked = [
        given.mq.queue('nowhere').purge(),
        given.mq.declareQueue('a', { durable: false }),
        given.mq.bindQueue('a', 'nowhere', 'k'),
        given.mq.declareQueue('a', { durable: true }),
        given.mq.declareQueue('b'),
        given.mq.declareExchange('amq.own'),
        given.mq.bindQueue('b', 'amq.topic', 'k'),
        given.mq.queue('nowhere').delete(),
      ];
      const answers = (await Promise.allSettled(asked)).map((each) => (each.status === 'rejected' ? each.reason.code : each.value));
      expect(answers).toEqual([
        'NOT_FOUND',
        { queue: 'a', messageCount: 0, consumerCount: 0 },
        'NOT_FOUND',
        'PRECONDITION_FAILED',
        { queue: 'b', messageCount: 0, consumerCount: 0 },
        'ACCESS_REFUSED',
        undefined,
        0,
      ]);
      given.expectRouted(await given.mq.exchange('amq.topic').publish('k', 1), 1);
      expect(given.mq.state).toBe('open');
    });

    test('bindings are by their arguments too; what is taken away routes no more', async () => {
      const given = of();
      await given.mq.declareExchange('in', { type: 'headers' });
      await given.mq.declareExchange('out', { type: 'fanout', durable: false });
      const { queue } = await given.mq.declareQueue('', { exclusive: true });
      await given.mq.bindExchange('out', 'in', '', { 'x-match': 'any', n: 1, at: { $amqp: 'T', value: 5 } });
      await given.mq.bindQueue(queue, 'out');
      given.expectRouted(await given.mq.exchange('in').publish('', 'a', { headers: { n: 1 } }), 1);
      given.expectRouted(await given.mq.exchange('in').publish('', 'b', { headers: { at: new Date(5_000) } }), 1);
      given.expectRouted(await given.mq.exchange('in').publish('', 'c', { headers: { n: 2 }, unroutable: 'ignore' }), 0);
      await given.mq.unbindExchange('out', 'in', '', { 'x-match': 'any', n: 1, at: { $amqp: 'T', value: 5 } });
      expect((await failure(given.mq.exchange('in').publish('', 'd', { headers: { n: 1 } }))).code).toBe('NO_ROUTE');
      expect(await given.mq.queue(queue).purge()).toBe(2);
      await given.mq.deleteExchange('out');
      expect(await given.mq.queue(queue).delete()).toBe(0);
    });
  });
}
