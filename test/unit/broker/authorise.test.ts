// Who may do what: every operation of a session without the right it needs, and with it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { authorise, NEEDED, type Operation, requireTag } from '../../../server/broker/authorise.ts';
import type { Account } from '../../../server/broker/login.ts';
import { escapeExpression } from '../../../server/broker/perl-pattern.ts';
import { Discipline } from '../../../server/broker/publisher.ts';
import { compile, PatternRights, type Patterns, type Rights } from '../../../server/broker/rights.ts';
import { RouteCache } from '../../../server/broker/route-cache.ts';
import { Content, encodeContent } from '../../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { RecordingSink } from '../../support/recording-sink.ts';

const ALL: Patterns = { configure: '.*', write: '.*', read: '.*' };
const NONE: Patterns = { configure: '', write: '', read: '' };

function engineWith(patterns: Patterns): { engine: Engine; peer: Peer } {
  const engine = new Engine();
  const { users } = engine.broker;
  users.put('alice', { passwordHash: '', hashingAlgorithm: '', tags: [] });
  users.setPermissions('alice', '/', patterns);
  const admin = engine.connect();
  engine.declare(admin, 'q');
  for (const exchange of ['x', 'y'])
    admin.session.declareExchange({
      exchange,
      type: 'topic',
      durable: true,
      autoDelete: false,
      internal: false,
      passive: false,
      arguments: new Map(),
    });
  return { engine, peer: connectAs(engine, 'alice') };
}

function connectAs(engine: Engine, user: string): Peer {
  const account = engine.broker.users.account(user);
  if (account === undefined) throw new Error(`no user ${user}`);
  const sink = new RecordingSink();
  const session = engine.broker.openSession(sink, { account, vhost: '/', name: user });
  return { session, sink, publisher: session.openPublisher(1, true) };
}

const exchange = (passive: boolean, args: [string, string][] = [], name = 'x') => ({
  ...{ exchange: name, type: 'topic', durable: true, autoDelete: false, internal: false, passive, arguments: new Map(args) },
});
const queue = (passive: boolean, args: [string, string][] = [], name = 'q') => ({
  ...{ queue: name, durable: true, exclusive: false, autoDelete: false, passive, arguments: new Map(args) },
});

/** How a session asks for each operation. A publish is refused in its sequence: it throws nothing. */
const ASKED: { readonly [Name in Operation]: (engine: Engine, peer: Peer) => void } = {
  'exchange.declare': (_engine, { session }) => session.declareExchange(exchange(false)),
  'exchange.declare alternate': (_engine, { session }) => session.declareExchange(exchange(false, [['alternate-exchange', 'y']], 'new')),
  'exchange.inspect': (_engine, { session }) => session.declareExchange(exchange(true)),
  'exchange.delete': (_engine, { session }) => session.deleteExchange('x', false),
  'exchange.bind': (_engine, { session }) => session.bindExchange('y', 'x', 'k', new Map()),
  'exchange.unbind': (_engine, { session }) => session.unbindExchange('y', 'x', 'k', new Map()),
  'queue.declare': (_engine, { session }) => void session.declareQueue(queue(false)),
  'queue.declare dead-letter': (_engine, { session }) => void session.declareQueue(queue(false, [['x-dead-letter-exchange', 'y']], 'new')),
  'queue.inspect': (_engine, { session }) => void session.inspectQueue('q'),
  'queue.bind': (_engine, { session }) => session.bindQueue('q', 'x', 'k', new Map()),
  'queue.unbind': (_engine, { session }) => session.unbindQueue('q', 'x', 'k', new Map()),
  'queue.purge': (_engine, { session }) => void session.purgeQueue('q'),
  'queue.delete': (_engine, { session }) => void session.deleteQueue('q', false, false),
  'basic.publish': (engine, peer) => {
    const before = peer.sink.refused.length;
    engine.publish(peer, 'x', 'k', 'body');
    engine.time.settle();
    const refusal = peer.sink.refused[before];
    if (refusal !== undefined) throw refusal.error;
  },
  'basic.consume': (engine, peer) => void engine.consume(peer, 'q'),
  'basic.get': (_engine, { session }) => session.get('q', false, () => undefined),
  'tap.open': (_engine, { session }) => void session.openTap(3, 'x', '#', new Map(), 10),
  stats: (_engine, { session }) => {
    if (session.sample(() => true).queues.length > 0) return;
    // a sample leaves out what it may not show: that is how it refuses
    throw new AmqpError(ReplyCode.AccessRefused, "access to queue 'q' in vhost '/' refused for user 'alice'");
  },
};
/** Publishes, and answers what it is refused for. */
function publishing(engine: Engine, peer: Peer): (exchange: string, key: string, headers?: Record<string, string[]>) => string | undefined {
  return (exchange, key, headers = {}) => {
    const before = peer.sink.refused.length;
    const entries = Object.entries(headers);
    engine.publish(peer, exchange, key, '', entries.length === 0 ? {} : { headers: new Map(entries) });
    engine.time.settle();
    return peer.sink.refused[before]?.error.message;
  };
}

