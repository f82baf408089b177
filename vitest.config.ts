// How the tests run: straight from TypeScript, with the published names meaning their sources.
// Always: (1) a test that reaches its time limit is a failure, never a retry; (2) the last line of a run is `N passed, N failed`, and
// skipped tests stand above it by name.
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './scripts/summary-reporter.ts';

const source = (path: string): string => new URL(path, import.meta.url).pathname;

export default defineConfig({
  resolve: {
    alias: [
      { find: /^leveret-client$/, replacement: source('./client/src/index.ts') },
      { find: /^leveret-client\/amqp$/, replacement: source('./client/src/amqp/index.ts') },
      { find: /^leveret$/, replacement: source('./server/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    // A rescue, not a measure: nothing in a test depends on how long it took. Brokers, browsers and other languages' clients run beside it.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    retry: 0,
    reporters: [process.env['LEVERET_TEST_VERBOSE'] ? 'verbose' : 'default', new SummaryReporter()],
    env: { NO_COLOR: '1' },
  },
});
