// leveret-client/amqp: the same suite as over the Leveret protocol, and what differs on purpose (docs/client-amqp.md), row by row.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBroker, type EmbeddedBroker } from 'leveret';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as client from '../../client/src/amqp/index.ts';
import { type AmqpConnectOptions, type Connection, connect, type LeveretError, type Topology } from '../../client/src/amqp/index.ts';
import { nodeBytes } from '../../client/src/amqp/transport-node.ts';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { Started } from '../support/started.ts';
import { ROOT } from '../tidy/sources.ts';
import { clientContract } from './client-contract.ts';
import { failure, type Room, type Subject, until } from './client-subject.ts';

const DIFFERS = { uncounted: true, uninspected: true, unwatched: true, releasesCount: true };

function roomAt(url: string, vhost: string, close: () => Promise<void>): Room {
  return {
    connect: <T extends Topology>(options: AmqpConnectOptions<T> = {}) => connect<T>(url, { vhost, ...options }),
    async connectTorn<T extends Topology>(options: AmqpConnectOptions<T> = {}) {
      const links: client.ByteLink[] = [];
      const transport: client.ByteTransport = {
        open(to, handlers) {
          const link = nodeBytes().open(to, handlers);
          links.push(link);
          return link;
        },
      };
      const mq = await connect<T>(url, { vhost, ...options, transport });
      return { mq, tear: () => links.at(-1)?.cut(), links: () => links.length };
    },
    close,
  };
}

async function leveret(isWebSocket: boolean): Promise<Room> {
  const broker = createBroker();
  const { url, amqpUrl = '' } = await broker.listen({ port: 0, amqpPort: 0 });
  return roomAt(isWebSocket ? url : amqpUrl, '/', () => broker.close());
}

// One broker for all tests, and a vhost for each: it takes seconds to start.
const VHOSTS = 40;
let rabbit: RabbitMq | undefined;
let rooms = 0;
async function startRabbitMq(): Promise<() => Promise<void>> {
  const started = await RabbitMq.start({ config: ['max_message_size = 16777216'] });
  rabbit = started;
  rooms = 0;
  started.control(
    'eval',
    `[begin V = list_to_binary(["t", integer_to_list(N)]), rabbit_vhost:add(V, <<"test">>),
       rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, <<"test">>) end || N <- lists:seq(1, ${VHOSTS})].`,
  );
  return () => started.stop();
}
const rabbitRoom = async (): Promise<Room> => roomAt(rabbit?.url ?? '', `t${++rooms}`, async () => undefined);

const noStart: Subject['start'] = async () => async () => undefined;
// A nack does not say why, and Leveret's AMQP does not say it either way yet.
const toLeveret = { ...DIFFERS, overflow: 'REFUSED' };
clientContract({ name: 'AMQP over TCP to Leveret', start: noStart, room: () => leveret(false), differs: toLeveret });
clientContract({ name: 'AMQP over WebSocket to Leveret', start: noStart, room: () => leveret(true), differs: toLeveret });

