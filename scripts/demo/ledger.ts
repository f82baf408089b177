// The demo's books: what the broker counted against what the client processes wrote down. A pure function of the two.
// A row balances when (1) at the broker, routed in = acked + dead-lettered + expired + dropped + purged + waiting; (2) the publishers' journals
// name as many messages for the queue as it took in; (3) the workers' journals hold exactly the acks it counted, each message once and none
// that was never published to it; (4) what it dead-lettered was seen by the reader of the dead letters, or still waits there.
// The dead-letter queue has no publisher: what it took in is what the others dead-lettered.
// Refuses: tolerance. One message is a row that does not balance.

import type { JournalRecord } from './journal.ts';

/** What the ledger needs of a queue in the broker's sample (docs/protocol.md, "A sample"). */
export interface QueueCounts {
  readonly queue: string;
  readonly ready: number;
  readonly unacked: number;
  readonly deadLetterWaiting: number;
  readonly counts: {
    readonly published: number;
    readonly acked: number;
    readonly deadLettered: number;
    readonly expired: number;
    readonly dropped: number;
    readonly purged: number;
  };
}

export interface LedgerInput {
  readonly sample: readonly QueueCounts[];
  readonly records: readonly JournalRecord[];
  /** Where every dead letter goes. */
  readonly deadQueue: string;
}

export interface LedgerRow {
  readonly queue: string;
  readonly routedIn: number;
  readonly acked: number;
  readonly deadLettered: number;
  readonly expired: number;
  readonly dropped: number;
  readonly waiting: number;
  /** The same by the clients' journals. */
  readonly journalIn: number;
  readonly journalAcked: number;
  readonly journalDied: number;
  /** Why the row does not balance; empty when it does. */
  readonly problems: readonly string[];
}

/** Dead letters by where and why. */
export interface Deaths {
  readonly queue: string;
  readonly reason: string;
  readonly count: number;
}

export interface Ledger {
  readonly rows: readonly LedgerRow[];
  readonly deaths: readonly Deaths[];
  /** What is wrong with a message or a queue that has no row. */
  readonly problems: readonly string[];
  readonly balanced: boolean;
}

/** What the journals say about one queue. */
interface QueueJournal {
  readonly published: Set<string>;
  readonly acked: string[];
  readonly died: string[];
}

export function reckon({ sample, records, deadQueue }: LedgerInput): Ledger {
  const journals = sortByQueue(records);
  const dead = sample.find((counts) => counts.queue === deadQueue);
  const rows = sample.map((counts) => {
    const journal = journals.get(counts.queue) ?? { published: new Set<string>(), acked: [], died: [] };
    return counts.queue === deadQueue ? deadRow(counts, journal, sample, records) : workRow(counts, journal, dead);
  });
  const problems = strayRecords(records, new Set(sample.map((counts) => counts.queue)));
  const balanced = problems.length === 0 && rows.every((row) => row.problems.length === 0);
  return { rows, deaths: countDeaths(records), problems, balanced };
}

function sortByQueue(records: readonly JournalRecord[]): Map<string, QueueJournal> {
  const journals = new Map<string, QueueJournal>();
  const journalOf = (queue: string): QueueJournal => {
    const known = journals.get(queue) ?? { published: new Set<string>(), acked: [], died: [] };
    journals.set(queue, known);
    return known;
  };
  for (const record of records) {
    if (record.did === 'published') for (const queue of record.queues) journalOf(queue).published.add(record.message);
    if (record.did === 'acked') journalOf(record.queue).acked.push(record.message);
    if (record.did === 'died') journalOf(record.queue).died.push(record.message);
  }
  return journals;
}

function workRow(counts: QueueCounts, journal: QueueJournal, dead: QueueCounts | undefined): LedgerRow {
  const { published, acked, deadLettered } = counts.counts;
  const problems = identityProblems(counts);
  if (journal.published.size !== published) problems.push(`took in ${published}, publishers wrote down ${journal.published.size}`);
  if (journal.acked.length !== acked) problems.push(`counted ${acked} acks, workers wrote down ${journal.acked.length}`);
  // Dead letters that nobody has looked at yet wait in the dead-letter queue; until it is empty only a surplus is a fault.
  const unseen = deadLettered - journal.died.length;
  if (unseen < 0 || (unseen > 0 && (dead === undefined || waitingIn(dead) < unseen))) {
    problems.push(`dead-lettered ${deadLettered}, ${journal.died.length} were seen`);
  }
  problems.push(...messageProblems(journal));
  return rowOf(counts, journal.published.size, journal.acked.length, journal.died.length, problems);
}

