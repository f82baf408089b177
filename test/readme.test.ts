// What the READMEs show works as shown: every `npx leveret` line and every block of JavaScript, against the built broker.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BuiltBroker, startBuiltBroker } from './support/built-broker.ts';
import { ROOT } from './tidy/sources.ts';

const run = promisify(execFile);
// Inside the tree, so that the published names resolve as they do for a user.
const folder = join(ROOT, 'node_modules/.cache/leveret-readme');
const DEFAULT_URL = 'ws://127.0.0.1:15672/ws';
let broker: BuiltBroker;

const blocks = (path: string, language: string): string[] =>
  [...readFileSync(join(ROOT, path), 'utf8').matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    (match) => match[1] ?? '',
  );

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  broker = await startBuiltBroker();
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await broker.stop();
});

test.each(['README.md', 'server/README.md'])('the commands of %s print the message that they published', async (path) => {
  const lines = blocks(path, 'sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => line.startsWith('npx leveret') && !line.endsWith(' start'));
  expect(lines.length).toBeGreaterThan(2);
  let printed = '';
  for (const line of lines) {
    const { stdout } = await run('sh', ['-c', line], { cwd: ROOT, env: { ...process.env, LEVERET_URL: broker.url } });
    printed += stdout;
  }
  expect(printed).toMatch(/hello/i);
});

const snippets = ['README.md', 'client/README.md', 'server/README.md'].flatMap((path) =>
  blocks(path, 'js').map((code, index) => ({ path, index, code })),
);

test.each(snippets)(
  'the JavaScript of $path, block $index, runs and ends: by itself, or with Ctrl-C once its worker has worked',
  async ({ path, index, code }) => {
    const file = join(folder, `${path.replaceAll('/', '-')}-${index}.mjs`);
    writeFileSync(file, code.replaceAll(DEFAULT_URL, broker.url));
    const child = spawn(process.execPath, [file], { timeout: 25_000, cwd: folder });
    // Each console.log of these prints one line.
    let [out, err] = ['', ''];
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (code.includes("'SIGINT'") && out.split('\n').length > code.split('console.log').length - 1) child.kill('SIGINT');
    });
    const [exitCode] = await once(child, 'close');
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
  },
);
