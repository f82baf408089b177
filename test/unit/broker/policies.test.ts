// Policies: which holds, that it shows at once in what is there, that it is undone, what is refused, and that it outlives the broker.
import { describe, expect, test } from 'vitest';
import type { Queue } from '../../../server/broker/queue.ts';
import type { MessageLog } from '../../../server/ports.ts';
import { AmqpError } from '../../../shared/error.ts';
import type { JsonObject } from '../../../shared/protocol/control.ts';
import { DataDirectory } from '../../support/data-directory.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';
import { RememberingLog } from '../../support/remembering-log.ts';

const UNLIMITED = Number.POSITIVE_INFINITY;

function stage(): {
  engine: Engine;
  peer: Peer;
  put: (name: string, definition: JsonObject, more?: JsonObject) => void;
  clear: (name: string) => void;
} {
  const engine = new Engine();
  const { policies } = engine.broker;
  return {
    engine,
    peer: engine.connect(),
    put: (name, definition, more = {}) => {
      policies.put('policy', '/', name, { pattern: '.*', definition, ...more });
      engine.time.settle();
    },
    clear: (name) => {
      policies.delete('policy', '/', name);
      engine.time.settle();
    },
  };
}

function fill(engine: Engine, peer: Peer, queue: string, count: number): void {
  for (let i = 1; i <= count; i++) engine.publish(peer, '', queue, `m${i}`);
  engine.time.settle();
}

function drain(engine: Engine, queue: string): string[] {
  const reader = engine.connect();
  engine.consume(reader, queue, { noAck: true });
  engine.time.settle();
  reader.session.close();
  return bodies(reader);
}

describe('which policy holds', () => {
  test('the one of the highest priority among those that match, alone; of equals the first by name', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'orders.eu');
    put('low', { 'max-length': 5, expires: 1_000 }, { priority: -1 });
    put('high', { 'max-length-bytes': 9 }, { pattern: '^orders', priority: 3 });
    put('also', { 'delivery-limit': 2 }, { pattern: 'eu$', priority: 3 });
    put('other', { 'max-length': 1 }, { pattern: '^eu', priority: 9 });
    const queue = queueOf(engine, 'orders.eu');
    expect(queue.policy).toEqual({ policy: 'also', operatorPolicy: undefined, definition: { 'delivery-limit': 2 } });
    clear('also');
    expect([queue.policy.policy, queue.settings.maxLengthBytes, queue.settings.maxLength]).toEqual(['high', 9, UNLIMITED]);
    clear('high');
    expect([queue.policy.policy, queue.settings.maxLengthBytes, queue.settings.maxLength]).toEqual(['low', UNLIMITED, 5]);
    clear('low');
    expect([queue.policy.policy, queue.settings.maxLength]).toEqual([undefined, UNLIMITED]);
  });

  test('apply-to tells queues of each type from exchanges', () => {
    const { engine, peer, put } = stage();
    engine.declare(peer, 'c');
    engine.declare(peer, 'q', [['x-queue-type', 'quorum']]);
    const { queues, exchanges } = peer.session.vhost;
    const found = (applyTo: string): (string | undefined)[] => {
      put('p', { 'max-length': 9, 'alternate-exchange': 'amq.fanout' }, { 'apply-to': applyTo });
      return [queues.get('c'), queues.get('q'), exchanges.get('amq.direct')].map((each) => each?.policy.policy);
    };
    expect(found('all')).toEqual(['p', 'p', 'p']);
    expect(found('queues')).toEqual(['p', 'p', undefined]);
    expect(found('classic_queues')).toEqual(['p', undefined, undefined]);
    expect(found('quorum_queues')).toEqual([undefined, 'p', undefined]);
    expect(found('streams')).toEqual([undefined, undefined, undefined]);
    expect(found('exchanges')).toEqual([undefined, undefined, 'p']);
  });

  test('a glob may stand for the pattern', () => {
    const { engine, peer } = stage();
    engine.declare(peer, 'orders.eu');
    engine.declare(peer, 'more.orders.eu');
    engine.broker.policies.put('policy', '/', 'p', { glob: 'orders.*', definition: { 'max-length': 1 } });
    expect(queueOf(engine, 'orders.eu').settings.maxLength).toBe(1);
    expect(queueOf(engine, 'more.orders.eu').settings.maxLength).toBe(UNLIMITED);
    expect(engine.broker.policies.get('policy', '/', 'p')?.glob).toBe('orders.*');
  });

  test('an operator policy caps what arguments and policy ask for, holds without them, and both names are listed', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q', [['x-max-length', 100]]);
    const { policies } = engine.broker;
    put('p', { 'max-length': 7, overflow: 'reject-publish' });
    policies.put('operator-policy', '/', 'o', { pattern: '.*', definition: { 'max-length': 8, 'max-length-bytes': 50 } });
    const queue = queueOf(engine, 'q');
    const effective = { 'max-length': 7, overflow: 'reject-publish', 'max-length-bytes': 50 };
    expect(queue.policy).toEqual({ policy: 'p', operatorPolicy: 'o', definition: effective });
    expect([queue.settings.maxLength, queue.settings.maxLengthBytes]).toEqual([7, 50]);
    clear('p');
    expect([queue.settings.maxLength, queue.settings.overflow]).toEqual([8, 'drop-head']);
    policies.delete('operator-policy', '/', 'o');
    expect([queue.settings.maxLength, queue.settings.maxLengthBytes]).toEqual([100, UNLIMITED]);
  });

  test('arguments hold against a policy for dead letters and overflow; of numbers the lower holds, a default is none', () => {
    const { engine, peer, put } = stage();
    engine.declare(peer, 'q', [
      ['x-dead-letter-exchange', 'own'],
      ['x-overflow', 'reject-publish'],
      ['x-message-ttl', 500],
      ['x-expires', 90_000],
      ['x-delivery-limit', -1],
    ]);
    engine.declare(peer, 'quorum', [['x-queue-type', 'quorum']]);
    const numbers = { 'message-ttl': 900, expires: 50_000, 'delivery-limit': 50 };
    put('p', { ...numbers, 'dead-letter-exchange': 'dlx', 'dead-letter-routing-key': 'k', overflow: 'drop-head' });
    expect(queueOf(engine, 'q').settings).toMatchObject({
      deadLetterExchange: 'own',
      deadLetterRoutingKey: 'k',
      overflow: 'reject-publish',
      messageTtlMs: 500,
      expiresMs: 50_000,
      deliveryLimit: 50,
    });
    expect(queueOf(engine, 'quorum').settings).toMatchObject({ deliveryLimit: 50, deadLetterExchange: 'dlx' });
    put('p', { 'dead-letter-routing-key': 'k' });
    expect(queueOf(engine, 'quorum').settings).toMatchObject({ deliveryLimit: 20, deadLetterRoutingKey: undefined });
  });
});

