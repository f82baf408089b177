// One connection, from its first message to its end: hello, login, then requests and frames. It works over any MessageSocket. hot
//
//   Hello ──► Checking ──► Open ──► Closed      Hello: it has a time to say hello; Checking: who it is is looked into, and what comes meanwhile waits
//     └───────────┴─► Refused ──┴──► Closed      Refused: the login failed; the answer waits a second, so that guessing is slow
//
// Always: (1) nothing but hello is heard before Open; (2) whatever is thrown while input is handled becomes a close code here and nowhere else:
// 4000 + the reply code for what the peer did, 4541 for what we did; (3) one connection's end touches no other.
// RabbitMQ differs: a refused operation closes the channel there; here it is an answer (requests.ts).

import { TABLE_BYTES_MAX } from '../../shared/amqp/table.ts';
import { invariant } from '../../shared/assert.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import {
  CloseCode,
  type Filled,
  type HelloAnswer,
  type JsonObject,
  type Limits,
  PREFETCH_MAX,
  PROTOCOL_VERSION,
} from '../../shared/protocol/control.ts';
import { FRAME_BYTES_MAX } from '../../shared/protocol/frames.ts';
import { errorToJson } from '../../shared/protocol/json.ts';
import { Ring } from '../../shared/ring.ts';
import { SEND_QUEUE_BYTES_MAX } from '../../shared/send-queue.ts';
import { utf8Length } from '../../shared/text.ts';
import type { Broker } from '../broker/broker.ts';
import { channelFields } from '../broker/event-fields.ts';
import { Lease } from '../broker/lease.ts';
import { type Account, LOGIN_DELAY_MS, type Login, type Remote } from '../broker/login.ts';
import type { Clock, ConnectionLog, Timer } from '../ports.ts';
import { WebSocketConnectionView } from './connection-view.ts';
import { DataFrames } from './data-frames.ts';
import { Handles } from './handles.ts';
import type { MessageSocket, SocketHandler } from './message-socket.ts';
import { Outbox } from './outbox.ts';
import { Peer } from './peer.ts';
import { answerText, readEnvelope, takeRequest } from './requests.ts';
import { checkRequest } from './validators.ts';

/** A batch holds the largest message and the frames around it. */
export const BATCH_OVERHEAD_BYTES = 65_536;
/** What a peer may send in one message before it has logged in. */
export const HELLO_BYTES_MAX = 65_536;
const CLOSE_REASON_BYTES_MAX = 123; // RFC 6455, 5.5.1
// Answers pile up when a peer asks and never reads, to so many send queues; deliveries stop long before (outbox.ts).
const PAUSE_QUEUES = 4;

const Phase = { Hello: 0, Refused: 1, Open: 2, Closed: 3, Checking: 4 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];
const edges: { readonly [From in Phase]: readonly Phase[] } = {
  [Phase.Hello]: [Phase.Checking, Phase.Refused, Phase.Closed],
  [Phase.Checking]: [Phase.Refused, Phase.Open, Phase.Closed],
  [Phase.Refused]: [Phase.Closed],
  [Phase.Open]: [Phase.Closed],
  [Phase.Closed]: [],
};

/** What all connections of a server share. */
export interface ConnectionSettings {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly login: Login;
  readonly product: { readonly product: string; readonly version: string };
  readonly messageBytesMax: number;
  readonly handlesMax: number;
  readonly heartbeatMs: number;
  readonly limits: ConnectionLimits;
}

/** security.md, 3. */
export interface ConnectionLimits {
  /** From the start to hello. */
  readonly handshakeMs: number;
  readonly loginDelayMs: number;
  readonly headerBytes: number;
  readonly sendQueueBytes: number;
  /** Where a consumer asks for none of its own. */
  readonly prefetch: number;
  readonly prefetchMax: number;
}

