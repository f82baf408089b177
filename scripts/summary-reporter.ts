// Vitest's reporter for this project: names what was skipped and why, and ends with `N passed, N failed`.
// Always: (1) an error outside any test, or a file that does not load, counts as one failure; (2) the totals also go, as JSON, to
// the file named by LEVERET_TEST_TOTALS, for scripts/check.ts to add its own checks to; it then also leaves the last line to it.
import { writeFileSync } from 'node:fs';

export interface Totals {
  passed: number;
  failed: string[];
  skipped: string[];
}

// The few fields of Vitest's reported tasks that are read here, so that the compiled scripts need no types of Vitest.
interface ReportedTest {
  readonly fullName: string;
  result(): { readonly state: string; readonly note?: string | undefined };
}
interface ReportedModule {
  readonly moduleId: string;
  errors(): readonly unknown[];
  readonly children: {
    allTests(): Iterable<ReportedTest>;
    allSuites(): Iterable<{ readonly fullName: string; errors(): readonly unknown[] }>;
  };
}

export class SummaryReporter {
  onTestRunEnd(modules: readonly ReportedModule[], unhandledErrors: readonly unknown[]): void {
    const totals = collect(modules, unhandledErrors);
    const path = process.env['LEVERET_TEST_TOTALS'];
    if (path === undefined) process.on('exit', () => process.stdout.write(`${summaryLines(totals).join('\n')}\n`));
    else writeFileSync(path, JSON.stringify(totals));
  }
}

/** Counts every test once; a suite or file that broke outside its tests counts as a failure of its own. */
export function collect(modules: readonly ReportedModule[], unhandledErrors: readonly unknown[]): Totals {
  const totals: Totals = { passed: 0, failed: [], skipped: [] };
  for (const module of modules) {
    const file = module.moduleId.slice(module.moduleId.lastIndexOf('/test/') + 1);
    if (module.errors().length > 0) totals.failed.push(`${file}: did not load`);
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length > 0) totals.failed.push(`${file} > ${suite.fullName}: its hooks failed`);
    }
    for (const test of module.children.allTests()) {
      const { state, note } = test.result();
      const name = `${file} > ${test.fullName}`;
      if (state === 'passed') totals.passed++;
      else if (state === 'skipped') totals.skipped.push(`${name}: ${note ?? 'no reason given'}`);
      else totals.failed.push(name);
    }
  }
  for (const error of unhandledErrors) totals.failed.push(`outside any test: ${describe(error)}`);
  return totals;
}

function describe(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error);
}

export function summaryLines(totals: Totals): string[] {
  return [
    ...totals.skipped.map((name) => `SKIPPED ${name}`),
    ...totals.failed.map((name) => `FAILED  ${name}`),
    `${totals.passed} passed, ${totals.failed.length} failed`,
  ];
}
