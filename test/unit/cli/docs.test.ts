// docs/cli.md says what `leveret VERB --help` says. `npx vitest run test/unit/cli/docs.test.ts -u` writes what has changed into it.

import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { ExitCode } from '../../../server/cli/exit-codes.ts';
import { run } from '../../../server/cli/program.ts';

const path = new URL('../../../docs/cli.md', import.meta.url).pathname;
const written = readFileSync(path, 'utf8');

async function printed(words: string[]): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    expect(await run(words)).toBe(ExitCode.Ok);
  } finally {
    write.mockRestore();
  }
  return text;
}

test('docs/cli.md holds the help of every verb as it is printed', async () => {
  vi.stubEnv('LEVERET_URL', undefined);
  const parts = written.split(/(?<=^\$ leveret .*--help\n)[^`]*(?=^```)/m);
  let renewed = '';
  for (const part of parts) {
    const asked = /^\$ leveret (.*--help)\n$/m.exec(part.slice(part.lastIndexOf('$')));
    renewed += asked?.[1] === undefined ? part : `${part}${await printed(asked[1].split(' '))}`;
  }
  vi.unstubAllEnvs();
  await expect(renewed).toMatchFileSnapshot(path);
});

test('docs/cli.md has a section for every verb', async () => {
  const verbs = [...(await printed(['--help'])).matchAll(/^ {2}(\w+) (?=.*\S)/gm)]
    .map(([, verb]) => verb)
    .filter((verb) => verb !== 'help');
  expect(verbs.length).toBeGreaterThanOrEqual(8);
  expect([...written.matchAll(/^## (\w+)$/gm)].map(([, title]) => title)).toEqual(verbs);
});

test('docs/operating.md says for every verb of rabbitmqctl that is one of ours what it is here, and names no other', async () => {
  const verbs = [...written.matchAll(/^## (\w+)$/gm)].map(([, title]) => title);
  const operating = readFileSync(new URL('../../../docs/operating.md', import.meta.url), 'utf8');
  const [, table = ''] = operating.split('| rabbitmqctl | leveret |');
  const named = [...(table.split('\n\n')[0] ?? '').matchAll(/`leveret (\w+)/g)].map(([, verb]) => verb);
  expect(named.filter((verb) => !verbs.includes(verb))).toEqual([]);
  expect(verbs.filter((verb) => verb?.includes('_') && !named.includes(verb))).toEqual([]);
});

test('docs/cli.md lists every exit code', () => {
  expect([...written.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))).toEqual(Object.values(ExitCode));
});