/** A key of `exchange` whose route stands where that of `other` and `otherKey` does. */
function keyInPlaceOf(exchange: string, other: string, otherKey: string): string {
  const cache = new RouteCache();
  const slotOf = (name: string, key: string) => {
    const run = encodeContent(name, key, {}, new Uint8Array(0));
    return cache.slotFor(new Content().read(run, 0, run.length));
  };
  const place = slotOf(other, otherKey);
  for (let n = 0; n < 100_000; n++) if (slotOf(exchange, `k${n}`) === place) return `k${n}`;
  throw new Error('no such key');
}

const operations = Object.keys(NEEDED).filter((name): name is Operation => name in NEEDED);

describe('a user without rights', () => {
  test.each(operations)('may not %s', (operation) => {
    const { engine, peer } = engineWith(NONE);
    expect(() => ASKED[operation](engine, peer)).toThrow(
      /^ACCESS_REFUSED - access to (queue|exchange) '\w+' in vhost '\/' refused for user 'alice'$/,
    );
  });
});

describe('a user with every right', () => {
  test.each(operations)('may %s', (operation) => {
    const { engine, peer } = engineWith(ALL);
    expect(() => ASKED[operation](engine, peer)).not.toThrow();
  });
});

describe('a user who has all rights but one that is needed', () => {
  const cases = operations.flatMap((operation) =>
    NEEDED[operation].flatMap(({ right }) => (right === 'any' ? [] : [[operation, right] as const])),
  );
  test.each(cases)('may not %s without %s', (operation, right) => {
    const { engine, peer } = engineWith({ ...ALL, [right]: '' });
    expect(() => ASKED[operation](engine, peer)).toThrow('ACCESS_REFUSED');
  });
  test.each(['configure', 'write', 'read'] as const)('may look at a queue and an exchange with %s alone', (right) => {
    const { engine, peer } = engineWith({ ...NONE, [right]: '^[qx]$' });
    expect(() => ASKED['queue.inspect'](engine, peer)).not.toThrow();
    expect(() => ASKED['exchange.inspect'](engine, peer)).not.toThrow();
    expect(() => ASKED.stats(engine, peer)).not.toThrow();
  });
});

describe('rights are live', () => {
  test('a publisher whose right is taken away is refused from its next message on, and goes on when it is given back', () => {
    const { engine, peer } = engineWith(ALL);
    const publish = (): void => ASKED['basic.publish'](engine, peer);
    publish();
    publish();
    engine.broker.users.setPermissions('alice', '/', { ...ALL, write: '' });
    expect(publish).toThrow("access to exchange 'x' in vhost '/' refused");
    engine.broker.users.setPermissions('alice', '/', ALL);
    expect(publish).not.toThrow();
  });

  test('a refusal elsewhere brings nothing back that was allowed before the rights changed', () => {
    const { engine, peer } = engineWith(ALL);
    const refusalOf = publishing(engine, peer);
    expect([refusalOf('x', 'k'), refusalOf('x', 'k')]).toEqual([undefined, undefined]);
    engine.broker.users.setPermissions('alice', '/', { ...ALL, write: '^nothing$' });
    expect(refusalOf('y', 'k')).toContain("exchange 'y'");
    expect(refusalOf('x', 'k')).toContain("exchange 'x'");
  });

  test('a yes elsewhere under the new rights, with keys in CC, brings nothing back either', () => {
    const { engine, peer } = engineWith(ALL);
    const refusalOf = publishing(engine, peer);
    expect(refusalOf('x', 'k')).toBeUndefined();
    engine.broker.users.setPermissions('alice', '/', { ...ALL, write: '^y$' });
    expect(refusalOf('y', 'k', { CC: ['other'] })).toBeUndefined();
    expect(refusalOf('x', 'k')).toContain("exchange 'x'");
  });

  test('a route that another session has put in the place of the latest one is no right to it', () => {
    const { engine, peer } = engineWith({ ...ALL, write: '^x$' });
    const admin = engine.connect();
    const key = keyInPlaceOf('x', 'y', 'k');
    const refusalOf = publishing(engine, peer);
    expect(refusalOf('x', key)).toBeUndefined();
    engine.publish(admin, 'y', 'k', 'takes the place');
    engine.time.settle();
    expect(refusalOf('y', 'k')).toContain("exchange 'y'");
  });

  test('a user who is deleted may do nothing more, and opens no session', () => {
    const { engine, peer } = engineWith(ALL);
    const { account } = peer.session.identity;
    engine.broker.users.delete('alice');
    expect(() => ASKED['queue.declare'](engine, peer)).toThrow('ACCESS_REFUSED');
    expect(() => engine.broker.openSession(new RecordingSink(), { account, vhost: '/', name: '' })).toThrow(
      "NOT_ALLOWED - access to vhost '/' refused for user 'alice'",
    );
  });

  test('a transaction asks when it is given a publish', () => {
    const { engine, peer } = engineWith({ ...ALL, write: '^q$' });
    peer.session.closePublisher(peer.publisher);
    peer.session.txSelect();
    const publisher = peer.session.openPublisher(0, false, Discipline.Stream);
    expect(() => engine.publish({ ...peer, publisher }, 'x', 'k', 'body')).toThrow(
      "access to exchange 'x' in vhost '/' refused for user 'alice'",
    );
  });
});

