// Publish and pull by plain HTTP: what goes in comes out, waiting, holding, settling, and who hangs up.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { trustedAccount } from '../../../server/broker/login.ts';
import { ApiServer, HERE, rightsWithout } from '../../support/api-server.ts';

let server: ApiServer;
beforeEach(async () => {
  server = new ApiServer();
  await server.ask('DELETE', '/api/queues/%2F/q/contents', 'admin');
});
afterEach(() => expect(server.logged).toEqual([]));

const publish = (path: string, body: string, headers: Record<string, string> = { 'content-type': 'text/plain' }) =>
  server.ask('POST', `/v1/publish/%2F/${path}`, 'admin', body, headers);
const pull = (query = '', user = 'admin') => server.ask('GET', `/v1/queues/%2F/q/pull${query}`, user);
const settle = (token: string | null, query = '', user = 'admin') => server.ask('DELETE', `/v1/deliveries/${token}${query}`, user);
const queue = () => server.engine.broker.vhost('/')?.queues.get('q');

/** Asks and does not wait; the engine's time is the test's. */
function asked(path: string, signal?: AbortSignal): { response: Response | undefined } {
  const headers = { authorization: `Basic ${btoa('admin:right')}` };
  const box: { response: Response | undefined } = { response: undefined };
  const request = new Request(`http://leveret${path}`, { headers, ...(signal === undefined ? {} : { signal }) });
  void server.api(request, HERE).then((response) => (box.response = response));
  return box;
}
const waiting = () => expect.poll(() => queue()?.consumerCount).toBe(1);

describe('publishing', () => {
  test('answers where the body went, once it is confirmed', async () => {
    expect(await publish('x/k', 'hello')).toMatchObject({ status: 200, body: { routed: true, queues: 1 } });
    expect((await publish('x/nobody', 'hello')).body).toEqual({ routed: false, queues: 0 });
    expect((await publish('amq.default/q', 'hello')).body).toEqual({ routed: true, queues: 1 });
    expect((await publish('x', 'no key')).body).toEqual({ routed: false, queues: 0 });
    expect(queue()?.readyCount).toBe(2);
  });

  test('headers become properties, and a message is persistent unless it says otherwise', async () => {
    const headers = { 'content-type': 'text/csv', 'amqp-correlation-id': 'c', 'amqp-priority': '3', 'amqp-header-shop': 'berlin' };
    await publish('x/k', 'a,b', headers);
    await publish('x/k', 'x', {
      'content-type': 'text/plain',
      'amqp-properties': '{"delivery_mode":1,"headers":{"n":1,"\\u00fc":"\\u20ac"}}',
    });
    const first = await pull('?ack=auto');
    expect([first.body, first.headers.get('content-type'), first.headers.get('content-disposition')]).toEqual([
      'a,b',
      'text/csv',
      'attachment',
    ]);
    expect(JSON.parse(first.headers.get('amqp-properties') ?? '')).toEqual({
      ...{ content_type: 'text/csv', delivery_mode: 2, priority: 3, correlation_id: 'c', headers: { shop: 'berlin' } },
    });
    const properties = (await pull('?ack=auto')).headers.get('amqp-properties') ?? '';
    expect(properties).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(properties)).toEqual({ content_type: 'text/plain', delivery_mode: 1, headers: { n: 1, ü: '€' } });
  });

  test.each([
    [{ 'amqp-properties': '[1]' }, "the header 'amqp-properties' must be a JSON object"],
    [{ 'amqp-odd': '1' }, "no property 'amqp-odd'"],
    [{ 'amqp-priority': 'high' }, "the header 'amqp-priority' must be a whole number"],
  ] as const)('%o is refused', async (headers, reason) => {
    expect(await publish('x/k', 'b', headers)).toMatchObject({ status: 400, body: { reason } });
    expect(queue()?.readyCount).toBe(0);
  });

  test('a body of any type is taken, up to the limit', async () => {
    expect((await publish('x/k', 'z'.repeat(1_000_001))).status).toBe(413);
    expect((await publish('x/k', 'z'.repeat(1_000_000))).status).toBe(200);
  });
});

