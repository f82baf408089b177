// /metrics, /metrics/per-object, /metrics/detailed: which families each shows, and how many objects of a kind.
// Always: (1) asking changes nothing; (2) at most `objectsMax` objects of a kind are shown, the oldest, and leveret_metrics_objects_left_out counts the rest;
// (3) an object is read in one turn, some hundred objects a turn; a queue that goes meanwhile keeps its last values.
// Refuses: passwords: like RabbitMQ's port 15692 it is open to whoever reaches it. It shows names and numbers, no content.

import type { ConnectionView } from '../../broker/connections.ts';
import type { Exchange } from '../../broker/exchange.ts';
import type { Queue } from '../../broker/queue.ts';
import type { Session } from '../../broker/session.ts';
import { CONTENT_TYPE, type Family, labelsOf, render, sample } from './exposition.ts';
import * as node from './node-families.ts';
import * as objects from './object-families.ts';
import type { Shown } from './rows.ts';
import type { MetricsSource } from './source.ts';
import { queuesOf, type Sums, sum } from './sums.ts';

export interface MetricsAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Write one, let others have their turn, take the next: it may stand in the same memory. */
  readonly pieces: Iterable<Uint8Array>;
}

/** Undefined: the path is none of the metrics'. */
export function metricsAnswer(source: MetricsSource, path: string, query: URLSearchParams): MetricsAnswer | undefined {
  const families = familiesOf(source, path.replace(/(?<=.)\/$/, ''), query);
  return families === undefined ? undefined : { status: 200, contentType: CONTENT_TYPE, pieces: render(families) };
}

function familiesOf(source: MetricsSource, path: string, query: URLSearchParams): Steps | undefined {
  if (path === '/metrics') return aggregated(source);
  if (path === '/metrics/per-object') return perObject(source);
  if (path === '/metrics/detailed') return detailed(source, new Set(query.getAll('family')), query.getAll('vhost'));
  return undefined;
}

function* common(source: MetricsSource, sums: Sums): Generator<Family> {
  yield* node.infoFamilies(source);
  yield* node.alarmFamilies(source);
  yield* node.churnFamilies(source, 'rabbitmq_');
  yield* node.processFamilies(source, 'rabbitmq_');
  yield* node.objectCounts(source, sums);
  yield* node.globalFamilies(source, sums);
  yield* objects.trafficSums(source, sums);
  yield* node.leveretFamilies(source, sums);
}

function* aggregated(source: MetricsSource): Steps {
  const sums = yield* sum(source);
  const leftOut = new LeftOut();
  yield* common(source, sums);
  yield* objects.queueSums(sums);
  yield* objects.channelSums(sums);
  yield* objects.connectionSums(source, sums);
  yield* deadLetters(source, () => true, leftOut);
  yield leftOut.family();
}

function* perObject(source: MetricsSource): Steps {
  const leftOut = new LeftOut();
  yield* common(source, yield* sum(source));
  const all = (): boolean => true;
  const ofQueues = [['rabbitmq_', objects.QUEUE_FAMILIES] as const, ['leveret_', objects.OWN_QUEUE_FAMILIES] as const];
  yield* objects.objectFamilies(ofQueues, shownQueues(source, all, leftOut), source);
  yield* objects.objectFamilies([['rabbitmq_', objects.EXCHANGE_FAMILIES]], shownExchanges(source, all, leftOut), source);
  yield* objects.objectFamilies([['rabbitmq_', objects.CHANNEL_FAMILIES]], shownChannels(source, all, leftOut), source);
  yield* objects.objectFamilies([['rabbitmq_', objects.CONNECTION_FAMILIES]], shownConnections(source, all, leftOut), source);
  yield* deadLetters(source, all, leftOut);
  yield leftOut.family();
}

function* detailed(source: MetricsSource, groups: ReadonlySet<string>, vhosts: readonly string[]): Steps {
  const leftOut = new LeftOut();
  const isIn = (vhost: string): boolean => vhosts.length === 0 || vhosts.includes(vhost);
  const asked = <Thing>(families: readonly objects.ObjectFamily<Thing>[]): objects.ObjectFamily<Thing>[] =>
    families.filter(({ group }) => groups.has(group));
  const prefix = 'rabbitmq_detailed_';
  yield* node.infoFamilies(source);
  if (groups.has('connection_churn_metrics')) yield* node.churnFamilies(source, prefix);
  if (groups.has('node_coarse_metrics') || groups.has('node_metrics')) yield* node.processFamilies(source, prefix);
  const [ofQueues, own] = [asked(objects.QUEUE_FAMILIES), asked(objects.OWN_QUEUE_FAMILIES)];
  if (ofQueues.length + own.length > 0) {
    const both = [[prefix, ofQueues] as const, ['leveret_detailed_', own] as const];
    yield* objects.objectFamilies(both, shownQueues(source, isIn, leftOut), source);
  }
  const ofExchanges = asked(objects.EXCHANGE_FAMILIES);
  if (ofExchanges.length > 0) yield* objects.objectFamilies([[prefix, ofExchanges]], shownExchanges(source, isIn, leftOut), source);
  const ofChannels = asked(objects.CHANNEL_FAMILIES);
  if (ofChannels.length > 0) yield* objects.objectFamilies([[prefix, ofChannels]], shownChannels(source, isIn, leftOut), source);
  const ofConnections = asked(objects.CONNECTION_FAMILIES);
  if (ofConnections.length > 0) yield* objects.objectFamilies([[prefix, ofConnections]], shownConnections(source, isIn, leftOut), source);
  if (groups.has('dead_letter_metrics')) yield* deadLetters(source, isIn, leftOut);
  if (groups.has('vhost_status')) yield vhostStatus(source, isIn);
  yield leftOut.family();
}

