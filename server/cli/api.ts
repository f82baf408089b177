// The HTTP API as the verbs use it: RabbitMQ's paths and JSON, on Leveret or on RabbitMQ.
// Always: (1) an answer that is no success leaves as a CliError with a hint and an exit code; (2) no password is in a URL, an error or an output: it goes
// into one header, and a redirection, which would carry it elsewhere, is not followed; (3) names are escaped, and those that no path can hold are refused;
// (4) lists come in pages where the broker cuts them.
// Refuses: to know what the paths mean.

import { Buffer } from 'node:buffer';
import { setTimeout as pause } from 'node:timers/promises';
import type { Json } from '../../shared/protocol/control.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';

export const DEFAULT_API_URL = 'http://127.0.0.1:15672';
const PAGE_SIZE = 500; // RabbitMQ's most
const PAGES_MAX = 10_000; // of one list: a broker that never ends it is wrong
const RETRY_MS = 1_000; // after 429: rates are counted by the second
const SCHEMES: ReadonlyMap<string, string> = new Map([
  ['http:', 'http:'],
  ['https:', 'https:'],
  ['ws:', 'http:'],
  ['wss:', 'https:'],
]);

export type Fields = Readonly<Record<string, unknown>>;
export type Query = Readonly<Record<string, string | number | undefined>>;
type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

export interface ApiAddress {
  /** Without user and password, and without a slash at its end. */
  readonly base: string;
  readonly user: string;
  readonly password: string;
}

export interface ApiOptions {
  readonly address: ApiAddress;
  /** For each request. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** In place of the global one. */
  readonly fetch?: typeof fetch;
}

interface Request {
  readonly query?: Query;
  readonly body?: Json;
  readonly headers?: Readonly<Record<string, string>>;
  /** What a 404 is about, for people: `queue 'orders' in vhost '/'`. */
  readonly what?: string;
}

/** The address of `--url`, which may be that of the WebSocket. Throws CliError. */
export function apiAddress(url: string): ApiAddress {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const scheme = parsed === undefined ? undefined : SCHEMES.get(parsed.protocol);
  if (parsed === undefined || scheme === undefined || parsed.host === '')
    throw new CliError(
      ExitCode.Usage,
      'the address of the broker is none of HTTP',
      `--url is like ${DEFAULT_API_URL}, not ${printable(withoutPassword(url))}`,
    );
  const prefix = parsed.protocol.startsWith('ws') ? parsed.pathname.replace(/\/ws\/?$/, '') : parsed.pathname;
  return {
    base: `${scheme}//${parsed.host}${prefix.replace(/\/(api\/?)?$/, '')}`,
    user: parsed.username === '' ? 'guest' : decoded(parsed.username),
    password: parsed.username === '' ? 'guest' : decoded(parsed.password),
  };
}

/** A path of names: `path('queues', vhost, queue)`. Throws CliError for a name that cannot stand in one. */
export function path(...names: readonly string[]): string {
  for (const name of names) {
    // A URL takes these for steps up and down, however they are escaped: the request would be about something else.
    if (name === '' || name === '.' || name === '..')
      throw new CliError(ExitCode.Usage, `the HTTP API cannot name '${name}'`, 'a path may not hold an empty name, "." or ".."');
  }
  return `/api/${names.map(encodeURIComponent).join('/')}`;
}

export class Api {
  readonly address: ApiAddress;
  readonly #options: ApiOptions;
  readonly #fetch: typeof fetch;
  readonly #authorization: string;

