// One queue: its ready messages, and the round that hands them to consumers. hot
// Always: (1) a seq is in exactly one of ready, unacked, waiting to be dead-lettered, gone; (2) the log has a message before it is ready;
// (3) published = acked + expired + deadLettered + dropped + purged + ready + unacked + dead letters waiting; (4) nothing is delivered at or
// after its deadline, save a message of TTL 0 at the moment it arrives; (5) readyBytes sums the bodies of ready.
// Does not know protocols, read arguments (queue-arguments.ts), or route (dead-letter.ts does, for what dies here).
// RabbitMQ differs: a message expires on time wherever it stands, not when it reaches the head.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { invariant } from '../../shared/assert.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { MessageFlag, type ReadWaiter, Stored, View } from '../ports.ts';
import type { Broker } from './broker.ts';
import type { Consumer } from './consumer.ts';
import { DeadLetters, type DeathReason } from './dead-letter.ts';
import type { Binding } from './exchange.ts';
import { HeldPublishes, refusedByLength } from './held-publishes.ts';
import { Idleness } from './idleness.ts';
import { LengthAlarm } from './length-alarm.ts';
import { type EffectivePolicy, NO_POLICY, withDefinition } from './policy-definition.ts';
import { type QueueSettings, readQueueSettings } from './queue-arguments.ts';
import { ReadyDeadlines } from './ready-deadlines.ts';
import { ReadyLevels } from './ready-levels.ts';
import { Roster } from './roster.ts';
import { noCounts, Traffic } from './traffic.ts';
import type { Vhost } from './vhost.ts';
import type { QueueIdentity } from './vhost-ports.ts';

/** Messages that one queue hands out before other queues have their turn. */
const ROUND_MESSAGES_MAX = 2_000;

export class Queue implements ReadWaiter {
  readonly kind = 'queue';
  readonly name: string;
  readonly number: number;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusiveOwner: object | undefined;
  readonly arguments: FieldTable;
  readonly isTap: boolean;
  readonly bindings = new Set<Binding>();
  readonly vhost: Vhost;
  readonly roster: Roster;
  /** What the arguments say, and the policies over them. */
  settings: QueueSettings;
  policy: EffectivePolicy = NO_POLICY;
  /** What died here and has not left yet; undefined where there never was a dead-letter exchange. */
  deadLetters: DeadLetters | undefined;
  /** Publishes that wait for room (x-overflow: block). */
  held: HeldPublishes | undefined;
  readonly counts = noCounts();
  readonly traffic = new Traffic();
  /** The router's mark: the last route that met this queue. */
  routeMark = 0;
  /** In the broker's list of queues to dispatch. */
  isTouched = false;
  isDeleted = false;
  unackedCount = 0;

  readonly #broker: Broker;
  readonly #ready = new ReadyLevels();
  #lengthMax = Number.POSITIVE_INFINITY;
  #bytesMax = Number.POSITIVE_INFINITY;
  #isLimited = false;
  #nextSeq = 1;
  /** The #nextSeq that the log was told of. */
  #definedSeq = 1;
  #isReading = false;
  readonly #stored = new Stored();
  #lengthAlarm: LengthAlarm | undefined;
  readonly #deadlines: ReadyDeadlines;
  readonly #idleness: Idleness;
  readonly #view = new View();

  constructor(broker: Broker, vhost: Vhost, identity: QueueIdentity) {
    this.#broker = broker;
    this.vhost = vhost;
    this.name = identity.name;
    this.number = identity.number;
    this.durable = identity.durable;
    this.autoDelete = identity.autoDelete;
    this.exclusiveOwner = identity.exclusiveOwner;
    this.arguments = identity.arguments;
    this.settings = identity.settings;
    this.isTap = identity.isTap;
    this.roster = new Roster(identity.settings.singleActiveConsumer);
    this.#deadlines = new ReadyDeadlines(broker.schedule, this.#ready, this.#stored, () => this.#expire());
    this.#idleness = new Idleness(broker, this);
    this.#takeSettings();
    this.used();
  }

  get consumerCount(): number {
    return this.roster.count;
  }
  get readyCount(): number {
    return this.#ready.count;
  }
  get readyBytes(): number {
    return this.#ready.bytes;
  }

