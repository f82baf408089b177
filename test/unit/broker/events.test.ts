// Events: what is told, in the names of RabbitMQ, on amq.rabbitmq.event; the firehose; the audit log.
import { describe, expect, test } from 'vitest';
import { Audit, type AuditEntry, isoTime } from '../../../server/broker/audit.ts';
import { trustedAccount } from '../../../server/broker/login.ts';
import { TellingLogin } from '../../../server/broker/login-events.ts';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { Content } from '../../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { AmqpPeer } from '../../support/amqp-peer.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { RecordingSink } from '../../support/recording-sink.ts';

interface Heard {
  readonly key: string;
  readonly headers: FieldTable;
  readonly body: string;
}

/** What came to `queue`, bound to `exchange` with `#`. */
function listen(engine: Engine, exchange: string, queue = 'heard'): { peer: Peer; heard: () => Heard[] } {
  const peer = engine.connect();
  engine.declare(peer, queue, [], false);
  peer.session.bindQueue(queue, exchange, '#', new Map());
  engine.time.settle();
  peer.session.purgeQueue(queue);
  const heard = (): Heard[] => {
    engine.time.settle();
    const all: Heard[] = [];
    for (let isMore = true; isMore; ) {
      peer.session.get(queue, true, (got) => {
        if (got === undefined) isMore = false;
        else {
          const content = new Content().read(got.bytes, got.start, got.end);
          const body = new TextDecoder().decode(content.bytes.subarray(content.bodyStart, content.end));
          all.push({ key: content.key, headers: content.headers ?? new Map(), body });
        }
      });
    }
    return all;
  };
  return { peer, heard };
}

