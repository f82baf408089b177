// `leveret bench` over AMQP 0-9-1: any broker, driven from pre-encoded frames.
// Always: (1) the figures are printed also after a Ctrl-C, for what ran until then; (2) a queue of our own is gone afterwards; (3) messages that did not come
// back through such a queue are an error, for the figures would be of something else; (4) what flags cannot mean together is told before anything connects.

import { randomUUID } from 'node:crypto';
import type { BenchFlags } from '../bench-flags.ts';
import { CliError, ExitCode } from '../exit-codes.ts';
import { Output } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { type Address, parseAddress } from './address.ts';
import { runCeiling } from './ceiling.ts';
import { describeReport, describeSample, reportFields, sampleFields } from './figures.ts';
import { Link } from './link.ts';
import { PLAN, type Plan } from './plan.ts';
import { type Report, type RunHooks, run } from './run.ts';
import { declareTopology, removeTopology, type TopologyOptions } from './topology.ts';

const SECONDS_DEFAULT = 10;

export async function benchAmqp(terminal: Terminal, flags: BenchFlags): Promise<void> {
  const stopping = new AbortController();
  const forget = terminal.onInterrupt(() => stopping.abort());
  const output = new Output(terminal, flags.json === true);
  terminal.output.on('error', (error) => stopping.abort(error));
  try {
    checkFlags(flags);
    const topology = topologyOf(flags);
    const plan = planOf(flags, topology);
    const hooks = hooksFor(flags, output, stopping.signal);
    const isCeiling = flags.ceiling === true;
    const report = isCeiling ? await runCeiling(plan, hooks) : await against(parseAddress(flags.url, flags.vhost), plan, topology, hooks);
    await output.result(reportFields(report), () => describeReport(report));
    output.check();
    const isLossless = isCeiling || (topology.isOwn && topology.arguments.size === 0);
    if (isLossless && !report.isComplete && !stopping.signal.aborted) throw incomplete(report);
  } catch (error) {
    output.check();
    if (!output.isReaderGone) throw error;
  } finally {
    output.done();
    forget();
  }
}

async function against(address: Address, plan: Plan, topology: TopologyOptions, hooks: RunHooks): Promise<Report> {
  const link = await Link.open(address, 'leveret bench', hooks.stop);
  try {
    try {
      await declareTopology(link, topology);
      return await run(address, plan, hooks);
    } finally {
      await removeTopology(link, topology);
    }
  } finally {
    await link.close();
  }
}

function checkFlags(flags: BenchFlags): void {
  const { publishers, consumers, prefetch = 0, ackEvery = 0, queue, ceiling } = flags;
  if (publishers === 0 && consumers === 0) throw new CliError(ExitCode.Usage, 'neither publishers (-x) nor consumers (-y): nothing to do');
  if (publishers === 0 && queue === undefined && ceiling === undefined) {
    throw new CliError(ExitCode.Usage, 'consumers without publishers need a queue that has messages', 'name it with -u');
  }
  if (prefetch > 0 && ackEvery > prefetch) {
    throw new CliError(
      ExitCode.Usage,
      `with ${prefetch} deliveries unacked at most (-P), an ack after ${ackEvery} (-a) never comes`,
      '-a is at most -P',
    );
  }
  if (flags.type !== undefined && (flags.exchange ?? '') === '')
    throw new CliError(ExitCode.Usage, '-t declares an exchange: name it with -e');
}

function topologyOf(flags: BenchFlags): TopologyOptions {
  const queue = flags.queue ?? `leveret.bench.${randomUUID()}`;
  return {
    queue,
    isOwn: flags.queue === undefined,
    isDurable: flags.durable === true || flags.persistent === true,
    arguments: flags.queueArgs ?? new Map(),
    exchange: flags.exchange ?? '',
    exchangeType: flags.type,
    routingKeys: flags.routingKey ?? [queue],
  };
}

function planOf(flags: BenchFlags, { queue, exchange, routingKeys }: TopologyOptions): Plan {
  const hasLimit = flags.pmessages !== undefined || flags.cmessages !== undefined;
  return {
    publishers: flags.publishers,
    consumers: flags.consumers,
    bodyBytes: flags.size ?? PLAN.bodyBytes,
    confirmWindow: flags.confirm ?? 0,
    inFlight: 0,
    prefetch: flags.prefetch ?? 0,
    ackEvery: flags.ackEvery ?? 0,
    isPersistent: flags.persistent === true,
    ratePerSecond: flags.rate ?? 0,
    seconds: flags.seconds ?? (hasLimit ? 0 : SECONDS_DEFAULT),
    warmUpSeconds: flags.warmUp ?? 0,
    publishLimit: flags.pmessages ?? 0,
    consumeLimit: flags.cmessages ?? 0,
    exchange,
    routingKeys,
    queues: [queue],
    copies: 1,
  };
}

function hooksFor({ interval }: BenchFlags, output: Output, stop: AbortSignal): RunHooks {
  let blockedReason: string | undefined;
  return {
    stop,
    everySeconds: interval ?? 1,
    sampled: (sample) => {
      if (sample.blockedReason !== undefined && blockedReason === undefined)
        output.note(`the broker holds publishers back: ${sample.blockedReason}`);
      blockedReason = sample.blockedReason;
      if (interval === undefined) output.progress(describeSample(sample));
      else void output.result(sampleFields(sample), () => describeSample(sample));
    },
  };
}

function incomplete({ published, received, confirmed, nacked }: Report): CliError {
  const text = `${published} messages were published and ${received} came back`;
  return new CliError(ExitCode.Failure, confirmed + nacked > 0 ? `${text}; ${confirmed} were confirmed, ${nacked} refused` : text);
}
