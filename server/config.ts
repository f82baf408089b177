// What the operator decides, as the program's parts take it.
// Always: (1) a wrong value is refused with the place where it stands, and so are values that contradict each other; (2) every mistake is told,
// not the first alone; (3) nothing is read after start, but what SIGHUP takes over (cli/reload.ts).
// Refuses: to repeat a secret in a complaint.

import { Ajv, type ErrorObject } from 'ajv';
import { nearest } from './config-nearest.ts';
import { proxyMatcher } from './proxies.ts';
import type { Setting, SettingValue } from './setting.ts';
import { CLIENT_CERTIFICATES, type ClientCertificate, type LogLevel, type PlainWithoutTls, SETTINGS } from './settings.ts';

export interface Config {
  readonly host: string;
  readonly httpPort: number;
  /** These two are opened only where there is a certificate. */
  readonly httpsPort: number;
  readonly amqpsPort: number;
  readonly amqpPort: number;
  readonly tls: TlsConfig | undefined;
  readonly origins: readonly string[];
  /** Addresses and networks of proxies that speak the PROXY protocol. */
  readonly proxies: readonly string[];
  readonly defaultUser: DefaultUser;
  readonly plainWithoutTls: PlainWithoutTls;
  /** A file to import at the start. */
  readonly definitions: string | undefined;
  readonly logLevel: LogLevel;
  /** The data directory; undefined: messages live in memory. */
  readonly dataDir: string | undefined;
  readonly jwt: JwtConfig | undefined;
  readonly alerts: AlertsConfig;
  readonly metrics: { readonly objectsMax: number };
  readonly auditFile: string | undefined;
  readonly limits: ConfigLimits;
  readonly store: { readonly cacheBytes: number };
}

export interface DefaultUser {
  readonly name: string;
  readonly password: string;
  readonly vhost: string;
  /** Not guest with the password guest, which everybody knows. */
  readonly isConfigured: boolean;
}

/** Paths of PEM files. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
  /** Authorities that client certificates are verified against. */
  readonly ca: string | undefined;
  readonly clientCertificate: ClientCertificate;
}

export interface JwtConfig {
  readonly jwksUrl: string;
  readonly issuer: string;
  readonly audience: string | undefined;
  readonly resourceServerId: string | undefined;
  readonly userClaim: string;
  readonly leewayMs: number;
}

export interface AlertsConfig {
  readonly webhookUrl: string | undefined;
  readonly secret: string | undefined;
  readonly dlqDepth: number;
  readonly dlqOldestMs: number;
  readonly dlqGrowthPerMin: number;
}

export interface ConfigLimits {
  readonly handshakeMs: number;
  readonly tlsHandshakeMs: number;
  readonly connections: number;
  readonly connectionsPerUser: number;
  readonly connectionsPerIp: number;
  readonly connectionsUnauthenticated: number;
  readonly authFailuresPerMinute: number;
  readonly loginDelayMs: number;
  readonly frameMax: number;
  readonly frameMaxBeforeTune: number;
  readonly channelMax: number;
  readonly amqpHeartbeatSeconds: number;
  readonly heartbeatMs: number;
  readonly messageBytes: number;
  readonly headerBytes: number;
  readonly tableDepth: number;
  readonly handles: number;
  readonly consumersPerChannel: number;
  /** Infinity for any number. */
  readonly queuesPerVhost: number;
  readonly bindingsPerQueue: number;
  readonly prefetch: number;
  readonly prefetchMax: number;
  readonly unackedBytes: number;
  readonly sendQueueBytes: number;
  readonly consumerTimeoutMs: number;
  readonly deliveryLimit: number;
  readonly topicWords: number;
  readonly httpBodyBytes: number;
  readonly httpDefinitionsBytes: number;
  readonly httpRequestsPerSecond: number;
  readonly drainMs: number;
  readonly memoryBytes: number;
  readonly memoryPercent: number;
  readonly diskFreeBytes: number;
}

