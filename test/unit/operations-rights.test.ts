// Every operation of both protocols, as a user without any right: what it is refused, or why nothing has to be asked. One that is new, and is in no table here, fails.
import { describe, expect, test } from 'vitest';
import { NEEDED, type Operation } from '../../server/broker/authorise.ts';
import { type Login, trustedAccount } from '../../server/broker/login.ts';
import type { Users } from '../../server/broker/users.ts';
import type { MethodFields } from '../../shared/amqp/methods.ts';
import { METHODS, type MethodName } from '../../shared/amqp/spec.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { OperationName, Request } from '../../shared/protocol/control.ts';
import { schemas } from '../../shared/protocol/schemas.ts';
import { AmqpPeer } from '../support/amqp-peer.ts';
import { TestBroker } from '../support/broker.ts';
import { Engine } from '../support/engine.ts';

/** Why nothing has to be asked. */
type Own =
  | 'login' // openSession asks for a right in the vhost
  | 'what is its own' // consumers, publishers, deliveries, transactions and subscriptions of this very session
  | 'nothing' // no object of the broker
  | 'the server sends it';

/** What authorise() is asked, and the fields to ask it with. */
type Asked<Fields> = readonly [Operation | readonly Operation[], Fields];

const NATIVE: { readonly [Name in OperationName]: Own | Asked<Request<Name>> } = {
  hello: 'login',
  ping: 'nothing',
  'update-secret': 'login',
  'exchange.declare': [['exchange.declare', 'exchange.declare alternate', 'exchange.inspect'], { exchange: 'n' }],
  'exchange.delete': ['exchange.delete', { exchange: 'x' }],
  'exchange.bind': ['exchange.bind', { destination: 'y', source: 'x' }],
  'exchange.unbind': ['exchange.unbind', { destination: 'y', source: 'x' }],
  'queue.declare': [['queue.declare', 'queue.declare dead-letter', 'queue.inspect'], { queue: 'n' }],
  'queue.inspect': ['queue.inspect', { queue: 'q' }],
  'queue.bind': ['queue.bind', { queue: 'q', exchange: 'x' }],
  'queue.unbind': ['queue.unbind', { queue: 'q', exchange: 'x' }],
  'queue.purge': ['queue.purge', { queue: 'q' }],
  'queue.delete': ['queue.delete', { queue: 'q' }],
  'publisher.open': 'nothing', // each publish is asked about
  'publisher.close': 'what is its own',
  publish: ['basic.publish', { exchange: 'x', body: '' }],
  consume: ['basic.consume', { handle: 1, queue: 'q' }],
  'consumer.cancel': 'what is its own',
  credit: 'what is its own',
  qos: 'what is its own',
  ack: 'what is its own',
  nack: 'what is its own',
  reject: 'what is its own',
  release: 'what is its own',
  recover: 'what is its own',
  get: ['basic.get', { queue: 'q' }],
  'tap.open': ['tap.open', { handle: 1, exchange: 'x' }],
  'tap.close': 'what is its own',
  stats: ['stats', {}],
  'stats.open': ['stats', { handle: 1 }],
  'stats.close': 'what is its own',
};

const declaring = { passive: false, durable: false, autoDelete: false, nowait: false, arguments: new Map() };
const binding = { routingKey: '', nowait: false, arguments: new Map() };

