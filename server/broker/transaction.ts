// One session's transaction: publishes and settles that wait for its commit, and the commit. AMQP's class tx, and more than it promises.
// Always: (1) what it publishes and what it acks is one record of the log: all of it, or, when it fails or the broker dies, nothing; (2) a queue
// that refuses, a route that cannot be found and a delivery that has timed out fail all of it, before anything is stored; (3) it is bounded:
// limits.transactionBytes; (4) a rollback leaves deliveries where they are: unacked, to be settled again.
// Refuses: to make consuming part of it. RabbitMQ differs: it routes at publish, and a commit that fails half-way stays half done.
// Nacks and rejects follow the record; a crash in between gives these messages back, as it does all that is unacked.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Append, REFUSED, type Settled, Stored } from '../ports.ts';
import type { Broker } from './broker.ts';
import type { ConsumerTimeouts } from './consumer-timeouts.ts';
import { enter } from './dead-letter.ts';
import type { Exchange } from './exchange.ts';
import { refusedByLength } from './held-publishes.ts';
import { type Intake, logFull, messageFlags, oversize, readExpiration } from './intake.ts';
import { Outcome, unknownTag } from './outcome.ts';
import { Discipline, type Publisher } from './publisher.ts';
import type { Queue } from './queue.ts';
import { isReplyName } from './reply-to.ts';
import type { Session } from './session.ts';
import { Delivery, type Unacked } from './unacked.ts';

const OPERATION_BYTES = 128; // what one costs beside its content, here and in the record
const REFERENCE_BYTES = 32; // of a message, in each queue that takes it

interface Held {
  readonly publisher: Publisher;
  /** The content run; the transaction's own. */
  readonly bytes: Uint8Array;
  readonly mandatory: boolean;
}

/** A publish that every queue of its route will take. */
interface Planned {
  readonly held: Held;
  readonly append: Append;
  readonly takers: readonly Queue[];
  readonly routed: number;
  readonly source: Exchange | undefined;
  /** A reply goes straight to its consumer. */
  readonly isReply: boolean;
}

/** What the transaction itself adds to a queue. */
interface Load {
  count: number;
  bytes: number;
}

export class Transaction {
  readonly #broker: Broker;
  readonly #session: Session;
  readonly #intake: Intake;
  readonly #unacked: Unacked;
  readonly #timeouts: ConsumerTimeouts;
  readonly #finish: (delivery: Delivery, outcome: Outcome) => void;
  readonly #delivery = new Delivery();
  readonly #stored = new Stored();
  #publishes: Held[] = [];
  /** By delivery tag, in the order in which they were asked for. */
  #settles = new Map<number, Outcome>();
  #bytes = 0;
  /** What went wrong already: a commit cannot do all of it any more. */
  #failure: AmqpError | undefined;

  constructor(
    broker: Broker,
    session: Session,
    intake: Intake,
    unacked: Unacked,
    timeouts: ConsumerTimeouts,
    finish: (delivery: Delivery, outcome: Outcome) => void,
  ) {
    this.#broker = broker;
    this.#session = session;
    this.#intake = intake;
    this.#unacked = unacked;
    this.#timeouts = timeouts;
    this.#finish = finish;
  }

  publish(publisher: Publisher, bytes: Uint8Array, start: number, end: number, mandatory: boolean): void {
    publisher.spend(end - start + 1);
    const content = this.#intake.parse(bytes, start, end);
    if (publisher.discipline === Discipline.Stream) this.#intake.check(content); // a stream has no commit to wait for: it ends here and now
    this.#count(OPERATION_BYTES + end - start);
    this.#publishes.push({ publisher, bytes: new Uint8Array(bytes.subarray(start, end)), mandatory });
  }