describe('a sample', () => {
  const namesIn = ({ session }: Peer, match: (queue: string) => boolean = () => true): string[] =>
    session.sample(match).queues.map(({ queue }) => queue);

  test('shows the queues that may be inspected, and counts those alone, and the exchanges and connections that are its own', () => {
    const { engine, peer } = engineWith({ configure: '', write: '^mine', read: '' });
    const admin = engine.connect();
    for (const name of ['mine.1', 'mine.2', 'theirs']) engine.declare(admin, name);
    for (const name of ['mine.1', 'theirs', 'theirs', 'nowhere']) engine.publish(admin, '', name, 'four');
    engine.time.settle();
    const { broker, queues } = peer.session.sample((name) => name !== 'mine.2');
    expect(queues.map(({ queue, ready }) => [queue, ready])).toEqual([['mine.1', 1]]);
    const { bytes } = broker;
    expect(broker).toEqual({ connections: 0, queues: 2, exchanges: 0, published: 1, unroutable: 0, messages: 1, bytes });
    expect(bytes).toBe(queues[0]?.readyBytes);
    expect(admin.session.sample(() => false)).toMatchObject({
      broker: { queues: 4, exchanges: 10, published: 4, unroutable: 1, messages: 3 },
      queues: [],
    });
  });

  test.each(['monitoring', 'administrator'])('has the numbers of all for who is tagged %s, and no queue without a right on it', (tag) => {
    const { engine, peer } = engineWith(NONE);
    engine.broker.users.put('alice', { passwordHash: '', hashingAlgorithm: '', tags: [tag] });
    engine.publish(engine.connect(), '', 'q', 'body');
    engine.time.settle();
    expect(peer.session.sample(() => true)).toMatchObject({ broker: { queues: 1, published: 1, messages: 1 }, queues: [] });
  });

  test('asks about each queue once, until the rights change', () => {
    const { engine } = engineWith(NONE);
    const admin = engine.connect();
    for (let n = 0; n < 20; n++) engine.declare(admin, `mine.${n}`);
    let [asked, version] = [0, 1];
    const rights: Rights = {
      get version() {
        return version;
      },
      may: (_right, name) => {
        asked++;
        return version === 1 && name.startsWith('mine');
      },
      limitsKeys: () => false,
      mayRoute: () => true,
    };
    const account: Account = { name: 'bob', tags: new Set(), rights: () => rights, limits: { maxConnections: -1, maxChannels: -1 } };
    const session = engine.broker.openSession(new RecordingSink(), { account, vhost: '/', name: 'bob' });
    const peer = { ...admin, session };
    expect(namesIn(peer)).toHaveLength(20);
    const first = asked;
    expect(namesIn(peer)).toHaveLength(20);
    expect(asked).toBe(first);
    engine.declare(admin, 'mine.new');
    expect(namesIn(peer)).toHaveLength(21);
    version++;
    expect(namesIn(peer)).toEqual([]);
  });

  test('shows nothing more to a user whose permissions, or who, is gone', () => {
    const { engine, peer } = engineWith(ALL);
    expect(namesIn(peer)).toEqual(['q']);
    engine.broker.users.setPermissions('alice', '/', NONE);
    expect(namesIn(peer)).toEqual([]);
    engine.broker.users.setPermissions('alice', '/', ALL);
    expect(namesIn(peer)).toEqual(['q']);
    engine.broker.users.delete('alice');
    expect(namesIn(peer)).toEqual([]);
  });
});

