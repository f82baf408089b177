// The connection behind a Connection: one state machine that keeps a wire up, and gives back what lived on the last one. hot
// Always: (1) `#phase` changes in `#transition` alone; (2) after a loss the order is: topology, publishers, consumers, then what waits to be published;
// (3) tries never end (unless reconnect is false or the broker refused the very first one for good), and the wait between two is jittered.
// Refuses: to give up silently: each change of phase is told, with its reason.

import { type Answer, type EventMessage, type OperationName, PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import type { Reader } from './codec.ts';
import { toMs } from './duration.ts';
import { PUBLISHER_HANDLE } from './encoder.ts';
import { brokerError, LeveretError, toLeveretError } from './error.ts';
import type { BrokerInfo, ConnectOptions, Published, PublishOptions, StateListener } from './options.ts';
import { type ConnectionState, checkEdge, Phase, stateNames } from './phase.ts';
import { type ClientPorts, realPorts } from './ports.ts';
import { Publisher, type PublisherOwner } from './publisher.ts';
import type { Transport } from './transport.ts';
import { type Fields, Wire, type WireOwner } from './wire.ts';

/** What lives on a numbered handle and comes back after a reconnect. */
export interface Handle {
  open(wire: Wire, number: number): void;
  lost(): void;
  end(error: LeveretError): void;
  drain(): Promise<void> | undefined;
  event(message: EventMessage): void;
  frame(wire: Wire, type: number, payload: Reader): void;
}

/** What `on` takes. */
export interface Listeners {
  state: StateListener;
  blocked: (reason: string | undefined) => void;
  fault: (error: LeveretError) => void;
}

const CLIENT = { product: 'leveret-client', version: '0.1.0' };

export class Session implements WireOwner, PublisherOwner {
  readonly ports: ClientPorts;
  readonly maxMessageBytes: number;
  readonly requestMs: number;
  /** Set by the first hello, before which nobody has a connection to ask by. */
  declare broker: BrokerInfo;
  readonly #transport: Transport;
  readonly #urls: readonly string[];
  readonly #options: ConnectOptions;
  #phase: Phase = Phase.Connecting;
  #wire: Wire | undefined;
  #tries = 0;
  #user = '';
  #password = '';
  #wasOpen = false;
  #why: LeveretError | undefined;
  #stopTimer: (() => void) | undefined;
  #isScheduled = false;
  readonly #publisher: Publisher;
  readonly #handles = new Map<number, Handle>();
  /** The broker takes no publishes, for this reason. */
  #blocked: string | undefined;
  readonly #listeners: { [Name in keyof Listeners]: Set<Listeners[Name]> } = { state: new Set(), blocked: new Set(), fault: new Set() };
  readonly #openers: (() => void)[] = [];

  constructor(transport: Transport, urls: readonly string[], options: ConnectOptions) {
    const { ports = realPorts, maxMessageBytes = 16_777_216, publish = {}, onState, requestTimeout = 30_000 } = options;
    this.ports = ports;
    this.maxMessageBytes = maxMessageBytes;
    this.#transport = transport;
    this.#urls = urls.map((url) => new URL(url).href);
    this.#options = options;
    this.requestMs = toMs(requestTimeout);
    this.#publisher = new Publisher(publish, this);
    if (onState) this.#listeners.state.add(onState);
    this.#connect();
  }

  get state(): ConnectionState {
    return stateNames[this.#phase] ?? 'closed';
  }
  get isOpen(): boolean {
    return this.#phase === Phase.Open;
  }

  on<Name extends keyof Listeners>(name: Name, listener: Listeners[Name]): () => void {
    this.#listeners[name].add(listener);
    if (name === 'blocked' && this.#blocked) this.#tell('blocked', this.#blocked); // once more, to who heard it before
    return () => this.#listeners[name].delete(listener);
  }

  /** The wire that is open, or the next one that will be. Rejects when closed for good. */
  opening(): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const tell = (): void => (this.isOpen && this.#wire ? resolve(this.#wire) : reject(this.#why));
      if (this.isOpen || this.#phase === Phase.Closed) tell();
      else this.#openers.push(tell);
    });
  }

  /** One operation. Without a connection it waits for one; on a connection that is lost meanwhile it is rejected, for it may be done or not. */
  async request<Name extends OperationName>(op: Name, fields: Fields<Name>): Promise<Answer<Name>> {
    return (await this.opening()).request(op, fields);
  }

  publish(exchange: string, key: string, body: unknown, options?: PublishOptions): Promise<Published> {
    if (this.#phase === Phase.Closed) return Promise.reject(this.#why);
    return this.#publisher.publish(exchange, key, body, options);
  }

  /** Handles first, for what runs may publish; then what was published; then the connection. */
  async drain(): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.drain()));
    await this.#publisher.drain();
    await this.close();
  }

  /** Resolves when the link is gone. */
  async close(error = new LeveretError('CLOSED', 'the connection was closed')): Promise<void> {
    const wire = this.#wire;
    this.flush();
    this.#closeBecause(error);
    await wire?.gone;
  }

  // What handles ask for.

  /** Gives a number to a handle, and opens it, now or as soon as there is a connection. */
  take(handle: Handle): number {
    if (this.#phase === Phase.Closed) throw this.#why;
    let number = PUBLISHER_HANDLE + 1;
    while (this.#handles.has(number)) number++;
    this.#handles.set(number, handle);
    if (this.isOpen && this.#wire) handle.open(this.#wire, number);
    return number;
  }

  release(number: number): void {
    this.#handles.delete(number);
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Promise reactions that are due now, and publish more, come before this one.
    queueMicrotask(() => this.flush());
  }

  flush(): void {
    this.#isScheduled = false;
    this.#publisher.flush();
    this.#wire?.flushSettles();
  }

  fault(error: LeveretError): void {
    this.#tell('fault', error);
  }

  // What the wire tells.

  opened(wire: Wire): void {
    this.#transition(Phase.Greeting);
    const { vhost = '/', name = '', user = this.#user, password = this.#password } = this.#options;
    wire
      .request('hello', { version: PROTOCOL_VERSION, user, password, vhost, client: { ...CLIENT, name } })
      .then((hello) => this.#greeted(wire, hello))
      .catch((thrown) => wire.alive && this.#refused(wire, toLeveretError(thrown, 'PROTOCOL')));
  }

  frame(wire: Wire, type: number, handle: number, payload: Reader): void {
    if (handle === PUBLISHER_HANDLE) this.#publisher.frame(type, payload);
    else this.#handles.get(handle)?.frame(wire, type, payload);
  }

  event(message: EventMessage): void {
    const { event } = message;
    if (event === 'blocked' || event === 'unblocked')
      this.#tell('blocked', (this.#blocked = event === 'blocked' ? message.reason : undefined));
    else if (event === 'error') this.fault(brokerError(message.error));
    else if (event !== 'closing') this.#handles.get(message.handle)?.event(message); // after `closing` the close says the same
  }

  lost(error: LeveretError): void {
    this.#wire = undefined;
    this.#stopTimer?.();
    if (this.#blocked && this.#phase !== Phase.Closed) this.#tell('blocked', (this.#blocked = undefined)); // the next broker says so itself
    this.#publisher.lost();
    for (const handle of this.#handles.values()) handle.lost();
    const { reconnect = {} } = this.#options;
    if (this.#phase === Phase.Closed) return;
    if (reconnect === false) {
      this.#closeBecause(error);
      return;
    }
    // From the middle of the interval to its end: clients that lost the same broker do not come back together, and none comes back at once.
    const { min = 100, max = 10_000 } = reconnect;
    const waitMs = Math.min(toMs(max), toMs(min) * 2 ** this.#tries++) * (0.5 + this.ports.random() / 2);
    this.#transition(Phase.Waiting, error);
    this.#stopTimer = this.ports.after(waitMs, () => {
      this.#transition(Phase.Connecting);
      this.#connect();
    });
  }

  #connect(): void {
    const url = new URL(this.#urls[this.#tries % this.#urls.length] ?? '');
    this.#user = decodeURIComponent(url.username) || 'guest';
    this.#password = decodeURIComponent(url.password) || 'guest';
    url.username = url.password = '';
    const wire = new Wire(this.#transport, url.href, this);
    this.#wire = wire;
    const timeoutMs = toMs(this.#options.connectTimeout ?? 10_000);
    this.#stopTimer = this.ports.after(timeoutMs, () => wire.fail(new LeveretError('DISCONNECTED', `${url} did not answer in time`)));
  }

  async #greeted(wire: Wire, { session, server, vhost, user, limits, heartbeatMs }: Answer<'hello'>): Promise<void> {
    this.#stopTimer?.();
    this.#transition(Phase.Restoring);
    wire.watch(Math.max(1_000, heartbeatMs || 0));
    this.broker = { session, ...server, vhost, user, limits };
    const { topology } = this.#options;
    if (topology) await (await import('./declare.ts')).declareAll(wire, topology);
    await this.#publisher.open(wire);
    if (!wire.alive) return;
    for (const [number, handle] of this.#handles) handle.open(wire, number);
    this.#tries = 0;
    this.#wasOpen = true;
    this.#transition(Phase.Open);
    this.flush();
    for (const tell of this.#openers.splice(0)) tell();
  }

  /** The broker answered, and said no: on the very first connection that is for good. */
  #refused(wire: Wire, error: LeveretError): void {
    if (!this.#wasOpen && (error.replyCode || error.code === 'PROTOCOL') && !error.retryable) this.#closeBecause(error);
    else wire.fail(error);
  }

  #closeBecause(error: LeveretError): void {
    if (this.#phase === Phase.Closed) return;
    this.#stopTimer?.();
    this.#transition(Phase.Closed, error);
    this.#wire?.fail(error);
    this.#publisher.lost(error);
    for (const handle of this.#handles.values()) handle.end(error);
    for (const tell of this.#openers.splice(0)) tell();
  }

  #transition(to: Phase, why?: LeveretError): void {
    const before = this.state;
    this.#phase = checkEdge(this.#phase, to);
    this.#why = why;
    if (this.state !== before || why) this.#tell('state', this.state, why);
  }

  /** Listeners run after this turn's work: one that throws ends nothing here, and is reported as any uncaught error is. */
  #tell<Name extends keyof Listeners>(name: Name, ...args: Parameters<Listeners[Name]>): void {
    for (const listener of this.#listeners[name]) queueMicrotask(() => (listener as (...args: unknown[]) => void)(...args));
  }
}
