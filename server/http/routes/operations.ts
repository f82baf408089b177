// What runs: overview, the node, connections, channels, consumers.
// Always: who is tagged monitoring or administrator sees every connection, others their own; an administrator closes any, others their own (RabbitMQ).
// Refuses: history; counts are of now.

import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { ConnectionView } from '../../broker/connections.ts';
import { NODE } from '../../broker/names.ts';
import { plainTable } from '../../broker/plain-table.ts';
import type { Session } from '../../broker/session.ts';
import { addCounters, COUNTERS, readCounters } from '../../broker/traffic.ts';
import type { Vhost } from '../../broker/vhost.ts';
import { checkVhost } from '../acting.ts';
import { notFound } from '../http-error.ts';
import { columns, list } from '../listing.ts';
import { messageStats, showConsumer, withRates } from '../queue-view.ts';
import type { Call, DeadLetterAlertSettings, LevelRates, Route } from '../route.ts';
import { seesAll, visibleVhosts } from './vhosts.ts';

/** Whose behaviour this is, for tools that look at it (docs/compatibility.md). */
const COMPATIBLE_VERSION = '4.1.0';

function overview(call: Call): object {
  const { broker, facts } = call;
  let [ready, unacked, queues, exchanges, consumers] = [0, 0, 0, 0, 0];
  const counters = COUNTERS.map(() => 0);
  const vhosts = visibleVhosts(call);
  for (const vhost of vhosts) {
    exchanges += vhost.exchanges.size;
    queues += vhost.queues.size;
    addCounters(broker.totals.retired(vhost.name), counters); // a counter never falls
    for (const queue of vhost.queues.values()) {
      ready += queue.readyCount;
      unacked += queue.unackedCount;
      consumers += queue.consumerCount;
      addCounters(readCounters(queue, []), counters);
    }
  }
  const connections = visibleConnections(call);
  const rates = ratesOf(call, vhosts);
  const levels = { messages: ready + unacked, messages_ready: ready, messages_unacknowledged: unacked };
  return {
    management_version: COMPATIBLE_VERSION,
    rabbitmq_version: COMPATIBLE_VERSION,
    product_name: facts.product,
    product_version: facts.version,
    cluster_name: clusterName(call),
    node: NODE,
    queue_totals: withRates(levels, rates && { rate: (name) => levelRate(rates, name) }),
    object_totals: {
      connections: connections.length,
      channels: connections.flatMap((each) => [...each.sessions()]).length,
      queues,
      exchanges,
      consumers,
    },
    message_stats: { ...messageStats(counters, rates), ...(seesAll(call) ? publisherStats(call) : {}) },
    rates_mode: 'basic',
    disable_stats: false,
    enable_queue_totals: false,
    listeners: facts.listeners().map(({ protocol, host, port }) => ({ node: NODE, protocol, ip_address: host, port })),
    exchange_types: ['direct', 'fanout', 'headers', 'topic'].map((name) => ({ name, enabled: true })),
    statistics_db_event_queue: 0,
    contexts: [],
    ...(facts.deadLetterAlerts === undefined ? {} : { dead_letter_alerts: showAlerts(facts.deadLetterAlerts) }),
  };
}

/** Ours; without the address, which may be secret. */
function showAlerts({ depth, oldestMs, growthPerMin, isSent }: DeadLetterAlertSettings): object {
  return { depth, oldest_ms: oldestMs, growth_per_min: growthPerMin, webhook: isSent };
}

/** Of the vhosts that the caller sees together. */
function ratesOf(call: Call, vhosts: readonly Vhost[]): LevelRates | undefined {
  const { rates } = call;
  if (rates === undefined || seesAll(call)) return rates?.all;
  const tracks = vhosts.map(({ name }) => rates.vhost(name)).filter((track) => track !== undefined);
  const sum = (read: (track: LevelRates) => number): number => tracks.reduce((total, track) => total + read(track), 0);
  return {
    rate: (counter) => sum((track) => track.rate(counter)),
    readyRate: sum(({ readyRate }) => readyRate),
    unackedRate: sum(({ unackedRate }) => unackedRate),
  };
}

/** What publishers sent, each message once: counted for the whole broker, so that it is for those who see all of it. Others see what their queues took. */
function publisherStats({ broker, rates }: Call): object {
  const { publishedCount: publish, unroutableCount } = broker;
  const { confirmed: confirm, returned } = broker.totals;
  return withRates({ publish, confirm, drop_unroutable: unroutableCount - returned, return_unroutable: returned }, rates?.publishers);
}

