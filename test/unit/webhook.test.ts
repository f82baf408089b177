// The webhook against a local server: what it sends, what it tries again, and that nobody waits for it.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Notice } from '../../server/ports.ts';
import { sign, Webhook } from '../../server/webhook.ts';
import { VirtualClock } from '../support/clock.ts';

interface Taken {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Answers with `statuses`, one after the other, then 204; 0 never answers. */
async function receiver(...statuses: number[]) {
  const taken: Taken[] = [];
  const waiting: (() => void)[] = [];
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    taken.push({ headers: request.headers, body });
    const status = statuses.shift() ?? 204;
    if (status !== 0) response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
    waiting.shift()?.();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return { url, taken, next: () => new Promise<void>((resolve) => waiting.push(resolve)) };
}

function webhook(url: string, options: { secret?: string; timeoutMs?: number } = {}) {
  const clock = new VirtualClock();
  const notices: Notice[] = [];
  const hook = new Webhook({ url, clock, notices: { notice: (notice) => notices.push(notice) }, ...options });
  ends.push(() => hook.close());
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
  };
  return { hook, clock, notices, until };
}

test('an alert is one POST of JSON, signed over its time and body', async () => {
  const { url, taken } = await receiver();
  const { hook, until, clock } = webhook(url, { secret: 'planted' });
  hook.push({ state: 'raised', queue: 'dead' });
  await until(() => hook.sent === 1);
  const [{ headers, body }] = taken as [Taken];
  expect(JSON.parse(body)).toEqual({ state: 'raised', queue: 'dead' });
  expect(headers['content-type']).toBe('application/json');
  const timestamp = String(Math.floor(clock.now() / 1000));
  expect(headers['x-leveret-timestamp']).toBe(timestamp);
  expect(headers['x-leveret-signature']).toBe(`sha256=${sign('planted', timestamp, body)}`);
});

test('without a secret there is no signature', async () => {
  const { url, taken } = await receiver();
  const { hook, until } = webhook(url);
  hook.push({});
  await until(() => hook.sent === 1);
  expect(taken[0]?.headers['x-leveret-signature']).toBeUndefined();
});

test('a receiver that is busy is asked again, later and later, with the same delivery id', async () => {
  const { url, taken } = await receiver(503, 429);
  const { hook, clock, until } = webhook(url);
  hook.push({ n: 1 });
  hook.push({ n: 2 });
  for (const [tries, pauseMs] of [
    [1, 1_000],
    [2, 2_000],
  ] as const) {
    await until(() => taken.length === tries && clock.pendingTimers === 1);
    await clock.advance(pauseMs - 1);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(1);
  }
  await until(() => hook.sent === 2);
  expect(taken.map(({ body }) => JSON.parse(body).n)).toEqual([1, 1, 1, 2]);
  const ids = taken.map(({ headers }) => headers['x-leveret-delivery']);
  expect(new Set(ids.slice(0, 3)).size).toBe(1);
  expect(ids[3]).not.toBe(ids[0]);
});

test('one that refuses, or sends elsewhere, is not asked again: the alert has failed, and a notice says so without the path', async () => {
  const { url, taken } = await receiver(400, 302);
  const { hook, notices, until } = webhook(url, { secret: 'planted' });
  hook.push({});
  hook.push({});
  await until(() => hook.failed === 2);
  expect(taken).toHaveLength(2);
  expect(notices.map(({ fields }) => fields['status'])).toEqual([400, 302]);
  expect(JSON.stringify(notices)).not.toMatch(/planted|\/hook/);
});

test('six tries without an answer are all; what waits meanwhile is bounded, and the oldest goes', async () => {
  const { url } = await receiver();
  const { hook, clock, until } = webhook(url.replace(/:\d+/, ':1'));
  for (let n = 0; n < 100; n++) hook.push({ n });
  expect(hook.dropped).toBe(0);
  for (let tries = 1; tries < 6; tries++) {
    await until(() => clock.pendingTimers === 1);
    await clock.advance(16_000);
  }
  await until(() => hook.failed === 1);
  for (let n = 0; n < 5; n++) hook.push({ n });
  expect(hook.dropped).toBe(4); // 99 waited
});

test('a receiver that never answers costs a try, and closing ends it', async () => {
  const { url } = await receiver(0);
  const { hook, clock, until } = webhook(url, { timeoutMs: 50 });
  hook.push({});
  await until(() => clock.pendingTimers === 1);
  hook.close();
  expect(clock.pendingTimers).toBe(0);
});

test('what is no http address is refused', () => {
  expect(() => webhook('file:///etc/passwd')).toThrow(TypeError);
});
