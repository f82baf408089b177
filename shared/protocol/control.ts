// The control operations and events of leveret.v1 as types (docs/protocol.md, "Text messages").
// Always: (1) an operation is one entry of Operations, and has its schema under the same name in schemas.ts; (2) `Request` is what a client may send,
// `Filled` the same after defaults; (3) fields added later are optional, and unknown fields are ignored.
// Refuses: behaviour. Tables are here in their JSON form (json.ts).

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = 'leveret.v1';
/** A prefetch of 0 in `consume` means this. */
export const PREFETCH_MAX = 65_535;

/** WebSocket close codes (docs/protocol.md, "Close codes"). */
export const CloseCode = {
  Normal: 1000,
  ShuttingDown: 1001,
  TooBig: 1009,
  LoginFailed: 4403,
  ConsumerTimeout: 4406,
  HelloTimeout: 4408,
  MalformedFrame: 4501,
  MalformedContent: 4502,
  NotHello: 4503,
  WrongHandle: 4504,
  CreditExceeded: 4506,
  TooManyConnections: 4530,
  InternalError: 4541,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

/** An AmqpError on the wire. `reason` starts with the code's name: "NOT_FOUND - no queue ...". */
export interface ErrorJson {
  code: number;
  reason: string;
  hint?: string;
  path?: string;
  queue?: string;
}

/** Properties.headers is a table in JSON form. */
export interface PropertiesJson {
  contentType?: string;
  contentEncoding?: string;
  headers?: JsonObject;
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  timestamp?: number;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

/** One of the two: text when the body is valid UTF-8. */
export interface BodyJson {
  body?: string;
  bodyBase64?: string;
}

export interface MessageJson extends BodyJson {
  exchange: string;
  key: string;
  properties: PropertiesJson;
}

export interface DeliveryJson extends MessageJson {
  /** 0: nothing to settle. */
  tag: number;
  redelivered: boolean;
  deliveryCount: number;
  /** `<queue number>-<seq>`, the same at every redelivery. */
  id: string;
}

export interface Limits {
  messageBytes: number;
  frameBytes: number;
  batchBytes: number;
  handles: number;
  prefetch: number;
  publisherWindowBytes: number;
  headerBytes: number;
}

export interface HelloAnswer {
  version: number;
  session: string;
  server: { product: string; version: string };
  vhost: string;
  user: string;
  heartbeatMs: number;
  capabilities: string[];
  limits: Limits;
}

/** What has happened in a queue's life. Only grows. */
export interface QueueCounts {
  published: number;
  delivered: number;
  redelivered: number;
  acked: number;
  requeued: number;
  expired: number;
  deadLettered: number;
  dropped: number;
  refused: number;
  purged: number;
}

export interface QueueSample {
  queue: string;
  number: number;
  ready: number;
  unacked: number;
  deadLetterWaiting: number;
  readyBytes: number;
  consumers: number;
  counts: QueueCounts;
  /** Per second since the previous sample; in `stats` events. */
  publishRate?: number;
  deliverRate?: number;
  ackRate?: number;
}

export interface BrokerSample {
  connections: number;
  queues: number;
  exchanges: number;
  published: number;
  unroutable: number;
  messages: number;
  bytes: number;
  publishRate?: number;
  deliverRate?: number;
  ackRate?: number;
}

export interface Sample {
  /** Milliseconds since 1970. */
  at: number;
  broker: BrokerSample;
  queues: QueueSample[];
}

export interface QueueDetails extends QueueSample {
  durable: boolean;
  exclusive: boolean;
  autoDelete: boolean;
  arguments: JsonObject;
}

/** Fields that must be sent, fields with a default, the answer. Optional fields without a default stand among the first. */
interface Operation<Required, Defaulted, Answer> {
  required: Required;
  defaulted: Defaulted;
  answer: Answer;
}
type Nothing = Record<never, never>;
type QueueBinding = Operation<{ queue: string; exchange: string }, { key: string; arguments: JsonObject }, Nothing>;
type ExchangeBinding = Operation<{ destination: string; source: string }, { key: string; arguments: JsonObject }, Nothing>;
export type Encoding = 'binary' | 'json';

export interface Operations {
  hello: Operation<
    { version: number; user: string; password: string; client?: { product?: string; version?: string; name?: string } },
    { vhost: string; capabilities: string[] },
    HelloAnswer
  >;
  ping: Operation<Nothing, Nothing, Nothing>;
  'update-secret': Operation<{ newSecret: string }, { reason: string }, Nothing>;
  'exchange.declare': Operation<
    { exchange: string },
    { type: string; durable: boolean; autoDelete: boolean; internal: boolean; passive: boolean; arguments: JsonObject },
    { exchange: string }
  >;
  'exchange.delete': Operation<{ exchange: string }, { ifUnused: boolean }, Nothing>;
  'exchange.bind': ExchangeBinding;
  'exchange.unbind': ExchangeBinding;
  'queue.declare': Operation<
    Nothing,
    { queue: string; durable: boolean; exclusive: boolean; autoDelete: boolean; passive: boolean; arguments: JsonObject },
    { queue: string; messageCount: number; consumerCount: number }
  >;
  'queue.inspect': Operation<{ queue: string }, Nothing, QueueDetails>;
  'queue.bind': QueueBinding;
  'queue.unbind': QueueBinding;
  'queue.purge': Operation<{ queue: string }, Nothing, { messageCount: number }>;
  'queue.delete': Operation<{ queue: string }, { ifUnused: boolean; ifEmpty: boolean }, { messageCount: number }>;
  'publisher.open': Operation<{ handle: number }, { confirm: boolean }, { handle: number; credit: number }>;
  'publisher.close': Operation<{ handle: number }, Nothing, Nothing>;
  publish: Operation<BodyJson, { exchange: string; key: string; mandatory: boolean; properties: PropertiesJson }, { routed: number }>;
  consume: Operation<
    { handle: number; queue: string; credit?: number },
    {
      consumerTag: string;
      noAck: boolean;
      exclusive: boolean;
      prefetch: number;
      priority: number;
      arguments: JsonObject;
      encoding: Encoding;
    },
    { handle: number; queue: string; consumerTag: string }
  >;
  'consumer.cancel': Operation<{ handle: number }, Nothing, Nothing>;
  credit: Operation<{ handle: number; messages: number }, Nothing, Nothing>;
  qos: Operation<{ prefetch: number }, Nothing, Nothing>;
  ack: Operation<{ tag: number }, { multiple: boolean }, Nothing>;
  nack: Operation<{ tag: number }, { multiple: boolean; requeue: boolean }, Nothing>;
  reject: Operation<{ tag: number }, { requeue: boolean }, Nothing>;
  release: Operation<{ tag: number }, { multiple: boolean }, Nothing>;
  recover: Operation<Nothing, Nothing, Nothing>;
  get: Operation<{ queue: string }, { noAck: boolean }, { message: null } | { message: DeliveryJson; messageCount: number }>;
  'tap.open': Operation<
    { handle: number; exchange: string },
    { key: string; arguments: JsonObject; buffer: number; encoding: Encoding },
    { handle: number }
  >;
  'tap.close': Operation<{ handle: number }, Nothing, Nothing>;
  stats: Operation<Nothing, { queues: string }, Sample>;
  'stats.open': Operation<{ handle: number }, { queues: string; everyMs: number }, { handle: number }>;
  'stats.close': Operation<{ handle: number }, Nothing, Nothing>;
}
export type OperationName = keyof Operations;

/** What a client sends, beside `id` and `op`. */
export type Request<Name extends OperationName> = Operations[Name]['required'] & Partial<Operations[Name]['defaulted']>;
/** What a server acts on: the schema's defaults are filled in. */
export type Filled<Name extends OperationName> = Operations[Name]['required'] & Operations[Name]['defaulted'];
/** What stands under `ok`. */
export type Answer<Name extends OperationName> = Operations[Name]['answer'];

/** The fields of each event, beside `event`. */
export interface Events {
  deliver: DeliveryJson & { handle: number };
  /** `handle` 0 is the JSON `publish`; `seq` is then its request's `id`. */
  return: MessageJson & { handle: number; seq: number; code: number; reason: string };
  cancelled: { handle: number; reason: string };
  active: { handle: number; active: boolean };
  blocked: { reason: string };
  unblocked: { reason: string };
  stats: Sample & { handle: number };
  error: { op: 'settle' | 'publish'; handle: number; error: ErrorJson };
  closing: { reason: string };
}
export type EventName = keyof Events;
export type EventMessage = { [Name in EventName]: { event: Name } & Events[Name] }[EventName];

/** `id` is null when the request had none that could be read. */
export type AnswerMessage = { id: number; ok: JsonObject } | { id: number | null; error: ErrorJson };
