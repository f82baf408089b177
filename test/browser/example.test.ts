// The example page in a real Chromium, against the built broker: figures, events and dead letters arrive, and hostile names stay text.
// Needs the program chromium; without it the suite is skipped with that reason, and fails where CI=true.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Connection, connect } from 'leveret-client';
import { type Browser, chromium, type Page as Tab } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Page, servePage } from '../../scripts/demo/page.ts';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const FOLDERS = (process.env['PATH'] ?? '').split(delimiter);
const executablePath = NAMES.flatMap((name) => FOLDERS.map((folder) => join(folder, name))).find((path) => existsSync(path));
const mustRun = process.env['CI'] === 'true';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const MORE_FLAGS = ['--disable-component-update', '--disable-sync'];

const HOSTILE = 'demo.<img src=x onerror="document.title=1">';

describe.skipIf(executablePath === undefined && !mustRun)('the example page in Chromium (skipped where there is no chromium)', () => {
  let broker: BuiltBroker;
  let page: Page;
  let browser: Browser;
  let mq: Connection;
  let tab: Tab;
  const complaints: string[] = [];

  beforeAll(async () => {
    if (executablePath === undefined) throw new Error('chromium is not on the PATH, and CI=true allows no skip');
    page = await servePage(new URL('../../client/example/', import.meta.url), 0);
    broker = await startBuiltBroker();
    mq = await connect(broker.url, { name: 'test' });
    for (const [exchange, type] of [
      ['demo.webhooks', 'topic'],
      ['demo.dead-letters', 'fanout'],
    ] as const) {
      await mq.declareExchange(exchange, { type });
    }
    for (const queue of ['demo.calm', HOSTILE]) {
      await mq.declareQueue(queue, { arguments: { 'x-dead-letter-exchange': 'demo.dead-letters' } });
      await mq.bindQueue(queue, 'demo.webhooks', '#');
    }
    browser = await chromium.launch({ executablePath, args: [...FLAGS, ...MORE_FLAGS] });
    tab = await browser.newPage();
    tab.on('pageerror', (error) => complaints.push(error.message));
    tab.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await tab.goto(`${page.url}?url=${encodeURIComponent(broker.url)}`);
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await mq?.close();
    await page?.close();
    await broker?.stop();
  });

  it('connects to the broker of its form and says so', async () => {
    await tab.waitForSelector('#state[data-state="open"]');
    expect(await tab.inputValue('input[name=url]')).toBe(broker.url);
    expect(await tab.textContent('#state')).toBe('connected');
  });

  it('shows the depth of each queue as it is', async () => {
    for (let number = 0; number < 7; number++) await mq.exchange('demo.webhooks').publish('push.none', { sender: { login: 'octo' } });
    const ready = tab.locator('#queues tbody tr', { hasText: 'demo.calm' }).locator('td').nth(1);
    await ready.filter({ hasText: /^7$/ }).waitFor();
  });

  it('shows events while they are published, with who sent them', async () => {
    const row = tab.locator('#events li', { hasText: 'star.created' });
    // A tap sees what comes after it: publish until it is there.
    while ((await row.count()) === 0) {
      await mq.exchange('demo.webhooks').publish('star.created', { sender: { login: 'octocat' }, repository: { full_name: 'octo/hello' } });
      await tab.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
    }
    expect(await row.first().locator('span').textContent()).toBe('octocat · octo/hello');
  });

  it('shows where and why a message died', async () => {
    const message = await mq.queue('demo.calm').get();
    message?.reject();
    const row = tab.locator('#dead li');
    await row.first().waitFor();
    expect(await row.first().locator('b').textContent()).toBe('rejected');
    expect(await row.first().locator('span').textContent()).toContain('demo.calm · push.none');
  });

  it('renders names and payloads as text, whatever they hold', async () => {
    await mq.exchange('demo.webhooks').publish('<b>key</b>', { sender: { login: '<i>me</i>' } });
    await tab.locator('#events li', { hasText: '<i>me</i>' }).waitFor();
    expect(await tab.locator('#queues tbody th').allTextContents()).toContain(HOSTILE);
    expect(await tab.locator('#queues img, #events i, #events b b, #dead img').count()).toBe(0);
    expect(await tab.title()).toBe('Leveret, live');
  });

  it('stops looking when told to, and looks again', async () => {
    await tab.click('#connect button');
    await tab.waitForSelector('#state[data-state="closed"]');
    await tab.click('#connect button');
    await tab.waitForSelector('#state[data-state="open"]');
  });

  it('is served on another port when its own is taken', async () => {
    const second = await servePage(new URL('../../client/example/', import.meta.url), Number(new URL(page.url).port));
    expect(second.url).not.toBe(page.url);
    expect((await fetch(second.url)).status).toBe(200);
    await second.close();
  });

  it('also opens from a file, without a server', async () => {
    const fromFile = await browser.newPage();
    await fromFile.goto(new URL('../../client/example/index.html', import.meta.url).href);
    await fromFile.fill('input[name=url]', 'ws://127.0.0.1:9/ws');
    expect(await fromFile.textContent('h1')).toBe('Leveretlive');
    // Its script runs: the button has another word than in the markup.
    expect(await fromFile.textContent('#connect button')).toBe('Disconnect');
    await fromFile.close();
  });

  it('has no error to complain about', () => {
    expect(complaints).toEqual([]);
  });
});
