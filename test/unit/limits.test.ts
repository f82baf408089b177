// Every limit of the configuration, set low by its setting, is reached: in a broker that was put together as `leveret start` does.
// Always: the table names each `limits.*` there is, with the test that reaches it, so a new one without a test fails here.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultAmqpLimits } from '../../server/amqp/handshake.ts';
import { defaultLimits } from '../../server/broker/limits.ts';
import type { Login, Remote } from '../../server/broker/login.ts';
import { configOf } from '../../server/config.ts';
import { defaultApiLimits } from '../../server/http/api.ts';
import { LoginFailures } from '../../server/identity/failures.ts';
import { PlainGuard } from '../../server/plain-guard.ts';
import type { Notice } from '../../server/ports.ts';
import { SETTINGS } from '../../server/settings.ts';
import { defaultConnectionLimits } from '../../server/websocket/connection.ts';
import { Handles } from '../../server/websocket/handles.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { TestBroker } from '../support/broker.ts';
import { VirtualClock } from '../support/clock.ts';
import type { JsonSession } from '../support/json-session.ts';
import { oneUser } from '../support/logins.ts';
import { PROTOCOL_HEADER, type RawAmqp, rawFrame } from '../support/raw-amqp.ts';
import { ROOT } from '../tidy/sources.ts';

const composed = (words: string): readonly [string, string] => ['test/unit/configured-limits.test.ts', words];

/** Where each limit is reached: here, or a file and words of the test there. */
const REACHED: Readonly<Record<string, 'here' | readonly [file: string, words: string]>> = {
  'handshake-ms': 'here',
  'tls-handshake-ms': ['test/unit/https.test.ts', 'limits.tls-handshake-ms'],
  connections: composed('limits.connections:'),
  'connections-per-user': 'here',
  'connections-per-ip': composed('limits.connections-per-ip:'),
  'connections-unauthenticated': composed('limits.connections-unauthenticated:'),
  'auth-failures-per-minute': 'here',
  'login-delay-ms': 'here',
  'frame-max': 'here',
  'frame-max-before-tune': 'here',
  'channel-max': 'here',
  'amqp-heartbeat-seconds': 'here',
  'heartbeat-ms': composed('limits.heartbeat-ms:'),
  'message-bytes': 'here',
  'header-bytes': 'here',
  'table-depth': 'here',
  handles: 'here',
  'consumers-per-channel': 'here',
  'queues-per-vhost': 'here',
  'bindings-per-queue': 'here',
  prefetch: 'here',
  'prefetch-max': 'here',
  'unacked-bytes': 'here',
  'send-queue-bytes': composed('limits.send-queue-bytes:'),
  'consumer-timeout-ms': 'here',
  'delivery-limit': 'here',
  'topic-words': 'here',
  'http-body-bytes': composed('limits.http-body-bytes:'),
  'http-definitions-bytes': ['test/unit/http/api-limits.test.ts', 'limits.http-definitions-bytes:'],
  'http-requests-per-second': ['test/unit/http/api-limits.test.ts', 'limits.http-requests-per-second:'],
  'drain-ms': ['test/unit/cli-start.test.ts', 'LEVERET_LIMITS_DRAIN_MS'],
  'memory-bytes': composed('limits.memory-bytes:'),
  'memory-percent': ['test/unit/memory-watch.test.ts', 'alarmPercent'],
  'disk-free-bytes': composed('limits.disk-free-bytes:'),
};

describe('the list of limits', () => {
  test('names where each is reached', () => {
    const limits = SETTINGS.filter(({ key }) => key.startsWith('limits.')).map(({ key }) => key.slice('limits.'.length));
    expect(Object.keys(REACHED).toSorted()).toEqual(limits.toSorted());
    for (const [name, where] of Object.entries(REACHED)) {
      const [file, words] = where === 'here' ? ['test/unit/limits.test.ts', `limits.${name}`] : where;
      expect(readFileSync(join(ROOT, file), 'utf8'), name).toContain(words);
    }
  });

  test('has the defaults that the parts have of their own', () => {
    const { limits } = configOf({});
    const { queuesPerVhost, bindingsPerQueue, topicWords, deliveryLimit, headerBytes, tableDepth, connectionsPerUser } = defaultLimits;
    const { memoryBytes, consumerTimeoutMs } = defaultLimits;
    const { heartbeatSeconds, ...amqp } = defaultAmqpLimits;
    expect(limits).toMatchObject({
      queuesPerVhost,
      bindingsPerQueue,
      topicWords,
      deliveryLimit,
      headerBytes,
      tableDepth,
      connectionsPerUser,
    });
    expect(limits).toMatchObject(defaultApiLimits);
    expect(limits).toMatchObject({ memoryBytes, consumerTimeoutMs, amqpHeartbeatSeconds: heartbeatSeconds, ...amqp });
    expect(limits).toMatchObject({
      ...defaultConnectionLimits,
      consumersPerChannel: defaultLimits.consumersPerSession,
      unackedBytes: defaultLimits.unackedBytesPerSession,
    });
  });
});

