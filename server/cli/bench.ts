// `leveret bench`: how fast a running broker is, seen from this machine: over ws:// for services written with the client, which is this file; over
// amqp:// for any AMQP broker, which is amqp-bench/.
// Always: (1) the queue is its own and gone afterwards; (2) every publish is confirmed, and latency is taken from the call, so waiting for
// room in the window counts; (3) every message carries the time it was made, so delivery latency needs publishers and consumers in one process.
// Refuses: to compare. `npm run bench` does that, with a baseline in the same run and the broker's own targets.

import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { build, type Histogram } from 'hdr-histogram-js';
import type { Connection } from 'leveret-client';
import { isAmqpUrl } from './amqp-bench/address.ts';
import { addBenchFlags, type BenchFlags, refuseAmqpFlags } from './bench-flags.ts';
import { type ConnectionFlags, runVerb, type Work } from './connection.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const TIMESTAMP_BYTES = 8;
const DRAIN_MS_MAX = 10_000;
const PERCENTILES = [50, 90, 99, 99.9] as const;

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  addBenchFlags(command, terminal).action(async (given: BenchFlags) => {
    if (isAmqpUrl(given.url) || given.ceiling === true) {
      const { benchAmqp } = await import('./amqp-bench/verb.ts');
      await benchAmqp(terminal, given);
      return;
    }
    refuseAmqpFlags(command);
    const flags = nativeFlags(given);
    await runVerb(terminal, flags, 'bench', (work) => bench(work, flags));
  });
}

interface Flags extends ConnectionFlags {
  readonly publishers: number;
  readonly consumers: number;
  readonly size: number;
  readonly confirm: number;
  readonly seconds: number;
  readonly durable: boolean;
}

/** The flags as they mean something over ws://. Throws a usage error where they do not. */
function nativeFlags({ confirm = 1_000, size = 100, seconds = 10, durable, persistent, ...flags }: BenchFlags): Flags {
  const refuse = (text: string): never => {
    throw new CliError(ExitCode.Usage, `over ws:// ${text}`, 'over amqp:// it may');
  };
  if (flags.publishers === 0) refuse('-x may not be 0');
  if (confirm === 0) refuse('-c may not be 0: every publish is confirmed');
  if (size < TIMESTAMP_BYTES) refuse(`-s may not be below ${TIMESTAMP_BYTES}: a body carries the time`);
  if (seconds === 0) refuse('-z may not be 0');
  return { ...flags, confirm, size, seconds, durable: durable === true || persistent === true };
}

/** Microseconds; three digits; up to a minute. */
const histogram = (): Histogram =>
  build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 });
const nowUs = (): number => performance.now() * 1_000;

class Bench {
  published = 0;
  received = 0;
  readonly confirmLatency = histogram();
  readonly deliveryLatency = histogram();
  readonly #flags: Flags;
  readonly #queue: string;
  readonly #deliveries: { cancel(): Promise<unknown> }[] = [];
  #isOver = false;

  constructor(flags: Flags, queue: string) {
    this.#flags = flags;
    this.#queue = queue;
  }

  /** Publishers stop; the calls under way finish. */
  end(): void {
    this.#isOver = true;
  }