describe.skipIf(!hasRabbitMq())('RabbitMQ', () => {
  // Its classic queues count no deliveries.
  const differs = { ...DIFFERS, overflow: 'REFUSED', counting: { 'x-queue-type': 'quorum' } };
  let stop: () => Promise<void>;
  beforeAll(async () => {
    stop = await startRabbitMq();
  });
  afterAll(() => stop());
  clientContract({ name: 'AMQP over TCP to RabbitMQ', start: noStart, room: rabbitRoom, differs });

  describe('what only it can be asked', () => {
    let broker: RabbitMq;
    let mq: Connection;
    beforeAll(async () => {
      if (rabbit === undefined) throw new Error('RabbitMQ has not started');
      broker = rabbit;
      broker.control('add_user', 'writer', 'secret');
      broker.control('set_permissions', '-p', '/', 'writer', '', '^amq.topic$', '.*');
      broker.control('set_topic_permissions', '-p', '/', 'writer', 'amq.topic', '^allowed', '.*');
      mq = await connect(broker.url, { name: 'asked', reconnect: { min: 1, max: 20 } });
    });
    afterAll(async () => {
      await mq?.close();
    });

    test('an alarm blocks, its end unblocks, and what was published meanwhile is stored', async () => {
      const reasons: (string | undefined)[] = [];
      const stop = mq.on('blocked', (reason) => reasons.push(reason));
      await mq.declareQueue('alarmed');
      broker.control('set_vm_memory_high_watermark', '0');
      const published = Promise.all(Array.from({ length: 10 }, (_, n) => mq.queue('alarmed').publish(n)));
      await until(() => reasons.length === 1);
      expect(reasons[0]).toMatch(/memory/);
      broker.control('set_vm_memory_high_watermark', '0.4');
      await published;
      await until(() => reasons.length === 2);
      expect(reasons[1]).toBeUndefined();
      expect((await mq.declareQueue('alarmed', { passive: true })).messageCount).toBe(10);
      stop();
    });

    test('it lists the connection by its name; when it closes that, another is made, and the publishes go on', async () => {
      expect(broker.control('list_connections', 'client_properties')).toContain('"connection_name","asked"');
      const states: (string | undefined)[] = [];
      const stop = mq.on('state', (state, why) => states.push(why?.code ?? state));
      broker.control('close_all_connections', 'maintenance');
      await until(() => states.at(-1) === 'open');
      expect(states[0]).toBe('CONNECTION_FORCED');
      stop();
    });

    test('who may not write is told so for that publish alone, by exchange and by topic', async () => {
      const writer = await connect(broker.url.replace('guest:guest', 'writer:secret'));
      await mq.declareQueue('allowed');
      await mq.bindQueue('allowed', 'amq.topic', '#');
      const results = await Promise.allSettled([
        writer.exchange('amq.topic').publish('allowed.a', 1),
        writer.exchange('amq.topic').publish('allowed.b', 2),
        writer.exchange('amq.direct').publish('k', 3),
        writer.exchange('amq.topic').publish('allowed.c', 4),
        writer.exchange('amq.topic').publish('other', 5),
        writer.exchange('amq.topic').publish('allowed.d', 6),
      ]);
      const codes = results.map((each) => (each.status === 'fulfilled' ? 'stored' : (each.reason as LeveretError).code));
      expect(codes).toEqual(['stored', 'stored', 'ACCESS_REFUSED', 'stored', 'ACCESS_REFUSED', 'stored']);
      await writer.close();
    });
  });
});

describe('on Leveret', () => {
  let broker: EmbeddedBroker;
  let url: string;
  let mq: Connection;
  beforeEach(async () => {
    broker = createBroker();
    url = (await broker.listen({ port: 0, amqpPort: 0 })).amqpUrl ?? '';
    mq = await connect(url);
  });
  afterEach(async () => {
    await mq.close();
    await broker.close();
  });

  test('what docs/client-amqp.md says is unsupported is rejected so, each with what to do instead', async () => {
    const text = readFileSync(join(ROOT, 'docs/client-amqp.md'), 'utf8');
    const calls = [...text.matchAll(/^\| `(.*?)` \| UNSUPPORTED \|/gm)].map(([, call = '']) => call);
    expect(calls.length).toBeGreaterThan(4);
    await mq.declareQueue('billing');
    for (const call of calls) {
      const run = new Function(
        'mq',
        `return (async () => { const value = await ${call}; return 'next' in Object(value) ? value.next() : value; })()`,
      );
      expect(await failure(run(mq)), call).toMatchObject({ code: 'UNSUPPORTED', retryable: false, hint: expect.any(String) });
    }
  });

  test('what a soft error meets is that publish: nothing else is stored twice, or lost', async () => {
    await mq.declareExchange('inside', { type: 'fanout', internal: true });
    await mq.declareQueue('q');
    const results = await Promise.allSettled(
      Array.from({ length: 60 }, (_, n) => {
        if (n % 20 === 5) return mq.exchange('inside').publish('k', n);
        if (n % 20 === 10) return mq.exchange('nowhere').publish('k', n);
        if (n % 20 === 15) return mq.queue('q').publish(n, { userId: 'somebody else' });
        return mq.queue('q').publish(n);
      }),
    );
    const codes = results.map((each) => (each.status === 'fulfilled' ? 'stored' : (each.reason as LeveretError).code));
    const wanted = (n: number) => ({ 5: 'ACCESS_REFUSED', 10: 'NOT_FOUND', 15: 'PRECONDITION_FAILED' })[n % 20] ?? 'stored';
    expect(codes).toEqual(Array.from({ length: 60 }, (_, n) => wanted(n)));
    const stored: unknown[] = [];
    for (let msg = await mq.queue('q').get({ noAck: true }); msg; msg = await mq.queue('q').get({ noAck: true })) stored.push(msg.body);
    expect(stored).toEqual(Array.from({ length: 60 }, (_, n) => n).filter((n) => wanted(n) === 'stored'));
  });

  test('the first url that answers is taken, and a refused login says why', async () => {
    const other = await connect(['amqp://127.0.0.1:1', url], { reconnect: { min: 1, max: 5 } });
    expect(other.broker).toMatchObject({ vhost: '/', user: 'guest' });
    await other.close();
    const refused = await failure(connect(url, { password: 'wrong' }));
    expect(refused).toMatchObject({ code: 'ACCESS_REFUSED', replyCode: 403, reason: expect.stringContaining('Login was refused') });
    expect(await failure(connect(`${url}/nowhere`))).toMatchObject({ code: 'NOT_ALLOWED', replyCode: 530 });
  });
});

