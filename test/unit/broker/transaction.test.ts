// A transaction inside: one record, its bound, what admission counts, and any operations in any order with transactions among them.
// Always: an engine and a log that the test owns. What a client sees is in test/conformance/semantics-transactions.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryLog } from '../../../server/store/memory-log.ts';
import { AmqpError } from '../../../shared/error.ts';
import { CountingLog } from '../../support/counting-log.ts';
import { Engine, type EngineOptions, type Peer } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';
import { StagedLog } from '../../support/staged-log.ts';

function setUp(options: EngineOptions = {}): { engine: Engine; log: StagedLog; peer: Peer; answers: string[]; commit: () => void } {
  const log = new StagedLog();
  const engine = new Engine({ log, ...options });
  const peer = transactional(engine);
  engine.declare(peer, 'q');
  const answers: string[] = [];
  const commit = (): void => {
    try {
      peer.session.txCommit(() => answers.push('done'));
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      answers.push(error.detail.hint ?? error.message);
    }
  };
  return { engine, log, peer, answers, commit };
}

function transactional(engine: Engine): Peer {
  const peer = engine.connect();
  peer.session.closePublisher(peer.publisher);
  peer.publisher = peer.session.openPublisher(1, false);
  peer.session.txSelect();
  return peer;
}

test('publishes and acks are one record, and the answer waits until it is durable', () => {
  const { engine, log, peer, answers, commit } = setUp();
  for (let i = 0; i < 2; i++) engine.publish(engine.connect(), '', 'q', 'x');
  engine.consume(peer, 'q');
  engine.time.settle();
  engine.publish(peer, '', 'q', 'a');
  engine.publish(peer, '', 'nowhere', 'b');
  peer.session.ack(1, false);
  peer.session.reject(2, false);
  log.isBehind = true;
  commit();
  engine.time.settle();
  expect(log.transactions).toEqual([{ appends: 1, settled: 1 }]);
  expect([answers, bodies(peer)]).toEqual([[], ['x', 'x', 'a']]);
  log.isBehind = false;
  engine.broker.wake();
  engine.time.settle();
  expect(answers).toEqual(['done']);
});

test('an empty transaction, and one of nacks alone, cost no record', () => {
  const { engine, log, peer, answers, commit } = setUp();
  engine.publish(engine.connect(), '', 'q', 'x');
  commit();
  engine.consume(peer, 'q', { credit: 1 });
  engine.time.settle();
  peer.session.nack(1, false, true);
  commit();
  engine.time.settle();
  expect([answers, log.transactions]).toEqual([['done', 'done'], []]);
  expect(queueOf(engine, 'q').readyCount).toBe(1);
});

test('what the log refuses as a whole is not done at all', () => {
  const { engine, log, peer, answers, commit } = setUp();
  engine.publish(engine.connect(), '', 'q', 'x');
  engine.consume(peer, 'q');
  engine.time.settle();
  peer.session.ack(1, false);
  engine.publish(peer, '', 'q', 'y');
  log.refuses = true;
  commit();
  engine.time.settle();
  expect(answers).toEqual(['nothing of it was done: RESOURCE_ERROR - the message log is full']);
  expect(queueOf(engine, 'q')).toMatchObject({ unackedCount: 1, readyCount: 0, counts: { published: 1 } });
});

test('a transaction above its bound is refused, and its commit does nothing of it', () => {
  const { engine, peer, answers, commit } = setUp({ limits: { transactionBytes: 2_000 } });
  engine.publish(peer, '', 'q', 'x'.repeat(1_000));
  expect(() => engine.publish(peer, '', 'q', 'x'.repeat(1_000))).toThrow('PRECONDITION_FAILED - transaction larger than 2000 bytes');
  commit();
  expect(answers).toEqual(['nothing of it was done: PRECONDITION_FAILED - transaction larger than 2000 bytes']);
  expect(queueOf(engine, 'q').readyCount).toBe(0);
  engine.publish(peer, '', 'q', 'x'.repeat(1_000));
  commit();
  engine.time.settle();
  expect(answers[1]).toBe('done');
});