/** A broker whose parts have these settings, as compose.ts hands them out. */
async function brokerWith(settings: Readonly<Record<string, number>>, then: (broker: TestBroker) => Promise<void>): Promise<void> {
  const keys = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`limits.${name}`, value]));
  const { limits } = configOf(keys);
  const broker = new TestBroker({
    limits: { ...limits, consumersPerSession: limits.consumersPerChannel, unackedBytesPerSession: limits.unackedBytes },
    amqp: { ...limits, heartbeatSeconds: limits.amqpHeartbeatSeconds },
    connection: limits,
  });
  await then(broker);
  expect(await broker.end()).toEqual([]);
}

/** An AMQP connection that is told what it may ask for, and has not said what it wants. */
async function tuned(broker: TestBroker): Promise<{ amqp: RawAmqp; tune: object }> {
  const amqp = broker.dialAmqp();
  await amqp.write(PROTOCOL_HEADER);
  await amqp.method('connection.start');
  await amqp.startOk();
  return { amqp, tune: (await amqp.method('connection.tune')).fields };
}

describe('limits of a connection', () => {
  test('limits.handshake-ms: an AMQP peer and a WebSocket that do not log in are cut', () =>
    brokerWith({ 'handshake-ms': 500 }, async (broker) => {
      const amqp = broker.dialAmqp();
      await amqp.write(PROTOCOL_HEADER);
      const socket = broker.dial();
      await broker.advance(499);
      expect([amqp.isClosed, socket.isOpen]).toEqual([false, true]);
      await broker.advance(1);
      await amqp.closed;
      expect(await socket.closed).toEqual({ code: 4408, reason: 'no hello within 0.5 seconds' });
    }));

  test('limits.login-delay-ms: the answer to a failed login waits as long', () =>
    brokerWith({ 'login-delay-ms': 3000 }, async (broker) => {
      const amqp = broker.dialAmqp();
      await amqp.write(PROTOCOL_HEADER);
      await amqp.method('connection.start');
      await amqp.startOk({ password: 'wrong' });
      await broker.advance(2999);
      expect(amqp.isClosed).toBe(false);
      await broker.advance(1);
      await amqp.closed;
    }));

  test('limits.frame-max, limits.channel-max, limits.amqp-heartbeat-seconds: offered, and no more is taken', () =>
    brokerWith({ 'frame-max': 8192, 'channel-max': 2, 'amqp-heartbeat-seconds': 7 }, async (broker) => {
      const { amqp, tune } = await tuned(broker);
      expect(tune).toEqual({ frameMax: 8192, channelMax: 2, heartbeat: 7 });
      await amqp.send(0, 'connection.tune-ok', { channelMax: 2, frameMax: 8193, heartbeat: 0 });
      expect(await amqp.outcome()).toMatchObject({ code: 530, text: expect.stringContaining('(8192)') });
      const open = broker.dialAmqp();
      await open.logIn();
      await open.openChannel(1);
      await open.openChannel(2);
      await open.send(3, 'channel.open', {});
      expect(await open.outcome()).toMatchObject({ code: 530, text: expect.stringContaining('channel_max (2)') });
      const large = broker.dialAmqp();
      await large.logIn();
      await large.write(rawFrame(3, 1, new Uint8Array(0), 8193).subarray(0, 7));
      expect(await large.outcome()).toMatchObject({ code: 501 });
    }));

  test('limits.frame-max-before-tune: a larger start-ok is refused', () =>
    brokerWith({ 'frame-max-before-tune': 4096 }, async (broker) => {
      const amqp = broker.dialAmqp();
      await amqp.write(PROTOCOL_HEADER);
      await amqp.method('connection.start');
      await amqp.write(rawFrame(1, 0, new Uint8Array(0), 4097).subarray(0, 7));
      expect(await amqp.outcome()).toMatchObject({ code: 501 });
    }));

  test('limits.connections-per-user: one more of the same user is refused', () =>
    brokerWith({ 'connections-per-user': 2 }, async (broker) => {
      await broker.observer();
      const second = await broker.connect();
      await expect(broker.connect()).rejects.toThrow('more than 2 connections of one user');
      await second.close();
      await broker.connect();
    }));

  test('limits.auth-failures-per-minute: after so many even the right password is refused', () => {
    const { authFailuresPerMinute } = configOf({ 'limits.auth-failures-per-minute': 2 }).limits;
    const failures = new LoginFailures(new VirtualClock(), authFailuresPerMinute);
    failures.count('ops', ELSEWHERE);
    expect(failures.refusal('ops', ELSEWHERE)).toBeUndefined();
    failures.count('ops', ELSEWHERE);
    expect(failures.refusal('ops', ELSEWHERE)?.message).toContain('too many failed logins');
  });
});

