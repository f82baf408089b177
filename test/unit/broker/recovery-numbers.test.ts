// What a broker makes of a past that its log hands over: numbers that are never given twice, and queues that behave as before.
// Always: the past is staged, message by message; the clock is the test's.

import { expect, test } from 'vitest';
import type { Definition } from '../../../server/ports.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';
import { type Past, queueNamed, StagedLog } from '../../support/staged-log.ts';

const DEAD = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
const SKIPPED = 2 ** 32;

function start(past: Past): { engine: Engine; log: StagedLog; peer: Peer } {
  const log = new StagedLog(past);
  const engine = new Engine({ log });
  return { engine, log, peer: engine.connect() };
}

/** The number of a new transient queue, and the seq of the next message in `queue`. */
function nextIds({ engine, peer }: { engine: Engine; peer: Peer }, queue: string): { number: number; seq: number } {
  engine.declare(peer, 'new', [], false);
  engine.declare(peer, queue);
  return { number: queueOf(engine, 'new').number, seq: queueOf(engine, queue).takeSeq() };
}

function balance(engine: Engine, name: string): number {
  const { counts, readyCount, unackedCount, deadLetters } = queueOf(engine, name);
  const { published, acked, expired, deadLettered, dropped, purged } = counts;
  return published - acked - expired - deadLettered - dropped - purged - readyCount - unackedCount - (deadLetters?.size ?? 0);
}

test('after a clean end numbers go on behind the highest that anything names', () => {
  const definitions = [queueNamed('q', 7, {}, { nextSeq: 20 }), queueNamed('r', 8, {}, { nextSeq: 5 })];
  const seqMax = (queueNumber: number) => (queueNumber === 8 ? 30 : 3);
  expect(nextIds(start({ definitions, seqMax, queueNumberMax: 40 }), 'q')).toEqual({ number: 41, seq: 20 });
  expect(nextIds(start({ definitions, seqMax, queueNumberMax: 4 }), 'r')).toEqual({ number: 9, seq: 31 });
});

test('after an unclean end every durable queue skips what may have got out, and the log is told so', () => {
  const definitions = [
    queueNamed('q', 7, {}, { nextSeq: 20 }),
    queueNamed('gone', 9),
    { kind: 'queue.delete', vhost: '/', name: 'gone', number: 9 },
  ];
  const { engine, log, peer } = start({ definitions, isClean: false, seqMax: () => 25 });
  expect(log.defined).toEqual([{ kind: 'queue.seq', vhost: '/', name: 'q', queueNumber: 7, nextSeq: 26 + SKIPPED }]);
  expect(nextIds({ engine, peer }, 'q').seq).toBe(26 + SKIPPED);
});

test('two crashes in a row give no seq twice, though nothing was published in between', () => {
  const definitions: Definition[] = [queueNamed('q', 1)];
  const seqs: number[] = [];
  for (let crash = 0; crash < 3; crash++) {
    const started = start({ definitions, isClean: false });
    seqs.push(nextIds(started, 'q').seq);
    definitions.push(...started.log.defined.filter(({ kind }) => kind === 'queue.seq'));
  }
  expect(seqs).toEqual([1 + SKIPPED, 1 + 2 * SKIPPED, 1 + 3 * SKIPPED]);
});

test('numbers of queues that no record names are not given again: a block of them is reserved before', () => {
  const first = start({});
  for (let i = 0; i < 1_500; i++) first.engine.declare(first.peer, `transient ${i}`, [], false);
  expect(first.log.defined).toEqual([
    { kind: 'queue.numbers', next: 1_001 },
    { kind: 'queue.numbers', next: 2_001 },
  ]);
  const second = start({ definitions: first.log.defined, isClean: false });
  expect(nextIds(second, 'q').number).toBe(2_001);
});

test('a checkpoint of the topology restores it, with the numbers that were given', () => {
  const { engine, peer } = start({});
  const exchange = { type: 'topic', autoDelete: false, internal: false, passive: false, arguments: new Map() };
  peer.session.declareExchange({ ...exchange, exchange: 'a', durable: true });
  peer.session.declareExchange({ ...exchange, exchange: 'transient', durable: false });
  engine.declare(peer, 'q', [['x-max-length', 3]]);
  engine.declare(peer, 'transient', [], false);
  peer.session.declareQueue({ queue: 'mine', durable: true, exclusive: true, autoDelete: false, passive: false, arguments: new Map() });
  for (const [queue, source] of [
    ['q', 'a'],
    ['mine', 'a'],
    ['q', 'amq.topic'],
    ['transient', 'amq.topic'],
    ['q', 'transient'],
  ] as const)
    peer.session.bindQueue(queue, source, '#', new Map());
  peer.session.bindExchange('a', 'amq.direct', 'k', new Map());
  peer.session.openTap(5, 'a', '#', new Map(), 10);
  engine.publish(peer, '', 'q', 'transient message');
  const definitions = engine.broker.topology();
  expect(definitions.map(({ kind, name, source }) => `${kind} ${name ?? source ?? ''}`)).toEqual([
    'queue.numbers ',
    'exchange a',
    'queue q',
    'binding amq.direct',
    'binding amq.topic',
    'binding a',
  ]);
  expect(definitions.find(({ kind }) => kind === 'queue')).toMatchObject({ nextSeq: 2, arguments: { 'x-max-length': 3 } });
  const restored = new Engine({ log: new StagedLog({ definitions: JSON.parse(JSON.stringify(definitions)) }) });
  expect(restored.broker.topology()).toEqual(definitions);
});

