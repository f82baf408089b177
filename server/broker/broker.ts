// The broker: its vhosts and sessions, and the turn in which everything that was asked is carried out. hot
// Always: (1) input only marks what is to be done; one deferred end of turn dispatches queues, commits the log, confirms, and flushes every
// touched session once; (2) nothing is confirmed before the log calls it durable; (3) one queue has at most its share of a turn; (4) when the
// log has lost track, every session is ended and nothing more is dispatched, stored or confirmed.
// Refuses: sockets, files, timers of its own, logging: ports.ts has what it may ask of the world.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Sample } from '../../shared/protocol/control.ts';
import type { Clock, Definition, LogListener, Lsn, MessageLog, Notices, Random, Turns } from '../ports.ts';
import { Alarms } from './alarms.ts';
import { Commits } from './commits.ts';
import { Connections } from './connections.ts';
import type { DeadLetters } from './dead-letter.ts';
import { DeadLetterCycles } from './dead-letter-cycles.ts';
import { eventExchange } from './event-exchange.ts';
import { Events } from './events.ts';
import { Schedule } from './expiry.ts';
import { Firehose } from './firehose.ts';
import { HiddenQueues } from './hidden-queues.ts';
import { InternalPublisher } from './internal-publisher.ts';
import type { BrokerLimits } from './limits.ts';
import type { Identity } from './login.ts';
import { generateName } from './names.ts';
import { Policies } from './policies.ts';
import { Queue } from './queue.ts';
import { QueueNumbers } from './queue-numbers.ts';
import { RecordEvents } from './record-events.ts';
import { Records } from './records.ts';
import { Recovery } from './recovery.ts';
import { ReplyConsumers } from './reply-to.ts';
import { Router } from './router.ts';
import { Session } from './session.ts';
import type { SessionSink } from './session-sink.ts';
import { Sessions } from './sessions.ts';
import { sampleVhost } from './stats.ts';
import { Totals } from './traffic.ts';
import { Users } from './users.ts';
import { Vhost } from './vhost.ts';
import type { QueueOptions } from './vhost-ports.ts';
import { Vhosts } from './vhosts.ts';

export interface BrokerOptions {
  readonly log: MessageLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly turns: Turns;
  readonly notices: Notices;
  readonly limits: BrokerLimits;
  /** Milliseconds, fractions included, for latencies; the clock's unless given. */
  readonly stopwatch?: () => number;
  /** The log cannot go on, and neither can this broker: every session has been ended. Its process should end too. */
  readonly onFault?: (cause: Error) => void;
}

