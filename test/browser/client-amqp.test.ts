// leveret-client/amqp in a real Chromium, over its own WebSocket, against the built broker.
// Needs the program chromium; without it the suite is skipped with that reason, and fails where CI=true.

import { describe, expect, test } from 'vitest';
import { findCommand } from '../../scripts/system-packages.ts';
import { bundle, launchChromium, serveHtml } from '../conformance/foreign/chromium.ts';
import { startBuiltBroker } from '../support/built-broker.ts';

const executablePath = findCommand(['chromium', 'chromium-browser', 'google-chrome']);
const mustRun = process.env['CI'] === 'true';

describe.skipIf(executablePath === undefined && !mustRun)('leveret-client/amqp in Chromium (skipped where there is no chromium)', () => {
  test('publishes, consumes, asks and answers; a url that needs TCP is refused', async () => {
    if (executablePath === undefined) throw new Error('chromium is not on the PATH, and CI=true allows no skip');
    const script = await bundle(new URL('client-amqp-page.ts', import.meta.url));
    const served = await serveHtml('<!doctype html><title>amqp</title>');
    const broker = await startBuiltBroker();
    const browser = await launchChromium(executablePath);
    try {
      const page = await browser.newPage();
      await page.goto(served.url);
      await page.addScriptTag({ content: script });
      const seen = await page.evaluate((url) => window.tryAmqp(url), broker.url);
      expect(seen).toEqual([{ from: 'a page' }, String(2n ** 60n), 2_000_000, 'undefined', 42, 'INVALID', 'closed']);
    } finally {
      await browser.close();
      await served.close();
      await broker.stop();
    }
  });
});
