// The management API without a port: every route as somebody without rights, and what bad requests get.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Account, type Login, TAGS, type Tag, trustedAccount } from '../../../server/broker/login.ts';
import { PatternRights } from '../../../server/broker/rights.ts';
import { createApi, defaultApiLimits, type Fetch } from '../../../server/http/api.ts';
import { routes } from '../../../server/http/routes/routes.ts';
import { type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { Engine } from '../../support/engine.ts';

const remote = { name: 'here', address: '127.0.0.1', isLoopback: true };
const logged: string[] = [];
const ignore = (): void => undefined;
const log = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: (fields: object, text: string) => void logged.push(text + JSON.stringify(fields)),
};

/** Names that the routes' paths are filled with: all of them are there. */
const NAMES: Readonly<Record<string, string>> = {
  vhost: '%2F',
  name: 'q',
  exchange: 'x',
  source: 'x',
  kind: 'q',
  destination: 'q',
  key: 'k',
  user: 'alice',
  target: '%2F',
  limit: 'max-queues',
  port: '5672',
  protocol: 'amqp',
};

class Server {
  readonly engine = new Engine();
  readonly accounts = new Map<string, Account>([['admin', trustedAccount('admin')]]);
  readonly api: Fetch;

  constructor() {
    const { broker, time } = this.engine;
    const login: Login = {
      check: (user, password, _remote, done) => {
        const account = this.accounts.get(user);
        done(
          account !== undefined && password === 'right'
            ? account
            : new AmqpError(ReplyCode.AccessRefused, 'login was refused: wrong user or password'),
        );
      },
      certified: () => trustedAccount('nobody'),
    };
    const facts = {
      product: 'Leveret',
      version: '0',
      startedAt: time.now(),
      listeners: () => [{ protocol: 'amqp', host: '', port: 5672 }],
    };
    const hashPassword = async (password: string) => ({ passwordHash: `hash of ${password.length}`, hashingAlgorithm: 'x' });
    this.api = createApi({ broker, login, clock: time, log, hashPassword, facts, limits: defaultApiLimits });
    const peer = this.engine.connect();
    this.engine.declare(peer, 'q');
    peer.session.declareExchange({
      exchange: 'x',
      type: 'direct',
      durable: true,
      autoDelete: false,
      internal: false,
      passive: false,
      arguments: new Map(),
    });
    peer.session.bindQueue('q', 'x', 'k', new Map());
    broker.users.put('alice', { passwordHash: 'planted-hash', hashingAlgorithm: 'x', tags: [] });
    broker.users.setPermissions('alice', '/', { configure: '', write: '', read: '' });
    this.engine.publish(peer, '', 'q', 'kept');
    this.engine.time.settle();
  }

  /** Runs the engine's turns, which nobody else does, until the answer is there. */
  async ask(
    method: string,
    path: string,
    user: string,
    body?: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: unknown; headers: Headers }> {
    const authorization = `Basic ${Buffer.from(`${user}:right`).toString('base64')}`;
    const request = new Request(`http://leveret${path}`, {
      method,
      headers: { authorization, ...headers },
      ...(body === undefined ? {} : { body }),
    });
    const pump = setInterval(() => this.engine.time.advance(100), 1);
    try {
      const response = await this.api(request, remote);
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers };
    } finally {
      clearInterval(pump);
    }
  }

  tagged(name: string, tags: readonly Tag[], rights?: PatternRights): void {
    this.accounts.set(name, { ...trustedAccount(name), tags: new Set(tags), rights: () => rights });
  }

  /** All that a request may have changed. */
  get state(): unknown {
    const { broker } = this.engine;
    const queues = [...(broker.vhost('/')?.queues.values() ?? [])].map(({ name, readyCount, counts }) => [
      name,
      readyCount,
      counts.published,
    ]);
    return JSON.parse(JSON.stringify({ records: broker.records.definitions(), queues, topology: broker.topology() }));
  }
}

let server: Server;
beforeEach(() => {
  server = new Server();
  logged.length = 0;
});
afterEach(() => expect(logged).toEqual([]));

function filled(path: string): string {
  const names = path.startsWith('/api/exchanges/')
    ? { ...NAMES, name: 'x' }
    : path.startsWith('/api/user-limits/')
      ? { ...NAMES, target: 'alice', limit: 'max-channels' }
      : NAMES;
  return path.replace(/\{(\w+)\}/g, (_, name: string) => names[name] ?? 'missing');
}
const BODY = JSON.stringify({
  ...{
    tags: '',
    password: 'x',
    configure: '.*',
    write: '.*',
    read: '.*',
    exchange: 'x',
    value: 1,
    users: ['alice'],
    count: 1,
    type: 'direct',
  },
  ...{ routing_key: 'q', payload: 'p', properties: {}, ackmode: 'ack_requeue_false' },
});
const bodyFor = (method: string): string | undefined => (method === 'PUT' || method === 'POST' ? BODY : undefined);
const CASES = routes.map(({ method, path, tag }) => [method, path, tag] as const);