test('amqps is TLS, with a certificate that is checked, and the certificate of a client is its login', async () => {
  const path = (name: string): string => join(ROOT, `test/support/tls/${name}.pem`);
  const pem = (name: string): string => readFileSync(path(name), 'utf8');
  const flags = ['--tls-cert', path('server'), '--tls-key', path('server-key'), '--tls-ca', path('ca'), '--tls-client-certificate', 'ask'];
  const user = { LEVERET_DEFAULT_USER: 'orders-service', LEVERET_DEFAULT_PASS: 'secret' }; // the name in the certificate
  const started = new Started(['--memory', '--http-port', '0', '--https-port', '0', '--amqps-port', '0', ...flags], user);
  await started.port();
  const url = /amqps:\/\/[^\s"]+/.exec(started.out)?.[0] ?? '';
  const certified = { ca: pem('ca'), cert: pem('client'), key: pem('client-key') };
  const mq = await connect(url.replace('amqps://', 'amqps://nobody:nothing@'), { tls: certified, mechanism: 'EXTERNAL' });
  await mq.declareQueue('q');
  await mq.queue('q').publish('over TLS');
  expect((await mq.queue('q').get())?.body).toBe('over TLS');
  await mq.close();
  expect(await failure(connect(url, { tls: { ca: pem('stranger') }, reconnect: false }))).toMatchObject({ code: 'DISCONNECTED' });
});

describe('examples in the sources run', () => {
  const folder = new URL('../../client/src/amqp/', import.meta.url);
  const examples = readdirSync(folder).flatMap((file) =>
    [...readFileSync(new URL(file, folder), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ''], n) => ({
      name: `${file} ${n + 1}`,
      code: code.replaceAll(/^ *\* ?/gm, ''),
    })),
  );
  test('there are some', () => expect(examples.length).toBeGreaterThan(1));

  test.each(examples)('$name', async ({ code }) => {
    const { transformWithEsbuild } = await import('vite');
    const { code: plain } = await transformWithEsbuild(`async function run() {\n${code}\n}`, 'example.ts', { target: 'es2022' });
    const broker = createBroker();
    const { amqpUrl = '' } = await broker.listen({ port: 0, amqpPort: 0 });
    const run = new Function(
      ...Object.keys(client),
      'console',
      `${plain.replaceAll('amqp://guest:guest@localhost:5672', amqpUrl)}; return run();`,
    );
    await run(...Object.values(client), { log() {} });
    await broker.close();
  });
});
