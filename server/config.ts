// What the operator decides: every setting, its default, and where it may be said.
// Always: (1) a flag beats the environment, the environment beats the file, the file beats the default; (2) a setting has one name in all
// three: `--http-port`, LEVERET_HTTP_PORT, `http-port` (in a table: `limits.connections`, LEVERET_LIMITS_CONNECTIONS); (3) an unknown key
// or a wrong value is refused with the file, the line and the nearest key that exists; (4) nothing is read after start.
// Refuses to guess: there is no implicit file. An unknown LEVERET_* variable only warns: clusters inject LEVERET_PORT and the like.

import { readFileSync } from 'node:fs';
import { Ajv, type ErrorObject } from 'ajv';
import { parse, TomlError } from 'smol-toml';
import { lineOfKey } from './config-lines.ts';
import { nearest } from './config-nearest.ts';

export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  readonly host: string;
  readonly httpPort: number;
  readonly origins: readonly string[];
  readonly user: string;
  readonly password: string;
  readonly logLevel: LogLevel;
  readonly limits: ConnectionLimits;
}

export interface ConnectionLimits {
  readonly connections: number;
  readonly connectionsPerIp: number;
  readonly connectionsUnauthenticated: number;
  readonly messageBytes: number;
  readonly handles: number;
  readonly heartbeatMs: number;
  readonly drainMs: number;
}

interface Setting {
  /** Its name in the file: kebab-case, in a table after a dot. */
  readonly key: string;
  readonly default: string | number | readonly string[];
  readonly schema: object;
}

const count = (least: number, most: number): object => ({ type: 'integer', minimum: least, maximum: most });

/** Every setting there is. docs/configuration.md tells what each is for; a test compares the two. */
export const SETTINGS: readonly Setting[] = [
  { key: 'host', default: '127.0.0.1', schema: { type: 'string', minLength: 1 } },
  { key: 'http-port', default: 15_672, schema: count(0, 65_535) },
  { key: 'origins', default: [], schema: { type: 'array', items: { type: 'string', pattern: '^(\\*|[a-z][a-z0-9+.-]*://[^/]+)$' } } },
  { key: 'user', default: 'guest', schema: { type: 'string', minLength: 1, maxLength: 255 } },
  { key: 'password', default: 'guest', schema: { type: 'string', minLength: 1 } },
  { key: 'log-level', default: 'info', schema: { enum: LOG_LEVELS } },
  { key: 'limits.connections', default: 10_000, schema: count(1, 1_000_000) },
  { key: 'limits.connections-per-ip', default: 256, schema: count(1, 1_000_000) },
  { key: 'limits.connections-unauthenticated', default: 128, schema: count(1, 1_000_000) },
  // At most half a 64 MiB file of the coming log; 16 MiB is RabbitMQ's default.
  { key: 'limits.message-bytes', default: 16_777_216, schema: count(1024, 33_554_432) },
  { key: 'limits.handles', default: 2047, schema: count(1, 65_535) },
  { key: 'limits.heartbeat-ms', default: 30_000, schema: count(1000, 3_600_000) },
  { key: 'limits.drain-ms', default: 5000, schema: count(0, 3_600_000) },
];

const KEYS = SETTINGS.map((setting) => setting.key);
const ENVIRONMENT_PREFIX = 'LEVERET_';
// Read elsewhere: where the file is, and where the other verbs find a broker.
const FOREIGN_VARIABLES = new Set(['LEVERET_CONFIG', 'LEVERET_URL', 'LEVERET_TEST_VERBOSE']);

export class ConfigError extends Error {
  constructor(where: string, text: string) {
    super(`${where}: ${text}`);
    this.name = 'ConfigError';
  }
}

export interface ConfigSources {
  /** From the command line, by setting key; undefined where not given. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of the TOML file, if one is named. */
  readonly file: string | undefined;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What looks like a mistake but is not one for sure. */
  readonly warnings: readonly string[];
}

type Values = Map<string, { value: unknown; where: string }>;

