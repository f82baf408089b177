// The broker of the durable model suite: the whole core over a durable log on a simulated disk, whose process is closed, killed, or loses its power.
// Always: (1) time moves in `advance` alone, and a command happens within one millisecond; (2) a process that is dead does nothing more; (3) all that
// clients were handed stands in `arrivals`, in one order over all sessions. Refuses: faults of the disk beyond short writes.

import { trustedAccount } from '../../server/broker/login.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { Session } from '../../server/broker/session.ts';
import type { Got } from '../../server/broker/session-sink.ts';
import type { MessageLog } from '../../server/ports.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import { Content, encodeContent } from '../../shared/content.ts';
import { Engine, EngineTime } from '../support/engine.ts';
import { RecordingSink } from '../support/recording-sink.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { seeded } from '../support/sim-random.ts';

/** What a run is given beside its commands. */
export interface Knobs {
  readonly seed: number;
  readonly walFilesMax: number;
  readonly cacheBytes: number;
  readonly batchBytes: number;
}

export const WAL_FILE_BYTES = 8 << 10;
const WAIT_MS_MAX = 20_000;

/** A message, or the answer that there is none, as a client got it. */
export interface Arrival {
  readonly queue: string;
  /** undefined: a get found the queue empty. */
  readonly name: string | undefined;
  readonly body: string;
  readonly session: number;
  readonly tag: number;
  readonly isSettled: boolean;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly atMs: number;
}

export interface Outgoing {
  readonly exchange: string;
  readonly key: string;
  readonly name: string;
  readonly body: string;
  readonly isPersistent: boolean;
  readonly ttlMs: number | undefined;
}

class ArrivalSink extends RecordingSink {
  arrived: (handle: number, tag: number, redelivered: boolean, deliveryCount: number, run: Uint8Array) => void = () => undefined;
  override deliver(...args: Parameters<RecordingSink['deliver']>): void {
    const [consumer, tag, redelivered, deliveryCount, , , bytes, start, end] = args;
    this.arrived(consumer.handle, tag, redelivered, deliveryCount, bytes.subarray(start, end));
  }
}

/** One client. */
export class Client {
  readonly id: number;
  readonly session: Session;
  readonly sink = new ArrivalSink();
  readonly confirmed: Publisher;
  readonly unconfirmed: Publisher;
  /** Queues by consumer handle. */
  readonly consumers = new Map<number, ReturnType<Session['consume']>>();
  /** Names by confirm seq. */
  readonly published: string[] = [];
  toldConfirms = 0;
  toldRefusals = 0;

  constructor(id: number, engine: Engine, isTransactional: boolean) {
    this.id = id;
    this.session = engine.broker.openSession(this.sink, { account: trustedAccount('guest'), vhost: '/', name: `client ${id}` });
    this.confirmed = this.session.openPublisher(1, !isTransactional);
    this.unconfirmed = this.session.openPublisher(2, false);
  }
}

export class DurableBroker {
  readonly time = new EngineTime();
  readonly arrivals: Arrival[] = [];
  readonly clients: Client[] = [];
  /** How often files were kept by retirement when a life ended. */
  retired = 0;
  readonly #knobs: Knobs;
  readonly #wrap: (log: MessageLog) => MessageLog;
  #disk: SimDisk;
  #engine: Engine;
  #log: DurableLog;
  #life = 0;
  #clientIds = 0;
  #fault: Error | undefined;

