// Any operations in any order, on queues of any settings: the accounts balance, nobody is left waiting beside what waits for him, and nothing
// that is gone stays in the log.
// Always: checked after every operation that lets the turn end. PROPERTY_RUNS=5000 runs longer; a failure prints its seed and the shrunk operations.
// Refuses: to say which message goes where: the reference model (test/model) does.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Consumer, Standing } from '../../../server/broker/consumer.ts';
import type { Queue } from '../../../server/broker/queue.ts';
import { MemoryLog } from '../../../server/store/memory-log.ts';
import type { FieldValue } from '../../../shared/amqp/table.ts';
import { AmqpError } from '../../../shared/error.ts';
import { CountingLog } from '../../support/counting-log.ts';
import { Engine, type Peer } from '../../support/engine.ts';

const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 300);
const QUEUES = ['q0', 'q1'];
const SESSIONS = 2;

const queueName = fc.constantFrom(...QUEUES);
const at = fc.nat({ max: 30 });
const peerAt = fc.nat({ max: SESSIONS - 1 });

const settings = fc.record(
  {
    'x-max-length': fc.nat({ max: 3 }),
    'x-max-length-bytes': fc.nat({ max: 12 }),
    'x-overflow': fc.constantFrom('drop-head', 'reject-publish', 'reject-publish-dlx', 'block'),
    'x-block-timeout': fc.constantFrom(5, 50),
    'x-message-ttl': fc.constantFrom(0, 1, 20),
    'x-max-priority': fc.constantFrom(2, 5),
    'x-dead-letter-exchange': fc.constant(''),
    'x-single-active-consumer': fc.boolean(),
    'x-delivery-limit': fc.nat({ max: 2 }),
    'x-consumer-timeout': fc.constantFrom(10, 30),
    'x-consumer-timeout-action': fc.constantFrom('requeue', 'cancel', 'close'),
    'x-expires': fc.constantFrom(15, 60),
  },
  { requiredKeys: [] },
);

const operation = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('publish' as const),
      peer: peerAt,
      queue: queueName,
      isFanout: fc.boolean(),
      bodyBytes: fc.nat({ max: 6 }),
      expiration: fc.constantFrom(undefined, '0', '3', '30'),
      priority: fc.nat({ max: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('consume' as const),
      peer: peerAt,
      queue: queueName,
      noAck: fc.boolean(),
      prefetch: fc.nat({ max: 2 }),
      credit: fc.constantFrom(undefined, 0, 1, 3),
      priority: fc.nat({ max: 2 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('settle' as const),
      peer: peerAt,
      at,
      how: fc.constantFrom('ack', 'nack', 'reject', 'requeue', 'release'),
      multiple: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('get' as const), peer: peerAt, queue: queueName, noAck: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('cancel' as const), at }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('grant' as const), at, messages: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('qos' as const), peer: peerAt, prefetch: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('outbox' as const), peer: peerAt }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('tap' as const), peer: peerAt, buffer: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('purge' as const), queue: queueName }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('declare' as const), queue: queueName, autoDelete: fc.boolean(), settings }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reconnect' as const), peer: peerAt }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('publisher' as const), peer: peerAt }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 20, 1_000) }) },
);
const step = fc.record({ does: operation, settles: fc.boolean() });
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

class Run {
  readonly engine: Engine;
  readonly log: CountingLog;
  readonly tally = new Map<string, number>();
  readonly #peers: Peer[] = [];
  readonly #open: Set<number>[] = [];
  readonly #seen: number[] = [];
  #consumers: Consumer[] = [];

  constructor(defersReads: boolean) {
    const turns = { defer: (task: () => void) => this.engine.time.defer(task) };
    this.log = new CountingLog(new MemoryLog(defersReads ? { deferReads: turns } : {}));
    // small enough that operations reach them
    this.engine = new Engine({ log: this.log, limits: { unackedBytesPerSession: 6, publisherWindowBytes: 100_000 } });
    for (let i = 0; i < SESSIONS; i++) this.#connect(i);
    for (const name of QUEUES) this.#declare(name, false, {});
  }

  carryOut(does: Operation): void {
    try {
      this.#do(does);
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error; // what a peer may not do is not this test's
    }
  }

