// Where settings are said: a TOML file, the environment, flags.
// Always: (1) a flag beats the environment, the environment beats the file, the file beats the default; (2) an unknown key is refused with
// the file, the line and the nearest key that exists, and every mistake is told at once; (3) where messages are kept is decided by the strongest
// source that says anything about it: `--memory` beats LEVERET_DATA_DIR, but both in one source is a contradiction; (4) LEVERET_X_FILE names
// a file with the value of LEVERET_X (secrets of containers), and both together contradict each other.
// Refuses to guess: there is no implicit file. An unknown LEVERET_* variable only warns: clusters inject LEVERET_PORT and the like.

import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { type Config, ConfigError, DEFAULT, judge, readConfig, type Values } from './config.ts';
import { lineOfKey } from './config-lines.ts';
import { nearest } from './config-nearest.ts';
import { ENVIRONMENT_PREFIX, flagOf, type SettingValue, variableOf } from './setting.ts';
import { KEYS, RENAMED, SETTINGS, settingOf } from './settings.ts';

// Read elsewhere: where the file is, and where the other verbs find a broker.
const FOREIGN_VARIABLES = new Set(['LEVERET_CONFIG', 'LEVERET_URL', 'LEVERET_TEST_VERBOSE']);
const FILE_SUFFIX = '_FILE';
/** RabbitMQ's own, for images that are swapped. Ours beat them. */
const RABBITMQ_VARIABLES: ReadonlyMap<string, string> = new Map([
  ['RABBITMQ_DEFAULT_USER', 'default-user'],
  ['RABBITMQ_DEFAULT_PASS', 'default-pass'],
  ['RABBITMQ_DEFAULT_VHOST', 'default-vhost'],
]);

export interface ConfigSources {
  /** From the command line, by setting key; undefined where not given. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of the TOML file, if one is named. */
  readonly file: string | undefined;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly values: Values;
  /** What looks like a mistake but is not one for sure. */
  readonly warnings: readonly string[];
}

export interface Findings {
  /** One for every setting. Where there are mistakes, some of these are defaults instead. */
  readonly values: Values;
  readonly mistakes: readonly string[];
  readonly warnings: readonly string[];
}

/** Throws ConfigError with all mistakes. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const { values, mistakes, warnings } = inspectConfig(sources);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return { config: readConfig(values), values, warnings };
}

/** What the sources say, with everything that is wrong about it. */
export function inspectConfig(sources: ConfigSources): Findings {
  const [mistakes, warnings]: [string[], string[]] = [[], []];
  const values: Values = new Map();
  for (const setting of SETTINGS) values.set(setting.key, { value: setting.default, where: DEFAULT });
  const layers: Values[] = [];
  if (sources.file !== undefined) layers.push(readFile(sources.file, mistakes));
  layers.push(readEnvironment(sources.environment, mistakes, warnings), readFlags(sources.flags));
  for (const layer of layers) {
    decideWhereToKeep(layer, values, mistakes);
    for (const [key, said] of layer) values.set(key, said);
  }
  judge(values, mistakes);
  return { values, mistakes, warnings };
}

/** A data directory that a stronger source names takes back a weaker one's wish for memory. */
function decideWhereToKeep(layer: Values, values: Values, mistakes: string[]): void {
  const directory = layer.get('data-dir');
  const memory = layer.get('memory');
  if (directory === undefined) return;
  if (memory?.value === true)
    mistakes.push(`${memory.where}: 'memory' keeps no data, so 'data-dir' (${directory.where}) contradicts it: give one of the two`);
  values.set('memory', { value: false, where: directory.where });
}

function readFlags(flags: ConfigSources['flags']): Values {
  const values: Values = new Map();
  for (const [key, given] of Object.entries(flags)) {
    if (given !== undefined) values.set(key, { value: typeof given === 'string' ? fromText(key, given) : given, where: flagOf(key) });
  }
  return values;
}

function readFile(path: string, mistakes: string[]): Values {
  const values: Values = new Map();
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    mistakes.push(`${path}: cannot be read (${codeOf(error)})`);
    return values;
  }
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = 'not TOML'] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    mistakes.push(`${path}:${error.line}:${error.column}: ${what}`);
    return values;
  }
  readTable(table, '', { path, text, mistakes }, values);
  return values;
}

interface Source {
  readonly path: string;
  readonly text: string;
  readonly mistakes: string[];
}

function readTable(table: Readonly<Record<string, unknown>>, prefix: string, source: Source, values: Values): void {
  for (const [name, value] of Object.entries(table)) {
    const key = prefix + name;
    const where = `${source.path}:${lineOfKey(source.text, key)}`;
    if (KEYS.includes(key)) values.set(key, { value, where });
    else if (isTable(value) && KEYS.some((known) => known.startsWith(`${key}.`))) readTable(value, `${key}.`, source, values);
    else source.mistakes.push(`${where}: ${unknownSetting(key)}`);
  }
}

function readEnvironment(environment: ConfigSources['environment'], mistakes: string[], warnings: string[]): Values {
  const values: Values = new Map();
  for (const [variable, key] of RABBITMQ_VARIABLES) {
    const text = environment[variable];
    if (text !== undefined) values.set(key, { value: text, where: variable });
  }
  const variables = new Map(KEYS.map((key) => [variableOf(key), key]));
  const renamed = new Map([...RENAMED].map(([from, to]) => [variableOf(from), variableOf(to)]));
  for (const [variable, text] of Object.entries(environment)) {
    if (text === undefined || !variable.startsWith(ENVIRONMENT_PREFIX) || FOREIGN_VARIABLES.has(variable)) continue;
    const key = variables.get(variable);
    const ofFile = variable.endsWith(FILE_SUFFIX) ? variables.get(variable.slice(0, -FILE_SUFFIX.length)) : undefined;
    if (key !== undefined) values.set(key, { value: fromText(key, text), where: variable });
    else if (ofFile !== undefined) {
      if (environment[variableOf(ofFile)] !== undefined)
        mistakes.push(`${variable}: contradicts ${variableOf(ofFile)}: give one of the two`);
      const value = readValue(variable, text, mistakes);
      if (value !== undefined) values.set(ofFile, { value: fromText(ofFile, value), where: variable });
    } else if (renamed.has(variable)) mistakes.push(`${variable}: its name is ${renamed.get(variable)} now`);
    else {
      const known = nearest(variable, [...variables.keys()]);
      if (known !== undefined) warnings.push(`${variable} is no setting: did you mean ${known}?`);
    }
  }
  return values;
}

/** What a file holds, but for the line break that editors put at its end. */
function readValue(variable: string, path: string, mistakes: string[]): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    mistakes.push(`${variable}: ${path} cannot be read (${codeOf(error)})`);
    return undefined;
  }
}

/** Flags and variables are text; the setting's default says what to make of it. What cannot be made of it stays text, for the schema to refuse. */
function fromText(key: string, text: string): unknown {
  const kind: SettingValue | undefined = settingOf(key)?.default;
  if (typeof kind === 'number') return /^-?\d+$/.test(text) ? Number(text) : text;
  if (typeof kind === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (Array.isArray(kind))
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  return text;
}

/** "no setting ...", with what was probably meant. */
export function unknownSetting(key: string): string {
  const renamed = RENAMED.get(key);
  if (renamed !== undefined) return `no setting '${key}': its name is '${renamed}' now`;
  const known = nearest(key, KEYS);
  return `no setting '${key}'${known === undefined ? '; leveret config explain lists all there are' : `: did you mean '${known}'?`}`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
