// One AMQP connection: a byte stream in, channels out. Its phases, its end, and the one place where errors become closes. hot
//
//   Header ► Start ► Tune ► Opening ► Open        handshake.ts has what each asks of the client; a time for all of it
//   any of them ► Closing ► Closed                Closing: we have said connection.close and wait for close-ok; all else is dropped
//
// Always: (1) whatever is thrown while a frame is handled is translated in `#thrown` and nowhere else; (2) frames are carried out in their order: one
// that must wait holds up all behind it, and the socket is not read meanwhile; (3) when it ends, what its channels held is back and its exclusive
// queues are gone before the peer can see the end; (4) one connection's end touches no other.
// RabbitMQ differs: it stops reading a connection that is blocked, so that not even a close is heard there.

import { FrameType, misplacedFrame, PROTOCOL_HEADER } from '../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { invariant } from '../../shared/assert.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { decodeUtf8 } from '../../shared/text.ts';
import type { Broker } from '../broker/broker.ts';
import { Lease } from '../broker/lease.ts';
import type { Identity } from '../broker/login.ts';
import type { ConnectionLog, Timer } from '../ports.ts';
import { AlarmNotice } from './alarm-notice.ts';
import type { ByteHandler, ByteSocket } from './byte-socket.ts';
import type { Channel, ChannelHost } from './channel.ts';
import { Channels } from './channels.ts';
import { AmqpConnectionView } from './connection-view.ts';
import { isHard, keyOf, logEnd, mistimed, replyText } from './errors.ts';
import { FrameLoop, type FrameLoopHost } from './frame-loop.ts';
import { type AmqpRemote, type AmqpSettings, ClientProperties, checkTune, loginRefused, ProtocolHeader, startFields } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { Hold } from './held-input.ts';
import { take } from './incoming.ts';
import { LoginStep } from './login-step.ts';
import { Outbox } from './outbox.ts';
import { edges, Phase } from './phase.ts';

/** For the answer to a close of ours. */
const CLOSE_MS_MAX = 5_000;

/** Told what a listener must count. */
export interface AmqpConnectionOwner {
  opened(connection: AmqpConnection): void;
  closed(connection: AmqpConnection): void;
}

export class AmqpConnection implements ByteHandler, ChannelHost, FrameLoopHost {
  readonly broker: Broker;
  readonly outbox: Outbox;
  readonly messageBytesMax: number;
  isCancelNotified = false;
  receivedBytes = 0;
  heartbeatSeconds = 0;
  isDraining = false;
  assemblingBytes = 0;
  assemblingHeaderBytes = 0;
  readonly #settings: AmqpSettings;
  readonly #socket: ByteSocket;
  readonly remote: AmqpRemote;
  readonly #log: ConnectionLog;
  readonly #owner: AmqpConnectionOwner;
  readonly #loop: FrameLoop;
  readonly #channels: Channels;
  readonly #header = new ProtocolHeader();
  #client = new ClientProperties(new Map());
  #phase: Phase = Phase.Header;
  #timer: Timer | undefined;
  #heartbeat: Heartbeat | undefined;
  readonly alarmNotice: AlarmNotice;
  readonly #login: LoginStep;
  readonly #lease: Lease;
  /** Of a new secret that is looked into: what comes of it. */
  #renewal: AmqpError | 'pending' | 'done' | undefined;
  #identity: Identity | undefined;
  #view: AmqpConnectionView | undefined;