function vhostStatus({ broker }: MetricsSource, isIn: (vhost: string) => boolean): Family {
  const samples: string[] = [];
  for (const { name } of broker.vhosts.values()) if (isIn(name)) samples.push(sample(labelsOf({ vhost: name }), 1));
  return { name: 'rabbitmq_cluster_vhost_status', type: 'gauge', help: '1: the vhost is running', samples };
}

function deadLetters(source: MetricsSource, isIn: (vhost: string) => boolean, leftOut: LeftOut): Steps {
  const queues: Queue[] = [];
  for (const queue of source.sampler.deadLetterQueues) if (!queue.isDeleted && isIn(queue.vhost.name)) queues.push(queue);
  const things = leftOut.cap('dead_letter_queue', queues, source.objectsMax);
  return objects.objectFamilies([['leveret_', objects.DEAD_LETTER_FAMILIES]], { things, labels: labelsOfQueue, kept }, source);
}

type IsIn = (vhost: string) => boolean;
/** `undefined`: let others have their turn. */
type Steps = Generator<Family | undefined>;

/** Of queues and exchanges, as long as these are there. */
const kept = new WeakMap<object, Uint8Array>();
const labelsOfQueue = ({ vhost, name }: Queue): string => labelsOf({ vhost: vhost.name, queue: name });

function shownQueues(source: MetricsSource, isIn: IsIn, leftOut: LeftOut): Shown<Queue> {
  return { things: leftOut.cap('queue', queuesOf(source, isIn), source.objectsMax), labels: labelsOfQueue, kept };
}

function shownExchanges(source: MetricsSource, isIn: IsIn, leftOut: LeftOut): Shown<Exchange> {
  const found = leftOut.cap('exchange', exchangesOf(source, isIn), source.objectsMax);
  return { ...shown(found, ({ name }, vhost) => labelsOf({ vhost, exchange: name })), kept };
}

function shownChannels(source: MetricsSource, isIn: IsIn, leftOut: LeftOut): Shown<Session> {
  return shown(leftOut.cap('channel', channelsOf(source, isIn), source.objectsMax), (_, channel) => labelsOf({ channel }));
}

function shownConnections(source: MetricsSource, isIn: IsIn, leftOut: LeftOut): Shown<ConnectionView> {
  return shown(leftOut.cap('connection', namedConnections(source, isIn), source.objectsMax), (_, channel) => labelsOf({ channel }));
}

function shown<Thing extends object>(
  found: readonly (readonly [thing: Thing, name: string])[],
  labels: (thing: Thing, name: string) => string,
): Shown<Thing> {
  return { things: found.map(([thing]) => thing), labels: (thing, index) => labels(thing, found[index]?.[1] ?? '') };
}

function* exchangesOf({ broker }: MetricsSource, isIn: IsIn): Generator<readonly [Exchange, string]> {
  for (const { name, exchanges } of broker.vhosts.values())
    if (isIn(name)) for (const exchange of exchanges.values()) yield [exchange, name];
}

function* channelsOf(source: MetricsSource, isIn: IsIn): Generator<readonly [Session, string]> {
  for (const [view, name] of namedConnections(source, isIn))
    for (const [number, session] of view.sessions()) yield [session, `${name} (${number})`];
}

/** Connections in memory share a name, and a series must be one. */
function* namedConnections({ broker }: MetricsSource, isIn: IsIn): Generator<readonly [ConnectionView, string]> {
  const seen = new Map<string, number>();
  for (const view of broker.connections) {
    if (!isIn(view.vhost)) continue;
    const count = (seen.get(view.name) ?? 0) + 1;
    seen.set(view.name, count);
    yield [view, count === 1 ? view.name : `${view.name} #${count}`];
  }
}

/** What is not shown. */
class LeftOut {
  readonly #counts = new Map<string, number>();

  cap<Thing>(kind: string, things: Iterable<Thing>, max: number): Thing[] {
    const shown: Thing[] = [];
    let count = 0;
    for (const thing of things) {
      if (count++ < max) shown.push(thing);
    }
    this.#counts.set(kind, count - shown.length);
    return shown;
  }

  family(): Family {
    return {
      name: 'leveret_metrics_objects_left_out',
      type: 'gauge',
      help: 'Objects that this answer does not show, for it would be too long',
      samples: [...this.#counts].map(([kind, count]) => sample(labelsOf({ kind }), count)),
    };
  }
}
