// One connection of the load: it publishes, consumes and gets at random until its broker dies or it is told to finish, and writes down all of it.
// Always: (1) what is sent is told before it is sent, what is received when it is received; (2) a publish is sent once: a lost connection is final,
// and what was not confirmed by then stays unknown; (3) a settle counts as synced once a persistent publish that left in a later turn is confirmed; (4) a consumer is gone, and so is who gets, before the
// connection begins to end.
// Refuses: to judge what it sees, save for what no broker may answer.

import { type Connection, connect, LeveretError, type Message } from 'leveret-client';
import { bodyOf, nameIn } from './bodies.ts';
import type { Happening, History } from './history.ts';
import { type LoopQueue, QUEUES, TARGETS, type Target } from './topology.ts';

/** What a broken connection may say of a publish: stored or not. */
const UNKNOWN = new Set(['DISCONNECTED', 'CLOSED', 'TIMEOUT', 'CONNECTION_FORCED']);
const BURST_MAX = 40;
// One message in 50 is as large as this: several batches and slabs.
const LARGE_BYTES = 300_000;

export interface Totals {
  attempts: number;
  confirmed: number;
  delivered: number;
  redelivered: number;
}

export interface ActorOptions {
  readonly url: string;
  /** Unique in the whole loop. */
  readonly name: string;
  readonly random: () => number;
  readonly history: History;
  readonly totals: Totals;
  readonly complain: (complaint: string) => void;
}

interface Sent {
  readonly queue: string;
  readonly body: string;
}

