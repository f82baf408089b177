// What a user holds: one connection that keeps itself up, and everything that is done through it.
// Always: (1) every call either is one promise, or gives something to loop over or to close; (2) nothing is thrown at a user who does not listen: states and faults
// are told to listeners, failures are rejections. Refuses: to do the work (session.ts, and a file for each noun).

import type { Answer, OperationName } from '../../shared/protocol/control.ts';
import { asyncDispose } from './dispose.ts';
import { toMs } from './duration.ts';
import { toLeveretError } from './error.ts';
import { Exchange } from './exchange.ts';
import { Feed } from './feed.ts';
import type {
  Arguments,
  BrokerInfo,
  ConnectOptions,
  DeclaredQueue,
  DeclareExchangeOptions,
  DeclareQueueOptions,
  RequestOptions,
  Stats,
  StatsOptions,
} from './options.ts';
import type { ConnectionState } from './phase.ts';
import { aborted, onAbort } from './publisher.ts';
import { Queue } from './queue.ts';
import { type Listeners, Session } from './session.ts';
import type { MessagesOf, QueueBody, Topology } from './topology.ts';
import type { Transport } from './transport.ts';
import type { Fields } from './wire.ts';
import type { Handler, Worker } from './worker.ts';

/** Samples, for `for await`: see {@link Connection.stats}. */
export type StatsFeed = Feed<Stats>;

const SAMPLES_KEPT = 16; // a reader that is late misses the oldest

/** How many servers of {@link Connection.serve} run at a time here. */
export interface ServeOptions {
  /** Default 16. */
  readonly concurrency?: number;
}

/**
 * A connection: what `connect` resolves with.
 * ```ts
 * console.log(mq.state, mq.broker.product, mq.broker.version);
 * ```
 */
export class Connection<T extends Topology = Topology> {
  readonly #session: Session;

  /** @internal Use `connect`. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** 'connecting', 'open', 'waiting' (for the next try) or 'closed'. */
  get state(): ConnectionState {
    return this.#session.state;
  }

  /** The broker of the last connection, and its limits. */
  get broker(): BrokerInfo {
    return this.#session.broker;
  }

  /**
   * Listens; what it answers stops that. `state`: every change, and why. `blocked`: the broker takes no publishes (a reason; told to
   * a new listener as well), or takes them again (undefined).
   * `fault`: what went wrong where no promise could tell it, such as a handler that threw.
   * ```ts
   * const stop = mq.on('state', (state, why) => console.log(state, why?.message));
   * stop();
   * ```
   */
  on<Name extends keyof Listeners>(name: Name, listener: Listeners[Name]): () => void {
    return this.#session.on(name, listener);
  }

