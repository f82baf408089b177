// What the calls of the client take and give: types alone.
// Always: every duration is a Duration; every limit and default stands beside its option.
// Refuses: anything that runs.

import type { BrokerSample, Limits, QueueDetails, QueueSample } from '../../shared/protocol/control.ts';
import type { Duration } from './duration.ts';
import type { LeveretError } from './error.ts';
import type { ConnectionState } from './phase.ts';
import type { ClientPorts } from './ports.ts';
import type { Topology } from './topology.ts';
import type { Transport } from './transport.ts';

/** Told of every change of state, and why it came: see {@link Connection.on}. */
export type StateListener = (state: ConnectionState, why?: LeveretError) => void;

/**
 * What `connect` takes.
 * ```ts
 * const options: ConnectOptions = { name: 'billing-1', reconnect: { min: '200ms', max: '5s' }, publish: { timeout: '10s' } };
 * console.log(options.name);
 * ```
 */
export interface ConnectOptions<T extends Topology = Topology> {
  /** Declared on connect and on every reconnect; what differs from the broker's rejects `connect` with a diff. */
  readonly topology?: T;
  /** Default: the url's, else guest. */
  readonly user?: string;
  /** Default: the url's, else guest. */
  readonly password?: string;
  /** Default '/'. */
  readonly vhost?: string;
  /** Shown by the broker's listings. */
  readonly name?: string;
  /** Tries have no end; the wait between two grows from `min` (100 ms) to `max` (10 s), jittered. `false`: a lost connection is final. */
  readonly reconnect?: false | { readonly min?: Duration; readonly max?: Duration };
  /** For one try, until the broker greets. Default 10 s. */
  readonly connectTimeout?: Duration;
  /** For the answer to one operation, such as a declare, once there is a connection to ask by. Default 30 s. */
  readonly requestTimeout?: Duration;
  /** Ends the wait of `connect`; later it has no effect. */
  readonly signal?: AbortSignal;
  /** As `on('state', ...)`, from the first try on. */
  readonly onState?: StateListener;
  /** A larger message from the broker is refused, and the connection with it. Default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** How all publishes of this connection behave. */
  readonly publish?: PublishDefaults;
  /** Default: WebSocket. */
  readonly transport?: Transport;
  /** @internal Time and chance, for tests. */
  readonly ports?: ClientPorts;
}

/** What a publish does about the broker: for one in {@link PublishOptions}, for all in {@link ConnectOptions}. */
export interface PublishBehaviour {
  /** From the call to the confirm, waiting for a connection included. Default 30 s. */
  readonly timeout?: Duration;
  /** Without a connection: 'wait' for one (default), or 'fail' at once. */
  readonly whenDown?: 'wait' | 'fail';
  /** 'stored' (default): resolves once stored. 'none': resolves once sent; what is refused goes to `fault` listeners. */
  readonly confirm?: 'stored' | 'none';
  /** Where no queue takes the message: 'fail' (default) rejects with NO_ROUTE, 'ignore' resolves with `routed: 0`. */
  readonly unroutable?: 'fail' | 'ignore';
}

/** {@link PublishBehaviour} for all, and the limits. */
export interface PublishDefaults extends PublishBehaviour {
  /** Bytes sent and not yet confirmed; above it publishes wait for their turn. Default 8 MiB. */
  readonly maxInFlightBytes?: number;
  /** Bytes waiting for their turn; above it a publish is rejected with OVERFLOW. Default 256 MiB. */
  readonly maxWaitingBytes?: number;
}

/** Plain values: string, number, boolean, null, bigint, Date, Uint8Array, arrays and objects of them. */
export type Headers = Readonly<Record<string, unknown>>;

/** Arguments by their AMQP names, in the JSON form of docs/protocol.md: plain JSON, or `{ $amqp: type, value }` for a type that JSON has not. */
export type Arguments = Readonly<Record<string, unknown>>;

/**
 * What `publish` takes beside key and body.
 * ```ts
 * const options: PublishOptions = { id: '42', priority: 5, ttl: '1h', headers: { source: 'web' }, unroutable: 'ignore' };
 * await mq.exchange('amq.topic').publish('order.created', { total: 9.5 }, options);
 * ```
 */
