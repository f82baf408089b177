// Publish and consume by plain HTTP, for scripts: the body is the message, the rest is headers.
// Always: (1) a publish is answered once it is confirmed; (2) what a pull answers, a publish takes: `amqp-properties` is JSON with RabbitMQ's names of them;
// (3) a body is never shown as a page. Refuses: tags: whoever has the right on the exchange or the queue may come.
// RabbitMQ differs: it has no such routes.

import { Content, encodeContent } from '../../../shared/content.ts';
import type { Json, JsonObject } from '../../../shared/protocol/control.ts';
import { isObject, propertiesFromJson, propertiesToJson } from '../../../shared/protocol/json.ts';
import { acting } from '../acting.ts';
import { badRequest } from '../http-error.ts';
import type { Outcome } from '../pulls.ts';
import { type Call, Raw, type Route } from '../route.ts';
import { ours, PROPERTIES, theirs } from './messages.ts';
import { exchangeName } from './topology.ts';

const WAIT_MS_MAX = 60_000;
const HOLD_MS = 60_000;
const HOLD_MS_MAX = 1_800_000; // as long as a consumer may take: 30 min
const PERSISTENT = 2; // who publishes by hand expects to find it again
const NUMBERS: ReadonlySet<string> = new Set(['priority', 'delivery_mode', 'timestamp']);

async function publish(call: Call): Promise<object> {
  const properties = propertiesFromJson(ours(propertiesOf(call.headers)));
  const run = encodeContent(exchangeName(call, 'exchange'), call.path['key'] ?? '', properties, call.bytes);
  const queues = await acting(call, call.path['vhost'] ?? '', (each) => each.publish(run));
  return { routed: queues > 0, queues };
}

/** `amqp-properties`, and over it one header for each: content-type, amqp-correlation-id, amqp-header-NAME. */
function propertiesOf(headers: Headers): JsonObject {
  const properties: JsonObject = { delivery_mode: PERSISTENT, ...jsonOf(headers.get('amqp-properties')) };
  const table: JsonObject = isObject(properties['headers']) ? { ...properties['headers'] } : {};
  headers.forEach((value, header) => {
    const name = header.replace(/^amqp-/, '').replaceAll('-', '_');
    if (header === 'amqp-properties') return;
    if (header.startsWith('amqp-header-')) table[header.slice('amqp-header-'.length)] = value;
    else if (header === 'content-type' || header === 'content-encoding') properties[name] = value;
    else if (header.startsWith('amqp-')) properties[name] = propertyOf(header, name, value);
  });
  return Object.keys(table).length > 0 ? { ...properties, headers: table } : properties;
}

function jsonOf(header: string | null): JsonObject {
  if (header === null) return {};
  try {
    const value: unknown = JSON.parse(header);
    if (isObject(value)) return value;
  } catch {
    // refused below, like JSON of another shape
  }
  throw badRequest("the header 'amqp-properties' must be a JSON object");
}

function propertyOf(header: string, name: string, value: string): Json {
  if (!Object.hasOwn(PROPERTIES, name) || name === 'headers')
    throw badRequest(`no property '${header}'`, 'amqp-header-NAME sets a header of the message');
  if (!NUMBERS.has(name)) return value;
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw badRequest(`the header '${header}' must be a whole number`);
}

async function pull(call: Call): Promise<Raw | undefined> {
  const { path, query } = call;
  const ack = query.get('ack') ?? 'token';
  if (ack !== 'token' && ack !== 'auto') throw badRequest("'ack' must be token or auto");
  const pulled = await call.pulls.pull(call, {
    vhost: path['vhost'] ?? '',
    queue: path['queue'] ?? '',
    waitMs: msOf(query, 'wait', 0, WAIT_MS_MAX),
    holdMs: ack === 'auto' ? undefined : msOf(query, 'hold', HOLD_MS, HOLD_MS_MAX),
  });
  if (pulled === undefined) return undefined;
  const { content: run, token, redelivered, deliveryCount } = pulled;
  const content = new Content().read(run, 0, run.length);
  const { contentType = '' } = content.properties;
  return new Raw(run.subarray(content.bodyStart), {
    'content-type': /^[\x20-\x7e]{1,200}$/.test(contentType) ? contentType : 'application/octet-stream',
    'content-disposition': 'attachment',
    'amqp-exchange': encodeURIComponent(content.exchange),
    'amqp-routing-key': encodeURIComponent(content.key),
    'amqp-redelivered': String(redelivered),
    'amqp-delivery-count': String(deliveryCount),
    'amqp-properties': asciiJson(theirs(propertiesToJson(content.properties))),
    ...(token === undefined ? {} : { 'amqp-token': token }),
  });
}

/** A header carries visible ASCII alone. */
function asciiJson(value: object): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function msOf(query: URLSearchParams, name: string, absent: number, most: number): number {
  const given = query.get(name) ?? String(absent);
  const ms = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (ms <= most) return ms;
  throw badRequest(`'${name}' must be milliseconds from 0 to ${most}`);
}

const OUTCOMES: readonly Outcome[] = ['ack', 'requeue', 'reject'];

async function settle(call: Call): Promise<void> {
  const asked = call.query.get('outcome') ?? 'ack';
  const outcome = OUTCOMES.find((each) => each === asked);
  if (outcome === undefined) throw badRequest(`no outcome '${asked}'`, OUTCOMES.join(', '));
  await call.pulls.settle(call.path['token'] ?? '', call.account.name, outcome);
}

const publishing = { method: 'POST', tag: 'none', right: 'basic.publish', body: 'raw', handle: publish } as const;

export const scriptRoutes: readonly Route[] = [
  { ...publishing, path: '/v1/publish/{vhost}/{exchange}', summary: 'Publishes the body, with an empty routing key' },
  { ...publishing, path: '/v1/publish/{vhost}/{exchange}/{key}', summary: 'Publishes the body' },
  {
    method: 'GET',
    tag: 'none',
    right: 'basic.get',
    path: '/v1/queues/{vhost}/{queue}/pull',
    summary: 'Takes a message, or waits for one: wait=ms, hold=ms, ack=auto',
    handle: pull,
  },
  {
    method: 'DELETE',
    tag: 'none',
    right: 'none',
    path: '/v1/deliveries/{token}',
    summary: 'Settles what was pulled: outcome=ack, requeue or reject',
    handle: settle,
  },
];
