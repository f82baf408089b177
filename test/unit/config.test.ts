// Configuration: which source wins, and what a mistake gets.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type Config, ConfigError, configOf, SETTINGS, variableOf } from '../../server/config.ts';
import { lineOfKey } from '../../server/config-lines.ts';
import { editDistance, nearest } from '../../server/config-nearest.ts';
import { loadConfig } from '../../server/config-sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'leveret-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'leveret.toml');

function load(text: string | undefined, environment: Record<string, string> = {}, flags: Record<string, string | boolean> = {}): Config {
  if (text !== undefined) writeFileSync(file, text);
  return loadConfig({ file: text === undefined ? undefined : file, environment, flags }).config;
}
function complaint(
  text: string | undefined,
  environment: Record<string, string> = {},
  flags: Record<string, string | boolean> = {},
): string {
  try {
    load(text, environment, flags);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return String(error).replace('ConfigError: ', '').replace(`${folder}/`, '');
  }
  throw new Error('was accepted');
}

test('without any source every setting has its default', () => {
  expect(load(undefined)).toMatchObject({
    host: '127.0.0.1',
    httpPort: 15_672,
    user: 'guest',
    limits: { connections: 10_000, messageBytes: 16_777_216 },
  });
});

test('a flag beats the environment, the environment beats the file, the file beats the default', () => {
  const text = 'http-port = 1\nhost = "::1"\n[limits]\nhandles = 7\n';
  expect(load(text)).toMatchObject({ httpPort: 1, host: '::1', limits: { handles: 7, connections: 10_000 } });
  expect(load(text, { LEVERET_HTTP_PORT: '2', LEVERET_LIMITS_HANDLES: '8' })).toMatchObject({
    httpPort: 2,
    host: '::1',
    limits: { handles: 8 },
  });
  expect(load(text, { LEVERET_HTTP_PORT: '2' }, { 'http-port': '3' })).toMatchObject({ httpPort: 3, host: '::1' });
});

test('a list in a variable is separated by commas', () => {
  expect(load(undefined, { LEVERET_ORIGINS: 'https://a.example, https://b.example:8443' }).origins).toEqual([
    'https://a.example',
    'https://b.example:8443',
  ]);
});

describe('where messages are kept', () => {
  test('in .leveret, in the directory that is named, or in memory', () => {
    expect(load(undefined).dataDir).toBe('.leveret');
    expect(load('data-dir = "/var/lib/leveret"\n').dataDir).toBe('/var/lib/leveret');
    expect(load(undefined, {}, { 'data-dir': 'here' }).dataDir).toBe('here');
    expect(load('memory = true\n').dataDir).toBeUndefined();
    expect(load(undefined, { LEVERET_MEMORY: 'true' }).dataDir).toBeUndefined();
    expect(load(undefined, {}, { memory: true }).dataDir).toBeUndefined();
  });

  test('a stronger source that names one of the two beats a weaker one that names the other', () => {
    expect(load('data-dir = "a"\n', { LEVERET_DATA_DIR: '/data' }, { memory: true }).dataDir).toBeUndefined();
    expect(load('memory = true\n', { LEVERET_DATA_DIR: '/data' }).dataDir).toBe('/data');
    expect(load(undefined, { LEVERET_MEMORY: 'true' }, { 'data-dir': 'here' }).dataDir).toBe('here');
    expect(load('memory = true\n', { LEVERET_MEMORY: 'false' }).dataDir).toBe('.leveret');
    expect(load('memory = true\n', { LEVERET_DATA_DIR: '/data' }, { memory: true }).dataDir).toBeUndefined();
  });

  test('both in one source contradict each other', () => {
    const contradiction = "'memory' keeps no data, so 'data-dir'";
    expect(complaint(undefined, {}, { memory: true, 'data-dir': 'here' })).toBe(
      `--memory: ${contradiction} (--data-dir) contradicts it: give one of the two`,
    );
    expect(complaint('memory = true\ndata-dir = "a"\n')).toContain(`leveret.toml:1: ${contradiction} (`);
    expect(complaint(undefined, { LEVERET_MEMORY: 'true', LEVERET_DATA_DIR: '/data' })).toContain(`LEVERET_MEMORY: ${contradiction} (`);
    expect(load('memory = false\ndata-dir = "a"\n').dataDir).toBe('a');
  });
});