export class Broker implements LogListener {
  readonly log: MessageLog;
  readonly clock: Clock;
  readonly notices: Notices;
  readonly limits: BrokerLimits;
  readonly schedule: Schedule;
  readonly router: Router;
  readonly replyConsumers: ReplyConsumers;
  readonly alarms = new Alarms(this);
  readonly queueNumbers = new QueueNumbers((definition) => this.#define(definition));
  readonly hiddenQueues = new HiddenQueues(this);
  readonly records = new Records((definition) => this.#define(definition));
  readonly users: Users;
  readonly policies: Policies;
  readonly deadLetterCycles: DeadLetterCycles;
  readonly vhosts: Vhosts;
  readonly connections: Connections;
  readonly totals = new Totals();
  readonly commits: Commits;
  readonly events = new Events(this, eventExchange(this));
  readonly internal = new InternalPublisher(this);
  readonly firehose = new Firehose(this, this.internal);
  /** Sessions with publishes that are not confirmed yet. */
  readonly unconfirmed = new Set<Session>();
  /** Of the newest change of topology. */
  definedLsn: Lsn = 0;
  publishedCount = 0;
  unroutableCount = 0;

  readonly #random: Random;
  readonly #turns: Turns;
  readonly #recovery: Recovery;
  readonly #onFault: ((cause: Error) => void) | undefined;
  readonly #sessions = new Sessions(this.totals);
  #touchedQueues: Queue[] = [];
  #touchedDeadLetters: DeadLetters[] = [];
  #touchedSessions: Session[] = [];
  #isTurnDeferred = false;
  #isCommitting = false;
  /** 0: not asked yet in this turn. */
  #turnAt = 0;
  #isClosed = false;
  #isLogClosed = false;
  readonly #endTurnTask = (): void => this.#endTurn();

  constructor(options: BrokerOptions) {
    this.log = options.log;
    this.clock = options.clock;
    this.notices = options.notices;
    this.users = new Users(this.records, options.notices);
    this.policies = new Policies(this.records, options.notices, (name) => this.vhosts.get(name));
    this.limits = options.limits;
    this.#random = options.random;
    this.#turns = options.turns;
    this.#onFault = options.onFault;
    this.schedule = new Schedule(options.clock, () => {
      this.#turnAt = this.clock.now();
      this.schedule.run(this.#turnAt);
      this.wake();
    });
    this.commits = new Commits(options.log, () => this.wake(), options.stopwatch ?? (() => options.clock.now()));
    this.router = new Router(options.notices);
    this.deadLetterCycles = new DeadLetterCycles(options.notices);
    this.replyConsumers = new ReplyConsumers(options.random);
    this.vhosts = new Vhosts(this.records, {
      queuesPerVhost: options.limits.queuesPerVhost,
      create: (name) => this.#createVhost(name),
      evict: (vhost, reason) => this.#sessions.end(new AmqpError(ReplyCode.ConnectionForced, reason), (session) => session.vhost === vhost),
    });
    new RecordEvents(this.records, this.events); // after what it tells of has heard
    this.connections = new Connections(
      options.limits.connectionsPerUser,
      (vhost) => this.vhosts.limit(vhost, 'max-connections'),
      this.events,
    );
    this.records.watch('user', ([name], value) => {
      if (value === undefined) this.connections.endOf(String(name));
    });
    for (const kind of ['permission', 'topic-permission'] as const)
      this.records.watch(kind, ([vhost = '', user = '']) => this.#sessions.rightsChanged(user, vhost)); // after the account has changed
    this.#recovery = new Recovery(this.vhosts, this.records, this.queueNumbers);
    try {
      this.log.open(this.#recovery, this);
    } catch (error) {
      this.#stop(); // what was restored so far has set alarms
      throw error;
    }
    if (!this.#isClosed) this.#recovery.finish(this.log, this.now());
    this.events.start();
  }

  /** Connections that have a session: an AMQP connection has one for each channel. */
  get connectionCount(): number {
    return this.#sessions.ownerCount;
  }

  vhost(name: string): Vhost | undefined {
    return this.vhosts.get(name);
  }

  /** Publishers are held back. */
  get isBlocked(): boolean {
    return this.alarms.isBlocked;
  }

  /** `owner`: the connection, where it may have several sessions. It releases what it owns itself: `releaseOwner`. */
  openSession(sink: SessionSink, identity: Identity, owner?: object): Session {
    if (this.#isClosed) throw new AmqpError(ReplyCode.InternalError, 'the broker is closed');
    const vhost = this.vhosts.open(identity.account, identity.vhost);
    const session = new Session(this, vhost, this.randomName(), identity, sink, owner);
    this.#sessions.add(session);
    return session;
  }

  forgetSession(session: Session): void {
    this.#sessions.remove(session);
    this.unconfirmed.delete(session);
    this.wake();
  }

  /** The connection `owner` of several sessions has ended: its exclusive queues go. */
  releaseOwner(owner: object): void {
    for (const vhost of this.vhosts.values()) vhost.releaseOwner(owner);
    this.wake();
  }

  sample(match: (queue: string) => boolean, vhost = '/'): Sample {
    return sampleVhost(this, this.vhost(vhost), match);
  }

  /** Ends every session at once, and the log; resolves when the log is done. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#sessions.end(new AmqpError(ReplyCode.ConnectionForced, 'broker shut down')); // what is unacked goes back, into the log
      for (const vhost of this.vhosts.values()) for (const queue of vhost.queues.values()) queue.deadLetters?.giveBack();
      this.#recovery.defineSeqs(this.log);
      this.#stop();
    }
    if (this.#isLogClosed) return;
    this.#isLogClosed = true;
    await this.log.close();
  }

  #stop(): void {
    this.#isClosed = true;
    this.commits.forget();
    this.schedule.close();
  }

  // The turn.

  /** The time of this turn: the clock is asked once a turn, not once a message (5 % of a busy broker). */
  now(): number {
    if (this.#turnAt === 0) {
      this.#turnAt = this.clock.now();
      this.wake(); // the end of the turn forgets it
    }
    return this.#turnAt;
  }

  /** There is something to do at the end of this turn. */
  wake(): void {
    if (this.#isTurnDeferred || this.#isClosed) return;
    this.#isTurnDeferred = true;
    this.#turns.defer(this.#endTurnTask);
  }

  /** `queue` may have messages for consumers. */
  touch(queue: Queue): void {
    if (queue.isTouched) return;
    queue.isTouched = true;
    this.#touchedQueues.push(queue);
    this.wake();
  }

  touchDeadLetters(deadLetters: DeadLetters): void {
    if (deadLetters.isTouched) return;
    deadLetters.isTouched = true;
    this.#touchedDeadLetters.push(deadLetters);
    this.wake();
  }

  touchSession(session: Session): void {
    if (session.isTouched || session.isClosed) return;
    session.isTouched = true;
    this.#touchedSessions.push(session);
    this.wake();
  }

  /** Runs `done` once `lsn` is durable: now, where it is. */
  whenDurable(lsn: Lsn, done: () => void): void {
    this.commits.whenDurable(lsn, done);
  }

  #endTurn(): void {
    this.#isTurnDeferred = false;
    if (this.#isClosed) return;
    this.#turnAt = this.clock.now();
    this.internal.flush(this.#turnAt);
    this.#dispatchQueues();
    this.alarms.watchMessages(this.log.memoryBytes, this.limits.memoryBytes);
    this.#isCommitting = true;
    this.log.commit();
    this.#isCommitting = false;
    this.commits.committed();
    this.#confirm(this.log.durableLsn);
    this.#flushSessions();
    this.#turnAt = 0;
  }

  #dispatchQueues(): void {
    const now = this.now();
    // Dead letters first, then consumers: what dies in a dispatch goes on in the next turn, so a cycle cannot hold this one.
    const deadLetters = this.#touchedDeadLetters;
    this.#touchedDeadLetters = [];
    for (const each of deadLetters) {
      each.isTouched = false;
      if (each.process()) this.touchDeadLetters(each);
    }
    const queues = this.#touchedQueues;
    this.#touchedQueues = [];
    for (const queue of queues) {
      queue.isTouched = false;
      if (queue.isDeleted) continue;
      const hasMore = queue.dispatch(now);
      queue.held?.admit(now);
      if (hasMore) this.touch(queue);
    }
  }

  #flushSessions(): void {
    const sessions = this.#touchedSessions;
    this.#touchedSessions = [];
    for (const session of sessions) {
      session.isTouched = false;
      if (!session.isClosed) session.endTurn();
    }
    for (const session of sessions) if (!session.isClosed) session.sink.flush(); // sessions of one connection share its outbox
  }

  /** The process as a whole uses too much memory, or no longer does: whoever watches it says so, with hysteresis. */
  memoryAlarm(isOver: boolean): void {
    this.alarms.process(isOver);
  }

  /** The first alarm began, or the last is over. */
  blockedChanged(): void {
    for (const session of this.#sessions) {
      if (this.isBlocked) session.publishers.tellBlocked();
      else this.touchSession(session);
    }
  }

  // The log's listener.

  durable(): void {
    if (!this.#isCommitting) this.wake(); // the end of the turn confirms
  }

  #confirm(lsn: Lsn): void {
    for (const session of this.unconfirmed) {
      if (session.publishers.confirmUpTo(lsn)) this.touchSession(session);
      if (!session.publishers.hasUnconfirmed) this.unconfirmed.delete(session);
    }
    this.commits.durable(lsn);
  }

  /** Whether what was sent is stored is not known: every connection must learn that its open confirms are void. */
  unknown(_fromLsn: Lsn, cause: Error): void {
    this.#isClosed = true;
    this.notices.notice({
      kind: 'log.unknown',
      severity: 'error',
      text: 'the fate of recent publishes is unknown: connections are closed',
      fields: { cause: cause.message },
    });
    this.#sessions.end(new AmqpError(ReplyCode.InternalError, 'the message log lost track of recent publishes'));
    this.#stop();
    this.#onFault?.(cause);
  }

  blocked(reason: string | undefined): void {
    this.alarms.disk(reason);
  }

  topology(): readonly Definition[] {
    return this.#recovery.topology();
  }

  // What vhosts and sessions ask for.

  randomName(): string {
    return generateName('', this.#random);
  }

  #createVhost(name: string): Vhost {
    return new Vhost(name, {
      random: this.#random,
      createQueue: (vhost: Vhost, queueName: string, options: QueueOptions): Queue => this.#createQueue(vhost, queueName, options),
      define: (definition: Definition): void => this.#define(definition),
      limits: this.limits,
      admitQueue: (count) => this.vhosts.admitQueue(name, count),
      events: this.events,
      defaultQueueType: () => this.vhosts.defaultQueueType(name),
      declared: (vhost, destination) => this.policies.apply(vhost, destination),
    });
  }

  #define(definition: Definition): void {
    this.definedLsn = this.log.define(definition);
    this.wake();
  }

  #createQueue(vhost: Vhost, name: string, options: QueueOptions): Queue {
    const number = options.number ?? this.queueNumbers.take();
    const queue = new Queue(this, vhost, { ...options, name, number, isTap: false });
    if (options.number !== undefined) this.#recovery.add(queue);
    else this.totals.queuesCreated++;
    return queue;
  }
}
