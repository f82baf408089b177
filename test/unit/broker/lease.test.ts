// Logins that end: the connection ends with them, unless a new token comes before; what a new token takes away is gone. Over both protocols.
import { beforeEach, describe, expect, test } from 'vitest';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { AmqpPeer } from '../../support/amqp-peer.ts';
import { TestBroker } from '../../support/broker.ts';
import { EPOCH_MS } from '../../support/clock.ts';
import { Engine } from '../../support/engine.ts';
import { EndingLogin } from '../../support/logins.ts';

const CANCEL_NOTIFY: FieldTable = new Map([['consumer_cancel_notify', true]]);
const START_MS = EPOCH_MS; // an engine's clock begins there too

let login: EndingLogin;
beforeEach(() => {
  login = new EndingLogin();
  login.add('first', 'orders', START_MS + 60_000);
  login.add('second', 'orders', START_MS + 300_000);
  login.add('other', 'somebody else', START_MS + 300_000);
});

describe('AMQP', () => {
  let engine: Engine;
  beforeEach(() => {
    engine = new Engine();
  });
  const open = (capabilities: FieldTable = new Map()): AmqpPeer => AmqpPeer.open(engine, { login, password: 'first', capabilities });
  const update = (peer: AmqpPeer, secret: string): void =>
    peer.send(0, 'connection.update-secret', { newSecret: encodeUtf8(secret), reason: 'rotation' });

  test('a connection ends with 320 when its token does, and what it held is back', () => {
    const peer = open();
    peer.declare(1, 'jobs');
    peer.consume(1, 'jobs');
    peer.publish(1, 'jobs', 'held');
    engine.time.advance(59_999);
    peer.names();
    expect([peer.bodies, engine.broker.vhost('/')?.queues.get('jobs')?.readyCount]).toEqual([['held'], 0]);
    engine.time.advance(1);
    expect(peer.methods.map(({ method }) => method)).toMatchObject([
      {
        name: 'connection.close',
        fields: { replyCode: 320, replyText: "CONNECTION_FORCED - the token of user 'orders' has expired", failedClassId: 0 },
      },
    ]);
    expect(engine.broker.vhost('/')?.queues.get('jobs')?.readyCount).toBe(1);
    peer.send(0, 'connection.close-ok', {});
    expect([peer.isEnded, peer.errors]).toEqual([true, []]);
  });

  test('a new token before that goes on with the connection, until it ends itself', () => {
    const peer = open();
    engine.time.advance(59_999);
    update(peer, 'second');
    expect(peer.names()).toEqual(['0 connection.update-secret-ok']);
    engine.time.advance(240_000);
    expect(peer.names()).toEqual([]);
    engine.time.advance(1);
    expect(peer.names()).toEqual(['0 connection.close']);
  });

  test.each([
    ['no token', 'a password'],
    ['the token of another user', 'other'],
  ])('%s is refused with 530, and the connection is closed', (_what, secret) => {
    const peer = open();
    update(peer, secret);
    expect(peer.methods[0]?.method).toMatchObject({
      name: 'connection.close',
      fields: {
        replyCode: 530,
        replyText: 'NOT_ALLOWED - New secret was refused by one of the backends',
        failedClassId: 10,
        failedMethodId: 70,
      },
    });
    peer.send(0, 'connection.close-ok', {});
    expect([peer.isEnded, engine.time.timerCount]).toEqual([true, 0]);
  });

  test('while a new token is looked into nothing else is carried out, and the old one may end', () => {
    const peer = open();
    login.isSlow = true;
    update(peer, 'second');
    peer.declare(1, 'later');
    expect([peer.names(), peer.isPaused]).toEqual([[], true]);
    login.answerAll();
    engine.time.settle();
    expect([peer.names(), peer.isPaused]).toEqual([['0 connection.update-secret-ok', '1 queue.declare-ok'], false]);
    update(peer, 'second');
    engine.time.advance(300_000);
    expect(peer.names()).toEqual(['0 connection.close']);
    peer.send(0, 'connection.close-ok', {});
    login.answerAll();
    expect([peer.names(), engine.time.timerCount, peer.errors]).toEqual([[], 0, []]);
  });

  test('a new token that may read less cancels consumers, tells who wants to know, and leaves what they hold', () => {
    login.add('narrow', 'orders', START_MS + 300_000, '^other$');
    const told = open(CANCEL_NOTIFY);
    const silent = open();
    for (const peer of [told, silent]) {
      peer.declare(1, 'jobs');
      peer.declare(1, 'other');
      peer.consume(1, 'jobs', false, 'from-jobs');
      peer.consume(1, 'other', false, 'from-other');
    }
    for (const body of ['one', 'two']) told.publish(1, 'jobs', body);
    for (const peer of [told, silent]) peer.names();
    for (const peer of [told, silent]) update(peer, 'narrow');
    expect(told.methods.map(({ method }) => method)).toMatchObject([
      { name: 'connection.update-secret-ok' },
      { name: 'basic.cancel', fields: { consumerTag: 'from-jobs' } },
    ]);
    expect(silent.names()).toEqual(['0 connection.update-secret-ok']);
    const jobs = engine.broker.vhost('/')?.queues.get('jobs');
    expect([jobs?.consumerCount, jobs?.unackedCount]).toEqual([0, 2]);
    expect(engine.broker.vhost('/')?.queues.get('other')?.consumerCount).toBe(2);
    told.send(1, 'basic.ack', { deliveryTag: 1, multiple: false });
    expect(jobs?.unackedCount).toBe(1);
  });

  test('what the new token does not allow is refused, though it was allowed before', () => {
    const peer = open();
    peer.declare(1, 'jobs');
    peer.publish(1, 'jobs', 'one');
    update(peer, 'second');
    peer.names();
    peer.send(1, 'basic.get', { queue: 'jobs', noAck: true });
    expect(peer.names()).toEqual(['1 basic.get-ok']);
    login.add('blind', 'orders', START_MS + 300_000, '');
    update(peer, 'blind');
    peer.send(1, 'basic.get', { queue: 'jobs', noAck: true });
    expect(peer.names()).toEqual(['0 connection.update-secret-ok', '1 channel.close']);
  });

  test('who came in without a token is told ok, whatever the secret: nothing ends there', () => {
    const peer = AmqpPeer.open(engine);
    update(peer, 'whatever');
    expect(peer.names()).toEqual(['0 connection.update-secret-ok']);
    expect(engine.time.timerCount).toBe(0);
  });
});

