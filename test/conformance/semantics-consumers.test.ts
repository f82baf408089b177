// Who gets a message: round robin, priorities, exclusive and single active consumers, timeouts, and the slow one that stalls nobody.

import { describe, expect } from 'vitest';
import { test } from '../support/broker.ts';

describe('round robin', () => {
  test('equal consumers take turns', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const inboxes = [await s.consume('q'), await s.consume('q'), await s.consume('q')];
    await s.send('q', ...Array.from({ length: 9 }, (_, i) => String(i)));
    await broker.idle();
    expect(inboxes.map((inbox) => inbox.deliveries.length)).toEqual([3, 3, 3]);
  });

  test('a blocked consumer is passed over', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const blocked = await s.consume('q', { prefetch: 1 });
    const free = await s.consume('q');
    await s.send('q', '1', '2', '3', '4');
    await broker.idle();
    expect([blocked.deliveries.length, free.deliveries.length]).toEqual([1, 3]);
  });
});

describe('consumer priority', () => {
  test('the higher gets all it can take, the lower only what is left over', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const low = await s.consume('q', { priority: -5 });
    const high = await s.consume('q', { priority: 10, prefetch: 2 });
    const normal = await s.consume('q', { prefetch: 1 });
    await s.send('q', '1', '2', '3', '4', '5');
    await broker.idle();
    expect([high.bodies, normal.bodies, low.bodies]).toEqual([['1', '2'], ['3'], ['4', '5']]);
    await s.ack(high.at(0).tag);
    await s.send('q', '6');
    await broker.idle();
    expect(high.bodies).toEqual(['1', '2', '6']);
  });

  test('the argument x-priority says the same, and must be an integer', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    const low = await s.consume('q');
    const high = await s.consume('q', { arguments: { 'x-priority': 1 } });
    await s.send('q', '1', '2');
    await broker.idle();
    expect([high.bodies, low.bodies]).toEqual([['1', '2'], []]);
    const error = await s.fails('consume', { handle: 9, queue: 'q', arguments: { 'x-priority': 'a' } });
    expect([error.code, error.reason]).toEqual([
      406,
      `PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
    ]);
  });
});

describe('exclusive consumer', () => {
  const IN_USE = [403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"];

  test('while it is there no other may come, and it may not come to others', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q');
    const only = await s.consume('q', { exclusive: true });
    const second = await other.fails('consume', { handle: 1, queue: 'q' });
    expect([second.code, second.reason]).toEqual(IN_USE);
    await s.cancel(only);
    await other.consume('q');
    const late = await s.fails('consume', { handle: 5, queue: 'q', exclusive: true });
    expect([late.code, late.reason]).toEqual(IN_USE);
  });

  test('its place is free when its connection ends', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q');
    await s.consume('q', { exclusive: true });
    await s.close();
    await other.consume('q', { exclusive: true });
  });

  test('get goes on beside it', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q');
    await s.send('q', 'm');
    await s.consume('q', { exclusive: true, credit: 0 });
    expect((await other.take('q')).body).toBe('m');
  });
});

describe('single active consumer', () => {
  const SAC = { 'x-single-active-consumer': true };

  test('the first gets everything, the next takes over when it is cancelled', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', SAC);
    const first = await s.consume('q');
    const second = await s.consume('q');
    await s.send('q', '1', '2');
    await broker.idle();
    expect([first.bodies, second.bodies]).toEqual([['1', '2'], []]);
    await s.cancel(first);
    await s.send('q', '3');
    await broker.idle();
    expect([first.bodies, second.bodies]).toEqual([['1', '2'], ['3']]);
  });

  test('when the active connection ends, the next gets what it held, in order', async ({ broker }) => {
    const s = await broker.connect();
    const active = await broker.connect();
    await s.declare('q', SAC);
    const first = await active.consume('q', { prefetch: 2 });
    const second = await s.consume('q');
    await s.send('q', '1', '2', '3');
    await broker.idle();
    expect([first.bodies, second.bodies]).toEqual([['1', '2'], []]);
    await active.terminate();
    await broker.idle();
    expect(second.deliveries.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ['1', true],
      ['2', true],
      ['3', false],
    ]);
  });

  test('a blocked active consumer is waited for', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', SAC);
    const first = await s.consume('q', { prefetch: 1 });
    const second = await s.consume('q');
    await s.send('q', '1', '2');
    await broker.idle();
    expect([first.bodies, second.bodies]).toEqual([['1'], []]);
  });

  test('of those that wait, priority goes before age', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', SAC);
    const first = await s.consume('q');
    const old = await s.consume('q', { priority: -1 });
    const high = await s.consume('q', { priority: -1 });
    const normal = await s.consume('q');
    await s.cancel(first);
    await s.send('q', '1');
    await broker.idle();
    expect(normal.bodies).toEqual(['1']);
    await s.cancel(normal);
    await s.send('q', '2');
    await broker.idle();
    expect([old.bodies, high.bodies]).toEqual([['2'], []]);
  });

  test('a newcomer of higher priority takes over only when the active one has settled all it holds', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', SAC);
    const first = await s.consume('q', { prefetch: 5 });
    await s.send('q', '1', '2');
    await broker.idle();
    const high = await s.consume('q', { priority: 1 });
    await s.send('q', '3');
    await broker.idle();
    expect(high.bodies).toEqual([]);
    await s.ack(0, true);
    await broker.idle();
    await s.ack(0, true);
    await broker.idle();
    await s.send('q', '4');
    await broker.idle();
    expect(high.bodies.at(-1)).toBe('4');
    expect([...first.bodies, ...high.bodies]).toEqual(['1', '2', '3', '4']);
  });

  test('consumers are told when they become active and when they no longer are', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', SAC);
    const first = await s.consume('q');
    await broker.idle();
    const second = await s.consume('q');
    await broker.idle();
    expect(first.active).toEqual([true]);
    expect(second.active.filter((active) => active)).toEqual([]);
    await s.cancel(first);
    await broker.idle();
    expect(second.active.at(-1)).toBe(true);
  });

  test('an exclusive consumer is refused', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', SAC);
    const error = await s.fails('consume', { handle: 1, queue: 'q', exclusive: true });
    expect([error.code, error.reason]).toEqual([403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"]);
  });
});

describe('consumer timeout', () => {
  const QUEUE = { 'x-consumer-timeout': 60_000 };

  test('a delivery unsettled for too long goes back alone, and its consumer stays', async ({ broker }) => {
    const s = await broker.connect();
    const other = await broker.connect();
    await s.declare('q', QUEUE);
    const inbox = await s.consume('q', { prefetch: 2 });
    await s.send('q', 'slow', 'quick');
    await broker.idle();
    await s.ack(inbox.at(1).tag);
    await broker.advance(30_000);
    await s.send('q', 'later');
    await broker.idle();
    const second = await other.consume('q', { prefetch: 5, priority: 1 });
    await broker.advance(29_999);
    expect(second.bodies).toEqual([]);
    await broker.advance(1);
    expect(second.deliveries.map(({ body, redelivered }) => [body, redelivered])).toEqual([['slow', true]]);
    expect(inbox.cancelled).toEqual([]);
    expect(await s.inspect('q')).toMatchObject({ consumers: 2, counts: { requeued: 1 } });
  });

  test('a late ack is taken once without an error, and settles nothing', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', QUEUE);
    await s.send('q', 'm');
    const inbox = await s.consume('q', { prefetch: 1, credit: 1 });
    await broker.idle();
    await broker.advance(60_000);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0 });
    await s.ack(inbox.at(0).tag);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0, counts: { acked: 0 } });
    const error = await s.fails('ack', { tag: inbox.at(0).tag });
    expect([error.code, error.reason]).toEqual([406, `PRECONDITION_FAILED - unknown delivery tag ${inbox.at(0).tag}`]);
  });

  test('the timeout frees the place of the delivery in the prefetch', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', QUEUE);
    const inbox = await s.consume('q', { prefetch: 1 });
    await s.send('q', '1', '2');
    await broker.idle();
    await broker.advance(60_000);
    expect(inbox.deliveries.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ['1', false],
      ['1', true],
    ]);
  });

  test('the argument of the consumer goes before that of the queue', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', QUEUE);
    await s.consume('q', { credit: 1, arguments: { 'x-consumer-timeout': 1_000 } });
    await s.send('q', 'm');
    await broker.idle();
    await broker.advance(999);
    expect(await s.inspect('q')).toMatchObject({ ready: 0, unacked: 1 });
    await broker.advance(1);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0 });
  });

  test('without any argument it is 30 minutes', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q');
    await s.consume('q', { credit: 1 });
    await s.send('q', 'm');
    await broker.idle();
    await broker.advance(30 * 60_000 - 1);
    expect(await s.inspect('q')).toMatchObject({ unacked: 1 });
    await broker.advance(1);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0 });
  });

  test('with x-consumer-timeout-action cancel the consumer is cancelled and told why', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { ...QUEUE, 'x-consumer-timeout-action': 'cancel' });
    const inbox = await s.consume('q', { prefetch: 1 });
    await s.send('q', 'm');
    await broker.idle();
    await broker.advance(60_000);
    expect(inbox.cancelled).toEqual(['consumer timeout']);
    expect(await s.inspect('q')).toMatchObject({ ready: 1, unacked: 0, consumers: 0 });
  });
});

describe('a slow consumer', () => {
  test('one that does not read stalls nobody: another on the same queue goes on', async ({ broker }) => {
    const s = await broker.connect();
    const slow = await broker.connect();
    const quick = await broker.connect();
    await s.declare('q');
    const body = 'x'.repeat(100_000);
    const slowInbox = await slow.consume('q', { noAck: true });
    const quickInbox = await quick.consume('q', { noAck: true });
    await broker.idle();
    broker.stall(slow);
    for (let i = 0; i < 400; i++) await s.publish('', 'q', body);
    await broker.idle();
    const ready = await s.ready('q');
    expect(ready).toBe(0);
    // what the slow one was sent is bounded by its outbox, so most went to the quick one
    expect(quickInbox.deliveries.length).toBeGreaterThan(200);
    broker.unstall(slow);
    await broker.idle();
    expect(slowInbox.deliveries.length + quickInbox.deliveries.length).toBe(400);
  });
});
