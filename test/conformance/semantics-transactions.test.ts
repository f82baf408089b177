// Transactions (semantics X4; section 15, row 44), at the session: AMQP's class tx is one call each of what is asked here.
// Always: an engine that the test owns; a turn ends when the test says so.

import { describe, expect, test } from 'vitest';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { AmqpError } from '../../shared/error.ts';
import { Engine, type Peer } from '../support/engine.ts';
import { bodies, queueOf } from '../support/engine-queues.ts';
import { RememberingLog } from '../support/remembering-log.ts';

interface Transactional extends Peer {
  engine: Engine;
}

/** A session in tx mode, with a queue `q`. */
function setUp(log?: RememberingLog): Transactional {
  const engine = new Engine(log === undefined ? {} : { log });
  const peer = engine.connect();
  peer.session.closePublisher(peer.publisher);
  const publisher: Publisher = peer.session.openPublisher(1, false);
  peer.session.txSelect();
  engine.declare(peer, 'q');
  return { ...peer, publisher, engine };
}

function commit({ engine, session }: Transactional): boolean {
  let isDone = false;
  session.txCommit(() => (isDone = true));
  engine.time.settle();
  return isDone;
}

/** What the call was refused with. */
function refusal(call: () => void): Pick<AmqpError, 'code' | 'message' | 'detail'> {
  try {
    call();
  } catch (error) {
    return error as AmqpError;
  }
  throw new Error('it was not refused');
}

/** Two messages in `q`, delivered and unacked. */
function deliver(tx: Transactional): void {
  const other = tx.engine.connect();
  for (const body of ['a', 'b', 'c']) tx.engine.publish(other, '', 'q', body);
  tx.engine.consume(tx, 'q', { prefetch: 3 });
  tx.engine.time.settle();
  expect(bodies(tx)).toEqual(['a', 'b', 'c']);
}

describe('publishing', () => {
  test('what is published is nowhere before the commit, and in its queues after it, in order', () => {
    const tx = setUp();
    for (const body of ['1', '2', '3']) tx.engine.publish(tx, '', 'q', body);
    tx.engine.time.settle();
    expect(queueOf(tx.engine, 'q').readyCount).toBe(0);
    expect(commit(tx)).toBe(true);
    tx.engine.consume(tx, 'q');
    tx.engine.time.settle();
    expect(bodies(tx)).toEqual(['1', '2', '3']);
  });

  test('a rollback drops it, and the next commit has nothing of it', () => {
    const tx = setUp();
    tx.engine.publish(tx, '', 'q', 'dropped');
    tx.session.txRollback();
    tx.engine.publish(tx, '', 'q', 'kept');
    commit(tx);
    expect(queueOf(tx.engine, 'q').counts.published).toBe(1);
    expect(commit(tx)).toBe(true);
    expect(queueOf(tx.engine, 'q').counts.published).toBe(1);
  });

  test('a mandatory message that nobody takes comes back with the commit', () => {
    const tx = setUp();
    tx.engine.publish(tx, '', 'nowhere', 'lost', {}, true);
    tx.engine.time.settle();
    expect(tx.sink.returns).toEqual([]);
    expect(commit(tx)).toBe(true);
    expect(tx.sink.returns).toEqual([{ seq: 1, code: 312 }]);
    tx.engine.publish(tx, '', 'nowhere', 'lost', {}, true);
    tx.session.txRollback();
    commit(tx);
    expect(tx.sink.returns).toHaveLength(1);
  });
});

describe('settling', () => {
  test('acks, nacks and rejects wait for the commit', () => {
    const tx = setUp();
    deliver(tx);
    tx.session.ack(1, false);
    tx.session.nack(2, false, false);
    tx.session.reject(3, true);
    tx.engine.time.settle();
    const queue = queueOf(tx.engine, 'q');
    expect([queue.unackedCount, queue.readyCount]).toEqual([3, 0]);
    expect(commit(tx)).toBe(true);
    expect(queue.counts).toMatchObject({ acked: 1, dropped: 1, requeued: 1 });
    expect(tx.sink.delivered[3]).toMatchObject({ body: 'c', redelivered: true });
  });

  test('a rollback requeues nothing: deliveries stay unacked, and may be settled again', () => {
    const tx = setUp();
    deliver(tx);
    tx.session.ack(2, true);
    tx.session.txRollback();
    tx.engine.time.settle();
    expect(queueOf(tx.engine, 'q')).toMatchObject({ unackedCount: 3, readyCount: 0 });
    expect(bodies(tx)).toHaveLength(3);
    tx.session.ack(3, true);
    expect(commit(tx)).toBe(true);
    expect(queueOf(tx.engine, 'q').counts.acked).toBe(3);
  });

  test('a tag is settled once in a transaction; an unknown one is refused at once', () => {
    const tx = setUp();
    deliver(tx);
    tx.session.ack(1, false);
    expect(refusal(() => tx.session.ack(1, false))).toMatchObject({ code: 406, message: 'PRECONDITION_FAILED - unknown delivery tag 1' });
    expect(refusal(() => tx.session.nack(9, false, true))).toMatchObject({ code: 406 });
    tx.session.nack(0, true, false);
    expect(commit(tx)).toBe(true);
    expect(queueOf(tx.engine, 'q').counts).toMatchObject({ acked: 1, dropped: 2 });
  });

  test('consuming is no part of it, and neither is recover, which leaves held settles alone', () => {
    const tx = setUp();
    deliver(tx);
    tx.session.ack(1, false);
    tx.session.recover();
    tx.engine.time.settle();
    expect(bodies(tx)).toEqual(['a', 'b', 'c', 'b', 'c']);
    tx.session.txRollback();
    expect(queueOf(tx.engine, 'q').unackedCount).toBe(3);
  });

  test('when the connection ends, everything goes back', () => {
    const tx = setUp();
    deliver(tx);
    tx.session.ack(0, true);
    tx.engine.publish(tx, '', 'q', 'never');
    tx.session.close();
    tx.engine.time.settle();
    expect(queueOf(tx.engine, 'q')).toMatchObject({ unackedCount: 0, readyCount: 3, counts: { published: 3 } });
  });
});