describe('leveret.v1', () => {
  let broker: TestBroker;
  beforeEach(() => {
    broker = new TestBroker({ login });
  });
  const connect = (password: string) => broker.connect({ user: '', password });

  test('a connection ends with 1001 when its token does', async () => {
    const session = await connect('first');
    await broker.advance(59_999);
    await session.do('ping', {});
    await broker.advance(1);
    expect(await session.closed).toMatchObject({ code: 1001, reason: "CONNECTION_FORCED - the token of user 'orders' has expired" });
  });

  test('update-secret goes on with it; what is no token of the user is refused, and changes nothing', async () => {
    const session = await connect('first');
    for (const secret of ['a password', 'other'])
      await expect(session.do('update-secret', { newSecret: secret })).rejects.toMatchObject({
        code: 530,
        reason: 'NOT_ALLOWED - New secret was refused by one of the backends',
        path: '/newSecret',
      });
    expect(await session.do('update-secret', { newSecret: 'second' })).toEqual({});
    await broker.advance(60_000);
    await session.do('ping', {});
    await broker.advance(240_000);
    expect(await session.closed).toMatchObject({ code: 1001 });
  });

  test('a new token that may read less cancels consumers and taps', async () => {
    const session = await connect('first');
    await session.do('queue.declare', { queue: 'jobs' });
    const consumer = await session.consume('jobs');
    const tap = await session.tap('amq.topic', '#');
    login.add('narrow', 'orders', START_MS + 300_000, '^jobs$');
    await session.do('update-secret', { newSecret: 'narrow' });
    await broker.idle();
    expect([consumer.cancelled, tap.cancelled]).toEqual([[], ['access refused']]);
    login.add('narrower', 'orders', START_MS + 300_000, '');
    await session.do('update-secret', { newSecret: 'narrower' });
    await broker.idle();
    expect([consumer.cancelled, tap.cancelled]).toEqual([['access refused'], ['access refused']]);
  });
});