  /**
   * An exchange by name, its bodies typed by the topology.
   * ```ts
   * console.log(mq.exchange('amq.topic').name);
   * ```
   */
  exchange<Name extends string>(name: Name): Exchange<MessagesOf<T, Name>> {
    return new Exchange(this.#session, name);
  }

  /**
   * A queue by name, its bodies typed by the topology or by the caller.
   * ```ts
   * console.log(mq.queue<{ total: number }>('billing').name);
   * ```
   */
  queue<Name extends string>(name: Name): Queue<QueueBody<T, Name>>;
  queue<B>(name: string): Queue<B>;
  queue<B>(name: string): Queue<B> {
    return new Queue<B>(this.#session, name);
  }

  /**
   * Asks whoever serves `name`, and resolves with the reply.
   * ```ts
   * await using price = await mq.serve('price.get', async (msg) => ({ cents: (msg.body as { sku: string }).sku.length }));
   * const { cents } = await mq.request<{ cents: number }>('price.get', { sku: 'A1' }, { timeout: '2s' });
   * console.log(cents);
   * ```
   */
  async request<Reply = unknown>(name: string, body: unknown, options: RequestOptions = {}): Promise<Reply> {
    return (await import('./rpc.ts')).rpcOf(this.#session).request(name, body, options);
  }

  /**
   * Serves requests: what the handler returns is the reply; what it throws rejects the request with REMOTE and the message. Declares the queue `name`; it goes with
   * its last server.
   * ```ts
   * await using echo = await mq.serve('echo', (msg) => msg.body);
   * console.log(await mq.request('echo', 'hello'));
   * ```
   */
  async serve<B = unknown>(name: string, handler: Handler<B>, { concurrency = 16 }: ServeOptions = {}): Promise<Worker<B>> {
    return (await import('./rpc.ts')).rpcOf(this.#session).serve(name, handler, concurrency);
  }

  /**
   * Statistics, pushed over this connection.
   * ```ts
   * for await (const s of mq.stats({ queues: 'billing*', every: '250ms' })) { console.log(s.ready, s.publishRate); break; }
   * ```
   */
  stats({ queues = '*', every = 1_000 }: StatsOptions = {}): StatsFeed {
    return new Feed(this.#session, 'stats.open', { queues, everyMs: toMs(every) }, { buffer: SAMPLES_KEPT });
  }

  /**
   * Declares an exchange, once: what must be there after a reconnect belongs into the topology.
   * ```ts
   * await mq.declareExchange('events', { type: 'topic' });
   * ```
   */
  async declareExchange(name: string, options: DeclareExchangeOptions = {}): Promise<void> {
    await this.#session.request('exchange.declare', { ...options, exchange: name });
  }

  /** Deletes an exchange; one that is not there is no error. */
  async deleteExchange(name: string, options: { readonly ifUnused?: boolean } = {}): Promise<void> {
    await this.#session.request('exchange.delete', { exchange: name, ...options });
  }

  /**
   * Declares a queue, once: what must be there after a reconnect belongs into the topology. '' lets the broker choose a name.
   * ```ts
   * const { queue, messageCount } = await mq.declareQueue('', { exclusive: true, arguments: { 'x-max-length': 100 } });
   * console.log(queue, messageCount);
   * ```
   */
  declareQueue(name: string, options: DeclareQueueOptions = {}): Promise<DeclaredQueue> {
    return this.#session.request('queue.declare', { ...options, queue: name });
  }

  /**
   * Binds a queue to an exchange.
   * ```ts
   * await mq.declareQueue('all-orders');
   * await mq.bindQueue('all-orders', 'amq.topic', 'order.#');
   * ```
   */
  async bindQueue(queue: string, exchange: string, key = '', args: Arguments = {}): Promise<void> {
    await this.#session.request('queue.bind', { queue, exchange, key, arguments: args });
  }

  /** Takes a binding of a queue away. */
  async unbindQueue(queue: string, exchange: string, key = '', args: Arguments = {}): Promise<void> {
    await this.#session.request('queue.unbind', { queue, exchange, key, arguments: args });
  }

  /** Binds an exchange to another: `destination` gets what `source` routes by `key`. */
  async bindExchange(destination: string, source: string, key = '', args: Arguments = {}): Promise<void> {
    await this.#session.request('exchange.bind', { destination, source, key, arguments: args });
  }

  /** Takes a binding of an exchange away. */
  async unbindExchange(destination: string, source: string, key = '', args: Arguments = {}): Promise<void> {
    await this.#session.request('exchange.unbind', { destination, source, key, arguments: args });
  }

  /**
   * Any operation of docs/protocol.md. Its effects on the connection (handles, qos) end with a reconnect.
   * ```ts
   * const { broker } = await mq.call('stats', { queues: '*' });
   * console.log(broker.messages);
   * ```
   */
  call<Name extends OperationName>(op: Name, fields: Fields<Name>): Promise<Answer<Name>> {
    return this.#session.request(op, fields);
  }

  /**
   * Ends well: consumers and workers take nothing new, return what they have not begun and finish what runs; all that was published is confirmed or rejected; then it
   * closes. `await using` does this.
   * ```ts
   * await mq.drain();
   * ```
   */
  drain(): Promise<void> {
    return this.#session.drain();
  }

  /**
   * Closes now: what waits to be published is rejected with CLOSED, what is unacked goes back.
   * ```ts
   * await mq.close();
   * ```
   */
  close(): Promise<void> {
    return this.#session.close();
  }

  [asyncDispose](): Promise<void> {
    return this.drain();
  }
}

/**
 * Connects through a transport of your own: the same as `connect` with the option `transport`, without a url.
 * ```ts
 * console.log(typeof connectOver);
 * ```
 */
export async function connectOver<T extends Topology = Topology>(
  transport: Transport,
  options: ConnectOptions<T> = {},
  urls: string | readonly string[] = 'memory:',
  Kind = Session,
): Promise<Connection<T>> {
  const { signal } = options;
  if (signal?.aborted) throw aborted(signal);
  let session: Session;
  try {
    session = new Kind(transport, [urls].flat(), options);
  } catch (thrown) {
    throw toLeveretError(thrown, 'INVALID');
  }
  const stop = signal && onAbort(signal, (error) => session.close(error));
  await session.opening().finally(stop);
  return new Connection(session);
}
