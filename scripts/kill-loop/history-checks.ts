// What must hold of any history that ends with drained queues, each as one function that answers its complaints; none: it holds.
// Always: (1) linear in the history; (2) only what was sent is taken for done, and only what is known to be on disk for final: what a crash may
// have undone, it may have undone; (3) each is tested with histories that break it (test/support/history-checks.test.ts).
// Refuses: to know how a history came about. checkers.ts has those that look at other things than one queue's events.

import {
  type DeliveryRecord,
  type FlowEvent,
  firstDeliveriesInOrder,
  nothingDeliveredExpired,
  prefetchHolds,
  repeatsSayRedelivered,
} from './checkers.ts';
import type { Attempted, Delivery, History, QueueEvent, QueueHistory } from './history.ts';

export interface Judgement {
  /** When the history ended, for what could expire. */
  readonly untilMs: number;
  /** Every delivery is in the history, and at once: not so where a broker is killed with deliveries on their way. */
  readonly seesAll: boolean;
}

/** All of them, queue by queue. */
export function checkHistory(history: History, { untilMs, seesAll }: Judgement): string[] {
  const byName = new Map(history.queues.map((queue) => [queue.queue, queue]));
  return history.queues.flatMap((queue) => {
    const dead = queue.deadLetters === undefined ? undefined : byName.get(queue.deadLetters);
    const sources = history.queues.filter(({ deadLetters }) => deadLetters === queue.queue);
    const complaints = [
      ...nothingIsLost(queue, dead, untilMs),
      ...nothingIsInvented(queue, sources),
      ...settledStaysGone(queue.events),
      ...heldByOne(queue.events),
      // a move that a crash undid happens again: the second dead letter is a new message
      ...(sources.length > 0 ? [] : returnsSayRedelivered(queue.events)),
      ...drainsOnceInOrder(queue.events),
      ...publishersInOrder(queue.events, seesAll),
      ...prefetchIsKept(queue.events),
      ...countsSurvive(queue.events),
      ...expiredStaysIn(queue.events),
      ...(dead === undefined ? [] : deadLettersAreMoves(queue, dead)),
      ...(seesAll ? [...alarmsHaveCause(queue.events), ...countsAreEarned(queue.events)] : []),
    ];
    return complaints.map((complaint) => `${queue.queue}: ${complaint}`);
  });
}

export interface Counted {
  readonly delivered: number;
  readonly redelivered: number;
  readonly acked: number;
}

interface Fate {
  readonly attempt: Attempted;
  isConfirmed: boolean;
  /** A restart came: a transient message need not have survived it. */
  isExcused: boolean;
  /** The last that was said of it. */
  last: 'nothing' | 'acked' | 'discarded' | 'dropped';
}

function fates(events: readonly QueueEvent[]): Map<string, Fate> {
  const found = new Map<string, Fate>();
  const transient: Fate[] = [];
  for (const event of events) {
    if (event.kind === 'attempt') {
      const fate: Fate = { attempt: event, isConfirmed: false, isExcused: false, last: 'nothing' };
      found.set(event.body, fate);
      if (!event.isPersistent) transient.push(fate);
    } else if (event.kind === 'killed' || event.kind === 'stopped') for (const fate of transient.splice(0)) fate.isExcused = true;
    else if (event.kind === 'confirmed' || event.kind === 'acked' || event.kind === 'discarded' || event.kind === 'dropped') {
      const fate = found.get(event.body);
      if (fate === undefined) continue;
      if (event.kind === 'confirmed') fate.isConfirmed = true;
      else fate.last = event.kind;
    }
  }
  return found;
}

