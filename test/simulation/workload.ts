// What the peers of one life of a simulated broker do, at random moments: publish, consume, get, settle, cancel, reconnect, purge, delete, transactions.
// Always: (1) a body is published once; (2) a delivery is answered some milliseconds later, or never; (3) after `stop` nothing is done any more.
// Refuses: to judge: oracle.ts is told.

import { countersBalance } from '../../scripts/kill-loop/checkers.ts';
import type { Broker } from '../../server/broker/broker.ts';
import type { MessageLog } from '../../server/ports.ts';
import { encodeContent } from '../../shared/content.ts';
import { AmqpError } from '../../shared/error.ts';
import { between, type Random } from '../support/sim-random.ts';
import { type Knobs, OPERATIONS, type Operation } from './knobs.ts';
import type { Copy, Oracle, Sent } from './oracle.ts';
import type { SimEnv } from './sim-env.ts';
import { type Held, SimPeer } from './sim-peer.ts';
import { declareQueue, LEVELS, QUEUES, TARGETS, type Target, TRANSACTED } from './topology.ts';

const READABLE = [...QUEUES.keys()];
// What was dead-lettered is not known from outside, so nobody can tell what a purge of 'dead' took.
const PURGED = READABLE.filter((queue) => queue !== 'dead');
const CONSUMERS_MAX = 4;
const ANSWER_MS_MAX = 10;
const PEERS = 3;

/** What outlives a broker: bodies have one numbering. */
export interface Numbering {
  bodies: number;
  peers: number;
  /** By queue: what was published to it and not yet settled, as far as anybody knows. */
  readonly open: Map<string, Set<string>>;
  /** Settled in this life: a crash may undo it. */
  settled: Copy[];
}

/** What a crash may have brought back counts as open again. */
export function reopen({ open, settled }: Numbering): void {
  for (const { queue, body } of settled.splice(0)) open.get(queue)?.add(body);
}

export class Workload {
  readonly #env: SimEnv;
  readonly #oracle: Oracle;
  readonly #knobs: Knobs;
  readonly #random: Random;
  readonly #broker: Broker;
  readonly #log: MessageLog;
  readonly #numbering: Numbering;
  #peers: SimPeer[] = [];
  #isStopped = false;

  constructor(around: {
    env: SimEnv;
    oracle: Oracle;
    knobs: Knobs;
    random: Random;
    broker: Broker;
    log: MessageLog;
    numbering: Numbering;
  }) {
    this.#env = around.env;
    this.#oracle = around.oracle;
    this.#knobs = around.knobs;
    this.#random = around.random;
    this.#broker = around.broker;
    this.#log = around.log;
    this.#numbering = around.numbering;
  }

  begin(): void {
    for (let i = 0; i < PEERS; i++) this.#connect(i);
    this.#next();
  }
  stop(): void {
    this.#isStopped = true;
  }

