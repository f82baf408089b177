// Reading: workers, loops, batches, taps, statistics, requests. On the test's own time.
import { describe, expect, test } from 'vitest';
import { type Batch, Drop, type LeveretError, type Message } from '../../../client/src/index.ts';
import { FakeBroker, turns } from './fake-broker.ts';

const FIRST = 2; // the first handle that is not the publisher's

async function connected() {
  const broker = new FakeBroker();
  const mq = await broker.connect();
  const faults: LeveretError[] = [];
  mq.on('fault', (error) => faults.push(error));
  return { broker, mq, faults };
}

describe('a message', () => {
  test('decodes what is asked for, and nothing of it changes when the transport reuses its bytes', async () => {
    const { broker, mq } = await connected();
    const loop = mq.queue('q').consume();
    await turns();
    broker.link.deliver(
      FIRST,
      9,
      { total: 1 },
      {
        messageId: 'm',
        headers: new Map<string, string | number>([
          ['__proto__', 'x'],
          ['n', 1],
        ]),
        priority: 4,
      },
      2,
    );
    broker.link.deliver(FIRST, 10, Uint8Array.of(1, 2), {});
    const first = (await loop.next()).value as Message<{ total: number }>;
    expect([first.body, first.key, first.exchange, first.messageId, first.id, first.attempt, first.redelivered]).toEqual([
      { total: 1 },
      'q',
      '',
      'm',
      '7-9',
      3,
      true,
    ]);
    expect(Object.entries(first.headers)).toEqual([
      ['__proto__', 'x'],
      ['n', 1],
    ]);
    expect(first.properties.priority).toBe(4);
    const second = (await loop.next()).value as Message;
    expect([second.body, second.attempt, second.redelivered, second.headers]).toEqual([Uint8Array.of(1, 2), 1, false, {}]);
    expect(first.ack()).toBe(true);
    expect(first.ack()).toBe(false);
    expect(first.nack()).toBe(false);
    await loop.cancel();
    await mq.close();
  });

  test('is put together from its parts, which other messages may come between', async () => {
    const { broker, mq } = await connected();
    const loop = mq.queue('q').consume();
    await turns();
    broker.link.deliver(FIRST, 1, 'x'.repeat(1_000), {}, 0, [100, 300, 900]);
    const { value } = await loop.next();
    expect(value?.body).toBe('x'.repeat(1_000));
    await loop.cancel();
    await mq.close();
  });

  test('settles of a turn leave as one message', async () => {
    const { broker, mq } = await connected();
    const loop = mq.queue('q').consume();
    await turns();
    for (let tag = 1; tag <= 3; tag++) broker.link.deliver(FIRST, tag, tag);
    const messages = [await loop.next(), await loop.next(), await loop.next()].map(({ value }) => value as Message);
    messages[0]?.ack();
    messages[1]?.nack();
    messages[2]?.reject();
    await turns();
    expect(broker.link.settles()).toEqual(['ack 1', 'nack+ 2', 'reject 3']);
    expect(new Set(broker.link.said.flatMap((said) => (said.kind === 'settle' ? [said.message] : [])))).toHaveProperty('size', 1);
    await loop.cancel();
    await mq.close();
  });

  test('of a lost connection cannot be settled: it will come again', async () => {
    const { broker, mq } = await connected();
    const loop = mq.queue('q').consume();
    await turns();
    broker.link.deliver(FIRST, 1, 'a');
    broker.link.deliver(FIRST, 2, 'b');
    const { value } = await loop.next();
    broker.link.cut();
    expect(value?.ack()).toBe(false);
    await broker.advance(1_000);
    expect(broker.link.requests('consume')).toHaveLength(1);
    broker.link.deliver(FIRST, 1, 'a', {}, 1);
    expect((await loop.next()).value?.body).toBe('a'); // 'b' was forgotten here: the broker has it
    await loop.cancel();
    expect(broker.link.settles()).toEqual(['nack+ 1']);
    await mq.close();
  });
});

