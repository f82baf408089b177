// The protocol-neutral half of a connection (or of an AMQP channel): delivery tags, prefetch, confirms, and what it declared. hot
// Always: (1) a delivery has one tag and is settled once; (2) when the session ends everything unacked goes back to its place, and the exclusive
// queues of a session that is a connection are gone before its peer can see the end; (3) what the session limits as a whole (outbox, shared prefetch, unacked bytes) parks
// consumers, and whatever gives room wakes them.
// Refuses: to know frames or JSON: SessionSink is what a protocol implements.

import type { FieldTable } from '../../shared/amqp/table.ts';
import type { Content } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { MessageFlag, type ReadWaiter, Stored, View } from '../ports.ts';
import type { Broker } from './broker.ts';
import { type ConsumeOptions, Consumer, Standing } from './consumer.ts';
import { ConsumerTimeouts } from './consumer-timeouts.ts';
import { consumerEndFields, consumerFields } from './event-fields.ts';
import { Intake } from './intake.ts';
import type { Identity } from './login.ts';
import { isCounted, Outcome, unknownTag } from './outcome.ts';
import { Discipline, Publisher } from './publisher.ts';
import { Publishers } from './publishers.ts';
import type { Queue } from './queue.ts';
import { readConsumerSettings } from './queue-arguments.ts';
import { checkReplyConsumer, REPLY_TO } from './reply-to.ts';
import type { Got, SessionSink } from './session-sink.ts';
import { Topology } from './topology.ts';
import { Transaction } from './transaction.ts';
import { Delivery, Unacked } from './unacked.ts';
import type { Vhost } from './vhost.ts';

const NEVER_TIMED_OUT = { timeoutMs: Number.POSITIVE_INFINITY, askedTimeoutMs: undefined, priority: 0 };

export class Session extends Topology {
  readonly id: string;
  readonly sink: SessionSink;
  readonly publishers: Publishers;
  /** In the broker's list of sessions to flush. */
  isTouched = false;
  isClosed = false;

  readonly #broker: Broker;
  readonly #intake: Intake;
  readonly #unacked = new Unacked();
  readonly #delivery = new Delivery();
  readonly #consumers = new Map<string, Consumer>();
  readonly #activeChanges: { consumer: Consumer; active: boolean }[] = [];
  readonly #timeouts: ConsumerTimeouts;
  #transaction: Transaction | undefined;
  #replyConsumer: { consumer: Consumer; name: string } | undefined;
  #prefetch = 0;
  #prefetched = 0;
  #unackedBytes = 0;
  /** Parked until the session as a whole has room, and in the order in which they go on. */
  readonly #forRoom = new Set<Consumer>();

  /** `owner`: the connection, where it is more than this session; undefined: it is not. */
  constructor(broker: Broker, vhost: Vhost, id: string, identity: Identity, sink: SessionSink, owner: object | undefined) {
    super(broker, vhost, identity, owner);
    this.#broker = broker;
    this.id = id;
    this.sink = sink;
    this.publishers = new Publishers(broker, sink, () => broker.touchSession(this));
    this.#intake = new Intake(broker, this);
    this.#timeouts = new ConsumerTimeouts(broker, this.#unacked, (tag, consumer, now) => this.#timeOut(tag, consumer, now));
  }

  get unackedCount(): number {
    return this.#unacked.size;
  }

  get consumerCount(): number {
    return this.#consumers.size;
  }
  get prefetchCount(): number {
    return this.#prefetch;
  }

  // Publishing.

