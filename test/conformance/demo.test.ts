// The demo as its user runs it: the built script, client processes and broker, a few hundred real webhooks, and books that balance.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readJournals } from '../../scripts/demo/journal.ts';
import { type QueueCounts, reckon } from '../../scripts/demo/ledger.ts';
import { isRecord } from '../../scripts/demo/payloads.ts';
import { DEAD_QUEUE } from '../../scripts/demo/plan.ts';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/dist/scripts/demo/main.js', import.meta.url));
const RUN_MS_MAX = 60_000;

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(...args: readonly string[]): { child: ChildProcess; ended: Promise<Run>; printed: (text: string) => Promise<void> } {
  const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  const watchers = new Set<() => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
    for (const watcher of watchers) watcher();
  });
  const printed = (text: string): Promise<void> =>
    new Promise((resolve) => {
      watchers.add(() => {
        if (err.includes(text)) resolve();
      });
    });
  return { child, ended: once(child, 'close').then(() => ({ code: child.exitCode, out, err })), printed };
}

/** The rows of the demo's JSON by queue. */
function rowsOf(text: string): Map<string, Record<string, unknown>> {
  const result: unknown = JSON.parse(text);
  if (!isRecord(result) || !Array.isArray(result['rows'])) throw new Error(`not the demo's JSON: ${text}`);
  expect(result).toMatchObject({ balanced: true, problems: [] });
  return new Map(result['rows'].filter(isRecord).map((row) => [String(row['queue']), row]));
}

/** The broker's half of a row, as the sample had it. */
function sampleOf(queue: string, row: Readonly<Record<string, unknown>>): QueueCounts {
  const figure = (name: string): number => Number(row[name]);
  const [acked, deadLettered, expired, dropped] = [figure('acked'), figure('deadLettered'), figure('expired'), figure('dropped')];
  const counts = { published: figure('routedIn'), acked, deadLettered, expired, dropped, purged: 0 };
  return { queue, ready: figure('waiting'), unacked: 0, deadLetterWaiting: 0, counts };
}

describe('npm run demo', () => {
  let broker: BuiltBroker;
  /** What the broker counted in the first run. */
  let sample: QueueCounts[] = [];
  const journals = mkdtempSync(join(tmpdir(), 'leveret-demo-test-'));
  beforeAll(async () => {
    broker = await startBuiltBroker();
  });
  afterAll(async () => {
    rmSync(journals, { recursive: true });
    await broker.stop();
  });

  it('balances to the message, with messages acked, expired, dropped, dead-lettered and waiting', { timeout: RUN_MS_MAX }, async () => {
    const { code, out, err } = await start('--url', broker.url, '--messages', '400', '--rate', '400', '--journals', journals, '--json')
      .ended;
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const rows = rowsOf(out);
    sample = [...rows].map(([queue, row]) => sampleOf(queue, row));
    expect(rows.size).toBe(9);
    expect(rows.get('demo.latest')).toMatchObject({ routedIn: 400, acked: 0, dropped: 350, waiting: 50 });
    expect(rows.get('demo.ticker')).toMatchObject({ routedIn: 400, dropped: 0, waiting: 0 });
    expect(rows.get('demo.stars')).toMatchObject({ acked: 0, waiting: 10 });
    expect(Number(rows.get('demo.stars')?.['deadLettered'])).toBeGreaterThan(0);
    expect(rows.get('demo.ci')).toMatchObject({ deadLettered: 0, expired: 0, dropped: 0, waiting: 0 });
    expect(Number(rows.get('demo.ci')?.['acked'])).toBeGreaterThan(0);
  });

  it('keeps journals in which every webhook is a confirmed publish', () => {
    const published = readJournals(journals).filter((record) => record.did === 'published');
    expect(new Set(published.map((record) => record.message)).size).toBe(400);
  });

  it('would not balance if one delivery of that run were missing from the journals, or one counter were off', () => {
    const records = readJournals(journals);
    expect(reckon({ sample, records, deadQueue: DEAD_QUEUE }).balanced).toBe(true);
    const lost = records.findIndex((record) => record.did === 'acked' && record.queue === 'demo.ci');
    const ledger = reckon({ sample, records: records.filter((_, index) => index !== lost), deadQueue: DEAD_QUEUE });
    expect(ledger.balanced).toBe(false);
    expect(ledger.rows.filter((row) => row.problems.length > 0).map((row) => row.queue)).toEqual(['demo.ci']);
    const forgotten = sample.map((counts) => (counts.queue === 'demo.mail' ? { ...counts, ready: counts.ready + 1 } : counts));
    expect(reckon({ sample: forgotten, records, deadQueue: DEAD_QUEUE }).balanced).toBe(false);
  });

  it('runs again on the same broker, prints tables, and says that they balance', { timeout: RUN_MS_MAX }, async () => {
    const { code, out } = await start('--url', broker.url, '--messages', '60', '--rate', '600').ended;
    expect(code).toBe(0);
    expect(out).toContain('BALANCED: 60 webhooks published');
    expect(out).not.toContain('OFF');
  });

  it('does the books of what was published when it is interrupted', { timeout: RUN_MS_MAX }, async () => {
    const { child, ended, printed } = start('--url', broker.url, '--messages', '100000', '--rate', '300');
    await printed('published');
    child.kill('SIGINT');
    const { code, out, err } = await ended;
    expect(code, err).toBe(130);
    expect(out).toContain('BALANCED');
    expect(out).not.toContain('NOT BALANCED');
  });

  it('says what to do when no broker answers', { timeout: RUN_MS_MAX }, async () => {
    // Port 9 is discard: nothing listens there.
    const { code, out, err } = await start('--url', 'ws://127.0.0.1:9/ws').ended;
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toContain('no broker answers at ws://127.0.0.1:9/ws: start it with npm start');
  });

  it('names a flag that is wrong', async () => {
    const { code, err } = await start('--messages', 'many').ended;
    expect(code).toBe(2);
    expect(err).toContain('--messages many: a whole number from 1');
  });
});