function tried(login: Login, password: string, remote: Remote = ELSEWHERE): string {
  let told = '';
  login.check('ops', password, remote, (outcome) => (told = outcome instanceof Error ? outcome.message : 'in'));
  return told;
}
const ELSEWHERE: Remote = { name: 'peer', address: '192.0.2.1', isLoopback: false };

describe('auth.plain-without-tls', () => {
  const ends = { peerPort: 1, localAddress: '', localPort: 1, isTls: true };
  const guarded = (rule: 'allow' | 'warn' | 'refuse'): { login: PlainGuard; notices: Notice[] } => {
    const notices: Notice[] = [];
    return { login: new PlainGuard(oneUser('ops', 'right'), rule, { notice: (notice) => void notices.push(notice) }), notices };
  };
  test('refuse takes no password that crossed a network in the clear, and says what would allow it', () => {
    const { login } = guarded('refuse');
    expect(tried(login, 'right')).toContain('passwords are not taken without TLS');
    expect(tried(login, 'right', { ...ELSEWHERE, ends })).toBe('in');
    expect(tried(login, 'right', { ...ELSEWHERE, isLoopback: true })).toBe('in');
  });
  test('warn says so once of an address, without the password; allow does not', () => {
    const { login, notices } = guarded('warn');
    for (const password of ['right', 'right', 'wr0ng']) tried(login, password);
    tried(login, 'right', { ...ELSEWHERE, ends });
    expect(notices).toMatchObject([{ kind: 'login.unencrypted', severity: 'warn', fields: { user: 'ops', address: '192.0.2.1' } }]);
    expect(JSON.stringify(notices)).not.toMatch(/right|wr0ng/);
    const silent = guarded('allow');
    expect([tried(silent.login, 'right'), silent.notices]).toEqual(['in', []]);
  });
});