describe('a commit that cannot be done', () => {
  const failing: [why: string, key: string, exchange: string, cause: string][] = [
    ['an exchange that does not exist', 'q', 'nosuch', "NOT_FOUND - no exchange 'nosuch' in vhost '/'"],
    ['an exchange that is internal', 'q', 'amq.rabbitmq.trace', 'ACCESS_REFUSED - cannot publish to internal'],
    ['a queue that refuses', 'full', '', "CONTENT_TOO_LARGE - OVERFLOW queue='full'"],
  ];
  test.each(failing)('%s: 406, nothing is published and nothing settled', (_why, key, exchange, cause) => {
    const tx = setUp();
    tx.engine.declare(tx, 'full', [
      ['x-max-length', 1],
      ['x-overflow', 'reject-publish'],
    ]);
    deliver(tx);
    tx.session.ack(1, false);
    tx.session.nack(2, false, false);
    tx.engine.publish(tx, '', 'full', 'fits');
    tx.engine.publish(tx, exchange, key, 'does not');
    const error = refusal(() => commit(tx));
    expect([error.code, error.message]).toEqual([406, 'PRECONDITION_FAILED - partial tx completion']);
    expect(error.detail.hint).toContain(cause);
    tx.engine.time.settle();
    expect(queueOf(tx.engine, 'full').readyCount).toBe(0);
    expect(queueOf(tx.engine, 'q')).toMatchObject({ unackedCount: 3, counts: { acked: 0, dropped: 0 } });
    tx.session.ack(1, false);
    tx.engine.publish(tx, '', 'full', 'fits');
    expect(commit(tx)).toBe(true);
    expect(queueOf(tx.engine, 'q').counts.acked).toBe(1);
    expect(queueOf(tx.engine, 'full').readyCount).toBe(1);
  });
});

describe('modes', () => {
  test('tx and confirms exclude each other, both ways', () => {
    const { session } = new Engine().connect(); // its publisher is confirmed
    expect(refusal(() => session.txSelect())).toMatchObject({
      code: 406,
      message: 'PRECONDITION_FAILED - cannot switch from confirm to tx mode',
    });
    const tx = setUp();
    expect(refusal(() => tx.session.openPublisher(2, true))).toMatchObject({
      code: 406,
      message: 'PRECONDITION_FAILED - cannot switch from tx to confirm mode',
    });
  });

  test('commit and rollback want a select before; a second select changes nothing', () => {
    const { session } = new Engine().connect();
    for (const call of [() => session.txCommit(() => undefined), () => session.txRollback()])
      expect(refusal(call)).toMatchObject({ code: 406, message: 'PRECONDITION_FAILED - channel is not transactional' });
    const tx = setUp();
    tx.engine.publish(tx, '', 'q', 'held');
    tx.session.txSelect();
    commit(tx);
    expect(queueOf(tx.engine, 'q').readyCount).toBe(1);
  });
});

test('what was committed outlives the broker, what was not does not', async () => {
  const log = new RememberingLog();
  const tx = setUp(log);
  deliver(tx); // not persistent
  tx.engine.declare(tx, 'r');
  const persistent = { deliveryMode: 2 };
  tx.engine.publish(tx, '', 'q', 'in q', persistent);
  tx.engine.publish(tx, '', 'r', 'in r', persistent);
  commit(tx);
  tx.engine.publish(tx, '', 'r', 'never', persistent);
  tx.session.ack(0, true);
  await tx.engine.broker.close();
  const after = new Engine({ log });
  const reader = after.connect();
  for (const queue of ['q', 'r']) after.consume(reader, queue);
  after.time.settle();
  expect(bodies(reader)).toEqual(['in q', 'in r']);
});