describe('who may do what', () => {
  test.each(CASES)('%s %s says for whom it is', (_method, _path, tag) => {
    expect([...TAGS, 'none']).toContain(tag);
  });

  test.each(CASES)('%s %s refuses a user without a tag, and changes nothing', async (method, path) => {
    server.tagged('alice', []);
    const before = server.state;
    const { status, body } = await server.ask(method, filled(path), 'alice', bodyFor(method));
    expect([status, body]).toMatchObject([401, { error: 'not_authorised' }]);
    expect(server.state).toEqual(before);
  });

  test.each(CASES)(
    '%s %s shows and changes nothing for a user who has every tag but administrator and monitoring, and no right',
    async (method, path, tag) => {
      server.tagged('alice', ['management', 'policymaker']);
      const before = server.state;
      const { status, body } = await server.ask(method, filled(path), 'alice', bodyFor(method));
      if (tag === 'administrator' || tag === 'monitoring') expect(status).toBe(401);
      expect(JSON.stringify(body ?? '')).not.toMatch(/"(name|queue)":"q"|planted-hash|kept/);
      expect(server.state).toEqual(before);
    },
  );

  test.each(CASES)('%s %s serves an administrator', async (method, path) => {
    const { status } = await server.ask(method, filled(path), 'admin', bodyFor(method));
    expect([200, 201, 204, 404]).toContain(status);
  });

  test('whoever may see a vhost but has no right in it changes nothing there', async () => {
    const rights = new PatternRights({});
    rights.grant({ configure: '', write: '', read: '' });
    server.tagged('alice', ['management'], rights);
    const before = server.state;
    for (const { method, path, tag } of routes) {
      if (method === 'GET' || tag === 'administrator' || path.startsWith('/api/connections')) continue;
      const { status, body } = await server.ask(method, filled(path), 'alice', bodyFor(method));
      expect([method, path, status, body]).toMatchObject([
        method,
        path,
        401,
        { error: 'not_authorised', reason: expect.stringContaining('refused for user') },
      ]);
    }
    expect(server.state).toEqual(before);
  });

  test('a wrong password is answered a second later, and says no more than that', async () => {
    const request = new Request('http://leveret/api/overview', { headers: { authorization: `Basic ${btoa('admin:planted-secret')}` } });
    let response: Response | undefined;
    void server.api(request, remote).then((answer) => (response = answer));
    await expect.poll(() => server.engine.time.timerCount, { timeout: 30_000 }).toBe(1);
    server.engine.time.advance(999);
    await Promise.resolve();
    expect(response).toBeUndefined();
    server.engine.time.advance(1);
    await expect.poll(() => response?.status, { timeout: 30_000 }).toBe(401);
    expect(response?.headers.get('www-authenticate')).toContain('Basic');
    expect(await response?.text()).toBe('{"error":"not_authorised","reason":"Login failed"}');
  });
});

describe('bad requests', () => {
  test.each([
    ['PUT', '/api/queues/%2F/new', '{', 400, 'the body is no JSON'],
    ['PUT', '/api/queues/%2F/new', '[]', 400, 'the body must be a JSON object'],
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
    ['PUT', '/api/permissions/%2F/nobody', '{"configure":"","write":"","read":""}', 404, 'Not Found'],
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

  test('a body is cut off by counting, whatever its length was said to be', async () => {
    const answer = await server.ask('PUT', '/api/queues/%2F/new', 'admin', ' '.repeat(1_000_001));
    expect([answer.status, answer.body]).toMatchObject([413, { error: 'payload_too_large' }]);
  });

  test('a page of another origin is refused, one of this server is not, and neither is allowed to read across origins', async () => {
    const foreign = await server.ask('GET', '/api/overview', 'admin', undefined, { origin: 'https://evil.example' });
    expect([foreign.status, foreign.body]).toMatchObject([401, { reason: 'pages from https://evil.example may not use this API' }]);
    const own = await server.ask('GET', '/api/overview', 'admin', undefined, { origin: 'http://leveret', host: 'leveret' });
    expect(own.status).toBe(200);
    for (const { headers } of [foreign, own]) expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(own.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
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
  test('an expression that would take for ever is given up', async () => {
    server.engine.declare(server.engine.connect(), `${'a'.repeat(60)}!`);
    const { status, body } = await server.ask('GET', '/api/queues?name=(a%2B)%2B%24&use_regex=true', 'admin');
    expect([status, body]).toMatchObject([400, { reason: "the expression '(a+)+$' takes too long" }]);
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
  expect((await server.ask('PUT', '/api/users/bob', 'admin', '{"password_hash":"abc","tags":"a, b"}')).status).toBe(204);
  expect(server.engine.broker.users.record('bob')).toEqual({
    passwordHash: 'abc',
    hashingAlgorithm: 'rabbit_password_hashing_sha256',
    tags: ['a', 'b'],
  });
  expect((await server.ask('PUT', '/api/users/bob', 'admin', '{"tags":""}')).status).toBe(204);
  expect(server.engine.broker.users.record('bob')?.passwordHash).toBe('abc');
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
