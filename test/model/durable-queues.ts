// What a broker must hold, as its clients can know it: every message of every queue, and whether it is sure to be there.
// Always: (1) `sure` messages come, in order, once, whole; `maybe` ones (not confirmed when the broker died, or settled too late before it) may come
// or not, and what happens next decides; (2) a transaction is undecided as one; (3) nothing comes that is neither.
// Refuses: to know the store. Times and limits it takes from the promises of docs: a settle is safe after SETTLE_SAFE_MS.

import type { Arrival } from './durable-broker.ts';

/** Settles are synced within 200 ms; with what the simulated disk takes to write and sync. */
const SETTLE_SAFE_MS = 400;

type Doubt = 'unconfirmed' | 'settled' | 'published' | 'acked';

export interface Entry {
  readonly name: string;
  readonly queue: string;
  readonly body: string;
  readonly isPersistent: boolean;
  /** 0: none. */
  readonly deadline: number;
  readonly publishedAt: number;
  state: 'ready' | 'held' | 'settled' | 'gone';
  /** Why it may not be there; none: it is. A transaction's doubt is shared by all that it did. */
  readonly doubts: Map<Doubt, Group | undefined>;
  isConfirmed: boolean;
  wasDelivered: boolean;
  deliveryCount: number;
  /** A crash came since: counts and the flag may be off. */
  wasCrashed: boolean;
  settledAt: number;
  /** Whose commit publishes, or has acked, this. */
  publishedBy: Group | undefined;
  ackedBy: Group | undefined;
}

/** A transaction whose commit was asked for. */
export interface Group {
  readonly at: number;
  isDone: boolean;
  /** The broker died before the commit was answered: it is told by what is there. */
  isLeftOpen: boolean;
  readonly published: Entry[];
  readonly acked: Entry[];
}

export interface Holding {
  readonly session: number;
  readonly tag: number;
  readonly entry: Entry;
}

export class DurableQueues {
  readonly complaints: string[] = [];
  /** How often each rule was at work. */
  readonly tally = new Map<string, number>();
  /** Durable or not, by name. */
  readonly declared = new Map<string, boolean>();
  holdings: Holding[] = [];
  readonly #queues = new Map<string, Entry[]>();
  names = 0;

  note(rule: string): void {
    this.tally.set(rule, (this.tally.get(rule) ?? 0) + 1);
  }
  entries(queue: string): Entry[] {
    let found = this.#queues.get(queue);
    if (found === undefined) {
      found = [];
      this.#queues.set(queue, found);
    }
    return found;
  }
  get all(): Entry[] {
    return [...this.#queues.values()].flat();
  }

  publish(queue: string, fields: Pick<Entry, 'name' | 'body' | 'isPersistent' | 'deadline' | 'publishedAt'>, group?: Group): Entry {
    const entry: Entry = {
      ...fields,
      queue,
      state: 'ready',
      doubts: new Map(),
      isConfirmed: false,
      wasDelivered: false,
      deliveryCount: 0,
      wasCrashed: false,
      settledAt: 0,
      publishedBy: group,
      ackedBy: undefined,
    };
    this.entries(queue).push(entry);
    group?.published.push(entry);
    return entry;
  }

  confirm(name: string): void {
    this.note('confirmed');
    for (const entry of this.all) if (entry.name === name) entry.isConfirmed = true;
  }

  // What comes out.

  arrive(arrival: Arrival): void {
    const { queue, name, atMs } = arrival;
    const before: Entry[] = [];
    let found: Entry | undefined;
    for (const entry of this.entries(queue)) {
      if (entry.state !== 'ready') continue;
      if (entry.name === name) {
        found = entry;
        break;
      }
      before.push(entry);
    }
    if (name !== undefined && found === undefined) {
      const known = this.entries(queue).find((entry) => entry.name === name);
      this.complaints.push(`${queue}: ${name} came, and ${known === undefined ? 'nobody sent it, or it is over' : `is ${known.state}`}`);
      return;
    }
    for (const entry of before) this.#passedOver(entry, name, atMs);
    if (found === undefined) this.note('got nothing');
    else this.#take(found, arrival);
  }

  #passedOver(entry: Entry, name: string | undefined, atMs: number): void {
    if (entry.state !== 'ready') return; // the one before it told that it is not there
    // a start may find it once more, and lets it expire once more
    if (entry.deadline !== 0 && entry.deadline <= atMs) this.note('expired');
    else if (entry.doubts.size === 0) this.complaints.push(`${entry.queue}: ${entry.name} was passed over for ${name ?? 'nothing'}`);
    else this.#decide(entry, false);
  }