const AMQP: { readonly [Name in MethodName]: Own | Asked<MethodFields<Name>> } = {
  'connection.start': 'the server sends it',
  'connection.start-ok': 'login',
  'connection.secure': 'the server sends it',
  'connection.secure-ok': 'login',
  'connection.tune': 'the server sends it',
  'connection.tune-ok': 'login',
  'connection.open': 'login',
  'connection.open-ok': 'the server sends it',
  'connection.close': 'what is its own',
  'connection.close-ok': 'what is its own',
  'connection.blocked': 'the server sends it',
  'connection.unblocked': 'the server sends it',
  'connection.update-secret': 'login',
  'connection.update-secret-ok': 'the server sends it',
  'channel.open': 'what is its own',
  'channel.open-ok': 'the server sends it',
  'channel.flow': 'what is its own',
  'channel.flow-ok': 'what is its own',
  'channel.close': 'what is its own',
  'channel.close-ok': 'what is its own',
  'access.request': 'nothing',
  'access.request-ok': 'the server sends it',
  'exchange.declare': [
    ['exchange.declare', 'exchange.declare alternate', 'exchange.inspect'],
    { ...declaring, exchange: 'n', type: 'direct', internal: false },
  ],
  'exchange.declare-ok': 'the server sends it',
  'exchange.delete': ['exchange.delete', { exchange: 'x', ifUnused: false, nowait: false }],
  'exchange.delete-ok': 'the server sends it',
  'exchange.bind': ['exchange.bind', { ...binding, destination: 'y', source: 'x' }],
  'exchange.bind-ok': 'the server sends it',
  'exchange.unbind': ['exchange.unbind', { ...binding, destination: 'y', source: 'x' }],
  'exchange.unbind-ok': 'the server sends it',
  'queue.declare': [['queue.declare', 'queue.declare dead-letter', 'queue.inspect'], { ...declaring, queue: 'n', exclusive: false }],
  'queue.declare-ok': 'the server sends it',
  'queue.bind': ['queue.bind', { ...binding, queue: 'q', exchange: 'x' }],
  'queue.bind-ok': 'the server sends it',
  'queue.purge': ['queue.purge', { queue: 'q', nowait: false }],
  'queue.purge-ok': 'the server sends it',
  'queue.delete': ['queue.delete', { queue: 'q', ifUnused: false, ifEmpty: false, nowait: false }],
  'queue.delete-ok': 'the server sends it',
  'queue.unbind': ['queue.unbind', { queue: 'q', exchange: 'x', routingKey: '', arguments: new Map() }],
  'queue.unbind-ok': 'the server sends it',
  'basic.qos': 'what is its own',
  'basic.qos-ok': 'the server sends it',
  'basic.consume': [
    'basic.consume',
    { queue: 'q', consumerTag: '', noLocal: false, noAck: false, exclusive: false, nowait: false, arguments: new Map() },
  ],
  'basic.consume-ok': 'the server sends it',
  'basic.cancel': 'what is its own',
  'basic.cancel-ok': 'the server sends it',
  'basic.publish': ['basic.publish', { exchange: 'x', routingKey: '', mandatory: false, immediate: false }],
  'basic.return': 'the server sends it',
  'basic.deliver': 'the server sends it',
  'basic.get': ['basic.get', { queue: 'q', noAck: false }],
  'basic.get-ok': 'the server sends it',
  'basic.get-empty': 'the server sends it',
  'basic.ack': 'what is its own',
  'basic.reject': 'what is its own',
  'basic.recover-async': 'what is its own',
  'basic.recover': 'what is its own',
  'basic.recover-ok': 'the server sends it',
  'basic.nack': 'what is its own',
  'confirm.select': 'what is its own',
  'confirm.select-ok': 'the server sends it',
  'tx.select': 'what is its own',
  'tx.select-ok': 'the server sends it',
  'tx.commit': 'what is its own',
  'tx.commit-ok': 'the server sends it',
  'tx.rollback': 'what is its own',
  'tx.rollback-ok': 'the server sends it',
};

/** Everybody is a user of the broker's but `root`, who may do everything. */
function loginOf(users: () => Users): Login {
  return {
    check: (user, _password, _remote, done) => {
      const account = user === 'root' ? trustedAccount(user) : users().account(user);
      done(account ?? new AmqpError(ReplyCode.AccessRefused, 'login was refused'));
    },
    certified: trustedAccount,
  };
}
function addUser(users: Users, name: string): void {
  users.put(name, { passwordHash: '', hashingAlgorithm: '', tags: [] });
  users.setPermissions(name, '/', { configure: '', write: '', read: '' });
}