/** What was confirmed is acked at the end, here or, where it died, in the dead-letter queue: delivered is not enough. */
export function nothingIsLost(queue: QueueHistory, dead: QueueHistory | undefined, untilMs: number): string[] {
  const arrived = new Set<string>();
  for (const event of dead?.events ?? [])
    if (event.kind === 'acked' || event.kind === 'discarded' || event.kind === 'dropped') arrived.add(event.body);
  const complaints: string[] = [];
  for (const [body, { attempt, isConfirmed, isExcused, last }] of fates(queue.events)) {
    if (!isConfirmed || isExcused || last === 'acked' || last === 'dropped' || arrived.has(body)) continue;
    if (dead !== undefined && last === 'discarded') complaints.push(`${body} was confirmed, discarded and never dead-lettered: lost`);
    else if (dead !== undefined && attempt.deadlineMs <= untilMs)
      complaints.push(`${body} was confirmed, expired and never dead-lettered: lost`);
    else if (last === 'nothing' && attempt.deadlineMs > untilMs) complaints.push(`${body} was confirmed and never acked: lost`);
  }
  return complaints;
}

/** What comes out was sent, and not refused. A dead-letter queue may also give what its sources were sent. */
export function nothingIsInvented(queue: QueueHistory, sources: readonly QueueHistory[]): string[] {
  const known = new Set<string>();
  for (const { events } of [queue, ...sources]) for (const event of events) if (event.kind === 'attempt') known.add(event.body);
  for (const event of queue.events) if (event.kind === 'refused') known.delete(event.body);
  return deliveries(queue.events)
    .filter(({ body }) => !known.has(body))
    .map(({ body }) => `${body} was delivered and never accepted`);
}

/** What was acked or discarded comes again only where a crash can have undone that; never once it was synced. */
export function settledStaysGone(events: readonly QueueEvent[]): string[] {
  const settled = new Map<string, { how: string; isSynced: boolean; isUndone: boolean }>();
  const open = new Set<string>();
  const complaints: string[] = [];
  for (const event of events) {
    if (event.kind === 'acked' || event.kind === 'discarded' || event.kind === 'dropped') {
      settled.set(event.body, { how: event.kind, isSynced: false, isUndone: false });
      open.add(event.body);
    } else if (event.kind === 'synced') {
      const one = settled.get(event.body);
      if (one !== undefined && !one.isUndone) one.isSynced = true;
    } else if (event.kind === 'killed' || event.kind === 'stopped') {
      for (const body of open) {
        const one = settled.get(body);
        if (one === undefined || one.isSynced) continue;
        // whoever stops in order writes everything first; what is on its way to the dead letters may stay where it was
        if (event.kind === 'stopped' && one.how !== 'discarded') one.isSynced = true;
        else one.isUndone = true;
      }
      open.clear();
    } else if (event.kind === 'delivered') {
      const one = settled.get(event.body);
      if (one === undefined) continue;
      if (one.isSynced) complaints.push(`${event.body} was delivered after it was ${one.how} and that was synced`);
      else if (!one.isUndone) complaints.push(`${event.body} was delivered after it was ${one.how}`);
      settled.delete(event.body);
    }
  }
  return complaints;
}

/** A message is with one consumer at a time. */
export function heldByOne(events: readonly QueueEvent[]): string[] {
  const holders = new Map<string, string>();
  const complaints: string[] = [];
  for (const event of events) {
    if (event.kind === 'delivered') {
      const holder = holders.get(event.body);
      if (holder !== undefined) complaints.push(`${event.body} was delivered to ${event.consumer} while ${holder} held it`);
      holders.set(event.body, event.consumer);
    } else if (event.kind === 'acked' || event.kind === 'returned' || event.kind === 'discarded') holders.delete(event.body);
    else if (event.kind === 'killed' || event.kind === 'stopped') holders.clear();
    else if (event.kind === 'gone') for (const [body, holder] of holders) if (holder === event.consumer) holders.delete(body);
  }
  return complaints;
}

/** Whatever was delivered before says so. */
export function returnsSayRedelivered(events: readonly QueueEvent[]): string[] {
  return repeatsSayRedelivered(deliveries(events));
}