describe('a loop', () => {
  test('left by break cancels first, then returns what is unacked: what was not handed out uncounted', async () => {
    const { broker, mq } = await connected();
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const msg of mq.queue('q').consume({ prefetch: 10 })) {
        seen.push(msg.body);
        if (msg.body === 1) msg.ack();
        else break;
      }
    })();
    await turns();
    expect(broker.link.requests('consume')[0]).toMatchObject({ queue: 'q', prefetch: 10 });
    for (let tag = 1; tag <= 4; tag++) broker.link.deliver(FIRST, tag, tag);
    await reading;
    expect(seen).toEqual([1, 2]);
    expect(broker.link.settles()).toEqual(['ack 1', 'nack+ 2', 'release 3', 'release 4']);
    const cancelAt = broker.link.said.findIndex((said) => said.kind === 'text' && said.op === 'consumer.cancel');
    expect(broker.link.said.findIndex((said) => said.kind === 'settle' && said.action !== 'ack')).toBeGreaterThan(cancelAt);
    await mq.close();
  });

  test('what arrives after the cancel goes back', async () => {
    const { broker, mq } = await connected();
    broker.answers['consumer.cancel'] = (_fields, link) => {
      queueMicrotask(() => link.deliver(FIRST, 5, 'late'));
      return { ok: {} };
    };
    const loop = mq.queue('q').consume();
    await turns();
    await loop.cancel();
    await turns();
    expect(broker.link.settles()).toEqual(['release 5']);
    await mq.close();
  });

  test('whose queue is not there throws; so does one whose queue is deleted', async () => {
    const { broker, mq } = await connected();
    const answer = broker.answers['consume'];
    broker.answers['consume'] = () => ({ error: { code: 404, reason: "NOT_FOUND - no queue 'q' in vhost '/'" } });
    await expect(mq.queue('q').consume().next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    if (answer) broker.answers['consume'] = answer;
    const loop = mq.queue('q').consume();
    await turns();
    broker.link.text({ event: 'cancelled', handle: FIRST, reason: 'queue deleted' });
    await expect(loop.next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    await mq.close();
  });

  test('begun while the connection is down starts with the next', async () => {
    const { broker, mq } = await connected();
    broker.link.cut();
    const loop = mq.queue('q').consume();
    await broker.advance(1_000);
    broker.link.deliver(FIRST, 1, 'a');
    expect((await loop.next()).value?.body).toBe('a');
    await mq.drain();
    expect(await loop.next()).toEqual({ done: true, value: undefined });
  });

  test('handles are used again once free', async () => {
    const { broker, mq } = await connected();
    for (let n = 0; n < 5; n++) await mq.queue('q').consume().cancel();
    expect(broker.link.requests('consume').map(({ handle }) => handle)).toEqual([2, 2, 2, 2, 2]);
    await mq.close();
  });
});

describe('batches', () => {
  test('a full one comes at once, a smaller one when its time is over', async () => {
    const { broker, mq } = await connected();
    const batches = mq.queue('q').batches({ size: 3, within: '200ms' });
    const first = batches.next();
    await turns();
    for (let tag = 1; tag <= 4; tag++) broker.link.deliver(FIRST, tag, tag);
    const full = (await first).value as Batch;
    expect(full.messages.map(({ body }) => body)).toEqual([1, 2, 3]);
    full.ack();
    const second = batches.next();
    await turns();
    await broker.advance(199);
    let isThere = false;
    void second.then(() => (isThere = true));
    await turns();
    expect(isThere).toBe(false);
    await broker.advance(1);
    const late = (await second).value as Batch;
    expect(late.messages.map(({ body }) => body)).toEqual([4]);
    broker.link.deliver(FIRST, 5, 5);
    await turns();
    await batches.return(undefined);
    expect(broker.link.settles()).toEqual(['ack 1', 'ack 2', 'ack 3', 'nack+ 4', 'nack+ 5']);
    await mq.close();
  });

  test('a batch ends with its queue, and then throws why', async () => {
    const { broker, mq } = await connected();
    const batches = mq.queue('q').batches({ size: 3, within: '200ms' });
    const first = batches.next();
    await turns();
    broker.link.deliver(FIRST, 1, 1);
    broker.link.text({ event: 'cancelled', handle: FIRST, reason: 'queue deleted' });
    await broker.advance(200);
    const outcome = await first.then(
      ({ value }) => (value as Batch).messages.length,
      (error: LeveretError) => error.code,
    );
    expect(outcome).toBe('NOT_FOUND');
    await mq.close();
  });
});

