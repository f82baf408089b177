// The demo's books must be able to fail: a history that balances is damaged by one message at a time, and the ledger must name the queue.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JournalRecord } from '../../scripts/demo/journal.ts';
import { type Ledger, type LedgerInput, type QueueCounts, reckon } from '../../scripts/demo/ledger.ts';
import { parseWebhooks, readWebhooks } from '../../scripts/demo/payloads.ts';
import { destinations, QUEUES } from '../../scripts/demo/plan.ts';

type Fate = 'acked' | 'dead' | 'expired' | 'dropped' | 'waiting';

/** Books that balance: message n of queue q meets fates[q][n]; every dead letter has been looked at. */
function history(fates: readonly (readonly Fate[])[]): { sample: QueueCounts[]; records: JournalRecord[]; deadQueue: string } {
  const records: JournalRecord[] = [];
  const sample = fates.map((of, index) => {
    const queue = `q${index}`;
    of.forEach((fate, number) => {
      const message = `${queue}-${number}`;
      records.push({ did: 'published', message, key: 'a.b', routed: 1, queues: [queue] });
      if (fate === 'acked') records.push({ did: 'acked', queue, message, priority: 0, waitMs: 1 });
      if (fate === 'dead') {
        records.push({ did: 'died', queue, message, reason: 'rejected' });
        records.push({ did: 'acked', queue: 'dead', message, priority: 0, waitMs: 1 });
      }
    });
    const count = (fate: Fate): number => of.filter((one) => one === fate).length;
    return countsOf(queue, of.length, count('acked'), count('dead'), count('expired'), count('dropped'), count('waiting'));
  });
  const dead = sample.reduce((sum, { counts }) => sum + counts.deadLettered, 0);
  return { sample: [...sample, countsOf('dead', dead, dead, 0, 0, 0, 0)], records, deadQueue: 'dead' };
}

function countsOf(
  queue: string,
  published: number,
  acked: number,
  deadLettered: number,
  expired: number,
  dropped: number,
  ready: number,
): QueueCounts {
  return { queue, ready, unacked: 0, deadLetterWaiting: 0, counts: { published, acked, deadLettered, expired, dropped, purged: 0 } };
}

const fate = fc.constantFrom<Fate>('acked', 'dead', 'expired', 'dropped', 'waiting');
const fates = fc.array(fc.array(fate, { maxLength: 20 }), { minLength: 1, maxLength: 4 });
const off = (ledger: Ledger): string[] => ledger.rows.filter((row) => row.problems.length > 0).map((row) => row.queue);

/** The same input without the record at `index`. */
function without(input: LedgerInput, index: number): LedgerInput {
  return { ...input, records: input.records.filter((_, at) => at !== index) };
}

