// Every setting there is, in the order in which docs/configuration.md lists them: its default, what its value may be, and what it is for.
// Always: (1) a setting has one name in all places where it may be said: `--http-port`, LEVERET_HTTP_PORT, `http-port` (in a table:
// `limits.connections`, LEVERET_LIMITS_CONNECTIONS); (2) what nobody sets is what a broker on somebody's own machine needs.
// Refuses: to read values (config-sources.ts) or to judge them (config.ts).

import { choice, count, flag, list, type Setting, text } from './setting.ts';
import { LIMITS } from './setting-limits.ts';

export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const CLIENT_CERTIFICATES = ['none', 'ask', 'require'] as const;
export type ClientCertificate = (typeof CLIENT_CERTIFICATES)[number];

export const PLAIN_WITHOUT_TLS = ['allow', 'warn', 'refuse'] as const;
export type PlainWithoutTls = (typeof PLAIN_WITHOUT_TLS)[number];

const PORT = [0, 65_535] as const;
const ORIGIN = '^(\\*|[a-z][a-z0-9+.-]*://[^/]+)$';
const NETWORK = '^[0-9a-fA-F:.]+(/[0-9]{1,3})?$';
// Keys cross no network unencrypted (identity/key-set.ts).
const KEYS_URL = '^((https://[^\\s/@]+|http://(localhost|127(\\.[0-9]+){3}|\\[::1\\])(:[0-9]+)?)(/[^\\s]*)?)?$';
const HTTP_URL = '^(https?://[^\\s]+)?$';

export const SETTINGS: readonly Setting[] = [
  text('host', '127.0.0.1', 'the address to listen on; 0.0.0.0 for all', { flag: true }),
  count('http-port', 15_672, PORT, 'HTTP: WebSocket at /ws, the API, /health; 0 takes a free one and prints it', { flag: true }),
  count('https-port', 15_671, PORT, 'the same over TLS; opened when there is a `tls.cert`', { flag: true }),
  count('amqp-port', 5672, PORT, 'AMQP 0-9-1 over TCP; 0 takes a free one and prints it', { flag: true }),
  count('amqps-port', 5671, PORT, 'AMQP 0-9-1 over TLS; opened when there is a `tls.cert`', { flag: true }),
  list('origins', ORIGIN, 'origins of pages that may connect, besides the server\'s own; "*" for any'),
  list(
    'proxies',
    NETWORK,
    "addresses and networks of load balancers in front of the AMQP ports: they begin with a PROXY header (version 1 or 2), and the client's address in it counts",
  ),
  text(
    'default-user',
    'guest',
    'the first user, an administrator; guest is made only where there is no user, and may log in from loopback only; with another `host` it is admin instead, with a password that is printed once',
    {
      maxLength: 255,
    },
  ),
  text(
    'default-pass',
    'guest',
    "the first user's password, at every start the one that is set here; better in a file than in a variable, which others may see",
    {
      secret: true,
    },
  ),
  text('default-vhost', '/', 'the vhost that the first user may do everything in; made with that user where it is not there', {
    maxLength: 255,
  }),
  text('definitions', '', "a JSON file in RabbitMQ's format: vhosts, users, policies, queues and the like, imported at each start"),
  choice('log-level', 'info', LOG_LEVELS, 'what is logged to stderr, as JSON lines', { flag: true, live: true }),
  text('data-dir', '.leveret', 'the directory that keeps messages, queues, exchanges and bindings; made when it is not there', {
    flag: true,
  }),
  flag('memory', 'keep everything in memory instead: the end of the process is the end of it', { flag: true }),
  text('tls.cert', '', "the server's certificate chain, a file in PEM", { flag: true, live: true }),
  text('tls.key', '', 'its private key, a file in PEM', { flag: true, live: true }),
  text('tls.ca', '', 'the authorities that client certificates are verified against, a file in PEM', { flag: true, live: true }),
  choice(
    'tls.client-certificate',
    'none',
    CLIENT_CERTIFICATES,
    '`ask` verifies the certificate of a client that has one, which may then log in with EXTERNAL as the user of its common name; `require` lets nobody in without',
    { flag: true },
  ),
  choice(
    'auth.plain-without-tls',
    'warn',
    PLAIN_WITHOUT_TLS,
    'what a password gets that crosses a network unencrypted: `allow`, `warn` in the log, or `refuse`; loopback is exempt',
  ),
  text('jwt.jwks-url', '', 'where the keys are that sign tokens (JWKS); with it a token is accepted in place of a password', {
    pattern: KEYS_URL,
  }),
  text('jwt.issuer', '', 'the `iss` that a token must have'),
  text('jwt.audience', '', 'an `aud` that a token must have; empty: that of `jwt.resource-server-id`'),
  text('jwt.resource-server-id', '', 'what scopes begin with that are meant for this broker, as in RabbitMQ'),
  text('jwt.user-claim', 'sub', "the claim that holds the user's name"),
  count('jwt.leeway-ms', 0, [0, 60_000], 'how far clocks may differ where a token begins and ends'),
  text('alerts.webhook-url', '', 'where alerts on dead-letter queues are posted', { pattern: HTTP_URL, secret: true }),
  text('alerts.secret', '', 'what those posts are signed with (HMAC-SHA-256)', { secret: true }),
  count('alerts.dlq-depth', 1, [0, 2 ** 40], 'messages in a dead-letter queue that make an alert; 0 for never'),
  count('alerts.dlq-oldest-ms', 0, [0, 2 ** 45], 'age of the oldest message in a dead-letter queue that makes an alert; 0 for never'),
  count(
    'alerts.dlq-growth-per-min',
    0,
    [0, 2 ** 40],
    'messages that come to a dead-letter queue within a minute that make an alert; 0 for never',
  ),
  count(
    'metrics.objects-max',
    10_000,
    [0, 10_000_000],
    'queues, exchanges, channels and connections, of each, that one answer of /metrics/per-object shows; the rest is counted',
  ),
  text('audit.file', '', 'a file that every act of an administrator is appended to, as JSON lines; without it they are in the log'),
  ...LIMITS,
  // 8 MiB is one batch of the log: less could not hold what is being written.
  count(
    'store.cache-bytes',
    268_435_456,
    [8_388_608, 2 ** 40],
    'message bytes that a broker with a data directory keeps in memory; what exceeds it is read back from disk',
  ),
];

export const KEYS: readonly string[] = SETTINGS.map((setting) => setting.key);

const byKey = new Map(SETTINGS.map((setting) => [setting.key, setting]));
export function settingOf(key: string): Setting | undefined {
  return byKey.get(key);
}

/** Settings that had another name once. */
export const RENAMED: ReadonlyMap<string, string> = new Map([
  ['user', 'default-user'],
  ['password', 'default-pass'],
]);