describe('a worker', () => {
  test('runs up to its concurrency; return acks, throw rejects with requeue, Drop and an unreadable body without', async () => {
    const { broker, mq, faults } = await connected();
    const begun: number[] = [];
    const ends = new Map<number, (value?: unknown) => void>();
    const worker = mq.queue<number>('q').work({ concurrency: 2 }, (msg) => {
      const { body } = msg;
      begun.push(body);
      return new Promise((resolve, reject) => ends.set(body, (error) => (error === undefined ? resolve(undefined) : reject(error))));
    });
    await turns();
    expect(broker.link.requests('consume')[0]).toMatchObject({ prefetch: 8 });
    for (let tag = 1; tag <= 4; tag++) broker.link.deliver(FIRST, tag, tag);
    broker.link.deliver(FIRST, 5, new TextEncoder().encode('{'), { contentType: 'application/json' });
    await turns();
    expect(begun).toEqual([1, 2]);
    ends.get(2)?.();
    await turns();
    expect(begun).toEqual([1, 2, 3]);
    ends.get(1)?.(new Error('flaky'));
    await turns();
    ends.get(3)?.(new Drop('bad'));
    await turns();
    ends.get(4)?.();
    await turns();
    expect(broker.link.settles()).toEqual(['ack 2', 'reject+ 1', 'reject 3', 'reject 5', 'ack 4']);
    expect(faults.map(({ reason }) => reason)).toEqual(['flaky', 'the body is not JSON, as its content type says']);
    await worker.drain();
    expect(await worker.done).toBeUndefined();
    await mq.close();
  });

  test('handlers that end at once do not nest', async () => {
    const { broker, mq } = await connected();
    let count = 0;
    mq.queue('q').work({ concurrency: 1, prefetch: 20_000 }, () => {
      count++;
    });
    await turns();
    for (let tag = 1; tag <= 20_000; tag++) broker.link.deliver(FIRST, tag, tag);
    await turns();
    expect(count).toBe(20_000);
    expect(broker.link.settles()).toHaveLength(20_000);
    await mq.close();
  });

  test('what a handler settles itself stays as it settled it', async () => {
    const { broker, mq, faults } = await connected();
    mq.queue('q').work({}, (msg) => {
      msg.nack({ requeue: false });
      throw new Error('after');
    });
    await turns();
    broker.link.deliver(FIRST, 1, 1);
    await turns();
    expect(broker.link.settles()).toEqual(['nack 1']);
    expect(faults).toEqual([]);
    await mq.close();
  });

  test('time over: the signal aborts, the message goes back at once, the place is free when the handler ends', async () => {
    const { broker, mq, faults } = await connected();
    const reasons: unknown[] = [];
    const begun: unknown[] = [];
    let end = (): void => {};
    mq.queue('q').work({ timeout: '5s' }, (msg, { signal }) => {
      begun.push(msg.body);
      signal.addEventListener('abort', () => reasons.push(signal.reason.code));
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    });
    await turns();
    broker.link.deliver(FIRST, 1, 1);
    broker.link.deliver(FIRST, 2, 2);
    await broker.advance(5_000);
    expect([reasons, broker.link.settles(), begun]).toEqual([['TIMEOUT'], ['reject+ 1'], [1]]);
    end();
    await turns();
    expect(begun).toEqual([1, 2]);
    expect(faults).toMatchObject([{ code: 'TIMEOUT' }]);
    end();
    await mq.drain();
  });

  test('a lost connection aborts what runs, forgets what waits, and the worker goes on with the next', async () => {
    const { broker, mq } = await connected();
    const reasons: string[] = [];
    const begun: unknown[] = [];
    mq.queue('q').work({}, async (msg, { signal }) => {
      begun.push([msg.body, msg.attempt]);
      if (msg.attempt === 1) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      if (signal.aborted) reasons.push(signal.reason.code);
    });
    await turns();
    broker.link.deliver(FIRST, 1, 'a');
    broker.link.deliver(FIRST, 2, 'b');
    await turns();
    broker.link.cut();
    await broker.advance(1_000);
    expect(reasons).toEqual(['DISCONNECTED']);
    broker.link.deliver(FIRST, 1, 'a', {}, 1);
    await turns();
    expect(begun).toEqual([
      ['a', 1],
      ['a', 2],
    ]);
    expect(broker.link.settles()).toEqual(['ack 1']);
    await mq.close();
  });

  test('drain takes nothing new, returns what waits uncounted, and waits for what runs', async () => {
    const { broker, mq } = await connected();
    let end = (): void => {};
    const worker = mq.queue('q').work({ concurrency: 1 }, () => new Promise<void>((resolve) => (end = resolve)));
    await turns();
    for (let tag = 1; tag <= 3; tag++) broker.link.deliver(FIRST, tag, tag);
    await turns();
    let isDrained = false;
    const drained = mq.drain().then(() => (isDrained = true));
    await turns();
    expect([isDrained, broker.link.settles()]).toEqual([false, ['release 2', 'release 3']]);
    end();
    await drained;
    expect(broker.link.settles()).toEqual(['release 2', 'release 3', 'ack 1']);
    expect(await worker.done).toBeUndefined();
    expect(broker.clock.pendingTimers).toBe(0);
  });

  test('close aborts what runs and returns its message', async () => {
    const { broker, mq } = await connected();
    const worker = mq
      .queue('q')
      .work({}, (_msg, { signal }) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())));
    await turns();
    broker.link.deliver(FIRST, 1, 1);
    await turns();
    await worker.close();
    expect(broker.link.settles()).toEqual(['nack+ 1']);
    await mq.close();
  });

  test('whose queue goes ends, and says why', async () => {
    const { broker, mq, faults } = await connected();
    const worker = mq.queue('q').work({}, () => {});
    await turns();
    broker.link.text({ event: 'cancelled', handle: FIRST, reason: 'queue deleted' });
    expect(await worker.done).toMatchObject({ code: 'NOT_FOUND' });
    await turns();
    expect(faults).toMatchObject([{ code: 'NOT_FOUND' }]);
    await worker.drain();
    await mq.close();
  });
});

