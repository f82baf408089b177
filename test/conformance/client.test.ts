// leveret-client over the Leveret protocol, in memory and over WebSocket; and every example in its sources, against the broker itself.
import { readdirSync, readFileSync } from 'node:fs';
import { createBroker } from 'leveret';
import { describe, expect, test } from 'vitest';
import * as client from '../../client/src/index.ts';
import { clientContract } from './client-contract.ts';
import type { Room } from './client-subject.ts';

/** The links of the client's own WebSocket, and a way to tear the last. */
function tearable(): { transport: client.Transport; tear(): void; links(): number } {
  const links: client.Link[] = [];
  const transport: client.Transport = {
    open(to, handlers) {
      const link = client.webSocketTransport.open(to, handlers);
      links.push(link);
      return link;
    },
  };
  return { transport, tear: () => links.at(-1)?.close(1000), links: () => links.length };
}

async function room(isInMemory: boolean): Promise<Room> {
  const broker = createBroker();
  const { url } = await broker.listen({ port: 0 });
  return {
    connect: (options) => (isInMemory ? broker.connect(options) : client.connect(url, options)),
    async connectTorn(options) {
      const { transport, ...rest } = tearable();
      return { mq: await client.connect(url, { ...options, transport }), ...rest };
    },
    close: () => broker.close(),
  };
}
const start = async () => async () => undefined;

clientContract({ name: 'the Leveret protocol in memory', start, room: () => room(true), differs: {} });
clientContract({ name: 'the Leveret protocol over WebSocket', start, room: () => room(false), differs: {} });

describe('examples in the sources run', () => {
  const folder = new URL('../../client/src/', import.meta.url);
  const examples = readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
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
    const broker = createBroker();
    const own = await broker.connect();
    const { url } = await broker.listen({ port: 0 });
    const run = new Function(...names, 'mq', 'console', `${plain.replaceAll('ws://guest:guest@localhost:15672/ws', url)}; return run();`);
    await run(...Object.values(client), own, { log() {} });
    await own.close();
    await broker.close();
  });
});
