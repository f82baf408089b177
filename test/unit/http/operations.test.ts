// Overview, node and connections: what of it whom is shown, and the states of connections.
import { beforeEach, describe, expect, test } from 'vitest';
import { trustedAccount } from '../../../server/broker/login.ts';
import { Sampler } from '../../../server/broker/sampler.ts';
import { AmqpPeer } from '../../support/amqp-peer.ts';
import { ApiServer, rightsWithout } from '../../support/api-server.ts';
import type { Peer } from '../../support/engine.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});

describe('the overview', () => {
  /** 10 messages to '/' and 2 to 'shop' between two samples. */
  async function overviewOf(user: string): Promise<unknown> {
    let sampler: Sampler | undefined;
    const all = { rate: () => 0, readyRate: 0, unackedRate: 0 };
    server = new ApiServer({
      rates: {
        get all() {
          return sampler?.all ?? all;
        },
        get publishers() {
          return sampler?.publishers ?? all;
        },
        queue: (queue) => sampler?.queue(queue),
        vhost: (name) => sampler?.vhost(name),
        exchange: (exchange) => sampler?.exchange(exchange),
      },
    });
    const { engine } = server;
    sampler = new Sampler(engine.broker, 1_000);
    engine.broker.vhosts.put('shop', {});
    const shop = engine.connect(trustedAccount('admin'), 'shop');
    engine.declare(shop, 'orders');
    const main = engine.connect();
    const limited = trustedAccount('limited');
    server.accounts.set('limited', {
      ...limited,
      tags: new Set(['management']),
      rights: (vhost) => (vhost === 'shop' ? rightsWithout() : undefined),
    });
    server.accounts.set('watcher', { ...limited, name: 'watcher', tags: new Set(['monitoring']), rights: () => undefined });
    sampler.sample();
    const publish = (peer: Peer, queue: string, count: number): void => {
      for (let i = 0; i < count; i++) engine.publish(peer, '', queue, 'm');
    };
    publish(main, 'q', 10);
    publish(shop, 'orders', 2);
    engine.time.settle();
    engine.time.advance(1_000);
    sampler.sample();
    return (await server.ask('GET', '/api/overview', user)).body;
  }

  test('shows who may not see everything the sums and rates of the vhosts they see', async () => {
    const body = await overviewOf('limited');
    expect(body).toMatchObject({
      queue_totals: { messages: 2, messages_details: { rate: 2 }, messages_ready: 2, messages_ready_details: { rate: 2 } },
      message_stats: { publish: 2, publish_details: { rate: 2 } },
    });
    expect(body).not.toHaveProperty('message_stats.confirm'); // nobody counts that by vhost
    expect(body).not.toHaveProperty('message_stats.return_unroutable');
  });

  test.each(['admin', 'watcher'])('shows %s the whole broker', async (user) => {
    const body = await overviewOf(user);
    expect(body).toMatchObject({
      queue_totals: { messages_details: { rate: 12 } },
      message_stats: { publish_details: { rate: 12 }, confirm: expect.any(Number), return_unroutable: 0 },
    });
  });
});

test('the node tells what the process holds, and where the memory alarm begins', async () => {
  server = new ApiServer({ facts: { ...server.options.facts, memory: () => ({ residentBytes: 123_456, alarmBytes: 200_000 }) } });
  expect((await server.ask('GET', '/api/nodes', 'admin')).body).toMatchObject([{ mem_used: 123_456, mem_limit: 200_000 }]);
});

test('under an alarm a connection is blocking, and blocked once it publishes, as in RabbitMQ', async () => {
  const { engine } = server;
  const states = async (): Promise<unknown> => {
    const { body } = await server.ask('GET', '/api/connections?columns=state', 'admin');
    return Array.isArray(body) ? body.map(({ state }) => state).toSorted() : body;
  };
  AmqpPeer.open(engine);
  const publishing = AmqpPeer.open(engine);
  expect(await states()).toEqual(['running', 'running']);
  engine.broker.memoryAlarm(true);
  expect(await states()).toEqual(['blocking', 'blocking']);
  publishing.publish(1, 'q', 'held');
  expect(await states()).toEqual(['blocked', 'blocking']);
  engine.broker.memoryAlarm(false);
  engine.time.settle();
  expect(await states()).toEqual(['running', 'running']);
});
