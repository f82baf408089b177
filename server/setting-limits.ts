// Every limit that an operator can set, with the default that suits most. docs/configuration.md says which limits are fixed, and by what.
// Always: a peer can make nothing grow beyond one of these, or beyond what is fixed there.

import { count, type Setting } from './setting.ts';

const MIB = 1_048_576;

export const LIMITS: readonly Setting[] = [
  count(
    'limits.handshake-ms',
    10_000,
    [100, 600_000],
    'how long a peer may take from its connection to its login or its first HTTP request, and an HTTP request from its first byte to its last',
  ),
  count('limits.tls-handshake-ms', 5000, [100, 600_000], 'how long a TLS handshake may take'),
  count('limits.connections', 10_000, [1, 1_000_000], 'connections at once'),
  count('limits.connections-per-user', 1000, [1, 1_000_000], 'connections at once of one user'),
  count('limits.connections-per-ip', 256, [1, 1_000_000], 'connections at once from one address; loopback is exempt'),
  count('limits.connections-unauthenticated', 128, [1, 1_000_000], 'connections at once that have not logged in'),
  count(
    'limits.auth-failures-per-minute',
    10,
    [1, 1_000_000],
    'failed logins of one user from one address within a minute; then even the right password is refused for that minute; loopback is exempt',
  ),
  count('limits.login-delay-ms', 1000, [0, 60_000], 'how long the answer to a failed login waits'),
  // 4096 is AMQP's frame-min-size; a frame has to fit into one chunk of a send queue (256 KiB).
  count('limits.frame-max', 131_072, [4096, 262_144], 'the largest AMQP frame; a larger one is refused when its header is read'),
  count('limits.frame-max-before-tune', 8192, [4096, 131_072], 'the same before a client has logged in'),
  count('limits.channel-max', 2047, [1, 65_535], 'channels of one AMQP connection'),
  count('limits.amqp-heartbeat-seconds', 60, [0, 65_535], 'the heartbeat that AMQP clients are offered; 0 offers none'),
  count('limits.heartbeat-ms', 30_000, [1000, 3_600_000], 'how often the server pings a WebSocket; a peer silent for twice as long is cut'),
  // At most half a 64 MiB file of the log; 16 MiB is RabbitMQ's default.
  count('limits.message-bytes', 16 * MIB, [1024, 32 * MIB], 'the largest body; a larger one is refused with 406'),
  count('limits.header-bytes', 65_536, [64, 65_536], "a message's header table"),
  count('limits.table-depth', 16, [1, 16], "how deep tables and arrays of a message's headers may nest"),
  count('limits.handles', 2047, [1, 65_535], 'publishers, consumers, taps and statistics subscriptions of one WebSocket connection'),
  count('limits.consumers-per-channel', 1000, [1, 1_000_000], 'consumers of one AMQP channel or WebSocket connection'),
  count('limits.queues-per-vhost', 0, [0, 10_000_000], 'queues of one vhost; 0 for any number'),
  count('limits.bindings-per-queue', 0, [0, 10_000_000], 'bindings of one queue; 0 for any number'),
  count(
    'limits.prefetch',
    1000,
    [1, 65_535],
    'unacked deliveries of a WebSocket consumer that asks for no prefetch of its own; an AMQP one has no limit then, as in RabbitMQ',
  ),
  count(
    'limits.prefetch-max',
    65_535,
    [1, 65_535],
    'the most a WebSocket consumer may ask for; 0, which means no limit, is held to it too',
  ),
  count(
    'limits.unacked-bytes',
    64 * MIB,
    [65_536, 2 ** 40],
    'bytes of unacked deliveries of one channel; above it nothing more is delivered there',
  ),
  count(
    'limits.send-queue-bytes',
    4 * MIB,
    [65_536, 2 ** 30],
    'bytes that wait for one socket; above it nothing more is delivered there, above twice as much nothing more is read from there',
  ),
  count(
    'limits.consumer-timeout-ms',
    1_800_000,
    [1000, 31_536_000_000],
    'how long a delivery may stay unacked before its channel is closed; x-consumer-timeout of a queue beats it',
  ),
  count(
    'limits.delivery-limit',
    20,
    [1, 1_000_000],
    'how often a quorum queue delivers a message again before it is dead; x-delivery-limit of a queue beats it',
  ),
  count('limits.topic-words', 128, [1, 128], "words of a topic exchange's binding key"),
  count('limits.http-body-bytes', 1_000_000, [1024, 2 ** 30], 'the largest body of an HTTP request'),
  count('limits.http-definitions-bytes', 10_000_000, [1024, 2 ** 30], 'the same where definitions are imported'),
  count('limits.http-requests-per-second', 50, [1, 1_000_000], 'requests of one user to the HTTP API within a second; loopback is exempt'),
  count('limits.drain-ms', 5000, [0, 3_600_000], 'how long SIGTERM waits for consumers to settle what they hold'),
  count(
    'limits.memory-bytes',
    1024 * MIB,
    [MIB, 2 ** 40],
    'above this many bytes of messages in memory publishers are held back, until four fifths of it are left; consumers go on',
  ),
  count(
    'limits.memory-percent',
    60,
    [1, 100],
    "the same above this share of the process's memory limit (its container's, else the machine's), by resident set size",
  ),
  count(
    'limits.disk-free-bytes',
    1024 * MIB,
    [0, 2 ** 50],
    'publishers are held back while less than this is free on the disk of `data-dir`; consumers go on',
  ),
];