describe('what is there follows', () => {
  test('a length limit drops the oldest at once, and lets more in when it is gone', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q');
    fill(engine, peer, 'q', 5);
    put('p', { 'max-length': 2 });
    expect([queueOf(engine, 'q').readyCount, queueOf(engine, 'q').counts.dropped]).toEqual([2, 3]);
    clear('p');
    fill(engine, peer, 'q', 4);
    expect(drain(engine, 'q')).toEqual(['m4', 'm5', 'm1', 'm2', 'm3', 'm4']);
  });

  test('reject-publish drops nothing, and refuses what comes', () => {
    const { engine, peer, put } = stage();
    engine.declare(peer, 'q');
    fill(engine, peer, 'q', 3);
    put('p', { 'max-length': 2, overflow: 'reject-publish' });
    fill(engine, peer, 'q', 1);
    expect([queueOf(engine, 'q').readyCount, queueOf(engine, 'q').counts.refused]).toEqual([3, 1]);
  });

  test('publishes that wait are let in where the policy that held them goes, and refused where another has no room', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q');
    put('p', { 'max-length': 1, overflow: 'block' });
    fill(engine, peer, 'q', 3);
    const queue = queueOf(engine, 'q');
    expect([queue.readyCount, queue.held?.size]).toEqual([1, 2]);
    put('p', { 'max-length': 2, overflow: 'block' });
    expect([queue.readyCount, queue.held?.size]).toEqual([2, 1]);
    put('p', { 'max-length': 2, overflow: 'reject-publish' });
    expect([queue.readyCount, queue.held, queue.counts.refused]).toEqual([2, undefined, 1]);
    put('p', { 'max-length': 2, overflow: 'block' });
    fill(engine, peer, 'q', 2);
    clear('p');
    expect([queue.readyCount, queue.held]).toEqual([4, undefined]);
  });

  test('a publish that waits for a queue made too small for it is refused', () => {
    const { engine, peer, put } = stage();
    engine.declare(peer, 'q');
    put('p', { 'max-length-bytes': 4, overflow: 'block' });
    engine.publish(peer, '', 'q', 'full');
    engine.publish(peer, '', 'q', 'long');
    engine.publish(peer, '', 'q', 's');
    engine.time.settle();
    put('p', { 'max-length-bytes': 2, overflow: 'block' });
    expect([queueOf(engine, 'q').counts.refused, queueOf(engine, 'q').held?.size]).toEqual([1, 1]);
    expect(drain(engine, 'q')).toEqual(['full', 's']);
  });

  test('a dead-letter exchange appears and disappears', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q');
    engine.declare(peer, 'dead');
    put('p', { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'dead', 'max-length': 1 }, { pattern: '^q$' });
    fill(engine, peer, 'q', 3);
    expect([queueOf(engine, 'dead').readyCount, queueOf(engine, 'q').counts.deadLettered]).toEqual([2, 2]);
    put('p', { 'max-length': 1 }, { pattern: '^q$' });
    fill(engine, peer, 'q', 1);
    clear('p');
    expect([queueOf(engine, 'dead').readyCount, queueOf(engine, 'q').counts.dropped]).toEqual([2, 1]);
  });

  test('what died while there was a dead-letter exchange waits for its full target without it too', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q', [['x-message-ttl', 10]]);
    engine.declare(peer, 'dead', [
      ['x-max-length', 1],
      ['x-overflow', 'reject-publish'],
    ]);
    put('p', { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'dead' }, { pattern: '^q$' });
    fill(engine, peer, 'q', 2);
    engine.time.advance(20);
    clear('p');
    expect([queueOf(engine, 'dead').readyCount, queueOf(engine, 'q').deadLetters?.size]).toEqual([1, 1]);
    expect(drain(engine, 'dead')).toEqual(['m1']);
    engine.time.advance(2_000);
    expect([queueOf(engine, 'dead').readyCount, queueOf(engine, 'q').deadLetters?.size]).toEqual([1, 0]);
  });

  test('a TTL is for what comes from now on, and that expires on time behind what does not', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q');
    fill(engine, peer, 'q', 1);
    put('p', { 'message-ttl': 1_000 });
    fill(engine, peer, 'q', 1);
    put('p', { 'message-ttl': 100 });
    fill(engine, peer, 'q', 1);
    const queue = queueOf(engine, 'q');
    engine.time.advance(99);
    expect(queue.readyCount).toBe(3);
    engine.time.advance(1);
    expect(queue.readyCount).toBe(2);
    engine.time.advance(900);
    expect(queue.readyCount).toBe(1);
    clear('p');
    fill(engine, peer, 'q', 1);
    engine.time.advance(1_000_000);
    expect(queue.readyCount).toBe(2);
  });

  test('expires counts from the policy on, and not after it', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q');
    engine.time.advance(5_000);
    put('p', { expires: 1_000 });
    engine.time.advance(900);
    put('other', { expires: 1_000 }, { pattern: 'nothing' });
    clear('other');
    expect(peer.session.vhost.queues.has('q')).toBe(true);
    clear('p');
    engine.time.advance(5_000);
    expect(peer.session.vhost.queues.has('q')).toBe(true);
    put('p', { expires: 1_000 });
    engine.time.advance(1_000);
    expect(peer.session.vhost.queues.has('q')).toBe(false);
    expect(engine.time.timerCount).toBe(0);
  });

  test('a consumer timeout holds for what is out already, unless the consumer asked for its own', () => {
    const { engine, peer, put } = stage();
    engine.declare(peer, 'q');
    fill(engine, peer, 'q', 2);
    engine.consume(peer, 'q', { prefetch: 1, handle: 2 });
    engine.consume(peer, 'q', { prefetch: 1, handle: 3, arguments: new Map([['x-consumer-timeout', 60_000]]) });
    engine.time.settle();
    put('p', { 'consumer-timeout': 1_000 });
    engine.time.advance(999);
    const requeued = (): number => queueOf(engine, 'q').counts.requeued;
    expect(requeued()).toBe(0);
    engine.time.advance(1);
    expect(requeued()).toBe(1);
  });

  test('a delivery limit counts what was delivered before', () => {
    const { engine, peer, put } = stage();
    engine.declare(peer, 'q');
    put('p', { 'delivery-limit': 0 });
    fill(engine, peer, 'q', 1);
    const reader = engine.connect();
    engine.consume(reader, 'q');
    engine.time.settle();
    reader.session.close();
    engine.time.settle();
    expect([queueOf(engine, 'q').readyCount, queueOf(engine, 'q').counts.dropped]).toEqual([0, 1]);
  });

  test('an alternate exchange holds for the next publish, and goes; an argument and the default exchange do without', () => {
    const { engine, peer, put, clear } = stage();
    engine.declare(peer, 'q');
    peer.session.bindQueue('q', 'amq.fanout', '', new Map());
    const args = new Map([['alternate-exchange', 'nowhere']]);
    peer.session.declareExchange({
      exchange: 'own',
      type: 'direct',
      durable: true,
      autoDelete: false,
      internal: false,
      passive: false,
      arguments: args,
    });
    const arrives = (exchange: string): boolean => {
      const before = queueOf(engine, 'q').readyCount;
      engine.publish(peer, exchange, 'none', 'm');
      engine.time.settle();
      return queueOf(engine, 'q').readyCount > before;
    };
    expect(arrives('amq.direct')).toBe(false);
    put('p', { 'alternate-exchange': 'amq.fanout' });
    expect([arrives('amq.direct'), arrives(''), arrives('own')]).toEqual([true, false, false]);
    clear('p');
    expect(arrives('amq.direct')).toBe(false);
  });

  test('what is declared later gets it, taps and other vhosts do not', () => {
    const { engine, peer, put } = stage();
    engine.broker.vhosts.put('shop', {});
    put('p', { 'max-length': 1 });
    engine.declare(peer, 'q');
    expect(queueOf(engine, 'q').policy.policy).toBe('p');
    expect(engine.broker.policies.list('policy', 'shop')).toEqual([]);
    expect(engine.broker.vhost('shop')?.exchanges.get('amq.topic')?.policy.policy).toBeUndefined();
    engine.broker.policies.put('policy', 'shop', 's', { pattern: '', definition: { 'max-length': 1 } });
    engine.broker.vhosts.delete('shop');
    expect(engine.broker.policies.list('policy', 'shop')).toEqual([]);
  });
});

