// Virtual hosts, users, permissions and limits: what they do, and that they outlive the broker.
import { describe, expect, test } from 'vitest';
import type { ConnectionView } from '../../../server/broker/connections.ts';
import { type Account, trustedAccount } from '../../../server/broker/login.ts';
import type { Session } from '../../../server/broker/session.ts';
import type { MessageLog } from '../../../server/ports.ts';
import { DataDirectory } from '../../support/data-directory.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { RecordingSink } from '../../support/recording-sink.ts';
import { RememberingLog } from '../../support/remembering-log.ts';

const HASHED = { passwordHash: 'aGFzaA==', hashingAlgorithm: 'rabbit_password_hashing_sha256' };
const ALL = { configure: '.*', write: '.*', read: '.*' };

function open(engine: Engine, vhost: string, account: Account = trustedAccount('guest')): Peer {
  const sink = new RecordingSink();
  const session = engine.broker.openSession(sink, { account, vhost, name: 'test' });
  return { session, sink, publisher: session.openPublisher(1, true) };
}

function viewOf(
  account: Account,
  vhost: string,
  sessions: readonly Session[] = [],
  end: (reason: string) => void = () => undefined,
): ConnectionView {
  return {
    name: 'c',
    account,
    vhost,
    protocol: 'AMQP 0-9-1',
    peer: { host: '', port: 0 },
    local: { host: '', port: 0 },
    isTls: false,
    mechanism: 'PLAIN',
    connectedAt: 0,
    clientProperties: new Map(),
    frameMax: 0,
    channelMax: 0,
    heartbeatSeconds: 0,
    isBlocked: false,
    receivedBytes: 0,
    sentBytes: 0,
    sessions: () => sessions.map((session, index) => [index + 1, session] as const),
    end,
  };
}

describe('virtual hosts', () => {
  test('are name spaces of their own', () => {
    const engine = new Engine();
    expect(engine.broker.vhosts.put('shop', {})).toBe(true);
    expect(engine.broker.vhosts.put('shop', { description: 'orders' })).toBe(false);
    const here = open(engine, '/');
    const there = open(engine, 'shop');
    engine.declare(here, 'q');
    engine.declare(there, 'q');
    engine.publish(there, '', 'q', 'to the shop');
    engine.time.settle();
    expect(here.session.inspectQueue('q').readyCount).toBe(0);
    expect(there.session.inspectQueue('q').readyCount).toBe(1);
    expect([...(engine.broker.vhost('shop')?.exchanges.keys() ?? [])]).toContain('amq.topic');
  });

  test('a session in one that is not there is refused in the words of RabbitMQ', () => {
    expect(() => open(new Engine(), 'nowhere')).toThrow('NOT_ALLOWED - vhost nowhere not found');
  });

  test('deleting one ends its sessions with 320, and its queues, exchanges, permissions and limits are gone', () => {
    const engine = new Engine();
    const { vhosts, users, records } = engine.broker;
    vhosts.put('shop', {});
    users.put('alice', { ...HASHED, tags: [] });
    users.setPermissions('alice', 'shop', ALL);
    records.put('vhost-limits', ['shop'], { 'max-queues': 5 });
    const peer = open(engine, 'shop');
    const other = open(engine, '/');
    engine.declare(peer, 'q');
    engine.declare(other, 'q');
    engine.publish(peer, '', 'q', 'gone');
    engine.time.settle();
    expect(vhosts.delete('shop')).toBe(true);
    expect(vhosts.delete('shop')).toBe(false);
    engine.time.settle();
    expect(peer.sink.closes.map(({ message }) => message)).toEqual(["CONNECTION_FORCED - vhost 'shop' is deleted"]);
    expect(other.sink.closes).toEqual([]);
    expect(vhosts.get('shop')).toBeUndefined();
    vhosts.put('shop', {});
    expect(users.account('alice')?.rights('shop')).toBeUndefined();
    expect(open(engine, 'shop').session.vhost.queues.size).toBe(0);
    expect(vhosts.limit('shop', 'max-queues')).toBe(-1);
  });

  test('one that is protected from deletion stays', () => {
    const engine = new Engine();
    engine.broker.vhosts.put('shop', { protected_from_deletion: true });
    expect(() => engine.broker.vhosts.delete('shop')).toThrow("PRECONDITION_FAILED - vhost 'shop' is protected from deletion");
  });

  test('a name that AMQP could not carry is refused', () => {
    const { vhosts } = new Engine().broker;
    expect(() => vhosts.put('', {})).toThrow('1 to 255 bytes');
    expect(() => vhosts.put('ä'.repeat(128), {})).toThrow('1 to 255 bytes');
  });

  test('max-queues refuses the queue that would be one too many, and not one that is there', () => {
    const engine = new Engine();
    const peer = open(engine, '/');
    engine.broker.records.put('vhost-limits', ['/'], { 'max-queues': 1 });
    engine.declare(peer, 'q');
    engine.declare(peer, 'q');
    expect(() => engine.declare(peer, 'r')).toThrow("PRECONDITION_FAILED - cannot declare queue: queue limit in vhost '/' (1) is reached");
    engine.broker.records.put('vhost-limits', ['/'], { 'max-queues': 0 });
    expect(() => engine.declare(peer, 'r')).toThrow('(0) is reached');
    engine.broker.records.delete('vhost-limits', ['/']);
    engine.declare(peer, 'r');
  });
});