test('messages of queues that are unknown or deleted are not taken', () => {
  const definitions = [queueNamed('q', 1), { kind: 'queue.delete', vhost: '/', name: 'q', number: 1 }, queueNamed('q', 2)];
  const messages = [1, 2, 3].map((queueNumber) => ({ queueNumber, seq: 1, body: `of ${queueNumber}` }));
  const { engine, log, peer } = start({ definitions, messages });
  expect(log.taken).toEqual([false, true, false]);
  engine.consume(peer, 'q');
  engine.time.settle();
  expect(bodies(peer)).toEqual(['of 2']);
});

test('a message whose deadline passed while the broker was down is dead-lettered, never delivered', () => {
  const now = new Engine().time.now();
  const definitions = [queueNamed('dead', 1), queueNamed('q', 2, { ...DEAD, 'x-message-ttl': 1_000 })];
  // in order, as a queue's TTL makes them, save two that have an earlier deadline of their own
  const deadlines = [now - 5, now + 10, now - 7, now + 20, now + 15];
  const messages = deadlines.map((deadline, i) => ({ queueNumber: 2, seq: i + 1, body: `${deadline - now}`, deadline }));
  const { engine, peer } = start({ definitions, messages });
  engine.consume(peer, 'dead');
  engine.time.advance(0);
  expect(bodies(peer).sort()).toEqual(['-5', '-7']);
  expect(queueOf(engine, 'q').readyCount).toBe(3);
  engine.time.advance(15);
  expect(bodies(peer).slice(2)).toEqual(['10', '15']);
  engine.time.advance(5);
  expect(bodies(peer).slice(4)).toEqual(['20']);
  expect([balance(engine, 'q'), balance(engine, 'dead')]).toEqual([0, 0]);
});

test('a queue that holds more than its limit, since what was unacked is back, drops its oldest', () => {
  const definitions = [
    queueNamed('dead', 1),
    queueNamed('q', 2, { ...DEAD, 'x-max-length': 2 }),
    queueNamed('bytes', 3, { 'x-max-length-bytes': 4 }),
  ];
  const messages = [2, 3].flatMap((queueNumber) => ['aa', 'bb', 'cc'].map((body, i) => ({ queueNumber, seq: i + 1, body })));
  const { engine, peer } = start({ definitions, messages });
  engine.time.settle();
  expect(queueOf(engine, 'q').readyCount).toBe(2);
  expect(queueOf(engine, 'bytes')).toMatchObject({ readyBytes: 4, counts: { published: 3, dropped: 1 } });
  engine.consume(peer, 'dead');
  engine.time.settle();
  expect(bodies(peer)).toEqual(['aa']);
  expect(['q', 'dead', 'bytes'].map((name) => balance(engine, name))).toEqual([0, 0, 0]);
});

test('the lease of x-expires begins anew, and an auto-delete queue stays until a consumer has come and gone', () => {
  const definitions = [queueNamed('leased', 1, { 'x-expires': 1_000 }), queueNamed('auto', 2, {}, { autoDelete: true })];
  const { engine, peer } = start({ definitions, messages: [{ queueNumber: 2, seq: 1 }] });
  const queues = (): string[] => [...(engine.broker.vhost('/')?.queues.keys() ?? [])];
  engine.time.advance(999);
  expect(queues()).toEqual(['leased', 'auto']);
  engine.time.advance(1);
  expect(queues()).toEqual(['auto']);
  const consumer = engine.consume(peer, 'auto');
  peer.session.cancel(consumer);
  expect(queues()).toEqual([]);
});

test('a dead letter that waited over its delivery limit goes on to wait, and is not delivered again', () => {
  const definitions = [queueNamed('dead', 1), queueNamed('q', 2, { ...DEAD, 'x-delivery-limit': 1 })];
  const { engine, peer } = start({ definitions, messages: [{ queueNumber: 2, seq: 1, body: 'poison', deliveryCount: 2 }] });
  engine.consume(peer, 'q', { handle: 3 });
  engine.consume(peer, 'dead', { handle: 4 });
  engine.time.settle();
  engine.time.settle();
  expect(peer.sink.delivered.map(({ handle, body }) => [handle, body])).toEqual([[4, 'poison']]);
  expect(balance(engine, 'q')).toBe(0);
});

test('a broker that closes tells the log how far its queues came, and that a waiting dead letter was delivered', async () => {
  const { engine, log, peer } = start({
    definitions: [queueNamed('q', 1, DEAD), queueNamed('dead', 2, { 'x-max-length': 0, 'x-overflow': 'reject-publish' })],
  });
  engine.publish(peer, '', 'q', 'transient message');
  engine.consume(peer, 'q');
  engine.time.settle();
  peer.session.reject(1, false);
  engine.time.settle();
  expect(queueOf(engine, 'q').deadLetters?.size).toBe(1);
  await engine.broker.close();
  expect(log.requeues).toEqual([{ queueNumber: 1, seq: 1, flags: 2, deliveryCount: 0 }]);
  expect(log.defined.filter(({ kind }) => kind === 'queue.seq').map(({ queueNumber, nextSeq }) => [queueNumber, nextSeq])).toEqual([
    [1, 2],
  ]);
});
