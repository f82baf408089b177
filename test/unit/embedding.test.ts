// The broker inside a user's own process: in memory or in a directory, on a port, and gone without a trace.

import { createHook } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect as connectAmqp } from 'amqplib';
import { connect } from 'leveret-client';
import { afterAll, describe, expect, test } from 'vitest';
import { createBroker } from '../../server/index.ts';
import { DataDirectory } from '../support/data-directory.ts';

test('connect() is a client over memory, on the same broker as those on the port', async () => {
  await using broker = createBroker();
  const here = await broker.connect({ name: 'inside' });
  const { url, port } = await broker.listen({ port: 0 });
  expect(url).toBe(`ws://127.0.0.1:${port}/ws`);
  const there = await connect(url, { user: 'guest', password: 'guest', reconnect: false });
  await here.declareQueue('jobs');
  await there.queue('jobs').publish({ n: 1 });
  const message = await here.queue('jobs').get();
  expect(message?.body).toEqual({ n: 1 });
  expect(message?.ack()).toBe(true);
  await here.call('ping', {});
  expect(broker.stats()).toMatchObject({
    broker: { connections: 2, queues: 1, messages: 0 },
    queues: [{ queue: 'jobs', counts: { published: 1, acked: 1 } }],
  });
  await there.close();
});

test('an AMQP port of its own serves clients that nobody here wrote, on the same broker', async () => {
  await using broker = createBroker();
  const { amqpUrl } = await broker.listen({ port: 0, amqpPort: 0 });
  const inside = await broker.connect();
  await inside.declareQueue('jobs');
  const outside = await connectAmqp(amqpUrl ?? '');
  const channel = await outside.createConfirmChannel();
  channel.sendToQueue('jobs', Buffer.from('{"n":1}'), { contentType: 'application/json', persistent: true });
  await channel.waitForConfirms();
  const message = await inside.queue('jobs').get();
  expect(message?.body).toEqual({ n: 1 });
  message?.ack();
  expect(broker.stats().broker.connections).toBe(2);
  await outside.close();
});

test('without an amqpPort there is none', async () => {
  await using broker = createBroker();
  expect((await broker.listen({ port: 0 })).amqpUrl).toBeUndefined();
});

test('a port that is taken takes the others with it, and leaves none open', async () => {
  await using first = createBroker();
  const { amqpUrl } = await first.listen({ port: 0, amqpPort: 0 });
  await using second = createBroker();
  const taken = Number(new URL(amqpUrl ?? '').port);
  await expect(second.listen({ port: 0, amqpPort: taken })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  expect((await second.listen({ port: 0, amqpPort: 0 })).amqpUrl).toMatch(/^amqp:/);
});

test('a large body passes both ways', async () => {
  await using broker = createBroker();
  const client = await broker.connect();
  await client.declareQueue('large');
  const body = new Uint8Array(3_000_000).map((_, i) => (i * 31) & 255);
  await client.queue('large').publish(body);
  for await (const message of client.queue('large').consume()) {
    expect(Buffer.compare(message.bytes, body)).toBe(0);
    message.ack();
    break;
  }
});

test('a second listen and a busy port reject, and the broker lives on', async () => {
  await using broker = createBroker();
  const { port } = await broker.listen({ port: 0 });
  await expect(broker.listen({ port: 0 })).rejects.toThrow('listens once');
  await using other = createBroker();
  await expect(other.listen({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const { port: own } = await other.listen({ port: 0 });
  expect(own).not.toBe(port);
});

test('after close nothing connects, and close may be called again', async () => {
  const broker = createBroker();
  const client = await broker.connect();
  await broker.close();
  await broker.close();
  expect(client.state).toBe('closed');
  await expect(broker.connect()).rejects.toThrow();
});

describe('with a data directory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'leveret-embedding-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('what was confirmed is there when the broker is created again', async () => {
    const dataDir = join(folder, 'kept');
    for (const round of [0, 1, 2]) {
      await using broker = createBroker({ dataDir });
      const client = await broker.connect();
      await client.declareQueue('jobs');
      expect((await client.queue('jobs').inspect()).ready).toBe(round);
      await client.queue('jobs').publish({ round });
    }
    await using broker = createBroker({ dataDir });
    expect(broker.stats()).toMatchObject({ queues: [{ queue: 'jobs', ready: 3 }] });
  });

  test('a second broker on the same directory is refused while there is a first, in the same process too', async () => {
    const dataDir = join(folder, 'one at a time');
    const first = createBroker({ dataDir });
    expect(() => createBroker({ dataDir })).toThrow(expect.objectContaining({ fault: 'in-use' }));
    await first.close();
    await createBroker({ dataDir }).close();
  });

  test('a directory that cannot be had is an error of createBroker, which leaves nothing behind', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => createBroker({ dataDir: join(file, 'data') })).toThrow(expect.objectContaining({ fault: 'unusable' }));
    expect(readFileSync(file, 'utf8')).toBe('');
    expect(() => createBroker({ dataDir: '' })).toThrow("'data-dir' must NOT have fewer than 1 characters");
  });
});

test('an option that there is none of is refused with the nearest one: a misspelt dataDir would keep nothing', () => {
  const plain: (options?: unknown) => unknown = createBroker as never; // as JavaScript calls it
  expect(() => plain({ datadir: './data' })).toThrow("createBroker: no option 'datadir': did you mean 'dataDir'?");
  expect(() => plain({ memory: true })).toThrow("createBroker: no option 'memory'; there are dataDir, ");
  for (const options of [null, './data']) expect(() => plain(options)).toThrow('createBroker: its options are an object');
});

test.each([
  ['in memory hashes no password, for nobody could read the hash again', false, 0],
  ["that keeps its data hashes the first user's once", true, 1],
])('a broker %s', async (_what, isKept, hashes) => {
  let count = 0;
  const hook = createHook({ init: (_id, type) => void (type === 'SCRYPTREQUEST' && count++) }).enable();
  using directory = new DataDirectory();
  const broker = isKept ? createBroker({ dataDir: directory.path }) : createBroker();
  await (await broker.connect()).close();
  await broker.close();
  hook.disable();
  expect(count).toBe(hashes);
});

test('without a data directory nothing is written', async () => {
  const before = readdirSync('.');
  await using broker = createBroker();
  const client = await broker.connect();
  await client.declareQueue('jobs');
  await client.queue('jobs').publish('x');
  expect(readdirSync('.')).toEqual(before);
});

test.each(['', '{ dataDir }'])('a process whose broker is closed ends by itself: createBroker(%s)', async (options) => {
  const folder = mkdtempSync(join(tmpdir(), 'leveret-embedding-'));
  const index = new URL('../../server/dist/server/index.js', import.meta.url).href;
  const program = `
    import { createBroker } from ${JSON.stringify(index)};
    const dataDir = ${JSON.stringify(folder)};
    const broker = createBroker(${options});
    const client = await broker.connect();
    await broker.listen({ port: 0 });
    await client.declareQueue('q', { arguments: { 'x-message-ttl': 60000, 'x-expires': 60000 } });
    await client.queue('q').publish('x');
    const worker = client.queue('q').work(() => new Promise(() => {}));
    await client.call('stats.open', { handle: 60000 });
    await broker.close();
    console.log('closed');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  expect((await once(child, 'close'))[0]).toBe(0);
  expect(printed).toBe('closed\n');
  rmSync(folder, { recursive: true });
});