/** In a drain everything comes once, and what one publisher sent comes in the order in which it sent it. */
export function drainsOnceInOrder(events: readonly QueueEvent[]): string[] {
  const attempts = attemptsOf(events);
  const newest = new Map<string, { place: number; body: string }>();
  const seen = new Set<string>();
  const complaints: string[] = [];
  let isDrain = false;
  for (const event of events) {
    if (event.kind === 'drain') isDrain = true;
    if (!isDrain || event.kind !== 'delivered') continue;
    if (seen.has(event.body)) complaints.push(`${event.body} came twice in one drain`);
    seen.add(event.body);
    const found = attempts.get(event.body);
    if (found === undefined) continue;
    const line = `${found.attempt.publisher} ${found.attempt.level}`;
    const before = newest.get(line);
    if (before !== undefined && before.place > found.place)
      complaints.push(`${event.body} was drained after ${before.body}, which was published later`);
    else newest.set(line, { place: found.place, body: event.body });
  }
  return complaints;
}

/**
 * First deliveries of what one publisher sent come in the order in which it sent it. `seesAll`: over all consumers; else, as they may be read at
 * different times, for each.
 */
export function publishersInOrder(events: readonly QueueEvent[], seesAll: boolean): string[] {
  const lines = new Map<string, Delivery[]>();
  for (const delivery of deliveries(events)) {
    const line = seesAll ? '' : delivery.consumer;
    const before = lines.get(line);
    if (before === undefined) lines.set(line, [delivery]);
    else before.push(delivery);
  }
  const attempts = [...attemptsOf(events).values()].map(({ attempt: { body, publisher, level } }) => ({
    body,
    publisher: `${publisher} ${level}`,
    outcome: 'unknown' as const,
  }));
  // who sees one consumer alone knows what came first by its flag
  return [...lines.values()].flatMap((line) => firstDeliveriesInOrder(attempts, line));
}

/** No consumer holds more than its prefetch. */
export function prefetchIsKept(events: readonly QueueEvent[]): string[] {
  const prefetch = new Map<string, number>();
  const flow = events.flatMap((event): FlowEvent[] => {
    if (event.kind === 'opened') prefetch.set(event.consumer, event.prefetch === 0 ? Number.POSITIVE_INFINITY : event.prefetch);
    if (event.kind === 'delivered') return [{ kind: 'deliver', consumer: event.consumer }];
    const isSettle = event.kind === 'acked' || event.kind === 'returned' || event.kind === 'discarded';
    return isSettle ? [{ kind: 'settle', consumer: event.consumer }] : [];
  });
  return prefetchHolds(flow, (consumer) => prefetch.get(consumer) ?? Number.POSITIVE_INFINITY);
}

/** Nothing is delivered later than its time to live allows. */
export function expiredStaysIn(events: readonly QueueEvent[]): string[] {
  const attempts = attemptsOf(events);
  return nothingDeliveredExpired(deliveries(events), (body) => attempts.get(body)?.attempt.deadlineMs ?? Number.POSITIVE_INFINITY);
}

/** Dead-lettering is one step: what the dead-letter queue has given, its source gives no more. */
export function deadLettersAreMoves(queue: QueueHistory, dead: QueueHistory): string[] {
  const moved = new Map<string, number>();
  for (const { body, order } of deliveries(dead.events)) if (!moved.has(body)) moved.set(body, order);
  const killed = dead.events.filter(({ kind }) => kind === 'killed').map(({ order }) => order);
  return deliveries(queue.events)
    .filter(({ body, order }) => {
      const at = moved.get(body);
      // A delivery does not wait for the sync: a crash after it may undo the move.
      return at !== undefined && at < order && !killed.some((kill) => kill > at && kill < order);
    })
    .map(({ body }) => `${body} was delivered after ${dead.queue} had it: in two places`);
}

