// The API without a port: logins, bad requests, lists, and what changes. Who may do what: route-matrix.test.ts.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Login, TooManyLogins, trustedAccount } from '../../../server/broker/login.ts';
import type { Queue } from '../../../server/broker/queue.ts';
import { createApi } from '../../../server/http/api.ts';
import type { RateSource } from '../../../server/http/route.ts';
import { routes } from '../../../server/http/routes/routes.ts';
import { type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { AmqpPeer } from '../../support/amqp-peer.ts';
import { ApiServer, HERE, rightsWithout } from '../../support/api-server.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});
afterEach(() => expect(server.logged).toEqual([]));

describe('logins', () => {
  test('a wrong password is answered a second later, and says no more than that', async () => {
    const request = new Request('http://leveret/api/overview', { headers: { authorization: `Basic ${btoa('admin:planted-secret')}` } });
    let response: Response | undefined;
    void server.api(request, HERE).then((answer) => (response = answer));
    await expect.poll(() => server.engine.time.timerCount, { timeout: 30_000 }).toBe(1);
    server.engine.time.advance(999);
    await Promise.resolve();
    expect(response).toBeUndefined();
    server.engine.time.advance(1);
    await expect.poll(() => response?.status, { timeout: 30_000 }).toBe(401);
    expect(response?.headers.get('www-authenticate')).toContain('Basic');
    expect(await response?.text()).toBe('{"error":"not_authorised","reason":"Login failed"}');
  });

  test('a login that nobody had time to look into is 503, at once, and no refusal of the password', async () => {
    const login: Login = {
      check: (_user, _password, _remote, done) => done(new TooManyLogins()),
      certified: () => trustedAccount('nobody'),
    };
    server = new ApiServer({ login });
    const { status, body, headers } = await server.ask('GET', '/api/whoami', 'admin');
    expect([status, body]).toEqual([
      503,
      { error: 'service_unavailable', reason: 'too many logins at once', hint: 'try again in a moment' },
    ]);
    expect([headers.get('retry-after'), headers.get('www-authenticate')]).toEqual(['1', null]);
  });
});

test('a token takes the place of name and password', async () => {
  const asked: string[][] = [];
  const login: Login = {
    check: (user, password, _remote, done) => {
      asked.push([user, password]);
      done(trustedAccount('somebody'));
    },
    certified: () => trustedAccount('nobody'),
  };
  server = new ApiServer({ login });
  const { body } = await server.ask('GET', '/api/whoami', '', undefined, { authorization: 'Bearer a.b-c.d_e' });
  expect([asked, body]).toEqual([[['', 'a.b-c.d_e']], { name: 'somebody', tags: ['administrator'] }]);
});

describe('closing a connection', () => {
  function open(): AmqpPeer {
    server.tagged('guest', ['management'], rightsWithout());
    server.tagged('watcher', ['monitoring'], rightsWithout());
    server.tagged('other', ['management'], rightsWithout());
    return AmqpPeer.open(server.engine);
  }
  const ofGuest = '/api/connections/username/guest';

  // Each answer but those that say otherwise is RabbitMQ 3.10.8's.
  test.each([
    ['watcher', '/api/connections/peer', 401],
    ['watcher', ofGuest, 401], // RabbitMQ: 500, and it stays open
    ['other', '/api/connections/peer', 404], // RabbitMQ: 401; here it is not told that there is one
    ['other', ofGuest, 401], // RabbitMQ: 500, and it stays open
  ])('%s may not DELETE %s of another user: %i', async (user, path, status) => {
    const peer = open();
    expect((await server.ask('DELETE', path, user)).status).toBe(status);
    expect([peer.isEnded, peer.names()]).toEqual([false, []]);
    expect((await server.ask('GET', '/api/connections/peer', 'watcher')).body).toMatchObject({ user: 'guest' });
  });

  test.each([
    ['guest', '/api/connections/peer'],
    ['guest', ofGuest],
    ['admin', '/api/connections/peer'],
    ['admin', ofGuest],
  ])('%s may DELETE %s', async (user, path) => {
    const peer = open();
    expect((await server.ask('DELETE', path, user)).status).toBe(204);
    expect(peer.names()).toEqual(['0 connection.close']);
  });
});

describe('bad requests', () => {
  test.each([
    ['PUT', '/api/queues/%2F/new', '{"durable":"perhaps"}', 400, "'durable' must be true or false"],
    [
      'PUT',
      '/api/queues/%2F/new',
      '{"arguments":{"x-max-length":-1}}',
      400,
      "invalid arg 'x-max-length' for queue 'new' in vhost '/': {value_negative,-1}",
    ],
    [
      'PUT',
      '/api/queues/%2F/q',
      '{"durable":false}',
      400,
      "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
    ],
    ['PUT', '/api/queues/nowhere/q', '{}', 404, 'Not Found'],
    ['PUT', '/api/exchanges/%2F/new', '{"type":"odd"}', 400, "unknown exchange type 'odd'"],
    ['PUT', '/api/users/bob', '{"password":"x"}', 400, "'tags' is missing"],
    ['PUT', '/api/users/bob', '{"tags":""}', 400, "'password' or 'password_hash' is missing"],
    ['PUT', '/api/permissions/%2F/alice', '{"configure":"(","write":"","read":""}', 400, "invalid regular expression '('"],
    ['PUT', '/api/permissions/%2F/nobody', '{"configure":"","write":"","read":""}', 400, 'vhost_or_user_not_found'],
    ['POST', '/api/exchanges/%2F/none/publish', '{"routing_key":"k","payload":""}', 400, "404 NOT_FOUND - no exchange 'none' in vhost '/'"],
    ['PUT', '/api/vhost-limits/%2F/max-fun', '{"value":1}', 400, "no limit 'max-fun'"],
    ['POST', '/api/queues/%2F/q/get', '{"count":1,"encoding":"odd"}', 400, 'unsupported encoding: odd'],
    ['POST', '/api/queues/%2F/q/get', '{"count":1,"ackmode":"odd"}', 400, "no ackmode 'odd'"],
    [
      'POST',
      '/api/exchanges/%2F/x/publish',
      '{"routing_key":"k","payload":"!","payload_encoding":"base64"}',
      400,
      "'payload' is no base64",
    ],
    ['POST', '/api/exchanges/%2F/x/publish', '{"routing_key":"k","payload":"","properties":{"odd":1}}', 400, "no property 'odd'"],
    ['DELETE', '/api/queues/%2F/q?if-empty=true', undefined, 400, "queue 'q' in vhost '/' not empty"],
    ['DELETE', '/api/queues/%2F/missing', undefined, 404, 'Not Found'],
    ['GET', '/api/queues?page=x', undefined, 400, "'page' must be a whole number from 1"],
    ['GET', '/api/queues?page=2', undefined, 400, 'page out of range: there are 1'],
    ['GET', '/api/queues?page=1&page_size=501', undefined, 400, "'page_size' is at most 500"],
    ['GET', '/api/queues?name=(&use_regex=true', undefined, 400, 'invalid regular expression'],
    ['GET', '/api/queues/%2F/%zz', undefined, 400, 'the path has a % that stands for nothing'],
    ['PUT', '/api/queues/%2F/new', '{"arguments":7}', 400, "'arguments' must be an object"],
    ['PUT', '/api/users/bob', '{"password":"x","tags":[1]}', 400, "'tags' must be a list of words"],
    ['PUT', '/api/parameters/shovel/nowhere/p', '{"value":1}', 404, 'Not Found'],
    ['PUT', '/api/global-parameters/p', '{}', 400, "'value' is missing"],
    ['POST', '/api/queues/%2F/q/actions', '{"action":"odd"}', 400, "no action 'odd'"],
    ['GET', '/api/health/checks/certificate-expiration/1/fortnights', undefined, 400, 'Time unit not recognised'],
    ['GET', '/api/nodes/nope', undefined, 404, 'Not Found'],
    ['GET', '/api/nothing', undefined, 404, 'Not Found'],
    ['PUT', '/api/users/bob', '{"password_hash":"x","hashing_algorithm":"md5","tags":""}', 400, "no hashing algorithm 'md5'"],
    ['POST', '/api/overview', '{}', 405, 'Method Not Allowed'],
  ] as const)('%s %s with %s is %i: %s', async (method, path, body, status, reason) => {
    const before = server.state;
    const answer = await server.ask(method, path, 'admin', body);
    expect([answer.status, answer.body]).toMatchObject([status, { reason: expect.stringContaining(reason) }]);
    expect(server.state).toEqual(before);
  });

  test('405 says what a path takes', async () => {
    const { headers } = await server.ask('POST', '/api/queues/%2F/q', 'admin', '{}');
    expect(headers.get('allow')).toBe('GET, PUT, DELETE');
  });
});

describe('lists', () => {
  const list = async (query: string): Promise<unknown> => (await server.ask('GET', `/api/queues?${query}`, 'admin')).body;
  beforeEach(() => {
    const peer = server.engine.connect();
    for (const name of ['b', 'a', 'c']) server.engine.declare(peer, name);
    server.engine.time.settle();
  });

  test('are sorted by name and by any field, either way', async () => {
    expect(await list('sort=name&columns=name')).toEqual([{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'q' }]);
    expect(await list('sort=messages&sort_reverse=true&columns=name,messages&page=1&page_size=1')).toMatchObject({
      items: [{ name: 'q', messages: 1 }],
    });
  });
  test('come in pages that count', async () => {
    expect(await list('sort=name&columns=name&page=2&page_size=3')).toEqual({
      filtered_count: 4,
      item_count: 1,
      items: [{ name: 'q' }],
      page: 2,
      page_count: 2,
      page_size: 3,
      total_count: 4,
    });
  });
  test('are filtered by a part of the name or by an expression', async () => {
    expect(await list('name=a&columns=name')).toEqual([{ name: 'a' }]);
    expect(await list('name=%5E%5Bab%5D%24&use_regex=true&columns=name&sort=name')).toEqual([{ name: 'a' }, { name: 'b' }]);
  });
  test('an expression that leaves too many ways is refused, and one that takes too long for all names is given up', async () => {
    const peer = server.engine.connect();
    for (let n = 0; n < 300; n++) server.engine.declare(peer, `${'a'.repeat(240)}${n}!`);
    server.engine.time.settle();
    const search = (pattern: string) => server.ask('GET', `/api/queues?name=${encodeURIComponent(pattern)}&use_regex=true`, 'admin');
    expect(await search('(a+)+$')).toMatchObject({
      status: 400,
      body: { reason: expect.stringContaining('can be matched in several ways') },
    });
    expect(await search('^a*a*a*$')).toMatchObject({ status: 400, body: { reason: "the expression '^a*a*a*$' takes too long" } });
  });
  test('who does not say by what gets vhosts and names in order', async () => {
    expect(await list('columns=name')).toEqual([{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'q' }]);
    expect(await list('columns=name&sort_reverse=true&page=1&page_size=1')).toMatchObject({ items: [{ name: 'q' }] });
  });
  test('show arguments as plain values, whatever their type on the wire', async () => {
    const args = new Map<string, FieldValue>([
      ['x-max-length', new Typed('b', 10)],
      ['x-big', new Typed('l', 2 ** 40)],
      ['x-time', new Typed('T', 5)],
      ['x-bytes', new Typed('x', Uint8Array.of(0x68, 0x69))],
      ['x-table', new Map([['n', [new Typed('d', 1.5), new Typed('D', { scale: 1, value: 25 }), null]]])],
    ]);
    const declaration = { queue: 'typed', durable: true, exclusive: false, autoDelete: false, passive: false, arguments: args };
    server.engine.connect().session.declareQueue(declaration);
    expect(await list('name=typed&columns=arguments')).toEqual([
      { arguments: { 'x-max-length': 10, 'x-big': 2 ** 40, 'x-time': 5, 'x-bytes': 'hi', 'x-table': { n: [1.5, 2.5, null] } } },
    ]);
  });
  test('a column may reach into an object, and one that is not there is left out', async () => {
    expect(await list('name=q&columns=message_stats.publish,odd,__proto__.x')).toEqual([{ message_stats: { publish: 1 } }]);
  });
});

test('a password is hashed before it is kept, and no answer shows it', async () => {
  expect((await server.ask('PUT', '/api/users/bob', 'admin', '{"password":"planted-secret","tags":["monitoring"]}')).status).toBe(201);
  expect(server.engine.broker.users.record('bob')).toEqual({ passwordHash: 'hash of 14', hashingAlgorithm: 'x', tags: ['monitoring'] });
  expect((await server.ask('PUT', '/api/users/bob', 'admin', '{"password_hash":"YWJj","tags":"a, b"}')).status).toBe(204);
  expect(server.engine.broker.users.record('bob')).toEqual({
    passwordHash: 'YWJj',
    hashingAlgorithm: 'rabbit_password_hashing_sha256',
    tags: ['a', 'b'],
  });
  expect((await server.ask('PUT', '/api/users/bob', 'admin', '{"tags":""}')).status).toBe(204);
  expect(server.engine.broker.users.record('bob')?.passwordHash).toBe('YWJj');
});

test('a message goes in and comes out as it was, with its properties', async () => {
  const publish = {
    routing_key: 'q',
    payload: '/w==',
    payload_encoding: 'base64',
    properties: { content_type: 'x/y', delivery_mode: 2, headers: { n: 1 } },
  };
  await server.ask('DELETE', '/api/queues/%2F/q/contents', 'admin');
  expect((await server.ask('POST', '/api/exchanges/%2F/amq.default/publish', 'admin', JSON.stringify(publish))).body).toEqual({
    routed: true,
  });
  expect(
    (await server.ask('POST', '/api/exchanges/%2F/x/publish', 'admin', JSON.stringify({ ...publish, routing_key: 'none' }))).body,
  ).toEqual({ routed: false });
  const get = { count: 5, ackmode: 'ack_requeue_true', encoding: 'auto' };
  const seen = {
    payload: '/w==',
    payload_bytes: 1,
    payload_encoding: 'base64',
    exchange: '',
    routing_key: 'q',
    message_count: 0,
    properties: publish.properties,
  };
  expect((await server.ask('POST', '/api/queues/%2F/q/get', 'admin', JSON.stringify(get))).body).toEqual([{ ...seen, redelivered: false }]);
  const taken = await server.ask('POST', '/api/queues/%2F/q/get', 'admin', JSON.stringify({ ...get, ackmode: 'ack_requeue_false' }));
  expect(taken.body).toEqual([{ ...seen, redelivered: true }]);
  expect((await server.ask('POST', '/api/queues/%2F/q/get', 'admin', JSON.stringify(get))).body).toEqual([]);
});

test('one answer has no more than 16 MiB of messages, and the rest stay in the queue', async () => {
  const { engine } = server;
  const queue = engine.broker.vhost('/')?.queues.get('q');
  const peer = engine.connect();
  await server.ask('DELETE', '/api/queues/%2F/q/contents', 'admin');
  for (let n = 0; n < 6; n++) {
    engine.publish(peer, '', 'q', 'x'.repeat(4_194_304));
    engine.time.settle();
  }
  const get = (more: object) =>
    server.ask('POST', '/api/queues/%2F/q/get', 'admin', JSON.stringify({ count: 10_000, ackmode: 'ack_requeue_false', ...more }));
  const { body } = await get({});
  expect([Array.isArray(body) && body.length, queue?.readyCount, queue?.unackedCount]).toEqual([4, 2, 0]);
  expect((await get({ truncate: 10 })).body).toMatchObject([{ payload: 'xxxxxxxxxx' }, { payload: 'xxxxxxxxxx' }]);
});

test('a queue is shown with what tools look at, and with rates where somebody measures them', async () => {
  const rate = (counter: string): number => ({ publish: 12.5, deliver: 1, deliver_no_ack: 2, get: 4, get_no_ack: 8 })[counter] ?? 0;
  const shown = {
    ...{ name: 'q', vhost: '/', type: 'classic', state: 'running', node: 'leveret@localhost', durable: true, auto_delete: false },
    ...{ exclusive: false, arguments: {}, messages: 1, messages_ready: 1, messages_unacknowledged: 0, consumers: 0, memory: 32 },
    ...{ policy: null, effective_policy_definition: {}, exclusive_consumer_tag: null, consumer_details: [] },
  };
  const still = { messages_details: { rate: 0 }, message_stats: { publish: 1, publish_details: { rate: 0 } } };
  expect((await server.ask('GET', '/api/queues/%2F/q', 'admin')).body).toMatchObject({ ...shown, ...still });
  const levels = { rate, readyRate: -4, unackedRate: 1 };
  server = new ApiServer({
    rates: { all: levels, publishers: { rate: () => 20 }, queue: () => levels, vhost: () => undefined, exchange: () => ({ rate }) },
  });
  expect((await server.ask('GET', '/api/queues/%2F/q', 'admin')).body).toMatchObject({
    ...shown,
    messages_details: { rate: -3 },
    messages_ready_details: { rate: -4 },
    messages_unacknowledged_details: { rate: 1 },
    message_stats: { publish: 1, publish_details: { rate: 12.5 }, deliver_get_details: { rate: 15 }, ack: 0, ack_details: { rate: 0 } },
  });
  expect((await server.ask('GET', '/api/overview', 'admin')).body).toMatchObject({
    queue_totals: { messages: 1, messages_details: { rate: -3 }, messages_ready_details: { rate: -4 } },
    message_stats: { publish: 1, publish_details: { rate: 20 }, deliver_get: 0, deliver_get_details: { rate: 15 } },
  });
});

test('an exchange shows what came in and what went out, once anything did', async () => {
  expect((await server.ask('GET', '/api/exchanges/%2F/amq.topic', 'admin')).body).not.toHaveProperty('message_stats');
  const stats = { publish_in: 1, publish_in_details: { rate: 0 }, publish_out: 1, publish_out_details: { rate: 0 } };
  expect((await server.ask('GET', '/api/exchanges/%2F/amq.default', 'admin')).body).toMatchObject({ message_stats: stats });
  const none = { rate: () => 0, readyRate: 0, unackedRate: 0 };
  const exchange = () => ({ rate: (counter: string) => (counter === 'publish_in' ? 7 : 3) });
  server = new ApiServer({ rates: { all: none, publishers: none, queue: () => none, vhost: () => undefined, exchange } });
  const listed = (await server.ask('GET', '/api/exchanges/%2F?columns=name,message_stats.publish_in_details.rate', 'admin')).body;
  expect(listed).toContainEqual({ name: '', message_stats: { publish_in_details: { rate: 7 } } });
});

const NO_RATES = { rate: () => 0, readyRate: 0, unackedRate: 0 };
describe('1,000 queues', () => {
  const headers = { authorization: `Basic ${btoa('admin:right')}` };
  const request = (query: string) => new Request(`http://leveret/api/queues?${query}`, { headers });
  beforeEach(() => {
    const peer = server.engine.connect();
    for (let count = 0; count < 1_000; count++) server.engine.declare(peer, `many-${count}`);
    server.engine.time.settle();
  });

  test.each([
    ['page=1', 100],
    ['page=1&sort=name', 100],
    ['page=2&sort=messages&sort_reverse=true', 100],
    ['page=1&name=many-1&use_regex=true', 100],
    ['page=1&page_size=5&sort=policy&columns=name', 0],
    ['columns=name,messages', 0],
    ['page=1&sort=message_stats.ack', 1_001],
  ] as const)('%s makes the counters of %i', async (query, made) => {
    const measured = new Set<Queue>();
    const rates: RateSource = {
      all: NO_RATES,
      publishers: NO_RATES,
      queue: (queue) => void measured.add(queue),
      vhost: () => undefined,
      exchange: () => undefined,
    };
    const turns = { defer: (task: () => void) => void setImmediate(task) };
    expect((await createApi({ ...server.options, rates, turns })(request(query), HERE)).status).toBe(200);
    expect(measured.size).toBe(made);
  });

  test('are listed in slices of 128, between which others have their turn', async () => {
    let turns = 0;
    const defer = (task: () => void): void => {
      turns++;
      setImmediate(task);
    };
    const options = { ...server.options, turns: { defer } };
    for (const [query, expected] of [
      ['page=1', 0],
      ['page=1&sort=name', 0],
      ['page=1&page_size=500', 3],
      ['page=1&sort=effective_policy_definition', 7],
      ['columns=name', 7],
    ] as const) {
      turns = 0;
      const response = await createApi(options)(request(query), HERE);
      expect([query, response.status, turns]).toEqual([query, 200, expected]);
      await response.json();
    }
  });
});

test('certificates that end soon are named', async () => {
  const { time } = server.engine;
  const listener = { protocol: 'amqp/ssl', host: '::', port: 5671, certificateEnds: { at: time.now() + 40 * 86_400_000, text: 'soon' } };
  server = new ApiServer({ facts: { ...server.options.facts, listeners: () => [listener] } });
  const check = async (within: string) => await server.ask('GET', `/api/health/checks/certificate-expiration/${within}`, 'admin');
  expect((await check('1/months')).status).toBe(200);
  expect(await check('6/weeks')).toMatchObject({
    status: 503,
    body: { expired: [{ protocol: 'amqp/ssl', port: '5671', certfile_expires_on: 'soon' }] },
  });
});

test('OpenAPI names every route, and whom it is for', async () => {
  const { body } = await server.ask('GET', '/api/openapi.json', 'admin');
  expect(body).toMatchObject({
    openapi: '3.1.0',
    paths: { '/api/users/{name}': { put: { description: expect.stringContaining('administrator') } } },
  });
  const described = Object.entries(body && typeof body === 'object' && 'paths' in body ? (body.paths as object) : {}).flatMap(
    ([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
});