  openPublisher(handle: number, confirm: boolean, discipline: Discipline = Discipline.Credit): Publisher {
    if (confirm && this.#transaction !== undefined)
      throw new AmqpError(ReplyCode.PreconditionFailed, 'cannot switch from tx to confirm mode');
    const { isBlocked, limits } = this.#broker;
    const publisher = new Publisher(this, handle, confirm, discipline, limits.publisherWindowBytes, isBlocked);
    this.publishers.add(publisher);
    return publisher;
  }

  closePublisher(publisher: Publisher): void {
    this.publishers.remove(publisher);
  }

  /** One whole content run. A publish that cannot be done is refused in its publisher's sequence; content that does not parse throws 502. */
  publish(publisher: Publisher, bytes: Uint8Array, start: number, end: number, mandatory: boolean): void {
    if (this.#transaction === undefined) this.#intake.publish(publisher, bytes, start, end, mandatory);
    else this.#transaction.publish(publisher, bytes, start, end, mandatory);
    this.publishers.published(publisher);
    this.#broker.touchSession(this);
  }

  /** The protocol refuses a publish of `bytes` itself (too large to assemble): it takes its place in the sequence. */
  refusePublish(publisher: Publisher, error: AmqpError, bytes = 0): void {
    publisher.spend(bytes);
    publisher.refused(error);
    this.#transaction?.fail(error);
    this.#broker.touchSession(this);
  }

  /** A reply to a request of another session, or of this one. */
  reply(name: string, content: Content): void {
    const consumer = this.#broker.replyConsumers.find(name);
    if (consumer === undefined || !consumer.session.sink.takesReplies()) return;
    consumer.session.deliverReply(consumer, content);
  }

  deliverReply(consumer: Consumer, content: Content): void {
    this.sink.deliver(consumer, this.#unacked.skip(), false, 0, 0, 0, content.bytes, content.start, content.end);
    this.#broker.touchSession(this);
  }

  /** What stands in the reply-to of this session's requests. */
  replyName(): string {
    if (this.#replyConsumer === undefined)
      throw new AmqpError(ReplyCode.PreconditionFailed, 'fast reply consumer does not exist', {
        hint: `consume from '${REPLY_TO}' first, on this connection`,
        path: '/properties/replyTo',
      });
    return this.#replyConsumer.name;
  }

  touchUnconfirmed(publisher: Publisher): void {
    if (this.isClosed) return;
    this.publishers.awaitConfirm(publisher);
    this.#broker.touchSession(this);
    this.#broker.unconfirmed.add(this);
  }

  /** The end of a turn: credit goes back, and what changed on the side is told. */
  endTurn(): void {
    this.publishers.endTurn();
    for (const { consumer, active } of this.#activeChanges.splice(0))
      if (consumer.standing !== Standing.Cancelled) this.sink.active(consumer, active);
  }

  tellActive(consumer: Consumer, active: boolean): void {
    this.#activeChanges.push({ consumer, active });
    this.#broker.touchSession(this);
  }

  // Consuming.

  consume(options: ConsumeOptions): Consumer {
    this.#checkConsumerCount();
    const tag = options.consumerTag === '' ? `amq.ctag-${this.#broker.randomName()}` : options.consumerTag;
    if (this.#consumers.has(tag))
      throw new AmqpError(ReplyCode.NotAllowed, `attempt to reuse consumer tag '${tag}'`, { path: '/consumerTag' });
    if (options.queue === REPLY_TO) return this.#consumeReplies(tag, options);
    const name = this.queueName(options.queue);
    this.authorise('basic.consume', { queue: name });
    const queue = this.vhost.findQueue(name, this.owner);
    queue.roster.check(`queue '${queue.name}' in vhost '${this.vhost.name}'`, options.exclusive);
    const asked = readConsumerSettings(options.arguments, { vhost: this.vhost.name, queue: queue.name });
    const consumer = new Consumer(
      this,
      queue,
      tag,
      {
        timeoutMs: this.#timeoutOf(queue, asked.timeoutMs),
        askedTimeoutMs: asked.timeoutMs,
        priority: asked.priority ?? options.priority,
      },
      options,
    );
    this.#consumers.set(tag, consumer);
    queue.addConsumer(consumer);
    this.#broker.events.tell('consumer.created', () => consumerFields(consumer), this.identity.account.name);
    return consumer;
  }

  /** A policy gives its queue another timeout: for what is out too. */
  consumerTimeoutChanged(consumer: Consumer): void {
    consumer.timeoutMs = this.#timeoutOf(consumer.queue, consumer.askedTimeoutMs);
    this.#timeouts.changed();
  }

  #timeoutOf(queue: Queue, askedMs: number | undefined): number {
    return askedMs ?? queue.settings.consumerTimeoutMs ?? this.#broker.limits.consumerTimeoutMs;
  }

  /** Its session asks for it. */
  cancel(consumer: Consumer): void {
    this.#remove(consumer, this.identity.account.name);
  }

  #remove(consumer: Consumer, by?: string): void {
    if (this.#consumers.get(consumer.tag) !== consumer) return;
    this.#consumers.delete(consumer.tag);
    this.#forRoom.delete(consumer);
    if (this.#replyConsumer?.consumer === consumer) {
      this.#broker.replyConsumers.remove(this.#replyConsumer.name);
      this.#replyConsumer = undefined;
    }
    if (!consumer.isTap) this.#broker.events.tell('consumer.deleted', () => consumerEndFields(consumer), by);
    consumer.queue.removeConsumer(consumer);
    if (consumer.isTap) this.closeTap(consumer.queue);
  }

  /** A live copy of what `exchange` routes by `key` from now on: at most `buffer` messages, the oldest go first. Close it with `cancel`. */
  openTap(handle: number, exchange: string, key: string, args: FieldTable, buffer: number): Consumer {
    this.#checkConsumerCount();
    const queue = this.bindTap(exchange, key, args, buffer);
    const consumer = new Consumer(this, queue, queue.name, NEVER_TIMED_OUT, {
      handle,
      queue: queue.name,
      consumerTag: queue.name,
      noAck: true,
      exclusive: false,
      prefetch: 0,
      credit: undefined,
      priority: 0,
      arguments: args,
    });
    this.#consumers.set(consumer.tag, consumer);
    queue.addConsumer(consumer);
    return consumer;
  }

  grant(consumer: Consumer, messages: number): void {
    consumer.credit += messages;
    consumer.queue.wake(consumer);
  }

  /** A limit shared by all consumers of this session that settle; 0 = none. */
  qos(prefetch: number): void {
    this.#prefetch = prefetch;
    this.resume();
  }

  canTake(consumer: Consumer): boolean {
    const isFull =
      !this.sink.writable() ||
      (!consumer.noAck &&
        ((this.#prefetch !== 0 && this.#prefetched >= this.#prefetch) || this.#unackedBytes >= this.#broker.limits.unackedBytesPerSession));
    if (isFull) this.#forRoom.add(consumer);
    return !isFull;
  }

  /** There is room again: those that were parked for want of it go on, in that order. */
  resume(): void {
    let waiting = this.#forRoom.size;
    for (const consumer of this.#forRoom) {
      if (waiting-- === 0) break; // this one came back, and waits on
      this.#forRoom.delete(consumer);
      consumer.queue.wake(consumer);
    }
  }

  /** Called by the queue's dispatch: the message has left ready. */
  deliver(consumer: Consumer, stored: Stored, view: View): void {
    const { queue } = consumer;
    const redelivered = (stored.flags & MessageFlag.Redelivered) !== 0;
    if (this.vhost.isTraced) this.#broker.firehose.delivered(this, queue, stored, view);
    consumer.credit--;
    let tag: number;
    if (consumer.noAck) tag = this.#unacked.skip();
    else {
      const now = this.#broker.now();
      tag = this.#unacked.add(queue, consumer, stored, now);
      consumer.unackedCount++;
      this.#prefetched++;
      this.#unackedBytes += stored.bodyBytes;
      this.#timeouts.watch(consumer, now);
    }
    this.sink.deliver(
      consumer,
      tag,
      redelivered,
      stored.deliveryCount,
      queue.number,
      stored.seq,
      view.bytes,
      view.start,
      view.start + stored.length,
    );
    queue.delivered(stored, consumer.noAck, false);
    this.#broker.touchSession(this);
  }

  /** One message, asked for. `done` may be called later, when the log has to fetch it. */
  get(asked: string, noAck: boolean, done: (got: Got | undefined) => void): void {
    const name = this.queueName(asked);
    this.authorise('basic.get', { queue: name });
    const queue = this.vhost.findQueue(name, this.owner);
    if (queue.settings.singleActiveConsumer)
      throw new AmqpError(
        ReplyCode.ResourceLocked,
        `cannot obtain access to queue '${queue.name}' in vhost '${this.vhost.name}': it has a single active consumer`,
        { hint: 'consume instead of get' },
      );
    const view = new View();
    const waiter: ReadWaiter = { readable: () => attempt() };
    const attempt = (): void => {
      if (this.isClosed) return;
      const stored = queue.isDeleted ? undefined : queue.peekForGet(this.#broker.now(), view, waiter);
      if (stored === 'later') return;
      if (stored === undefined) done(undefined);
      else this.#hand(queue, new Stored().copyFrom(stored), view, noAck, done);
      this.#broker.wake();
    };
    attempt();
  }

  #hand(queue: Queue, stored: Stored, view: View, noAck: boolean, done: (got: Got) => void): void {
    const tag = noAck ? this.#unacked.skip() : this.#unacked.add(queue, undefined, stored, this.#broker.now());
    if (!noAck) this.#unackedBytes += stored.bodyBytes;
    if (this.vhost.isTraced) this.#broker.firehose.delivered(this, queue, stored, view);
    done({
      tag,
      redelivered: (stored.flags & MessageFlag.Redelivered) !== 0,
      deliveryCount: stored.deliveryCount,
      queueNumber: queue.number,
      seq: stored.seq,
      bytes: view.bytes,
      start: view.start,
      end: view.start + stored.length,
      messageCount: queue.readyCount,
    });
    queue.delivered(stored, noAck, true); // after `done`: settling may free the bytes
  }

  // Settling.

  ack(tag: number, multiple: boolean): void {
    this.#settle(tag, multiple, Outcome.Ack);
  }
  nack(tag: number, multiple: boolean, requeue: boolean): void {
    this.#settle(tag, multiple, requeue ? Outcome.Nack : Outcome.Reject);
  }
  reject(tag: number, requeue: boolean): void {
    this.#settle(tag, false, requeue ? Outcome.Requeue : Outcome.Reject);
  }
  /** Gives a delivery back that nobody has worked on: to its place, not counted as an attempt. */
  release(tag: number, multiple: boolean): void {
    this.#settle(tag, multiple, Outcome.Release);
  }
  recover(): void {
    this.#settleUpTo(this.#unacked.latestTag, Outcome.Requeue);
  }

  // Transactions: publishes and settles wait for their commit.

  /** Throws 406 where a publisher is confirmed. Twice is once. */
  txSelect(): void {
    if (this.publishers.hasConfirming) throw new AmqpError(ReplyCode.PreconditionFailed, 'cannot switch from confirm to tx mode');
    this.#transaction ??= new Transaction(this.#broker, this, this.#intake, this.#unacked, this.#timeouts, (delivery, outcome) =>
      this.#finish(delivery, outcome),
    );
  }
  /** `done` is called when all of it is durable. Throws 406 when nothing of it was done. */
  txCommit(done: () => void): void {
    this.#selected().commit(done);
  }
  /** Deliveries stay as they are: unacked. */
  txRollback(): void {
    this.#selected().rollback();
  }

  #selected(): Transaction {
    if (this.#transaction === undefined) throw new AmqpError(ReplyCode.PreconditionFailed, 'channel is not transactional');
    return this.#transaction;
  }

  #settle(tag: number, multiple: boolean, outcome: Outcome): void {
    if (this.#transaction !== undefined) {
      this.#transaction.settle(tag, multiple, outcome);
      return;
    }
    if (multiple) {
      if (tag !== 0 && !this.#unacked.has(tag) && !this.#timeouts.forgives(tag)) throw unknownTag(tag);
      this.#settleUpTo(tag === 0 ? this.#unacked.latestTag : tag, outcome);
      return;
    }
    if (!this.#unacked.take(tag, this.#delivery)) {
      if (this.#timeouts.forgives(tag)) return;
      throw unknownTag(tag);
    }
    this.#finish(this.#delivery, outcome);
    this.#delivery.queue?.enforceLimits(this.#broker.now());
    this.#broker.wake();
  }

  /** Oldest first: what dies here dies in the order in which it came. */
  #settleUpTo(tag: number, outcome: Outcome): void {
    const queues = new Set<Queue>();
    for (const each of this.#unacked.upTo(tag)) {
      if (this.#transaction?.holds(each) || !this.#unacked.take(each, this.#delivery)) continue;
      if (this.#delivery.queue !== undefined) queues.add(this.#delivery.queue);
      this.#finish(this.#delivery, outcome);
    }
    for (const queue of queues) queue.enforceLimits(this.#broker.now());
    this.#broker.wake();
  }

  #finish(delivery: Delivery, outcome: Outcome): void {
    const { queue, consumer, stored } = delivery;
    if (queue === undefined) return;
    this.#unackedBytes -= stored.bodyBytes;
    if (outcome === Outcome.Ack) queue.settle(stored);
    else if (outcome === Outcome.Committed) queue.settledInLog();
    else if (outcome === Outcome.Reject) queue.reject(stored);
    else queue.requeue(stored, isCounted(outcome, queue), this.#broker.now());
    if (consumer !== undefined) {
      consumer.unackedCount--;
      this.#prefetched--;
    }
    if (this.#forRoom.size > 0) this.resume();
    if (consumer !== undefined) queue.wake(consumer);
  }

  // Ends.

  /** The queue is gone, or its consumer is thrown out. */
  consumerLost(consumer: Consumer, reason: string): void {
    if (!this.#consumers.delete(consumer.tag)) return;
    this.#forRoom.delete(consumer);
    this.sink.cancelled(consumer, reason);
    if (!consumer.isTap) this.#broker.events.tell('consumer.deleted', () => consumerEndFields(consumer));
    this.#broker.touchSession(this);
  }

  /** Its account may do less than before: who reads what it may not read any more reads no further, and settles what it holds. */
  rightsChanged(): void {
    for (const consumer of [...this.#consumers.values()])
      if (consumer !== this.#replyConsumer?.consumer && !this.mayRead(consumer.queue)) this.#cancelFor(consumer, 'access refused');
  }

  #cancelFor(consumer: Consumer, reason: string): void {
    this.#remove(consumer);
    this.sink.cancelled(consumer, reason);
    this.#broker.touchSession(this);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#transaction = undefined;
    this.#timeouts.end();
    for (const consumer of [...this.#consumers.values()]) this.#remove(consumer);
    this.#settleUpTo(this.#unacked.latestTag, Outcome.Requeue);
    this.publishers.clear();
    if (this.owner === this) this.vhost.releaseOwner(this);
    this.#broker.forgetSession(this);
  }

  #checkConsumerCount(): void {
    const { consumersPerSession } = this.#broker.limits;
    const unit = this.owner === this ? 'connection' : 'channel';
    if (this.#consumers.size >= consumersPerSession)
      throw new AmqpError(ReplyCode.NotAllowed, `more than ${consumersPerSession} consumers on one ${unit}`, {
        hint: `use fewer consumers, or another ${unit}`,
      });
  }

  #consumeReplies(tag: string, options: ConsumeOptions): Consumer {
    checkReplyConsumer(options.noAck, this.#replyConsumer !== undefined);
    const consumer = new Consumer(this, this.#broker.hiddenQueues.replyQueue(this.vhost), tag, NEVER_TIMED_OUT, options);
    this.#consumers.set(tag, consumer);
    this.#replyConsumer = { consumer, name: this.#broker.replyConsumers.add(consumer) };
    return consumer;
  }

  #timeOut(tag: number, consumer: Consumer, now: number): boolean {
    if (!this.#unacked.take(tag, this.#delivery)) return false;
    this.#finish(this.#delivery, Outcome.TimedOut);
    consumer.queue.enforceLimits(now);
    this.#punish(consumer);
    return true;
  }

  #punish(consumer: Consumer): void {
    const action = consumer.queue.settings.consumerTimeoutAction;
    if (action === 'close')
      this.sink.close(
        new AmqpError(
          ReplyCode.PreconditionFailed,
          `delivery acknowledgement on channel timed out. Timeout value used: ${consumer.timeoutMs} ms`,
          { queue: consumer.queueName },
        ),
      );
    if (action === 'cancel' && this.#consumers.get(consumer.tag) === consumer) this.#cancelFor(consumer, 'consumer timeout');
  }
}
