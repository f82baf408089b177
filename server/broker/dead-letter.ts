// Dead letters: from a queue with a dead-letter exchange, with the history of their deaths, to where that exchange routes them.
// Always: (1) leaving the source and entering the targets is one record of the log; (2) they go in the order in which they died; (3) the
// target's refusal (a full queue) makes rejected, expired and over-delivered messages wait here, outside the length limit, and drops victims
// of a length limit; (4) a cycle without a reject in it ends: the message is dropped and counted; (5) expiration is taken off.
// x-death as RabbitMQ 4.x writes it: newest first, one entry per queue and reason. A publisher's own x-death is not this broker's: it is replaced.
// RabbitMQ differs: its dead letters go to a full target at the cost of being lost there.

import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import { encodeTable, Typed, tableBytes } from '../../shared/amqp/table.ts';
import { Content } from '../../shared/content.ts';
import { AmqpError } from '../../shared/error.ts';
import { Ring } from '../../shared/ring.ts';
import { Append, MessageFlag, REFUSED, type ReadWaiter, Stored, View } from '../ports.ts';
import type { Broker } from './broker.ts';
import { Alarm } from './expiry.ts';
import type { Queue } from './queue.ts';
import type { QueueSettings } from './queue-arguments.ts';
import { Route } from './router.ts';

export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

const RETRY_MS = 1_000; // a full target is asked again once a second
const ROUND_MAX = 2_000; // dead letters of one queue before others have their turn

interface DeadLetter {
  readonly stored: Stored;
  readonly reason: DeathReason;
  readonly diedAt: number;
}

/** The dead letters of one queue that have not left it yet. */
export class DeadLetters implements ReadWaiter {
  /** In the broker's list of queues with work here. */
  isTouched = false;
  readonly #broker: Broker;
  readonly #queue: Queue;
  readonly #waiting = new Ring<DeadLetter>();
  readonly #retry = new Alarm(() => this.#broker.touchDeadLetters(this));
  readonly #view = new View();
  readonly #source = new Content();
  readonly #content = new Content();
  readonly #route = new Route();
  readonly #append = new Append();
  readonly #stored = new Stored();
  /** Where what died went last: it still goes there when a policy takes the exchange away. */
  #target: Pick<QueueSettings, 'deadLetterExchange' | 'deadLetterRoutingKey'>;
  #isReading = false;
  #isMissingTold = false;

  constructor(broker: Broker, queue: Queue) {
    this.#broker = broker;
    this.#queue = queue;
    this.#target = queue.settings;
  }

  get size(): number {
    return this.#waiting.length;
  }