const namesOf = <Name extends string>(table: { readonly [Each in Name]: unknown }): Name[] => Object.keys(table) as Name[];
const asked = <Name extends string>(table: { readonly [Each in Name]: Own | Asked<unknown> }): Name[] =>
  namesOf(table).filter((name) => Array.isArray(table[name]));
const operationsOf = (entry: Own | Asked<unknown>): readonly string[] => (typeof entry === 'string' ? [] : [entry[0]].flat());

test('what is asked of authorise() is what the two protocols have, and nothing is in its table that neither asks', () => {
  const operations = [...Object.values(NATIVE), ...Object.values(AMQP)].flatMap(operationsOf);
  expect([...new Set(operations)].sort()).toEqual(Object.keys(NEEDED).sort());
});

describe('leveret.v1', () => {
  test('has no operation that is not in this table', () => expect(namesOf(NATIVE).sort()).toEqual(Object.keys(schemas).sort()));

  async function start() {
    const broker: TestBroker = new TestBroker({ login: loginOf(() => broker.users) });
    addUser(broker.users, 'low');
    const root = await broker.connect({ user: 'root' });
    await root.declare('q');
    await root.exchange('x', 'topic');
    await root.exchange('y', 'topic');
    return { broker, root, low: await broker.connect({ user: 'low' }) };
  }

  test.each(asked(NATIVE).filter((name) => !name.startsWith('stats')))('%s is refused', async (name) => {
    const { low } = await start();
    expect(await low.fails(name, NATIVE[name][1] as object)).toMatchObject({
      code: 403,
      reason: expect.stringMatching(/^ACCESS_REFUSED - access to (queue|exchange) '\w*' in vhost '\/' refused for user 'low'$/),
    });
  });

  test('stats and stats.open show no queue, and no number of one', async () => {
    const { broker, root, low } = await start();
    const nothing = { queues: [], broker: { connections: 1, queues: 0, exchanges: 0, published: 0, unroutable: 0, messages: 0, bytes: 0 } };
    expect(await low.do('stats', {})).toMatchObject(nothing);
    await low.do('stats.open', { handle: 1 });
    await root.send('q', 'a', 'b');
    await broker.advance(1_000);
    expect(low.events).toMatchObject([{ event: 'stats', ...nothing, broker: { ...nothing.broker, publishRate: 0 } }]);
    broker.users.setPermissions('low', '/', { configure: '', write: '', read: '^q$' });
    await broker.advance(1_000);
    expect(low.events[1]).toMatchObject({ queues: [{ queue: 'q', ready: 2 }], broker: { queues: 1, messages: 2 } });
  });
});

describe('AMQP', () => {
  test('has no method that is not in this table', () => expect(namesOf(AMQP).sort()).toEqual(Object.keys(METHODS).sort()));

  function refusalOf<Name extends MethodName>(name: Name, fields: MethodFields<Name>): object | undefined {
    const engine = new Engine();
    const root = engine.connect();
    engine.declare(root, 'q');
    for (const exchange of ['x', 'y']) {
      const declaration = { exchange, type: 'topic', durable: true, autoDelete: false, internal: false, passive: false };
      root.session.declareExchange({ ...declaration, arguments: new Map() });
    }
    addUser(engine.broker.users, 'guest');
    const peer = AmqpPeer.open(engine, { login: loginOf(() => engine.broker.users) });
    if (name === 'basic.publish') peer.publish(1, '', '', {}, 'x');
    else peer.send(1, name, fields);
    return peer.methods.at(-1)?.method;
  }

  test.each(asked(AMQP))('%s is refused', (name) => {
    expect(refusalOf(name, AMQP[name][1] as MethodFields<typeof name>)).toMatchObject({
      name: 'channel.close',
      fields: {
        replyCode: 403,
        replyText: expect.stringMatching(/^ACCESS_REFUSED - access to (queue|exchange) '\w*' in vhost '\/' refused for user 'guest'$/),
      },
    });
  });
});
