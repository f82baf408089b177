// leveret-client against the broker itself: what its documentation promises, end to end, over memory and over WebSocket; and every example in its sources.
import { readdirSync, readFileSync } from 'node:fs';
import { createBroker, type EmbeddedBroker } from 'leveret';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as client from '../../client/src/index.ts';
import { type Connection, Drop, type LeveretError, type Message, topology, type } from '../../client/src/index.ts';

let broker: EmbeddedBroker;
let mq: Connection;
const faults: LeveretError[] = [];

beforeEach(async () => {
  broker = createBroker();
  faults.length = 0;
  mq = await broker.connect();
  mq.on('fault', (error) => faults.push(error));
});
afterEach(async () => {
  await mq.close();
  await broker.close();
});

const until = async (isTrue: () => boolean | Promise<boolean>): Promise<void> => {
  for (let turn = 0; !(await isTrue()); turn++) {
    if (turn > 100_000) throw new Error('it never came true');
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe('topology', () => {
  const shop = topology({
    exchanges: {
      orders: { type: 'topic', alternate: 'lost', messages: { 'order.created': type<{ id: string; total: number }>() } },
      lost: { type: 'fanout' },
      reports: { type: 'headers' },
      all: { bindings: [{ from: 'orders', keys: ['#'] }], type: 'fanout' },
    },
    queues: {
      billing: { from: 'orders', keys: ['order.*'], maxPriority: 10, deadLetter: 'billing.dead', deliveryLimit: 2 },
      pdfs: { from: 'reports', match: { 'x-match': 'all', format: 'pdf' } },
      everything: { from: 'all' },
      unrouted: { from: 'lost' },
    },
  });

  test('is declared whole, and routes as it says', async () => {
    const shopMq = await broker.connect({ topology: shop });
    expect(await shopMq.exchange('orders').publish('order.created', { id: '1', total: 2 })).toEqual({ routed: 2 });
    expect(await shopMq.exchange('reports').publish('', 'a', { headers: { format: 'pdf' } })).toEqual({ routed: 1 });
    await expect(shopMq.exchange('reports').publish('', 'a', { headers: { format: 'txt' } })).rejects.toMatchObject({ code: 'NO_ROUTE' });
    const created = await shopMq.queue('billing').get();
    expect(created?.body.total).toBe(2);
    created?.reject();
    await until(async () => (await shopMq.queue('billing.dead').inspect()).ready === 1);
    await shopMq.drain();
  });

  test('that differs is refused with a diff, and with nothing changed', async () => {
    await (await broker.connect({ topology: shop })).close();
    const other = topology({
      exchanges: { orders: { type: 'direct' } },
      queues: { billing: { maxPriority: 5, deadLetter: 'billing.dead', deliveryLimit: 2 } },
    });
    const error: LeveretError = await broker.connect({ topology: other }).then(
      () => Promise.reject(new Error('connected')),
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: 'PRECONDITION_FAILED', replyCode: 406 });
    expect(error.reason).toContain('exchange orders\n  - type: ');
    expect(error.reason).toContain('queue billing\n  - x-max-priority: 10\n  + x-max-priority: 5');
    expect((await mq.queue('billing').inspect()).arguments['x-max-priority']).toBe(10);
  });
});

describe('publishing', () => {
  test('any body, with any header, comes back as it was', async () => {
    await mq.declareQueue('q');
    const headers = {
      text: 'ä',
      int: -5,
      big: 2 ** 40,
      huge: 2n ** 60n,
      real: 1.5,
      yes: true,
      no: null,
      at: new Date(1_700_000_000_000),
      raw: Uint8Array.of(0, 255),
      list: [1, 'two', [3]],
      deep: { a: { b: 1 } },
    };
    const bodies = [{ a: 1 }, 'text', Uint8Array.of(0, 254), null, 'x'.repeat(20_000), new Uint8Array(700_000).fill(7)];
    for (const body of bodies)
      await mq
        .queue('q')
        .publish(body, { headers, id: 'm', priority: 3, type: 't', correlationId: 'c', ttl: '1h', timestamp: new Date(5_000) });
    const seen: Message[] = [];
    for await (const msg of mq.queue('q').consume()) {
      seen.push(msg);
      msg.ack();
      if (seen.length === bodies.length) break;
    }
    expect(seen.map(({ body }) => body)).toEqual(bodies);
    for (const msg of seen) {
      expect({ ...msg.headers, deep: { ...(msg.headers['deep'] as object) } }).toMatchObject({ ...headers, deep: {} });
      expect(msg.properties).toMatchObject({
        messageId: 'm',
        priority: 3,
        type: 't',
        correlationId: 'c',
        expiration: '3600000',
        timestamp: 5,
        deliveryMode: 2,
      });
      expect([msg.key, msg.exchange, msg.attempt]).toEqual(['q', '', 1]);
    }
    expect(new Set(seen.map(({ id }) => id)).size).toBe(bodies.length);
  });

  test('a thousand at a time, all confirmed, in order', async () => {
    await mq.declareQueue('q');
    const q = mq.queue<number>('q');
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 1_000 }, (_, n) => q.publish(round * 1_000 + n)));
    const seen: number[] = [];
    for await (const msg of q.consume({ prefetch: 300 })) {
      seen.push(msg.body);
      msg.ack();
      if (seen.length === 3_000) break;
    }
    expect(seen).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
  });

  test('to an exchange that is not there, above a limit, or into a full queue: that publish alone is refused', async () => {
    await mq.declareQueue('full', { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
    const results = await Promise.allSettled([
      mq.exchange('nowhere').publish('k', 1),
      mq.queue('full').publish(1),
      mq.queue('full').publish(2),
      mq.queue('full').publish(new Uint8Array(17_000_000)),
    ]);
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason.code))).toEqual([
      'NOT_FOUND',
      { routed: 1 },
      'CONTENT_TOO_LARGE',
      'PRECONDITION_FAILED',
    ]);
    expect(mq.state).toBe('open');
  });

  test('without confirms it is sent, and what fails is a fault', async () => {
    await mq.declareQueue('q');
    await mq.queue('q').publish('a', { confirm: 'none' });
    await until(async () => (await mq.queue('q').inspect()).ready === 1);
    await mq.exchange('amq.topic').publish('nobody', 'b', { confirm: 'none' });
    await until(() => faults.length === 1);
    expect(faults[0]?.code).toBe('NO_ROUTE');
    await mq.exchange('nowhere').publish('k', 'c', { confirm: 'none' });
    await until(() => faults.length === 2);
    expect(faults[1]?.code).toBe('NOT_FOUND');
  });
});

