// One vhost as simply as it can be said: arrays that are sorted, filtered and copied; slow, and meant to be plainly right.
// Always: (1) every rule here stands in the specification, none was read from the broker; (2) where the specification leaves a choice (which of
// two consumers, which of two queues first), the model either follows what was observed or says `isAmbiguous`, and the run ends there.
// Leaves out, for conformance tests: reject-publish queues as dead-letter targets (when a waiting one goes is not said), time to live 0, qos.

import { topicMatches } from './topic-matches.ts';

export interface QueueSpec {
  maxLength?: number;
  maxBytes?: number;
  rejects?: boolean;
  maxPriority?: number;
  ttlMs?: number;
  /** Dead-letter exchange: '' or amq.fanout. */
  deadExchange?: string;
  deadKey?: string;
  deliveryLimit?: number;
  single?: boolean;
  autoDelete?: boolean;
}

interface Death {
  readonly queue: string;
  readonly reason: string;
}

/** One message in one queue. */
export interface Held {
  readonly body: string;
  readonly key: string;
  readonly priority: number;
  readonly seq: number;
  /** Infinity for none. */
  readonly deadlineMs: number;
  readonly deaths: readonly Death[];
  redelivered: boolean;
  deliveryCount: number;
}

export interface ModelConsumer {
  readonly session: number;
  readonly handle: number;
  readonly queue: ModelQueue;
  readonly noAck: boolean;
  readonly prefetch: number;
  readonly priority: number;
  /** Infinity for none. */
  credit: number;
  unacked: number;
}

export interface ModelUnacked {
  readonly tag: number;
  readonly held: Held;
  readonly queue: ModelQueue;
  readonly consumer: ModelConsumer | undefined;
}

export class ModelQueue {
  readonly name: string;
  readonly spec: QueueSpec;
  ready: Held[] = [];
  /** Handed to consumers in this command, in order; the observations tell to which. */
  handedOver: Held[] = [];
  consumers: ModelConsumer[] = [];
  firstConsumer: ModelConsumer | undefined;
  isDeleted = false;
  published = 0;
  acked = 0;
  purged = 0;
  refused = 0;
  /** Expired, dead-lettered or dropped. */
  lost = 0;
  nextSeq = 0;

  constructor(name: string, spec: QueueSpec) {
    this.name = name;
    this.spec = spec;
  }
  get readyBytes(): number {
    return this.ready.reduce((sum, held) => sum + held.body.length, 0);
  }
  /** Higher first, then older first. */
  sort(): void {
    this.ready.sort((a, b) => b.priority - a.priority || a.seq - b.seq);
  }
  get isTooLong(): boolean {
    return this.ready.length > (this.spec.maxLength ?? Infinity) || this.readyBytes > (this.spec.maxBytes ?? Infinity);
  }
  /** Something other than age decides what is kept, or what goes first. */
  get chooses(): boolean {
    const { maxLength, maxBytes, maxPriority } = this.spec;
    return (maxLength ?? maxBytes ?? maxPriority) !== undefined;
  }
  /** Those that may be given messages at all. */
  get eligible(): ModelConsumer[] {
    return this.spec.single === true ? this.consumers.slice(0, 1) : this.consumers;
  }
  /** How many messages its consumers could take now, those of this command counted off. */
  get room(): number {
    const total = this.eligible.reduce((sum, consumer) => sum + roomOf(consumer), 0);
    return total - this.handedOver.length;
  }
}

export function roomOf(consumer: ModelConsumer): number {
  return Math.max(0, Math.min(consumer.credit, consumer.noAck ? Infinity : consumer.prefetch - consumer.unacked));
}

interface Binding {
  readonly exchange: string;
  readonly key: string;
  readonly queue: string;
}
interface Victim {
  readonly queue: ModelQueue;
  readonly held: Held;
  readonly reason: string;
}