function levelRate({ readyRate, unackedRate }: LevelRates, name: string): number {
  return (name === 'messages_unacknowledged' ? 0 : readyRate) + (name === 'messages_ready' ? 0 : unackedRate);
}

function clusterName({ broker }: Call): string {
  const name = broker.records.get('global-parameter', ['cluster_name'])?.['value'];
  return typeof name === 'string' ? name : NODE;
}

function node({ broker, facts }: Call): object {
  const { isBlocked } = broker;
  const reason = isBlocked ? broker.alarms.reason : '';
  const memory = facts.memory?.();
  return {
    name: NODE,
    type: 'disc',
    running: true,
    uptime: broker.clock.now() - facts.startedAt,
    mem_alarm: reason.includes('memory'),
    disk_free_alarm: reason.includes('disk'),
    mem_used: memory?.residentBytes ?? 0,
    mem_limit: memory?.alarmBytes ?? 0,
    rates_mode: 'basic',
  };
}

function nodeAt(call: Call): object {
  if (call.path['name'] !== NODE) throw notFound();
  return columns(node(call), call.query);
}

function visibleConnections(call: Call): ConnectionView[] {
  const views = [...call.broker.connections];
  return seesAll(call) ? views : views.filter((view) => view.account.name === call.account.name);
}

function showConnection({ broker }: Call, view: ConnectionView): object {
  return {
    name: view.name,
    node: NODE,
    user: view.account.name,
    vhost: view.vhost,
    protocol: view.protocol,
    state: view.isBlocked ? 'blocked' : broker.isBlocked ? 'blocking' : 'running', // RabbitMQ: blocking until it publishes
    type: 'network',
    peer_host: view.peer.host,
    peer_port: view.peer.port,
    host: view.local.host,
    port: view.local.port,
    ssl: view.isTls,
    auth_mechanism: view.mechanism,
    connected_at: view.connectedAt,
    client_properties: plainTable(view.clientProperties),
    frame_max: view.frameMax,
    channel_max: view.channelMax,
    timeout: view.heartbeatSeconds,
    recv_oct: view.receivedBytes,
    send_oct: view.sentBytes,
    channels: [...view.sessions()].length,
  };
}

interface ChannelOf {
  readonly view: ConnectionView;
  readonly number: number;
  readonly session: Session;
}
const channels = (call: Call): ChannelOf[] =>
  visibleConnections(call).flatMap((view) => [...view.sessions()].map(([number, session]) => ({ view, number, session })));
const channelName = ({ view, number }: ChannelOf): string => `${view.name} (${number})`;

function showChannel(channel: ChannelOf): object {
  const { view, number, session } = channel;
  return {
    name: channelName(channel),
    number,
    node: NODE,
    user: view.account.name,
    vhost: view.vhost,
    state: 'running',
    consumer_count: session.consumerCount,
    global_prefetch_count: session.prefetchCount,
    confirm: session.publishers.hasConfirming,
    messages_unacknowledged: session.unackedCount,
    messages_unconfirmed: session.publishers.unconfirmedCount,
    connection_details: { name: view.name, peer_host: view.peer.host, peer_port: view.peer.port },
  };
}

/** Nothing where the caller may not see the connection. */
function channelDetails(channel: ChannelOf | undefined): object {
  if (channel === undefined) return {};
  const { view, number } = channel;
  const { host, port } = view.peer;
  const of = { connection_name: view.name, peer_host: host, peer_port: port, user: view.account.name, node: NODE };
  return { name: channelName(channel), number, ...of };
}

function consumers(call: Call): unknown {
  const channelOf = new Map(channels(call).map((channel) => [channel.session, channel]));
  const vhosts =
    call.path['vhost'] === undefined ? visibleVhosts(call) : visibleVhosts(call).filter(({ name }) => name === call.path['vhost']);
  const things = vhosts.flatMap((vhost) =>
    [...vhost.queues.values()].flatMap((queue) => [...queue.roster.consumers].map((consumer) => ({ queue, consumer }))),
  );
  const show = ({ queue, consumer }: (typeof things)[number]): object => ({
    ...showConsumer(queue, consumer),
    channel_details: channelDetails(channelOf.get(consumer.session)),
  });
  return list({ things, nameOf: ({ consumer }) => consumer.tag, show }, call);
}

function connectionAt(call: Call): ConnectionView {
  const view = visibleConnections(call).find(({ name }) => name === call.path['name']);
  if (view === undefined) throw notFound();
  return view;
}

const listConnections = (call: Call, views = visibleConnections(call)): unknown =>
  list({ things: views, nameOf: ({ name }) => name, show: (view) => showConnection(call, view) }, call);
const listChannels = (call: Call, things = channels(call)): unknown => list({ things, nameOf: channelName, show: showChannel }, call);

