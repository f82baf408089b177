// A durable log on a simulated disk, worked on at random, with the ledger that knows what it must hand back.
// Always: (1) a seed decides everything; (2) the sizes are so small that files fill, retire and are gathered within a hundred steps; (3) every
// message that is read is compared, whether it comes from memory or from the disk.
// Refuses: the broker. The simulation (test/simulation) runs that.

import {
  Append,
  type Definition,
  type LogListener,
  MessageFlag,
  REFUSED,
  type Recovered,
  type RecoverySink,
  Stored,
  View,
} from '../../server/ports.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import type { Disk } from '../../server/store/file.ts';
import type { StoreSizes } from '../../server/store/store-options.ts';
import { EngineTime } from './engine.ts';
import { type Content, type Entry, type Found, type FoundMessage, Ledger, queueNumbers } from './log-ledger.ts';
import { SimDisk } from './sim-disk.ts';
import type { SimFaults } from './sim-machine.ts';
import { between, type Random, seeded } from './sim-random.ts';

export const SMALL_SIZES: StoreSizes = {
  walFileBytes: 8192,
  walFilesMax: 2,
  slabBytes: 1024,
  cacheBytes: 6 * 1024,
  batchBytesMax: 2048,
  diskFreeBytesMin: 0,
  lazySyncMs: 200,
};
export const DIRECTORY = '/sim/data';
const TRANSIENT_QUEUE = 100;
const QUEUES_MAX = 4;

/** A disk in a time of its own. */
export interface LeftDisk {
  readonly disk: SimDisk;
  readonly time: EngineTime;
}
export function simDisk(seed: number, faults: Partial<SimFaults> = {}): LeftDisk {
  const time = new EngineTime();
  const schedule = (delayMs: number, task: () => void): void => void time.setTimer(time.now() + delayMs, task);
  return { disk: new SimDisk({ random: seeded(seed), schedule, faults }), time };
}
/** What is left of `disk`, in a time of its own. */
export function leftOf(disk: SimDisk, how: 'power' | 'kill', seed: number): LeftDisk {
  const time = new EngineTime();
  const schedule = (delayMs: number, task: () => void): void => void time.setTimer(time.now() + delayMs, task);
  const changes = { random: seeded(seed), schedule };
  return { time, disk: how === 'power' ? disk.ifPowerFailed(changes) : disk.ifKilled(changes) };
}

export class LogBench implements LogListener, RecoverySink {
  readonly disk: SimDisk;
  readonly time: EngineTime;
  readonly log: DurableLog;
  readonly complaints: string[] = [];
  ledger: Ledger;
  durableLsn = 0;
  unknownFrom: number | undefined;
  cause: Error | undefined;
  isBlocked = false;
  readonly #random: Random;
  readonly #append = new Append();
  #definitions: Definition[] = [];
  #messages: FoundMessage[] = [];
  #numbers = new Set<number>();
  #numberMax = 0;
  #found: Recovered = { isClean: false, queueNumberMax: 0, seqMax: () => 0 };

  constructor(made: LeftDisk, seed: number, plant: (disk: Disk) => Disk = (disk) => disk) {
    this.disk = made.disk;
    this.time = made.time;
    this.ledger = new Ledger();
    this.#random = seeded(seed);
    this.log = new DurableLog({
      disk: plant(this.disk),
      directory: DIRECTORY,
      clock: this.time,
      notices: { notice: () => undefined },
      processes: { self: `1 ${seed}`, isAlive: () => false },
      sizes: SMALL_SIZES,
    });
  }

