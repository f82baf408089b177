// The public names of leveret-client, but for `connect`, which each entry (index.ts in Node, browser.ts) ties to its own WebSocket.
// Always: a name that is not here is not public.

export type { Batch } from './batches.ts';
export type { MessageProperties } from './codec.ts';
export { type Connection, connectOver, type ServeOptions, type StatsFeed } from './connection.ts';
export type { Deliveries } from './deliveries.ts';
export type { Duration } from './duration.ts';
export { Drop, LeveretError, type LeveretErrorDetail, type LocalCode } from './error.ts';
export type { Exchange, Tap } from './exchange.ts';
export type { Feed } from './feed.ts';
export type { Message } from './message.ts';
export type {
  Arguments,
  BatchOptions,
  BrokerInfo,
  ConnectOptions,
  ConsumeOptions,
  DeclaredQueue,
  DeclareExchangeOptions,
  DeclareQueueOptions,
  Headers,
  PublishBehaviour,
  PublishDefaults,
  Published,
  PublishOptions,
  QueueInfo,
  RequestOptions,
  StateListener,
  Stats,
  StatsOptions,
  SubscribeOptions,
  WorkOptions,
} from './options.ts';
export type { ConnectionState } from './phase.ts';
export type { Queue } from './queue.ts';
export type { Listeners } from './session.ts';
export {
  type BindingSpec,
  type BodyFor,
  type BodyOf,
  type ExchangeSpec,
  type Matches,
  type MessagesOf,
  type QueueBody,
  type QueueSpec,
  type Schema,
  type Topology,
  topology,
  type,
} from './topology.ts';
export type { Link, LinkHandlers, Transport } from './transport.ts';
export type { Handler, WorkContext, Worker } from './worker.ts';