/** Where every delivery is seen: `redelivered` has a cause. After a crash, and what looks like one, a false alarm is allowed. */
export function alarmsHaveCause(events: readonly QueueEvent[]): string[] {
  const delivered = new Set<string>();
  const complaints: string[] = [];
  let isAllowed = false;
  for (const event of events) {
    if (event.kind === 'killed' || event.kind === 'unmarked') isAllowed = true;
    if (event.kind !== 'delivered') continue;
    if (event.redelivered && !isAllowed && !delivered.has(event.body))
      complaints.push(`${event.body} says redelivered and was never delivered`);
    delivered.add(event.body);
  }
  return complaints;
}

/** Where every delivery is seen: no message counts more failed deliveries than it had deliveries. */
export function countsAreEarned(events: readonly QueueEvent[]): string[] {
  const delivered = new Map<string, number>();
  const complaints: string[] = [];
  for (const { body, deliveryCount } of deliveries(events)) {
    const before = delivered.get(body) ?? 0;
    if (deliveryCount > before) complaints.push(`${body} counts ${deliveryCount} failed deliveries of ${before}`);
    delivered.set(body, before + 1);
  }
  return complaints;
}

/** A count that was sent holds until a crash, one that is on disk for ever. */
export function countsSurvive(events: readonly QueueEvent[]): string[] {
  const counts = new Map<string, { sent: number; synced: number }>();
  const complaints: string[] = [];
  for (const event of events) {
    if (event.kind === 'counted') {
      const count = counts.get(event.body) ?? { sent: 0, synced: 0 };
      counts.set(event.body, count);
      count.sent = Math.max(count.sent, event.deliveryCount);
      if (event.isSynced) count.synced = Math.max(count.synced, event.deliveryCount);
    } else if (event.kind === 'killed') for (const count of counts.values()) count.sent = count.synced;
    else if (event.kind === 'stopped') for (const count of counts.values()) count.synced = count.sent;
    else if (event.kind === 'delivered') {
      const count = counts.get(event.body);
      if (count !== undefined && event.deliveryCount < count.sent)
        complaints.push(`${event.body} counts ${event.deliveryCount} failed deliveries and had ${count.sent}`);
    }
  }
  return complaints;
}

/** What a queue counts since the broker started is what was seen of it since then. Meant for where every answer has arrived. */
export function countersMatch(events: readonly QueueEvent[], { delivered, redelivered, acked }: Counted): string[] {
  const start = events.findLastIndex(({ kind }) => kind === 'killed' || kind === 'stopped');
  const since = events.slice(start + 1);
  const given = deliveries(since);
  const seen: Counted = {
    delivered: given.length,
    redelivered: given.filter((delivery) => delivery.redelivered).length,
    acked: since.filter(({ kind }) => kind === 'acked').length,
  };
  const counted: Counted = { delivered, redelivered, acked };
  return (['delivered', 'redelivered', 'acked'] as const)
    .filter((name) => counted[name] !== seen[name])
    .map((name) => `${name}: ${counted[name]} counted and ${seen[name]} seen`);
}

// One that is written, and one that is ready to be the next.
const WAL_FILES_MORE = 2;

/** A drained broker keeps its newest log files, and nothing that was moved out of them. `log`: numbers of files. */
export function diskAtBaseline(log: { readonly walFiles: number; readonly segments: number }, walFilesMax: number): string[] {
  const complaints: string[] = [];
  if (log.segments > 0) complaints.push(`${log.segments} segments are left of nothing`);
  if (log.walFiles > walFilesMax + WAL_FILES_MORE) complaints.push(`${log.walFiles} log files are left of ${walFilesMax}`);
  return complaints;
}

function deliveries(events: readonly QueueEvent[]): (Delivery & DeliveryRecord)[] {
  return events.filter((event): event is Delivery => event.kind === 'delivered');
}

function attemptsOf(events: readonly QueueEvent[]): Map<string, { attempt: Attempted; place: number }> {
  const attempts = new Map<string, { attempt: Attempted; place: number }>();
  for (const event of events) if (event.kind === 'attempt') attempts.set(event.body, { attempt: event, place: attempts.size });
  return attempts;
}