describe('topic permissions', () => {
  test('limit the routing keys of one exchange, for publishing and for binding, those in CC too', () => {
    const { engine, peer } = engineWith(ALL);
    engine.broker.users.setTopicPermissions('alice', '/', 'x', { write: '^{username}\\.', read: '^public\\.' });
    const publish = publishing(engine, peer);
    const refusalOf = (key: string, headers?: Record<string, string[]>) => publish('x', key, headers);
    expect(refusalOf('alice.orders')).toBeUndefined();
    expect(refusalOf('bob.orders')).toBe(
      "ACCESS_REFUSED - access to topic 'bob.orders' in exchange 'x' in vhost '/' refused for user 'alice'",
    );
    expect(refusalOf('alice.orders')).toBeUndefined();
    expect(refusalOf('alice.orders', { CC: ['bob.orders'] })).toContain("topic 'bob.orders'");
    expect(refusalOf('alice.orders')).toBeUndefined();
    expect(refusalOf('alice.orders', { BCC: ['bob.orders'] })).toContain("topic 'bob.orders'");
    expect(refusalOf('alice.orders', { CC: ['alice.stock'] })).toBeUndefined();
    expect(refusalOf('bob.orders')).toContain("topic 'bob.orders'");
    expect(() => peer.session.bindQueue('q', 'x', 'public.news', new Map())).not.toThrow();
    expect(() => peer.session.bindQueue('q', 'x', '#', new Map())).toThrow("access to topic '#'");
    expect(() => peer.session.bindQueue('q', 'y', '#', new Map())).not.toThrow();
  });

  test('a name that stands for a variable matches itself alone, whatever is in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }), (name, other) => {
        const pattern = compile('^{username}$', { username: name });
        expect(pattern.test(name)).toBe(true);
        expect(pattern.test(other)).toBe(other === name);
        const inClass = new RegExp(`^[${escapeExpression('a-z')}]$`);
        expect(['a', '-', 'z', 'm'].map((each) => inClass.test(each))).toEqual([true, true, true, false]);
      }),
    );
  });

  test('a variable that nobody knows stays as it is written', () => {
    expect(compile('{nobody}{vhost}', { vhost: '/' }).source).toBe('{nobody}\\u002f');
  });
});

describe('tags', () => {
  const account = (...tags: string[]): Account => ({
    name: 'alice',
    tags: new Set(tags),
    rights: () => undefined,
    limits: { maxConnections: -1, maxChannels: -1 },
  });
  test('administrator includes all others, monitoring and policymaker include management', () => {
    for (const tag of ['administrator', 'monitoring', 'policymaker', 'management'] as const) {
      expect(() => requireTag(account('administrator'), tag)).not.toThrow();
      expect(() => requireTag(account(), tag)).toThrow(`ACCESS_REFUSED - user 'alice' is not tagged ${tag}`);
    }
    for (const tag of ['monitoring', 'policymaker']) expect(() => requireTag(account(tag), 'management')).not.toThrow();
    expect(() => requireTag(account('management'), 'monitoring')).toThrow();
  });
});

test('an empty pattern allows nothing, and a pattern is searched for as in RabbitMQ, not anchored', () => {
  const rights = new PatternRights({});
  expect(rights.may('read', 'q')).toBe(false);
  rights.grant({ configure: '', write: 'orders', read: '^orders$' });
  expect([rights.may('configure', 'q'), rights.may('write', 'my-orders'), rights.may('read', 'my-orders')]).toEqual([false, true, false]);
  rights.grant({ configure: '', write: '^amq\\.default$', read: '' });
  expect(rights.may('write', '')).toBe(true);
});

test('a pattern that is no regular expression is refused before it is kept', () => {
  const { engine } = engineWith(ALL);
  const { users } = engine.broker;
  expect(() => users.setPermissions('alice', '/', { ...ALL, read: '(' })).toThrow("PRECONDITION_FAILED - invalid regular expression '('");
  expect(() => users.setPermissions('bob', '/', ALL)).toThrow("NOT_FOUND - no user 'bob'");
  expect(() =>
    authorise({ account: connectAs(engine, 'alice').session.identity.account, vhost: '/' }, 'queue.delete', { queue: 'q' }),
  ).not.toThrow();
});
