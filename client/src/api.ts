// The public names of leveret-client, but for `connect`, which each entry (index.ts in Node, browser.ts) ties to its own WebSocket.
// Always: a name that is not here is not public.

export { Connection, connectOver, type ServeOptions } from './connection.ts';
export { Batch, Deliveries } from './deliveries.ts';
export type { Duration } from './duration.ts';
export { Drop, LeveretError, type LeveretErrorDetail, type LocalCode } from './error.ts';
export { Exchange, Tap } from './exchange.ts';
export { Feed } from './feed.ts';
export { Message } from './message.ts';
export type {
  Arguments, BatchOptions, BrokerInfo, ConnectOptions, ConsumeOptions, DeclareExchangeOptions, DeclareQueueOptions, DeclaredQueue, Headers, PublishBehaviour,
  PublishDefaults, PublishOptions, Published, QueueInfo, RequestOptions, StateListener, Stats, StatsOptions, SubscribeOptions, WorkOptions,
} from './options.ts';
export type { ConnectionState } from './phase.ts';
export type { MessageProperties } from './codec.ts';
export { Queue } from './queue.ts';
export type { Listeners } from './session.ts';
export { StatsFeed } from './stats-feed.ts';
export {
  topology, type, type BindingSpec, type BodyFor, type BodyOf, type ExchangeSpec, type Matches, type MessagesOf, type QueueBody, type QueueSpec, type Schema,
  type Topology,
} from './topology.ts';
export type { Link, LinkHandlers, Transport } from './transport.ts';
export { Worker, type Handler, type WorkContext } from './worker.ts';
