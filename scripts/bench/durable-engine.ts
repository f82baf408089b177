// Rows of the durable log inside one process: `node --expose-gc durable-engine.js ROW DIRECTORY [NUMBER]...` prints one JSON array of numbers.
// Always: (1) broker and log are put together as `leveret start` does, with the machine's disk and the real end of turn; (2) a window of publishes is
// on its way, and the next leave when some are confirmed; (3) whoever consumes acks each delivery, a turn later.

import { join } from 'node:path';
import { Broker } from '../../server/broker/broker.ts';
import type { Consumer } from '../../server/broker/consumer.ts';
import { defaultLimits } from '../../server/broker/limits.ts';
import { trustedAccount } from '../../server/broker/login.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { Session } from '../../server/broker/session.ts';
import { SystemClock, SystemRandom, SystemTurns } from '../../server/clock.ts';
import { SystemProcesses } from '../../server/processes.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import { encodeContent } from '../../shared/content.ts';
import { CountingDisk } from './counting-disk.ts';
import { NullSink } from './null-sink.ts';
import { deviceBytes, residentBytes, usedBytes } from './process-figures.ts';
import { gatherSurvivors } from './segment-writes.ts';

const BODY_BYTES = 1_024;
const QUEUE = 'backlog'; // the recovery rows look for it
const PREFETCH = 1_000;
const WINDOW = 1_000;