export class Actor {
  readonly #options: ActorOptions;
  #mq: Connection | undefined;
  #isFinishing = false;
  #published = 0;
  #consumers = 0;
  /** Settles that are not known to be synced: of earlier turns, and of this one. */
  readonly #settled: Sent[] = [];
  readonly #settledNow: Sent[] = [];
  /** Settles before `#settled` begins. */
  #synced = 0;
  readonly #loops: Promise<void>[] = [];
  readonly #feeds = new Map<string, { queue: string; cancel: () => Promise<void> }>();

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  /** Resolves when the connection has ended. */
  async run(): Promise<void> {
    const { url, name } = this.#options;
    try {
      this.#mq = await connect(url, { name, reconnect: false, connectTimeout: '30s', publish: { timeout: '60s' } });
      // finished before it began: nobody would cancel what it consumes
      if (this.#isFinishing) return await this.#mq.close();
      for (let n = 1 + this.#below(3); n > 0; n--) this.#consume(this.#pick(QUEUES));
      while (!this.#isFinishing && this.#mq.state === 'open') await this.#step(this.#mq);
    } catch (error) {
      this.#expectLoss(error, 'the load');
    }
    await Promise.all(this.#loops);
  }

  /** Ends well: whatever it sent has been read by the broker when this resolves. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    for (const [consumer, { queue, cancel }] of this.#feeds) {
      this.#tell(queue, { kind: 'gone', consumer });
      await cancel().catch(() => undefined);
    }
    for (const { name } of QUEUES) this.#tell(name, { kind: 'gone', consumer: this.#getter });
    await this.#mq?.drain().catch((error: unknown) => this.#expectLoss(error, 'drain'));
  }

  /** Who holds what came from a get. */
  get #getter(): string {
    return `${this.#options.name}.get`;
  }

  async #step(mq: Connection): Promise<void> {
    const dice = this.#options.random();
    if (dice < 0.75) await this.#burst(mq);
    else if (dice < 0.9) await this.#get(mq, this.#pick(QUEUES));
    else if (this.#feeds.size < 5) this.#consume(this.#pick(QUEUES));
    // The next turn: settles of this one have left before anything that is published from now on.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#settled.push(...this.#settledNow.splice(0));
  }

  async #burst(mq: Connection): Promise<void> {
    const open: Promise<void>[] = [];
    for (let n = 1 + this.#below(BURST_MAX); n > 0; n--) open.push(this.#publish(mq, this.#pick(TARGETS)));
    if (this.#options.random() < 0.6) await Promise.all(open);
    else await Promise.race(open);
  }

  async #publish(mq: Connection, { exchange, key, queues }: Target): Promise<void> {
    const { name, random, totals } = this.#options;
    const body = `${name}.${this.#published++}`;
    const isPersistent = random() < 0.85;
    const priority = this.#below(5);
    const settled = isPersistent ? this.#synced + this.#settled.length : 0;
    for (const queue of queues) {
      const level = Math.min(priority, queue.levels ?? 0);
      this.#tell(queue.name, { kind: 'attempt', body, publisher: name, isPersistent, deadlineMs: Number.POSITIVE_INFINITY, level });
    }
    totals.attempts++;
    try {
      const { routed } = await mq.exchange(exchange).publish(key, bodyOf(body, this.#size()), { persistent: isPersistent, priority });
      if (routed !== queues.length) this.#options.complain(`${body} was routed to ${routed} of ${queues.length} queues: a binding is lost`);
      totals.confirmed++;
      for (const queue of queues) this.#tell(queue.name, { kind: 'confirmed', body });
      this.#syncedUpTo(settled);
    } catch (error) {
      if (this.#expectLoss(error, `publishing ${body}`)) return;
      for (const queue of queues) this.#tell(queue.name, { kind: 'refused', body });
    }
  }

  #syncedUpTo(settled: number): void {
    if (settled <= this.#synced) return;
    for (const { queue, body } of this.#settled.splice(0, settled - this.#synced)) this.#tell(queue, { kind: 'synced', body });
    this.#synced = settled;
  }

  async #get(mq: Connection, queue: LoopQueue): Promise<void> {
    if (queue.name === 'single') return; // a queue with a single active consumer gives nothing else
    for (let n = 1 + this.#below(3); n > 0; n--) {
      const message = await mq.queue(queue.name).get();
      if (message === undefined) return;
      this.#received(queue, this.#getter, message);
    }
  }

  #consume(queue: LoopQueue): void {
    const mq = this.#mq;
    if (mq === undefined) return;
    const consumer = `${this.#options.name}.c${this.#consumers++}`;
    const prefetch = 1 + this.#below(20);
    const feed = mq.queue(queue.name).consume({ prefetch });
    this.#tell(queue.name, { kind: 'opened', consumer, prefetch });
    this.#feeds.set(consumer, { queue: queue.name, cancel: () => feed.cancel() });
    let left = this.#options.random() < 0.3 ? 1 + this.#below(100) : Number.POSITIVE_INFINITY;
    const read = async (): Promise<void> => {
      try {
        for await (const message of feed) {
          this.#received(queue, consumer, message);
          if (--left > 0) continue;
          this.#tell(queue.name, { kind: 'gone', consumer });
          break;
        }
      } catch (error) {
        this.#expectLoss(error, `consuming from ${queue.name}`);
      }
      this.#feeds.delete(consumer);
    };
    this.#loops.push(read());
  }

  #received(queue: LoopQueue, consumer: string, message: Message): void {
    // its connection went while it waited to be read: for the broker it was never here
    if (message.isSettled) return;
    const { name: body, fault } = nameIn(message.bytes);
    if (fault !== undefined) this.#options.complain(`${queue.name}: ${body} ${fault}`);
    const { redelivered, attempt } = message;
    const { totals } = this.#options;
    totals.delivered++;
    if (redelivered) totals.redelivered++;
    this.#tell(queue.name, { kind: 'delivered', body, consumer, redelivered, deliveryCount: attempt - 1, atMs: 0 });
    const dice = this.#options.random();
    if (dice < 0.8) this.#settle(queue, consumer, body, message, 'acked');
    else if (dice < 0.88) this.#settle(queue, consumer, body, message, 'returned');
    else if (dice < 0.93 && queue.deadLetters !== undefined) this.#settle(queue, consumer, body, message, 'discarded');
    else if (dice < 0.97) setTimeout(() => this.#settle(queue, consumer, body, message, 'acked'), this.#below(30));
    // the rest stays unacked until the connection ends
  }

  #settle(queue: LoopQueue, consumer: string, body: string, message: Message, how: 'acked' | 'returned' | 'discarded'): void {
    if (message.isSettled) return;
    this.#tell(queue.name, { kind: how, body, consumer });
    if (how !== 'returned') this.#settledNow.push({ queue: queue.name, body });
    if (how === 'acked') message.ack();
    else if (how === 'returned') message.reject({ requeue: true });
    else message.reject();
  }

  /** True: it ended because the connection did. */
  #expectLoss(error: unknown, what: string): boolean {
    if (error instanceof LeveretError && UNKNOWN.has(error.code)) return true;
    this.#options.complain(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }

  #size(): number {
    const dice = this.#options.random();
    if (dice < 0.02) return this.#below(LARGE_BYTES);
    return dice < 0.2 ? this.#below(10_000) : this.#below(300);
  }
  #tell(queue: string, happening: Happening): void {
    this.#options.history.tell(queue, happening);
  }
  #below(count: number): number {
    return Math.floor(this.#options.random() * count);
  }
  #pick<T>(from: readonly T[]): T {
    const one = from[this.#below(from.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }
}
