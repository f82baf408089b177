// Configuration: which source wins, and what a mistake gets.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type Config, ConfigError, configOf } from '../../server/config.ts';
import { lineOfKey } from '../../server/config-lines.ts';
import { editDistance, nearest } from '../../server/config-nearest.ts';
import { inspectConfig, loadConfig } from '../../server/config-sources.ts';
import { variableOf } from '../../server/setting.ts';
import { RENAMED, SETTINGS } from '../../server/settings.ts';

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
    defaultUser: { name: 'guest', password: 'guest', vhost: '/', isConfigured: false },
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
    ['a misspelt table', 'host = "u"\n[limit]\nhandles = 5\n', "leveret.toml:2: no setting 'limit'"],
    ['a dotted key', 'limits.handels = 5\n', "leveret.toml:1: no setting 'limits.handels': did you mean 'limits.handles'?"],
    ['a wrong type', 'host = "u"\nhttp-port = "many"\n', `leveret.toml:2: 'http-port' must be integer, not "many"`],
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
    expect(complaint('default-pass = 12345678\n')).not.toContain('12345678');
  });
});

test('an unknown variable that resembles a setting is warned of, others are not ours', () => {
  const environment = { LEVERET_HTTP_PROT: '1', LEVERET_SERVICE_HOST: '10.0.0.1', LEVERET_URL: 'ws://x', OTHER: '1' };
  const { warnings } = loadConfig({ file: undefined, environment, flags: {} });
  expect(warnings).toEqual(['LEVERET_HTTP_PROT is no setting: did you mean LEVERET_HTTP_PORT?']);
});

describe('mistakes are all told', () => {
  test('each with its place, and the first and their number where only one line fits', () => {
    writeFileSync(file, 'http-prot = 1\n[limits]\nhandels = 5\nheartbeat-ms = 1\n');
    const { mistakes } = inspectConfig({ file, environment: { LEVERET_HTTP_PORT: 'x' }, flags: { host: '' } });
    expect(mistakes.map((mistake) => mistake.replace(`${folder}/`, ''))).toEqual([
      "leveret.toml:1: no setting 'http-prot': did you mean 'http-port'?",
      "leveret.toml:3: no setting 'limits.handels': did you mean 'limits.handles'?",
      `--host: 'host' must NOT have fewer than 1 characters, not ""`,
      `LEVERET_HTTP_PORT: 'http-port' must be integer, not "x"`,
      "leveret.toml:4: 'limits.heartbeat-ms' must be >= 1000, not 1",
    ]);
    expect(complaint('a = 1\nb = 2\n')).toMatch(/^leveret.toml:1: no setting 'a'.* \(and 1 more: leveret config check\)$/);
  });

  test.each([
    ['tls.cert without its key', '[tls]\ncert = "c"\n', "leveret.toml:2: 'tls.cert' needs 'tls.key', its private key"],
    ['a user whose password is the one everybody knows', 'default-user = "ops"\n', "leveret.toml:1: 'default-user' needs 'default-pass'"],
    [
      'a token for whatever service',
      '[jwt]\njwks-url = "https://id.example/keys"\nissuer = "https://id.example"\n',
      "leveret.toml:2: 'jwt.jwks-url' needs 'jwt.audience'",
    ],
    [
      'a token of whatever issuer',
      '[jwt]\njwks-url = "https://id.example/keys"\naudience = "leveret"\n',
      "leveret.toml:2: 'jwt.jwks-url' needs 'jwt.issuer'",
    ],
    ['a password in the address of keys', '[jwt]\njwks-url = "https://me:s3cret@id.example/keys"\n', 'holds no user or password'],
    ['keys over plain HTTP', '[jwt]\njwks-url = "http://id.example/keys"\n', 'must be a URL that begins with https://'],
    ['tokens without keys', '[jwt]\nissuer = "https://id.example"\n', "leveret.toml:2: 'jwt.issuer' needs 'jwt.jwks-url'"],
    ['a signature for nobody', '[alerts]\nsecret = "s3cret"\n', "leveret.toml:2: 'alerts.secret' needs 'alerts.webhook-url'"],
    [
      'frames that shrink after login',
      '[limits]\nframe-max = 4096\n',
      "'limits.frame-max-before-tune' must be <= 'limits.frame-max', 4096",
    ],
    [
      'a prefetch above the highest',
      '[limits]\nprefetch-max = 10\n',
      "leveret.toml:2: 'limits.prefetch' (1000) must be <= 'limits.prefetch-max' (10)",
    ],
  ])('%s contradicts itself', (_what, toml, expected) => {
    expect(complaint(toml)).toContain(expected);
  });
});

describe('the user that a broker begins with', () => {
  const user = (environment: Record<string, string>, toml?: string) => load(toml, environment).defaultUser;
  test("has RabbitMQ's variables where ours are absent, and those beat the file", () => {
    const rabbitmq = { RABBITMQ_DEFAULT_USER: 'rabbit', RABBITMQ_DEFAULT_PASS: 'carrot', RABBITMQ_DEFAULT_VHOST: 'burrow' };
    expect(user(rabbitmq, 'default-user = "x"\ndefault-pass = "y"\n')).toEqual({
      name: 'rabbit',
      password: 'carrot',
      vhost: 'burrow',
      isConfigured: true,
    });
    expect(user({ ...rabbitmq, LEVERET_DEFAULT_USER: 'hare' })).toMatchObject({ name: 'hare', password: 'carrot' });
    expect(user({}).isConfigured).toBe(false);
    expect(user({ LEVERET_DEFAULT_PASS: 'other' })).toMatchObject({ name: 'guest', isConfigured: true });
  });

  test('has its password from a file, without the line break at its end; both together contradict each other', () => {
    const secret = join(folder, 'secret');
    writeFileSync(secret, 'carrot \n');
    const environment = { LEVERET_DEFAULT_USER: 'hare', LEVERET_DEFAULT_PASS_FILE: secret };
    expect(user(environment).password).toBe('carrot ');
    writeFileSync(secret, '7\r\n');
    expect(load(undefined, { LEVERET_HTTP_PORT_FILE: secret }).httpPort).toBe(7);
    const both = complaint(undefined, { ...environment, LEVERET_DEFAULT_PASS: 'x' });
    expect(both).toBe('LEVERET_DEFAULT_PASS_FILE: contradicts LEVERET_DEFAULT_PASS: give one of the two');
    expect(complaint(undefined, { LEVERET_DEFAULT_PASS_FILE: '/nowhere/secret' })).toContain('/nowhere/secret cannot be read (ENOENT)');
  });

  test('had other names once, which are refused with the new one, for else it would be guest', () => {
    for (const [from, to] of RENAMED) {
      expect(complaint(`${from} = "x"\n`)).toBe(`leveret.toml:1: no setting '${from}': its name is '${to}' now`);
      expect(complaint(undefined, { [variableOf(from)]: 'x' })).toBe(`${variableOf(from)}: its name is ${variableOf(to)} now`);
    }
  });
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
  const variables = SETTINGS.flatMap(({ key }) => [variableOf(key), `${variableOf(key)}_FILE`]);
  expect(new Set(variables).size).toBe(2 * SETTINGS.length);
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