export class ConfigError extends Error {
  /** All that is wrong, each with its place; the message is the first and how many there are more. */
  readonly mistakes: readonly string[];
  constructor(mistakes: readonly string[]) {
    const more = mistakes.length - 1;
    super(`${mistakes[0]}${more > 0 ? ` (and ${more} more: leveret config check)` : ''}`);
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}

/** What is said of each setting, and where: in the words of a complaint. */
export type Values = Map<string, { readonly value: unknown; readonly where: string }>;
/** The place of a value that nobody has said. */
export const DEFAULT = 'default';

/** The defaults alone, for embedding; `changes` by setting key. Throws ConfigError. */
export function configOf(changes: Readonly<Record<string, SettingValue | undefined>>): Config {
  const values: Values = new Map();
  for (const { key, default: value } of SETTINGS) {
    const change = changes[key];
    values.set(key, change === undefined ? { value, where: DEFAULT } : { value: change, where: key });
  }
  const mistakes: string[] = [];
  judge(values, mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return readConfig(values);
}

/** Adds what is wrong with `values` to `mistakes`. */
export function judge(values: Values, mistakes: string[]): void {
  let ajv: Ajv | undefined;
  for (const setting of SETTINGS) {
    const { value, where } = values.get(setting.key) ?? { value: setting.default, where: DEFAULT };
    // An embedded broker in memory starts without a validator, whose making takes 10 ms.
    if (value === setting.default || (typeof value === 'boolean' && typeof setting.default === 'boolean')) continue;
    ajv ??= new Ajv({ strict: false, validateSchema: false, meta: false });
    if (ajv.validate(setting.schema, value)) continue;
    mistakes.push(`${where}: '${setting.key}' ${complaint(setting, ajv.errors?.[0], value)}`);
    values.set(setting.key, { value: setting.default, where }); // for what is looked into next
  }
  judgeTogether(values, mistakes);
}

/** What is right alone and wrong beside something else. */
function judgeTogether(values: Values, mistakes: string[]): void {
  const said = (key: string): { value: unknown; where: string } => values.get(key) ?? { value: '', where: key };
  const refuse = (key: string, text: string): void => {
    mistakes.push(`${said(key).where}: ${text}`);
  };
  const isEmpty = (key: string): boolean => said(key).value === '';
  const asked = said('tls.client-certificate').value;
  if (asked !== 'none' && isEmpty('tls.ca'))
    refuse('tls.client-certificate', `'tls.client-certificate' ${asked} needs 'tls.ca', the authorities that sign them`);
  if (!isEmpty('tls.cert') && isEmpty('tls.key')) refuse('tls.cert', "'tls.cert' needs 'tls.key', its private key");
  if (isEmpty('tls.cert') && !(isEmpty('tls.key') && isEmpty('tls.ca')))
    refuse(isEmpty('tls.key') ? 'tls.ca' : 'tls.key', "TLS needs 'tls.cert', a certificate in PEM, too");
  if (said('default-user').value !== 'guest' && said('default-pass').where === DEFAULT)
    refuse('default-user', "'default-user' needs 'default-pass', its password: that of guest is known to everybody");
  if (isEmpty('jwt.jwks-url'))
    for (const key of ['jwt.issuer', 'jwt.audience', 'jwt.resource-server-id'])
      if (!isEmpty(key)) refuse(key, `'${key}' needs 'jwt.jwks-url', where the keys are: without it no token is accepted`);
  if (!isEmpty('jwt.jwks-url') && isEmpty('jwt.issuer'))
    refuse('jwt.jwks-url', "'jwt.jwks-url' needs 'jwt.issuer', the `iss` of good tokens: keys may sign for others too");
  if (!isEmpty('jwt.jwks-url') && isEmpty('jwt.audience') && isEmpty('jwt.resource-server-id'))
    refuse('jwt.jwks-url', "'jwt.jwks-url' needs 'jwt.audience' or 'jwt.resource-server-id': else a token for any other service would do");
  if (!isEmpty('alerts.secret') && isEmpty('alerts.webhook-url'))
    refuse('alerts.secret', "'alerts.secret' needs 'alerts.webhook-url', to which alerts are posted");
  const [frameMax, before] = [said('limits.frame-max').value, said('limits.frame-max-before-tune').value];
  if (Number(before) > Number(frameMax))
    refuse('limits.frame-max-before-tune', `'limits.frame-max-before-tune' must be <= 'limits.frame-max', ${frameMax}`);
  const [prefetch, most] = [said('limits.prefetch').value, said('limits.prefetch-max').value];
  if (Number(prefetch) > Number(most)) {
    const key = said('limits.prefetch').where === DEFAULT ? 'limits.prefetch-max' : 'limits.prefetch';
    refuse(key, `'limits.prefetch' (${prefetch}) must be <= 'limits.prefetch-max' (${most})`);
  }
  const proxies = said('proxies').value;
  try {
    if (Array.isArray(proxies)) proxyMatcher(proxies);
  } catch {
    refuse('proxies', `'proxies' must hold addresses or networks such as "10.0.0.0/8", not ${JSON.stringify(proxies)}`);
  }
}

/** Of values that `judge` found nothing wrong with. */
export function readConfig(values: Values): Config {
  const read = <T>(key: string): T => values.get(key)?.value as T; // checked against the schema that says T
  const optional = (key: string): string | undefined => {
    const value = read<string>(key);
    return value === '' ? undefined : value;
  };
  return {
    host: read('host'),
    httpPort: read('http-port'),
    httpsPort: read('https-port'),
    amqpPort: read('amqp-port'),
    amqpsPort: read('amqps-port'),
    tls: readTls(read, optional('tls.ca')),
    origins: read('origins'),
    proxies: read('proxies'),
    defaultUser: {
      name: read('default-user'),
      password: read('default-pass'),
      vhost: read('default-vhost'),
      isConfigured: read('default-user') !== 'guest' || read('default-pass') !== 'guest',
    },
    plainWithoutTls: read('auth.plain-without-tls'),
    definitions: optional('definitions'),
    logLevel: read('log-level'),
    dataDir: read('memory') ? undefined : read('data-dir'),
    jwt: readJwt(read, optional),
    alerts: {
      webhookUrl: optional('alerts.webhook-url'),
      secret: optional('alerts.secret'),
      dlqDepth: read('alerts.dlq-depth'),
      dlqOldestMs: read('alerts.dlq-oldest-ms'),
      dlqGrowthPerMin: read('alerts.dlq-growth-per-min'),
    },
    metrics: { objectsMax: read('metrics.objects-max') },
    auditFile: optional('audit.file'),
    limits: readLimits((key) => read(`limits.${key}`)),
    store: { cacheBytes: read('store.cache-bytes') },
  };
}

function readTls(read: (key: string) => string, ca: string | undefined): TlsConfig | undefined {
  const [cert, key, asked] = [read('tls.cert'), read('tls.key'), read('tls.client-certificate')];
  if (cert === '') return undefined;
  return { cert, key, ca, clientCertificate: CLIENT_CERTIFICATES.find((each) => each === asked) ?? 'none' };
}

function readJwt(read: <T>(key: string) => T, optional: (key: string) => string | undefined): JwtConfig | undefined {
  const jwksUrl = optional('jwt.jwks-url');
  if (jwksUrl === undefined) return undefined;
  return {
    jwksUrl,
    issuer: read('jwt.issuer'),
    audience: optional('jwt.audience'),
    resourceServerId: optional('jwt.resource-server-id'),
    userClaim: read('jwt.user-claim'),
    leewayMs: read('jwt.leeway-ms'),
  };
}

function readLimits(read: (key: string) => number): ConfigLimits {
  const orAny = (key: string): number => read(key) || Number.POSITIVE_INFINITY;
  return {
    handshakeMs: read('handshake-ms'),
    tlsHandshakeMs: read('tls-handshake-ms'),
    connections: read('connections'),
    connectionsPerUser: read('connections-per-user'),
    connectionsPerIp: read('connections-per-ip'),
    connectionsUnauthenticated: read('connections-unauthenticated'),
    authFailuresPerMinute: read('auth-failures-per-minute'),
    loginDelayMs: read('login-delay-ms'),
    frameMax: read('frame-max'),
    frameMaxBeforeTune: read('frame-max-before-tune'),
    channelMax: read('channel-max'),
    amqpHeartbeatSeconds: read('amqp-heartbeat-seconds'),
    heartbeatMs: read('heartbeat-ms'),
    messageBytes: read('message-bytes'),
    headerBytes: read('header-bytes'),
    tableDepth: read('table-depth'),
    handles: read('handles'),
    consumersPerChannel: read('consumers-per-channel'),
    queuesPerVhost: orAny('queues-per-vhost'),
    bindingsPerQueue: orAny('bindings-per-queue'),
    prefetch: read('prefetch'),
    prefetchMax: read('prefetch-max'),
    unackedBytes: read('unacked-bytes'),
    sendQueueBytes: read('send-queue-bytes'),
    consumerTimeoutMs: read('consumer-timeout-ms'),
    deliveryLimit: read('delivery-limit'),
    topicWords: read('topic-words'),
    httpBodyBytes: read('http-body-bytes'),
    httpDefinitionsBytes: read('http-definitions-bytes'),
    httpRequestsPerSecond: read('http-requests-per-second'),
    drainMs: read('drain-ms'),
    memoryBytes: read('memory-bytes'),
    memoryPercent: read('memory-percent'),
    diskFreeBytes: read('disk-free-bytes'),
  };
}

function complaint(setting: Setting, error: ErrorObject | undefined, value: unknown): string {
  const isShown = !setting.isSecret && !(typeof value === 'string' && /[@?]/.test(value)); // a URL may hold a password or a token
  const given = isShown ? `, not ${JSON.stringify(value)}` : '';
  const choices = setting.schema.enum;
  if (choices !== undefined) {
    const close = typeof value === 'string' ? nearest(value, choices) : undefined;
    return `must be one of ${choices.join(', ')}${given}${close === undefined ? '' : `: did you mean '${close}'?`}`;
  }
  if (typeof setting.default === 'boolean') return `must be true or false${given}`;
  if (error?.keyword !== 'pattern') return `${error?.message ?? 'is wrong'}${given}`;
  if (setting.key === 'proxies') return `must hold addresses or networks such as "10.0.0.0/8"${given}`;
  if (setting.key === 'origins') return `must hold origins such as "https://example.org"${given}`;
  if (setting.key === 'jwt.jwks-url')
    return `must be a URL that begins with https://, or with http:// on a loopback address, and holds no user or password${given}`;
  return `must be a URL that begins with http:// or https://${given}`;
}
