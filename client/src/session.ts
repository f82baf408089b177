// The connection behind a Connection: one state machine that keeps a wire up, and gives back what lived on the last one. hot
// Always: (1) `#phase` changes in `#transition` alone; (2) after a loss the order is: topology, publishers, consumers, then what waits to be published;
// (3) tries never end (unless reconnect is false or the broker refused the very first one for good), and the wait between two is jittered.
// Refuses: to give up silently: each change of phase is told, with its reason.

import type { Answer, EventMessage, OperationName, Request } from '../../shared/protocol/control.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import type { FrameParser } from '../../shared/protocol/frames.ts';
import { declareAll } from './declare.ts';
import { toMs } from './duration.ts';
import { LeveretError, brokerError } from './error.ts';
import type { BrokerInfo, ConnectOptions, PublishOptions, Published, StateListener } from './options.ts';
import { Phase, checkEdge, stateNames, type ConnectionState } from './phase.ts';
import { realPorts, type ClientPorts } from './ports.ts';
import { Publisher, type PublisherOwner } from './publisher.ts';
import type { Transport } from './transport.ts';
import { Wire, type WireOwner } from './wire.ts';

/** What lives on a numbered handle and comes back after a reconnect. */
export interface Handle {
  open(wire: Wire): void;
  lost(): void;
  end(error: LeveretError): void;
  drain(): Promise<void>;
  event(message: EventMessage): void;
  frame(wire: Wire, parser: FrameParser): void;
}

/** The session, as handles see it. */
export interface HandleOwner {
  readonly maxMessageBytes: number;
  take(handle: Handle): number;
  release(number: number): void;
}

/** What `on` takes. */
export interface Listeners {
  state: StateListener;
  blocked: (reason: string | undefined) => void;
  fault: (error: LeveretError) => void;
}

const CONFIRMED = 1; // publisher handles are fixed, so that encoded frames can be sent again on the next wire
const UNCONFIRMED = 2;
const HANDLE_MIN = 3;
const FRAME_BYTES_MIN = 196_608; // what encoder.ts may put into one frame, rounded up
const CLOSE_MS = 2_000; // for the peer's half of the closing
const CLIENT = { product: 'leveret-client', version: '0.1.0' };

/** Where to go, without what must not be shown. */
interface Address {
  readonly url: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

export class Session implements WireOwner, PublisherOwner, HandleOwner {
  readonly ports: ClientPorts;
  readonly maxMessageBytes: number;
  broker: BrokerInfo | undefined;
  readonly #transport: Transport;
  readonly #addresses: readonly Address[];
  readonly #options: ConnectOptions;
  readonly #minMs: number;
  readonly #maxMs: number;
  #phase: Phase = Phase.Connecting;
  #wire: Wire | undefined;
  #tries = 0;
  #lastReason: LeveretError | undefined;
  #wasOpen = false;
  #stopTimer: (() => void) | undefined;
  #isScheduled = false;
  readonly #publishers: Publisher[];
  readonly #handles = new Map<number, Handle>();
  readonly #listeners: { [Name in keyof Listeners]: Set<Listeners[Name]> } = { state: new Set(), blocked: new Set(), fault: new Set() };
  #whenOpen: { resolve: () => void; reject: (error: LeveretError) => void }[] = [];

  constructor(transport: Transport, urls: readonly string[], options: ConnectOptions) {
    this.ports = options.ports ?? realPorts;
    this.maxMessageBytes = options.maxMessageBytes ?? 16_777_216;
    this.#transport = transport;
    this.#options = options;
    if (urls.length === 0) throw new LeveretError('INVALID', 'connect needs a url');
    this.#addresses = urls.map(readAddress);
    const reconnect = options.reconnect || {};
    this.#minMs = Math.max(1, toMs(reconnect.min ?? 100));
    this.#maxMs = toMs(reconnect.max ?? 10_000);
    const defaults = options.publish ?? {};
    this.#publishers = [new Publisher(CONFIRMED, true, defaults, this), new Publisher(UNCONFIRMED, false, defaults, this)];
    if (options.onState) this.#listeners.state.add(options.onState);
    this.#connect();
  }

  get state(): ConnectionState {
    return stateNames[this.#phase] ?? 'closed';
  }
  get isOpen(): boolean {
    return this.#phase === Phase.Open;
  }
  get isClosed(): boolean {
    return this.#phase === Phase.Closed;
  }

  on<Name extends keyof Listeners>(name: Name, listener: Listeners[Name]): () => void {
    this.#listeners[name].add(listener);
    return () => this.#listeners[name].delete(listener);
  }

  /** Resolves when open; rejects when closed for good. */
  opening(): Promise<void> {
    if (this.isOpen) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.isClosed) reject(this.#closedError());
      else this.#whenOpen.push({ resolve, reject });
    });
  }

