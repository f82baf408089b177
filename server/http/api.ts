// The management API: who asks, what for, and the answer. One way through for every route.
// Always: (1) nobody is heard before their password or token is; a wrong one costs its sender a second; (2) a body is counted while it comes in, whatever
// Content-Length says, and cut off at its limit; (3) whatever is thrown becomes a status here and nowhere else; (4) a page of another origin is
// refused (origin.ts), and no answer allows one to read it.
// Refuses: cookies and every other ambient credential.

import { Hono } from 'hono';
import { AmqpError } from '../../shared/error.ts';
import type { Audit } from '../broker/audit.ts';
import { requireTag } from '../broker/authorise.ts';
import type { Broker } from '../broker/broker.ts';
import { type Account, LOGIN_DELAY_MS, type Login, type Remote, TooManyLogins } from '../broker/login.ts';
import type { Clock, ConnectionLog, Turns } from '../ports.ts';
import { checkVhost } from './acting.ts';
import { checkBody, NOTHING } from './bodies.ts';
import { badRequest, HttpError, notAuthorised, notFound, toHttpError, tooMany } from './http-error.ts';
import { openApi } from './openapi.ts';
import { checkOrigin } from './origin.ts';
import { Pulls } from './pulls.ts';
import { RateLimit } from './rate-limit.ts';
import { checkEncoding, isBodyUnread, jsonOf, readBody } from './request-body.ts';
import { type Call, Created, type HashPassword, JsonText, type RateSource, Raw, Reply, type Route, type ServerFacts } from './route.ts';
import { routes } from './routes/routes.ts';

/** security.md, 3. Definitions come from administrators, and may be large. */
export interface ApiLimits {
  readonly httpBodyBytes: number;
  readonly httpDefinitionsBytes: number;
  /** Of one user; peers on loopback are exempt. */
  readonly httpRequestsPerSecond: number;
  readonly loginDelayMs: number;
}
export const defaultApiLimits: ApiLimits = {
  httpBodyBytes: 1_000_000,
  httpDefinitionsBytes: 10_000_000,
  httpRequestsPerSecond: 50,
  loginDelayMs: LOGIN_DELAY_MS,
};

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export interface ApiOptions {
  readonly broker: Broker;
  readonly login: Login;
  readonly clock: Clock;
  readonly log: ConnectionLog;
  readonly hashPassword: HashPassword;
  readonly facts: ServerFacts;
  readonly audit?: Audit | undefined;
  readonly limits: ApiLimits;
  readonly turns: Turns;
  /** Rates are 0 unless it is given. */
  readonly rates?: RateSource;
}

/** What one API keeps between requests. */
interface Api extends ApiOptions {
  readonly pulls: Pulls;
  readonly rateLimit: RateLimit;
}

/** `loggedIn` is called when it is known who asks. */
export type Fetch = (request: Request, remote: Remote, loggedIn?: () => void) => Promise<Response>;
interface Asker {
  readonly remote: Remote;
  readonly loggedIn: (() => void) | undefined;
}

export function createApi(options: ApiOptions): Fetch {
  const { clock, limits } = options;
  const api: Api = { ...options, pulls: new Pulls(), rateLimit: new RateLimit(limits.httpRequestsPerSecond, clock) };
  const app = new Hono<{ Bindings: Asker }>({ strict: false });
  for (const route of routes) {
    app.on(route.method, route.path.replace(/\{(\w+)\}/g, ':$1'), (context) =>
      answer(api, route, context.req.raw, context.req.param(), context.env),
    );
  }
  app.get('/api/openapi.json', (context) => context.json(openApi(routes, options.facts.version), 200, SECURITY_HEADERS));
  app.notFound((context) => refusal(noRoute(context.req.path), context.req.raw));
  return async (request, remote, loggedIn) =>
    isDecodable(request.url)
      ? await app.fetch(request, { remote, loggedIn })
      : refusal(badRequest('the path has a % that stands for nothing', 'a % itself is %25'), request);
}

function isDecodable(url: string): boolean {
  try {
    decodeURIComponent(new URL(url).pathname);
    return true;
  } catch {
    return false;
  }
}