export interface PublishOptions extends PublishBehaviour {
  /** The message id. A publish that is sent again after a reconnect keeps it. */
  readonly id?: string;
  readonly headers?: Headers;
  readonly priority?: number;
  /** Default true: survives the broker in a durable queue. */
  readonly persistent?: boolean;
  /** How long the message may wait in a queue. */
  readonly ttl?: Duration;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly type?: string;
  readonly appId?: string;
  readonly userId?: string;
  readonly timestamp?: Date;
  /** Default by the body: application/json, text/plain or application/octet-stream. */
  readonly contentType?: string;
  readonly contentEncoding?: string;
  /** Rejects with ABORTED, its reason as `cause`. What was sent may be stored all the same. */
  readonly signal?: AbortSignal;
}

/** What a publish resolves with: how many queues took the message (0 with `confirm: 'none'`). */
export interface Published {
  readonly routed: number;
}

/** How a queue is worked on: see {@link Queue.work}. */
export interface WorkOptions {
  /** Handlers at a time. Default 1. */
  readonly concurrency?: number;
  /** Messages held here at a time, waiting ones included. Default 4 x concurrency. */
  readonly prefetch?: number;
  /** For one message: then its signal aborts and it goes back to the queue. Default: none. */
  readonly timeout?: Duration;
  readonly priority?: number;
  readonly exclusive?: boolean;
  readonly arguments?: Arguments;
}

/** How a queue is read: see {@link Queue.consume}. */
export interface ConsumeOptions {
  /** Unacked messages at a time. Default 100. */
  readonly prefetch?: number;
  /** Acknowledged by being delivered. Default false. */
  readonly noAck?: boolean;
  readonly exclusive?: boolean;
  readonly priority?: number;
  readonly arguments?: Arguments;
}

/** How messages are gathered: see {@link Queue.batches}. */
export interface BatchOptions {
  /** Messages in a full batch. */
  readonly size: number;
  /** A batch that is not full comes this long after its first message. */
  readonly within: Duration;
  /** Default 2 x size. */
  readonly prefetch?: number;
}

/** How an exchange is watched: see {@link Exchange.subscribe}. */
export interface SubscribeOptions {
  /** Messages kept for a slow reader, here and in the broker. Default 100. */
  readonly buffer?: number;
  /** Default 'drop-oldest'. 'fail' ends the loop with OVERFLOW. */
  readonly onOverflow?: 'drop-oldest' | 'drop-newest' | 'fail';
  /** For a headers exchange. */
  readonly arguments?: Arguments;
}

/** See {@link Connection.request}. */
export interface RequestOptions {
  /** Default 30 s. */
  readonly timeout?: Duration;
  readonly signal?: AbortSignal;
  readonly headers?: Headers;
}

/** See {@link Connection.declareExchange}. */
export interface DeclareExchangeOptions {
  readonly type?: string;
  readonly durable?: boolean;
  readonly autoDelete?: boolean;
  readonly internal?: boolean;
  /** Only asks whether it exists. */
  readonly passive?: boolean;
  readonly arguments?: Arguments;
}

/** See {@link Connection.declareQueue}. */
export interface DeclareQueueOptions {
  readonly durable?: boolean;
  readonly exclusive?: boolean;
  readonly autoDelete?: boolean;
  /** Only asks whether it exists. */
  readonly passive?: boolean;
  readonly arguments?: Arguments;
}

/** What a declare answers. */
export interface DeclaredQueue {
  readonly queue: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** What {@link Queue.inspect} answers: settings, arguments and counters. */
export type QueueInfo = QueueDetails;

/** See {@link Connection.stats}. */
export interface StatsOptions {
  /** A glob over queue names. Default '*'. */
  readonly queues?: string;
  /** Default 1 s. */
  readonly every?: Duration;
}

/** One sample: counters and rates of the queues asked for, and their sums. */
export interface Stats {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly broker: BrokerSample;
  readonly queues: readonly QueueSample[];
  /** The five below: sums over `queues`; rates are per second. */
  readonly ready: number;
  readonly unacked: number;
  readonly publishRate: number;
  readonly deliverRate: number;
  readonly ackRate: number;
}

/** Whom we are connected to. */
export interface BrokerInfo {
  readonly session: string;
  readonly product: string;
  readonly version: string;
  readonly vhost: string;
  readonly user: string;
  readonly limits: Limits;
}
