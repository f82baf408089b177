// `npm test`: everything that has to hold before a change goes in, one check after another, with one line at the end.
// Always: (1) every check runs even when an earlier one failed; (2) the last line is `N passed, N failed`, tests and checks
// together, and the exit code is 1 if any failed; (3) skipped tests are named above that line, and with CI=true each is a failure.
// Refuses: to build itself. `npm run ready` has done so before this runs; here the build is repeated only to see it is clean.
// Arguments go to Vitest: `npm test -- test/unit/ring.test.ts` runs that file, and all other checks.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clientSize, SIZE_BUDGET_BYTES } from './client-size.ts';
import { summaryLines, type Totals } from './summary-reporter.ts';
import { installSystemPackages } from './system-packages.ts';

// The client's budget is checked on what a browser downloads; the smoke run of the benchmark is for its numbers to exist, not to be good.
const BENCH = 'scripts/dist/scripts/bench/main.js';

async function main(): Promise<void> {
  const totals: Totals = { passed: 0, failed: [], skipped: [] };
  const started = performance.now();
  for (const line of installSystemPackages()) print(line);

  await check(totals, 'build', () => run('tsc', ['-b', 'client']).then((code) => (code === 0 ? run('tsc', ['-b']) : code)));
  await check(totals, 'types of the tests', () => run('tsc', ['-p', 'test']));
  await check(totals, 'lint and format', () => run('biome', ['ci', '--colors=off', '.']));
  await check(totals, `client core within ${SIZE_BUDGET_BYTES} bytes`, checkSize);
  await runTests(totals, process.argv.slice(2));
  await check(totals, 'benchmark smoke', () => runNode([BENCH, '--smoke']));

  if (process.env['CI'] === 'true') totals.failed.push(...totals.skipped.map((name) => `skipped with CI=true: ${name}`));
  print(`\n${Math.round((performance.now() - started) / 1000)} s`);
  print(summaryLines(totals).join('\n'));
  process.exitCode = totals.failed.length === 0 ? 0 : 1;
}

async function check(totals: Totals, name: string, action: () => Promise<number>): Promise<void> {
  print(`\n== ${name}`);
  const code = await action();
  if (code === 0) totals.passed++;
  else totals.failed.push(`check: ${name}`);
}

async function runTests(totals: Totals, args: string[]): Promise<void> {
  print('\n== tests');
  const folder = mkdtempSync(join(tmpdir(), 'leveret-check-'));
  const file = join(folder, 'totals.json');
  try {
    const code = await run('vitest', ['run', ...args], { LEVERET_TEST_TOTALS: file });
    if (!existsSync(file)) {
      totals.failed.push(`tests: Vitest ended with ${code} and no result`);
      return;
    }
    const tests = JSON.parse(readFileSync(file, 'utf8')) as Totals;
    totals.passed += tests.passed;
    totals.failed.push(...tests.failed);
    totals.skipped.push(...tests.skipped);
    if (code !== 0 && tests.failed.length === 0) totals.failed.push(`tests: Vitest ended with ${code}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function checkSize(): Promise<number> {
  const { gzipBytes, wholeGzipBytes, bareImports } = await clientSize();
  const amqp = await clientSize('client/src/amqp/browser.ts');
  bareImports.push(...amqp.bareImports);
  print(`${gzipBytes} bytes gzipped, ${wholeGzipBytes} with what is loaded on demand`);
  print(`leveret-client/amqp, the core included: ${amqp.gzipBytes} bytes gzipped, ${amqp.wholeGzipBytes} with what is loaded on demand`);
  if (bareImports.length > 0) print(`imports in a browser what a browser does not have: ${bareImports.join(', ')}`);
  return gzipBytes <= SIZE_BUDGET_BYTES && bareImports.length === 0 ? 0 : 1;
}

function run(tool: string, args: string[], env: Record<string, string> = {}): Promise<number> {
  return execute(join('node_modules', '.bin', process.platform === 'win32' ? `${tool}.cmd` : tool), args, env);
}

function runNode(args: string[]): Promise<number> {
  return execute(process.execPath, args, {});
}

function execute(command: string, args: string[], env: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env }, shell: process.platform === 'win32' });
    child.on('error', (error) => {
      print(String(error));
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