  /** Throws 406 for a tag that is not open, or is held already. */
  settle(tag: number, multiple: boolean, outcome: Outcome): void {
    const isOpen = this.#unacked.has(tag) && !this.#settles.has(tag);
    if (!isOpen && !(multiple && tag === 0) && !this.#timeouts.forgives(tag)) throw unknownTag(tag);
    const tags = multiple ? this.#unacked.upTo(tag === 0 ? this.#unacked.latestTag : tag) : isOpen ? [tag] : [];
    for (const each of tags) {
      if (this.#settles.has(each)) continue;
      this.#count(OPERATION_BYTES);
      this.#settles.set(each, outcome);
    }
  }

  /** A part of it could not even be held: the commit will say so. */
  fail(error: AmqpError): void {
    this.#failure ??= error;
  }

  /** Whether a settle of this delivery waits here. */
  holds(tag: number): boolean {
    return this.#settles.has(tag);
  }

  rollback(): void {
    this.#publishes = [];
    this.#settles = new Map();
    this.#bytes = 0;
    this.#failure = undefined;
  }

  /** Does all of it, and calls `done` once the record is durable; or throws 406 and has done nothing. Either way the next one begins. */
  commit(done: () => void): void {
    const publishes = this.#publishes;
    const settles = this.#settles;
    const failure = this.#failure;
    this.rollback();
    const now = this.#broker.now();
    let planned: Planned[];
    let lsn: number;
    try {
      if (failure !== undefined) throw failure;
      const settled = this.#acked(settles);
      const loads = new Map<Queue, Load>();
      planned = publishes.map((held) => this.#plan(held, loads, now));
      lsn = this.#store(planned, settled);
    } catch (error) {
      if (error instanceof AmqpError) throw partial(error);
      throw error;
    }
    for (const each of planned) this.#enter(each, lsn, now);
    this.#settleAll(settles, now);
    this.#broker.touchSession(this.#session);
    this.#broker.whenDurable(lsn, () => {
      if (!this.#session.isClosed) done();
    });
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#broker.limits.transactionBytes) return;
    const error = this.#tooLarge();
    this.fail(error);
    throw error;
  }

  #tooLarge(): AmqpError {
    return new AmqpError(ReplyCode.PreconditionFailed, `transaction larger than ${this.#broker.limits.transactionBytes} bytes`, {
      hint: 'commit more often',
    });
  }

  #acked(settles: ReadonlyMap<number, Outcome>): Settled[] {
    const settled: Settled[] = [];
    const delivery = this.#delivery;
    for (const [tag, outcome] of settles) {
      if (!this.#unacked.find(tag, delivery)) throw unknownTag(tag); // it has timed out, and may be somebody else's by now
      if (outcome !== Outcome.Ack || delivery.queue === undefined) continue;
      const { seq, slab, length, flags } = delivery.stored;
      settled.push({ queueNumber: delivery.queue.number, seq, slab, length, flags });
    }
    return settled;
  }

  /** Routes, checks and asks each queue for room beside what the transaction brings it anyway. */
  #plan(held: Held, loads: Map<Queue, Load>, now: number): Planned {
    const { limits } = this.#broker;
    const sent = this.#intake.parse(held.bytes, 0, held.bytes.length);
    if (sent.bodyBytes > limits.messageBytes) throw oversize(sent.bodyBytes, limits.messageBytes);
    this.#intake.authorise(sent);
    const isReply = sent.exchange === '' && isReplyName(sent.key);
    const route = isReply ? undefined : this.#intake.findRoute(sent, sent.key);
    const takers = [...(route?.queues ?? [])]; // the route is not ours
    const routed = route?.routedCount ?? 1;
    const source = route?.source;
    const content = this.#intake.checked(sent);
    const expirationMs = readExpiration(content.expiration);
    if (!isReply && this.#session.vhost.isTraced) this.#broker.firehose.published(this.#session, content, takers);
    const append = new Append();
    append.begin(content.bytes, content.start, content.end, content.bodyBytes, messageFlags(content));
    for (const queue of takers) {
      this.#admit(queue, content.bodyBytes, loads, now);
      append.add(queue.number, queue.takeSeq(), queue.priorityFor(content.priority), queue.deadlineFor(expirationMs, now));
    }
    return { held, append, takers, routed, source, isReply };
  }

  #admit(queue: Queue, bodyBytes: number, loads: Map<Queue, Load>, now: number): void {
    if (bodyBytes > queue.settings.maxMessageBytes) {
      queue.counts.refused++;
      throw oversize(bodyBytes, queue.settings.maxMessageBytes, queue);
    }
    const load = loads.get(queue) ?? { count: 0, bytes: 0 };
    load.count++;
    load.bytes += bodyBytes;
    loads.set(queue, load);
    const isOpen = queue.held === undefined || queue.held.size === 0;
    if (isOpen && queue.hasRoom(load.bytes, now, load.count)) return;
    queue.counts.refused++;
    throw refusedByLength(queue);
  }

  #store(planned: readonly Planned[], settled: readonly Settled[]): number {
    const appends = planned.map(({ append }) => append).filter(({ count }) => count > 0);
    if (appends.length + settled.length === 0) return 0;
    let bytes = settled.length * REFERENCE_BYTES;
    for (const { start, end, count } of appends) bytes += OPERATION_BYTES + end - start + count * REFERENCE_BYTES;
    if (bytes > this.#broker.limits.transactionBytes) throw this.#tooLarge();
    const lsn = this.#broker.log.transact(appends, settled);
    if (lsn === REFUSED) throw logFull();
    return lsn;
  }

  #enter({ held, append, takers, routed, source, isReply }: Planned, lsn: number, now: number): void {
    const { publisher, mandatory } = held;
    const { bytes, start, end } = append;
    if (isReply) {
      const content = this.#intake.parse(bytes, start, end);
      this.#session.reply(content.key, content);
    } else {
      this.#intake.count(source, routed, publisher.confirm);
      if (routed === 0) this.#broker.unroutableCount++;
      if (routed === 0 && mandatory && !publisher.isClosed) {
        this.#broker.totals.returned++;
        this.#session.sink.returned(publisher, publisher.nextSeq, ReplyCode.NoRoute, 'NO_ROUTE', bytes, start, end);
      }
      takers.forEach((queue, i) => {
        queue.enqueue(enter(append, i, this.#stored), now);
      });
    }
    publisher.stored(routed, lsn);
  }

  #settleAll(settles: ReadonlyMap<number, Outcome>, now: number): void {
    const queues = new Set<Queue>();
    for (const isAck of [true, false]) {
      for (const [tag, outcome] of settles) {
        if ((outcome === Outcome.Ack) !== isAck || !this.#unacked.take(tag, this.#delivery)) continue;
        if (this.#delivery.queue !== undefined) queues.add(this.#delivery.queue);
        this.#finish(this.#delivery, isAck ? Outcome.Committed : outcome);
      }
    }
    for (const queue of queues) queue.enforceLimits(now);
  }
}

/** RabbitMQ's text. Its hint would not be true there. */
function partial(cause: AmqpError): AmqpError {
  const hint = `nothing of it was done: ${cause.message}`;
  const { queue } = cause.detail;
  return new AmqpError(ReplyCode.PreconditionFailed, 'partial tx completion', queue === undefined ? { hint } : { hint, queue });
}