describe('the ledger of the demo', () => {
  it('balances whatever became of the messages, as long as both sides agree', () => {
    fc.assert(
      fc.property(fates, (all) => {
        const ledger = reckon(history(all));
        expect(ledger.problems).toEqual([]);
        expect(off(ledger)).toEqual([]);
        expect(ledger.balanced).toBe(true);
      }),
    );
  });

  it('does not balance when any one line is taken away from the journals', () => {
    fc.assert(
      fc.property(fates, fc.nat(), (all, pick) => {
        const input = history(all);
        fc.pre(input.records.length > 0);
        const index = pick % input.records.length;
        const ledger = reckon(without(input, index));
        expect(ledger.balanced).toBe(false);
        expect(off(ledger).length).toBeGreaterThan(0);
      }),
    );
  });

  it('does not balance when any one counter of the broker is off by one', () => {
    const counters = fc.constantFrom('published', 'acked', 'deadLettered', 'expired', 'dropped', 'purged') satisfies fc.Arbitrary<
      keyof QueueCounts['counts']
    >;
    fc.assert(
      fc.property(fates, fc.nat(), counters, fc.constantFrom(1, -1), (all, pick, counter, by) => {
        const input = history(all);
        const wrong = pick % input.sample.length;
        const sample = input.sample.map((counts, index) => {
          if (index !== wrong) return counts;
          return { ...counts, counts: { ...counts.counts, [counter]: counts.counts[counter] + by } };
        });
        expect(off(reckon({ ...input, sample }))).toContain(input.sample[wrong]?.queue);
      }),
    );
  });

  it('names the queue and both figures when one delivery is taken away', () => {
    const input = history([['acked', 'acked', 'dead'], ['acked']]);
    const index = input.records.findIndex((record) => record.did === 'acked' && record.message === 'q0-1');
    const ledger = reckon(without(input, index));
    expect(off(ledger)).toEqual(['q0']);
    expect(ledger.rows[0]?.problems).toEqual(['counted 2 acks, workers wrote down 1']);
  });

  it('names the message that was acked once too often', () => {
    const input = history([['acked']]);
    const again: JournalRecord = { did: 'acked', queue: 'q0', message: 'q0-0', priority: 0, waitMs: 1 };
    const ledger = reckon({ ...input, records: [...input.records, again] });
    expect(ledger.balanced).toBe(false);
    expect(ledger.rows[0]?.problems).toContain('message q0-0 was acked and acked');
  });

  it('names the message that was delivered in place of another, though the sums agree', () => {
    const input = history([['acked', 'expired']]);
    const records = input.records.map((record) => (record.did === 'acked' ? { ...record, message: 'q9-7' } : record));
    expect(reckon({ ...input, records }).rows[0]?.problems).toEqual(['message q9-7 was acked, never published here']);
  });

  it('does not balance when a publish that was confirmed never reached its queue', () => {
    const input = history([['acked', 'waiting']]);
    const sample = input.sample.map((counts) => (counts.queue === 'q0' ? countsOf('q0', 1, 1, 0, 0, 0, 0) : counts));
    expect(reckon({ ...input, sample }).rows[0]?.problems).toEqual(['took in 1, publishers wrote down 2']);
  });

  it('does not balance when a message went to fewer queues than its bindings name', () => {
    const input = history([['acked']]);
    const records = input.records.map((record) => (record.did === 'published' ? { ...record, routed: 0 } : record));
    const ledger = reckon({ ...input, records });
    expect(ledger.balanced).toBe(false);
    expect(ledger.problems).toEqual(['message q0-0 (a.b) went to 0 queues, its bindings name 1']);
  });

  it('lets dead letters wait to be looked at, but not vanish', () => {
    const seen = history([['dead', 'dead']]);
    const records = seen.records.filter((record) => !(record.message === 'q0-1' && record.did !== 'published'));
    const waiting = seen.sample.map((counts) => (counts.queue === 'dead' ? countsOf('dead', 2, 1, 0, 0, 0, 1) : counts));
    expect(reckon({ ...seen, sample: waiting, records }).balanced).toBe(true);
    const vanished = seen.sample.map((counts) => (counts.queue === 'dead' ? countsOf('dead', 1, 1, 0, 0, 0, 0) : counts));
    expect(off(reckon({ ...seen, sample: vanished, records }))).toEqual(['q0', 'dead']);
  });

  it('counts dead letters by queue and reason', () => {
    const { records, ...rest } = history([['dead', 'dead', 'acked']]);
    expect(reckon({ ...rest, records }).deaths).toEqual([{ queue: 'q0', reason: 'rejected', count: 2 }]);
  });
});

describe('the webhooks of the demo', () => {
  it('are hundreds of real payloads, each with a key of its event and action', () => {
    const webhooks = readWebhooks();
    expect(webhooks.length).toBeGreaterThan(300);
    for (const { event, key, payload } of webhooks) {
      expect(key).toBe(`${event}.${typeof payload['action'] === 'string' ? payload['action'] : 'none'}`);
    }
  });

  it('reach every queue of the plan but the dead letters, and each at least the two fanout queues', () => {
    const reached = readWebhooks().map(destinations);
    expect(new Set(reached.flat())).toEqual(new Set(Object.keys(QUEUES).filter((queue) => queue !== 'demo.dead')));
    for (const queues of reached) expect(queues).toEqual(expect.arrayContaining(['demo.ticker', 'demo.latest']));
  });

  it('are refused in another shape than the package is known to have', () => {
    expect(() => parseWebhooks({})).toThrow('not an array');
    expect(() => parseWebhooks([{ name: 'push' }])).toThrow('entry 0');
    expect(() => parseWebhooks([{ name: 'push', examples: [1] }])).toThrow("an example of 'push'");
  });
});