describe('taps and statistics', () => {
  test('a slow reader of a tap misses the oldest, and can count them', async () => {
    const { broker, mq } = await connected();
    const tap = mq.exchange('orders').subscribe('order.*', { buffer: 2 });
    await turns();
    expect(broker.link.requests('tap.open')[0]).toMatchObject({ exchange: 'orders', key: 'order.*', buffer: 2 });
    for (let n = 1; n <= 5; n++) broker.link.deliver(FIRST, 0, n);
    expect((await tap.next()).value?.body).toBe(4);
    const last = (await tap.next()).value as Message;
    expect([last.body, last.ack(), tap.dropped]).toEqual([5, false, 3]);
    await tap.cancel();
    expect(broker.link.ops().at(-1)).toBe('tap.close');
    await mq.close();
  });

  test("onOverflow: 'fail' gives what came first, then throws; 'drop-newest' keeps the oldest", async () => {
    const { broker, mq } = await connected();
    const failing = mq.exchange('e').subscribe('#', { buffer: 1, onOverflow: 'fail' });
    const keeping = mq.exchange('e').subscribe('#', { buffer: 1, onOverflow: 'drop-newest' });
    await turns();
    for (const handle of [FIRST, FIRST + 1]) for (let n = 1; n <= 3; n++) broker.link.deliver(handle, 0, n);
    expect((await failing.next()).value?.body).toBe(1);
    await expect(failing.next()).rejects.toMatchObject({ code: 'OVERFLOW' });
    expect((await keeping.next()).value?.body).toBe(1);
    await keeping.cancel();
    await mq.close();
  });

  test('samples carry sums over the queues asked for', async () => {
    const { broker, mq } = await connected();
    const feed = mq.stats({ queues: 'b*', every: '2s' });
    await turns();
    expect(broker.link.requests('stats.open')[0]).toEqual({ handle: FIRST, queues: 'b*', everyMs: 2_000 });
    const queue = {
      number: 1,
      unacked: 1,
      deadLetterWaiting: 0,
      readyBytes: 0,
      consumers: 0,
      counts: {},
      publishRate: 1.5,
      deliverRate: 0,
      ackRate: 0,
    };
    broker.link.text({
      event: 'stats',
      handle: FIRST,
      at: 1,
      broker: {},
      queues: [
        { ...queue, queue: 'b1', ready: 2 },
        { ...queue, queue: 'b2', ready: 3 },
      ],
    });
    expect((await feed.next()).value).toMatchObject({ at: 1, ready: 5, unacked: 2, publishRate: 3 });
    await feed.cancel();
    await mq.close();
  });
});