  /** One operation. Without a connection it waits for one; on a connection that is lost meanwhile it is rejected, for it may be done or not. */
  async request<Name extends OperationName>(op: Name, fields: Request<Name>): Promise<Answer<Name>> {
    return (await this.openWire(op)).request(op, fields);
  }

  /** The wire that is open, or the next one that will be. */
  async openWire(op: OperationName): Promise<Wire> {
    if (!this.isOpen) await this.#openWithin(toMs(this.#options.requestTimeout ?? 30_000), op);
    if (this.#wire === undefined) throw this.#closedError();
    return this.#wire;
  }

  publish(exchange: string, key: string, body: unknown, options: PublishOptions | undefined): Promise<Published> {
    if (this.isClosed) return Promise.reject(this.#closedError());
    const isConfirmed = (options?.confirm ?? this.#options.publish?.confirm) !== 'none';
    const publisher = this.#publishers[isConfirmed ? 0 : 1];
    return publisher?.publish(exchange, key, body, options) ?? Promise.reject(this.#closedError());
  }

  /** Resolves when nothing that was published waits any more. */
  async published(): Promise<void> {
    await Promise.all(this.#publishers.map((publisher) => publisher.settled()));
  }

  /** Handles first, for what runs may publish; then what was published; then the connection. */
  async drain(): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.drain()));
    if (!this.isClosed) await this.published();
    await this.close();
  }

  /** Resolves when the link is gone, or when the peer takes too long to say so. */
  async close(error: LeveretError = new LeveretError('CLOSED', 'the connection was closed here')): Promise<void> {
    const wire = this.#wire;
    if (!this.isClosed) {
      this.flush();
      this.#closeBecause(error);
    }
    if (wire === undefined) return;
    await new Promise<void>((resolve) => {
      const stop = this.ports.after(CLOSE_MS, resolve);
      void wire.gone.then(() => (stop(), resolve()));
    });
  }

  // What handles ask for.

  take(handle: Handle): number {
    if (this.isClosed) throw this.#closedError();
    let number = HANDLE_MIN;
    while (this.#handles.has(number)) number++;
    const most = this.broker?.limits.handles ?? HANDLE_MIN;
    if (number > most) throw new LeveretError('OVERFLOW', `all ${most} handles of this connection are in use`);
    this.#handles.set(number, handle);
    return number;
  }

  /** Opens a handle that was taken, now or as soon as there is a connection. */
  start(handle: Handle): void {
    if (this.isOpen && this.#wire !== undefined) handle.open(this.#wire);
  }

  release(number: number): void {
    this.#handles.delete(number);
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Promise reactions that are due now, and publish more, come before this one.
    queueMicrotask(this.#flushTurn);
  }

  readonly #flushTurn = (): void => this.flush();

  flush(): void {
    this.#isScheduled = false;
    for (const publisher of this.#publishers) publisher.flush();
    this.#wire?.flushSettles();
  }

  fault(error: LeveretError): void {
    this.#tell('fault', error);
  }

  // What the wire tells.

  opened(wire: Wire): void {
    if (wire !== this.#wire) return;
    this.#transition(Phase.Greeting);
    const o = this.#options;
    const address = this.#address;
    const credentials = { user: o.user ?? address.user ?? 'guest', password: o.password ?? address.password ?? 'guest' };
    const client = o.name === undefined ? CLIENT : { ...CLIENT, name: o.name };
    wire
      .request('hello', { version: PROTOCOL_VERSION, ...credentials, vhost: o.vhost ?? '/', client, capabilities: [] })
      .then((hello) => this.#greeted(wire, hello))
      .catch((error: LeveretError) => this.#refused(wire, error));
  }

  frame(wire: Wire, parser: FrameParser): void {
    const { handle } = parser;
    if (handle === CONFIRMED || handle === UNCONFIRMED) this.#publishers[handle - 1]?.frame(parser);
    else this.#handles.get(handle)?.frame(wire, parser);
  }

  event(_wire: Wire, message: EventMessage): void {
    switch (message.event) {
      case 'blocked':
        return this.#tell('blocked', message.reason);
      case 'unblocked':
        return this.#tell('blocked', undefined);
      case 'error':
        return this.fault(brokerError(message.error));
      case 'closing':
        return; // the close that follows has the same reason
      default:
        this.#handles.get(message.handle)?.event(message);
    }
  }

  lost(wire: Wire, error: LeveretError): void {
    if (wire !== this.#wire) return;
    this.#wire = undefined;
    this.#stopTimer?.();
    for (const publisher of this.#publishers) publisher.lost();
    for (const handle of this.#handles.values()) handle.lost();
    this.#lastReason ??= error;
    if (this.isClosed) return;
    if (this.#options.reconnect === false) return this.#closeBecause(this.#lastReason);
    // From the middle of the interval to its end: clients that lost the same broker do not come back together, and none comes back at once.
    const waitMs = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#tries, 20)) * (0.5 + this.ports.random() / 2);
    this.#tries++;
    this.#transition(Phase.Waiting, this.#lastReason);
    this.#stopTimer = this.ports.after(waitMs, () => {
      this.#transition(Phase.Connecting);
      this.#connect();
    });
  }

  get #address(): Address {
    const address = this.#addresses[this.#tries % this.#addresses.length];
    if (address === undefined) throw new LeveretError('INVALID', 'connect needs a url');
    return address;
  }

  #connect(): void {
    this.#lastReason = undefined;
    const { url } = this.#address;
    const timeoutMs = toMs(this.#options.connectTimeout ?? 10_000);
    const requestMs = toMs(this.#options.requestTimeout ?? 30_000);
    const wire = new Wire(this.#transport, url, requestMs, this, this.ports);
    this.#wire = wire;
    this.#stopTimer = this.ports.after(timeoutMs, () => wire.fail(new LeveretError('DISCONNECTED', `${url} did not answer in ${timeoutMs} ms`)));
  }

  async #greeted(wire: Wire, hello: Answer<'hello'>): Promise<void> {
    this.#stopTimer?.();
    this.#transition(Phase.Restoring);
    if (!(hello.limits.frameBytes >= FRAME_BYTES_MIN)) {
      throw new LeveretError('PROTOCOL', `the broker takes frames of ${hello.limits.frameBytes} bytes, less than ${FRAME_BYTES_MIN}`);
    }
    wire.limitFrames(hello.limits.frameBytes);
    wire.watch(Math.max(1_000, hello.heartbeatMs));
    const { session, server, vhost, user, limits } = hello;
    this.broker = { session, product: server.product, version: server.version, vhost, user, limits };
    const declared = declareAll(wire, this.#options.topology ?? {});
    await Promise.all([declared, ...this.#publishers.map((publisher) => publisher.open(wire))]);
    if (wire !== this.#wire) return;
    for (const handle of this.#handles.values()) handle.open(wire);
    this.#tries = 0;
    this.#wasOpen = true;
    this.#transition(Phase.Open);
    this.flush();
    for (const { resolve } of this.#whenOpen.splice(0)) resolve();
  }

  /** The broker answered, and said no: on the very first connection that is for good. */
  #refused(wire: Wire, error: LeveretError): void {
    if (wire !== this.#wire) return;
    this.#lastReason = error;
    if (!this.#wasOpen && (error.replyCode !== undefined || error.code === 'PROTOCOL') && !error.retryable) this.#closeBecause(error);
    else wire.fail(error);
  }

  #closeBecause(error: LeveretError): void {
    const wire = this.#wire;
    this.#stopTimer?.();
    this.#transition(Phase.Closed, error);
    wire?.fail(error);
    for (const publisher of this.#publishers) publisher.close(error);
    for (const handle of [...this.#handles.values()]) handle.end(error);
    for (const { reject } of this.#whenOpen.splice(0)) reject(error);
  }

  #transition(to: Phase, why?: LeveretError): void {
    const before = this.state;
    this.#phase = checkEdge(this.#phase, to);
    if (to === Phase.Closed) this.#lastReason = why;
    if (this.state !== before || why !== undefined) this.#tell('state', this.state, why);
  }

  /** Listeners run after this turn's work: one that throws ends nothing here, and is reported as any uncaught error is. */
  #tell<Name extends keyof Listeners>(name: Name, ...args: Parameters<Listeners[Name]>): void {
    for (const listener of this.#listeners[name]) queueMicrotask(() => (listener as (...args: unknown[]) => void)(...args));
  }

  #closedError(): LeveretError {
    return new LeveretError('CLOSED', `the connection is closed: ${this.#lastReason?.reason ?? 'closed here'}`, { cause: this.#lastReason });
  }

  #openWithin(ms: number, op: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = this.ports.after(ms, () => reject(new LeveretError('TIMEOUT', `no connection for ${op} in ${ms} ms`)));
      this.opening().then(
        () => (stop(), resolve()),
        (error: LeveretError) => (stop(), reject(error)),
      );
    });
  }
}

function readAddress(text: string): Address {
  if (!URL.canParse(text)) throw new LeveretError('INVALID', `not a url: '${text}'`, { hint: 'ws://host:15672/ws' });
  const url = new URL(text);
  const user = url.username === '' ? undefined : decodeURIComponent(url.username);
  const password = url.password === '' ? undefined : decodeURIComponent(url.password);
  url.username = '';
  url.password = '';
  return { url: url.href, user, password };
}