  #do(does: Operation): void {
    const { engine } = this;
    if (does.op === 'wait') engine.time.advance(does.ms);
    else if (does.op === 'declare') this.#declare(does.queue, does.autoDelete, does.settings);
    else if (does.op === 'purge') this.#peer(0).session.purgeQueue(does.queue);
    else if (does.op === 'cancel' || does.op === 'grant') {
      const consumer = this.#consumers[does.at % this.#consumers.length];
      if (consumer === undefined) return;
      if (does.op === 'cancel') consumer.session.cancel(consumer);
      else consumer.session.grant(consumer, does.messages);
    } else this.#doAs(this.#peer(does.peer), does);
  }

  #doAs(peer: Peer, does: Exclude<Operation, { op: 'wait' | 'declare' | 'purge' | 'cancel' | 'grant' }>): void {
    const { engine } = this;
    const { session } = peer;
    if (does.op === 'publish') {
      const exchange = does.isFanout ? 'amq.fanout' : '';
      const expiration = does.expiration === undefined ? {} : { expiration: does.expiration };
      engine.publish(peer, exchange, does.queue, 'x'.repeat(does.bodyBytes), { priority: does.priority, ...expiration });
    } else if (does.op === 'consume') {
      const { queue, noAck, prefetch, credit, priority } = does;
      this.#consumers.push(engine.consume(peer, queue, { noAck, prefetch, credit, priority }));
    } else if (does.op === 'tap') this.#consumers.push(session.openTap(9, 'amq.fanout', '', new Map(), does.buffer));
    else if (does.op === 'get') {
      const open = this.#open[does.peer];
      session.get(does.queue, does.noAck, (got) => {
        if (got !== undefined && !does.noAck) open?.add(got.tag);
      });
    } else if (does.op === 'qos') session.qos(does.prefetch);
    else if (does.op === 'outbox') {
      peer.sink.isWritable = !peer.sink.isWritable;
      if (peer.sink.isWritable) session.resume();
    } else if (does.op === 'publisher') {
      session.closePublisher(peer.publisher);
      peer.publisher = session.openPublisher(1, true);
      peer.sink.confirmed.length = peer.sink.refused.length = 0;
    } else if (does.op === 'reconnect') {
      session.close();
      this.#connect(does.peer);
    } else this.#settle(peer, does.peer, does.at, does.how, does.multiple);
  }

  #settle({ session }: Peer, index: number, which: number, how: string, multiple: boolean): void {
    this.#collect();
    const tags = [...(this.#open[index] ?? [])].sort((a, b) => a - b);
    const tag = tags[which % tags.length];
    if (tag === undefined) return;
    for (const each of tags)
      if (each === tag || (multiple && how !== 'reject' && how !== 'requeue' && each < tag)) this.#open[index]?.delete(each);
    this.#count(how);
    if (how === 'ack') session.ack(tag, multiple);
    else if (how === 'nack') session.nack(tag, multiple, true);
    else if (how === 'release') session.release(tag, multiple);
    else session.reject(tag, how === 'requeue');
  }

  /** What was delivered since, to be settled. */
  #collect(): void {
    this.#peers.forEach((peer, i) => {
      for (const each of peer.sink.delivered.slice(this.#seen[i])) this.#open[i]?.add(each.tag);
      this.#seen[i] = peer.sink.delivered.length;
    });
  }

  #peer(index: number): Peer {
    const peer = this.#peers[index] as Peer;
    if (peer.session.isClosed) this.#connect(index);
    return this.#peers[index] as Peer;
  }

  #connect(index: number): void {
    const peer = this.engine.connect();
    peer.sink.close = () => peer.session.close();
    this.#peers[index] = peer;
    this.#open[index] = new Set();
    this.#seen[index] = 0;
    this.#consumers = this.#consumers.filter((consumer) => !consumer.session.isClosed);
  }

  #declare(queue: string, autoDelete: boolean, asked: Readonly<Record<string, FieldValue>>): void {
    const { session } = this.#peer(0);
    session.deleteQueue(queue, false, false);
    const args = new Map(Object.entries(asked));
    if (args.has('x-dead-letter-exchange'))
      args.set('x-dead-letter-routing-key', QUEUES[(QUEUES.indexOf(queue) + 1) % QUEUES.length] as string);
    session.declareQueue({ queue, durable: true, exclusive: false, autoDelete, passive: false, arguments: args });
    session.bindQueue(queue, 'amq.fanout', '', new Map());
  }

  #count(rule: string): void {
    this.tally.set(rule, (this.tally.get(rule) ?? 0) + 1);
  }

  check(): void {
    this.engine.time.settle();
    let held = 0;
    for (const queue of this.engine.broker.vhost('/')?.queues.values() ?? []) {
      this.#checkQueue(queue);
      held += queue.held?.size ?? 0;
    }
    if (held > 0) this.#count('held');
    for (const { session, sink, publisher } of this.#peers) {
      if (session.isClosed) continue;
      expect(session.unackedCount, 'open deliveries').toBeGreaterThanOrEqual(0);
      if (held > 0) continue;
      const answered = sink.confirmed.reduce((sum, each) => sum + each.count, sink.refused.length);
      expect(answered, 'every publish is answered once').toBe(publisher.nextSeq - 1);
      expect(publisher.credit, 'nobody who may publish is without credit').toBeGreaterThan(0);
    }
  }

  #checkQueue(queue: Queue): void {
    const { counts } = queue;
    for (const rule of ['acked', 'expired', 'deadLettered', 'dropped', 'purged', 'refused', 'redelivered'] as const)
      if (counts[rule] > 0) this.#count(rule);
    const waiting = queue.deadLetters?.size ?? 0;
    if (waiting > 0) this.#count('dead letter waiting');
    const out = counts.acked + counts.expired + counts.deadLettered + counts.dropped + counts.purged;
    expect(out + queue.readyCount + queue.unackedCount + waiting, `accounts of ${queue.name}`).toBe(counts.published);
    expect(queue.unackedCount).toBeGreaterThanOrEqual(0);
    expect(queue.readyBytes).toBeGreaterThanOrEqual(0);
    if (queue.readyCount === 0) {
      expect(queue.readyBytes, 'bytes of nothing').toBe(0);
      return;
    }
    if (queue.held === undefined && queue.settings.overflow === 'drop-head')
      expect(queue.readyCount).toBeLessThanOrEqual(queue.settings.maxLength);
    const idle = [...queue.roster.consumers].filter((consumer) => consumer.canTake() && isToServe(consumer));
    expect(idle.length, `consumers that can take, beside ${queue.readyCount} ready in ${queue.name}`).toBe(0);
  }

  /** Everything goes: nothing may stay. */
  end(): void {
    this.check();
    for (const name of QUEUES) this.#peer(0).session.deleteQueue(name, false, false);
    for (const peer of this.#peers) peer.session.close();
    this.engine.time.settle();
    expect(this.log.live, 'references that nobody gave up').toEqual([]);
    expect(this.log.memoryBytes, 'the slab that is kept for the next message').toBeLessThanOrEqual(1 << 20);
    this.engine.time.advance(31 * 60_000); // beyond the longest: the consumer timeout
    expect(this.engine.time.timerCount, 'alarms of what is gone').toBe(0);
  }
}

