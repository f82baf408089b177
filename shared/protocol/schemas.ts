// The JSON Schema (draft-07) of every control operation, with its defaults: for ajv 8, `new Ajv({ useDefaults: true, formats })`.
// Always: (1) one schema for each entry of Operations (control.ts), and a test holds the defaults against the table in docs/protocol.md;
// (2) what passes has the type Filled<Name>; (3) unknown fields pass. `envelope` comes first: it says whether there is an `id` to answer.
// Does not know what a table, queue or exchange may hold: tables are checked by json.ts, names and arguments by the broker.

import { isBase64 } from '../base64.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../text.ts';
import { type OperationName, PREFETCH_MAX } from './control.ts';

export type Schema = { readonly [keyword: string]: unknown };

/** `shortstr`: at most 255 bytes of UTF-8 and no lone surrogate, which UTF-8 cannot write. */
export const formats = {
  shortstr: (text: string): boolean =>
    text.length <= SHORT_STRING_BYTES_MAX && utf8Length(text) <= SHORT_STRING_BYTES_MAX && !/\p{Surrogate}/u.test(text),
  base64: isBase64,
};

const INT32 = 2_147_483_647;
const UINT32 = 4_294_967_295;

const shortString = { type: 'string', format: 'shortstr' };
const text = { type: 'string' };
const table = { type: 'object' };
const tables = { ...table, default: {} };
const handle = { type: 'integer', minimum: 1, maximum: 65_535 };
const octet = { type: 'integer', minimum: 0, maximum: 255 };
const safe = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const prefetch = { type: 'integer', minimum: 0, maximum: PREFETCH_MAX };
const encoding = { type: 'string', enum: ['binary', 'json'], default: 'binary' };
const glob = { ...shortString, default: '*' };
const flag = (byDefault: boolean): Schema => ({ type: 'boolean', default: byDefault });
const name = (byDefault: string): Schema => ({ ...shortString, default: byDefault });

function operation(properties: { readonly [field: string]: Schema }, required: readonly string[] = [], more: Schema = {}): Schema {
  return { type: 'object', properties, required, ...more };
}

// Naming the field again satisfies ajv's strict mode.
const exactly = (field: string): Schema => ({ properties: { [field]: text }, required: [field] });

const properties: Schema = {
  type: 'object',
  default: {},
  properties: {
    contentType: shortString,
    contentEncoding: shortString,
    headers: table,
    deliveryMode: octet,
    priority: octet,
    correlationId: shortString,
    replyTo: shortString,
    expiration: shortString,
    messageId: shortString,
    timestamp: safe,
    type: shortString,
    userId: shortString,
    appId: shortString,
    clusterId: shortString,
  },
};

const queueBinding = operation({ queue: shortString, exchange: shortString, key: name(''), arguments: tables }, ['queue', 'exchange']);
const exchangeBinding = operation({ destination: shortString, source: shortString, key: name(''), arguments: tables }, [
  'destination',
  'source',
]);
const byHandle = operation({ handle }, ['handle']);
const byQueue = operation({ queue: shortString }, ['queue']);
const none = operation({});

/** Every request, before its operation is known. */
export const envelope: Schema = operation({ id: { ...safe, minimum: 1 }, op: text }, ['id', 'op']);

export const schemas: { readonly [Name in OperationName]: Schema } = {
  hello: operation(
    {
      version: { type: 'integer' },
      user: shortString,
      // Tokens are longer than names; what a client may send before hello is bounded as a whole (64 KiB).
      password: text,
      vhost: name('/'),
      client: { type: 'object', properties: { product: shortString, version: shortString, name: shortString } },
      capabilities: { type: 'array', items: text, default: [] },
    },
    ['version', 'user', 'password'],
  ),
  ping: none,
  'update-secret': operation({ newSecret: text, reason: name('') }, ['newSecret']),
  'exchange.declare': operation(
    {
      exchange: shortString,
      type: name('direct'),
      durable: flag(true),
      autoDelete: flag(false),
      internal: flag(false),
      passive: flag(false),
      arguments: tables,
    },
    ['exchange'],
  ),
  'exchange.delete': operation({ exchange: shortString, ifUnused: flag(false) }, ['exchange']),
  'exchange.bind': exchangeBinding,
  'exchange.unbind': exchangeBinding,
  'queue.declare': operation({
    queue: name(''),
    durable: flag(true),
    exclusive: flag(false),
    autoDelete: flag(false),
    passive: flag(false),
    arguments: tables,
  }),
  'queue.inspect': byQueue,
  'queue.bind': queueBinding,
  'queue.unbind': queueBinding,
  'queue.purge': byQueue,
  'queue.delete': operation({ queue: shortString, ifUnused: flag(false), ifEmpty: flag(false) }, ['queue']),
  'publisher.open': operation({ handle, confirm: flag(true) }, ['handle']),
  'publisher.close': byHandle,
  publish: operation(
    { exchange: name(''), key: name(''), mandatory: flag(false), properties, body: text, bodyBase64: { type: 'string', format: 'base64' } },
    [],
    { oneOf: [exactly('body'), exactly('bodyBase64')] },
  ),
  consume: operation(
    {
      handle,
      queue: shortString,
      consumerTag: name(''),
      noAck: flag(false),
      exclusive: flag(false),
      prefetch,
      credit: { type: 'integer', minimum: 0, maximum: UINT32 },
      priority: { type: 'integer', minimum: -INT32 - 1, maximum: INT32, default: 0 },
      arguments: tables,
      encoding,
    },
    ['handle', 'queue'],
  ),
  'consumer.cancel': byHandle,
  credit: operation({ handle, messages: { type: 'integer', minimum: 0, maximum: UINT32 } }, ['handle', 'messages']),
  qos: operation({ prefetch }, ['prefetch']),
  ack: operation({ tag: safe, multiple: flag(false) }, ['tag']),
  nack: operation({ tag: safe, multiple: flag(false), requeue: flag(true) }, ['tag']),
  reject: operation({ tag: safe, requeue: flag(true) }, ['tag']),
  release: operation({ tag: safe, multiple: flag(false) }, ['tag']),
  recover: none,
  get: operation({ queue: shortString, noAck: flag(false) }, ['queue']),
  'tap.open': operation(
    {
      handle,
      exchange: shortString,
      key: name('#'),
      arguments: tables,
      buffer: { type: 'integer', minimum: 1, maximum: 65_535, default: 100 },
      encoding,
    },
    ['handle', 'exchange'],
  ),
  'tap.close': byHandle,
  stats: operation({ queues: glob }),
  // A day: above 2^31 - 1 a timer would fire at once.
  'stats.open': operation({ handle, queues: glob, everyMs: { type: 'integer', minimum: 100, maximum: 86_400_000, default: 1000 } }, [
    'handle',
  ]),
  'stats.close': byHandle,
};
