// One simulated life of a broker: virtual time, a seeded disk that fails, peers that publish, consume, settle; crashes, kills and clean restarts; and
// at the end a healed restart that must drain everything.
// Always: (1) a seed decides everything, knobs included; (2) the oracle knows only what a client knows: attempts, confirms, deliveries, settles;
// (3) what a crash leaves open is uncertain, and neither demanded nor forbidden.

import { crc32 } from 'node:zlib';
import type { MessageLog, RecoverySink } from '../../server/ports.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import type { Disk } from '../../server/store/file.ts';
import { StoreError } from '../../server/store/store-error.ts';
import type { StoreSizes } from '../../server/store/store-options.ts';
import { Engine, EngineTime, type Peer } from '../support/engine.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { between, type Random, seeded } from '../support/sim-random.ts';

/** A fault of ours that a run is given on purpose. */
export interface Planted {
  readonly name: string;
  readonly disk?: (disk: SimDisk, time: EngineTime) => Disk;
  readonly log?: (log: MessageLog) => MessageLog;
  readonly sink?: (sink: RecoverySink) => RecoverySink;
}

export interface Outcome {
  readonly complaints: string[];
  /** Of everything that happened. */
  readonly traceHash: number;
  readonly restarts: number;
  readonly confirmed: number;
  readonly retired: number;
  /** For a person who looks for the fault. */
  readonly trace: readonly string[];
}

interface Sent {
  readonly body: string;
  readonly queues: readonly string[];
  readonly isPersistent: boolean;
  isConfirmed: boolean;
}

interface Connected {
  readonly peer: Peer;
  /** By consumer handle. */
  readonly queues: Map<number, string>;
  readonly bySeq: Map<number, Sent>;
  nextSeq: number;
  /** Confirms and deliveries that the oracle has read. */
  told: number;
  read: number;
}

const QUEUES = ['plain', 'levels', 'dead'] as const;
const TARGETS = [
  { exchange: '', key: 'plain', queues: ['plain'] },
  { exchange: '', key: 'levels', queues: ['levels'] },
  { exchange: 'amq.fanout', key: '', queues: ['plain', 'levels'] },
] as const;
const DRAIN_STEPS_MAX = 4_000;

export class World {
  readonly complaints: string[] = [];
  readonly #random: Random;
  readonly #time = new EngineTime();
  readonly #planted: Planted | undefined;
  readonly #sizes: Partial<StoreSizes>;
  readonly #trace: string[] = [];
  readonly #sent = new Map<string, Sent>();
  /** "queue body": what became of it. */
  readonly #delivered = new Set<string>();
  readonly #acked = new Set<string>();
  readonly #rejected = new Set<string>();
  /** Acked since the last start. */
  readonly #ackedNow = new Set<string>();
  /** Acked before a clean stop: never to be seen again. */
  readonly #over = new Set<string>();
  #disk: SimDisk;
  #log: DurableLog | undefined;
  #engine: Engine | undefined;
  #peers: Connected[] = [];
  #bodies = 0;
  #restarts = 0;
  #confirmed = 0;
  #retired = 0;
  #hasFaulted = false;
  #isDead = false;

