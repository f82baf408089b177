// What the compiler knows from a topology: bodies by exchange, key and queue. The assertions are the types; running them only shows that they compiled.
import { expectTypeOf, test } from 'vitest';
import { type Connection, type Matches, topology, type } from '../../../client/src/index.ts';

interface Order {
  id: string;
  total: number;
}
interface Refund {
  order: string;
}

const shop = topology({
  exchanges: {
    orders: { type: 'topic', messages: { 'order.created': type<Order>(), 'refund.eu.done': type<Refund>() } },
    ticks: { type: 'fanout', messages: { '#': type<number>() } },
  },
  queues: {
    billing: { from: 'orders', keys: ['order.*'] },
    refunds: { from: 'orders', keys: ['refund.#'] },
    all: { from: 'orders', keys: ['#'] },
    clock: { from: 'ticks' },
    own: { message: type<{ own: true }>() },
    plain: {},
  },
});
// Never called: only its type is looked at.
const use = (mq: Connection<typeof shop>) => {
  const orders = mq.exchange('orders');
  expectTypeOf(orders.publish<'order.created'>)
    .parameter(1)
    .toEqualTypeOf<Order>();
  expectTypeOf(orders.publish<'refund.eu.done'>)
    .parameter(1)
    .toEqualTypeOf<Refund>();
  expectTypeOf(orders.publish<'other'>)
    .parameter(1)
    .toEqualTypeOf<unknown>();
  // @ts-expect-error a total is a number
  orders.publish('order.created', { id: '1', total: 'much' });
  expectTypeOf(mq.exchange('ticks').publish<'any.key'>)
    .parameter(1)
    .toEqualTypeOf<number>();
  expectTypeOf(mq.queue('billing').publish).parameter(0).toEqualTypeOf<Order>();
  expectTypeOf(mq.queue('refunds').publish).parameter(0).toEqualTypeOf<Refund>();
  expectTypeOf(mq.queue('all').publish).parameter(0).toEqualTypeOf<Order | Refund>();
  expectTypeOf(mq.queue('clock').publish).parameter(0).toEqualTypeOf<number>();
  expectTypeOf(mq.queue('own').publish).parameter(0).toEqualTypeOf<{ own: true }>();
  expectTypeOf(mq.queue('plain').publish).parameter(0).toEqualTypeOf<unknown>();
  expectTypeOf(mq.queue<Refund>('plain').publish).parameter(0).toEqualTypeOf<Refund>();
  mq.queue('billing').work({}, (msg) => expectTypeOf(msg.body).toEqualTypeOf<Order>());
};

test('bodies are typed by exchange, key and queue', () => {
  expectTypeOf(use).toBeFunction();
});

test('keys match patterns as the broker matches them', () => {
  expectTypeOf<
    [
      Matches<'a.b', 'a.b'>,
      Matches<'a.b', 'a.*'>,
      Matches<'a', 'a.#'>,
      Matches<'a.b.c', 'a.#'>,
      Matches<'a.b.c', '#.c'>,
      Matches<'a.b.c', '*.*.*'>,
      Matches<'a.b.c', '#.b.#'>,
    ]
  >().toEqualTypeOf<[true, true, true, true, true, true, true]>();
  expectTypeOf<
    [Matches<'a.b', 'a'>, Matches<'a', 'a.*'>, Matches<'a.b.c', 'a.*'>, Matches<'b', '#.a'>, Matches<'a.b', '*'>]
  >().toEqualTypeOf<[false, false, false, false, false]>();
});

test('a Standard Schema of another library gives its input type', () => {
  interface Foreign {
    '~standard': {
      version: 1;
      vendor: 'other';
      validate: (value: unknown) => unknown;
      types?: { input: { when: string }; output: { when: Date } };
    };
  }
  const foreign: Foreign = { '~standard': { version: 1, vendor: 'other', validate: (value) => value } };
  const spec = topology({ exchanges: { e: { messages: { k: foreign } } } });
  const useForeign = (mq: Connection<typeof spec>) =>
    expectTypeOf(mq.exchange('e').publish<'k'>)
      .parameter(1)
      .toEqualTypeOf<{ when: string }>();
  expectTypeOf(useForeign).toBeFunction();
});