  /** Opens the log and reads all that it hands over. Throws what `open` throws. */
  recover(): Found {
    this.log.open(this, this);
    const messages = this.#messages.map((message) => ({ ...message, bytes: this.#bytesOf(message.stored) }));
    const { isClean, queueNumberMax } = this.#found;
    const seqMax = (queueNumber: number): number => this.#found.seqMax(queueNumber);
    return { isClean, queueNumberMax, seqMax, definitions: this.#definitions, messages, lastLsn: this.log.lastLsn };
  }
  /** Recovers, and takes what was found for what there is. */
  begin(): this {
    this.ledger = Ledger.from(this.recover());
    this.durableLsn = this.log.durableLsn;
    return this;
  }

  // RecoverySink and LogListener.

  definition(definition: Definition): void {
    this.#definitions.push(definition);
    this.#numbers = queueNumbers(this.#definitions);
  }
  message(queueNumber: number, stored: Stored): boolean {
    if (!this.#numbers.has(queueNumber)) return false;
    this.#messages.push({ queueNumber, stored: new Stored().copyFrom(stored), bytes: undefined });
    return true;
  }
  recovered(found: Recovered): void {
    this.#found = found;
    this.#numberMax = found.queueNumberMax;
  }
  durable(lsn: number): void {
    if (lsn <= this.durableLsn) this.complaints.push(`durable ${lsn} after ${this.durableLsn}`);
    if (this.unknownFrom !== undefined) this.complaints.push(`durable ${lsn} after unknown ${this.unknownFrom}`);
    this.durableLsn = lsn;
  }
  unknown(fromLsn: number, cause: Error): void {
    if (this.unknownFrom !== undefined) this.complaints.push('unknown twice');
    if (fromLsn <= this.durableLsn) this.complaints.push(`unknown from ${fromLsn}, durable were ${this.durableLsn}`);
    this.unknownFrom = fromLsn;
    this.failedMs ??= this.time.now();
    this.cause = cause;
  }
  blocked(reason: string | undefined): void {
    this.isBlocked = reason !== undefined;
  }
  topology(): readonly Definition[] {
    return this.ledger.topology;
  }

  // Work.

  /** Time goes on, with a turn for promises after each millisecond. */
  async advance(ms: number): Promise<void> {
    for (let i = 0; i < ms && !this.disk.isOff; i++) {
      this.time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  async work(steps: number): Promise<void> {
    for (let i = 0; i < steps && !this.disk.isOff && this.unknownFrom === undefined; i++) {
      this.step();
      if (this.disk.isOff) return;
      this.log.commit();
      await this.advance(this.#random() < 0.04 ? 320 : between(this.#random, 0, 6));
    }
  }
  /** Until when the log has kept what it promises of settling and requeues: now, or when the disk failed it. */
  get promisedMs(): number {
    return this.failedMs ?? this.time.now();
  }
  failedMs: number | undefined;

  /** Work on a log that has given up. */
  async workBlindly(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      this.step();
      this.log.commit();
      await this.advance(between(this.#random, 0, 6));
    }
  }
  async close(): Promise<void> {
    this.ledger.isClosed = true;
    let isClosed = false;
    this.log.close().then(
      () => (isClosed = true),
      (error: unknown) => this.complaints.push(`close: ${String(error)}`),
    );
    for (let i = 0; i < 20_000 && !isClosed && !this.disk.isOff; i++) await this.advance(1);
    if (!isClosed && !this.disk.isOff) this.complaints.push('the log never closed');
  }

  step(): void {
    const dice = this.#random();
    if (this.#queues.length === 0 || dice < 0.05) this.#define();
    else if (dice < 0.5) this.append();
    else if (dice < 0.72) this.settle();
    else if (dice < 0.8) this.#move();
    else if (dice < 0.87) this.#transact();
    else if (dice < 0.93) this.#requeue();
    else this.#read();
  }
  append(): void {
    const step = this.ledger.begin('append');
    this.#fill(this.#append, step, between(this.#random, 1, 3));
    this.#answered(step, this.log.append(this.#append), [this.#append]);
  }
  /** Gives up one message, a young one rather than an old one. */
  settle(): void {
    const entry = this.#pick();
    if (entry === undefined) return;
    const step = this.ledger.begin('settle');
    step.lazyAtMs = this.time.now();
    this.ledger.take(step, entry);
    this.#settle(entry);
    step.lsn = this.#known(this.log.lastLsn);
  }

  /** What a log that has given up answers means nothing. */
  #known(lsn: number): number {
    return this.unknownFrom === undefined ? lsn : Number.POSITIVE_INFINITY;
  }

  get #queues(): number[] {
    return [...queueNumbers(this.ledger.topology)];
  }
  #pick(): Entry | undefined {
    const { held } = this.ledger;
    const youngest = this.#random() < 0.7 ? Math.floor(held.length * 0.6) : 0;
    return held.length === 0 ? undefined : held[between(this.#random, youngest, held.length - 1)];
  }

  #content(): Content {
    const bodyBytes = this.#random() < 0.08 ? between(this.#random, 1200, 2500) : between(this.#random, 0, 300);
    const bytes = new Uint8Array(bodyBytes + between(this.#random, 1, 20));
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(this.#random() * 256);
    const flags = (this.#random() < 0.88 ? MessageFlag.Persistent : 0) | (this.#random() < 0.1 ? MessageFlag.Deaths : 0);
    return { bytes, bodyBytes, flags };
  }
  #fill(append: Append, step: ReturnType<Ledger['begin']>, count: number): void {
    const content = this.#content();
    const bytes = new Uint8Array(content.bytes.length + 8);
    bytes.set(content.bytes, 4);
    append.begin(bytes, 4, 4 + content.bytes.length, content.bodyBytes, content.flags);
    const queues = this.#queues;
    if (this.#random() < 0.1) queues.push(TRANSIENT_QUEUE);
    for (let i = 0; i < count && queues.length > 0; i++) {
      const queueNumber = queues.splice(between(this.#random, 0, queues.length - 1), 1)[0] ?? 0;
      const seq = this.ledger.nextSeq(queueNumber);
      const priority = between(this.#random, 0, 9);
      const deadline = this.#random() < 0.3 ? this.time.now() + between(this.#random, 0, 100_000) : 0;
      this.ledger.add(step, content, queueNumber, seq, priority, deadline);
      append.add(queueNumber, seq, priority, deadline);
    }
  }
  #answered(step: ReturnType<Ledger['begin']>, lsn: number, appends: readonly Append[]): boolean {
    if (lsn === REFUSED) {
      this.ledger.undo(step);
      return false;
    }
    step.lsn = this.#known(lsn);
    for (const { count, queueNumbers: numbers, seqs, place } of appends) {
      for (let i = 0; i < count; i++) {
        const entry = this.ledger.entries.get(`${numbers[i]}:${seqs[i]}`);
        if (entry !== undefined) entry.place = { ...place };
      }
    }
    return true;
  }
  #settle({ queueNumber, seq, place, content }: Entry): void {
    this.log.settle(queueNumber, seq, place.slab, place.length, content.flags);
  }

  #move(): void {
    const entry = this.#pick();
    if (entry === undefined) return;
    const step = this.ledger.begin('move');
    this.ledger.take(step, entry);
    this.#fill(this.#append, step, between(this.#random, 0, 2));
    const { queueNumber, seq, place, content } = entry;
    const numbers = this.#append.queueNumbers.slice(0, this.#append.count);
    const isStored = this.#append.flags & MessageFlag.Persistent && numbers.some((number) => number !== TRANSIENT_QUEUE);
    if (!isStored) step.lazyAtMs = this.time.now();
    this.#answered(step, this.log.move(queueNumber, seq, place.slab, place.length, content.flags, this.#append), [this.#append]);
  }
  #transact(): void {
    const step = this.ledger.begin('transaction');
    const appends = Array.from({ length: between(this.#random, 0, 3) }, () => {
      const append = new Append();
      this.#fill(append, step, between(this.#random, 1, 2));
      return append;
    });
    const settled = [];
    for (let i = between(this.#random, 0, 3); i > 0; i--) {
      const entry = this.#pick();
      if (entry === undefined || entry.added === step) continue;
      this.ledger.take(step, entry);
      settled.push({ queueNumber: entry.queueNumber, seq: entry.seq, flags: entry.content.flags, ...entry.place });
    }
    this.#answered(step, this.log.transact(appends, settled), appends);
  }
  #requeue(): void {
    const entry = this.#pick();
    if (entry === undefined) return;
    const last = entry.requeues[entry.requeues.length - 1];
    const flags = entry.content.flags | MessageFlag.Redelivered;
    const step = this.ledger.requeue(entry, flags, (last?.deliveryCount ?? 0) + 1);
    step.lazyAtMs = this.time.now();
    this.log.requeue(entry.queueNumber, entry.seq, entry.place.slab, flags, step.deliveryCount);
    step.lsn = this.#known(this.log.lastLsn);
  }
  #define(): void {
    const queues = this.#queues;
    const dice = this.#random();
    if (dice < 0.2) {
      const name = `e${between(this.#random, 1, 3)}`;
      this.#defined({ kind: 'exchange', vhost: '/', name, type: 'topic', autoDelete: false, internal: false, arguments: { round: dice } });
    } else if (dice < 0.4 && queues.length > 1) this.#delete(queues[between(this.#random, 0, queues.length - 1)] ?? 0);
    else if (queues.length < QUEUES_MAX) {
      const number = ++this.#numberMax;
      this.#defined({ kind: 'queue', vhost: '/', name: `q${number}`, number, autoDelete: false, arguments: {} });
    }
  }
  #delete(number: number): void {
    const messages = this.ledger.held.filter(({ queueNumber }) => queueNumber === number);
    this.#defined({ kind: 'queue.delete', vhost: '/', name: `q${number}`, number });
    for (const entry of messages) this.#settle(entry);
  }
  #defined(definition: Definition): void {
    const step = this.ledger.define(definition);
    step.lsn = this.#known(this.log.define(definition));
  }

  // Reading.

  #read(): void {
    const { held } = this.ledger;
    const entry = held[between(this.#random, 0, held.length - 1)];
    if (entry === undefined) return;
    const { slab, offset, length } = entry.place;
    const view = new View();
    const compare = (): void => {
      const bytes = view.bytes.subarray(view.start, view.start + length);
      if (Buffer.compare(bytes, entry.content.bytes) !== 0) this.complaints.push(`read ${entry.queueNumber}:${entry.seq}: other bytes`);
    };
    const readable = (): void => {
      if (entry.taken !== undefined || this.unknownFrom !== undefined) return;
      if (this.log.read(slab, offset, length, view, { readable })) compare();
    };
    readable();
  }
  #bytesOf({ slab, offset, length }: Stored): Uint8Array | undefined {
    const view = new View();
    let isReadable = false;
    const waiter = { readable: () => (isReadable = true) };
    for (let attempt = 0; attempt < 4; attempt++) {
      isReadable = false;
      if (this.log.read(slab, offset, length, view, waiter)) return view.bytes.slice(view.start, view.start + length);
      for (let ms = 0; ms < 40 && !isReadable; ms++) this.time.advance(1);
    }
    return undefined;
  }
}