  constructor(seed: number, planted?: Planted) {
    this.#random = seeded(seed);
    this.#planted = planted;
    const pick = (low: number, high: number): number => between(this.#random, low, high);
    this.#sizes = {
      walFileBytes: 8192 << pick(0, 1),
      walFilesMax: pick(1, 3),
      slabBytes: 1024 << pick(0, 2),
      cacheBytes: 4096 << pick(0, 4),
      batchBytesMax: 2048 << pick(0, 2),
      diskFreeBytesMin: 0,
    };
    const isFaulty = planted === undefined && this.#random() < 0.5;
    this.#disk = new SimDisk({
      random: seeded(seed ^ 0x5eed),
      schedule: (delayMs, task) => void this.#time.setTimer(this.#time.now() + delayMs, task),
      faults: isFaulty ? { shortWrite: 0.1, stall: this.#random() < 0.2 ? 0.01 : 0, syncError: this.#random() < 0.3 ? 0.01 : 0 } : {},
    });
  }

  async run(): Promise<Outcome> {
    try {
      for (let life = between(this.#random, 2, 4); life > 0 && this.complaints.length === 0; life--) {
        if (!this.#started()) continue;
        for (let step = between(this.#random, 10, 60); step > 0 && !this.#hasFaulted; step--) await this.#step();
        await this.#end();
      }
      await this.#drain();
      this.#judge();
    } catch (error) {
      this.complaints.push(`thrown: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    const traceHash = crc32([...this.#trace, ...this.#disk.trace].join('\n'));
    return {
      complaints: this.complaints,
      traceHash,
      restarts: this.#restarts,
      confirmed: this.#confirmed,
      retired: this.#retired,
      trace: this.#trace,
    };
  }

  // Lives and deaths.

  /** False: the disk failed at the start, and the power with it. */
  #started(): boolean {
    try {
      this.#start();
      return true;
    } catch (error) {
      if (!(error instanceof StoreError) || !error.message.includes('EIO')) throw error;
      this.#trace.push('no start');
      this.#disk = this.#disk.powerLoss();
      return false;
    }
  }

  #start(): void {
    const life = ++this.#restarts;
    // a process that is dead does nothing more, though its timers still stand in the world's time
    const alive = (task: () => void) => () => {
      if (life === this.#restarts && !this.#isDead) task();
    };
    this.#isDead = false;
    const clock = { now: () => this.#time.now(), setTimer: (at: number, fire: () => void) => this.#time.setTimer(at, alive(fire)) };
    const turns = { defer: (task: () => void) => this.#time.defer(alive(task)) };
    const disk = this.#planted?.disk?.(this.#disk, this.#time) ?? this.#disk;
    const durable = new DurableLog({
      disk,
      directory: 'data',
      clock,
      notices: { notice: () => undefined },
      processes: { self: `1 ${this.#restarts}`, isAlive: () => false },
      sizes: this.#sizes,
    });
    const { sink } = this.#planted ?? {};
    if (sink !== undefined) {
      const open = durable.open.bind(durable);
      durable.open = (to, listener) => open(sink(to), listener);
    }
    this.#log = durable;
    this.#hasFaulted = false;
    this.#engine = new Engine({
      log: this.#planted?.log?.(durable) ?? durable,
      clock,
      turns,
      onFault: (cause) => {
        if (life !== this.#restarts) return; // a process that is dead, in a world where its timers still ring
        this.#hasFaulted = true;
        this.#trace.push(`fault ${cause.message}`);
        if (!cause.message.startsWith('EIO')) this.complaints.push(`fault: ${cause.message}`);
      },
    });
    this.#peers = [];
    this.#ackedNow.clear();
    const setUp = this.#connect(this.#engine);
    this.#engine.declare(setUp.peer, 'dead');
    this.#engine.declare(setUp.peer, 'plain', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', 'dead'],
    ]);
    this.#engine.declare(setUp.peer, 'levels', [['x-max-priority', 3]]);
    for (const queue of ['plain', 'levels']) setUp.peer.session.bindQueue(queue, 'amq.fanout', '', new Map());
    this.#connect(this.#engine);
    this.#trace.push(`start ${this.#restarts}`);
  }

  #connect(engine: Engine): Connected {
    const peer = engine.connect();
    const connected: Connected = { peer, queues: new Map(), bySeq: new Map(), nextSeq: 1, told: 0, read: 0 };
    this.#peers.push(connected);
    return connected;
  }

  async #end(): Promise<void> {
    const dice = this.#random();
    this.#retired += this.#log?.segmentCount ?? 0;
    if (dice < 0.3 && !this.#hasFaulted) {
      await this.#advance(300); // what was settled is synced
      this.#look();
      const isClosed = { value: false };
      this.#engine?.broker.close().then(
        () => {
          isClosed.value = true;
        },
        () => undefined, // the machine went off meanwhile
      );
      for (let step = 0; !isClosed.value && step < DRAIN_STEPS_MAX && !this.#hasFaulted; step++) await this.#advance(5);
      if (isClosed.value && !this.#hasFaulted) {
        for (const key of this.#ackedNow) this.#over.add(key);
        this.#trace.push('clean');
        this.#disk = this.#disk.kill();
        return;
      }
      if (!this.#hasFaulted) this.complaints.push('the log never closed');
    }
    this.#look();
    this.#isDead = true;
    this.#trace.push(dice < 0.65 ? 'power' : 'kill');
    this.#disk = dice < 0.65 ? this.#disk.powerLoss() : this.#disk.kill();
  }

  /** Virtual time goes on; promises get their turn after each millisecond. */
  async #advance(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 5) {
      this.#time.advance(5);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  // Work.

  async #step(): Promise<void> {
    const engine = this.#engine;
    const connected = this.#peers[between(this.#random, 0, this.#peers.length - 1)];
    if (engine === undefined || connected === undefined) return;
    const dice = this.#random();
    if (dice < 0.55) for (let n = between(this.#random, 1, 6); n > 0; n--) this.#publish(engine, connected);
    else if (dice < 0.75) this.#consume(engine, connected, between(this.#random, 1, 5));
    else if (dice < 0.8) {
      connected.peer.session.close();
      this.#peers.splice(this.#peers.indexOf(connected), 1);
      this.#connect(engine);
    }
    this.#look();
    await this.#advance(this.#random() < 0.1 ? 300 : 5);
    this.#look();
  }

  #publish(engine: Engine, connected: Connected): void {
    const target = TARGETS[between(this.#random, 0, TARGETS.length - 1)] ?? TARGETS[0];
    const body = `m${++this.#bodies}`.padEnd(between(this.#random, 1, this.#random() < 0.1 ? 1500 : 200), '.');
    const isPersistent = this.#random() < 0.85;
    const sent: Sent = { body, queues: target.queues, isPersistent, isConfirmed: false };
    this.#sent.set(body, sent);
    connected.bySeq.set(connected.nextSeq++, sent);
    const priority = between(this.#random, 0, 3);
    engine.publish(connected.peer, target.exchange, target.key, body, { deliveryMode: isPersistent ? 2 : 1, priority });
  }

  #consume(engine: Engine, connected: Connected, prefetch: number): void {
    const queue = QUEUES[between(this.#random, 0, QUEUES.length - 1)] ?? 'plain';
    if (connected.queues.size >= 4) return;
    const handle = connected.queues.size + 10;
    connected.queues.set(handle, queue);
    engine.consume(connected.peer, queue, { handle, prefetch });
  }

  /** Takes in what the broker has told, and answers. */
  #look(): void {
    if (this.#hasFaulted) return;
    for (const connected of this.#peers) {
      const { sink, session } = connected.peer;
      for (; connected.told < sink.confirmed.length; connected.told++) {
        const run = sink.confirmed[connected.told];
        for (let i = 0; run !== undefined && i < run.count; i++) this.#confirm(connected.bySeq.get(run.firstSeq + i));
      }
      for (; connected.read < sink.delivered.length; connected.read++) {
        const delivery = sink.delivered[connected.read];
        const queue = connected.queues.get(delivery?.handle ?? 0);
        if (delivery === undefined || queue === undefined) continue;
        this.#received(queue, delivery.body, delivery.redelivered);
        const dice = this.#random();
        const key = `${queue} ${delivery.body}`;
        if (dice < 0.6) {
          this.#acked.add(key);
          this.#ackedNow.add(key);
          session.ack(delivery.tag, false);
        } else if (dice < 0.72) session.nack(delivery.tag, false, true);
        else if (dice < 0.8 && queue === 'plain') {
          this.#rejected.add(key);
          session.reject(delivery.tag, false);
        } // the rest stays unacked
      }
    }
  }

  #confirm(sent: Sent | undefined): void {
    if (sent === undefined) return;
    sent.isConfirmed = true;
    this.#confirmed++;
    this.#trace.push(`confirm ${sent.body.length} ${sent.body.slice(0, 8)}`);
  }

  #received(queue: string, body: string, redelivered: boolean): void {
    const key = `${queue} ${body}`;
    this.#trace.push(`deliver ${redelivered} ${key.slice(0, 16)}`);
    const sent = this.#sent.get(body);
    const isExpected = queue === 'dead' ? this.#rejected.has(`plain ${body}`) : sent?.queues.includes(queue);
    if (!isExpected) this.complaints.push(`unexpected: ${key}`);
    if (this.#over.has(key) && queue !== 'dead') this.complaints.push(`delivered after an ack that was synced: ${key}`);
    if (this.#delivered.has(key) && !redelivered && queue !== 'dead') this.complaints.push(`again without saying so: ${key}`);
    this.#delivered.add(key);
  }

  // The end.

  async #drain(): Promise<void> {
    if (this.complaints.length > 0) return;
    Object.assign(this.#disk.faults, { shortWrite: 0, stall: 0, syncError: 0 });
    this.#start();
    const engine = this.#engine;
    const connected = this.#peers[0];
    if (engine === undefined || connected === undefined) return;
    for (const [i, queue] of QUEUES.entries()) {
      connected.queues.set(i + 10, queue);
      engine.consume(connected.peer, queue, { handle: i + 10, prefetch: 100 });
    }
    for (let step = 0; step < DRAIN_STEPS_MAX && !this.#hasFaulted; step++) {
      const { sink, session } = connected.peer;
      for (; connected.read < sink.delivered.length; connected.read++) {
        const delivery = sink.delivered[connected.read];
        if (delivery === undefined) continue;
        const queue = connected.queues.get(delivery.handle) ?? '';
        this.#received(queue, delivery.body, delivery.redelivered);
        this.#acked.add(`${queue} ${delivery.body}`);
        session.ack(delivery.tag, false);
      }
      const { queues } = engine.broker.sample(() => true);
      if (queues.every(({ ready, unacked, deadLetterWaiting }) => ready + unacked + deadLetterWaiting === 0)) return;
      await this.#advance(5);
    }
    this.complaints.push(this.#hasFaulted ? 'a fault while draining' : 'not drained');
  }

  #judge(): void {
    for (const { body, queues, isConfirmed, isPersistent } of this.#sent.values()) {
      if (!isConfirmed || !isPersistent) continue;
      for (const queue of queues) {
        const isDone = this.#acked.has(`${queue} ${body}`) || (this.#rejected.has(`${queue} ${body}`) && this.#acked.has(`dead ${body}`));
        if (!isDone) this.complaints.push(`lost: ${queue} ${body}`);
      }
    }
  }
}