export const defaultConnectionLimits: ConnectionLimits = {
  handshakeMs: 10_000,
  loginDelayMs: LOGIN_DELAY_MS,
  headerBytes: TABLE_BYTES_MAX,
  sendQueueBytes: SEND_QUEUE_BYTES_MAX,
  prefetch: 1000,
  prefetchMax: PREFETCH_MAX,
};

/** Told what a listener must count. */
export interface ConnectionOwner {
  opened(connection: Connection): void;
  closed(connection: Connection): void;
}

export class Connection implements SocketHandler {
  readonly #settings: ConnectionSettings;
  readonly #socket: MessageSocket;
  readonly #remote: Remote;
  readonly #log: ConnectionLog;
  readonly #owner: ConnectionOwner;
  readonly #outbox: Outbox;
  readonly #peer: Peer;
  readonly #frames: DataFrames;
  readonly #lease: Lease;
  #phase: Phase = Phase.Hello;
  #timer: Timer | undefined;
  #isPaused = false;
  #view: WebSocketConnectionView | undefined;
  receivedBytes = 0;
  /** What was read before the pause took effect, in order: at most what one read of the socket brings. */
  readonly #held = new Ring<string | Uint8Array>();
  /** A binary message is half done. */
  #isAmidFrames = false;
  readonly #mayGoOn = (): boolean => this.#outbox.bytes < PAUSE_QUEUES * this.#outbox.bytesMax;

