// How a connection comes up, stays up and ends, against a scripted broker and on the test's own time.
import { describe, expect, test } from 'vitest';
import { type LeveretError, topology } from '../../../client/src/index.ts';
import { FakeBroker, HELLO, turns } from './fake-broker.ts';

describe('connecting', () => {
  test('says hello with the credentials of the url, which never show in errors', async () => {
    const broker = new FakeBroker();
    const mq = await broker.connect({}, 'ws://ann:s%40crit@host:1/ws');
    expect(broker.link.url).toBe('ws://host:1/ws');
    expect(broker.link.requests('hello')[0]).toMatchObject({ version: 1, user: 'ann', password: 's@crit', vhost: '/' });
    expect(mq.state).toBe('open');
    expect(mq.broker.product).toBe('Fake');
    await mq.close();
  });

  test('tries again without end, each url in its turn, waiting longer each time up to the limit, jittered', async () => {
    const broker = new FakeBroker();
    broker.isUp = false;
    broker.random = 1;
    const states: string[] = [];
    const opening = broker.connect({ reconnect: { min: 100, max: 1_000 }, onState: (state) => states.push(state) }, [
      'ws://a/',
      'ws://b/',
      'ws://c/',
    ]);
    await turns();
    const at: number[] = [];
    const start = broker.clock.now();
    for (let n = 0; n < 8; n++) {
      const before = broker.links.length;
      while (broker.links.length === before) await broker.advance(10);
      at.push(broker.clock.now() - start);
    }
    expect(at.map((ms, n) => ms - (at[n - 1] ?? 0))).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
    expect(broker.links.slice(0, 4).map((link) => link.url)).toEqual(['ws://a/', 'ws://b/', 'ws://c/', 'ws://a/']);
    broker.isUp = true;
    await broker.advance(1_000);
    const mq = await opening;
    expect(states.slice(0, 3)).toEqual(['waiting', 'connecting', 'waiting']);
    expect(states.at(-1)).toBe('open');
    await mq.close();
  });

  test('half of the wait is chance', async () => {
    const broker = new FakeBroker();
    broker.isUp = false;
    broker.random = 0;
    const abort = new AbortController();
    const opening = broker.connect({ reconnect: { min: 100 }, signal: abort.signal });
    await turns();
    await broker.advance(49);
    expect(broker.links).toHaveLength(1);
    await broker.advance(1);
    expect(broker.links).toHaveLength(2);
    abort.abort();
    await expect(opening).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('with reconnect: false an unreachable broker rejects at once, as retryable', async () => {
    const broker = new FakeBroker();
    broker.isUp = false;
    await expect(broker.connect({ reconnect: false })).rejects.toMatchObject({ code: 'DISCONNECTED', retryable: true });
    expect(broker.links).toHaveLength(1);
    expect(broker.clock.pendingTimers).toBe(0);
  });

  test('a broker that does not answer hello in time is given up for the next', async () => {
    const broker = new FakeBroker();
    broker.answers['hello'] = () => undefined;
    const opening = broker.connect({ connectTimeout: '3s' }, ['ws://a/', 'ws://b/']);
    await turns();
    broker.answers['hello'] = () => ({ ok: HELLO });
    await broker.advance(3_000);
    await broker.advance(200);
    const mq = await opening;
    expect(broker.links.map((link) => link.url)).toEqual(['ws://a/', 'ws://b/']);
    await mq.close();
  });

  test('a refused login rejects, and is not tried again', async () => {
    const broker = new FakeBroker();
    broker.answers['hello'] = () => ({ error: { code: 403, reason: 'ACCESS_REFUSED - login failed' } });
    await expect(broker.connect()).rejects.toMatchObject({ code: 'ACCESS_REFUSED', replyCode: 403 });
    expect(broker.clock.pendingTimers).toBe(0);
  });

  test("a url that is none is the caller's fault", async () => {
    await expect(new FakeBroker().connect({}, 'nonsense')).rejects.toMatchObject({ code: 'INVALID' });
  });
});

describe('topology', () => {
  const shop = topology({
    exchanges: { orders: { type: 'topic', alternate: 'lost' }, lost: { type: 'fanout' } },
    queues: { billing: { from: 'orders', keys: ['order.*', 'refund.#'], maxPriority: 10, ttl: '1m', deadLetter: 'billing.dead' } },
  });

  test('is declared on connect, exchanges first, bindings last, without waiting between', async () => {
    const broker = new FakeBroker();
    const mq = await broker.connect({ topology: shop });
    expect(broker.link.ops()).toEqual([
      'hello',
      'exchange.declare',
      'exchange.declare',
      'queue.declare',
      'queue.declare',
      'queue.bind',
      'queue.bind',
      'publisher.open',
    ]);
    expect(broker.link.requests('queue.declare')).toEqual([
      {
        queue: 'billing',
        durable: true,
        exclusive: false,
        autoDelete: false,
        arguments: {
          'x-max-priority': 10,
          'x-message-ttl': 60_000,
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': 'billing.dead',
        },
      },
      { queue: 'billing.dead', durable: true, exclusive: false, autoDelete: false, arguments: {} },
    ]);
    expect(broker.link.requests('queue.bind').map(({ key }) => key)).toEqual(['order.*', 'refund.#']);
    await mq.close();
  });

  test('is declared again on every reconnect, before consumers come back', async () => {
    const broker = new FakeBroker();
    const mq = await broker.connect({ topology: shop });
    const loop = mq.queue('billing').consume();
    await turns();
    broker.link.cut();
    await broker.advance(1_000);
    const ops = broker.link.ops();
    expect(ops.filter((op) => op === 'queue.declare')).toHaveLength(2);
    expect(ops.indexOf('consume')).toBeGreaterThan(ops.lastIndexOf('queue.bind'));
    await loop.cancel();
    await mq.close();
  });

  test('what differs from the broker rejects with a diff', async () => {
    const broker = new FakeBroker();
    broker.answers['queue.declare'] = ({ queue }) =>
      queue === 'billing'
        ? { error: { code: 406, reason: "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'billing' in vhost '/'" } }
        : { ok: { queue, messageCount: 0, consumerCount: 0 } };
    broker.answers['exchange.declare'] = ({ exchange }) =>
      exchange === 'lost'
        ? {
            error: {
              code: 406,
              reason:
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'lost' in vhost '/': received 'fanout' but current is 'direct'",
            },
          }
        : { ok: { exchange } };
    broker.answers['queue.inspect'] = () => ({
      ok: {
        queue: 'billing',
        durable: false,
        exclusive: false,
        autoDelete: false,
        arguments: { 'x-max-priority': 5, 'x-message-ttl': 60_000 },
      },
    });
    const error: LeveretError = await broker.connect({ topology: shop }).then(
      () => Promise.reject(new Error('connected')),
      (reason) => reason,
    );
    expect(error.code).toBe('PRECONDITION_FAILED');
    expect(error.reason.split('\n').slice(1)).toEqual([
      '  exchange lost',
      "  - type: 'direct'",
      "  + type: 'fanout'",
      '  queue billing',
      '  - durable: false',
      '  + durable: true',
      '  - x-max-priority: 5',
      '  + x-max-priority: 10',
      '  + x-dead-letter-exchange: ""',
      '  + x-dead-letter-routing-key: "billing.dead"',
    ]);
  });
});

describe('staying up', () => {
  test('a silent broker is asked once, then left for another', async () => {
    const broker = new FakeBroker();
    broker.answers['ping'] = () => undefined;
    const why: (string | undefined)[] = [];
    const mq = await broker.connect({ onState: (_state, error) => why.push(error?.reason) });
    const first = broker.link;
    await broker.advance(30_000); // something was heard in this one: hello's answer
    await broker.advance(30_000);
    expect(first.ops()).toContain('ping');
    await broker.advance(60_000);
    expect(broker.links.length).toBeGreaterThan(1);
    expect(why.some((reason) => reason?.includes('silent'))).toBe(true);
    await mq.close();
  });

  test('an operation waits for the connection; one whose answer is lost is rejected as retryable', async () => {
    const broker = new FakeBroker();
    const mq = await broker.connect();
    const answer = broker.answers['queue.purge'];
    broker.answers['queue.purge'] = () => undefined;
    const lost = mq.queue('q').purge();
    await turns();
    broker.link.cut();
    await expect(lost).rejects.toMatchObject({ code: 'DISCONNECTED', retryable: true });
    if (answer) broker.answers['queue.purge'] = answer;
    const waits = mq.queue('q').purge();
    await broker.advance(1_000);
    expect(await waits).toBe(3);
    await mq.close();
  });

  test.each([
    ['text that is no JSON', (broker: FakeBroker) => broker.link.text('{')],
    ['a frame cut short', (broker: FakeBroker) => broker.link.binary(Uint8Array.of(4, 0, 1, 0, 0))],
    ['a confirm for what was never published', (broker: FakeBroker) => broker.link.confirm(1, 5)],
    [
      'a message that says it is larger than any may be',
      (broker: FakeBroker) => {
        const parts = Uint8Array.of(0, 0, 0, 60, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
        broker.link.frame(2, 2, (bytes, at) => {
          bytes.set(parts, at + 25);
          return at + 25 + parts.length;
        });
      },
    ],
  ])('%s ends the connection, and the next is made', async (_name, send) => {
    const broker = new FakeBroker();
    const mq = await broker.connect();
    const loop = mq.queue('q').consume();
    await turns();
    const first = broker.link;
    send(broker);
    expect(first.said.at(-1)).toEqual({ kind: 'close', code: 4501 });
    await broker.advance(1_000);
    expect(mq.state).toBe('open');
    expect(broker.link).not.toBe(first);
    await loop.cancel();
    await mq.close();
  });

  test('closing leaves no timer, and what is asked afterwards says so', async () => {
    const broker = new FakeBroker();
    const mq = await broker.connect();
    const waiting = mq.exchange('e').publish('k', 1);
    await mq.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(mq.exchange('e').publish('k', 1)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(mq.queue('q').purge()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(() => mq.queue('q').consume()).toThrow('closed');
    expect(mq.state).toBe('closed');
    expect(broker.clock.pendingTimers).toBe(0);
  });
});
