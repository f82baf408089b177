// Definitions over the management API: in whose name an import is done, what its plan shows, how large a file may be; and who is named for what a route does.
import { expect, test } from 'vitest';
import { Audit, type AuditEntry } from '../../../server/broker/audit.ts';
import { type Login, trustedAccount } from '../../../server/broker/login.ts';
import { createApi, defaultApiLimits, type Fetch } from '../../../server/http/api.ts';
import { HASH, q } from '../../support/definitions.ts';
import { Engine } from '../../support/engine.ts';

const ignore = (): void => undefined;
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const remote = { name: 'here', address: '127.0.0.1', isLoopback: true };

class Server {
  readonly engine = new Engine();
  readonly audited: AuditEntry[] = [];
  readonly api: Fetch;
  /** Passwords that wait for their hash. */
  readonly hashing: (() => void)[] = [];

  constructor(httpDefinitionsBytes = defaultApiLimits.httpDefinitionsBytes) {
    const { broker, time } = this.engine;
    const login: Login = {
      check: (user, _password, _remote, done) => done(trustedAccount(user)),
      certified: () => trustedAccount('nobody'),
    };
    const audit = new Audit({ write: (entry) => this.audited.push(entry) }, time);
    audit.listen(broker.events);
    this.api = createApi({
      ...{ broker, login, clock: time, turns: time, log, audit },
      limits: { ...defaultApiLimits, httpDefinitionsBytes },
      facts: { product: 'Leveret', version: '0', startedAt: 0, listeners: () => [] },
      hashPassword: async () => {
        await new Promise<void>((resolve) => this.hashing.push(resolve));
        return { passwordHash: 'hashed', hashingAlgorithm: 'x' };
      },
    });
  }

  ask(user: string, method: string, path: string, body: object = {}): Promise<Response> {
    const headers = { authorization: `Basic ${Buffer.from(`${user}:p`).toString('base64')}` };
    const text = method === 'GET' ? {} : { body: JSON.stringify(body) };
    return this.api(new Request(`http://leveret${path}`, { method, headers, ...text }), remote);
  }

  /** The engine's turns run until there is an answer. */
  async status(asked: Promise<Response>): Promise<number> {
    let isAnswered = false;
    const answer = asked.finally(() => (isAnswered = true));
    while (!isAnswered) {
      this.engine.time.settle();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return (await answer).status;
  }

  /** Who did what, as events tell it. */
  get acts(): string[][] {
    return this.audited.filter(({ act }) => !act.includes(' ')).map(({ user, act, object }) => [user, act, object]);
  }
}

const users = (...names: string[]): object[] => names.map((name) => ({ name, password_hash: HASH, tags: ['administrator'] }));

test('an import is done in the name of who asks, who cannot delete themselves, and is planned without a hash', async () => {
  const server = new Server();
  expect(await server.status(server.ask('root', 'POST', '/api/definitions', { users: users('root', 'old'), queues: [q('q')] }))).toBe(204);
  expect(server.acts).toEqual(
    expect.arrayContaining([
      ['root', 'user.created', 'root'],
      ['root', 'queue.created', 'q'],
    ]),
  );
  const planned = await server.ask('root', 'POST', '/api/definitions?plan=true&prune=true', { users: users('old') });
  const text = await planned.text();
  expect(JSON.parse(text)).toMatchObject({
    steps: [{ act: 'conflict', name: "user 'root'", why: expect.stringContaining('it is who asks') }],
  });
  expect(text).not.toMatch(new RegExp(`hash|${HASH.slice(0, 8)}`, 'i'));
  const refused = server.ask('root', 'POST', '/api/definitions?prune=true', { users: users('old') });
  expect(await server.status(refused)).toBe(400);
  expect((await (await refused).json()).reason).toContain("user 'root' may not be deleted");
  expect(server.engine.broker.users.names().sort()).toEqual(['old', 'root']);
  expect(await server.status(server.ask('root', 'POST', '/api/definitions?prune=true', { users: users('root') }))).toBe(204);
  expect(server.acts).toContainEqual(['root', 'user.deleted', 'old']);
});

test('a request that waits for a hash acts in the name of who asked, whoever else acts meanwhile', async () => {
  const server = new Server();
  const [slow, other] = [
    server.ask('alice', 'PUT', '/api/users/u', { password: 'p', tags: '' }),
    server.ask('bob', 'PUT', '/api/vhosts/v'),
  ];
  expect(await server.status(other)).toBe(201);
  server.hashing.shift()?.();
  expect(await server.status(slow)).toBe(201);
  server.engine.broker.vhosts.put('of-nobody', {});
  expect(server.acts).toEqual([
    ['bob', 'vhost.created', 'v'],
    ['alice', 'user.created', 'u'],
  ]);
});

test('a definitions file may be larger than another body, up to limits.http-definitions-bytes', async () => {
  const server = new Server(2_000_000);
  const file = (bytes: number): object => ({
    global_parameters: ['a', 'b', 'c'].map((name) => ({ name, value: 'x'.repeat(bytes / 3) })), // of an entry there is a limit too
  });
  expect(await server.status(server.ask('root', 'POST', '/api/definitions', file(1_500_000)))).toBe(204);
  const refused = server.ask('root', 'POST', '/api/definitions', file(2_000_000));
  expect(await server.status(refused)).toBe(413);
  expect((await (await refused).json()).hint).toContain('limits.http-definitions-bytes');
  expect(await server.status(server.ask('root', 'PUT', '/api/vhosts/v', { description: 'x'.repeat(1_500_000) }))).toBe(413);
});

test.each(['/api/definitions', '/api/definitions/%2F'])('POST %s without a body is 400, and says what it wants', async (path) => {
  const server = new Server();
  const headers = { authorization: `Basic ${Buffer.from('admin:p').toString('base64')}` };
  const response = await server.api(new Request(`http://leveret${path}`, { method: 'POST', headers }), remote);
  expect([response.status, await response.json()]).toMatchObject([400, { reason: 'the body is empty: it must be a definitions file' }]);
});

test('a section that nobody knows is left alone: only a plan tells of it', async () => {
  const server = new Server();
  expect(await server.status(server.ask('admin', 'POST', '/api/definitions', { odd: [1] }))).toBe(204);
});