const ofUser = (call: Call): ConnectionView[] => visibleConnections(call).filter(({ account }) => account.name === call.path['user']);

/** Throws 401 unless they are the caller's own, or it is an administrator: monitoring sees the connections of others, and closes none (RabbitMQ 3.10.8). */
function checkMayEnd({ account }: Call, user: string | undefined): void {
  if (user === account.name || account.tags.has('administrator')) return;
  throw new AmqpError(ReplyCode.AccessRefused, 'User not authorised to access object', {
    hint: 'administrators close the connections of others',
  });
}

function end(call: Call): void {
  const view = connectionAt(call);
  checkMayEnd(call, view.account.name);
  view.end(reasonOf(call));
}
function endOfUser(call: Call): void {
  checkMayEnd(call, call.path['user']);
  for (const view of ofUser(call)) view.end(reasonOf(call));
}
const reasonOf = ({ headers }: Call): string => headers.get('x-reason') ?? 'Closed via management plugin';

function inVhost(call: Call): ConnectionView[] {
  checkVhost(call, call.path['vhost'] ?? '');
  return visibleConnections(call).filter(({ vhost }) => vhost === call.path['vhost']);
}

function channelAt(call: Call): object {
  const channel = channels(call).find((each) => channelName(each) === call.path['name']);
  if (channel === undefined) throw notFound();
  return columns(showChannel(channel), call.query);
}

const management = { tag: 'management', right: 'none', method: 'GET' } as const;
export const operationRoutes: readonly Route[] = [
  {
    ...management,
    path: '/api/overview',
    summary: 'The broker in numbers, and what alerts on its dead letters',
    handle: (call) => columns(overview(call), call.query),
  },
  { ...management, path: '/api/cluster-name', summary: 'The name of the cluster', handle: (call) => ({ name: clusterName(call) }) },
  {
    ...management,
    tag: 'monitoring',
    path: '/api/nodes',
    summary: 'The nodes: this one',
    handle: (call) => [columns(node(call), call.query)],
  },
  { ...management, tag: 'monitoring', path: '/api/nodes/{name}', summary: 'This node', handle: nodeAt },
  { ...management, path: '/api/extensions', summary: 'None', handle: () => [] },
  { ...management, path: '/api/feature-flags', summary: 'None: every feature is on', handle: () => [] },
  {
    ...management,
    tag: 'none',
    path: '/api/auth',
    summary: 'How a page would log in: by name and password',
    handle: () => ({ oauth_enabled: false, enable_uaa: false }),
  },
  { ...management, path: '/api/connections', summary: 'Lists connections', handle: (call) => listConnections(call) },
  {
    ...management,
    path: '/api/vhosts/{vhost}/connections',
    right: 'vhost',
    summary: 'Lists the connections to a vhost',
    handle: (call) => listConnections(call, inVhost(call)),
  },
  {
    ...management,
    path: '/api/connections/{name}',
    summary: 'Shows a connection',
    handle: (call) => columns(showConnection(call, connectionAt(call)), call.query),
  },
  {
    ...management,
    method: 'DELETE',
    path: '/api/connections/{name}',
    summary: 'Closes a connection with 320; the header X-Reason says why',
    handle: end,
  },
  {
    ...management,
    path: '/api/connections/{name}/channels',
    summary: 'Lists the channels of a connection',
    handle: (call) =>
      listChannels(
        call,
        channels(call).filter(({ view }) => view.name === call.path['name']),
      ),
  },
  {
    ...management,
    path: '/api/connections/username/{user}',
    summary: 'Lists the connections of a user',
    handle: (call) => listConnections(call, ofUser(call)),
  },
  {
    ...management,
    method: 'DELETE',
    path: '/api/connections/username/{user}',
    summary: 'Closes the connections of a user with 320; the header X-Reason says why',
    handle: endOfUser,
  },
  { ...management, path: '/api/channels', summary: 'Lists channels', handle: (call) => listChannels(call) },
  {
    ...management,
    path: '/api/vhosts/{vhost}/channels',
    right: 'vhost',
    summary: 'Lists the channels in a vhost',
    handle: (call) => {
      const views = inVhost(call);
      return listChannels(
        call,
        channels(call).filter(({ view }) => views.includes(view)),
      );
    },
  },
  { ...management, path: '/api/channels/{name}', summary: 'Shows a channel', handle: channelAt },
  { ...management, path: '/api/consumers', summary: 'Lists consumers', handle: consumers },
  { ...management, right: 'vhost', path: '/api/consumers/{vhost}', summary: 'Lists the consumers in a vhost', handle: consumers },
];