describe('what is no policy is refused in the words of RabbitMQ', () => {
  const good = { pattern: '.*', definition: { expires: 1 } };
  const cases: [JsonObject, string][] = [
    [{ ...good, definition: {} }, 'no policy provided'],
    [{ ...good, definition: { 'unknown-key': 1, other: 2 } }, '[{<<"other">>,2},{<<"unknown-key">>,1}] are not recognised policy settings'],
    [{ ...good, definition: { 'max-priority': 5 } }, '[{<<"max-priority">>,5}] are not recognised policy settings'],
    [{ ...good, definition: { 'max-length': -1 } }, '-1 is not a valid maximum length'],
    [{ ...good, definition: { 'max-length': '5' } }, '<<"5">> is not a valid maximum length'],
    [{ ...good, definition: { 'max-length': -1, expires: 0 } }, '0 is not a valid queue expiry'],
    [{ ...good, definition: { 'message-ttl': 1.5 } }, '1.5 is not a valid message TTL'],
    [{ ...good, definition: { overflow: 'nope' } }, '<<"nope">> is not a valid overflow value'],
    [{ ...good, definition: { 'dead-letter-exchange': 5 } }, '5 is not a valid dead letter exchange name'],
    [{ ...good, definition: { 'alternate-exchange': ['a'] } }, '[<<"a">>] is not a valid alternate exchange name'],
    [{ ...good, definition: 'x' }, 'policy definition should be an object, actually was <<"x">>'],
    [{ ...good, pattern: '(' }, 'pattern should be regular expression but is invalid: '],
    [{ ...good, 'apply-to': 'nope' }, "apply-to 'nope' unrecognised; should be one of all, queues"],
    [{ ...good, priority: 'x' }, 'priority should be a number'],
    [{ definition: { expires: 1 } }, 'pattern should be a string'],
    [{ ...good, glob: '*' }, 'either a pattern or a glob'],
  ];
  test.each(cases)('%j', (body, text) => {
    const { policies } = new Engine().broker;
    expect(() => policies.put('policy', '/', 'p', body)).toThrow(`PRECONDITION_FAILED - Validation failed\n\n${text}`);
    expect(policies.list('policy', '/')).toEqual([]);
  });

  test('an operator policy has only what caps', () => {
    const { policies } = new Engine().broker;
    const put = (definition: JsonObject) => (): boolean => policies.put('operator-policy', '/', 'o', { pattern: '', definition });
    expect(put({ overflow: 'drop-head' })).toThrow('[{<<"overflow">>,<<"drop-head">>}] are not recognised policy settings');
    expect(put({ 'dead-letter-exchange': 'x' })).toThrow('are not recognised');
    expect(put({ 'message-ttl': 1, expires: 1, 'max-length': 1, 'max-length-bytes': 1, 'delivery-limit': 1 })()).toBe(true);
    expect(put({ 'max-in-memory-length': 1 })()).toBe(false);
  });

  test('what RabbitMQ knows and has no meaning here is taken', () => {
    const { policies } = new Engine().broker;
    expect(policies.put('policy', '/', 'p', { pattern: '', definition: { 'ha-mode': 'all', 'queue-mode': 'lazy' } })).toBe(true);
  });

  test('one for a vhost that is not there, and one without a name', () => {
    const { policies } = new Engine().broker;
    expect(() => policies.put('policy', 'no', 'p', good)).toThrow(AmqpError);
    expect(() => policies.put('policy', '/', '', good)).toThrow('1 to 255 bytes');
  });
});

