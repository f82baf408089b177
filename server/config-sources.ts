// Where settings are said: a TOML file, the environment, flags.
// Always: (1) a flag beats the environment, the environment beats the file, the file beats the default; (2) an unknown key is refused with
// the file, the line and the nearest key that exists; (3) where messages are kept is decided by the strongest source that says anything
// about it: `--memory` beats LEVERET_DATA_DIR, but both in one source is a contradiction.
// Refuses to guess: there is no implicit file. An unknown LEVERET_* variable only warns: clusters inject LEVERET_PORT and the like.

import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { type Config, ConfigError, check, ENVIRONMENT_PREFIX, KEYS, SETTINGS, type Values, variableOf } from './config.ts';
import { lineOfKey } from './config-lines.ts';
import { nearest } from './config-nearest.ts';

// Read elsewhere: where the file is, and where the other verbs find a broker.
const FOREIGN_VARIABLES = new Set(['LEVERET_CONFIG', 'LEVERET_URL', 'LEVERET_TEST_VERBOSE']);

export interface ConfigSources {
  /** From the command line, by setting key; undefined where not given. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of the TOML file, if one is named. */
  readonly file: string | undefined;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What looks like a mistake but is not one for sure. */
  readonly warnings: readonly string[];
}

export function loadConfig(sources: ConfigSources): LoadedConfig {
  const warnings: string[] = [];
  const values: Values = new Map();
  for (const setting of SETTINGS) values.set(setting.key, { value: setting.default, where: 'default' });
  const layers: Values[] = [];
  if (sources.file !== undefined) layers.push(readFile(sources.file));
  layers.push(readEnvironment(sources.environment, warnings), readFlags(sources.flags));
  for (const layer of layers) {
    decideWhereToKeep(layer, values);
    for (const [key, said] of layer) values.set(key, said);
  }
  return { config: check(values), warnings };
}

/** A data directory that a stronger source names takes back a weaker one's wish for memory. */
function decideWhereToKeep(layer: Values, values: Values): void {
  const directory = layer.get('data-dir');
  const memory = layer.get('memory');
  if (directory === undefined) return;
  if (memory?.value === true) {
    throw new ConfigError(memory.where, `'memory' keeps no data, so 'data-dir' (${directory.where}) contradicts it: give one of the two`);
  }
  values.set('memory', { value: false, where: directory.where });
}

function readFlags(flags: ConfigSources['flags']): Values {
  const values: Values = new Map();
  for (const [key, given] of Object.entries(flags)) {
    if (given !== undefined)
      values.set(key, { value: typeof given === 'string' ? fromText(key, given) : given, where: `--${key.replace('.', '-')}` });
  }
  return values;
}

function readFile(path: string): Values {
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
  const values: Values = new Map();
  readTable(table, '', { path, text }, values);
  return values;
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

function readEnvironment(environment: Readonly<Record<string, string | undefined>>, warnings: string[]): Values {
  const values: Values = new Map();
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
  return values;
}

/** Flags and variables are text; the setting's default says what to make of it. What cannot be made of it stays text, for the schema to refuse. */
function fromText(key: string, text: string): unknown {
  const setting = SETTINGS.find((candidate) => candidate.key === key);
  if (typeof setting?.default === 'number') return /^-?\d+$/.test(text) ? Number(text) : text;
  if (typeof setting?.default === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (Array.isArray(setting?.default))
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  return text;
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
