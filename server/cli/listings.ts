// Every list there is, as data: where the HTTP API has it, and which columns it has under the names that rabbitmqctl gives them.
// Always: (1) a column is `name` where the API's field has that name, else `name=field`, a dotted field reaching into objects; (2) `shown` are the columns
// rabbitmqctl shows unasked. Refuses: to ask anything (list.ts does). RabbitMQ differs: columns that no HTTP API tells (an Erlang pid) are not here.

import { type Fields, path } from './api.ts';

export interface Listing {
  /** What it lists, for people. */
  readonly what: string;
  /** vhost: of one, by -p. all: of every vhost. user: of the user who is named. */
  readonly scope: 'vhost' | 'all' | 'user';
  readonly at: (name: string) => string;
  readonly shown: readonly string[];
  readonly columns: readonly string[];
  /** Whether the broker may leave out fields nobody asked for: it knows `columns`, and cuts the list into pages sorted by name. */
  readonly isLong?: boolean;
  /** Whether rows of other vhosts come too, to be left out here. */
  readonly isMixed?: boolean;
  /** A row with fields made of others. */
  readonly read?: (row: Fields) => Fields;
}

const MESSAGE_STATS = ['publish', 'confirm', 'deliver', 'deliver_get', 'get', 'ack', 'redeliver', 'return_unroutable'];
const stats = (names: readonly string[]): string[] => names.map((name) => `message_stats.${name}`);

const queues: Listing = {
  what: 'queues',
  scope: 'vhost',
  at: (vhost) => path('queues', vhost),
  isLong: true,
  shown: ['name', 'messages'],
  columns: [
    ...['name', 'vhost', 'type', 'durable', 'auto_delete', 'exclusive', 'arguments', 'policy', 'operator_policy'],
    ...['effective_policy_definition', 'owner_pid=owner_pid_details.name', 'state', 'node'],
    ...['messages_ready', 'messages_unacknowledged', 'messages', 'messages_ram', 'messages_persistent'],
    ...['message_bytes', 'message_bytes_ready', 'message_bytes_unacknowledged', 'message_bytes_ram', 'message_bytes_persistent'],
    ...['consumers', 'consumer_utilisation', 'consumer_capacity', 'exclusive_consumer_tag', 'single_active_consumer_tag'],
    ...['head_message_timestamp', 'idle_since', 'memory'],
    ...stats(MESSAGE_STATS),
  ],
};

const exchanges: Listing = {
  what: 'exchanges',
  scope: 'vhost',
  at: (vhost) => path('exchanges', vhost),
  isLong: true,
  shown: ['name', 'type'],
  columns: [
    ...['name', 'vhost', 'type', 'durable', 'auto_delete', 'internal', 'arguments', 'policy', 'user_who_performed_action'],
    ...stats(['publish_in', 'publish_out']),
  ],
};

const bindings: Listing = {
  what: 'bindings',
  scope: 'vhost',
  at: (vhost) => path('bindings', vhost),
  shown: ['source_name', 'source_kind', 'destination_name', 'destination_kind', 'routing_key', 'arguments'],
  columns: [
    ...['source_name=source', 'source_kind=_exchange', 'destination_name=destination', 'destination_kind=destination_type'],
    ...['routing_key', 'arguments', 'vhost', 'properties_key'],
  ],
};

const connections: Listing = {
  what: 'connections',
  scope: 'all',
  at: () => path('connections'),
  isLong: true,
  shown: ['user', 'peer_host', 'peer_port', 'state'],
  columns: [
    ...['name', 'user', 'vhost', 'host', 'port', 'peer_host', 'peer_port', 'state', 'channels', 'protocol', 'auth_mechanism'],
    ...['ssl', 'ssl_protocol', 'ssl_cipher', 'ssl_hash', 'peer_cert_subject', 'peer_cert_issuer', 'peer_cert_validity'],
    ...['timeout', 'frame_max', 'channel_max', 'client_properties', 'connected_at', 'user_who_performed_action', 'node'],
    ...['recv_oct', 'recv_cnt', 'send_oct', 'send_cnt', 'send_pend'],
  ],
};