  #take(entry: Entry, arrival: Arrival): void {
    const { atMs, body, redelivered, deliveryCount, isSettled, session, tag } = arrival;
    const complain = (text: string): void => void this.complaints.push(`${entry.queue}: ${entry.name} ${text}`);
    const isAtOnce = entry.deadline === entry.publishedAt && atMs === entry.publishedAt; // TTL 0, and a consumer that is ready
    if (entry.deadline !== 0 && entry.deadline <= atMs && !isAtOnce) complain(`came ${atMs - entry.deadline} ms after it expired`);
    if (body !== entry.body) complain(`has a body of ${body.length}, not of ${entry.body.length}, or another one`);
    if (entry.wasDelivered && !redelivered) complain('came again without saying so');
    if (!entry.wasDelivered && !entry.wasCrashed && redelivered) complain('says redelivered, and never was');
    if (entry.wasCrashed ? deliveryCount > entry.deliveryCount : deliveryCount !== entry.deliveryCount)
      complain(`counts ${deliveryCount} failed deliveries of ${entry.deliveryCount}`);
    if (entry.doubts.size > 0) this.#decide(entry, true);
    if (redelivered) this.note('redelivered');
    entry.deliveryCount = deliveryCount;
    entry.wasDelivered = true;
    entry.wasCrashed = entry.wasCrashed && !redelivered;
    if (isSettled) this.settled(entry, atMs);
    else {
      entry.state = 'held';
      this.holdings.push({ session, tag, entry });
    }
  }

  /** An uncertain one is there, or is not; where that can have one reason alone, it tells of others. What came back from disk stays there. */
  #decide(entry: Entry, isThere: boolean): void {
    this.note(isThere ? 'came back' : 'was lost, and might be');
    const { doubts } = entry;
    const published = doubts.get('published');
    const acked = doubts.get('acked');
    const isTelling = isThere || doubts.size === 1;
    if (isThere) {
      doubts.clear();
      entry.isConfirmed = true;
    } else entry.state = 'gone';
    if (published !== undefined && isTelling) this.#decideGroup(published, isThere);
    if (acked !== undefined && isTelling) this.#decideGroup(acked, !isThere);
  }
  #decideGroup({ published, acked }: Group, isDone: boolean): void {
    this.note(isDone ? 'a transaction came back' : 'a transaction was undone');
    for (const entry of published) {
      if (!entry.doubts.delete('published')) continue;
      if (isDone) entry.isConfirmed = true;
      else entry.state = 'gone';
    }
    for (const entry of acked) if (entry.doubts.delete('acked') && isDone) entry.state = 'gone';
  }

  // What clients do with it.

  settled(entry: Entry, at: number, group?: Group): void {
    entry.state = 'settled';
    entry.settledAt = at;
    entry.ackedBy = group;
    group?.acked.push(entry);
  }
  returned(entry: Entry, isCounted: boolean): void {
    entry.state = 'ready';
    if (isCounted) entry.deliveryCount++;
  }
  release(holding: Holding): void {
    this.holdings = this.holdings.filter((each) => each !== holding);
  }
  sessionGone(session: number): void {
    for (const holding of this.holdings.filter((each) => each.session === session)) {
      this.release(holding);
      this.returned(holding.entry, true);
    }
  }
  committed(group: Group): void {
    if (group.isDone) return;
    group.isDone = true;
    for (const entry of group.published) entry.isConfirmed = true;
  }

  /** How many ready messages a queue may show: what is due may be there still. */
  readyRange(queue: string, atMs: number): { least: number; most: number } {
    const ready = this.entries(queue).filter(({ state }) => state === 'ready');
    const isDue = (deadline: number): boolean => deadline !== 0 && deadline <= atMs;
    return { least: ready.filter(({ doubts, deadline }) => doubts.size === 0 && !isDue(deadline)).length, most: ready.length };
  }

  // Ends of the broker.

  restart(how: 'closed' | 'killed' | 'power', atMs: number): void {
    this.note(how);
    this.holdings = [];
    for (const [queue, isDurable] of this.declared) if (!isDurable) this.declared.delete(queue);
    for (const { publishedBy, ackedBy } of this.all)
      for (const group of [publishedBy, ackedBy]) {
        if (group === undefined || group.isDone || group.isLeftOpen) continue;
        if (how === 'closed' || atMs - group.at > SETTLE_SAFE_MS) this.committed(group);
        else group.isLeftOpen = true;
      }
    for (const [queue, entries] of this.#queues) {
      for (const entry of entries) how === 'closed' ? this.#closed(entry) : this.#crashed(entry, atMs);
      const kept = entries.filter(({ state, isPersistent }) => state !== 'gone' && isPersistent && this.declared.has(queue));
      this.#queues.set(queue, kept);
    }
  }
  #closed(entry: Entry): void {
    if (entry.state === 'held') this.returned(entry, true);
    if (entry.state === 'settled') entry.state = 'gone';
    if (entry.doubts.size === 0) entry.isConfirmed = true;
  }
  #crashed(entry: Entry, atMs: number): void {
    const { state, settledAt, ackedBy } = entry;
    entry.wasCrashed = true;
    if (state === 'gone') return;
    if (state === 'settled') {
      if (ackedBy === undefined ? atMs - settledAt > SETTLE_SAFE_MS : ackedBy.isDone) {
        entry.state = 'gone';
        return;
      }
      this.note('settled just before a crash');
      entry.doubts.set(ackedBy === undefined ? 'settled' : 'acked', ackedBy);
    }
    entry.state = 'ready';
    if (!entry.isConfirmed) entry.doubts.set(entry.publishedBy === undefined ? 'unconfirmed' : 'published', entry.publishedBy);
  }
}
