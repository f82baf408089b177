// `leveret config`: what it prints of right and wrong configurations.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import * as verb from '../../../server/cli/config.ts';
import { addConfigFlags, sourcesOf } from '../../../server/cli/config-flags.ts';
import { ExitCode } from '../../../server/cli/exit-codes.ts';
import { loadConfig } from '../../../server/config-sources.ts';
import { flagOf } from '../../../server/setting.ts';
import { SETTINGS } from '../../../server/settings.ts';
import { runVerb } from '../../support/cli.ts';
import { freshFolder } from '../../support/started.ts';

const SECRETS = {
  LEVERET_DEFAULT_USER: 'ops',
  LEVERET_DEFAULT_PASS: 'pl4nted',
  LEVERET_ALERTS_SECRET: 'pl4nted',
  LEVERET_ALERTS_WEBHOOK_URL: 'https://x.example/pl4nted',
};

function file(text: string): string {
  const path = join(freshFolder(), 'leveret.toml');
  writeFileSync(path, text);
  return path;
}

test('check tells every mistake, warns of what may be one, and ends with 78', async () => {
  const path = file('http-prot = 1\n[limits]\nhandles = 0\n');
  const ran = await runVerb(verb, ['check', '--config', path], { environment: { LEVERET_HSOT: 'x' } });
  expect(ran.lines).toEqual([
    `${path}:1: no setting 'http-prot': did you mean 'http-port'?`,
    `${path}:3: 'limits.handles' must be >= 1, not 0`,
    'warning: LEVERET_HSOT is no setting: did you mean LEVERET_HOST?',
    '2 mistakes',
  ]);
  expect(ran.code).toBe(ExitCode.Configuration);
  const json = await runVerb(verb, ['check', '--json', '--config', path]);
  expect(JSON.parse(json.lines[0] ?? '')).toMatchObject({ mistakes: [expect.any(String), expect.any(String)], warnings: [] });
  const right = await runVerb(verb, ['check']);
  expect([right.code, right.lines]).toEqual([ExitCode.Ok, ['the configuration is right']]);
});

test('print is TOML that start takes, says where each value comes from, and holds no secret', async () => {
  const path = file('[limits]\nhandles = 7\n');
  const ran = await runVerb(verb, ['print', '--config', path, '--http-port', '0', '--memory'], { environment: SECRETS });
  expect(ran.lines).toContain('http-port = 0 # --http-port');
  expect(ran.lines).toContain(`handles = 7 # ${path}:2`);
  expect(ran.lines).toContain('default-user = "ops" # LEVERET_DEFAULT_USER');
  expect(ran.lines).toContain('# default-pass = "[secret]" # LEVERET_DEFAULT_PASS');
  expect(ran.lines.join('\n')).not.toContain('pl4nted');
  const text = ran.lines.join('\n');
  expect(parse(text)).toMatchObject({ limits: { handles: 7 } });
  const sources = { flags: {}, environment: SECRETS };
  expect(loadConfig({ ...sources, file: file(text) }).config).toEqual(
    loadConfig({ ...sources, flags: { 'http-port': '0', memory: true }, file: path }).config,
  );
  const json = await runVerb(verb, ['print', '--json'], { environment: SECRETS });
  expect(JSON.parse(json.lines[0] ?? '').settings['default-pass']).toEqual({ value: '[secret]', where: 'LEVERET_DEFAULT_PASS' });
});

test('print masks the query of a URL, which may be a secret, and a complaint does not repeat it', async () => {
  const url = 'https://keys.example.org/jwks?token=pl4nted';
  const environment = { LEVERET_JWT_JWKS_URL: url, LEVERET_JWT_ISSUER: 'i', LEVERET_JWT_AUDIENCE: 'a' };
  const ran = await runVerb(verb, ['print'], { environment });
  expect(ran.lines).toContain('# jwks-url = "https://keys.example.org/jwks?[secret]" # LEVERET_JWT_JWKS_URL');
  const json = await runVerb(verb, ['print', '--json'], { environment });
  const wrong = await runVerb(verb, ['check'], { environment: { ...environment, LEVERET_JWT_JWKS_URL: url.replace('https', 'ftp') } });
  for (const { lines } of [ran, json, wrong]) expect(lines.join()).not.toContain('pl4nted');
  expect(wrong.lines.join()).toContain('jwks-url');
});

test('print of what is wrong says what', async () => {
  const ran = await runVerb(verb, ['print', '--http-port', 'x', '--host', '']);
  expect(ran.code).toBe(ExitCode.Configuration);
  expect(ran.errors).toContain("--http-port: 'http-port' must be integer");
  expect(ran.errors).toContain('--host');
});

test('explain tells what a setting is for, its type, its default, and each place where it can be said', async () => {
  const ran = await runVerb(verb, ['explain', 'http-port']);
  expect(ran.lines).toEqual([
    'http-port: HTTP: WebSocket at /ws, the API, /health; 0 takes a free one and prints it',
    '  type      a whole number from 0 to 65535',
    '  default   15672',
    '  file      http-port',
    '  variable  LEVERET_HTTP_PORT, or LEVERET_HTTP_PORT_FILE with the name of a file that holds the value',
    '  flag      --http-port',
    '  changes   at the next start',
  ]);
  for (const name of ['LEVERET_HTTP_PORT', '--http-port']) expect((await runVerb(verb, ['explain', '--', name])).lines).toEqual(ran.lines);
  expect((await runVerb(verb, ['explain', 'limits.frame-max'])).lines).toContain('  file      frame-max in the table [limits]');
  expect(await runVerb(verb, ['explain', 'http-prot'])).toMatchObject({
    code: ExitCode.Usage,
    errors: expect.stringContaining("did you mean 'http-port'?"),
  });
  const all = await runVerb(verb, ['explain', '--json']);
  expect(JSON.parse(all.lines[0] ?? '').settings).toHaveLength(SETTINGS.length);
});

test('every setting that is said to be a flag is one, and no other', () => {
  const flags = addConfigFlags(new Command()).options.map(({ long }) => long);
  expect(flags.filter((flag) => flag !== '--config').toSorted()).toEqual(
    SETTINGS.filter(({ isFlag }) => isFlag)
      .map(({ key }) => flagOf(key))
      .toSorted(),
  );
  const sources = sourcesOf({ tlsClientCertificate: 'ask', httpPort: '1' }, {});
  expect(sources.flags).toMatchObject({ 'tls.client-certificate': 'ask', 'http-port': '1' });
});
