// @cloudamqp/amqp-client in a real Chromium, over the browser's own WebSocket: amqp-client.ts and the client, bundled as a page would have them.
// Always: (1) the page talks to the broker itself; what it asks of this side is only to end and start the broker, or to squeeze it; (2) the page is served
// from this machine, over HTTP: Chromium lets no other page reach a port of loopback.

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Driver, Scenario, Target } from './scenarios.ts';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const MORE_FLAGS = ['--disable-component-update', '--disable-sync'];

export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: [...FLAGS, ...MORE_FLAGS] });
}

/** One page of HTML on a port of loopback. */
export async function serveHtml(html: string): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const isPage = request.url === '/';
    response.writeHead(isPage ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' }).end(isPage ? html : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the page has no port');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A module and all that it imports, as a script for a page. */
export async function bundle(entry: URL): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    write: false,
  });
  return outputFiles.map(({ text }) => text).join('\n');
}

export class ChromiumDriver implements Driver {
  readonly #browser: Browser;
  readonly #page: Page;
  readonly #target: Target;

  private constructor(browser: Browser, page: Page, target: Target) {
    this.#browser = browser;
    this.#page = page;
    this.#target = target;
  }

  static async open(executablePath: string, target: Target): Promise<ChromiumDriver> {
    const script = await bundle(new URL('in-page.ts', import.meta.url));
    const served = await serveHtml('<!doctype html><title>foreign</title>');
    const browser = await launchChromium(executablePath);
    try {
      const page = await browser.newPage();
      await page.goto(served.url);
      await page.exposeFunction('askTarget', (what: 'restart' | 'kill' | 'relieve') => target[what]());
      await page.exposeFunction('squeezeTarget', () => target.squeeze());
      await page.addScriptTag({ content: script });
      return new ChromiumDriver(browser, page, target);
    } catch (error) {
      await browser.close();
      throw error;
    } finally {
      await served.close(); // the page is loaded
    }
  }

  async run(scenario: Scenario): Promise<string> {
    const { webSocketUrl, patienceMs } = this.#target;
    const given = { scenario, where: { webSocketUrl, patienceMs } };
    const { note, error } = await this.#page.evaluate(({ scenario, where }) => window.runScenario(scenario, where), given);
    if (error !== undefined) throw new Error(error);
    return note;
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}