describe('the event exchange', () => {
  test('gets what is declared, bound, consumed and deleted, with headers and no body, in order', () => {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.event');
    engine.declare(peer, 'q', [['x-max-length', 3]]);
    peer.session.bindQueue('q', 'amq.direct', 'k', new Map());
    peer.session.cancel(engine.consume(peer, 'q', { consumerTag: 't' }));
    peer.session.deleteQueue('q', false, false);
    const events = heard();
    expect(events.map(({ key }) => key)).toEqual([
      'queue.created',
      'binding.created',
      'consumer.created',
      'consumer.deleted',
      'binding.deleted',
      'queue.deleted',
    ]);
    expect(Object.fromEntries(events[0]?.headers ?? [])).toMatchObject({
      name: 'q',
      vhost: '/',
      durable: true,
      auto_delete: false,
      exclusive: false,
      arguments: ['{<<"x-max-length">>,signedint,3}'],
      user_who_performed_action: 'guest',
    });
    expect([...(events[0]?.headers.keys() ?? [])].at(-1)).toBe('timestamp_in_ms');
    expect(events[0]?.body).toBe('');
  });

  test('gets what administrators decide, and never a hash', () => {
    const engine = new Engine();
    const { heard } = listen(engine, 'amq.rabbitmq.event');
    const { users, vhosts, records } = engine.broker;
    users.put('alice', { passwordHash: 'secret-hash', hashingAlgorithm: 'x', tags: ['monitoring'] });
    users.put('alice', { passwordHash: 'other-hash', hashingAlgorithm: 'x', tags: ['monitoring'] });
    vhosts.put('v', { description: 'd' });
    users.setPermissions('alice', 'v', { configure: '^a', write: '.*', read: '' });
    users.setTopicPermissions('alice', 'v', 'amq.topic', { write: 'w', read: 'r' });
    records.put('policy', ['v', 'p'], { pattern: '^q', 'apply-to': 'queues', definition: { 'max-length': 1 }, priority: 1 });
    records.put('parameter', ['v', 'shovel', 's'], { value: { 'src-uri': 'amqp://u:secret@h' } });
    records.delete('policy', ['v', 'p']);
    vhosts.delete('v');
    users.delete('alice');
    const events = heard();
    expect(events.map(({ key }) => key)).toEqual([
      'user.created',
      'user.tags.set',
      'user.password.changed',
      'vhost.created',
      'permission.created',
      'topic.permission.created',
      'policy.set',
      'parameter.set',
      'policy.cleared',
      'permission.deleted',
      'topic.permission.deleted',
      'parameter.cleared',
      'vhost.deleted',
      'user.deleted',
    ]);
    expect(JSON.stringify(events.map(({ headers }) => [...headers]))).not.toMatch(/hash|secret/);
  });

  test('says less of a record that no header table can hold, and the record is kept', () => {
    const engine = new Engine();
    const { heard } = listen(engine, 'amq.rabbitmq.event');
    const { vhosts, records } = engine.broker;
    const deep = JSON.parse(`${'['.repeat(40)}1${']'.repeat(40)}`);
    vhosts.put('v', { description: 'd', note: deep });
    records.put('global-parameter', ['large'], { value: 'x'.repeat(200_000) });
    const told = heard().map(({ key, headers }) => [key, headers.get('name'), headers.get('description')]);
    expect(told).toEqual([
      ['vhost.created', 'v', undefined],
      ['parameter.set', 'large', undefined],
    ]);
    expect(vhosts.metadata('v')['note']).toEqual(deep);
  });

  test('costs nothing while nothing is bound to it, and nobody publishes to it but the broker', () => {
    const engine = new Engine();
    expect(engine.broker.events.isHeard).toBe(false);
    const peer = engine.connect();
    engine.publish(peer, 'amq.rabbitmq.event', 'k', 'fake');
    engine.time.settle();
    expect(peer.sink.refused.map(({ error }) => error.message)).toEqual([expect.stringContaining('cannot publish to internal exchange')]);
  });

  test('tells of dead letters once a second for each queue and reason', () => {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.event');
    engine.declare(peer, 'q', [
      ['x-max-length', 1],
      ['x-dead-letter-exchange', 'amq.fanout'],
    ]);
    for (let i = 0; i < 5; i++) engine.publish(peer, '', 'q', 'm');
    expect(heard().map(({ key }) => key)).toEqual(['queue.created', 'queue.limit_reached', 'message.dead_lettered']);
    engine.time.advance(1_000);
    engine.publish(peer, '', 'q', 'm');
    expect(heard().map(({ headers }) => headers.get('reason'))).toEqual(['maxlen']);
  });

  test.each<[string, string, [string, string | number][]]>([
    ['drops its head', 'drop-head', [['x-max-length', 10]]],
    ['refuses', 'reject-publish', [['x-max-length', 10]]],
    ['makes wait', 'block', [['x-max-length', 10]]],
    ['refuses by bytes', 'reject-publish', [['x-max-length-bytes', 10]]],
  ])('tells once that a queue which %s is at its limit, and once that it is well below it again', (_what, overflow, limit) => {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.event');
    engine.declare(peer, 'q', [...limit, ['x-overflow', overflow]]);
    heard();
    const told = (): unknown[][] => heard().map(({ key, headers }) => [key, headers.get('messages_ready')]);
    const get = (): void => peer.session.get('q', true, () => undefined);
    for (let i = 0; i < 10; i++) engine.publish(peer, '', 'q', 'm');
    expect(told()).toEqual([]);
    for (let i = 0; i < 5; i++) engine.publish(peer, '', 'q', 'm');
    expect(told()).toEqual([['queue.limit_reached', overflow === 'drop-head' ? 11 : 10]]);
    if (overflow === 'block')
      peer.session.purgeQueue('q'); // what waited comes in: five
    else for (let i = 0; i < 2; i++) get();
    expect(told()).toEqual([['queue.limit_cleared', overflow === 'block' ? 0 : 8]]);
    for (let i = 0; i < 20; i++) engine.publish(peer, '', 'q', 'm');
    expect(told()).toEqual([]); // within the same second
    engine.time.advance(1_000);
    get();
    for (let i = 0; i < 2; i++) engine.publish(peer, '', 'q', 'm');
    expect(told().map(([key]) => key)).toEqual(['queue.limit_reached']);
    engine.broker.policies.put('policy', '/', 'p', { pattern: 'none', definition: { 'max-length': 1 } });
    peer.session.purgeQueue('q');
    expect(told().map(([key]) => key)).toContain('queue.limit_cleared');
  });

  test('names who asked for it, and nobody for what comes of itself or from another in the same turn', () => {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.event');
    const { broker } = engine;
    const other = broker.openSession(new RecordingSink(), { account: trustedAccount('other'), vhost: '/', name: 'other' });
    const declare = (session: Peer['session'], queue: string, exclusive: boolean, args: [string, number][] = []): void => {
      session.declareQueue({ queue, durable: false, exclusive, autoDelete: false, passive: false, arguments: new Map(args) });
    };
    declare(other, 'mine', true);
    declare(peer.session, 'expiring', false, [['x-expires', 10]]);
    heard();
    const actors = (): unknown[][] =>
      heard().map(({ key, headers }) => [key, headers.get('name'), headers.get('user_who_performed_action')]);
    // One turn: an administrator decides, then others do what they do, and then nobody does anything.
    broker.events.as('admin', () => broker.vhosts.put('v', {}));
    declare(peer.session, 'theirs', false);
    expect(() =>
      broker.events.as('admin', () => broker.users.setPermissions('none', '/', { configure: '', write: '', read: '' })),
    ).toThrow();
    other.close();
    broker.memoryAlarm(true);
    broker.users.put('u', { passwordHash: '', hashingAlgorithm: '', tags: [] });
    expect(actors()).toEqual([
      ['vhost.created', 'v', 'admin'],
      ['queue.created', 'theirs', 'guest'],
      ['queue.deleted', 'mine', 'rmq-internal'],
      ['alarm.set', undefined, 'rmq-internal'],
      ['user.created', 'u', 'rmq-internal'],
    ]);
    // The clock's turn is nobody's, though an administrator's came just before.
    broker.events.as('admin', () => broker.vhosts.put('w', {}));
    engine.time.advance(10);
    expect(actors()).toEqual([
      ['vhost.created', 'w', 'admin'],
      ['queue.deleted', 'expiring', 'rmq-internal'],
    ]);
  });

  test('names who asked first for what follows from it in the sessions of others, and the rest of a request that waits is named again', async () => {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.event');
    const { broker } = engine;
    broker.vhosts.put('v', {});
    const other = broker.openSession(new RecordingSink(), { account: trustedAccount('other'), vhost: 'v', name: 'other' });
    other.declareQueue({ queue: 'theirs', durable: false, exclusive: true, autoDelete: false, passive: false, arguments: new Map() });
    heard();
    broker.events.as('admin', () => broker.vhosts.delete('v'));
    const waiting = broker.events.as('admin', async () => {
      await Promise.resolve();
      engine.declare(peer, 'later');
    });
    await waiting;
    broker.events.as('admin', () => engine.declare(peer, 'helped')); // a session that somebody else's request uses
    expect(heard().map(({ key, headers }) => [key, headers.get('user_who_performed_action')])).toEqual([
      ['queue.deleted', 'admin'],
      ['vhost.deleted', 'admin'],
      ['queue.created', 'guest'],
      ['queue.created', 'admin'],
    ]);
  });

  test('tells of alarms', () => {
    const engine = new Engine();
    const { heard } = listen(engine, 'amq.rabbitmq.event');
    engine.broker.memoryAlarm(true);
    engine.broker.memoryAlarm(false);
    expect(heard().map(({ key, headers }) => [key, headers.get('source')])).toEqual([
      ['alarm.set', 'memory'],
      ['alarm.cleared', 'memory'],
    ]);
  });
});