describe('reading', () => {
  test('a worker acks, retries up to the limit, dead-letters a Drop; nothing is lost', async () => {
    await mq.declareQueue('dead');
    await mq.declareQueue('q', { arguments: { 'x-delivery-limit': 2, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' } });
    const attempts: Record<number, number> = {};
    const worker = mq.queue<number>('q').work({ concurrency: 4 }, async (msg) => {
      attempts[msg.body] = msg.attempt;
      if (msg.body === 3) throw new Drop('three');
      if (msg.body === 5) throw new Error('always');
      if (msg.body === 7 && msg.attempt === 1) throw new Error('once');
    });
    await Promise.all(Array.from({ length: 10 }, (_, n) => mq.queue('q').publish(n)));
    await until(async () => {
      const { ready, unacked } = await mq.queue('q').inspect();
      return ready + unacked === 0;
    });
    await worker.drain();
    expect(attempts).toMatchObject({ 0: 1, 3: 1, 5: 3, 7: 2 });
    const dead: unknown[] = [];
    for (let msg = await mq.queue('dead').get(); msg; msg = await mq.queue('dead').get()) {
      dead.push(msg.body);
      msg.ack();
    }
    expect(dead.sort()).toEqual([3, 5]);
  });

  test('leaving a loop returns what is unacked at once, and what was not handed out uncounted', async () => {
    await mq.declareQueue('q');
    for (let n = 0; n < 5; n++) await mq.queue('q').publish(n);
    for await (const msg of mq.queue('q').consume({ prefetch: 5 })) if (msg.body === 1) break;
    const again: [unknown, number][] = [];
    for await (const msg of mq.queue('q').consume({ prefetch: 5 })) {
      again.push([msg.body, msg.attempt]);
      msg.ack();
      if (again.length === 5) break;
    }
    expect(again.map(([body]) => body)).toEqual([0, 1, 2, 3, 4]);
    expect(again.slice(2).map(([, attempt]) => attempt)).toEqual([1, 1, 1]);
  });

  test('a lost connection comes back with its topology, its consumers and its publishes', async () => {
    const { url } = await broker.listen({ port: 0 });
    const links: client.Link[] = [];
    const transport: client.Transport = {
      open(to, handlers) {
        const link = client.webSocketTransport.open(to, handlers);
        links.push(link);
        return link;
      },
    };
    const topo = topology({ queues: { mine: { exclusive: true, durable: false }, kept: {} } });
    const ws = await client.connect(url, { transport, topology: topo, reconnect: { min: 1, max: 20 } });
    const seen = new Set<unknown>();
    ws.queue('kept').work({ concurrency: 10 }, (msg) => void seen.add(msg.body));
    const publishes: Promise<unknown>[] = [];
    for (let n = 0; n < 300; n++) {
      publishes.push(ws.queue('kept').publish(n, { id: String(n) }));
      if (n % 100 === 50) {
        await new Promise((resolve) => setImmediate(resolve));
        links.at(-1)?.close(1000);
      }
    }
    await Promise.all(publishes);
    await until(() => seen.size === 300);
    expect((await ws.queue('mine').inspect()).exclusive).toBe(true);
    expect(links.length).toBeGreaterThan(1);
    await ws.drain();
  });

  test('a tap sees what passes, statistics are pushed, requests are answered or say that nobody is there', async () => {
    const tap = mq.exchange('amq.topic').subscribe('order.*');
    const stats = mq.stats({ queues: 'no*', every: 100 });
    await mq.exchange('amq.topic').publish('order.created', { n: 1 }, { unroutable: 'ignore' });
    expect((await tap.next()).value?.body).toEqual({ n: 1 });
    await tap.cancel();
    expect((await stats.next()).value).toMatchObject({ ready: 0, queues: [] });
    await stats.cancel();
    const service = await mq.serve<number>('double', (msg) => {
      if (msg.body < 0) throw new Error('negative');
      return msg.body * 2;
    });
    expect(await Promise.all([1, 2, 3].map((n) => mq.request<number>('double', n)))).toEqual([2, 4, 6]);
    await expect(mq.request('double', -1)).rejects.toMatchObject({ code: 'REMOTE', reason: 'negative' });
    await service.drain();
    await expect(mq.request('double', 1)).rejects.toMatchObject({ code: 'NOBODY_ANSWERS' });
  });
});

describe('examples in the sources run', () => {
  const folder = new URL('../../client/src/', import.meta.url);
  const examples = readdirSync(folder).flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ''], n) => ({
      name: `${file} ${n + 1}`,
      code: code.replaceAll(/^ *\* ?/gm, ''),
    }));
  });
  const names = Object.keys(client);
  test('there are many', () => expect(examples.length).toBeGreaterThan(30));

  test.each(examples)('$name', async ({ code }) => {
    const { transformWithEsbuild } = await import('vite');
    const { code: plain } = await transformWithEsbuild(`async function run() {\n${code}\n}`, 'example.ts', { target: 'es2022' });
    const own = await broker.connect();
    const { url } = await broker.listen({ port: 0 });
    const run = new Function(...names, 'mq', 'console', `${plain.replaceAll('ws://guest:guest@localhost:15672/ws', url)}; return run();`);
    await run(...Object.values(client), own, { log() {} });
    await own.close();
  });
});