  constructor(settings: AmqpSettings, socket: ByteSocket, remote: AmqpRemote, log: ConnectionLog, owner: AmqpConnectionOwner) {
    this.#settings = settings;
    this.broker = settings.broker;
    const { messageBytes, handshakeMs, frameMaxBeforeTune, channelMax, sendQueueBytes } = settings.limits;
    this.messageBytesMax = messageBytes;
    this.#loop = new FrameLoop(this, frameMaxBeforeTune);
    this.#channels = new Channels(this, channelMax);
    this.#socket = socket;
    this.remote = remote;
    this.alarmNotice = new AlarmNotice(settings.broker, (reason) => this.#toldOfAlarm(reason));
    this.#login = new LoginStep(settings.login, remote, () => this.release(Hold.Reply));
    this.#lease = new Lease(settings.clock, settings.login, remote, (error) => this.fail(error, 0));
    this.#log = log;
    this.#owner = owner;
    this.outbox = new Outbox(socket, frameMaxBeforeTune, () => this.release(Hold.Unread), sendQueueBytes);
    this.#wait(handshakeMs, () => {
      this.#log.info({ handshakeMs }, 'the handshake was not finished in time');
      this.#end();
    });
  }

  /** Deliveries that the peer still holds. */
  get unackedCount(): number {
    return this.#channels.unackedCount;
  }

  get identity(): Identity {
    invariant(this.#identity !== undefined, 'only an open connection acts for somebody');
    return this.#identity;
  }

  // Bytes in.

  onBytes(chunk: Uint8Array): void {
    this.#heartbeat?.heard();
    this.receivedBytes += chunk.length;
    const rest = this.#phase === Phase.Header ? this.#takeHeader(chunk) : chunk;
    if (rest !== undefined) this.#loop.take(rest);
  }

  onClosed(): void {
    if (this.#phase === Phase.Closed) return;
    if (this.#phase === Phase.Open) this.#log.debug({}, 'the peer hung up without closing the connection');
    this.#release();
  }

  // What the loop asks.

  get isClosed(): boolean {
    return this.#phase === Phase.Closed;
  }

  setDeaf(isDeaf: boolean): void {
    if (this.#phase === Phase.Closed) return;
    if (this.#heartbeat !== undefined) this.#heartbeat.isDeaf = isDeaf;
    if (isDeaf) this.#socket.pause();
    else this.#socket.resume();
  }

  unreadable(error: unknown): void {
    if (this.#phase === Phase.Closing) this.#end();
    else this.fail(error, 0); // a close-ok may still come, in a chunk of its own
  }

  frame(): void {
    try {
      this.#carryOut();
    } catch (error) {
      this.#thrown(error);
    }
    if (this.outbox.isOverfull) this.hold(Hold.Unread);
  }

  #carryOut(): void {
    const { reader } = this.#loop;
    if (this.#phase === Phase.Open && reader.channel !== 0 && reader.type !== FrameType.Heartbeat) {
      const channel = this.#channels.find(reader.channel);
      if (channel === undefined) this.#channels.takeOutside(reader);
      else if (!take(channel, reader)) this.hold(Hold.Reply);
      return;
    }
    if (reader.type === FrameType.Heartbeat) {
      if (reader.channel !== 0 || reader.payloadEnd > reader.payloadStart) throw misplacedFrame(reader);
      return;
    }
    if (reader.type !== FrameType.Method || reader.channel !== 0) {
      if (this.#phase === Phase.Closing) return;
      throw misplacedFrame(reader);
    }
    this.#method(decodeMethod(reader.bytes, reader.payloadStart, reader.payloadEnd));
  }

  ended(channel: Channel): void {
    this.#channels.forget(channel);
    this.release(Hold.Reply);
  }

  // What channel 0 says.

  #method(method: Method): void {
    if (method.name === 'connection.close-ok' && this.#phase === Phase.Closing) {
      this.#end();
      return;
    }
    if (method.name === 'connection.close' && (this.#phase === Phase.Open || this.#phase === Phase.Closing)) {
      this.#closeAsked();
      return;
    }
    if (this.#phase === Phase.Closing) return;
    if (this.#phase === Phase.Start && method.name === 'connection.start-ok') this.#startOk(method.fields);
    else if (this.#phase === Phase.Tune && method.name === 'connection.tune-ok') this.#tuneOk(method.fields);
    else if (this.#phase === Phase.Opening && method.name === 'connection.open') this.#open(method.fields);
    else if (this.#phase === Phase.Open && method.name === 'connection.update-secret') this.#updateSecret(method.fields);
    else if (this.#phase !== Phase.Refused) throw mistimed(this.#phase);
  }

  /** The first eight bytes. Answers what follows them in the chunk; undefined when there is no more to do with it. */
  #takeHeader(chunk: Uint8Array): Uint8Array | undefined {
    const rest = this.#header.take(chunk);
    if (rest === 'wrong') {
      // Another protocol, or another version of this one: told what is spoken here (AMQP 0-9-1, 4.2.2).
      this.#socket.write(Uint8Array.from(PROTOCOL_HEADER), () => undefined);
      this.#end();
    }
    if (rest === 'wrong' || rest === 'short') return undefined;
    this.#transition(Phase.Start);
    this.#send('connection.start', startFields(this.#settings.product, this.remote.certifiedName !== undefined));
    return rest;
  }

  #startOk(fields: MethodFields<'connection.start-ok'>): void {
    this.#client = new ClientProperties(fields.clientProperties);
    this.isCancelNotified = this.#client.can('consumer_cancel_notify');
    const outcome = this.#login.outcome(fields);
    if (outcome === undefined) {
      this.hold(Hold.Reply); // this frame comes again when it is known
      return;
    }
    if (outcome instanceof AmqpError) {
      if (outcome.code !== ReplyCode.AccessRefused) throw outcome;
      this.#log.warn({ reason: outcome.message }, 'login refused');
      this.#transition(Phase.Refused);
      this.#wait(this.#settings.limits.loginDelayMs, () => this.#refused(fields.mechanism));
      return;
    }
    this.#transition(Phase.Tune);
    const { channelMax, frameMax, heartbeatSeconds: heartbeat } = this.#settings.limits;
    this.#send('connection.tune', { channelMax, frameMax, heartbeat });
  }

  #refused(mechanism: string): void {
    if (this.#client.can('authentication_failure_close')) this.fail(loginRefused(mechanism), 0);
    else this.#end();
  }

  #tuneOk(fields: MethodFields<'connection.tune-ok'>): void {
    checkTune(fields, this.#settings.limits);
    this.#channels.max = fields.channelMax;
    this.outbox.frameMax = fields.frameMax;
    this.#loop.reader.frameMax = fields.frameMax;
    this.heartbeatSeconds = fields.heartbeat;
    this.#heartbeat = new Heartbeat(this.#settings.clock, this.outbox, fields.heartbeat, () => {
      this.#log.warn({ heartbeatSeconds: fields.heartbeat }, 'the peer missed two heartbeats');
      this.#release();
      this.#socket.destroy();
    });
    this.#transition(Phase.Opening);
  }

  #open({ virtualHost }: MethodFields<'connection.open'>): void {
    const { account, mechanism } = this.#login;
    this.broker.vhosts.open(account, virtualHost);
    this.broker.connections.check(account, virtualHost);
    this.#identity = { account, vhost: virtualHost, name: this.#client.name ?? this.remote.name };
    const facts = { account, vhost: virtualHost, mechanism, connectedAt: this.#settings.clock.now(), clientProperties: this.#client.table };
    this.#view = new AmqpConnectionView(this, this.#channels, this.remote, facts);
    this.broker.connections.add(this.#view);
    this.#transition(Phase.Open);
    this.#timer?.cancel();
    this.#lease.begin(account);
    this.#owner.opened(this);
    this.#log.debug({ user: account.name, vhost: virtualHost, client: this.#client.name }, 'logged in');
    this.#send('connection.open-ok', {});
  }

  #updateSecret({ newSecret }: MethodFields<'connection.update-secret'>): void {
    if (this.#renewal === undefined) this.#renew(decodeUtf8(newSecret, 0, newSecret.length));
    const outcome = this.#renewal;
    if (outcome === 'pending') {
      this.hold(Hold.Reply); // this frame comes again when it is known
      return;
    }
    this.#renewal = undefined;
    if (outcome instanceof AmqpError) throw outcome;
    this.#send('connection.update-secret-ok', {});
    for (const [, session] of this.#channels.sessions()) session.rightsChanged();
  }

  #renew(secret: string): void {
    this.#renewal = 'pending';
    this.#lease.renew(secret, (refusal) => {
      this.#renewal = refusal ?? 'done';
      this.release(Hold.Reply);
    });
  }

  // Holding back.

  hold(why: Hold): void {
    this.#loop.hold(why);
    if (why === Hold.Alarm) this.alarmNotice.begin();
  }

  /** undefined: it is over. */
  #toldOfAlarm(reason: string | undefined): void {
    if (this.#phase !== Phase.Open) return;
    if (this.#client.can('connection.blocked'))
      this.outbox.frame(
        reason === undefined ? methodFrame(0, 'connection.unblocked', {}) : methodFrame(0, 'connection.blocked', { reason }),
      );
    this.outbox.flush();
    if (reason === undefined) this.release(Hold.Alarm);
  }

  release(why: Hold): void {
    if (why === Hold.Unread) this.#channels.resume(); // deliveries were held back too
    this.#loop.release(why);
  }

  // Ends.

  /** Tells nobody, for AMQP has no word for it: consumers get nothing more, and settle what they hold. */
  drain(): void {
    this.isDraining = true;
  }

  shutDown(reason: string): void {
    this.fail(new AmqpError(ReplyCode.ConnectionForced, `broker forced connection closure with reason '${reason}'`), 0);
  }

  /** What carrying out a frame has thrown: a soft error of an open channel closes that, anything else the connection. */
  #thrown(error: unknown): void {
    const { reader } = this.#loop;
    const number = reader.channel;
    const channel = this.#channels.find(number);
    const key = keyOf(error, reader, channel);
    if (error instanceof AmqpError && !isHard(error.code) && channel !== undefined) {
      this.#log.debug({ channel: number, code: error.code, reason: error.message }, 'channel closed for what its client did');
      channel.fail(error, key);
    } else this.fail(error, key);
  }

  fail(error: unknown, key: number): void {
    if (this.#phase === Phase.Closed || this.#phase === Phase.Closing) return;
    const told = logEnd(this.#log, error);
    const wasSilent = this.#phase === Phase.Header;
    const wasHeld = this.#loop.isHeld;
    this.#giveBack();
    this.#transition(Phase.Closing);
    if (wasSilent) {
      this.#end(); // nobody who understands it is there
      return;
    }
    const fields = { replyCode: told.code, replyText: replyText(told), failedClassId: key >>> 16, failedMethodId: key & 0xffff };
    this.#send('connection.close', fields);
    this.#wait(CLOSE_MS_MAX, () => this.#end());
    if (wasHeld) this.#loop.goOn(); // for close-ok
  }

  /** The client closes; when what it asked before is answered. */
  #closeAsked(): void {
    if (this.#channels.mustWait) {
      this.hold(Hold.Reply);
      return;
    }
    this.#giveBack();
    this.#send('connection.close-ok', {});
    this.#end();
  }

  #end(): void {
    if (this.#phase === Phase.Closed) return;
    this.outbox.flush();
    this.#release();
    this.#socket.end();
  }

  /** Everything this connection held goes back, and what waits is not carried out any more. */
  #giveBack(): void {
    this.#loop.clear(); // first: a channel that ends lets input go on
    this.#channels.end();
    if (this.#phase === Phase.Open) this.broker.releaseOwner(this);
  }

  #release(): void {
    this.#giveBack();
    this.#transition(Phase.Closed);
    this.#timer?.cancel();
    this.#heartbeat?.end();
    this.#lease.end();
    this.alarmNotice.forget();
    if (this.#view !== undefined) this.broker.connections.remove(this.#view);
    this.#owner.closed(this);
  }

  #wait(ms: number, then: () => void): void {
    const { clock } = this.#settings;
    this.#timer?.cancel();
    this.#timer = clock.setTimer(clock.now() + ms, then);
  }

  #send<Name extends MethodName>(name: Name, fields: MethodFields<Name>): void {
    this.outbox.frame(methodFrame(0, name, fields));
    this.outbox.flush();
  }

  #transition(to: Phase): void {
    invariant(edges[this.#phase].includes(to), `a connection does not go from phase ${this.#phase} to ${to}`);
    this.#phase = to;
  }
}