  constructor(knobs: Knobs, wrap: (log: MessageLog) => MessageLog = (log) => log) {
    this.#knobs = knobs;
    this.#wrap = wrap;
    this.#disk = new SimDisk({
      random: seeded(knobs.seed),
      schedule: (delayMs, task) => void this.time.setTimer(this.time.now() + delayMs, task),
      faults: { shortWrite: 0.05 },
    });
    [this.#engine, this.#log] = this.#begin();
  }

  get now(): number {
    return this.time.now();
  }

  #begin(): [Engine, DurableLog] {
    const life = ++this.#life;
    const alive = (task: () => void) => () => {
      if (life === this.#life) task();
    };
    const clock = { now: () => this.time.now(), setTimer: (at: number, fire: () => void) => this.time.setTimer(at, alive(fire)) };
    const log = new DurableLog({
      disk: this.#disk,
      directory: 'data',
      clock,
      notices: { notice: () => undefined },
      processes: { self: `1 ${life}`, isAlive: () => false },
      sizes: {
        walFileBytes: WAL_FILE_BYTES,
        walFilesMax: this.#knobs.walFilesMax,
        slabBytes: 2 << 10,
        cacheBytes: this.#knobs.cacheBytes,
        batchBytesMax: this.#knobs.batchBytes,
        diskFreeBytesMin: 0,
      },
    });
    const engine = new Engine({
      log: this.#wrap(log),
      clock,
      turns: { defer: (task) => this.time.defer(alive(task)) },
      onFault: (cause) => {
        if (life === this.#life) this.#fault = cause; // a dead process finds its machine off
      },
    });
    this.clients.length = 0;
    this.#engine = engine;
    for (let i = 0; i < 2; i++) this.clients.push(this.connect(false));
    return [engine, log];
  }

  /** `isTransactional`: it confirms nothing, and stands for itself. */
  connect(isTransactional: boolean): Client {
    const client = new Client(++this.#clientIds, this.#engine, isTransactional);
    client.sink.arrived = (handle, tag, redelivered, deliveryCount, run) => {
      const queue = client.consumers.get(handle)?.queue.name ?? '';
      this.#arrive(queue, client, tag, redelivered, deliveryCount, run, false);
    };
    return client;
  }

  /** The client is gone; another one takes its place. */
  reconnect(client: Client): void {
    client.session.close();
    this.clients[this.clients.indexOf(client)] = this.connect(false);
  }

  #arrive(
    queue: string,
    client: Client,
    tag: number,
    redelivered: boolean,
    deliveryCount: number,
    run: Uint8Array | undefined,
    isSettled: boolean,
  ): void {
    let name: string | undefined;
    let body = '';
    if (run !== undefined) {
      const own = new Uint8Array(run);
      const content = new Content().read(own, 0, own.length);
      name = content.properties.messageId ?? '(no name)';
      body = new TextDecoder().decode(own.subarray(content.bodyStart));
    }
    this.arrivals.push({ queue, name, body, session: client.id, tag, isSettled, redelivered, deliveryCount, atMs: this.now });
  }

  // What clients do.

  async declare(queue: string, durable: boolean): Promise<void> {
    const { session } = this.connect(true);
    session.declareQueue({ queue, durable, exclusive: false, autoDelete: false, passive: false, arguments: new Map() });
    session.bindQueue(queue, 'amq.fanout', '', new Map());
    const { lastLsn } = this.#log;
    await this.until(() => this.#log.durableLsn >= lastLsn, 'a queue that is declared becomes durable');
    session.close();
  }

  publish({ session }: Client, publisher: Publisher, { exchange, key, name, body, isPersistent, ttlMs }: Outgoing): void {
    const expiration = ttlMs === undefined ? {} : { expiration: String(ttlMs) };
    const properties = { deliveryMode: isPersistent ? 2 : 1, messageId: name, ...expiration };
    const run = encodeContent(exchange, key, properties, new TextEncoder().encode(body));
    session.publish(publisher, run, 0, run.length, false);
  }

  /** Its answer is an arrival. */
  async get(client: Client, queue: string, noAck: boolean): Promise<void> {
    let isAnswered = false;
    client.session.get(queue, noAck, (got: Got | undefined) => {
      isAnswered = true;
      const { tag = 0, redelivered = false, deliveryCount = 0 } = got ?? {};
      this.#arrive(queue, client, tag, redelivered, deliveryCount, got?.bytes.subarray(got.start, got.end), noAck);
    });
    if (!isAnswered) await this.until(() => isAnswered, 'a get is answered');
  }

  consume(client: Client, queue: string, prefetch: number): void {
    const handle = 10 + this.#clientIds++;
    const options = { handle, queue, consumerTag: '', noAck: false, exclusive: false, prefetch, credit: undefined, priority: 0 };
    client.consumers.set(handle, client.session.consume({ ...options, arguments: new Map() }));
  }

  purge(client: Client, queue: string): number {
    return client.session.purgeQueue(queue);
  }

  ready(queue: string): number {
    const { queues } = this.#engine.broker.sample((name) => name === queue);
    return queues[0]?.ready ?? 0;
  }

  // Time, and the ends of processes.

  /** The rest of this millisecond. */
  settle(): void {
    this.time.settle();
    if (this.#fault !== undefined) throw this.#fault;
  }
  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed++) {
      this.time.advance(1);
      if (passed % 4 === 0) await new Promise((resolve) => setImmediate(resolve)); // promises of the background
    }
    this.settle();
  }
  async until(isSo: () => boolean, what: string): Promise<void> {
    const end = this.now + WAIT_MS_MAX;
    while (!isSo()) {
      if (this.now > end) throw new Error(`never: ${what}`);
      await this.advance(1);
    }
  }

  async close(): Promise<void> {
    this.#endLife();
    let isClosed = false;
    this.#engine.broker.close().then(() => {
      isClosed = true;
    });
    await this.until(() => isClosed, 'the broker closes');
    this.#disk = this.#disk.kill();
    [this.#engine, this.#log] = this.#begin();
  }
  kill(): void {
    this.#endLife();
    this.#disk = this.#disk.kill();
    [this.#engine, this.#log] = this.#begin();
  }
  losePower(): void {
    this.#endLife();
    this.#disk = this.#disk.powerLoss();
    [this.#engine, this.#log] = this.#begin();
  }
  #endLife(): void {
    this.retired += this.#log.segmentCount;
  }
}