describe('limits on connections and channels', () => {
  test('of a vhost, of a user, and of every user', () => {
    const engine = new Engine({ limits: { connectionsPerUser: 3 } });
    const { connections, records, users } = engine.broker;
    users.put('alice', { ...HASHED, tags: [] });
    users.setPermissions('alice', '/', ALL);
    const alice = users.account('alice') as Account;
    const views = [1, 2, 3].map(() => viewOf(alice, '/'));
    for (const view of views) {
      connections.check(alice, '/');
      connections.add(view);
    }
    expect(() => connections.check(alice, '/')).toThrow('more than 3 connections of one user');
    records.put('user-limits', ['alice'], { 'max-connections': 3 });
    expect(() => connections.check(alice, '/')).toThrow('user connection limit (3) is reached');
    records.put('vhost-limits', ['/'], { 'max-connections': 3 });
    expect(() => connections.check(alice, '/')).toThrow("access to vhost '/' refused for user 'alice': connection limit (3) is reached");
    expect(() => connections.check(alice, 'other')).toThrow('user connection limit');
    connections.remove(views[0] as ConnectionView);
    connections.remove(views[0] as ConnectionView);
    expect(() => connections.check(alice, '/')).not.toThrow();
    expect([connections.size, connections.countOf('/')]).toEqual([2, 2]);
  });

  test('max-channels counts all channels of a user', () => {
    const engine = new Engine();
    const { connections, records, users } = engine.broker;
    users.put('alice', { ...HASHED, tags: [] });
    users.setPermissions('alice', '/', ALL);
    const alice = users.account('alice') as Account;
    const session = open(engine, '/', alice).session;
    connections.add(viewOf(alice, '/', [session]));
    connections.add(viewOf(alice, '/', [session]));
    connections.checkChannels(alice);
    records.put('user-limits', ['alice'], { 'max-channels': 2 });
    expect(() => connections.checkChannels(alice)).toThrow(
      "number of channels opened for user 'alice' has reached the maximum allowed user limit of (2)",
    );
  });
});

test("deleting a user ends its connections, and nobody else's", () => {
  const { connections, users } = new Engine().broker;
  const ends: string[] = [];
  for (const name of ['alice', 'bob']) {
    users.put(name, { ...HASHED, tags: [] });
    connections.add(viewOf(users.account(name) as Account, '/', [], (reason) => ends.push(`${name}: ${reason}`)));
  }
  users.delete('alice');
  expect(ends).toEqual(["alice: user 'alice' was deleted"]);
});

describe('what administrators decide outlives the broker', () => {
  test.each(['in the log', 'in a checkpoint', 'in a data directory'])('%s', async (how) => {
    using directory = new DataDirectory();
    const remembering = new RememberingLog();
    const newLog = (): MessageLog => (how === 'in a data directory' ? directory.log() : remembering);
    const before = new Engine({ log: newLog() });
    const { vhosts, users, records } = before.broker;
    vhosts.put('shop', { description: 'orders', tracing: true });
    vhosts.put('gone', {});
    users.put('alice', { ...HASHED, tags: ['monitoring'] });
    users.put('bob', { ...HASHED, tags: [] });
    users.setPermissions('alice', 'shop', { configure: '', write: '^a', read: '.*' });
    users.setPermissions('bob', 'gone', ALL);
    users.setTopicPermissions('alice', 'shop', 'amq.topic', { write: '^{username}\\.', read: '' });
    records.put('user-limits', ['alice'], { 'max-connections': 7 });
    records.put('policy', ['shop', 'p'], { pattern: '.*', definition: { 'max-length': 5 } });
    const peer = open(before, 'shop');
    before.declare(peer, 'q');
    before.publish(peer, '', 'q', 'kept', { deliveryMode: 2 });
    before.time.settle();
    vhosts.delete('gone');
    users.delete('bob');
    vhosts.delete('/');
    before.time.settle();
    if (how === 'in a checkpoint') remembering.checkpoint();
    await before.broker.close();

    const { broker } = new Engine({ log: newLog() });
    expect(broker.vhosts.names()).toEqual(['shop']);
    expect(broker.vhosts.metadata('shop')).toEqual({ description: 'orders', tracing: true });
    expect(broker.vhost('shop')?.queues.get('q')?.readyCount).toBe(1);
    expect(broker.users.names()).toEqual(['alice']);
    expect(broker.users.record('alice')).toEqual({ ...HASHED, tags: ['monitoring'] });
    const alice = broker.users.account('alice');
    const rights = alice?.rights('shop');
    expect([rights?.may('configure', 'a'), rights?.may('write', 'ab'), rights?.may('read', 'x')]).toEqual([false, true, true]);
    expect([rights?.mayRoute('write', 'amq.topic', 'alice.x'), rights?.mayRoute('write', 'amq.topic', 'bob.x')]).toEqual([true, false]);
    expect(alice?.limits.maxConnections).toBe(7);
    expect(alice?.rights('/')).toBeUndefined();
    expect(broker.records.get('policy', ['shop', 'p'])).toEqual({ pattern: '.*', definition: { 'max-length': 5 } });
    await broker.close();
  });
});