/** Acks what it gets, and tells when something was confirmed or acked. */
class AckingSink extends NullSink {
  confirmed = 0;
  acked = 0;
  session: Session | undefined;
  onProgress: () => void = () => undefined;
  #tags: number[] = [];
  #isProgressDue = false;
  readonly #ackAll = (): void => {
    const tags = this.#tags;
    this.#tags = [];
    for (const tag of tags) this.session?.ack(tag, false);
    this.acked += tags.length;
    this.onProgress();
  };
  readonly #progress = (): void => {
    this.#isProgressDue = false;
    this.onProgress();
  };

  override deliver(_consumer: Consumer, tag: number): void {
    if (this.#tags.push(tag) === 1) setImmediate(this.#ackAll);
  }
  override confirm(_publisher: Publisher, _firstSeq: number, count: number): void {
    this.confirmed += count;
    if (this.#isProgressDue) return;
    this.#isProgressDue = true;
    setImmediate(this.#progress);
  }
}

class DurableEngine {
  readonly disk = new CountingDisk();
  readonly log: DurableLog;
  readonly broker: Broker;
  readonly session: Session;
  readonly #sink = new AckingSink();
  readonly #publisher: Publisher;
  readonly #run = encodeContent('', QUEUE, { deliveryMode: 2 }, new Uint8Array(BODY_BYTES).fill(0x78));

  constructor(directory: string) {
    const clock = new SystemClock();
    const notices = {
      notice: ({ severity, text }: { severity: string; text: string }) => void (severity === 'info' || process.stderr.write(`${text}\n`)),
    };
    this.log = new DurableLog({ disk: this.disk, directory, clock, notices, processes: new SystemProcesses() });
    this.broker = new Broker({
      log: this.log,
      clock,
      random: new SystemRandom(),
      turns: new SystemTurns(),
      notices,
      limits: defaultLimits,
    });
    this.session = this.broker.openSession(this.#sink, { account: trustedAccount('guest'), vhost: '/', name: 'bench' });
    this.#sink.session = this.session;
    this.#publisher = this.session.openPublisher(1, true);
    const flags = { durable: true, exclusive: false, autoDelete: false, passive: false };
    this.session.declareQueue({ queue: QUEUE, ...flags, arguments: new Map() });
  }

  consume(): void {
    const settings = { handle: 2, consumerTag: '', noAck: false, exclusive: false, prefetch: PREFETCH, credit: undefined, priority: 0 };
    this.session.consume({ ...settings, queue: QUEUE, arguments: new Map() });
  }

  /** Publishes `count` messages and waits until all are confirmed, and acked where somebody consumes. Answers messages a second. */
  async publish(count: number, window: number, isConsumed: boolean): Promise<number> {
    const sink = this.#sink;
    const confirmedBefore = sink.confirmed;
    const ackedBefore = sink.acked;
    const startedAt = performance.now();
    let sent = 0;
    await new Promise<void>((resolve) => {
      sink.onProgress = () => {
        const confirmed = sink.confirmed - confirmedBefore;
        const through = isConsumed ? Math.min(confirmed, sink.acked - ackedBefore) : confirmed;
        for (; sent < count && sent - through < window; sent++)
          this.session.publish(this.#publisher, this.#run, 0, this.#run.length, false);
        if (through === count) resolve();
      };
      sink.onProgress();
    });
    return count / ((performance.now() - startedAt) / 1_000);
  }

  readyCount(): number {
    return this.session.inspectQueue(QUEUE).readyCount;
  }
}

/**
 * For each byte of body, what all files were given, the log's batches alone, and what the device wrote, for whoever. First as much again is
 * published unmeasured: files that the log makes once are there by then.
 */
async function amplificationRow(directory: string, messages: number, window: number): Promise<number[]> {
  const engine = new DurableEngine(directory);
  engine.consume();
  await engine.publish(messages, window, true);
  const { log, disk } = engine;
  const before = { all: disk.writtenBytes, batches: log.writtenBytes, device: deviceBytes(directory) };
  await engine.publish(messages, window, true);
  const device = deviceBytes(directory) - before.device;
  await engine.broker.close(); // the last acks are written now
  const published = messages * BODY_BYTES;
  return [(disk.writtenBytes - before.all) / published, (log.writtenBytes - before.batches) / published, device / published];
}

/** Memory for each waiting message: beyond the cache, resident in all; and the cache itself. */
async function memoryRow(directory: string, messages: number): Promise<number[]> {
  const engine = new DurableEngine(directory);
  await engine.publish(WINDOW, WINDOW, false);
  const before = { used: usedBytes() - engine.log.memoryBytes, resident: residentBytes(process.pid), ready: engine.readyCount() };
  await engine.publish(messages, WINDOW, false);
  const ready = engine.readyCount() - before.ready;
  if (ready !== messages) throw new Error(`${ready} of ${messages} messages wait`);
  const used = usedBytes() - engine.log.memoryBytes - before.used;
  const printed = [used / messages, (residentBytes(process.pid) - before.resident) / messages, engine.log.memoryBytes];
  await engine.broker.close();
  return printed;
}

/** Fills the queue in ten parts, and leaves it so: index bytes a message, resident bytes a message, publish rate of the first and of the last part. */
async function backlogRow(directory: string, messages: number): Promise<number[]> {
  const engine = new DurableEngine(directory);
  await engine.publish(WINDOW, WINDOW, false);
  const before = { used: usedBytes() - engine.log.memoryBytes, resident: residentBytes(process.pid) };
  const rates: number[] = [];
  for (let part = 0; part < 10; part++) rates.push(await engine.publish(messages / 10, WINDOW, false));
  const index = (usedBytes() - engine.log.memoryBytes - before.used) / messages;
  const resident = (residentBytes(process.pid) - before.resident) / messages;
  await engine.broker.close();
  return [index, resident, rates[0] ?? 0, rates[9] ?? 0];
}

type EngineRow = (directory: string, first: number, second: number) => Promise<number[]>;
const rows: Readonly<Record<string, EngineRow>> = {
  amplification: amplificationRow,
  memory: memoryRow,
  backlog: backlogRow,
  segments: gatherSurvivors,
};

const [name = '', directory, first = '0', second = '0'] = process.argv.slice(2);
const row = rows[name];
if (row === undefined || directory === undefined)
  throw new Error(`usage: durable-engine.js ${Object.keys(rows).join('|')} DIRECTORY [NUMBER]...`);
process.stdout.write(JSON.stringify(await row(join(directory, name), Number(first), Number(second))));