test('settles count too, and so does every queue that would take a message', () => {
  const { engine, peer, answers, commit } = setUp({ limits: { transactionBytes: 1_300 } });
  for (let i = 0; i < 11; i++) engine.publish(engine.connect(), '', 'q', 'x');
  engine.consume(peer, 'q');
  engine.time.settle();
  expect(() => peer.session.ack(0, true)).toThrow('transaction larger than');
  peer.session.txRollback();
  for (let i = 0; i < 40; i++) {
    engine.declare(peer, `fan ${i}`);
    peer.session.bindQueue(`fan ${i}`, 'amq.fanout', '', new Map());
  }
  engine.publish(peer, 'amq.fanout', '', 'x');
  commit();
  expect(answers).toEqual(['nothing of it was done: PRECONDITION_FAILED - transaction larger than 1300 bytes']);
});

test('a publish that its protocol had to refuse fails the transaction it belongs to', () => {
  const { engine, peer, answers, commit } = setUp();
  engine.publish(peer, '', 'q', 'x');
  peer.session.refusePublish(peer.publisher, new AmqpError(406, 'too large'));
  commit();
  expect(answers).toEqual(['nothing of it was done: PRECONDITION_FAILED - too large']);
  expect(queueOf(engine, 'q').readyCount).toBe(0);
});

test('a delivery that times out while its ack is held fails the commit: somebody else may have it', () => {
  const { engine, peer, answers, commit } = setUp();
  engine.declare(peer, 'slow', [['x-consumer-timeout', 60_000]]);
  engine.publish(engine.connect(), '', 'slow', 'x');
  engine.consume(peer, 'slow', { credit: 1 });
  engine.time.settle();
  peer.session.ack(1, false);
  engine.publish(peer, '', 'q', 'result');
  engine.time.advance(60_000);
  commit();
  expect(answers).toEqual(['nothing of it was done: PRECONDITION_FAILED - unknown delivery tag 1']);
  expect(queueOf(engine, 'q').readyCount).toBe(0);
  peer.session.ack(1, false); // late: forgiven once
  commit();
  expect(answers[1]).toBe('done');
});

test('a queue takes all that one transaction brings it, or nothing; what waits for room in a blocking queue goes first', () => {
  const { engine, peer, answers, commit } = setUp();
  engine.declare(peer, 'short', [
    ['x-max-length', 3],
    ['x-overflow', 'reject-publish'],
  ]);
  engine.declare(peer, 'bytes', [
    ['x-max-length-bytes', 5],
    ['x-overflow', 'block'],
  ]);
  for (const size of [4, 3]) {
    for (let i = 0; i < size; i++) engine.publish(peer, '', 'short', `${i}`);
    commit();
  }
  for (const body of ['aaa', 'bbb']) engine.publish(peer, '', 'bytes', body);
  commit();
  engine.time.settle();
  const refused = (queue: string): string => `nothing of it was done: CONTENT_TOO_LARGE - OVERFLOW queue='${queue}'`;
  expect(answers).toEqual([refused('short'), refused('bytes'), 'done']);
  expect([queueOf(engine, 'short').readyCount, queueOf(engine, 'bytes').readyCount]).toEqual([3, 0]);
});

test('bytes that a publisher reuses are the transaction\u2019s own, and a closed publisher\u2019s publishes are still in it', () => {
  const { engine, peer, commit } = setUp();
  const first = peer.publisher;
  engine.publish(peer, '', 'q', 'kept');
  peer.session.closePublisher(first);
  commit();
  engine.consume(peer, 'q');
  engine.time.settle();
  expect(bodies(peer)).toEqual(['kept']);
});

test('a request, and a reply, go when they are committed', () => {
  const { engine, peer, commit } = setUp();
  const requester = engine.connect();
  engine.consume(requester, 'amq.rabbitmq.reply-to', { noAck: true });
  engine.publish(peer, '', requester.session.replyName(), 'answer');
  engine.time.settle();
  expect(bodies(requester)).toEqual([]);
  commit();
  engine.time.settle();
  expect(bodies(requester)).toEqual(['answer']);
});

test('a session that ends before its transaction is durable is not answered', () => {
  const { engine, log, peer, answers, commit } = setUp();
  engine.publish(peer, '', 'q', 'x');
  log.isBehind = true;
  commit();
  peer.session.close();
  log.isBehind = false;
  engine.time.settle();
  expect(answers).toEqual([]);
});