const PATTERNS = routes.map(({ method, path }) => ({ method, pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}/?$`) }));
function noRoute(path: string): HttpError {
  const methods = PATTERNS.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
  if (methods.length === 0) return notFound();
  const allow = methods.join(', ');
  return new HttpError(405, 'method_not_allowed', 'Method Not Allowed', {
    hint: `this path takes ${allow}`,
    headers: { allow },
  });
}

async function answer(
  api: Api,
  route: Route,
  request: Request,
  path: Record<string, string | undefined>,
  { remote, loggedIn }: Asker,
): Promise<Response> {
  let [user, outcome] = ['', 'ok'];
  try {
    checkOrigin(request, route.body === 'raw');
    const account = await callerOf(api, request, remote);
    user = account.name;
    loggedIn?.();
    if (!remote.isLoopback && !api.rateLimit.take(account.name))
      throw tooMany(
        `user '${account.name}' asks too often`,
        `at most ${api.limits.httpRequestsPerSecond} a second: the setting limits.http-requests-per-second`,
      );
    if (route.tag !== 'none') requireTag(account, route.tag);
    if (request.method === 'HEAD' && isTaking(route))
      throw new HttpError(405, 'method_not_allowed', 'Method Not Allowed', { headers: { allow: route.method } });
    const call = await callOf(api, route, request, path, account);
    return respond(await api.broker.events.as(account.name, () => route.handle(call)));
  } catch (error) {
    const told = toHttpError(error);
    outcome = `${told.status} ${told.error}`; // no reason: it may quote what was sent
    if (told.status === 500) api.log.error({ err: error }, 'internal error: a request failed');
    return refusal(told, request, route.path.startsWith('/api/'));
  } finally {
    if (route.method !== 'GET' && user !== '')
      api.audit?.record(
        {
          user,
          vhost: path['vhost'] ?? '',
          act: `${route.method} ${route.path}`,
          object: objectOf(path),
          outcome,
          peer: remote.name,
        },
        route.tag === 'administrator' || route.tag === 'policymaker',
      );
  }
}

/** The names in a path but the vhost's, and tokens, which open what they name. */
function objectOf(path: Record<string, string | undefined>): string {
  return Object.entries(path)
    .flatMap(([name, value]) => (name === 'vhost' || name === 'token' || value === undefined ? [] : [value]))
    .join(' ');
}

/** A GET that does something, whose answer must not be thrown away: Hono answers HEAD with GET. */
function isTaking({ method, right }: Route): boolean {
  return method === 'GET' && right !== 'none' && right !== 'vhost';
}

async function callOf(
  { broker, hashPassword, facts, rates, turns, pulls, limits }: Api,
  route: Route,
  request: Request,
  path: Record<string, string | undefined>,
  account: Account,
): Promise<Call> {
  const names = Object.fromEntries(Object.entries(path).map(([name, value]) => [name, value ?? '']));
  const { searchParams: query } = new URL(request.url);
  if (route.method !== 'GET' && route.body !== 'raw') checkEncoding(request); // of a message it is a property
  const bytes = route.method === 'GET' ? new Uint8Array(0) : await readBody(request, route.limit ?? 'http-body-bytes', limits);
  const body = route.body === 'raw' ? {} : checkBody(route.body ?? NOTHING, jsonOf(bytes));
  const { headers, signal } = request;
  const call = { broker, account, path: names, query, headers, body, bytes, signal, hashPassword, facts, rates, turns, pulls };
  if (route.right !== 'none' && names['vhost'] !== undefined) checkVhost(call, names['vhost'], route.method === 'GET' ? 'see' : 'change');
  return call;
}

function respond(answered: unknown): Response {
  if (answered === undefined) return new Response(null, { status: 204, headers: SECURITY_HEADERS });
  if (answered instanceof Created)
    return new Response(null, {
      status: 201,
      headers: answered.location === undefined ? SECURITY_HEADERS : { ...SECURITY_HEADERS, location: answered.location },
    });
  if (answered instanceof Raw) return new Response(Buffer.from(answered.bytes), { headers: { ...SECURITY_HEADERS, ...answered.headers } });
  if (answered instanceof JsonText)
    return new Response(answered.text, { headers: { ...SECURITY_HEADERS, 'content-type': 'application/json' } });
  if (answered instanceof Reply) return Response.json(answered.body, { status: answered.status, headers: SECURITY_HEADERS });
  return Response.json(answered, { headers: SECURITY_HEADERS });
}

function refusal({ status, error, message, more: { hint, path, headers } }: HttpError, request: Request, isAsked = false): Response {
  const asks = status === 401 && isAsked ? { 'www-authenticate': 'Basic realm="Leveret Management"' } : {};
  const ends = isBodyUnread(request) ? { connection: 'close' } : {}; // else Node would read all of it, to see the next request
  return Response.json({ error, reason: message, hint, path }, { status, headers: { ...SECURITY_HEADERS, ...headers, ...asks, ...ends } });
}

async function callerOf({ login, clock, limits }: Api, request: Request, remote: Remote): Promise<Account> {
  const credentials = readCredentials(request.headers.get('authorization'));
  if (credentials === undefined) throw notAuthorised('Login failed', 'send a name and a password (Basic), or a token (Bearer)');
  const outcome = await new Promise<Account | AmqpError>((resolve) => login.check(credentials.user, credentials.password, remote, resolve));
  if (!(outcome instanceof AmqpError)) return outcome;
  if (outcome instanceof TooManyLogins)
    throw new HttpError(503, 'service_unavailable', 'too many logins at once', {
      hint: outcome.detail.hint,
      headers: { 'retry-after': '1' },
    });
  await new Promise<void>((resolve) => clock.setTimer(clock.now() + limits.loginDelayMs, resolve));
  throw notAuthorised('Login failed', outcome.detail.hint);
}

/** Basic, or Bearer with a token, which names its user itself. */
function readCredentials(header: string | null): { user: string; password: string } | undefined {
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(header ?? '')?.[1];
  if (token !== undefined) return { user: '', password: token };
  const encoded = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