describe('the firehose', () => {
  function traced(): { engine: Engine; peer: Peer; heard: () => Heard[] } {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.trace', 'traces');
    engine.declare(peer, 'q');
    engine.broker.vhosts.put('/', { tracing: true });
    return { engine, peer, heard };
  }

  test('copies publishes and deliveries with the headers of RabbitMQ', () => {
    const { engine, peer, heard } = traced();
    engine.publish(peer, '', 'q', 'hello', { contentType: 'text/plain', headers: new Map([['CC', ['other']]]) });
    peer.session.get('q', false, (got) => peer.session.nack(got?.tag ?? 0, false, true));
    peer.session.get('q', true, () => undefined);
    const traces = heard();
    expect(traces.slice(0, 3).map(({ key, body }) => [key, body])).toEqual([
      ['publish.', 'hello'],
      ['deliver.q', 'hello'],
      ['deliver.q', 'hello'],
    ]);
    expect([...(traces[0]?.headers ?? [])]).toEqual([
      ['exchange_name', ''],
      ['routing_keys', ['q', 'other']],
      [
        'properties',
        new Map<string, unknown>([
          ['headers', new Map([['CC', ['other']]])],
          ['content_type', 'text/plain'],
        ]),
      ],
      ['node', 'leveret@localhost'],
      ['vhost', '/'],
      ['connection', 'test'],
      ['channel', 0],
      ['user', 'guest'],
      ['routed_queues', ['q']],
    ]);
    expect(traces.slice(1, 3).map(({ headers }) => headers.get('redelivered'))).toEqual([0, 1]);
  });

  test('makes no traces of traces, not even of those that were dead-lettered', () => {
    const { engine, peer, heard } = traced();
    engine.declare(peer, 'dying', [
      ['x-max-length', 0],
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'grave'],
    ]);
    engine.declare(peer, 'grave');
    peer.session.bindQueue('dying', 'amq.rabbitmq.trace', '#', new Map());
    engine.consume(peer, 'grave', { noAck: true });
    engine.publish(peer, '', 'q', 'm');
    expect(heard().map(({ key }) => key)).toEqual(['publish.']);
    expect(heard()).toEqual([]);
  });

  test('tells of a transaction when it is committed, and of nothing while it is off', () => {
    const { engine, heard } = traced();
    const other = engine.connect();
    const { session, publisher } = engine.connect();
    session.closePublisher(publisher);
    session.txSelect();
    engine.publish({ ...other, session, publisher: session.openPublisher(1, false) }, '', 'q', 'm');
    expect(heard()).toEqual([]);
    session.txCommit(() => undefined);
    expect(heard().map(({ key }) => key)).toEqual(['publish.']);
    engine.broker.vhosts.put('/', { tracing: false });
    engine.publish(other, '', 'q', 'm');
    expect(heard()).toEqual([]);
  });
});

