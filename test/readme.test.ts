// What the READMEs show works as shown: every `npx leveret` line and every block of JavaScript, against the built broker; and the page that speaks
// AMQP, in a real Chromium, with the service beside it. Without the program chromium that one is skipped with this reason, and fails where CI=true.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findCommand } from '../scripts/system-packages.ts';
import { launchChromium, serveHtml } from './conformance/foreign/chromium.ts';
import { type BuiltBroker, startBuiltBroker } from './support/built-broker.ts';
import { ROOT } from './tidy/sources.ts';

const run = promisify(execFile);
// Inside the tree, so that the published names resolve as they do for a user.
const folder = join(ROOT, 'node_modules/.cache/leveret-readme');
const DEFAULT_URL = 'ws://127.0.0.1:15672/ws';
const DEFAULT_AMQP_URL = 'amqp://127.0.0.1:5672';
// Where the page has its client from; here it is the same file of the same version, from node_modules.
const CLIENT_URL = /https:\/\/cdn\.jsdelivr\.net\/npm\/(.+)@([\d.]+)\/(dist\/.+\.mjs)/;
const chromium = findCommand(['chromium', 'chromium-browser', 'google-chrome']);
const mustRun = process.env['CI'] === 'true';
let broker: BuiltBroker;

const addressed = (code: string): string => code.replaceAll(DEFAULT_URL, broker.url).replaceAll(DEFAULT_AMQP_URL, broker.amqpUrl);

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
  for (const [index, line] of lines.entries()) {
    // One shows that npx finds it; the others need not pay a second for that.
    const command = index === 0 ? line : line.replaceAll('npx leveret', `'${process.execPath}' server/bin/leveret.js`);
    const { stdout } = await run('sh', ['-c', command], { cwd: ROOT, env: { ...process.env, LEVERET_URL: broker.url } });
    printed += stdout;
  }
  expect(printed).toMatch(/hello/i);
});

test('what README.md asks of the management API is done', async () => {
  const [block = ''] = blocks('README.md', 'sh').filter((each) => each.includes('/api/'));
  const port = new URL(broker.url).port;
  const { stdout } = await run('sh', ['-ec', block.replaceAll(':15672/', `:${port}/`)]);
  expect(stdout).not.toContain('"error"');
  expect(stdout).toContain('"total_count"');
  const { stdout: permissions } = await run('curl', ['-s', '-u', 'guest:guest', `http://127.0.0.1:${port}/api/permissions/shop/billing`]);
  expect(JSON.parse(permissions)).toEqual({
    user: 'billing',
    vhost: 'shop',
    configure: '^billing',
    write: '^billing|^orders$',
    read: '.*',
  });
});

const snippets = ['README.md', 'client/README.md', 'server/README.md', 'docs/client-amqp.md'].flatMap((path) =>
  blocks(path, 'js').map((code, index) => ({ path, index, code })),
);

test.each(snippets)(
  'the JavaScript of $path, block $index, runs and ends: by itself, or with Ctrl-C once its worker has worked',
  async ({ path, index, code }) => {
    const file = join(folder, `${path.replaceAll('/', '-')}-${index}.mjs`);
    writeFileSync(file, addressed(code));
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

test.skipIf(chromium === undefined && !mustRun)(
  'the page of README.md shows what its amqplib service publishes, and its click arrives there (skipped where there is no chromium)',
  async () => {
    if (chromium === undefined) throw new Error('chromium is not on the PATH, and CI=true allows no skip');
    const service = blocks('README.md', 'js').find((code) => code.includes('amqplib')) ?? '';
    const page = blocks('README.md', 'html').find((code) => code.includes('AMQPWebSocketClient')) ?? '';
    const [clientUrl = '', name = '', version = '', path = ''] = CLIENT_URL.exec(page) ?? [];
    const installed: { version: string } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'));
    expect(version).toBe(installed.version);

    const file = join(folder, 'service-beside-page.mjs');
    writeFileSync(file, addressed(service));
    const child = spawn(process.execPath, [file], { timeout: 55_000, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'close');
    let printed = '';
    const clickArrived = new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
        if (/^order\.tulip one at [01]\.\d\d$/m.test(printed)) resolve();
      });
    });
    const served = await serveHtml(addressed(page));
    const browser = await launchChromium(chromium);
    try {
      await once(child.stdout, 'data'); // the exchange is there
      const tab = await browser.newPage();
      await tab.route(clientUrl, (route) =>
        route.fulfill({
          path: join(ROOT, 'node_modules', name, path),
          headers: { 'access-control-allow-origin': '*' },
          contentType: 'text/javascript',
        }),
      );
      await tab.goto(served.url);
      await tab.locator('#price', { hasText: /^[01]\.\d\d$/ }).click();
      await clickArrived;
    } finally {
      child.kill('SIGINT');
      await browser.close();
      await served.close();
    }
    expect(await ended).toEqual([0, null]);
  },
  60_000,
);
