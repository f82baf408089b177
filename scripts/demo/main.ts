// `npm run demo`: real webhooks through a running broker, client processes on both sides, and at the end the books.
// Always: (1) stdout holds the result alone (tables, or one JSON object with --json); (2) it ends by itself within a deadline; (3) no client
// process outlives it. Ctrl-C once: publish no more, finish, and do the books; twice: end at once.
// Exit codes: 0 the books balance, 1 they do not, 2 a wrong flag, 3 no broker, or a run that failed, 130 interrupted.

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, LeveretError } from 'leveret-client';
import { Cast } from './cast.ts';
import { type JournalRecord, readJournals } from './journal.ts';
import { type Ledger, reckon } from './ledger.ts';
import { type Options, readOptions, USAGE, UsageError } from './options.ts';
import { type Page, servePage } from './page.ts';
import { DEAD_QUEUE, SERVICES, WORKERS } from './plan.ts';
import { type Progress, progressOn } from './progress.ts';
import { report } from './report.ts';
import { reach, SAMPLE_MS, sample, setStage, settle, Unreachable } from './stage.ts';

// The slowest worker takes 28 ms for one message in eight; the rest is for starting, expiring and slow machines.
const DEADLINE_MS = 40_000;
const DEADLINE_MS_PER_MESSAGE = 8;

const PAGE_PORT = 15_673;
const PAGE_FOLDER = new URL('../../../../client/example/', import.meta.url); // from scripts/dist/scripts/demo/

interface Outcome {
  readonly ledger: Ledger;
  readonly records: readonly JournalRecord[];
}

/** The whole run. `interrupted` aborts on the first Ctrl-C. */
async function run(
  connection: Connection,
  options: Options,
  directory: string,
  progress: Progress,
  interrupted: AbortSignal,
): Promise<Outcome> {
  const { url, messages, perSecond, seed } = options;
  let cast: Cast | undefined;
  try {
    await setStage(connection, url);
    progress.say(`Starting ${SERVICES.length} services and ${WORKERS.length} workers, each a process of its own, on ${url}`);
    cast = new Cast({ url, journals: directory, seed, messages, perSecond });
    await perform(connection, cast, progress, interrupted);
    progress.say('Everything is published and worked off. Sending the processes home and doing the books.');
    await cast.dismiss();
    const records = readJournals(directory);
    return { ledger: reckon({ sample: await sample(connection), records, deadQueue: DEAD_QUEUE }), records };
  } finally {
    progress.end();
    cast?.kill();
    await connection.close();
  }
}

async function perform(connection: Connection, cast: Cast, progress: Progress, interrupted: AbortSignal): Promise<void> {
  await cast.all('worker', 'ready');
  cast.order('worker', 'start');
  await cast.all('service', 'ready');
  cast.order('service', 'start');
  const published = new AbortController();
  const watching = watch(connection, cast, progress, published.signal);
  const enough = (): void => cast.order('service', 'enough');
  interrupted.addEventListener('abort', enough, { once: true });
  if (interrupted.aborted) enough();
  try {
    await Promise.race([cast.all('service', 'done'), watching.then(() => new Promise<never>(() => undefined))]);
  } finally {
    published.abort();
  }
  await watching;
  const never = new AbortController();
  const settling = settle(connection, (counts) => progress.show(cast.handled('service'), counts), never.signal);
  try {
    await Promise.race([settling, cast.failure]);
  } finally {
    never.abort();
  }
  progress.end();
}

async function watch(connection: Connection, cast: Cast, progress: Progress, until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    progress.show(cast.handled('service'), await sample(connection));
    await sleep(SAMPLE_MS);
  }
}

function print({ ledger, records }: Outcome, json: boolean): void {
  if (json) {
    const published = records.filter((record) => record.did === 'published').length;
    process.stdout.write(`${JSON.stringify({ ...ledger, published })}\n`);
  } else {
    process.stdout.write(`\n${report(ledger, records, process.stdout.isTTY)}\n`);
  }
}

function journalsDirectory({ journals }: Options): string {
  if (journals === undefined) return mkdtempSync(join(tmpdir(), 'leveret-demo-'));
  mkdirSync(journals, { recursive: true });
  // Old lines would be counted as this run's.
  if (readdirSync(journals).length > 0) throw new UsageError(`--journals ${journals}: the directory is not empty`);
  return journals;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const connection = await reach(options.url);
  const directory = journalsDirectory(options);
  const progress = progressOn(options.json ? 'none' : process.stderr.isTTY ? 'bar' : 'lines', options.messages);
  const interrupted = new AbortController();
  let isOver = false; // only the page is left
  // Under `npm run demo` one Ctrl-C comes twice: from the terminal, and passed on by npm.
  let comesTwice = process.env['npm_lifecycle_event'] === 'demo';
  process.on('SIGINT', () => {
    if (interrupted.signal.aborted) {
      if (!comesTwice) process.exit(130);
      comesTwice = false;
      return;
    }
    if (!isOver) progress.say('Interrupted: publishing no more, finishing what is under way. Once more to end at once.');
    interrupted.abort();
  });
  const deadline = limit(options, progress, directory);
  const page = options.page ? await showPage(options.url, progress) : undefined;
  try {
    const outcome = await run(connection, options, directory, progress, interrupted.signal);
    print(outcome, options.json);
    if (!outcome.ledger.balanced) console.error(`What the client processes wrote down: ${directory}`);
    else if (options.journals === undefined) rmSync(directory, { recursive: true });
    clearTimeout(deadline);
    isOver = true;
    if (page !== undefined && !interrupted.signal.aborted) await untilInterrupted(page, interrupted.signal);
    else if (interrupted.signal.aborted) return 130;
    return outcome.ledger.balanced ? 0 : 1;
  } finally {
    clearTimeout(deadline);
    await page?.close();
  }
}

function limit(options: Options, progress: Progress, directory: string): NodeJS.Timeout {
  const deadlineMs = DEADLINE_MS + options.messages * Math.max(DEADLINE_MS_PER_MESSAGE, 2_000 / options.perSecond);
  return setTimeout(() => {
    progress.end();
    console.error(`The demo is not done after ${Math.round(deadlineMs / 1_000)} s and gives up. Its journals: ${directory}`);
    process.exit(3);
  }, deadlineMs);
}

async function showPage(url: string, progress: Progress): Promise<Page> {
  const page = await servePage(PAGE_FOLDER, PAGE_PORT);
  progress.say(`Watch it live: ${page.url}?url=${encodeURIComponent(url)}${originAdvice(url, page)}`);
  return page;
}

/** A broker that is reached by a loopback name lets in any page of this machine; another has to be told. */
function originAdvice(url: string, page: Page): string {
  if (/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname)) return '';
  return ` (the broker must list ${new URL(page.url).origin} in its setting "origins")`;
}

async function untilInterrupted(page: Page, interrupted: AbortSignal): Promise<void> {
  console.error(`The page stays at ${page.url} until Ctrl-C.`);
  await once(interrupted, 'abort');
}

try {
  process.exit(await main());
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}`);
  else if (error instanceof Unreachable) console.error(error.message);
  else console.error('The demo has failed:', error instanceof LeveretError ? error.message : error);
  process.exit(error instanceof UsageError ? 2 : 3);
}