describe('a mistake names the place and the nearest key', () => {
  test.each([
    ['a misspelt key', 'host = "::1"\n\nhttp-prot = 5\n', "leveret.toml:3: no setting 'http-prot': did you mean 'http-port'?"],
    ['another way of writing it', 'httpPort = 5\n', "leveret.toml:1: no setting 'httpPort': did you mean 'http-port'?"],
    [
      'a misspelt key in a table',
      '# limits\n[limits]\nhandels = 5\n',
      "leveret.toml:3: no setting 'limits.handels': did you mean 'limits.handles'?",
    ],
    ['a key outside its table', 'handles = 5\n', "leveret.toml:1: no setting 'handles': did you mean 'limits.handles'?"],
    ['a misspelt table', 'user = "u"\n[limit]\nhandles = 5\n', "leveret.toml:2: no setting 'limit'"],
    ['a dotted key', 'limits.handels = 5\n', "leveret.toml:1: no setting 'limits.handels': did you mean 'limits.handles'?"],
    ['a wrong type', 'user = "u"\nhttp-port = "many"\n', `leveret.toml:2: 'http-port' must be integer, not "many"`],
    ['a number out of range', '[limits]\nhandles = 0\n', "leveret.toml:2: 'limits.handles' must be >= 1, not 0"],
    ['a fraction', 'http-port = 1.5\n', "leveret.toml:1: 'http-port' must be integer, not 1.5"],
    [
      'an unknown choice',
      'log-level = "debgu"\n',
      "leveret.toml:1: 'log-level' must be one of silent, fatal, error, warn, info, debug, trace, not \"debgu\": did you mean 'debug'?",
    ],
    [
      'an origin with a path',
      'origins = ["https://a.example/x"]\n',
      `leveret.toml:1: 'origins' must hold origins such as "https://example.org", not ["https://a.example/x"]`,
    ],
    ['a date where text belongs', 'host = 2026-01-01\n', "leveret.toml:1: 'host' must be string"],
    ['a yes where true or false belongs', 'memory = "yes"\n', `leveret.toml:1: 'memory' must be true or false, not "yes"`],
    ['a directory without a name', 'data-dir = ""\n', "leveret.toml:1: 'data-dir' must NOT have fewer than 1 characters"],
    ['no TOML', 'host = \n', 'leveret.toml:1:'],
    ['a key given twice', 'host = "a"\nhost = "b"\n', 'leveret.toml:2:'],
  ])('%s', (_what, text, expected) => {
    expect(complaint(text)).toContain(expected);
  });

  test('a wrong variable is named', () => {
    expect(complaint(undefined, { LEVERET_HTTP_PORT: '99999' })).toBe("LEVERET_HTTP_PORT: 'http-port' must be <= 65535, not 99999");
    expect(complaint(undefined, { LEVERET_HTTP_PORT: '' })).toBe(`LEVERET_HTTP_PORT: 'http-port' must be integer, not ""`);
    expect(complaint(undefined, { LEVERET_MEMORY: '1' })).toBe(`LEVERET_MEMORY: 'memory' must be true or false, not "1"`);
  });

  test('a wrong flag is named', () => {
    expect(complaint(undefined, {}, { 'http-port': '-1' })).toBe("--http-port: 'http-port' must be >= 0, not -1");
  });

  test('a file that is not there is named', () => {
    expect(() => loadConfig({ file: '/nowhere/leveret.toml', environment: {}, flags: {} })).toThrow(
      '/nowhere/leveret.toml: cannot be read (ENOENT)',
    );
  });

  test('a password is never repeated', () => {
    expect(complaint('password = 12345678\n')).not.toContain('12345678');
  });
});

test('an unknown variable that resembles a setting is warned of, others are not ours', () => {
  const environment = { LEVERET_HTTP_PROT: '1', LEVERET_SERVICE_HOST: '10.0.0.1', LEVERET_URL: 'ws://x', OTHER: '1' };
  const { warnings } = loadConfig({ file: undefined, environment, flags: {} });
  expect(warnings).toEqual(['LEVERET_HTTP_PROT is no setting: did you mean LEVERET_HTTP_PORT?']);
});

test('a key of Object.prototype is no setting', () => {
  expect(complaint('constructor = 1\n')).toContain("no setting 'constructor'");
});

test('the file in the documentation is accepted, and changes nothing', () => {
  const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const toml = /```toml\n([\s\S]*?)```/.exec(text)?.[1] ?? 'missing';
  expect(load(toml)).toEqual(configOf({}));
});

test('no two settings share a variable', () => {
  expect(new Set(SETTINGS.map((setting) => variableOf(setting.key))).size).toBe(SETTINGS.length);
});

test('the line of a key is found wherever it stands', () => {
  const key = fc.stringMatching(/^[a-z]{1,8}$/);
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { minLength: 1, maxLength: 8 }),
      fc.array(fc.constantFrom('', '# note = 1', '  '), { maxLength: 4 }),
      fc.nat(),
      (keys, noise, pick) => {
        const lines = [
          ...noise,
          ...keys.slice(0, 1).map((name) => `${name} = 1`),
          '[table]',
          ...noise,
          ...keys.map((name) => `  "${name}" = 1`),
        ];
        const wanted = keys[pick % keys.length] ?? '';
        expect(lineOfKey(lines.join('\n'), `table.${wanted}`)).toBe(lines.lastIndexOf(`  "${wanted}" = 1`) + 1);
      },
    ),
  );
});

test('the edit distance is a metric, and a name is nearest to itself', () => {
  const name = fc.stringMatching(/^[a-c-]{0,6}$/);
  fc.assert(
    fc.property(name, name, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b) === 0).toBe(a === b);
      expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
  for (const { key } of SETTINGS)
    expect(
      nearest(
        key,
        SETTINGS.map((setting) => setting.key),
      ),
    ).toBe(key);
});