describe('events of a connection, its channels and their consumers', () => {
  const ends = { peerPort: 51_864, localAddress: '127.0.0.1', localPort: 44_005, isTls: false };

  test('can be put together, as in RabbitMQ, whatever the client calls its connection', () => {
    const engine = new Engine();
    const { peer, heard } = listen(engine, 'amq.rabbitmq.event');
    engine.declare(peer, 'q');
    heard();
    const amqp = AmqpPeer.open(engine, { connectionName: 'billing', ends });
    amqp.consume(1, 'q', false, 't');
    amqp.send(1, 'basic.cancel', { consumerTag: 't', nowait: false });
    amqp.send(1, 'channel.close', { replyCode: 200, replyText: '', failedClassId: 0, failedMethodId: 0 });
    const told = heard();
    const of = (kind: string) => Object.fromEntries(told.find(({ key }) => key === kind)?.headers ?? []);
    const connection = ':51864 -> 127.0.0.1:44005';
    expect(of('connection.created')).toMatchObject({ name: connection, pid: connection });
    const channel = of('channel.created');
    expect(channel).toMatchObject({ name: `${connection} (1)`, connection, number: 1, user: 'guest', vhost: '/' });
    expect(of('consumer.created')['channel']).toBe(channel['pid']);
    expect(of('consumer.deleted')['channel']).toBe(channel['pid']);
    expect(of('channel.closed')).toMatchObject({ pid: channel['pid'], name: `${connection} (1)` });
  });
});

describe('the audit log', () => {
  test('has who did what to what, and who tried to log in, and nothing of the broker itself', () => {
    const engine = new Engine();
    const lines: AuditEntry[] = [];
    const { broker, time } = engine;
    new Audit({ write: (entry) => lines.push(entry) }, time).listen(broker.events);
    const peer = engine.connect();
    engine.declare(peer, 'q', [['x-expires', 10]]);
    engine.time.advance(1_000);
    const login = new TellingLogin(
      {
        check: (_user, _password, _remote, done) => done(new AmqpError(ReplyCode.AccessRefused, 'no')),
        certified: () => peer.session.identity.account,
      },
      broker.events,
    );
    login.check('eve', 'guessed', { name: 'r', address: '10.0.0.1', isLoopback: false }, () => undefined);
    expect(lines.map(({ user, vhost, act, object, outcome }) => [user, vhost, act, object, outcome])).toEqual([
      ['guest', '/', 'queue.created', 'q', 'ok'],
      ['eve', '', 'user.authentication.failure', 'eve', 'refused'],
    ]);
    expect(JSON.stringify(lines)).not.toContain('guessed');
    expect(Object.keys(lines[0] ?? {})).toEqual(['at', 'user', 'vhost', 'act', 'object', 'outcome', 'peer']);
  });

  test.each([0, 951_782_400_000, 951_868_799_999, 1_767_225_600_123, 4_107_542_400_000])('writes %d as every calendar does', (ms) => {
    expect(isoTime(ms)).toBe(new Date(ms).toISOString());
  });
});
