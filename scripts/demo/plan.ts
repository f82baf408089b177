// The demo's topology and cast as data: exchanges, queues, what reaches which queue, who publishes and who works.
// Always: (1) every webhook reaches at least one queue; (2) `destinations` says, without asking the broker, where a message must go: it is
// the second opinion that the ledger holds against the broker's counters, so it shares no code with the broker's matchers; (3) all names
// start with `demo.`.
//
//   services -> demo.webhooks (topic) -+-> queues
//                                      +-> demo.everything (fanout) -> queues
//                                      +-> demo.exact (direct) -> queues
//                                      +-> demo.traits (headers) -> queues
//   queues -> demo.dead-letters (fanout) -> demo.dead

import type { Area, Webhook } from './payloads.ts';

export const WEBHOOKS = 'demo.webhooks';
export const DEAD_LETTERS = 'demo.dead-letters';
export const DEAD_QUEUE = 'demo.dead';
/** What every name of the demo matches. */
export const DEMO_NAMES = 'demo.*';

export interface ExchangePlan {
  readonly type: 'topic' | 'fanout' | 'direct' | 'headers';
  /** The exchange it is bound to, and the keys that reach it. */
  readonly from?: string;
  readonly keys?: readonly string[];
}

export const EXCHANGES: Readonly<Record<string, ExchangePlan>> = {
  [WEBHOOKS]: { type: 'topic' },
  'demo.everything': { type: 'fanout', from: WEBHOOKS, keys: ['#'] },
  'demo.exact': { type: 'direct', from: WEBHOOKS, keys: ['#'] },
  'demo.traits': { type: 'headers', from: WEBHOOKS, keys: ['#'] },
  [DEAD_LETTERS]: { type: 'fanout' },
};

/** A binding by keys or patterns, by headers, or (a fanout's) by nothing. */
export interface BindingPlan {
  readonly from: string;
  readonly keys?: readonly string[];
  readonly match?: Readonly<Record<string, string | boolean>>;
}

export interface QueuePlan extends BindingPlan {
  readonly maxPriority?: number;
  readonly maxLength?: number;
  readonly ttl?: number;
  readonly deliveryLimit?: number;
  readonly deadLetterExchange?: string;
}

export const QUEUES: Readonly<Record<string, QueuePlan>> = {
  // A pool of two processes.
  'demo.ci': {
    from: WEBHOOKS,
    keys: ['check_run.*', 'check_suite.*', 'workflow_job.*', 'workflow_run.*', 'status.#', 'deployment_status.*'],
  },
  // What somebody waits for goes first.
  'demo.review': {
    from: WEBHOOKS,
    keys: ['pull_request.#', 'pull_request_review.*', 'pull_request_review_comment.*', 'pull_request_review_thread.*'],
    maxPriority: 9,
  },
  // Its worker is flaky: after three attempts a message is a dead letter.
  'demo.release': {
    from: 'demo.exact',
    keys: ['push.none', 'create.none', 'delete.none', 'release.published', 'release.released', 'deployment.created'],
    deliveryLimit: 2,
    deadLetterExchange: DEAD_LETTERS,
  },
  'demo.security': { from: 'demo.traits', match: { 'x-match': 'any', area: 'security', private: true } },
  // Its worker is slow: what waits for more than 400 ms becomes a dead letter.
  'demo.mail': { from: WEBHOOKS, keys: ['#.created', '*.opened'], ttl: 400, deadLetterExchange: DEAD_LETTERS },
  // Here what comes late is worth nothing and expires for good.
  'demo.ticker': { from: 'demo.everything', ttl: 250 },
  // Nobody reads the last 50 events; older ones are dropped.
  'demo.latest': { from: 'demo.everything', maxLength: 50 },
  // Nobody reads this one either, but what its limit pushes out becomes a dead letter.
  'demo.stars': {
    from: WEBHOOKS,
    keys: ['star.*', 'watch.*', 'fork.*', 'public.#', 'sponsorship.*'],
    maxLength: 10,
    deadLetterExchange: DEAD_LETTERS,
  },
  [DEAD_QUEUE]: { from: DEAD_LETTERS },
};

/** One publishing process. */
export interface ServicePlan {
  readonly name: string;
  readonly areas: readonly Area[];
}

export const SERVICES: readonly ServicePlan[] = [
  { name: 'code', areas: ['code', 'review'] },
  { name: 'operations', areas: ['ci', 'security'] },
  { name: 'community', areas: ['planning', 'people'] },
];

/** One consuming process. */
export interface WorkerPlan {
  readonly name: string;
  readonly queue: string;
  readonly concurrency: number;
  /** How long one message takes it. */
  readonly workMs: number;
  /** Share of attempts that throw, and share of messages that it refuses for good. */
  readonly throwShare?: number;
  readonly dropShare?: number;
}

export const WORKERS: readonly WorkerPlan[] = [
  { name: 'ci-1', queue: 'demo.ci', concurrency: 4, workMs: 10 },
  { name: 'ci-2', queue: 'demo.ci', concurrency: 4, workMs: 20 },
  { name: 'review', queue: 'demo.review', concurrency: 1, workMs: 28 },
  { name: 'release', queue: 'demo.release', concurrency: 4, workMs: 20, throwShare: 0.35, dropShare: 0.04 },
  { name: 'security', queue: 'demo.security', concurrency: 2, workMs: 5 },
  { name: 'mail', queue: 'demo.mail', concurrency: 1, workMs: 40 },
  { name: 'ticker', queue: 'demo.ticker', concurrency: 1, workMs: 4 },
  { name: 'dead', queue: DEAD_QUEUE, concurrency: 8, workMs: 0 },
];

/** Queues that are empty when all work is done; the others keep what nobody reads. */
export const WORKED_QUEUES: ReadonlySet<string> = new Set(WORKERS.map((worker) => worker.queue));

/** The queues a published webhook must reach, by the bindings above. */
export function destinations(webhook: Pick<Webhook, 'key' | 'headers'>): string[] {
  return Object.entries(QUEUES)
    .filter(([, queue]) => carries(queue, webhook))
    .map(([name]) => name);
}

function carries({ from, keys, match }: BindingPlan, webhook: Pick<Webhook, 'key' | 'headers'>): boolean {
  if (from === DEAD_LETTERS) return false;
  if (match !== undefined) {
    const fits = ([name, value]: [string, unknown]): boolean => webhook.headers[name] === value;
    const traits = Object.entries(match).filter(([name]) => !name.startsWith('x-'));
    return match['x-match'] === 'any' ? traits.some(fits) : traits.every(fits);
  }
  if (keys === undefined) return true;
  if (EXCHANGES[from]?.type === 'direct') return keys.includes(webhook.key);
  return keys.some((key) => wordsMatch(key.split('.'), webhook.key.split('.')));
}

/** AMQP's topic rule: `*` is one word, `#` is any number of them. */
function wordsMatch(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === '#') return wordsMatch(rest, words) || (words.length > 0 && wordsMatch(pattern, words.slice(1)));
  return words.length > 0 && (first === '*' || first === words[0]) && wordsMatch(rest, words.slice(1));
}
