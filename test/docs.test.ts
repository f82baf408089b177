// The documents say what the code does: codes, settings, the way of a message, commands and links are compared with their sources.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultsFile, settingsTable } from '../scripts/settings-table.ts';
import { ExitCode } from '../server/cli/exit-codes.ts';
import { routes } from '../server/http/routes/routes.ts';
import { flagOf } from '../server/setting.ts';
import { SETTINGS } from '../server/settings.ts';
import { VERSION } from '../server/version.ts';
import { ReplyCode, replyName } from '../shared/error.ts';
import { CloseCode } from '../shared/protocol/control.ts';
import { parseSource, ROOT, treeFiles } from './tidy/sources.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const section = (text: string, title: string): string => text.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';
/** The cells of every table row whose first cell is not a heading. */
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => /^\|(?!-)/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
const codes = (text: string): (string | undefined)[] =>
  rows(text)
    .slice(1)
    .map(([code, name]) => `${code} ${name}`);

describe('docs/errors.md', () => {
  const errors = read('docs/errors.md');
  test('lists every reply code', () => {
    expect(codes(section(errors, 'Reply codes'))).toEqual(Object.values(ReplyCode).map((code) => `${code} ${replyName.get(code)}`));
  });
  test('lists every close code, and docs/protocol.md does too', () => {
    expect(codes(section(errors, 'Close codes'))).toEqual(Object.entries(CloseCode).map(([name, code]) => `${code} ${name}`));
    const inProtocol = rows(section(read('docs/protocol.md'), 'Close codes'))
      .slice(1)
      .map(([code]) => Number(code));
    expect(inProtocol).toEqual(Object.values(CloseCode));
  });
  test('lists every exit code', () => {
    expect(codes(section(errors, 'Exit codes'))).toEqual(Object.entries(ExitCode).map(([name, code]) => `${code} ${name}`));
  });
  test("lists every code of the client's own", () => {
    const union = /type LocalCode =([^;]*);/.exec(read('client/src/error.ts'))?.[1] ?? '';
    const listed = rows(section(errors, 'Errors of the client'))
      .slice(1)
      .map(([code]) => code);
    expect(listed).toEqual([...union.matchAll(/'(\w+)'/g)].map((match) => match[1]));
  });
});

test('docs/operating.md lists every route of the management API, and whom it is for', () => {
  const written = rows(section(read('docs/operating.md'), 'The management API')).slice(1);
  expect(written).toEqual(routes.map(({ method, path, tag, summary }) => [`\`${method} ${path}\``, tag, summary]));
});

describe('docs/configuration.md', () => {
  const text = read('docs/configuration.md');
  test('lists every setting with its default, in the words of `leveret config explain`, and a file with all of them', () => {
    expect(text).toContain(`\n${settingsTable()}\n\n`);
    expect(text).toContain(`\`\`\`toml\n${defaultsFile()}\n\`\`\``);
  });
  test('names every flag of a setting', () => {
    const flags = [...(/^These are flags:.*$/m.exec(text)?.[0] ?? '').matchAll(/`--([a-z-]+)`/g)].map((match) => match[1] ?? '');
    expect(flags.toSorted()).toEqual(
      SETTINGS.filter(({ isFlag }) => isFlag)
        .map(({ key }) => flagOf(key).slice(2))
        .toSorted(),
    );
  });
});

test('docs/architecture.md names functions that exist, in files that do', () => {
  const steps = rows(section(read('docs/architecture.md'), 'Follow one message')).filter(([step]) => step !== 'step');
  expect(steps.length).toBeGreaterThan(15);
  const missing = steps.filter(([, file = '', name = '']) => {
    if (!existsSync(join(ROOT, file))) return true;
    return !parseSource(file, read(file)).functions.some((each) => `#${each.name}` === name || each.name === name);
  });
  expect(missing).toEqual([]);
});

test('links between documents lead somewhere', () => {
  const broken = treeFiles()
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, dirname(path), target)))
        .map((target) => `${path}: ${target}`),
    );
  expect(broken).toEqual([]);
});

test('the README runs only scripts and verbs that exist', () => {
  const readme = read('README.md');
  const { scripts } = JSON.parse(read('package.json'));
  const named = [...readme.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1] ?? '');
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
  const verbs = [...read('server/cli/program.ts').matchAll(/name: '(\w+)'/g)].map((match) => match[1]);
  const used = [...readme.matchAll(/npx leveret (\w+)/g)].map((match) => match[1]);
  expect(used.length).toBeGreaterThan(0);
  expect(used.filter((verb) => !verbs.includes(verb))).toEqual([]);
});

test('one version everywhere', () => {
  for (const path of ['server/package.json', 'client/package.json', 'shared/package.json'])
    expect(JSON.parse(read(path)).version).toBe(VERSION);
  expect(JSON.parse(read('server/package.json')).dependencies['leveret-client']).toBe(`^${VERSION}`);
  expect(read('CHANGELOG.md')).toContain(`## ${VERSION}`);
});