export class ReferenceBroker {
  nowMs = 0;
  queues = new Map<string, ModelQueue>();
  bindings: Binding[] = [];
  /** By session. */
  unacked: ModelUnacked[][];
  /** The specification leaves open what comes next. */
  isAmbiguous = false;
  /** How often each rule was at work: a suite in which one never is proves nothing about it. */
  readonly tally = new Map<string, number>();

  constructor(sessions: number) {
    this.unacked = Array.from({ length: sessions }, () => []);
  }

  count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }

  route(exchange: string, key: string): ModelQueue[] {
    const names =
      exchange === ''
        ? [key]
        : this.bindings
            .filter((binding) => binding.exchange === exchange && matches(exchange, binding.key, key))
            .map((binding) => binding.queue);
    return [...new Set(names)].flatMap((name) => this.queues.get(name) ?? []);
  }

  /** Undefined: at least one queue refused. */
  publish(exchange: string, key: string, body: string, priority: number, expirationMs: number): number | undefined {
    const targets = this.route(exchange, key);
    const victims: Victim[] = [];
    let refused = false;
    for (const queue of targets) {
      if (queue.spec.rejects === true && this.#wouldOverflow(queue, body)) {
        queue.refused++;
        refused = true;
        this.count('refused');
      } else {
        victims.push(...this.#enqueue(queue, body, key, priority, expirationMs, []));
      }
    }
    this.#bury(victims);
    return refused ? undefined : targets.length;
  }

  /** What `get` answers; undefined when empty. */
  get(queue: ModelQueue, session: number, noAck: boolean): Held | undefined {
    const held = queue.ready.shift();
    if (held !== undefined && noAck) queue.acked++;
    this.pendingGet = held !== undefined && !noAck ? { session, queue, held } : undefined;
    return held;
  }
  pendingGet: { session: number; queue: ModelQueue; held: Held } | undefined;
  /** The broker named the tag of the last get. */
  gotTag(tag: number): void {
    if (this.pendingGet === undefined) return;
    const { session, queue, held } = this.pendingGet;
    this.unacked[session]?.push({ tag, held, queue, consumer: undefined });
  }

  consume(consumer: ModelConsumer): void {
    consumer.queue.consumers.push(consumer);
    consumer.queue.firstConsumer ??= consumer;
    this.#handOver(consumer.queue);
  }

  cancel(consumer: ModelConsumer): void {
    const { queue } = consumer;
    queue.consumers = queue.consumers.filter((other) => other !== consumer);
    if (queue.spec.autoDelete === true && queue.consumers.length === 0) {
      this.count('auto-deleted');
      this.delete(queue);
    } else this.#handOver(queue);
  }

  delete(queue: ModelQueue): void {
    queue.isDeleted = true;
    this.queues.delete(queue.name);
    this.bindings = this.bindings.filter((binding) => binding.queue !== queue.name);
  }

  purge(queue: ModelQueue): number {
    const count = queue.ready.length;
    queue.purged += count;
    queue.ready = [];
    return count;
  }

  /** Which deliveries (tag, or all up to it) of a session a settlement means; undefined: unknown tag. */
  select(session: number, tag: number, multiple: boolean): ModelUnacked[] | undefined {
    const all = this.unacked[session] ?? [];
    if (multiple && tag === 0) return [...all];
    if (!all.some((one) => one.tag === tag)) return undefined;
    return all.filter((one) => (multiple ? one.tag <= tag : one.tag === tag));
  }

  settle(session: number, chosen: readonly ModelUnacked[], how: 'ack' | 'requeue' | 'discard' | 'release'): void {
    this.unacked[session] = (this.unacked[session] ?? []).filter((one) => !chosen.includes(one));
    for (const { consumer } of chosen) if (consumer !== undefined) consumer.unacked--;
    const alive = chosen.filter((one) => !one.queue.isDeleted);
    const victims: Victim[] = [];
    this.count(chosen.length > 1 ? `${how} of several` : how);
    if (chosen.length > alive.length) this.count('settled after the queue went');
    if (how === 'ack') for (const { queue } of alive) queue.acked++;
    else if (how === 'discard') for (const { queue, held } of alive) victims.push({ queue, held, reason: 'rejected' });
    else victims.push(...this.#giveBack(alive, how === 'requeue'));
    this.#bury(victims);
    for (const queue of this.queues.values()) this.#handOver(queue);
  }

  /** A connection ends: consumers go, what it held goes back. */
  close(session: number): void {
    const mine = [...this.queues.values()].filter((queue) => queue.consumers.some((consumer) => consumer.session === session));
    for (const queue of mine) {
      queue.consumers = queue.consumers.filter((consumer) => consumer.session !== session);
      if (queue.spec.autoDelete === true && queue.consumers.length === 0) this.delete(queue);
    }
    const all = this.unacked[session] ?? [];
    this.unacked[session] = [];
    this.#bury(
      this.#giveBack(
        all.filter((one) => !one.queue.isDeleted),
        true,
      ),
    );
    for (const queue of this.queues.values()) this.#handOver(queue);
  }

  /** The next moment at which something expires, up to `untilMs`. */
  nextDeadline(untilMs: number): number | undefined {
    const due = [...this.queues.values()].flatMap((queue) => queue.ready.map((held) => held.deadlineMs)).filter((at) => at <= untilMs);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  advanceTo(untilMs: number): void {
    for (let at = this.nextDeadline(untilMs); at !== undefined; at = this.nextDeadline(untilMs)) {
      this.nowMs = Math.max(this.nowMs, at);
      this.#bury([...this.queues.values()].flatMap((queue) => this.#takeExpired(queue)));
    }
    this.nowMs = untilMs;
  }

  #wouldOverflow(queue: ModelQueue, body: string): boolean {
    const { maxLength = Infinity, maxBytes = Infinity } = queue.spec;
    // a waiting consumer means nothing is ready: taken at once, it never is
    return queue.ready.length + 1 > maxLength || queue.readyBytes + body.length > maxBytes;
  }

  #takeExpired(queue: ModelQueue): Victim[] {
    const expired = queue.ready.filter((held) => held.deadlineMs <= this.nowMs);
    queue.ready = queue.ready.filter((held) => held.deadlineMs > this.nowMs);
    return expired.map((held) => ({ queue, held, reason: 'expired' }));
  }

  #enqueue(queue: ModelQueue, body: string, key: string, priority: number, expirationMs: number, deaths: readonly Death[]): Victim[] {
    const ttlMs = Math.min(expirationMs, queue.spec.ttlMs ?? Infinity);
    const level = Math.min(priority, queue.spec.maxPriority ?? 0);
    const message = { body, key, priority: level, seq: queue.nextSeq++, deadlineMs: this.nowMs + ttlMs, deaths };
    queue.published++;
    queue.ready.push({ ...message, redelivered: false, deliveryCount: 0 });
    queue.sort();
    this.#handOver(queue);
    return this.#trim(queue);
  }

  /** Puts deliveries back in their places; those at their delivery limit or past their time are victims. */
  #giveBack(deliveries: readonly ModelUnacked[], counts: boolean): Victim[] {
    const victims: Victim[] = [];
    const touched = new Set<ModelQueue>();
    const spent = new Map<ModelQueue, number>();
    for (const { queue, held } of deliveries) {
      held.redelivered = true;
      if (counts) held.deliveryCount++;
      if (counts && held.deliveryCount > (queue.spec.deliveryLimit ?? Infinity)) {
        victims.push({ queue, held, reason: 'delivery_limit' });
        // by tag or by place in the queue: not said
        if (held.seq < (spent.get(queue) ?? -1)) this.isAmbiguous = true;
        spent.set(queue, held.seq);
      } else queue.ready.push(held);
      touched.add(queue);
    }
    for (const queue of touched) {
      queue.sort();
      const expired = this.#takeExpired(queue);
      // by tag or by place in the queue: not said
      const returned = deliveries.map(({ held }) => held).filter((held) => expired.some((victim) => victim.held === held));
      if (returned.some((held, i) => held !== expired[i]?.held)) this.isAmbiguous = true;
      victims.push(...expired);
      // whether a free consumer or the limit comes first is not said
      if (queue.isTooLong && queue.room > 0) this.isAmbiguous = true;
      victims.push(...this.#trim(queue));
      this.#handOver(queue);
    }
    return victims;
  }

  #handOver(queue: ModelQueue): void {
    while (queue.ready.length > 0 && queue.room > 0) {
      const held = queue.ready.shift();
      if (held !== undefined) queue.handedOver.push(held);
    }
  }

  /** Drop-head: the oldest of the lowest level, until the queue is short enough. A queue that rejects takes back what was its own. */
  #trim(queue: ModelQueue): Victim[] {
    const victims: Victim[] = [];
    while (queue.spec.rejects !== true && queue.isTooLong) {
      const lowest = Math.min(...queue.ready.map((held) => held.priority));
      const at = queue.ready.findIndex((held) => held.priority === lowest);
      const [held] = queue.ready.splice(at, 1);
      if (held !== undefined) victims.push({ queue, held, reason: 'maxlen' });
    }
    return victims;
  }

  /** Dead-letters victims, and the victims that they make. */
  #bury(victims: readonly Victim[]): void {
    let level = victims;
    for (let round = 0; level.length > 0; round++) {
      if (round > 1_000) throw new Error('the model dead-letters for ever');
      const buried = level.filter(({ queue }) => queue.spec.deadExchange !== undefined);
      // whose messages come first into a common target is not said
      if (new Set(buried.map(({ queue }) => queue)).size > 1) this.isAmbiguous = true;
      if (new Set(buried.map(({ queue, reason }) => `${queue.name} ${reason}`)).size > 1) this.isAmbiguous = true;
      const next: Victim[] = [];
      for (const victim of level) {
        victim.queue.lost++;
        this.count(victim.reason);
        if (victim.queue.spec.deadExchange !== undefined) next.push(...this.#deadLetter(victim));
      }
      level = next;
    }
  }

  #deadLetter({ queue, held, reason }: Victim): Victim[] {
    const { deadExchange = '', deadKey } = queue.spec;
    const deaths = [{ queue: queue.name, reason }, ...held.deaths.filter((death) => death.queue !== queue.name || death.reason !== reason)];
    const key = deadKey ?? held.key;
    const routed = this.route(deadExchange, key);
    const targets = routed.filter((target) => reason === 'rejected' || !isCycle(deaths, target.name));
    if (targets.length < routed.length) this.count('cycle');
    this.count(targets.length === 0 ? 'dead-lettered nowhere' : 'dead-lettered');
    if (held.deaths.length > 0) this.count('died again');
    const victims: Victim[] = [];
    // a dead letter that is refused waits; when it goes is not said
    if (targets.some((target) => target.spec.rejects === true && this.#wouldOverflow(target, held.body))) this.isAmbiguous = true;
    // what comes in one turn may be dispatched at once or together: the difference shows where a limit or a priority chooses
    if (targets.some((target) => target.chooses && (target.room > 0 || target.handedOver.length > 0))) this.isAmbiguous = true;
    const priority = this.priorities.get(held.body) ?? 0;
    for (const target of targets) victims.push(...this.#enqueue(target, held.body, key, priority, Infinity, deaths));
    return victims;
  }
  /** The priority property of each body: a queue may have capped it. */
  readonly priorities = new Map<string, number>();
}

/** Looks back from the newest death to the target's: a circle without a reject in it. */
function isCycle(deaths: readonly Death[], target: string): boolean {
  const at = deaths.findIndex((death) => death.queue === target);
  return at >= 0 && deaths.slice(0, at + 1).every((death) => death.reason !== 'rejected');
}

function matches(exchange: string, bindingKey: string, key: string): boolean {
  if (exchange === 'amq.fanout') return true;
  if (exchange === 'amq.topic') return topicMatches(bindingKey, key);
  return bindingKey === key;
}
