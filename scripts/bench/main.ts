// `npm run bench`: runs the rows, prints a table or one JSON object a row.
// Always: (1) rows run one after another, alone; (2) a row without a number is an error and the exit code says so (1); a missed target
// is printed and nothing more, for machines differ and neighbours are noisy.

import { cpus } from 'node:os';
import { parseArgs, styleText } from 'node:util';
import Table from 'cli-table3';
import { hasRabbitMq } from '../rabbitmq.ts';
import { endShared } from './amqp-brokers.ts';
import { display, type Figure, FULL, meets, type Row, SMOKE } from './row.ts';
import { amqpRows } from './rows-amqp.ts';
import { amqpMemoryRows } from './rows-amqp-memory.ts';
import { durableRows } from './rows-durable.ts';
import { engineRows } from './rows-engine.ts';
import { managementRows } from './rows-management.ts';
import { recoveryRows } from './rows-recovery.ts';
import { storeRows } from './rows-store.ts';
import { wireRows } from './rows-wire.ts';
import { type Asked, isWanted, whyNot } from './selection.ts';

const USAGE = `npm run bench -- [--smoke] [--rabbitmq] [--only NAME]... [--json]

  --smoke       every row for about a second: shows that each still yields a number
  --rabbitmq    the rows that compare with Debian's rabbitmq-server, and no others: they take half an hour
  --only NAME   this row alone; may be given again. Rows that take minutes run only so
  --json        one JSON object a row instead of the table
`;

interface Outcome {
  readonly row: Row;
  readonly figure?: Figure;
  readonly error?: string;
  /** It was left out, and why. */
  readonly skipped?: string;
}

async function measure(row: Row, asked: Asked): Promise<Outcome> {
  const skipped = whyNot(row, asked);
  if (skipped !== undefined) return { row, skipped };
  try {
    const figure = await row.measure(asked.effort);
    if (!Number.isFinite(figure.value)) throw new Error(`answered ${figure.value}, which is no number`);
    return { row, figure };
  } catch (error) {
    return { row, error: error instanceof Error ? error.message : String(error) };
  }
}

const COLOURS = { pass: 'green', miss: 'yellow', 'no number': 'red', 'left out': 'gray' } as const;

const targetText = ({ target, unit }: Row): string => `${target.at === 'most' ? '<=' : '>='} ${target.value} ${unit}`;

function verdict({ row, figure, skipped }: Outcome): 'pass' | 'miss' | 'no number' | 'left out' {
  if (skipped !== undefined) return 'left out';
  if (figure === undefined) return 'no number';
  return meets(row.target, figure.value) ? 'pass' : 'miss';
}

function json(outcome: Outcome): string {
  const { row, figure, error, skipped } = outcome;
  const { name, what, unit, target } = row;
  return JSON.stringify({ row: name, what, unit, target, verdict: verdict(outcome), ...figure, error, skipped });
}

function cells(outcome: Outcome): string[] {
  const { row, figure, error, skipped } = outcome;
  const said = verdict(outcome);
  const notes = [row.what, figure?.note ?? error ?? skipped ?? ''];
  if (figure?.ceiling !== undefined) {
    notes.push(`generator's ceiling ${display(figure.ceiling)}/s${figure.generatorBound === true ? ': generator-bound' : ''}`);
  }
  const result = figure === undefined ? '-' : `${display(figure.value)} ${row.unit}`;
  const coloured = process.stdout.isTTY ? styleText(COLOURS[said], said) : said;
  return [row.name, result, targetText(row), coloured, notes.filter((note) => note !== '').join('\n')];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      smoke: { type: 'boolean', default: false },
      rabbitmq: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      only: { type: 'string', multiple: true, default: [] },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const rows = [
    ...wireRows,
    ...engineRows,
    ...durableRows,
    ...recoveryRows,
    ...storeRows,
    ...managementRows,
    ...amqpMemoryRows,
    ...amqpRows,
  ];
  const unknown = values.only.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`no row is called ${unknown.join(', ')}; there are ${rows.map((row) => row.name).join(', ')}\n`);
    return 2;
  }
  const effort = values.smoke ? SMOKE : FULL;
  const asked: Asked = { effort, names: values.only, isRabbitMq: values.rabbitmq, isSmoke: values.smoke, hasRabbitMq: hasRabbitMq() };
  const outcomes: Outcome[] = [];
  try {
    for (const row of rows.filter((each) => isWanted(each, asked))) {
      if (process.stderr.isTTY) process.stderr.write(`${row.name} ...\n`);
      const outcome = await measure(row, asked);
      outcomes.push(outcome);
      if (values.json) process.stdout.write(`${json(outcome)}\n`);
    }
  } finally {
    await endShared();
  }
  if (!values.json) {
    const table = new Table({ head: ['row', 'result', 'target', '', 'what it is'], style: { head: [], border: [] } });
    for (const outcome of outcomes) table.push(cells(outcome));
    process.stdout.write(
      `${table.toString()}\nNode ${process.version}, ${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown processor'}\n`,
    );
  }
  return outcomes.some(({ figure, skipped }) => figure === undefined && skipped === undefined) ? 1 : 0;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 2;
});