describe('requests', () => {
  test('are answered over one reply consumer, each by its correlation id', async () => {
    const { broker, mq } = await connected();
    const first = mq.request('price', { sku: 1 });
    const second = mq.request('price', { sku: 2 });
    await turns();
    expect(broker.link.requests('consume')).toMatchObject([{ queue: 'amq.rabbitmq.reply-to', noAck: true }]);
    const asked = broker.link.publishes();
    expect(asked.map(({ properties }) => properties.replyTo)).toEqual(['amq.rabbitmq.reply-to', 'amq.rabbitmq.reply-to']);
    broker.link.confirm(1, 2);
    broker.link.deliver(FIRST, 0, 'two', { correlationId: asked[1]?.properties.correlationId });
    broker.link.deliver(FIRST, 0, 'sorry', { correlationId: asked[0]?.properties.correlationId, type: 'leveret.error' });
    expect(await second).toBe('two');
    await expect(first).rejects.toMatchObject({ code: 'REMOTE', reason: 'sorry' });
    await mq.close();
    expect(broker.clock.pendingTimers).toBe(0);
  });

  test('that nobody takes are rejected at once; that nobody answers, in time; that are aborted, then', async () => {
    const { broker, mq } = await connected();
    const nobody = mq.request('nothing', 1);
    const abort = new AbortController();
    const aborted = mq.request('slow', 1, { signal: abort.signal });
    const slow = mq.request('slow', 1, { timeout: '2s' });
    await turns();
    broker.link.confirm(1, 1, 0);
    broker.link.confirm(2, 2, 1);
    await expect(nobody).rejects.toMatchObject({ code: 'NOBODY_ANSWERS', retryable: true });
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    const late = expect(slow).rejects.toMatchObject({ code: 'TIMEOUT' });
    await broker.advance(2_000);
    await late;
    await mq.close();
  });

  test('taken before the connection broke are rejected; not taken ones are sent again, after the reply consumer is back', async () => {
    const { broker, mq } = await connected();
    const taken = mq.request('price', 1);
    await turns();
    broker.link.confirm(1);
    await turns();
    const waiting = mq.request('price', 2);
    await turns();
    broker.link.cut();
    await expect(taken).rejects.toMatchObject({ code: 'DISCONNECTED' });
    await broker.advance(1_000);
    const { said } = broker.link;
    const again = broker.link.publishes();
    expect(again).toHaveLength(1);
    expect(said.findIndex((what) => what.kind === 'publish')).toBeGreaterThan(
      said.findIndex((what) => what.kind === 'text' && what.op === 'consume'),
    );
    broker.link.confirm(1);
    broker.link.deliver(FIRST, 0, 'two', { correlationId: again[0]?.properties.correlationId });
    expect(await waiting).toBe('two');
    await mq.close();
  });

  test('are served: what returns is the reply, what throws tells its message, and the request is acked after the reply is stored', async () => {
    const { broker, mq } = await connected();
    const service = await mq.serve<number>('double', (msg) => {
      if (msg.body < 0) throw new Error('negative');
      return msg.body * 2;
    });
    expect(broker.link.requests('queue.declare')[0]).toMatchObject({ queue: 'double', durable: false, autoDelete: true });
    await turns();
    broker.link.deliver(FIRST, 1, 4, { replyTo: 'amq.rabbitmq.reply-to.x', correlationId: 'c1' });
    broker.link.deliver(FIRST, 2, -1, { replyTo: 'amq.rabbitmq.reply-to.x', correlationId: 'c2' });
    await turns();
    const replies = broker.link.publishes().map(({ key, body, properties }) => [key, body, properties.correlationId, properties.type]);
    expect(replies.sort((a, b) => String(a[2]).localeCompare(String(b[2])))).toEqual([
      ['amq.rabbitmq.reply-to.x', '8', 'c1', 'leveret.reply'],
      ['amq.rabbitmq.reply-to.x', 'negative', 'c2', 'leveret.error'],
    ]);
    expect(broker.link.settles()).toEqual([]);
    broker.link.confirm(1, 2, 0);
    await turns();
    expect(broker.link.settles().sort()).toEqual(['ack 1', 'ack 2']);
    await service.drain();
    await mq.close();
  });
});

test('a message got by hand is as any other', async () => {
  const { broker, mq } = await connected();
  broker.answers['get'] = () => ({
    ok: {
      message: {
        tag: 4,
        redelivered: true,
        deliveryCount: 1,
        id: '2-8',
        exchange: 'e',
        key: 'k',
        bodyBase64: 'AP8=',
        properties: {
          messageId: 'm',
          headers: {
            n: 1,
            big: { $amqp: 'l', value: '9007199254740993' },
            at: { $amqp: 'T', value: 5 },
            raw: { $amqp: 'x', value: 'AP8=' },
            deep: { list: [{ $amqp: 'd', value: 2 }] },
          },
        },
      },
      messageCount: 0,
    },
  });
  const msg = await mq.queue('q').get();
  expect([msg?.id, msg?.attempt, msg?.exchange, msg?.key, msg?.messageId, msg?.body]).toEqual([
    '2-8',
    2,
    'e',
    'k',
    'm',
    Uint8Array.of(0, 255),
  ]);
  expect({ ...msg?.headers }).toMatchObject({ n: 1, big: 9007199254740993n, at: new Date(5_000), raw: Uint8Array.of(0, 255) });
  expect(msg?.ack()).toBe(true);
  broker.answers['get'] = () => ({ ok: { message: null } });
  expect(await mq.queue('q').get()).toBeUndefined();
  await mq.close();
  expect(broker.link.settles()).toEqual(['ack 4']);
});