  constructor(settings: ConnectionSettings, socket: MessageSocket, remote: Remote, log: ConnectionLog, owner: ConnectionOwner) {
    this.#settings = settings;
    this.#socket = socket;
    this.#remote = remote;
    this.#log = log;
    this.#owner = owner;
    this.#outbox = new Outbox(socket, () => this.#drained(), settings.limits.sendQueueBytes);
    this.#peer = new Peer({
      broker: settings.broker,
      clock: settings.clock,
      handles: new Handles(settings.handlesMax),
      outbox: this.#outbox,
      messageBytesMax: settings.messageBytesMax,
      prefetch: { unset: settings.limits.prefetch, max: settings.limits.prefetchMax },
      end: (error) => this.#fail(error),
      renew: (secret, done) => this.#lease.renew(secret, (refusal) => this.#renewed(refusal, done)),
    });
    this.#lease = new Lease(settings.clock, settings.login, remote, (error) => this.#fail(error));
    this.#frames = new DataFrames(this.#peer);
    const { handshakeMs } = settings.limits;
    this.#timer = settings.clock.setTimer(settings.clock.now() + handshakeMs, () =>
      this.#end(CloseCode.HelloTimeout, `no hello within ${handshakeMs / 1000} seconds`),
    );
  }

  get sentBytes(): number {
    return this.#outbox.totalBytes;
  }
  get isOpen(): boolean {
    return this.#phase === Phase.Open;
  }
  /** Deliveries that the peer still holds. */
  get unackedCount(): number {
    return this.isOpen ? this.#peer.session.unackedCount : 0;
  }

  onText(text: string): void {
    this.receivedBytes += utf8Length(text);
    if (this.#phase === Phase.Open || this.#phase === Phase.Checking) this.#take(text);
    else if (this.#phase === Phase.Hello) this.#hello(text);
  }

  onBinary(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    if (this.#phase === Phase.Open || this.#phase === Phase.Checking) this.#take(bytes);
    else if (this.#phase === Phase.Hello) this.#end(CloseCode.NotHello, 'the first message is hello, in text');
  }

  /** Pausing a socket does not stop what it has read already: that waits here. */
  #take(message: string | Uint8Array): void {
    if (this.#isPaused) this.#held.push(message);
    else this.#carryOut(message);
  }

  #carryOut(message: string | Uint8Array): void {
    try {
      if (typeof message === 'string') takeRequest(this.#peer, message);
      else this.#isAmidFrames = !this.#frames.take(message, this.#mayGoOn);
    } catch (error) {
      this.#fail(error);
    }
    this.#watchOutbox();
  }

  onClosed(code: number, reason: string): void {
    if (this.#phase !== Phase.Closed) this.#log.debug({ code, reason }, 'the peer closed the connection');
    this.#release();
  }

  /** Tells the peer to finish what it holds; it gets nothing new. */
  drain(reason: string): void {
    if (this.#phase !== Phase.Open) {
      this.#end(CloseCode.ShuttingDown, reason);
      return;
    }
    this.#peer.isDraining = true;
    this.#peer.event({ event: 'closing', reason });
  }

  shutDown(reason: string): void {
    this.#end(CloseCode.ShuttingDown, reason);
  }

  #hello(text: string): void {
    let id: number | null = null;
    try {
      const envelope = readEnvelope(text);
      id = envelope.id;
      if (envelope.op !== 'hello')
        throw new AmqpError(ReplyCode.CommandInvalid, `the first message is hello, not '${envelope.op.slice(0, 64)}'`, { path: '/op' });
      this.#welcome(id, envelope.request);
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  #welcome(id: number, request: JsonObject): void {
    const settings = this.#settings;
    checkRequest('hello', request);
    if (request.version !== PROTOCOL_VERSION) {
      throw new AmqpError(ReplyCode.CommandInvalid, `protocol version ${request.version} is not spoken here`, {
        hint: `this server speaks version ${PROTOCOL_VERSION}`,
        path: '/version',
      });
    }
    this.#transition(Phase.Checking);
    settings.login.check(request.user, request.password, this.#remote, (outcome) => {
      if (this.#phase !== Phase.Checking) return; // it is gone
      try {
        if (outcome instanceof AmqpError) throw outcome;
        this.#open(id, request, outcome);
      } catch (error) {
        this.#refuse(id, error);
      }
    });
    if (this.#phase !== Phase.Checking) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  #open(id: number, request: Filled<'hello'>, account: Account): void {
    const { settings, name } = { settings: this.#settings, name: this.#remote.name };
    const { broker, clock } = settings;
    broker.vhosts.open(account, request.vhost);
    broker.connections.check(account, request.vhost);
    const session = broker.openSession(this.#peer, { account, vhost: request.vhost, name: request.client?.name ?? name });
    this.#peer.attach(session);
    this.#view = new WebSocketConnectionView(this, this.#remote, session, request.client ?? {}, clock.now());
    broker.connections.add(this.#view);
    this.#tellChannel('channel.created');
    this.#transition(Phase.Open);
    this.#timer?.cancel();
    this.#lease.begin(account);
    this.#socket.admit(settings.messageBytesMax + BATCH_OVERHEAD_BYTES);
    this.#owner.opened(this);
    this.#log.debug({ user: account.name, vhost: request.vhost, client: request.client }, 'logged in');
    const answer: HelloAnswer = {
      version: PROTOCOL_VERSION,
      session: session.id,
      server: { ...settings.product },
      vhost: request.vhost,
      user: account.name,
      heartbeatMs: settings.heartbeatMs,
      capabilities: ['taps', 'stats'],
      limits: this.#limits(),
    };
    this.#outbox.text(JSON.stringify({ id, ok: answer }));
    if (this.#isPaused) this.#goOn();
  }

  /** Its one session is shown as a channel: events of consumers name it. */
  #tellChannel(kind: 'channel.created' | 'channel.closed'): void {
    const view = this.#view;
    if (view !== undefined)
      this.#settings.broker.events.tell(kind, () => channelFields(kind, view.name, 1, this.#peer.session), view.account.name);
  }

  #renewed(refusal: AmqpError | undefined, done: (refusal: AmqpError | undefined) => void): void {
    done(refusal);
    if (refusal === undefined) this.#peer.session.rightsChanged();
  }

  #limits(): Limits {
    const { messageBytesMax, handlesMax, broker, limits } = this.#settings;
    return {
      messageBytes: messageBytesMax,
      frameBytes: FRAME_BYTES_MAX,
      batchBytes: messageBytesMax + BATCH_OVERHEAD_BYTES,
      handles: handlesMax,
      prefetch: limits.prefetchMax,
      publisherWindowBytes: broker.limits.publisherWindowBytes,
      headerBytes: limits.headerBytes,
    };
  }

  /** Hello failed: the answer says why, then the connection ends. After a failed login both wait. */
  #refuse(id: number | null, error: unknown): void {
    if (!(error instanceof AmqpError)) {
      this.#fail(error);
      return;
    }
    const { clock } = this.#settings;
    const isLogin = error.code === ReplyCode.AccessRefused;
    const end = (): void => {
      this.#outbox.text(answerText({ id, error: errorToJson(error) }));
      this.#end(closeCodeOfHello(error), error.message);
    };
    if (!isLogin) {
      end();
      return;
    }
    this.#log.warn({ reason: error.message }, 'login refused');
    this.#transition(Phase.Refused);
    this.#timer?.cancel();
    this.#timer = clock.setTimer(clock.now() + this.#settings.limits.loginDelayMs, end);
  }

  /** The one place where what was thrown becomes a close code. */
  #fail(error: unknown): void {
    if (this.#phase === Phase.Closed) return;
    if (error instanceof AmqpError && error.code === ReplyCode.ConnectionForced) this.#end(CloseCode.ShuttingDown, error.message);
    else if (error instanceof AmqpError && error.code !== ReplyCode.InternalError) {
      this.#log.warn({ code: error.code, reason: error.message }, 'the connection is closed for what its peer sent');
      this.#end(4000 + error.code, error.message);
    } else {
      this.#log.error({ err: error }, 'internal error: the connection is closed');
      this.#end(CloseCode.InternalError, 'INTERNAL_ERROR - see the log of the server');
    }
  }

  #end(code: number, reason: string): void {
    if (this.#phase === Phase.Closed) return;
    this.#outbox.flush();
    this.#release();
    this.#socket.close(code, cut(reason));
  }

  /** Everything this connection held goes back. */
  #release(): void {
    if (this.#phase === Phase.Closed) return;
    const wasOpen = this.#phase === Phase.Open;
    this.#transition(Phase.Closed);
    this.#timer?.cancel();
    this.#lease.end();
    this.#peer.isClosed = true;
    if (wasOpen) {
      for (const handle of this.#peer.context.handles.values()) if (handle.kind === 'stats') handle.feed.close();
      this.#peer.session.close();
    }
    this.#tellChannel('channel.closed');
    if (this.#view !== undefined) this.#settings.broker.connections.remove(this.#view);
    this.#owner.closed(this);
  }

  #transition(to: Phase): void {
    invariant(edges[this.#phase].includes(to), `a connection does not go from phase ${this.#phase} to ${to}`);
    this.#phase = to;
  }

  #watchOutbox(): void {
    if (this.#isPaused || !this.isOpen || this.#mayGoOn() || this.#outbox.isWritable) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  #drained(): void {
    if (this.#isPaused) this.#goOn();
    if (this.isOpen) this.#peer.session.resume();
  }

  /** There is room for answers again: first what waits here, then the socket. */
  #goOn(): void {
    this.#isPaused = false;
    if (this.#isAmidFrames && this.isOpen) {
      try {
        this.#isAmidFrames = !this.#frames.goOn(this.#mayGoOn);
      } catch (error) {
        this.#fail(error);
      }
      this.#watchOutbox();
    }
    while (!this.#isPaused && this.isOpen) {
      const message = this.#held.shift();
      if (message === undefined) break;
      this.#carryOut(message);
    }
    if (!this.#isPaused) this.#socket.resume();
  }
}

function closeCodeOfHello(error: AmqpError): number {
  if (error.code === ReplyCode.AccessRefused || error.code === ReplyCode.NotAllowed) return CloseCode.LoginFailed;
  return CloseCode.NotHello;
}

function cut(reason: string): string {
  let text = reason.slice(0, CLOSE_REASON_BYTES_MAX);
  while (new TextEncoder().encode(text).length > CLOSE_REASON_BYTES_MAX) text = text.slice(0, -1);
  return text;
}