  /** Consumers stop, and with the last the queue goes. */
  async cancel(): Promise<void> {
    await Promise.all(this.#deliveries.map((deliveries) => deliveries.cancel()));
  }

  /** One publisher: as many loops as its window has room for, each awaiting its publish. */
  async publish(connection: Connection): Promise<void> {
    const exchange = connection.exchange('');
    const { size } = this.#flags;
    const loop = async (): Promise<void> => {
      while (!this.#isOver) {
        const body = new Uint8Array(size);
        const madeAtUs = nowUs();
        new DataView(body.buffer).setFloat64(0, madeAtUs);
        await exchange.publish(this.#queue, body);
        this.published++;
        record(this.confirmLatency, madeAtUs);
      }
    };
    await Promise.all(Array.from({ length: this.#flags.confirm }, loop));
  }

  async consume(connection: Connection): Promise<void> {
    const deliveries = connection.queue(this.#queue).consume({ noAck: true });
    this.#deliveries.push(deliveries);
    for await (const { bytes } of deliveries) {
      this.received++;
      record(this.deliveryLatency, new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getFloat64(0));
    }
  }
}

function record(into: Histogram, sinceUs: number): void {
  into.recordValue(Math.min(60_000_000, Math.max(1, Math.round(nowUs() - sinceUs))));
}

async function bench(work: Work, flags: Flags): Promise<ExitCode> {
  const { connection, output, stop } = work;
  const { queue } = await connection.declareQueue(`leveret.bench.${randomUUID()}`, { durable: flags.durable, autoDelete: true });
  const run = new Bench(flags, queue);
  try {
    const consumers = await openAll(work, flags.consumers);
    const publishers = await openAll(work, flags.publishers);
    const consuming = Promise.all(consumers.map((consumer) => run.consume(consumer)));
    const startedAt = performance.now();
    const publishing = Promise.all(publishers.map((publisher) => run.publish(publisher)));
    const failing = new Promise<never>((_, reject) => {
      publishing.catch(reject);
      consuming.catch(reject);
    });
    await untilOver(run, flags.seconds * 1_000, stop, output, failing);
    run.end();
    await publishing;
    const publishMs = performance.now() - startedAt;
    if (consumers.length > 0) await drained(run, stop);
    const totalMs = performance.now() - startedAt;
    await run.cancel();
    await consuming;
    await output.result(figures(run, publishMs, totalMs), () => describe(run, publishMs, totalMs));
    if (consumers.length > 0 && run.received !== run.published && !stop.aborted) {
      throw new CliError(ExitCode.Failure, `${run.published} messages were confirmed and ${run.received} came back`);
    }
    return ExitCode.Ok;
  } finally {
    if (connection.state === 'open') await connection.queue(queue).delete();
  }
}

async function openAll({ another }: Work, count: number): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, another));
}

/** Waits, showing progress; a publisher or consumer that fails ends the wait with its error. */
async function untilOver(run: Bench, forMs: number, stop: AbortSignal, output: Work['output'], failing: Promise<never>): Promise<void> {
  const endAt = performance.now() + forMs;
  let seen = { published: 0, received: 0 };
  do {
    await Promise.race([pause(Math.min(1_000, endAt - performance.now()), stop), failing]);
    const { published, received } = run;
    output.progress(`${count(published - seen.published)} published, ${count(received - seen.received)} received in the last second`);
    seen = { published, received };
  } while (!stop.aborted && performance.now() < endAt);
}

async function drained(run: Bench, stop: AbortSignal): Promise<void> {
  const endAt = performance.now() + DRAIN_MS_MAX;
  while (run.received < run.published && performance.now() < endAt && !stop.aborted) await pause(5, stop);
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    stop.addEventListener('abort', end);
  });
}

function latency(of: Histogram): Record<string, number> {
  const entries = PERCENTILES.map((percentile) => [`p${percentile}`, of.getValueAtPercentile(percentile)] as const);
  return { ...Object.fromEntries(entries), max: of.maxValue };
}

function figures(run: Bench, publishMs: number, totalMs: number): Record<string, unknown> {
  return {
    published: run.published,
    received: run.received,
    publishedPerSecond: Math.round((run.published / publishMs) * 1_000),
    receivedPerSecond: Math.round((run.received / totalMs) * 1_000),
    ...(run.published === 0 ? {} : { confirmLatencyUs: latency(run.confirmLatency) }),
    ...(run.received === 0 ? {} : { deliveryLatencyUs: latency(run.deliveryLatency) }),
  };
}

function describe(run: Bench, publishMs: number, totalMs: number): string {
  const lines = [
    `published  ${count((run.published / publishMs) * 1_000)} messages/s  (${count(run.published)} in ${(publishMs / 1_000).toFixed(1)} s)`,
  ];
  if (run.published > 0) lines.push(`  confirmed after  ${percentiles(run.confirmLatency)}`);
  lines.push(`received   ${count((run.received / totalMs) * 1_000)} messages/s  (${count(run.received)})`);
  if (run.received > 0) lines.push(`  delivered after  ${percentiles(run.deliveryLatency)}`);
  return lines.join('\n');
}

function percentiles(of: Histogram): string {
  return Object.entries(latency(of))
    .map(([name, us]) => `${name} ${us < 1_000 ? `${us} us` : `${(us / 1_000).toFixed(us < 10_000 ? 2 : 1)} ms`}`)
    .join('  ');
}

const count = (number: number): string => Math.round(number).toLocaleString('en-US');
