// What the operator decides: every setting, its default, and what its value may be.
// Always: (1) a setting has one name in all places where it may be said (config-sources.ts): `--http-port`, LEVERET_HTTP_PORT, `http-port`
// (in a table: `limits.connections`, LEVERET_LIMITS_CONNECTIONS); (2) a wrong value is refused with the place where it stands; (3) nothing
// is read after start.

import { Ajv, type ErrorObject } from 'ajv';
import { nearest } from './config-nearest.ts';
import { proxyMatcher } from './proxies.ts';

export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  readonly host: string;
  readonly httpPort: number;
  readonly amqpPort: number;
  /** Opened only where there is a certificate. */
  readonly amqpsPort: number;
  readonly tls: TlsConfig | undefined;
  readonly origins: readonly string[];
  /** Addresses and networks of proxies that speak the PROXY protocol. */
  readonly proxies: readonly string[];
  readonly user: string;
  readonly password: string;
  readonly logLevel: LogLevel;
  /** The data directory; undefined: messages live in memory. */
  readonly dataDir: string | undefined;
  readonly limits: ConfigLimits;
  readonly store: { readonly cacheBytes: number };
}

/** Paths of PEM files. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
  /** Authorities that client certificates are verified against. */
  readonly ca: string | undefined;
  readonly clientCertificate: ClientCertificate;
}
export const CLIENT_CERTIFICATES = ['none', 'ask', 'require'] as const;
export type ClientCertificate = (typeof CLIENT_CERTIFICATES)[number];

export interface ConfigLimits {
  readonly connections: number;
  readonly connectionsPerIp: number;
  readonly connectionsUnauthenticated: number;
  readonly messageBytes: number;
  readonly handles: number;
  readonly heartbeatMs: number;
  readonly drainMs: number;
  readonly memoryBytes: number;
  readonly diskFreeBytes: number;
}

export interface Setting {
  /** Its name in the file: kebab-case, in a table after a dot. */
  readonly key: string;
  readonly default: string | number | boolean | readonly string[];
  readonly schema: object;
}

const count = (least: number, most: number): object => ({ type: 'integer', minimum: least, maximum: most });

/** Every setting there is. docs/configuration.md tells what each is for; a test compares the two. */
export const SETTINGS: readonly Setting[] = [
  { key: 'host', default: '127.0.0.1', schema: { type: 'string', minLength: 1 } },
  { key: 'http-port', default: 15_672, schema: count(0, 65_535) },
  { key: 'amqp-port', default: 5672, schema: count(0, 65_535) },
  { key: 'amqps-port', default: 5671, schema: count(0, 65_535) },
  { key: 'origins', default: [], schema: { type: 'array', items: { type: 'string', pattern: '^(\\*|[a-z][a-z0-9+.-]*://[^/]+)$' } } },
  { key: 'proxies', default: [], schema: { type: 'array', items: { type: 'string', pattern: '^[0-9a-fA-F:.]+(/[0-9]{1,3})?$' } } },
  { key: 'user', default: 'guest', schema: { type: 'string', minLength: 1, maxLength: 255 } },
  { key: 'password', default: 'guest', schema: { type: 'string', minLength: 1 } },
  { key: 'log-level', default: 'info', schema: { enum: LOG_LEVELS } },
  { key: 'data-dir', default: '.leveret', schema: { type: 'string', minLength: 1 } },
  { key: 'memory', default: false, schema: { type: 'boolean' } },
  { key: 'tls.cert', default: '', schema: { type: 'string' } },
  { key: 'tls.key', default: '', schema: { type: 'string' } },
  { key: 'tls.ca', default: '', schema: { type: 'string' } },
  { key: 'tls.client-certificate', default: 'none', schema: { enum: CLIENT_CERTIFICATES } },
  { key: 'limits.connections', default: 10_000, schema: count(1, 1_000_000) },
  { key: 'limits.connections-per-ip', default: 256, schema: count(1, 1_000_000) },
  { key: 'limits.connections-unauthenticated', default: 128, schema: count(1, 1_000_000) },
  // At most half a 64 MiB file of the log; 16 MiB is RabbitMQ's default.
  { key: 'limits.message-bytes', default: 16_777_216, schema: count(1024, 33_554_432) },
  { key: 'limits.handles', default: 2047, schema: count(1, 65_535) },
  { key: 'limits.heartbeat-ms', default: 30_000, schema: count(1000, 3_600_000) },
  { key: 'limits.drain-ms', default: 5000, schema: count(0, 3_600_000) },
  { key: 'limits.memory-bytes', default: 1_073_741_824, schema: count(1_048_576, 2 ** 40) },
  { key: 'limits.disk-free-bytes', default: 1_073_741_824, schema: count(0, 2 ** 50) },
  // 8 MiB is one batch of the log: less could not hold what is being written.
  { key: 'store.cache-bytes', default: 268_435_456, schema: count(8_388_608, 2 ** 40) },
];

export const KEYS: readonly string[] = SETTINGS.map((setting) => setting.key);

