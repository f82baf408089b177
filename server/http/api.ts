// The management API: who asks, what for, and the answer. One way through for every route.
// Always: (1) nobody is heard before their password is; a wrong one costs its sender a second; (2) a body is counted while it comes in, whatever
// Content-Length says, and cut off at its limit; (3) whatever is thrown becomes a status here and nowhere else; (4) a page of another origin is
// refused, and no answer allows one to read it.
// Refuses: cookies and every other ambient credential.

import { Hono } from 'hono';
import { AmqpError } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { requireTag } from '../broker/authorise.ts';
import type { Broker } from '../broker/broker.ts';
import { type Account, LOGIN_DELAY_MS, type Login, type Remote } from '../broker/login.ts';
import type { Clock, ConnectionLog } from '../ports.ts';
import { badRequest, HttpError, notAuthorised, notFound, toHttpError } from './http-error.ts';
import { openApi } from './openapi.ts';
import { Created, type HashPassword, isObject, Reply, type Route, type ServerFacts } from './route.ts';
import { routes } from './routes/routes.ts';

/** security.md, 3. */
export interface ApiLimits {
  readonly httpBodyBytes: number;
  readonly loginDelayMs: number;
}
export const defaultApiLimits: ApiLimits = { httpBodyBytes: 1_000_000, loginDelayMs: LOGIN_DELAY_MS };

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
  readonly limits: ApiLimits;
}

export type Fetch = (request: Request, remote: Remote) => Promise<Response>;

export function createApi(options: ApiOptions): Fetch {
  const app = new Hono<{ Bindings: { remote: Remote } }>({ strict: false });
  for (const route of routes) {
    app.on(route.method, route.path.replace(/\{(\w+)\}/g, ':$1'), (context) =>
      answer(options, route, context.req.raw, context.req.param(), context.env.remote),
    );
  }
  app.get('/api/openapi.json', (context) => context.json(openApi(routes, options.facts.version), 200, SECURITY_HEADERS));
  app.notFound((context) =>
    refusal(isKnownPath(context.req.path) ? new HttpError(405, 'method_not_allowed', 'Method Not Allowed') : notFound()),
  );
  return async (request, remote) => await app.fetch(request, { remote });
}

const PATTERNS = routes.map(({ path }) => new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}/?$`));
function isKnownPath(path: string): boolean {
  return PATTERNS.some((pattern) => pattern.test(path));
}

async function answer(
  options: ApiOptions,
  route: Route,
  request: Request,
  path: Record<string, string | undefined>,
  remote: Remote,
): Promise<Response> {
  try {
    checkOrigin(request);
    const account = await callerOf(options, request, remote);
    requireTag(account, route.tag);
    const { broker, hashPassword, facts } = options;
    const url = new URL(request.url);
    const names = Object.fromEntries(Object.entries(path).map(([name, value]) => [name, value ?? '']));
    const body = route.method === 'GET' ? {} : await bodyOf(request, options.limits);
    return respond(
      await route.handle({ broker, account, path: names, query: url.searchParams, headers: request.headers, body, hashPassword, facts }),
    );
  } catch (error) {
    const told = toHttpError(error);
    if (told.status === 500) options.log.error({ err: error }, 'internal error: a request failed');
    return refusal(told);
  }
}

function respond(answered: unknown): Response {
  if (answered === undefined) return new Response(null, { status: 204, headers: SECURITY_HEADERS });
  if (answered instanceof Created)
    return new Response(null, {
      status: 201,
      headers: answered.location === undefined ? SECURITY_HEADERS : { ...SECURITY_HEADERS, location: answered.location },
    });
  if (answered instanceof Reply) return Response.json(answered.body, { status: answered.status, headers: SECURITY_HEADERS });
  return Response.json(answered, { headers: SECURITY_HEADERS });
}

function refusal({ status, error, message, hint }: HttpError): Response {
  const asks = status === 401 ? { 'www-authenticate': 'Basic realm="Leveret Management"' } : {};
  return Response.json(
    { error, reason: message, ...(hint === undefined ? {} : { hint }) },
    { status, headers: { ...SECURITY_HEADERS, ...asks } },
  );
}

/** A browser says where a page came from; tools do not. */
function checkOrigin(request: Request): void {
  const origin = request.headers.get('origin');
  if (origin === null) return;
  if (URL.canParse(origin) && new URL(origin).host === request.headers.get('host')) return;
  throw notAuthorised(`pages from ${origin.slice(0, 200)} may not use this API`, 'ask from a page of this server');
}

async function callerOf({ login, clock, limits }: ApiOptions, request: Request, remote: Remote): Promise<Account> {
  const credentials = readBasic(request.headers.get('authorization'));
  if (credentials === undefined) throw notAuthorised('Login failed', 'send a name and a password: Basic authentication');
  const outcome = await new Promise<Account | AmqpError>((resolve) => login.check(credentials.user, credentials.password, remote, resolve));
  if (!(outcome instanceof AmqpError)) return outcome;
  await new Promise<void>((resolve) => clock.setTimer(clock.now() + limits.loginDelayMs, resolve));
  throw notAuthorised('Login failed', outcome.detail.hint);
}

function readBasic(header: string | null): { user: string; password: string } | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

async function bodyOf(request: Request, { httpBodyBytes }: ApiLimits): Promise<JsonObject> {
  const bytes = await readBody(request, httpBodyBytes);
  if (bytes.length === 0) return {};
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw badRequest('the body is no JSON');
  }
  if (!isObject(body)) throw badRequest('the body must be a JSON object');
  return body;
}

async function readBody(request: Request, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > bytesMax)
      throw new HttpError(
        413,
        'payload_too_large',
        `a body has at most ${bytesMax} bytes`,
        'the setting limits.http-body-bytes decides it',
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
