// What `leveret doctor` finds in a topology: what works today and hurts at three in the morning.
// Always: (1) the same findings from a definitions file and from a live broker, which tells of consumers and alerts too; (2) policies count as the arguments they set;
// (3) each finding says what to do. Refuses: to ask anybody or to print: a pure function of JSON.

import { type Fields, isFields } from './api.ts';
import { effectiveArguments, nowhere, type Topology, topologyOf, type VhostTopology } from './topology.ts';

/** What may be found, and what to do about it. A code, once released, keeps its meaning: people ignore them by name. */
export const ADVICE = {
  'queue-without-dlx': 'set dead-letter-exchange by a policy, so that what is rejected or expires is kept for a look',
  'queue-without-limit': 'set max-length, max-length-bytes or message-ttl by a policy: what nobody consumes must not fill the disk',
  'consumer-prefetch-0': 'set a prefetch: without one the consumer is sent the whole queue, and holds it in its memory',
  'consumer-auto-ack': 'consume with acks: what was sent to a consumer that dies is lost',
  'dead-letter-queue-without-alert':
    'set alerts.webhook-url and alerts.dlq-depth in the configuration, or leave this out where Prometheus looks at leveret_alerts_standing',
  'dlx-missing': 'declare the exchange: until then dead letters are dropped',
  'dlx-routes-nowhere': 'bind a queue to the exchange for that key: until then dead letters are dropped',
  'ttl-0': 'raise message-ttl: with 0 a message that no consumer takes at once is gone',
  'exchange-unrouted': 'bind a queue, or give it an alternate-exchange: what is published there is dropped',
} as const;
export type FindingCode = keyof typeof ADVICE;

export interface Finding {
  readonly code: FindingCode;
  readonly vhost: string;
  /** `queue 'orders'` */
  readonly subject: string;
  readonly text: string;
}

/** What a broker tells beside its definitions. */
export interface Told {
  /** The API's list. */
  readonly consumers: readonly Fields[];
  /** The overview's dead_letter_alerts; undefined: it says nothing of them, as RabbitMQ. */
  readonly alerts?: Fields | undefined;
}

/** `definitions`: a file of RabbitMQ's. */
export function lint(definitions: Fields, { consumers, alerts }: Told = { consumers: [] }): Finding[] {
  const topology = topologyOf(definitions);
  return [...lintQueues(topology, unalertedText(alerts)), ...lintExchanges(topology), ...consumers.flatMap(lintConsumer)];
}

/** What to say of a dead-letter queue; undefined: there is an alert, or nobody knows. */
function unalertedText(alerts: Fields | undefined): string | undefined {
  if (alerts === undefined) return undefined;
  const { depth, oldest_ms: oldestMs, growth_per_min: growthPerMin, webhook } = alerts;
  if ([depth, oldestMs, growthPerMin].every((limit) => limit === 0)) return 'holds dead letters, and nothing makes an alert of them';
  return webhook === true ? undefined : 'holds dead letters, and alerts on them are in the metrics alone';
}

function lintQueues(topology: Topology, unalerted: string | undefined): Finding[] {
  const findings: Finding[] = [];
  for (const vhost of topology.values()) {
    const deadLetterQueues = deadLetterQueuesOf(vhost);
    for (const queue of vhost.queues.values()) {
      const found = (code: FindingCode, text: string): void =>
        void findings.push({ code, vhost: vhost.name, subject: `queue '${queue.name}'`, text });
      const args = effectiveArguments(vhost, queue);
      const isLimited = args.has('max-length') || args.has('max-length-bytes');
      const ttl = args.get('message-ttl');
      const dlx = args.get('dead-letter-exchange');
      const isDeadLetterQueue = deadLetterQueues.has(queue.name);
      if (dlx === undefined && !isDeadLetterQueue) found('queue-without-dlx', 'has no dead-letter exchange');
      if (!isLimited && ttl === undefined && queue.type !== 'stream') found('queue-without-limit', 'may grow without limit');
      if (isDeadLetterQueue && unalerted !== undefined) found('dead-letter-queue-without-alert', unalerted);
      if (ttl === 0) found('ttl-0', 'has a message-ttl of 0');
      if (typeof dlx !== 'string') continue;
      const key = args.get('dead-letter-routing-key');
      const why = nowhere(vhost, dlx, typeof key === 'string' ? key : undefined, queue.name);
      if (why === 'missing') found('dlx-missing', `dead-letters to exchange '${dlx}', which is not there`);
      if (why === 'unbound') found('dlx-routes-nowhere', `dead-letters to exchange '${dlx}'${keyText(key)}, which leads to no queue`);
    }
  }
  return findings;
}

/** Queues a dead-letter exchange leads to, by its bindings or by the default exchange. */
function deadLetterQueuesOf(vhost: VhostTopology): Set<string> {
  const names = new Set<string>();
  for (const queue of vhost.queues.values()) {
    const args = effectiveArguments(vhost, queue);
    const [dlx, key] = [args.get('dead-letter-exchange'), args.get('dead-letter-routing-key')];
    if (dlx === '' && typeof key === 'string') names.add(key);
    // An exchange that all kinds of messages go through makes no dead-letter queues of those behind it.
    if (typeof dlx !== 'string' || dlx === '' || /^amq\.(direct|topic|fanout|headers|match)$/.test(dlx)) continue;
    for (const { destination, kind } of vhost.exchanges.get(dlx)?.bindings ?? [])
      if (kind === 'queue' && destination !== queue.name) names.add(destination);
  }
  return names;
}

function lintExchanges(topology: Topology): Finding[] {
  const findings: Finding[] = [];
  for (const vhost of topology.values()) {
    for (const exchange of vhost.exchanges.values()) {
      if (exchange.isPredeclared || exchange.bindings.length > 0) continue;
      if (effectiveArguments(vhost, exchange).has('alternate-exchange')) continue;
      findings.push({
        code: 'exchange-unrouted',
        vhost: vhost.name,
        subject: `exchange '${exchange.name}'`,
        text: 'has no binding and no alternate exchange',
      });
    }
  }
  return findings;
}

function lintConsumer(consumer: Fields): Finding[] {
  const queue = isFields(consumer['queue']) ? consumer['queue'] : {};
  const channel = isFields(consumer['channel_details']) ? consumer['channel_details'] : {};
  const subject = `consumer '${String(consumer['consumer_tag'] ?? '')}' of queue '${String(queue['name'] ?? '')}'`;
  const vhost = String(queue['vhost'] ?? '/');
  const from = typeof channel['connection_name'] === 'string' ? ` (connection ${channel['connection_name']})` : '';
  if (consumer['ack_required'] === false) return [{ code: 'consumer-auto-ack', vhost, subject, text: `acks before it works${from}` }];
  if (consumer['prefetch_count'] !== 0) return [];
  return [{ code: 'consumer-prefetch-0', vhost, subject, text: `has no prefetch${from}` }];
}

const keyText = (key: unknown): string => (typeof key === 'string' ? ` with key '${key}'` : '');