/** Of single active consumers all wait but one, and that one only while it yields to a higher priority. */
function isToServe(consumer: Consumer): boolean {
  if (consumer.standing === Standing.Yielding)
    return ![...consumer.queue.roster.consumers].some((other) => other.priority > consumer.priority);
  return consumer.standing !== Standing.Waiting;
}

const RULES = [
  'acked',
  'expired',
  'deadLettered',
  'dropped',
  'purged',
  'refused',
  'redelivered',
  'held',
  'dead letter waiting',
  'ack',
  'nack',
  'reject',
  'requeue',
  'release',
];

function holds(defersReads: boolean): void {
  const tally = new Map<string, number>();
  const declared = fc.tuple(
    ...QUEUES.map((queue) =>
      fc.record({ op: fc.constant('declare' as const), queue: fc.constant(queue), autoDelete: fc.boolean(), settings }),
    ),
  );
  fc.assert(
    fc.property(declared, fc.array(step, { minLength: 10, maxLength: 100, size: 'max' }), (queues, steps) => {
      const run = new Run(defersReads);
      for (const queue of queues) run.carryOut(queue);
      for (const { does, settles } of steps) {
        run.carryOut(does);
        if (settles) run.check();
      }
      run.end();
      for (const [rule, count] of run.tally) tally.set(rule, (tally.get(rule) ?? 0) + count);
    }),
    { numRuns: RUNS },
  );
  expect(
    RULES.filter((rule) => !tally.has(rule)),
    'rules that were never at work',
  ).toEqual([]);
}

describe('any operations in any order keep the accounts, leave nobody waiting and nothing behind', () => {
  const limitMs = 20_000 + RUNS * 500;
  test('when messages are at hand', () => holds(false), limitMs);
  test('when every read of a message comes later', () => holds(true), limitMs);
});