export class ConfigError extends Error {
  constructor(where: string, text: string) {
    super(`${where}: ${text}`);
    this.name = 'ConfigError';
  }
}

/** What is said of each setting, and where: in the words of a complaint. */
export type Values = Map<string, { value: unknown; where: string }>;

/** The defaults alone, for embedding; `changes` by setting key. */
export function configOf(changes: Readonly<Record<string, Setting['default'] | undefined>>): Config {
  const values: Values = new Map();
  for (const setting of SETTINGS) {
    values.set(setting.key, { value: changes[setting.key] ?? setting.default, where: setting.key });
  }
  return check(values);
}

export const ENVIRONMENT_PREFIX = 'LEVERET_';

/** The environment variable of a setting. */
export function variableOf(key: string): string {
  return ENVIRONMENT_PREFIX + key.replace(/[.-]/g, '_').toUpperCase();
}

/** Nobody said who the first user is: it is RabbitMQ's well-known one, for this machine only. */
export function isGuest({ user, password }: Config): boolean {
  return user === 'guest' && password === 'guest';
}

/** Refuses what a schema does. */
export function check(values: Values): Config {
  let ajv: Ajv | undefined;
  for (const setting of SETTINGS) {
    const { value, where } = values.get(setting.key) ?? { value: setting.default, where: setting.key };
    if (value === setting.default) continue; // an embedded broker with defaults starts without a validator
    ajv ??= new Ajv({ strict: false, validateSchema: false, meta: false });
    if (!ajv.validate(setting.schema, value)) {
      throw new ConfigError(where, `'${setting.key}' ${complaint(setting, ajv.errors?.[0], value)}`);
    }
  }
  const read = <T>(key: string): T => values.get(key)?.value as T; // checked just above, against the schema that says T
  return {
    host: read('host'),
    httpPort: read('http-port'),
    amqpPort: read('amqp-port'),
    amqpsPort: read('amqps-port'),
    tls: readTls(values, read),
    origins: read('origins'),
    proxies: readProxies(values.get('proxies')?.where ?? 'proxies', read('proxies')),
    user: read('user'),
    password: read('password'),
    logLevel: read('log-level'),
    dataDir: read('memory') ? undefined : read('data-dir'),
    limits: {
      connections: read('limits.connections'),
      connectionsPerIp: read('limits.connections-per-ip'),
      connectionsUnauthenticated: read('limits.connections-unauthenticated'),
      messageBytes: read('limits.message-bytes'),
      handles: read('limits.handles'),
      heartbeatMs: read('limits.heartbeat-ms'),
      drainMs: read('limits.drain-ms'),
      memoryBytes: read('limits.memory-bytes'),
      diskFreeBytes: read('limits.disk-free-bytes'),
    },
    store: { cacheBytes: read('store.cache-bytes') },
  };
}

function readTls(values: Values, read: (key: string) => string): TlsConfig | undefined {
  const [cert, key, ca, asked] = [read('tls.cert'), read('tls.key'), read('tls.ca'), read('tls.client-certificate')];
  const clientCertificate = CLIENT_CERTIFICATES.find((each) => each === asked) ?? 'none';
  const refuse = (setting: string, text: string): ConfigError => new ConfigError(values.get(setting)?.where ?? setting, text);
  if (clientCertificate !== 'none' && ca === '')
    throw refuse('tls.client-certificate', `'tls.client-certificate' ${asked} needs 'tls.ca', the authorities that sign them`);
  if (cert === '' && key === '' && ca === '') return undefined;
  if (cert === '') throw refuse(key === '' ? 'tls.ca' : 'tls.key', "TLS needs 'tls.cert', a certificate in PEM, too");
  if (key === '') throw refuse('tls.cert', "'tls.cert' needs 'tls.key', its private key");
  return { cert, key, ca: ca === '' ? undefined : ca, clientCertificate };
}

function readProxies(where: string, proxies: readonly string[]): readonly string[] {
  try {
    proxyMatcher(proxies);
  } catch {
    throw new ConfigError(where, `'proxies' must hold addresses or networks such as "10.0.0.0/8", not ${JSON.stringify(proxies)}`);
  }
  return proxies;
}

function complaint(setting: Setting, error: ErrorObject | undefined, value: unknown): string {
  const given = setting.key === 'password' ? '' : `, not ${JSON.stringify(value)}`;
  if (error?.keyword === 'enum') {
    const choices: readonly string[] = setting.key === 'log-level' ? LOG_LEVELS : CLIENT_CERTIFICATES;
    const close = typeof value === 'string' ? nearest(value, choices) : undefined;
    return `must be one of ${choices.join(', ')}${given}${close === undefined ? '' : `: did you mean '${close}'?`}`;
  }
  if (typeof setting.default === 'boolean') return `must be true or false${given}`;
  if (error?.keyword === 'pattern')
    return `must hold ${setting.key === 'proxies' ? 'addresses or networks such as "10.0.0.0/8"' : 'origins such as "https://example.org"'}${given}`;
  return `${error?.message ?? 'is wrong'}${given}`;
}