  /** The seq of the message that has been here longest of those that are ready; 0: none is. */
  get oldestReadySeq(): number {
    return this.#ready.oldestSeq;
  }

  /** The place of the next message in this queue's life. */
  takeSeq(): number {
    return this.#nextSeq++;
  }

  /** Whether `count` more bodies of `bodyBytes` together fit; a consumer that is ready empties the queue first. */
  hasRoom(bodyBytes: number, now: number, count = 1): boolean {
    if (!this.#isLimited || !this.#overflows(bodyBytes, count)) return true;
    if (this.settings.overflow === 'drop-head') return true;
    this.dispatch(now);
    if (!this.#overflows(bodyBytes, count)) return true;
    this.#lengthAlarm?.reached();
    return false;
  }

  /** Until when a message that arrives `now` with this expiration (Infinity: none) may wait; 0 = for ever. */
  deadlineFor(expirationMs: number, now: number): number {
    const ttlMs = Math.min(expirationMs, this.settings.messageTtlMs);
    return ttlMs === Number.POSITIVE_INFINITY ? 0 : now + ttlMs;
  }

  /** The level of a message with this priority property (-1: it has none). */
  priorityFor(priority: number): number {
    return Math.min(priority < 0 ? this.settings.defaultPriority : priority, this.settings.maxPriority);
  }

  /** Takes in a message that the log has; `deadline` comes from deadlineFor(.., now). */
  enqueue(stored: Stored, now: number): void {
    this.counts.published++;
    if (stored.deadline !== 0 && stored.deadline <= now) this.#deadlines.expireDue(now); // so that the dispatch below meets this one alone
    this.#ready.push(stored);
    if (stored.deadline !== 0) {
      this.#deadlines.arrived(stored, this.settings.messageTtlMs, now);
      if (stored.deadline <= now) {
        this.dispatch(now - 1); // TTL 0: a consumer that is ready gets it, nobody else
        this.#deadlines.expireDue(now);
      }
    }
    if (this.#isLimited) this.#dropOverflow(now);
    if (this.roster.count > 0) this.#broker.touch(this);
  }

  /** A publish that reject-publish-dlx refused: in, and dead at once. */
  enqueueDead(stored: Stored, reason: DeathReason): void {
    this.counts.published++;
    this.#bury(stored, reason);
  }

  /** Puts back what the log kept over a restart, in the order of seq. `enforceLimits` and what is due follow when the log is open. */
  restore(stored: Stored): void {
    this.counts.published++;
    this.continueAt(stored.seq + 1);
    if (stored.deliveryCount > this.settings.deliveryLimit && this.settings.deadLetterExchange !== undefined) {
      this.#bury(stored, 'delivery_limit'); // it waited to leave when the broker was closed
      return;
    }
    this.#ready.push(stored);
    this.#deadlines.restored(stored, this.settings.messageTtlMs, this.#broker.now());
  }

  /** No message gets a seq below this one. */
  continueAt(seq: number): void {
    this.#nextSeq = Math.max(this.#nextSeq, seq);
  }
  get nextSeq(): number {
    return this.#nextSeq;
  }
  /** The next seq, where the log is still to be told of it; else 0. */
  seqToDefine(): number {
    if (!this.durable || this.#definedSeq === this.#nextSeq) return 0;
    return (this.#definedSeq = this.#nextSeq);
  }

  /** Hands messages to consumers until one or the other runs out; what is due at `asOf` expires instead. True when its share of the turn is used up. */
  dispatch(asOf: number): boolean {
    if (this.#isReading) return false;
    const stored = this.#stored;
    const view = this.#view;
    for (let left = ROUND_MESSAGES_MAX; this.#ready.count > 0; left--) {
      if (left === 0) return true;
      const consumer = this.roster.next();
      if (consumer === undefined) return false;
      this.#ready.peek(stored);
      if (stored.deadline !== 0 && stored.deadline <= asOf) {
        this.#remove(stored);
        this.#bury(stored, 'expired');
        continue;
      }
      if (!this.#broker.log.read(stored.slab, stored.offset, stored.length, view, this)) {
        this.#isReading = true;
        return false;
      }
      this.#remove(stored);
      consumer.session.deliver(consumer, stored, view);
    }
    return false;
  }

  /** The log has what dispatch asked for. */
  readable(): void {
    this.#isReading = false;
    if (!this.isDeleted) this.#broker.touch(this);
  }

  /** Shows the message a get would take, or undefined; the log may answer later (`waiter`), then `view.bytes` is not set. */
  peekForGet(now: number, view: View, waiter: ReadWaiter): Stored | 'later' | undefined {
    this.used();
    const stored = this.#stored;
    while (this.#ready.count > 0) {
      this.#ready.peek(stored);
      if (stored.deadline === 0 || stored.deadline > now) {
        if (!this.#broker.log.read(stored.slab, stored.offset, stored.length, view, waiter)) return 'later';
        this.#remove(stored);
        return stored;
      }
      this.#remove(stored);
      this.#bury(stored, 'expired');
    }
    this.traffic.gotNothing++;
    return undefined;
  }

  /** A message went out: to be settled, or (auto-ack) settled by going. */
  delivered(stored: Stored, isSettled: boolean, isGet: boolean): void {
    this.counts.delivered++;
    this.traffic.out(isSettled, isGet);
    if (stored.flags & MessageFlag.Redelivered) this.counts.redelivered++;
    this.unackedCount++;
    if (isSettled) this.settle(stored);
  }

  /** A consumer is done with an unacked message. */
  settle(stored: Stored): void {
    this.settledInLog();
    this.#broker.log.settle(this.number, stored.seq, stored.slab, stored.length, stored.flags);
  }
  /** The same, where a record of the log has said so already (a transaction's). */
  settledInLog(): void {
    this.unackedCount--;
    this.counts.acked++;
  }

  /** An unacked message returns to its place; `isCounted`: as a failed delivery. When all that come back together are back, `enforceLimits`. */
  requeue(stored: Stored, isCounted: boolean, now: number): void {
    this.unackedCount--;
    if (this.isDeleted) {
      this.#broker.log.settle(this.number, stored.seq, stored.slab, stored.length, stored.flags);
      return;
    }
    stored.flags |= MessageFlag.Redelivered;
    if (isCounted) stored.deliveryCount++;
    if (isCounted && stored.deliveryCount > this.settings.deliveryLimit) {
      this.#bury(stored, 'delivery_limit');
      return;
    }
    this.counts.requeued++;
    this.#broker.log.requeue(this.number, stored.seq, stored.slab, stored.flags, stored.deliveryCount);
    if (stored.deadline !== 0 && stored.deadline <= now) {
      this.#bury(stored, 'expired');
      return;
    }
    this.#ready.giveBack(stored);
    if (stored.deadline !== 0) this.#deadlines.returned(stored);
    this.#broker.touch(this);
  }

  /** What came back may have overfilled the queue: the oldest goes, not what came back last. */
  enforceLimits(now: number): void {
    if (this.#isLimited && !this.isDeleted) this.#dropOverflow(now);
  }

  /** An unacked message was rejected for good. */
  reject(stored: Stored): void {
    this.unackedCount--;
    if (this.isDeleted) this.#broker.log.settle(this.number, stored.seq, stored.slab, stored.length, stored.flags);
    else this.#bury(stored, 'rejected');
  }

  addConsumer(consumer: Consumer): void {
    this.roster.add(consumer);
    this.#broker.touch(this);
  }

  removeConsumer(consumer: Consumer): void {
    if (this.isDeleted) return;
    this.roster.remove(consumer);
    this.used();
    if (this.roster.count > 0) this.#broker.touch(this);
    else if (this.autoDelete) this.vhost.removeQueue(this, 'queue deleted');
  }

  /** A consumer has room again. */
  wake(consumer: Consumer): void {
    const tookOver = this.roster.settled(consumer);
    if ((this.roster.wake(consumer) || tookOver) && this.readyCount > 0) this.#broker.touch(this);
  }

  /** Keeps x-expires away: a declare, a get, a consumer that leaves. */
  used(): void {
    this.#idleness.used();
  }

  /** Drops what is ready; answers how many. */
  purge(): number {
    const count = this.#dropReady();
    this.counts.purged += count;
    return count;
  }

  /** Another policy holds for it: at once, for what is here too. RabbitMQ differs: a limit that comes with reject-publish drops first. */
  follow(policy: EffectivePolicy): void {
    const before = this.settings;
    this.policy = policy;
    const place = { queue: this.name, vhost: this.vhost.name };
    this.settings = readQueueSettings(withDefinition(this.arguments, policy.definition), place, this.#broker.limits.deliveryLimit);
    if (this.settings.messageTtlMs !== before.messageTtlMs) this.#deadlines.ttlChanged();
    this.#takeSettings();
    if (this.settings.expiresMs !== before.expiresMs) this.#idleness.changed();
    if (this.settings.consumerTimeoutMs !== before.consumerTimeoutMs)
      for (const consumer of this.roster.consumers) consumer.session.consumerTimeoutChanged(consumer);
    this.enforceLimits(this.#broker.now());
  }

  /** The vhost has forgotten this queue: consumers are told, what is ready is dropped (never dead-lettered). Answers how many were ready. */
  delete(reason: string): number {
    invariant(!this.isDeleted, 'a queue is deleted once');
    this.isDeleted = true;
    for (const consumer of [...this.roster.consumers]) {
      this.roster.remove(consumer);
      consumer.session.consumerLost(consumer, reason);
    }
    this.#deadlines.end();
    this.#idleness.end();
    this.deadLetters?.drop();
    this.held?.refuseAll(new AmqpError(ReplyCode.NotFound, `no queue '${this.name}' in vhost '${this.vhost.name}'`, { queue: this.name }));
    const count = this.#dropReady();
    this.#broker.totals.retire(this);
    return count;
  }

  // Ready.

  #remove(stored: Stored): void {
    this.#ready.shift(stored);
    this.#left();
  }
  #left(): void {
    this.#lengthAlarm?.left();
    if (this.held !== undefined) this.#broker.touch(this);
  }

  #overflows(bodyBytes: number, count = 0): boolean {
    return this.#ready.count + count > this.#lengthMax || this.#ready.bytes + bodyBytes > this.#bytesMax;
  }

  #dropOverflow(now: number): void {
    if (!this.#overflows(0)) return;
    if (this.settings.overflow !== 'drop-head') return; // a requeue may overfill it; only drop-head makes room
    this.dispatch(now);
    const stored = this.#stored;
    if (this.#overflows(0)) this.#lengthAlarm?.reached();
    while (this.#overflows(0)) {
      this.#ready.peekLowest(stored);
      this.#remove(stored);
      this.#bury(stored, 'maxlen');
    }
  }

  #dropReady(): number {
    const { count } = this.#ready;
    this.#ready.clear((stored) => this.#broker.log.settle(this.number, stored.seq, stored.slab, stored.length, stored.flags));
    this.#deadlines.clear();
    if (!this.isDeleted) this.#left();
    this.#broker.wake(); // the memory alarm may be over
    return count;
  }

  /** The message left its place for `reason`: on to the dead-letter exchange, or gone. */
  #bury(stored: Stored, reason: DeathReason): void {
    if (this.deadLetters !== undefined && this.settings.deadLetterExchange !== undefined) {
      this.deadLetters.push(stored, reason);
      return;
    }
    this.counts[reason === 'expired' ? 'expired' : 'dropped']++;
    this.#broker.log.settle(this.number, stored.seq, stored.slab, stored.length, stored.flags);
  }

  #expire(): void {
    this.#left();
    this.#bury(this.#stored, 'expired');
  }

  /** Makes ready what the settings ask for. */
  #takeSettings(): void {
    const { maxLength, maxLengthBytes, deadLetterExchange, overflow } = this.settings;
    this.#lengthMax = maxLength;
    this.#bytesMax = maxLengthBytes;
    this.#isLimited = maxLength !== Number.POSITIVE_INFINITY || maxLengthBytes !== Number.POSITIVE_INFINITY;
    if (this.#isLimited) this.#lengthAlarm ??= new LengthAlarm(this.#broker, this);
    this.#lengthAlarm?.left();
    if (deadLetterExchange !== undefined) this.deadLetters ??= new DeadLetters(this.#broker, this);
    if (overflow === 'block') this.held ??= new HeldPublishes(this.#broker, this);
    const { held } = this;
    if (held === undefined) return;
    held.admit(this.#broker.now()); // there may be more room, or less than a message that waits would need
    if (overflow === 'block') return;
    held.refuseAll(refusedByLength(this));
    this.held = undefined;
  }
}
