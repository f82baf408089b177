// What must hold of any history of a broker, each as one function that answers its complaints; no complaint means it holds.
// Always: (1) linear in the history; (2) knows nothing of how the history came about: a model run, a simulation, a kill loop; (3) is itself
// tested with broken histories (checkers.test.ts): a check that cannot fail is a defect.

import type { QueueSample } from '../../shared/protocol/control.ts';

export interface Attempt {
  /** Unique among attempts. */
  readonly body: string;
  /** Of one publisher; order within it is promised. */
  readonly publisher: string;
  /** Resolved, so stored; refused, so not; never answered, so unknown. */
  readonly outcome: 'confirmed' | 'refused' | 'unknown';
}

export interface DeliveryRecord {
  readonly body: string;
  readonly consumer: string;
  readonly redelivered: boolean;
  readonly atMs: number;
}

/** Jepsen's total-queue: what was confirmed comes out, and nothing else does. Meant for a history that ends with a drained queue. */
export interface TotalQueue {
  readonly lost: string[];
  readonly unexpected: string[];
  /** Allowed where it says `redelivered`. */
  readonly duplicated: string[];
  /** Came out though its confirm never came. Allowed. */
  readonly recovered: string[];
}

export function totalQueue(attempts: readonly Attempt[], deliveries: readonly DeliveryRecord[]): TotalQueue {
  const outcomes = new Map(attempts.map((attempt) => [attempt.body, attempt.outcome]));
  const count = new Map<string, number>();
  for (const { body } of deliveries) count.set(body, (count.get(body) ?? 0) + 1);
  const delivered = [...count.keys()];
  return {
    lost: attempts.filter(({ body, outcome }) => outcome === 'confirmed' && !count.has(body)).map(({ body }) => body),
    unexpected: delivered.filter((body) => !outcomes.has(body) || outcomes.get(body) === 'refused'),
    duplicated: delivered.filter((body) => (count.get(body) ?? 0) > 1),
    recovered: delivered.filter((body) => outcomes.get(body) === 'unknown'),
  };
}

/** The two of its answers that are faults, as complaints. */
export function nothingLostOrInvented(attempts: readonly Attempt[], deliveries: readonly DeliveryRecord[]): string[] {
  const { lost, unexpected } = totalQueue(attempts, deliveries);
  return [
    ...lost.map((body) => `${body} was confirmed and never delivered`),
    ...unexpected.map((body) => `${body} was delivered and never accepted`),
  ];
}

/** The second delivery of a body, and each later one, says `redelivered`. */
export function repeatsSayRedelivered(deliveries: readonly DeliveryRecord[]): string[] {
  const seen = new Set<string>();
  return deliveries.flatMap(({ body, redelivered }) => {
    const repeated = seen.has(body);
    seen.add(body);
    return repeated && !redelivered ? [`${body} was delivered again without saying so`] : [];
  });
}

/** First deliveries from one queue come in the order in which each publisher published. */
export function firstDeliveriesInOrder(attempts: readonly Attempt[], deliveries: readonly DeliveryRecord[]): string[] {
  const places = new Map(attempts.map((attempt, place) => [attempt.body, { publisher: attempt.publisher, place }]));
  const seen = new Set<string>();
  const newest = new Map<string, { place: number; body: string }>();
  const complaints: string[] = [];
  for (const { body, redelivered } of deliveries) {
    const attempt = places.get(body);
    if (attempt === undefined || seen.has(body)) continue;
    seen.add(body);
    // a redelivery may stand for a first delivery that was lost on its way
    if (redelivered) continue;
    const before = newest.get(attempt.publisher);
    if (before !== undefined && before.place > attempt.place)
      complaints.push(`${body} was first delivered after ${before.body}, which was published later`);
    else newest.set(attempt.publisher, { place: attempt.place, body });
  }
  return complaints;
}

export type FlowEvent =
  | { readonly kind: 'deliver' | 'settle'; readonly consumer: string }
  | { readonly kind: 'activate' | 'deactivate' | 'gone'; readonly consumer: string };

/** No consumer ever holds more unacked deliveries than its prefetch. */
export function prefetchHolds(events: readonly FlowEvent[], prefetchOf: (consumer: string) => number): string[] {
  const unacked = new Map<string, number>();
  const complaints: string[] = [];
  for (const { kind, consumer } of events) {
    const now = (unacked.get(consumer) ?? 0) + (kind === 'deliver' ? 1 : kind === 'settle' ? -1 : 0);
    unacked.set(consumer, now);
    if (kind === 'deliver' && now > prefetchOf(consumer)) complaints.push(`${consumer} holds ${now} of ${prefetchOf(consumer)}`);
    if (now < 0) complaints.push(`${consumer} settled more than it was given`);
  }
  return complaints;
}

/** Of a queue with a single active consumer: one at a time is active, and only that one is given messages. */
export function oneActiveConsumer(events: readonly FlowEvent[]): string[] {
  let active: string | undefined;
  const complaints: string[] = [];
  for (const { kind, consumer } of events) {
    if (kind === 'activate') {
      if (active !== undefined && active !== consumer) complaints.push(`${consumer} became active while ${active} was`);
      active = consumer;
    } else if (kind === 'deliver') {
      if (active !== consumer) complaints.push(`${consumer} was given a message while ${active ?? 'nobody'} was active`);
    } else if (kind !== 'settle' && active === consumer) {
      active = undefined;
    }
  }
  return complaints;
}

/** Nothing is delivered later than its time to live allows. */
export function nothingDeliveredExpired(
  deliveries: readonly DeliveryRecord[],
  deadlineOf: (body: string) => number,
  slackMs = 50,
): string[] {
  return deliveries
    .filter(({ body, atMs }) => atMs > deadlineOf(body) + slackMs)
    .map(({ body, atMs }) => `${body} was delivered ${atMs - deadlineOf(body)} ms after it expired`);
}

/** docs/protocol.md: published = acked + expired + deadLettered + dropped + purged + ready + unacked + deadLetterWaiting. */
export function countersBalance({
  queue,
  ready,
  unacked,
  deadLetterWaiting,
  counts,
}: Omit<QueueSample, 'readyBytes' | 'consumers' | 'number'>): string[] {
  const gone = counts.acked + counts.expired + counts.deadLettered + counts.dropped + counts.purged;
  const held = ready + unacked + deadLetterWaiting;
  const complaints: string[] = [];
  if (counts.published !== gone + held) complaints.push(`${queue}: ${counts.published} published, but ${gone} gone and ${held} held`);
  for (const [name, value] of Object.entries({ ready, unacked, deadLetterWaiting, ...counts })) {
    if (!Number.isSafeInteger(value) || value < 0) complaints.push(`${queue}: ${name} is ${value}`);
  }
  return complaints;
}

/** Counters only grow from one sample of a queue to the next. */
export function countersGrow(before: QueueSample, after: QueueSample): string[] {
  if (before.number !== after.number) return [];
  const later = new Map(Object.entries(after.counts));
  return Object.entries(before.counts)
    .filter(([name, value]) => (later.get(name) ?? 0) < value)
    .map(([name, value]) => `${after.queue}: ${name} fell from ${value} to ${later.get(name)}`);
}
