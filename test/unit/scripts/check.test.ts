// The parts of `npm test` that judge: each is shown to complain.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientSize, SIZE_BUDGET_BYTES } from '../../../scripts/client-size.ts';
import { collect, summaryLines } from '../../../scripts/summary-reporter.ts';
import { findCommand } from '../../../scripts/system-packages.ts';

const module = (states: readonly { state: string; note?: string }[], errors: unknown[] = [], suiteErrors: unknown[] = []) => ({
  moduleId: '/somewhere/test/unit/a.test.ts',
  errors: () => errors,
  children: {
    allTests: () => states.map((result, index) => ({ fullName: `case ${index}`, result: () => result })),
    allSuites: () => [{ fullName: 'suite', errors: () => suiteErrors }],
  },
});

test('the summary counts what passed, names what failed and what was skipped, and ends with the totals', () => {
  const totals = collect([module([{ state: 'passed' }, { state: 'failed' }, { state: 'skipped', note: 'no chromium' }])], []);
  expect(summaryLines(totals)).toEqual([
    'SKIPPED test/unit/a.test.ts > case 2: no chromium',
    'FAILED  test/unit/a.test.ts > case 1',
    '1 passed, 1 failed',
  ]);
});

test('a file that does not load, a hook that fails, a test that never ended and an error outside tests are failures', () => {
  const broken = module([{ state: 'pending' }], [new Error('syntax')], [new Error('hook')]);
  expect(summaryLines(collect([broken], [new Error('unhandled')])).at(-1)).toBe('0 passed, 4 failed');
});

test('the size of the client counts what is loaded at first apart from what is loaded on demand, and sees a foreign import', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'leveret-size-'));
  try {
    // Nothing that compresses well.
    const noise = Array.from({ length: 4000 }, (_, index) => ((index * 2_654_435_761) % 4_294_967_296).toString(36)).join('');
    writeFileSync(join(folder, 'late.ts'), `export const late = '${noise}';`);
    writeFileSync(join(folder, 'main.ts'), "import 'ws'; export const load = () => import('./late.ts');");
    const small = await clientSize(join(folder, 'main.ts'));
    expect(small.gzipBytes).toBeLessThan(1000);
    expect(small.wholeGzipBytes).toBeGreaterThan(SIZE_BUDGET_BYTES);
    expect(small.bareImports).toEqual(['ws']);
    writeFileSync(join(folder, 'main.ts'), "export { late } from './late.ts';");
    expect((await clientSize(join(folder, 'main.ts'))).gzipBytes).toBeGreaterThan(SIZE_BUDGET_BYTES);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a command is found on the PATH, and one that is not there is not', () => {
  expect(findCommand(['no-such-command', 'node'])).toMatch(/node$/);
  expect(findCommand(['no-such-command'])).toBeUndefined();
});
