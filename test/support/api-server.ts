// The API without a port, on an engine whose time the test owns: who asks, what, and what was changed by it.
// Always: accounts are the test's; every name that NAMES fills a path with is there. Refuses: real passwords.

import { type Account, type Login, type Remote, type Tag, trustedAccount } from '../../server/broker/login.ts';
import { PatternRights } from '../../server/broker/rights.ts';
import { type ApiOptions, createApi, defaultApiLimits, type Fetch } from '../../server/http/api.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Engine } from './engine.ts';

export const HERE: Remote = { name: 'here', address: '127.0.0.1', isLoopback: true };

const ignore = (): void => undefined;
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
  queue: 'q',
  component: 'shovel',
  within: '1',
  unit: 'months',
  token: 'none',
};

export class ApiServer {
  /** What the log would hold. */
  readonly logged: string[] = [];
  readonly engine = new Engine();
  readonly accounts = new Map<string, Account>([['admin', trustedAccount('admin')]]);
  readonly options: ApiOptions;
  readonly api: Fetch;

  constructor(options: Partial<ApiOptions> = {}) {
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
    const log = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (fields: object, text: string) => void this.logged.push(text + JSON.stringify(fields)),
    };
    const facts = {
      product: 'Leveret',
      version: '0',
      startedAt: time.now(),
      listeners: () => [{ protocol: 'amqp', host: '', port: 5672 }],
    };
    const hashPassword = async (password: string) => ({ passwordHash: `hash of ${password.length}`, hashingAlgorithm: 'x' });
    this.options = { broker, login, clock: time, log, hashPassword, facts, turns: time, limits: defaultApiLimits, ...options };
    this.api = createApi(this.options);
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
    remote = HERE,
  ): Promise<{ status: number; body: unknown; headers: Headers }> {
    const authorization = `Basic ${Buffer.from(`${user}:right`).toString('base64')}`;
    const request = new Request(`http://leveret${path}`, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body }),
    });
    const pump = setInterval(() => this.engine.time.advance(100), 1);
    try {
      const response = await this.api(request, remote);
      const isJson = response.headers.get('content-type')?.startsWith('application/json');
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : isJson ? JSON.parse(text) : text, headers: response.headers };
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

/** A path with the names filled in. */
export function filled(path: string): string {
  const names = path.startsWith('/api/exchanges/')
    ? { ...NAMES, name: 'x' }
    : path.startsWith('/api/user-limits/')
      ? { ...NAMES, target: 'alice', limit: 'max-channels' }
      : NAMES;
  return path.replace(/\{(\w+)\}/g, (_, name: string) => names[name] ?? 'missing');
}

/** Every right in '/' but those named. */
export function rightsWithout(...missing: readonly string[]): PatternRights {
  const rights = new PatternRights({});
  const pattern = (right: string): string => (missing.includes(right) ? '' : '.*');
  rights.grant({ configure: pattern('configure'), write: pattern('write'), read: pattern('read') });
  return rights;
}
