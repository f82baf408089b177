// The load generator of the AMQP rows, as a process of its own: one plan, run against a broker or, for the ceiling, against a sink; prints one JSON object.
// Always: a process runs one plan, so that no run inherits another's compiled code or garbage; the URL `sink` means the ceiling.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseAddress } from '../../server/cli/amqp-bench/address.ts';
import { runCeiling } from '../../server/cli/amqp-bench/ceiling.ts';
import { reportFields } from '../../server/cli/amqp-bench/figures.ts';
import { PLAN, type Plan } from '../../server/cli/amqp-bench/plan.ts';
import { run } from '../../server/cli/amqp-bench/run.ts';

export const SINK = 'sink';
const CHILD = 'amqp-generator';

export interface Latencies {
  readonly p50: number;
  readonly p99: number;
}

export interface Figures {
  readonly published: number;
  readonly received: number;
  readonly confirmed: number;
  readonly seconds: number;
  readonly publishedPerSecond: number;
  readonly receivedPerSecond: number;
  readonly confirmedPerSecond: number;
  readonly generatorBusy: number;
  readonly confirmLatencyUs?: Latencies;
  readonly deliveryLatencyUs?: Latencies;
  readonly isComplete: boolean;
}

/** Runs `plan` in a process of its own. A run that lost a message, or got one too many, has no figures. */
export async function generate(url: string, plan: Partial<Plan>): Promise<Figures> {
  const script = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [script, CHILD, url, JSON.stringify(plan)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`the generator ended with ${child.exitCode ?? child.signalCode}`);
  const figures = readFigures(printed);
  if (!figures.isComplete)
    throw new Error(`${figures.published} messages were published, ${figures.confirmed} confirmed, ${figures.received} received`);
  return figures;
}

function readFigures(printed: string): Figures {
  const read: unknown = JSON.parse(printed);
  if (typeof read !== 'object' || read === null) throw new Error(`the generator printed ${printed}`);
  const fields = new Map<string, unknown>(Object.entries(read));
  const number = (name: string): number => {
    const value = fields.get(name);
    if (typeof value !== 'number') throw new Error(`the generator printed no ${name}`);
    return value;
  };
  const latencies = (name: string): Record<string, Latencies> => {
    const value = fields.get(name);
    if (typeof value !== 'object' || value === null || !('p50' in value) || !('p99' in value)) return {};
    const { p50, p99 } = value;
    return typeof p50 === 'number' && typeof p99 === 'number' ? { [name]: { p50, p99 } } : {};
  };
  return {
    published: number('published'),
    received: number('received'),
    confirmed: number('confirmed'),
    seconds: number('seconds'),
    publishedPerSecond: number('publishedPerSecond'),
    receivedPerSecond: number('receivedPerSecond'),
    confirmedPerSecond: number('confirmedPerSecond'),
    generatorBusy: number('generatorBusy'),
    ...latencies('confirmLatencyUs'),
    ...latencies('deliveryLatencyUs'),
    isComplete: fields.get('isComplete') === true,
  };
}

async function main(url: string, plan: Plan): Promise<void> {
  const report = url === SINK ? await runCeiling(plan) : await run(parseAddress(url), plan);
  process.stdout.write(JSON.stringify({ ...reportFields(report), isComplete: report.isComplete }));
}

if (process.argv[2] === CHILD) await main(process.argv[3] ?? '', { ...PLAN, ...JSON.parse(process.argv[4] ?? '{}') });