describe('pulling', () => {
  test('an empty queue is 204, at once or when the wait is over', async () => {
    expect((await pull()).status).toBe(204);
    const waits = asked('/v1/queues/%2F/q/pull?wait=5000');
    await waiting();
    server.engine.time.advance(4_999);
    await Promise.resolve();
    expect(waits.response).toBeUndefined();
    server.engine.time.advance(1);
    await expect.poll(() => waits.response?.status).toBe(204);
    expect(queue()?.consumerCount).toBe(0);
  });

  test('a message that comes while somebody waits is handed to them', async () => {
    const waits = asked('/v1/queues/%2F/q/pull?wait=5000');
    await waiting();
    server.engine.publish(server.engine.connect(), 'x', 'k', 'late');
    server.engine.time.settle();
    await expect.poll(() => waits.response?.status).toBe(200);
    expect(await waits.response?.text()).toBe('late');
    expect([queue()?.readyCount, queue()?.unackedCount]).toEqual([0, 1]);
  });

  test('who hangs up while waiting takes nothing', async () => {
    const cut = new AbortController();
    asked('/v1/queues/%2F/q/pull?wait=5000', cut.signal);
    await waiting();
    cut.abort();
    await expect.poll(() => queue()?.consumerCount).toBe(0);
    server.engine.publish(server.engine.connect(), 'x', 'k', 'kept');
    server.engine.time.settle();
    expect(queue()?.readyCount).toBe(1);
  });

  test('a token acks once, and for the user who pulled', async () => {
    server.tagged('bob', [], rightsWithout());
    await publish('x/k', 'one');
    const token = (await pull()).headers.get('amqp-token');
    expect(token).toMatch(/^[\w-]{20,}$/);
    expect((await settle(token, '', 'bob')).status).toBe(404);
    expect((await settle(token)).status).toBe(204);
    expect((await settle(token)).status).toBe(404);
    expect([queue()?.readyCount, queue()?.unackedCount, queue()?.counts.acked]).toEqual([0, 0, 1]);
  });

  test('a token requeues or rejects', async () => {
    await publish('x/k', 'one');
    expect((await settle((await pull()).headers.get('amqp-token'), '?outcome=requeue')).status).toBe(204);
    const again = await pull();
    expect([again.body, again.headers.get('amqp-redelivered')]).toEqual(['one', 'true']);
    expect((await settle(again.headers.get('amqp-token'), '?outcome=odd')).status).toBe(400);
    expect((await settle(again.headers.get('amqp-token'), '?outcome=reject')).status).toBe(204);
    expect([queue()?.readyCount, queue()?.unackedCount]).toEqual([0, 0]);
  });

  test('what is not settled while it is held goes back', async () => {
    await publish('x/k', 'one');
    const pulled = asked('/v1/queues/%2F/q/pull?hold=1000');
    await expect.poll(() => pulled.response?.status).toBe(200);
    server.engine.time.advance(1_000);
    expect([queue()?.readyCount, queue()?.unackedCount]).toEqual([1, 0]);
    expect((await settle(pulled.response?.headers.get('amqp-token') ?? null)).status).toBe(404);
    expect(server.engine.time.timerCount).toBe(0);
  });

  test('neither a wait nor a hold goes beyond the token that the caller came with', async () => {
    const { time } = server.engine;
    server.accounts.set('admin', { ...trustedAccount('admin'), expiresAt: time.now() + 2_000 });
    const waits = asked('/v1/queues/%2F/q/pull?wait=8000&ack=auto');
    await waiting();
    time.advance(1_999);
    expect(queue()?.consumerCount).toBe(1);
    time.advance(1);
    await expect.poll(() => waits.response?.status).toBe(204);
    server.engine.publish(server.engine.connect(), 'x', 'k', 'after that');
    time.settle();
    expect([queue()?.readyCount, queue()?.consumerCount]).toEqual([1, 0]);
    server.accounts.set('admin', { ...trustedAccount('admin'), expiresAt: time.now() + 2_000 });
    const held = asked('/v1/queues/%2F/q/pull');
    await expect.poll(() => held.response?.status).toBe(200);
    expect(queue()?.unackedCount).toBe(1);
    time.advance(2_000);
    expect([queue()?.readyCount, queue()?.unackedCount, time.timerCount]).toEqual([1, 0, 0]);
  });

  test('ack=auto leaves nothing to settle', async () => {
    await publish('x/k', 'one');
    const pulled = await pull('?ack=auto');
    expect([pulled.body, pulled.headers.get('amqp-token')]).toEqual(['one', null]);
    expect(queue()?.counts.acked).toBe(1);
  });

  test('a queue that is deleted, and a broker that closes, end the wait', async () => {
    const waits = asked('/v1/queues/%2F/q/pull?wait=5000');
    await waiting();
    await server.ask('DELETE', '/api/queues/%2F/q', 'admin');
    await expect.poll(() => waits.response?.status).toBe(404);
    server.engine.declare(server.engine.connect(), 'q');
    server.engine.time.settle();
    const closing = asked('/v1/queues/%2F/q/pull?wait=5000');
    await waiting();
    await server.engine.broker.close();
    await expect.poll(() => closing.response?.status).toBe(503);
    expect(server.engine.time.timerCount).toBe(0);
  });

  test('a closing broker forgets what is held, and its timer', async () => {
    await publish('x/k', 'one');
    const pulled = asked('/v1/queues/%2F/q/pull');
    await expect.poll(() => pulled.response?.status).toBe(200);
    await server.engine.broker.close();
    expect(server.engine.time.timerCount).toBe(0);
  });

  test.each([
    ['?wait=60001', "'wait' must be milliseconds from 0 to 60000"],
    ['?hold=x', "'hold' must be milliseconds from 0 to 1800000"],
    ['?ack=later', "'ack' must be token or auto"],
  ])('%s is refused', async (query, reason) => {
    expect(await pull(query)).toMatchObject({ status: 400, body: { reason } });
  });

  test('one user has at most 1,000 pulls open', async () => {
    for (let count = 0; count < 1_001; count++) server.engine.publish(server.engine.connect(), 'x', 'k', 'm');
    server.engine.time.settle();
    const pulls = Array.from({ length: 1_000 }, () => asked('/v1/queues/%2F/q/pull'));
    await expect.poll(() => pulls.every(({ response }) => response?.status === 200)).toBe(true);
    expect(await pull()).toMatchObject({ status: 429, body: { reason: "user 'admin' has 1000 pulls open" } });
    await settle(pulls[0]?.response?.headers.get('amqp-token') ?? null);
    expect((await pull('?ack=auto')).status).toBe(200);
  });
});