  push(stored: Stored, reason: DeathReason): void {
    this.#target = this.#queue.settings;
    this.#waiting.push({ stored: new Stored().copyFrom(stored), reason, diedAt: this.#broker.now() });
    this.#broker.events.emitLimited('message.dead_lettered', `${this.#queue.number} ${reason}`, () => ({
      name: this.#queue.name,
      vhost: this.#queue.vhost.name,
      reason,
      exchange: this.#queue.settings.deadLetterExchange ?? '',
    }));
    this.#broker.touchDeadLetters(this);
  }

  /** Sends on what can go. True when its share of the turn is used up. */
  process(): boolean {
    if (this.#isReading) return false;
    for (let left = ROUND_MAX; left > 0; left--) {
      const letter = this.#waiting.peek();
      if (letter === undefined) return false;
      const { stored } = letter;
      if (!this.#broker.log.read(stored.slab, stored.offset, stored.length, this.#view, this)) {
        this.#isReading = true;
        return false;
      }
      if (!this.#send(letter)) {
        this.#broker.schedule.setBy(this.#retry, this.#broker.now() + RETRY_MS);
        return false;
      }
      this.#waiting.shift();
    }
    return this.#waiting.length > 0;
  }

  readable(): void {
    this.#isReading = false;
    this.#broker.touchDeadLetters(this);
  }

  /** The broker closes: what a consumer had before stands in its queue again after a restart, and says so. */
  giveBack(): void {
    for (let letter = this.#waiting.shift(); letter !== undefined; letter = this.#waiting.shift()) {
      const { stored, reason } = letter;
      if (reason === 'rejected') stored.flags |= MessageFlag.Redelivered;
      this.#broker.log.requeue(this.#queue.number, stored.seq, stored.slab, stored.flags, stored.deliveryCount);
    }
  }

  /** The queue is going: so are these. */
  drop(): void {
    this.#broker.schedule.clear(this.#retry);
    for (let letter = this.#waiting.shift(); letter !== undefined; letter = this.#waiting.shift()) this.#settle(letter.stored);
  }

  #settle(stored: Stored): void {
    this.#broker.log.settle(this.#queue.number, stored.seq, stored.slab, stored.length, stored.flags);
  }

  /** False: a target refused, and the letter is one that waits. */
  #send(letter: DeadLetter): boolean {
    const queue = this.#queue;
    const { deadLetterExchange, deadLetterRoutingKey } = queue.settings.deadLetterExchange === undefined ? this.#target : queue.settings;
    const exchange = queue.vhost.exchanges.get(deadLetterExchange ?? '');
    if (exchange === undefined) {
      this.#tellMissing(deadLetterExchange ?? '');
      queue.counts[letter.reason === 'expired' ? 'expired' : 'dropped']++;
      this.#settle(letter.stored);
      return true;
    }
    this.#isMissingTold = false;
    const { stored } = letter;
    const source = this.#source.read(this.#view.bytes, this.#view.start, this.#view.start + stored.length);
    const deaths = recordDeath(source, stored, queue.name, letter.reason, letter.diedAt);
    const headers = rewriteHeaders(source, deadLetterRoutingKey !== undefined, deaths);
    const run = source.rewritten(exchange.name, deadLetterRoutingKey ?? source.key, headers);
    const content = this.#content.read(run, 0, run.length);
    this.#broker.router.route(queue.vhost, exchange, content.key, content, this.#route);
    return this.#move(letter, content, this.#withoutCycles(letter.reason, deaths));
  }

  /** Once until it is there again: the counters tell of every message. */
  #tellMissing(exchange: string): void {
    if (this.#isMissingTold) return;
    this.#isMissingTold = true;
    this.#broker.notices.notice({
      kind: 'dead-letter.missing',
      severity: 'warn',
      text: 'dead-letter exchange does not exist: messages are dropped',
      fields: { queue: this.#queue.name, exchange },
    });
  }

  /** The route's queues, less those this letter has been in already in a cycle that nobody's reject keeps turning. */
  #withoutCycles(reason: DeathReason, deaths: readonly Death[]): Queue[] {
    const { queues } = this.#route;
    if (reason === 'rejected') return queues;
    return queues.filter((target) => {
      const visited = deaths.findIndex((death) => death.queue === target.name);
      const isCycle = visited >= 0 && !deaths.slice(0, visited + 1).some((death) => death.reason === 'rejected');
      if (isCycle) this.#broker.deadLetterCycles.tell(this.#queue, target);
      return !isCycle;
    });
  }

  #move(letter: DeadLetter, content: Content, targets: readonly Queue[]): boolean {
    const queue = this.#queue;
    const now = this.#broker.now();
    // a letter waits behind the publishes that its target holds: their places come before its own
    const takers = targets.filter((target) =>
      target.held === undefined ? target.hasRoom(content.bodyBytes, now) : target.held.isOpen(content.bodyBytes, now),
    );
    if (takers.length < targets.length) {
      if (letter.reason !== 'maxlen') return false;
      for (const target of targets) if (!takers.includes(target)) target.counts.refused++;
    }
    const { stored } = letter;
    const append = this.#append;
    const flags = (stored.flags & MessageFlag.Persistent) | MessageFlag.Deaths;
    append.begin(content.bytes, content.start, content.end, content.bodyBytes, flags);
    for (const target of takers)
      append.add(target.number, target.takeSeq(), target.priorityFor(content.priority), target.deadlineFor(Number.POSITIVE_INFINITY, now));
    if (this.#broker.log.move(queue.number, stored.seq, stored.slab, stored.length, stored.flags, append) === REFUSED) return false;
    const isVictim = takers.length === 0 && this.#route.queues.length > 0; // of a full target or of a cycle
    queue.counts[isVictim ? 'dropped' : 'deadLettered']++;
    for (let i = 0; i < takers.length; i++) (takers[i] as Queue).enqueue(enter(append, i, this.#stored), now);
    return true;
  }
}

/** What the i-th queue of `append` keeps of the message. */
export function enter(append: Append, i: number, into: Stored): Stored {
  into.seq = append.seqs[i] as number;
  into.slab = append.place.slab;
  into.offset = append.place.offset;
  into.length = append.place.length;
  into.bodyBytes = append.bodyBytes;
  into.priority = append.priorities[i] as number;
  into.flags = append.flags;
  into.deliveryCount = 0;
  into.deadline = append.deadlines[i] as number;
  return into;
}

interface Death {
  readonly queue: string;
  readonly reason: string;
  readonly entry: FieldTable;
}

/** The history with this death in it, newest first. */
function recordDeath(content: Content, stored: Stored, queue: string, reason: DeathReason, diedAt: number): Death[] {
  const history = stored.flags & MessageFlag.Deaths ? readDeaths(content.headers?.get('x-death')) : [];
  const before = history.find((death) => death.queue === queue && death.reason === reason);
  const others = history.filter((death) => death !== before);
  if (before !== undefined) {
    before.entry.set('count', new Typed('l', integer(before.entry.get('count')) + 1));
    return [before, ...others];
  }
  const keys: FieldValue[] = [content.key, ...strings(content.headers?.get('CC'))];
  const entry: FieldTable = new Map<string, FieldValue>([
    ['count', new Typed('l', 1)],
    ['reason', reason],
    ['queue', queue],
    ['time', new Typed('T', Math.floor(diedAt / 1000))],
    ['exchange', content.exchange],
    ['routing-keys', keys],
  ]);
  const { expiration } = content;
  if (expiration !== undefined) entry.set('original-expiration', expiration);
  return [{ queue, reason, entry }, ...others];
}

function readDeaths(value: FieldValue | undefined): Death[] {
  const deaths: Death[] = [];
  if (!Array.isArray(value)) return deaths;
  for (const entry of value) {
    if (!(entry instanceof Map)) continue;
    const queue = entry.get('queue');
    const reason = entry.get('reason');
    if (typeof queue === 'string' && typeof reason === 'string') deaths.push({ queue, reason, entry });
  }
  return deaths;
}

/** The header table of the message as it goes on: its history in it, no CC where the key is given. A history that does not fit loses its oldest. */
function rewriteHeaders(content: Content, isKeyGiven: boolean, deaths: readonly Death[]): Uint8Array {
  const sent = content.headers ?? new Map<string, FieldValue>();
  if (isKeyGiven) sent.delete('CC');
  const headers: FieldTable = new Map(sent);
  const newest = deaths[0] as Death;
  const oldest = deaths[deaths.length - 1] as Death;
  const isFirst = deaths.length === 1 && integer(newest.entry.get('count')) === 1;
  if (isFirst || !headers.has('x-first-death-queue')) setDeath(headers, 'x-first-death', oldest);
  setDeath(headers, 'x-last-death', newest);
  for (let kept = deaths.length; kept > 0; kept--) {
    headers.set(
      'x-death',
      deaths.slice(0, kept).map((death) => death.entry),
    );
    if (fits(headers)) return encodeTable(headers);
  }
  return encodeTable(sent); // the publisher's own fill the table: better without a history than lost
}

function fits(table: FieldTable): boolean {
  try {
    return tableBytes(table) > 0;
  } catch (error) {
    if (error instanceof AmqpError) return false;
    throw error;
  }
}

function setDeath(headers: FieldTable, prefix: string, death: Death): void {
  headers.set(`${prefix}-queue`, death.queue);
  headers.set(`${prefix}-reason`, death.reason);
  headers.set(`${prefix}-exchange`, death.entry.get('exchange') ?? '');
}

function strings(value: FieldValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
function integer(value: FieldValue | undefined): number {
  if (typeof value === 'number') return value;
  return value instanceof Typed && typeof value.value === 'number' ? value.value : 0;
}