  constructor(options: ApiOptions) {
    this.address = options.address;
    this.#options = options;
    this.#fetch = options.fetch ?? fetch;
    const { user, password } = options.address;
    this.#authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  }

  /** The same broker as somebody else. */
  as(user: string, password: string): Api {
    return new Api({ ...this.#options, address: { ...this.address, user, password } });
  }

  async get(target: string, request: Request = {}): Promise<Fields> {
    return fieldsOf(await this.#request('GET', target, request), target);
  }
  /** undefined where there is none. */
  async find(target: string): Promise<Fields | undefined> {
    try {
      return await this.get(target);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }
  async put(target: string, body: Json, request: Request = {}): Promise<void> {
    await this.#request('PUT', target, { ...request, body });
  }
  async post(target: string, body: Json, request: Request = {}): Promise<unknown> {
    return await this.#request('POST', target, { ...request, body });
  }
  async delete(target: string, request: Request = {}): Promise<void> {
    await this.#request('DELETE', target, request);
  }

  /** All of a list, page by page; a broker that does not cut this one answers all of it at once. */
  async *list(target: string, request: Request = {}): AsyncGenerator<Fields> {
    for (let page = 1; page <= PAGES_MAX; page++) {
      const answer = await this.#request('GET', target, { ...request, query: { ...request.query, page, page_size: PAGE_SIZE } });
      if (Array.isArray(answer)) {
        for (const item of answer) yield fieldsOf(item, target);
        return;
      }
      const { items, page_count: pageCount } = fieldsOf(answer, target);
      if (!Array.isArray(items)) throw notTheApi(target);
      for (const item of items) yield fieldsOf(item, target);
      if (typeof pageCount !== 'number' || page >= pageCount) return;
    }
  }

  /** One page of a list that is never longer, in the order the query asks for. */
  async page(target: string, query: Query): Promise<Fields[]> {
    const answer = await this.#request('GET', target, { query });
    const items: unknown = Array.isArray(answer) ? answer : fieldsOf(answer, target)['items'];
    if (!Array.isArray(items)) throw notTheApi(target);
    return items.map((item) => fieldsOf(item, target));
  }

  async #request(method: Method, target: string, request: Request): Promise<unknown> {
    const { signal, timeoutMs } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      for (;;) {
        const response = await this.#send(method, target, request, either);
        const text = await response.text();
        if (response.ok) return parsed(text, target);
        if (response.status !== 429) throw refusal(response.status, text, request.what, this.address.user);
        await pause(RETRY_MS, undefined, { signal: either });
      }
    } catch (error) {
      if (error instanceof CliError || signal?.aborted === true) throw error;
      if (timeout.aborted)
        throw new CliError(ExitCode.Timeout, `no answer from ${this.address.base} within ${timeoutMs} ms`, '--timeout gives it longer');
      if (!(error instanceof Error)) throw error;
      throw unreachable(error, this.address.base);
    }
  }

  async #send(method: Method, target: string, { query = {}, body, headers = {} }: Request, signal: AbortSignal): Promise<Response> {
    const url = new URL(`${this.address.base}${target}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
    return await this.#fetch(url, {
      method,
      redirect: 'manual',
      signal,
      headers: {
        accept: '*/*', // RabbitMQ has routes that answer nothing, and 406 to whom wants JSON
        authorization: this.#authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

/** What the broker refused. */
export class ApiError extends CliError {
  readonly status: number;
  /** RabbitMQ's text, such as "Login failed". */
  readonly reason: string;

  constructor(status: number, reason: string, exitCode: ExitCode, text: string, hint?: string) {
    super(exitCode, text, hint);
    this.status = status;
    this.reason = reason;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/]*@/, '//');
}

function refusal(status: number, body: string, what: string | undefined, user: string): ApiError {
  const said = tryParse(body);
  const fields = isFields(said) ? said : {};
  const reason = printable(oneLine(textOf(fields['reason']) || textOf(fields['error'])));
  const hint = typeof fields['hint'] === 'string' ? printable(fields['hint']) : undefined;
  const at = typeof fields['path'] === 'string' && fields['path'] !== '' ? `, at ${printable(fields['path'])}` : '';
  const failed = (text: string, otherHint = hint): ApiError => new ApiError(status, reason, ExitCode.Failure, text, otherHint);
  if (status === 404 && reason !== '' && what !== undefined) return failed(`there is no ${printable(what)}`, hint ?? listHint(what));
  if (status === 404 && reason !== '') return failed(reason);
  if (status === 404 || (status >= 300 && status < 400))
    return failed(`no HTTP API is at this address: it answered ${status}`, '--url names the port of the management API, 15672 by default');
  if (status === 401 && /^(Login failed|User can only log in)/.test(reason)) {
    const text = `login refused for user '${printable(user)}': ${reason}`;
    return new ApiError(status, reason, ExitCode.LoginRefused, text, hint ?? 'user and password stand in --url, or in LEVERET_URL');
  }
  if (reason === 'Not management user')
    return failed(
      `user '${printable(user)}' may not use the HTTP API`,
      'an administrator may tag it: leveret set_user_tags USER management',
    );
  if (reason.startsWith('User not authorised to access virtual host'))
    return failed(
      `user '${printable(user)}' may not use this virtual host`,
      hint ?? 'an administrator may let it in: leveret set_permissions',
    );
  return failed(reason === '' ? `the broker answered ${status}` : reason + at);
}

/** Which verb shows what is there, by what is not. */
const LISTS: ReadonlyMap<string, string> = new Map([
  ['queue', 'list_queues'],
  ['exchange', 'list_exchanges'],
  ['connection', 'list_connections name'],
  ['user', 'list_users'],
  ['vhost', 'list_vhosts'],
  ['policy', 'list_policies'],
  ['operator policy', 'list_operator_policies'],
  ['permission of user', 'list_permissions'],
  ['topic permission of user', 'list_topic_permissions'],
]);

function listHint(what: string): string | undefined {
  const [, kind = '', vhost = '/'] = /^([a-z ]+) '(?:.*' in vhost '(.*)')?/s.exec(what) ?? [];
  const verb = LISTS.get(kind);
  return verb === undefined ? undefined : `those there are: leveret ${verb}${vhost === '/' ? '' : ` -p ${shellWord(printable(vhost))}`}`;
}

function unreachable(error: Error, base: string): CliError {
  const { cause } = error;
  const why = cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : cause.name) : error.message;
  return new CliError(
    ExitCode.Unreachable,
    `no broker can be reached at ${base}: ${printable(why)}`,
    'is its HTTP port open? Leveret: leveret start; RabbitMQ: rabbitmq-plugins enable rabbitmq_management',
  );
}

function notTheApi(target: string): CliError {
  return new CliError(ExitCode.Failure, `the answer to ${target} is none of the HTTP API`, '--url names the port of the management API');
}

function fieldsOf(value: unknown, target: string): Fields {
  if (isFields(value)) return value;
  throw notTheApi(target);
}

function parsed(text: string, target: string): unknown {
  if (text === '') return undefined;
  const value = tryParse(text);
  if (value === undefined) throw notTheApi(target);
  return value;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** RabbitMQ answers paragraphs, written for a page. */
function oneLine(text: string): string {
  const plain = text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  return plain.trim().replace(/\s*\n\s*/g, ': ');
}

/** As a shell reads it back. */
const shellWord = (text: string): string => (/^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const textOf = (value: unknown): string => (typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value));

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text; // a % that stands for itself
    throw error;
  }
}
