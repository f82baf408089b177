// What a setting is, and what its value may be: the words in which settings.ts and setting-limits.ts list them.
// Always: `about` is what people read, in docs/configuration.md and from `leveret config explain`; a test compares the two.

export interface Setting {
  /** Its name in the file: kebab-case, in a table after a dot. */
  readonly key: string;
  readonly default: SettingValue;
  readonly schema: Schema;
  readonly about: string;
  /** `leveret start` has it as a flag. */
  readonly isFlag: boolean;
  /** Never printed, and never repeated in a complaint. */
  readonly isSecret: boolean;
  /** SIGHUP takes it over. */
  readonly isLive: boolean;
}
export type SettingValue = string | number | boolean | readonly string[];

/** The part of JSON Schema that is needed here. */
export interface Schema {
  readonly type?: 'string' | 'integer' | 'boolean' | 'array';
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly items?: Schema;
}

interface Traits {
  readonly flag?: true;
  readonly secret?: true;
  readonly live?: true;
}

function setting(key: string, value: SettingValue, schema: Schema, about: string, traits: Traits): Setting {
  return {
    key,
    default: value,
    schema,
    about,
    isFlag: traits.flag === true,
    isSecret: traits.secret === true,
    isLive: traits.live === true,
  };
}

export function count(
  key: string,
  value: number,
  [minimum, maximum]: readonly [number, number],
  about: string,
  traits: Traits = {},
): Setting {
  return setting(key, value, { type: 'integer', minimum, maximum }, about, traits);
}

/** With a default that is empty it may be empty. */
export function text(
  key: string,
  value: string,
  about: string,
  traits: Traits & { readonly pattern?: string; readonly maxLength?: number } = {},
): Setting {
  const { pattern, maxLength } = traits;
  const schema: Schema = {
    type: 'string',
    ...(value === '' ? {} : { minLength: 1 }),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(pattern === undefined ? {} : { pattern }),
  };
  return setting(key, value, schema, about, traits);
}

export function list(key: string, pattern: string, about: string, traits: Traits = {}): Setting {
  return setting(key, [], { type: 'array', items: { type: 'string', pattern } }, about, traits);
}

export function choice(key: string, value: string, choices: readonly string[], about: string, traits: Traits = {}): Setting {
  return setting(key, value, { enum: choices }, about, traits);
}

export function flag(key: string, about: string, traits: Traits = {}): Setting {
  return setting(key, false, { type: 'boolean' }, about, traits);
}

/** What its value may be, for people. */
export function typeOf({ schema, key }: Pick<Setting, 'schema' | 'key'>): string {
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'array')
    return `a list of ${key === 'proxies' ? 'addresses and networks such as "10.0.0.0/8"' : 'origins such as "https://example.org"'}`;
  return 'text';
}

export const ENVIRONMENT_PREFIX = 'LEVERET_';

/** The environment variable of a setting. With _FILE behind it, it names a file that holds the value. */
export function variableOf(key: string): string {
  return ENVIRONMENT_PREFIX + key.replace(/[.-]/g, '_').toUpperCase();
}

export function flagOf(key: string): string {
  return `--${key.replace('.', '-')}`;
}