export function loadConfig(sources: ConfigSources): LoadedConfig {
  const warnings: string[] = [];
  const values: Values = new Map();
  for (const setting of SETTINGS) values.set(setting.key, { value: setting.default, where: 'default' });
  if (sources.file !== undefined) readFile(sources.file, values);
  readEnvironment(sources.environment, values, warnings);
  for (const [key, text] of Object.entries(sources.flags)) {
    if (text !== undefined) values.set(key, { value: fromText(key, text), where: `--${key}` });
  }
  return { config: check(values), warnings };
}

/** The defaults alone, for embedding; `changes` by setting key. */
export function configOf(changes: Readonly<Record<string, string | number | readonly string[] | undefined>>): Config {
  const values: Values = new Map();
  for (const setting of SETTINGS) {
    values.set(setting.key, { value: changes[setting.key] ?? setting.default, where: setting.key });
  }
  return check(values);
}

export function variableOf(key: string): string {
  return ENVIRONMENT_PREFIX + key.replace(/[.-]/g, '_').toUpperCase();
}

function readFile(path: string, values: Values): void {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(path, `cannot be read (${codeOf(error)})`);
  }
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = 'not TOML'] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new ConfigError(`${path}:${error.line}:${error.column}`, what);
  }
  readTable(table, '', { path, text }, values);
}

interface Source {
  readonly path: string;
  readonly text: string;
}

function readTable(table: Readonly<Record<string, unknown>>, prefix: string, source: Source, values: Values): void {
  for (const [name, value] of Object.entries(table)) {
    const key = prefix + name;
    const where = `${source.path}:${lineOfKey(source.text, key)}`;
    if (KEYS.includes(key)) values.set(key, { value, where });
    else if (isTable(value) && KEYS.some((known) => known.startsWith(`${key}.`))) readTable(value, `${key}.`, source, values);
    else throw new ConfigError(where, `no setting '${key}'${didYouMean(key)}`);
  }
}

function readEnvironment(environment: Readonly<Record<string, string | undefined>>, values: Values, warnings: string[]): void {
  const variables = new Map(KEYS.map((key) => [variableOf(key), key]));
  for (const [variable, text] of Object.entries(environment)) {
    if (text === undefined || !variable.startsWith(ENVIRONMENT_PREFIX) || FOREIGN_VARIABLES.has(variable)) continue;
    const key = variables.get(variable);
    if (key !== undefined) values.set(key, { value: fromText(key, text), where: variable });
    else {
      const known = nearest(variable, [...variables.keys()]);
      if (known !== undefined) warnings.push(`${variable} is no setting: did you mean ${known}?`);
    }
  }
}

/** Flags and variables are text; the setting's schema says what to make of it. */
function fromText(key: string, text: string): unknown {
  const setting = SETTINGS.find((candidate) => candidate.key === key);
  if (typeof setting?.default === 'number') return /^-?\d+$/.test(text) ? Number(text) : text;
  if (Array.isArray(setting?.default))
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  return text;
}

function check(values: Values): Config {
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
    origins: read('origins'),
    user: read('user'),
    password: read('password'),
    logLevel: read('log-level'),
    limits: {
      connections: read('limits.connections'),
      connectionsPerIp: read('limits.connections-per-ip'),
      connectionsUnauthenticated: read('limits.connections-unauthenticated'),
      messageBytes: read('limits.message-bytes'),
      handles: read('limits.handles'),
      heartbeatMs: read('limits.heartbeat-ms'),
      drainMs: read('limits.drain-ms'),
    },
  };
}

function complaint(setting: Setting, error: ErrorObject | undefined, value: unknown): string {
  const given = setting.key === 'password' ? '' : `, not ${JSON.stringify(value)}`;
  if (error?.keyword === 'enum') {
    const close = typeof value === 'string' ? nearest(value, LOG_LEVELS) : undefined;
    return `must be one of ${LOG_LEVELS.join(', ')}${given}${close === undefined ? '' : `: did you mean '${close}'?`}`;
  }
  if (error?.keyword === 'pattern') return `must hold origins such as "https://example.org"${given}`;
  return `${error?.message ?? 'is wrong'}${given}`;
}

function didYouMean(key: string): string {
  const known = nearest(key, KEYS);
  return known === undefined ? `; there are ${KEYS.join(', ')}` : `: did you mean '${known}'?`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