describe('policies outlive the broker', () => {
  test.each(['in the log', 'in a checkpoint', 'in a data directory'])('%s', async (how) => {
    using directory = new DataDirectory();
    const remembering = new RememberingLog();
    const newLog = (): MessageLog => (how === 'in a data directory' ? directory.log() : remembering);
    const before = new Engine({ log: newLog() });
    const peer = before.connect();
    before.declare(peer, 'q');
    for (const body of ['a', 'b', 'c']) before.publish(peer, '', 'q', body, { deliveryMode: 2 });
    before.time.settle();
    const { policies } = before.broker;
    policies.put('policy', '/', 'p', { pattern: '^q', priority: 2, definition: { 'max-length': 2, 'message-ttl': 1_000 } });
    policies.put('policy', '/', 'gone', { pattern: '^q', priority: 9, definition: { 'max-length': 1 }, 'apply-to': 'exchanges' });
    policies.delete('policy', '/', 'gone');
    policies.put('operator-policy', '/', 'o', { glob: 'q*', definition: { 'max-length': 5 } });
    before.publish(peer, '', 'q', 'd', { deliveryMode: 2 });
    before.time.settle();
    if (how === 'in a checkpoint') remembering.checkpoint();
    await before.broker.close();

    const after = new Engine({ log: newLog() });
    const queue: Queue = queueOf(after, 'q');
    expect(queue.policy).toEqual({ policy: 'p', operatorPolicy: 'o', definition: { 'max-length': 2, 'message-ttl': 1_000 } });
    expect(after.broker.policies.list('policy', '/').map(({ name }) => name)).toEqual(['p']);
    expect(queue.readyCount).toBe(2);
    after.time.advance(1_000);
    expect(queue.readyCount).toBe(1); // the one that came after the TTL, behind one that came before
    await after.broker.close();
  });
});

describe('the default_queue_type of a vhost', () => {
  test('is the type of what is declared without one, where it may be, and an argument from then on', () => {
    const { engine, peer } = stage();
    engine.declare(peer, 'early');
    engine.broker.vhosts.put('/', { default_queue_type: 'quorum' });
    engine.declare(peer, 'late');
    engine.declare(peer, 'transient', [], false);
    engine.declare(peer, 'own', [['x-queue-type', 'classic']]);
    const types = ['early', 'late', 'transient', 'own'].map((name) => queueOf(engine, name).settings.type);
    expect(types).toEqual(['classic', 'quorum', 'classic', 'classic']);
    expect(queueOf(engine, 'late').arguments.get('x-queue-type')).toBe('quorum');
    for (const name of ['early', 'late', 'own']) engine.declare(peer, name);
    engine.broker.vhosts.put('/', {});
    expect(() => engine.declare(peer, 'late')).toThrow("inequivalent arg 'x-queue-type'");
  });
});