const channels: Listing = {
  what: 'channels',
  scope: 'all',
  at: () => path('channels'),
  isLong: true,
  shown: ['name', 'user', 'consumer_count', 'messages_unacknowledged'],
  columns: [
    ...['name', 'number', 'user', 'vhost', 'transactional', 'confirm', 'connection=connection_details.name', 'state', 'node'],
    ...['consumer_count', 'messages_unacknowledged', 'messages_uncommitted', 'messages_unconfirmed', 'acks_uncommitted'],
    ...['prefetch_count', 'global_prefetch_count'],
    ...stats(MESSAGE_STATS),
  ],
};

const consumers: Listing = {
  what: 'consumers',
  scope: 'vhost',
  at: (vhost) => path('consumers', vhost),
  shown: ['queue_name', 'channel', 'consumer_tag', 'ack_required', 'prefetch_count', 'active', 'arguments'],
  columns: [
    ...['queue_name=queue.name', 'channel=channel_details.name', 'connection=channel_details.connection_name'],
    ...[
      'user=channel_details.user',
      'consumer_tag',
      'ack_required',
      'prefetch_count',
      'exclusive',
      'active',
      'activity_status',
      'arguments',
    ],
  ],
};

const topicPermissions = ['user', 'vhost', 'exchange', 'write', 'read'];
const permissions = ['user', 'vhost', 'configure', 'write', 'read'];
const policy = ['vhost', 'name', 'pattern', 'apply-to', 'definition', 'priority'];
/** Where a glob stands for the pattern, it is shown as one. */
const readPolicy = (row: Fields): Fields => (typeof row['glob'] === 'string' ? { ...row, pattern: `${row['glob']} (glob)` } : row);

export const LISTINGS = {
  list_queues: queues,
  list_exchanges: exchanges,
  list_bindings: bindings,
  list_connections: connections,
  list_channels: channels,
  list_consumers: consumers,
  list_users: { what: 'users', scope: 'all', at: () => path('users'), shown: ['user', 'tags'], columns: ['user=name', 'tags', 'limits'] },
  list_vhosts: {
    what: 'vhosts',
    scope: 'all',
    at: () => path('vhosts'),
    shown: ['name'],
    columns: ['name', 'description', 'tags', 'tracing', 'default_queue_type', 'messages', 'messages_ready', 'messages_unacknowledged'],
  },
  list_permissions: {
    what: 'permissions',
    scope: 'vhost',
    at: (vhost) => path('vhosts', vhost, 'permissions'),
    shown: ['user', 'configure', 'write', 'read'],
    columns: permissions,
  },
  list_user_permissions: {
    what: 'permissions',
    scope: 'user',
    at: (user) => path('users', user, 'permissions'),
    shown: ['vhost', 'configure', 'write', 'read'],
    columns: permissions,
  },
  list_topic_permissions: {
    what: 'topic permissions',
    scope: 'vhost',
    at: (vhost) => path('vhosts', vhost, 'topic-permissions'),
    shown: ['user', 'exchange', 'write', 'read'],
    columns: topicPermissions,
  },
  list_user_topic_permissions: {
    what: 'topic permissions',
    scope: 'user',
    at: (user) => path('users', user, 'topic-permissions'),
    shown: ['vhost', 'exchange', 'write', 'read'],
    columns: topicPermissions,
  },
  list_policies: {
    what: 'policies',
    scope: 'vhost',
    at: (vhost) => path('policies', vhost),
    shown: policy,
    columns: [...policy, 'glob'],
    read: readPolicy,
  },
  list_operator_policies: {
    what: 'operator policies',
    scope: 'vhost',
    at: (vhost) => path('operator-policies', vhost),
    shown: policy,
    columns: [...policy, 'glob'],
    read: readPolicy,
  },
  list_parameters: {
    what: 'parameters',
    scope: 'vhost',
    at: () => path('parameters'),
    isMixed: true,
    shown: ['component', 'name', 'value'],
    columns: ['vhost', 'component', 'name', 'value'],
  },
  list_vhost_limits: {
    what: 'limits',
    scope: 'vhost',
    at: (vhost) => path('vhost-limits', vhost),
    shown: ['vhost', 'value'],
    columns: ['vhost', 'value'],
  },
  list_user_limits: {
    what: 'limits',
    scope: 'user',
    at: (user) => path('user-limits', user),
    shown: ['user', 'value'],
    columns: ['user', 'value'],
  },
} as const satisfies Readonly<Record<string, Listing>>;