describe('limits of messages', () => {
  const publish = (session: JsonSession, headers: JsonObject, body = '') =>
    session.raw('publish', { key: 'q', body, properties: { headers } });

  test('limits.message-bytes, limits.header-bytes and limits.table-depth: a message above is refused, one of that size is not', () =>
    brokerWith({ 'message-bytes': 1024, 'header-bytes': 64, 'table-depth': 2 }, async (broker) => {
      const session = await broker.connect();
      await session.raw('queue.declare', { queue: 'q' });
      await publish(session, { a: { b: 1 } }, 'x'.repeat(1024));
      await expect(publish(session, {}, 'x'.repeat(1025))).rejects.toThrow(/1024/);
      await expect(publish(session, { a: { b: { c: 1 } } })).rejects.toThrow('nested deeper than 2');
      await publish(session, { a: 'x'.repeat(64 - 4 - 2 - 5) });
      await expect(publish(session, { a: 'x'.repeat(64 - 4 - 2 - 4) })).rejects.toThrow('header table of 65 bytes is above 64');
      await session.raw('queue.purge', { queue: 'q' });
    }));

  test('limits.unacked-bytes: above it nothing more is delivered', () =>
    brokerWith({ 'unacked-bytes': 65_536 }, async (broker) => {
      const session = await broker.connect();
      await session.raw('queue.declare', { queue: 'q' });
      for (let i = 0; i < 4; i++) await session.raw('publish', { key: 'q', body: 'x'.repeat(33_000) });
      const inbox = await session.consume('q');
      await broker.idle();
      expect(inbox.deliveries).toHaveLength(2);
    }));

  test('limits.consumer-timeout-ms: a delivery that stays unacked for longer is taken back', () =>
    brokerWith({ 'consumer-timeout-ms': 5000 }, async (broker) => {
      const session = await broker.connect();
      await session.raw('queue.declare', { queue: 'q' });
      await session.raw('publish', { key: 'q', body: 'x' });
      const inbox = await session.consume('q', { prefetch: 1 });
      await broker.advance(4000);
      expect(inbox.deliveries).toMatchObject([{ redelivered: false }]);
      await broker.advance(2000);
      expect(inbox.deliveries.length).toBeGreaterThan(1);
    }));

  test('limits.delivery-limit: a quorum queue drops what came back more often, under a policy too', () =>
    brokerWith({ 'delivery-limit': 2 }, async (broker) => {
      const session = await broker.connect();
      broker.putPolicy({ 'max-length': 5 }); // says nothing of it
      await session.raw('queue.declare', { queue: 'q', durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await session.raw('publish', { key: 'q', body: 'x' });
      let deliveries = 0;
      for (; deliveries < 10; deliveries++) {
        const got = await session.do('get', { queue: 'q', noAck: false });
        if (got.message === null) break;
        await session.do('reject', { tag: got.message.tag, requeue: true });
      }
      expect(deliveries).toBe(3);
    }));

  test('limits.prefetch and limits.prefetch-max: what a consumer gets that asks for none, for all, or for too much', () =>
    brokerWith({ prefetch: 2, 'prefetch-max': 3 }, async (broker) => {
      const session = await broker.connect();
      await session.raw('queue.declare', { queue: 'q' });
      for (let i = 0; i < 8; i++) await session.raw('publish', { key: 'q', body: 'x' });
      const unset = await session.consume('q');
      const all = await session.consume('q', { prefetch: 0 });
      await broker.idle();
      expect([unset.deliveries.length, all.deliveries.length]).toEqual([2, 3]);
      await expect(session.consume('q', { prefetch: 4 })).rejects.toThrow('a prefetch of 4 is above 3');
      expect(broker.limits.prefetch).toBe(3);
    }));
});

test('limits.handles: one more publisher or consumer of a WebSocket connection is refused, and room is made when one ends', () => {
  const handles = new Handles(configOf({ 'limits.handles': 1 }).limits.handles);
  const gone = { kind: 'gone' } as const;
  handles.open(1, gone);
  expect(() => handles.checkFree(2)).toThrow('more than 1 handles on one connection');
  handles.close(1);
  handles.checkFree(2);
});

describe('limits of topology', () => {
  test('limits.queues-per-vhost, limits.bindings-per-queue, limits.topic-words: one more is refused, the same again is not', () =>
    brokerWith({ 'queues-per-vhost': 1, 'bindings-per-queue': 2, 'topic-words': 3 }, async (broker) => {
      const session = await broker.connect();
      const bind = (key: string) => session.raw('queue.bind', { queue: 'q', exchange: 'amq.topic', key });
      await session.raw('queue.declare', { queue: 'q' });
      await session.raw('queue.declare', { queue: 'q' });
      await expect(session.raw('queue.declare', { queue: 'r' })).rejects.toThrow("vhost '/' has 1 queues");
      await bind('a.b.c');
      await expect(bind('a.b.c.d')).rejects.toThrow('at most 3 words, this one 4');
      await bind('*');
      await bind('*');
      await expect(bind('#')).rejects.toThrow('2 are allowed');
    }));

  test('limits.consumers-per-channel: one more is refused', () =>
    brokerWith({ 'consumers-per-channel': 1 }, async (broker) => {
      const session = await broker.connect();
      await session.raw('queue.declare', { queue: 'q' });
      await session.consume('q');
      await expect(session.consume('q')).rejects.toThrow(/consumers/);
    }));
});