  #next(): void {
    this.#env.after(between(this.#random, 0, this.#knobs.gapMsMax), () => {
      if (this.#isStopped) return;
      this.#do(this.#draw());
      this.#next();
    });
  }

  #draw(): Operation {
    const { weights } = this.#knobs;
    let left = this.#random() * OPERATIONS.reduce((sum, operation) => sum + weights[operation], 0);
    for (const operation of OPERATIONS) {
      left -= weights[operation];
      if (left < 0) return operation;
    }
    return 'publish';
  }

  #do(operation: Operation): void {
    const at = between(this.#random, 0, this.#peers.length - 1);
    const peer = this.#peers[at];
    if (peer === undefined) return;
    if (peer.isClosed) {
      this.#connect(at);
      return;
    }
    this.#oracle.note(operation);
    try {
      this.#act(operation, peer, at);
    } catch (error) {
      // what a peer may not do, such as getting from a queue with a single active consumer
      if (!(error instanceof AmqpError)) throw error;
      this.#oracle.note(error.message);
    }
  }

  #act(operation: Operation, peer: SimPeer, at: number): void {
    if (operation === 'publish') for (let n = between(this.#random, 1, this.#knobs.burstMax); n > 0; n--) this.#publish(peer);
    else if (operation === 'consume') this.#consume(peer);
    else if (operation === 'get') peer.get(this.#pick(READABLE), this.#random() < 0.3);
    else if (operation === 'cancel') this.#cancel(peer);
    else if (operation === 'reconnect') {
      peer.leave();
      this.#connect(at);
    } else if (operation === 'purge') this.#purge(peer, this.#pick(PURGED));
    else if (operation === 'delete') this.#deleteOrDeclare(peer);
    else if (operation === 'transaction') this.#transact(peer);
    else this.#look();
  }

  #connect(at: number): void {
    const name = `p${this.#numbering.peers++}`;
    const { weights } = this.#knobs;
    const isTransactional = weights.transaction > 0 && at === 0;
    this.#peers[at] = new SimPeer(this.#broker, name, isTransactional, {
      env: this.#env,
      oracle: this.#oracle,
      received: (peer, held) => this.#received(peer, held),
    });
  }

  #isTransactional(peer: SimPeer): boolean {
    return !peer.publisher.confirm;
  }

  // Publishing.

  #publish(peer: SimPeer): void {
    if (this.#isTransactional(peer)) return;
    const target = this.#pick(TARGETS);
    if (target.key === 'temp' && !this.#exists('temp')) return;
    const expirationMs = this.#random() < this.#knobs.expiringShare ? between(this.#random, 1, 200) : undefined;
    const seq = peer.publisher.nextSeq;
    const sent = this.#send(peer, target, expirationMs, (done) => {
      peer.unconfirmed.set(seq, done);
    });
    if (peer.publisher.nextSeq !== seq + 1) this.#oracle.complain(`${sent.body.slice(0, 12)} took no seq`);
  }

  #send(peer: SimPeer, target: Target, expirationMs: number | undefined, sending: (sent: Sent) => void): Sent {
    const knobs = this.#knobs;
    const body = `m${this.#numbering.bodies++}`.padEnd(between(this.#random, 1, knobs.bodyBytesMax), '.');
    const isPersistent = this.#random() < knobs.persistentShare;
    const priority = between(this.#random, 0, LEVELS + 1);
    const sent: Sent = { body, queues: target.queues, isPersistent, lsn: 0 };
    const nowMs = this.#env.nowMs;
    this.#oracle.attempted(sent, nowMs, { publisher: peer.name, isPersistent }, (queue) => ({
      level: queue === 'levels' ? Math.min(priority, LEVELS) : 0,
      deadlineMs:
        nowMs + Math.min(expirationMs ?? Number.POSITIVE_INFINITY, queue === 'brief' ? knobs.queueTtlMs : Number.POSITIVE_INFINITY),
    }));
    for (const queue of target.queues) this.#openIn(queue).add(body);
    sending(sent);
    const expiration = expirationMs === undefined ? {} : { expiration: String(expirationMs) };
    const run = encodeContent(
      target.exchange,
      target.key,
      { deliveryMode: isPersistent ? 2 : 1, priority, ...expiration },
      Buffer.from(body, 'latin1'),
    );
    peer.session.publish(peer.publisher, run, 0, run.length, false);
    if (isPersistent) sent.lsn = this.#log.lastLsn;
    return sent;
  }

  #transact(peer: SimPeer): void {
    if (!this.#isTransactional(peer)) return;
    const sent: Sent[] = [];
    for (let n = between(this.#random, 0, 4); n > 0; n--) sent.push(this.#send(peer, this.#pick(TRANSACTED), undefined, () => undefined));
    const settled = [...peer.held.values()].slice(0, between(this.#random, 0, 3));
    for (const { tag } of settled) peer.session.ack(tag, false);
    let done = (): void => undefined;
    let isEarly = false;
    try {
      peer.session.txCommit(() => {
        isEarly = true;
        done();
      });
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      // nothing of it was done, and the deliveries are unacked still: this peer gives up
      for (const { body, queues } of sent) for (const queue of queues) this.#oracle.tell(queue, { kind: 'refused', body });
      this.#oracle.note(error.message);
      peer.leave();
      return;
    }
    for (const held of settled) {
      peer.held.delete(held.tag);
      this.#settledAs('acked', held);
    }
    for (const one of sent) one.lsn = 0; // its commit is one record, and says more than each of them
    done = this.#oracle.transacted(sent, settled);
    if (isEarly) done();
  }

  // Consuming.

  #consume(peer: SimPeer): void {
    if (peer.readings.size < CONSUMERS_MAX) peer.consume(this.#pick(READABLE), between(this.#random, 1, this.#knobs.prefetchMax));
  }

  #cancel(peer: SimPeer): void {
    const [first] = peer.readings.values();
    if (first === undefined) return;
    peer.readings.delete(first.consumer.handle);
    peer.session.cancel(first.consumer);
  }

  #received(peer: SimPeer, held: Held): void {
    if (this.#isTransactional(peer)) return; // its next transaction may take it
    const dice = this.#random();
    const { ackShare, returnShare, discardShare } = this.#knobs;
    if (dice > ackShare + returnShare + discardShare) return;
    this.#env.after(between(this.#random, 0, ANSWER_MS_MAX), () => {
      if (this.#isStopped || peer.isClosed || !peer.held.has(held.tag)) return;
      peer.held.delete(held.tag);
      if (dice < ackShare) this.#ack(peer, held);
      else if (dice < ackShare + returnShare) this.#giveBack(peer, held);
      else {
        this.#settledAs('discarded', held);
        peer.session.reject(held.tag, false);
      }
    });
  }

  #ack(peer: SimPeer, held: Held): void {
    this.#settledAs('acked', held);
    peer.session.ack(held.tag, false);
    this.#oracle.owes(held, this.#log.lastLsn, this.#env.nowMs);
  }

  #giveBack(peer: SimPeer, held: Held): void {
    const dice = this.#random();
    this.#oracle.tell(held.queue, { kind: 'returned', body: held.body, consumer: held.consumer });
    if (dice < 0.4) peer.session.nack(held.tag, false, true);
    else if (dice < 0.6) peer.session.release(held.tag, false);
    else {
      peer.session.reject(held.tag, true);
      this.#oracle.owes(held, this.#log.lastLsn, this.#env.nowMs, held.deliveryCount + 1);
    }
  }

  #settledAs(kind: 'acked' | 'discarded', { queue, body, consumer }: Held): void {
    this.#openIn(queue).delete(body);
    this.#numbering.settled.push({ queue, body });
    this.#oracle.tell(queue, { kind, body, consumer });
  }

  // Topology.

  #purge(peer: SimPeer, queue: string): void {
    if (!this.#exists(queue)) return;
    peer.session.purgeQueue(queue);
    this.#drop(queue, new Set(this.#peers.flatMap(({ held }) => [...held.values()]).map((held) => `${held.queue} ${held.body}`)));
  }

  #deleteOrDeclare(peer: SimPeer): void {
    if (this.#exists('temp')) {
      peer.session.deleteQueue('temp', false, false);
      this.#drop('temp', new Set());
    } else declareQueue(peer.session, 'temp', this.#knobs);
  }

  /** What was ready is gone, and what `kept` names is not. */
  #drop(queue: string, kept: ReadonlySet<string>): void {
    const open = this.#openIn(queue);
    for (const body of open) {
      if (kept.has(`${queue} ${body}`)) continue;
      open.delete(body);
      this.#numbering.settled.push({ queue, body });
      this.#oracle.tell(queue, { kind: 'dropped', body });
      this.#oracle.owes({ queue, body }, this.#log.lastLsn, this.#env.nowMs);
    }
  }

  #look(): void {
    const { queues } = this.#broker.sample(() => true);
    for (const complaint of queues.flatMap(countersBalance)) this.#oracle.complain(complaint);
  }

  #exists(queue: string): boolean {
    return this.#broker.vhost('/')?.queues.has(queue) === true;
  }
  #openIn(queue: string): Set<string> {
    const open = this.#numbering.open.get(queue) ?? new Set();
    this.#numbering.open.set(queue, open);
    return open;
  }
  #pick<T>(from: readonly T[]): T {
    return from[between(this.#random, 0, from.length - 1)] as T;
  }
}