function deadRow(counts: QueueCounts, journal: QueueJournal, sample: readonly QueueCounts[], records: readonly JournalRecord[]): LedgerRow {
  const problems = identityProblems(counts);
  const sent = sample.reduce((sum, other) => sum + other.counts.deadLettered, 0);
  if (sent !== counts.counts.published) problems.push(`took in ${counts.counts.published}, the queues dead-lettered ${sent}`);
  if (journal.acked.length !== counts.counts.acked)
    problems.push(`counted ${counts.counts.acked} acks, workers wrote down ${journal.acked.length}`);
  const seen = records.filter((record) => record.did === 'died').length;
  if (seen !== journal.acked.length) problems.push(`${journal.acked.length} acked, ${seen} explained by x-death`);
  return rowOf(counts, sent, journal.acked.length, journal.died.length, problems);
}

/** The identity that holds at every instant by the broker's own counters. */
function identityProblems(counts: QueueCounts): string[] {
  const { published, acked, deadLettered, expired, dropped, purged } = counts.counts;
  const accounted = acked + deadLettered + expired + dropped + purged + waitingIn(counts);
  return accounted === published ? [] : [`took in ${published}, accounts for ${accounted}`];
}

function waitingIn(counts: QueueCounts): number {
  return counts.ready + counts.unacked + counts.deadLetterWaiting;
}

/** Message by message: each ends once at most, and only where it was published to. */
function messageProblems(journal: QueueJournal): string[] {
  const problems: string[] = [];
  const ended = new Map<string, string>();
  const end = (message: string, how: string): void => {
    const before = ended.get(message);
    if (before !== undefined) problems.push(`message ${message} was ${before} and ${how}`);
    if (!journal.published.has(message)) problems.push(`message ${message} was ${how}, never published here`);
    ended.set(message, how);
  };
  for (const message of journal.acked) end(message, 'acked');
  for (const message of journal.died) end(message, 'dead-lettered');
  return problems;
}

function rowOf(counts: QueueCounts, journalIn: number, journalAcked: number, journalDied: number, problems: readonly string[]): LedgerRow {
  const { published, acked, deadLettered, expired, dropped, purged } = counts.counts;
  return {
    queue: counts.queue,
    routedIn: published,
    acked,
    deadLettered,
    expired,
    // A purge throws away by hand what a length limit throws away by rule; the demo purges nothing, so one column is enough.
    dropped: dropped + purged,
    waiting: waitingIn(counts),
    journalIn,
    journalAcked,
    journalDied,
    problems,
  };
}

function strayRecords(records: readonly JournalRecord[], known: ReadonlySet<string>): string[] {
  const problems: string[] = [];
  const published = new Set<string>();
  for (const record of records) {
    if (record.did === 'published') {
      if (published.has(record.message)) problems.push(`message ${record.message} was published twice`);
      published.add(record.message);
      if (record.routed !== record.queues.length) {
        problems.push(
          `message ${record.message} (${record.key}) went to ${record.routed} queues, its bindings name ${record.queues.length}`,
        );
      }
    } else if (record.did === 'refused') {
      problems.push(`message ${record.message} was refused: ${record.reason}`);
    } else if (!known.has(record.queue)) {
      problems.push(`the broker has no queue ${record.queue}, where message ${record.message} ${record.did}`);
    }
  }
  return problems;
}

function countDeaths(records: readonly JournalRecord[]): Deaths[] {
  const deaths = new Map<string, Deaths>();
  for (const record of records) {
    if (record.did !== 'died') continue;
    const { queue, reason } = record;
    const name = JSON.stringify([queue, reason]);
    deaths.set(name, { queue, reason, count: (deaths.get(name)?.count ?? 0) + 1 });
  }
  return [...deaths.values()].sort((one, other) => one.queue.localeCompare(other.queue) || other.count - one.count);
}