test('a memory log takes a transaction whole or not at all, however its slabs fall', () => {
  const sizes = fc.array(fc.constantFrom(1, 600_000, 1_500_000), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(sizes, fc.nat({ max: 8_000_000 }), (lengths, bytesMax) => {
      const { engine, peer, answers, commit } = setUp({ log: new MemoryLog({ bytesMax }), limits: { publisherWindowBytes: 100_000_000 } });
      for (const length of lengths) engine.publish(peer, '', 'q', 'x'.repeat(length));
      commit();
      engine.consume(peer, 'q', { noAck: true });
      engine.time.settle();
      expect(bodies(peer).map(({ length }) => length)).toEqual(answers[0] === 'done' ? lengths : []);
    }),
    { numRuns: 50, examples: [[new Array<number>(8).fill(600_000), 6_000_000]] },
  );
});

describe('any operations in any order, transactions among them', () => {
  const operation = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ op: fc.constant('publish' as const), queue: fc.constantFrom('p', 'q', 'nowhere'), bytes: fc.nat({ max: 5 }) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('settle' as const),
        tag: fc.integer({ min: 0, max: 12 }),
        multiple: fc.boolean(),
        how: fc.constantFrom('ack' as const, 'nack' as const, 'drop' as const),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ op: fc.constantFrom('commit' as const, 'rollback' as const, 'recover' as const, 'wait' as const) }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('reconnect' as const, 'purge' as const, 'redeclare' as const) }) },
  );

  test('keep the accounts, and the log holds exactly what the queues hold', () => {
    const seen = { done: 0, failed: 0 };
    fc.assert(
      fc.property(fc.array(operation, { minLength: 5, maxLength: 60, size: 'max' }), fc.boolean(), (operations, defersReads) => {
        const turns = { defer: (task: () => void) => engine.time.defer(task) };
        const log = new CountingLog(new MemoryLog(defersReads ? { deferReads: turns } : {}));
        const engine = new Engine({ log, limits: { transactionBytes: 1_500 } });
        let peer = transactional(engine);
        const declare = (): void => {
          engine.declare(peer, 'p', [
            ['x-max-length', 3],
            ['x-overflow', 'reject-publish'],
            ['x-dead-letter-exchange', ''],
            ['x-dead-letter-routing-key', 'q'],
            ['x-consumer-timeout', 500],
          ]);
          engine.declare(peer, 'q', [['x-max-length', 4]]);
          for (const queue of ['p', 'q']) engine.consume(peer, queue, { handle: queue === 'p' ? 2 : 3, prefetch: 2 });
        };
        declare();
        for (const each of operations) {
          try {
            if (each.op === 'publish') engine.publish(peer, '', each.queue, 'x'.repeat(each.bytes));
            else if (each.op === 'settle' && each.how === 'ack') peer.session.ack(each.tag, each.multiple);
            else if (each.op === 'settle') peer.session.nack(each.tag, each.multiple, each.how === 'nack');
            else if (each.op === 'commit') peer.session.txCommit(() => seen.done++);
            else if (each.op === 'rollback') peer.session.txRollback();
            else if (each.op === 'recover') peer.session.recover();
            else if (each.op === 'wait') engine.time.advance(300);
            else if (each.op === 'purge') peer.session.purgeQueue('q');
            else if (each.op === 'redeclare') {
              for (const queue of ['p', 'q']) peer.session.deleteQueue(queue, false, false);
              declare();
            } else {
              peer.session.close();
              peer = transactional(engine);
              for (const queue of ['p', 'q']) engine.consume(peer, queue, { prefetch: 2 });
            }
          } catch (error) {
            if (!(error instanceof AmqpError)) throw error;
            if (each.op === 'commit') seen.failed++;
          }
          check(engine);
        }
        peer.session.close();
        engine.time.settle();
        const left = ['p', 'q'].reduce(
          (sum, name) => sum + queueOf(engine, name).readyCount + (queueOf(engine, name).deadLetters?.size ?? 0),
          0,
        );
        expect(log.live).toHaveLength(left);
      }),
      { numRuns: 300 },
    );
    expect(seen.done * seen.failed).toBeGreaterThan(0);
  });

  function check(engine: Engine): void {
    for (const name of ['p', 'q']) {
      const { counts, readyCount, unackedCount, deadLetters } = queueOf(engine, name);
      const out = counts.acked + counts.expired + counts.deadLettered + counts.dropped + counts.purged;
      expect(out + readyCount + unackedCount + (deadLetters?.size ?? 0), `accounts of ${name}`).toBe(counts.published);
    }
    expect(queueOf(engine, 'q').readyCount).toBeLessThanOrEqual(4);
  }
});
