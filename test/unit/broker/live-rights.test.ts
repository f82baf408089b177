// Rights that go while somebody reads: the consumers that needed them end, in both protocols, and no others.
import { describe, expect, test } from 'vitest';
import type { Login } from '../../../server/broker/login.ts';
import type { Users } from '../../../server/broker/users.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { AmqpPeer } from '../../support/amqp-peer.ts';
import { TestBroker } from '../../support/broker.ts';
import { Engine } from '../../support/engine.ts';

const ALL = { configure: '.*', write: '.*', read: '.*' };
const CANCEL_NOTIFY = new Map([['consumer_cancel_notify', true]]);

/** Whoever is a user comes in, with any password. */
function usersOf(users: () => Users): Login {
  return {
    check: (user, _password, _remote, done) => done(users().account(user) ?? new AmqpError(ReplyCode.AccessRefused, 'login was refused')),
    certified: () => {
      throw new Error('nobody comes with a certificate');
    },
  };
}

function addUser(users: Users, name: string): void {
  users.put(name, { passwordHash: '', hashingAlgorithm: '', tags: [] });
  users.setPermissions(name, '/', ALL);
}

describe('over AMQP', () => {
  function start(): { engine: Engine; peer: AmqpPeer } {
    const engine = new Engine();
    const { users } = engine.broker;
    addUser(users, 'guest');
    const peer = AmqpPeer.open(engine, { login: usersOf(() => users), capabilities: CANCEL_NOTIFY });
    for (const queue of ['orders', 'stock']) {
      peer.declare(1, queue);
      peer.consume(1, queue);
    }
    peer.publish(1, 'orders', 'held');
    peer.names();
    return { engine, peer };
  }
  const countOf = (engine: Engine, queue: string) => engine.broker.vhost('/')?.queues.get(queue)?.consumerCount;

  test('a permission that does not cover a queue any more ends its consumers, which settle what they hold', () => {
    const { engine, peer } = start();
    engine.broker.users.setPermissions('guest', '/', { ...ALL, read: '^stock$' });
    engine.time.settle();
    expect(peer.methods.map(({ channel, method }) => ({ channel, method }))).toMatchObject([
      { channel: 1, method: { name: 'basic.cancel', fields: { consumerTag: 'orders', nowait: true } } },
    ]);
    expect([countOf(engine, 'orders'), countOf(engine, 'stock')]).toEqual([0, 1]);
    peer.publish(1, 'orders', 'nobody gets this');
    peer.publish(1, 'stock', 'goes on');
    expect(peer.bodies).toEqual(['held', 'goes on']);
    peer.send(1, 'basic.ack', { deliveryTag: 1, multiple: false });
    expect(engine.broker.vhost('/')?.queues.get('orders')).toMatchObject({ unackedCount: 0, readyCount: 1 });
    expect(peer.errors).toEqual([]);
  });

  test('permissions that are cleared end all consumers of the user, in that vhost alone, and of nobody else', () => {
    const { engine, peer } = start();
    const { users, vhosts } = engine.broker;
    vhosts.put('shop', {});
    users.setPermissions('guest', 'shop', ALL);
    addUser(users, 'other');
    const account = users.account('other');
    if (account === undefined) throw new Error('no account');
    const other = engine.connect(account);
    engine.consume(other, 'orders');
    users.clearPermissions('guest', 'shop');
    engine.time.settle();
    expect(peer.names()).toEqual([]);
    users.clearPermissions('guest', '/');
    engine.time.settle();
    expect(peer.names()).toEqual(['1 basic.cancel', '1 basic.cancel']);
    expect([countOf(engine, 'orders'), other.sink.cancels]).toEqual([1, []]);
  });

  test('a right that goes beside read, or one that comes, ends nothing; replies to requests need none', () => {
    const { engine, peer } = start();
    peer.consume(1, 'amq.rabbitmq.reply-to', true, 'replies');
    peer.names();
    const { users } = engine.broker;
    users.setPermissions('guest', '/', { ...ALL, configure: '', write: '' });
    users.setPermissions('guest', '/', { configure: '', write: '', read: '^(orders|stock)$' });
    users.setTopicPermissions('guest', '/', 'amq.topic', { write: '', read: '' });
    users.put('guest', { passwordHash: '', hashingAlgorithm: '', tags: ['management'] });
    engine.time.settle();
    expect(peer.names()).toEqual([]);
    expect([countOf(engine, 'orders'), countOf(engine, 'stock')]).toEqual([1, 1]);
  });
});

test('over leveret.v1: consumers and taps are cancelled with a reason, a tap also when its keys are closed to it', async () => {
  const broker: TestBroker = new TestBroker({ login: usersOf(() => broker.users) });
  addUser(broker.users, 'guest');
  const session = await broker.connect({ user: 'guest' });
  await session.declare('orders');
  const consumer = await session.consume('orders');
  const [narrow, wide] = [await session.tap('amq.topic', 'a.#'), await session.tap('amq.topic', '#')];
  broker.users.setTopicPermissions('guest', '/', 'amq.topic', { write: '.*', read: '^a\\.' });
  await broker.idle();
  expect([narrow.cancelled, wide.cancelled]).toEqual([[], ['access refused']]);
  broker.users.setPermissions('guest', '/', { ...ALL, read: '^amq' });
  await broker.idle();
  expect([consumer.cancelled, narrow.cancelled]).toEqual([['access refused'], []]);
  broker.users.setPermissions('guest', '/', { ...ALL, read: '' });
  await broker.idle();
  expect(narrow.cancelled).toEqual(['access refused']);
  broker.users.setPermissions('guest', '/', ALL);
  await session.cancel(consumer);
  const again = await session.consume('orders');
  await session.send('orders', 'back');
  await broker.idle();
  expect(again.bodies).toEqual(['back']);
  await session.ack(1);
  addUser(broker.users, 'observer');
  expect(await broker.end()).toEqual([]);
});
