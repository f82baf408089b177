// The demo's closing tables: the ledger, the dead letters, and how long priorities waited. Text in, text out; decides nothing.

import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { JournalRecord } from './journal.ts';
import type { Ledger, LedgerRow } from './ledger.ts';

type Style = (format: 'bold' | 'dim' | 'green' | 'red', text: string) => string;

/** As a terminal shows it; without colours for files and pipes. */
export function report(ledger: Ledger, records: readonly JournalRecord[], colours: boolean): string {
  const style: Style = (format, text) => (colours ? styleText(format, text) : text);
  const parts = [
    ledgerTable(ledger.rows, style),
    ...ledger.rows.flatMap((row) => row.problems.map((problem) => style('red', `  ${row.queue}: ${problem}`))),
    ...ledger.problems.map((problem) => style('red', `  ${problem}`)),
    '',
    deathsTable(ledger, style),
    ...waits(records),
    '',
    verdict(ledger, records, style),
  ];
  return parts.join('\n');
}

// Lines between rows are left out: rows are short, and the eye runs down the columns.
const PLAIN = { style: { head: [], border: [] }, chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' } };

function ledgerTable(rows: readonly LedgerRow[], style: Style): string {
  const names = [
    'queue',
    'routed in',
    '= acked',
    '+ dead-\nlettered',
    '+ expired',
    '+ dropped',
    '+ still\nwaiting',
    'journals:\nin',
    'acked',
    'dead',
    '',
  ];
  const table = new Table({
    head: names.map((name) => style('bold', name)),
    colAligns: ['left', ...Array<'right'>(9).fill('right'), 'left'],
    ...PLAIN,
  });
  for (const row of rows) {
    const off = row.problems.length > 0;
    table.push([row.queue, ...numbers(row).map(String), off ? style('red', 'OFF') : style('green', 'balances')]);
  }
  const sums = rows.map(numbers).reduce((sum, row) => sum.map((number, index) => number + (row[index] ?? 0)), Array<number>(9).fill(0));
  table.push([style('bold', 'all'), ...sums.map((sum) => style('bold', String(sum))), '']);
  return underlined(table.toString(), 2);
}

/** With a line under the head, which is so many lines high. */
function underlined(table: string, headLines: number): string {
  const [top = '', ...lines] = table.split('\n');
  const rule = top.replace('┌', '├').replace('┐', '┤').replaceAll('┬', '┼');
  return [top, ...lines.slice(0, headLines), rule, ...lines.slice(headLines)].join('\n');
}

function numbers(row: LedgerRow): number[] {
  return [
    row.routedIn,
    row.acked,
    row.deadLettered,
    row.expired,
    row.dropped,
    row.waiting,
    row.journalIn,
    row.journalAcked,
    row.journalDied,
  ];
}

function deathsTable(ledger: Ledger, style: Style): string {
  if (ledger.deaths.length === 0) return 'No dead letters.';
  const table = new Table({
    head: ['dead letters of', 'because', 'how many'].map((name) => style('bold', name)),
    colAligns: ['left', 'left', 'right'],
    ...PLAIN,
  });
  for (const { queue, reason, count } of ledger.deaths) table.push([queue, reason, count]);
  return underlined(table.toString(), 1);
}

/** Mean wait by priority where a queue has seen more than one. */
function waits(records: readonly JournalRecord[]): string[] {
  const queues = new Map<string, Map<number, number[]>>();
  for (const record of records) {
    if (record.did !== 'acked') continue;
    const priorities = queues.get(record.queue) ?? new Map<number, number[]>();
    priorities.set(record.priority, [...(priorities.get(record.priority) ?? []), record.waitMs]);
    queues.set(record.queue, priorities);
  }
  const review = queues.get('demo.review');
  if (review === undefined || review.size < 2) return [];
  const means = [...review].sort(([one], [other]) => other - one).map(([priority, all]) => `priority ${priority} waited ${mean(all)} ms`);
  return ['', `On average in demo.review: ${means.join(', ')}.`];
}

function mean(values: readonly number[]): number {
  return Math.round(values.reduce((sum, value) => sum + value, 0) / values.length);
}

function verdict(ledger: Ledger, records: readonly JournalRecord[], style: Style): string {
  const published = records.filter((record) => record.did === 'published').length;
  const failures = records.filter((record) => record.did === 'threw').length;
  const summary = `${published} webhooks published, ${failures} attempts failed on the way`;
  const off = ledger.rows.filter((row) => row.problems.length > 0).map((row) => row.queue);
  if (ledger.balanced) return `${style('green', 'BALANCED')}: ${summary}, and every message of every queue is accounted for.`;
  return `${style('red', 'NOT BALANCED')}: ${summary}; look at ${off.length > 0 ? off.join(', ') : 'the messages above'}.`;
}
