// One AMQP connection from its opening to its end: the handshake, channel numbers, heartbeats, and the frames of all channels in and out. hot
//
//   Connecting -> Idle (the link is open) -> Starting -> Tuning -> Opening -> Open -> Closing -> Closed        from each to any later one
//
// Always: (1) phases only go forward, in `#become`; (2) what the server does wrong, and what it refuses, ends this connection in one place, `fail`, and
// is told before the end is; (3) a link that does not end when asked is cut. AMQP 0-9-1, 2.2 and 4.2.
// Refuses: to connect again (session.ts does, with another one of these), mechanisms beside PLAIN and EXTERNAL.

import {
  FRAME_MIN_SIZE,
  FRAME_OVERHEAD_BYTES,
  FrameReader,
  FrameType,
  HEARTBEAT_FRAME,
  PROTOCOL_HEADER,
  writeFrameEnd,
  writeFrameHeader,
} from '../../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../../shared/amqp/methods.ts';
import { METHODS, type MethodName, methodKey } from '../../../shared/amqp/spec.ts';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { decodeUtf8, encodeUtf8 } from '../../../shared/text.ts';
import type { ClientPorts } from '../ports.ts';
import type { ByteHandlers, ByteLink, ByteTransport } from './bytes.ts';
import { Channel, type ChannelUser } from './channel.ts';
import type { Refusal } from './inbound.ts';
import { Outbox } from './outbox.ts';

/** What the connection's owner is told. */
export interface ConnectionUser {
  opened(): void;
  heard(): void;
  /** All that came at once has been read. */
  read(): void;
  blocked(reason: string | undefined): void;
  /** Told once, before `closed`: why it ends. */
  failed(error: Refusal): void;
  closed(reason: string): void;
}

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  readonly mechanism: 'PLAIN' | 'EXTERNAL';
  /** Of the connection, for the broker's listings. */
  readonly name: string;
  /** 0: as the server has it. */
  readonly heartbeatS: number;
}

/** Whom we have reached, and what was agreed on. */
export interface Greeting {
  readonly product: string;
  readonly version: string;
  readonly channelMax: number;
  readonly frameMax: number;
  readonly heartbeatS: number;
}

const Phase = { Connecting: 0, Idle: 1, Starting: 2, Tuning: 3, Opening: 4, Open: 5, Closing: 6, Closed: 7 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const FRAME_MAX = 131_072; // RabbitMQ's own default
const CHANNEL_MAX = 2047; // and this
const CLOSE_MS_MAX = 5_000; // a server that is alive answers at once
const REPLY_TEXT_LENGTH_MAX = 60; // 255 bytes in any script
const CLIENT = { product: 'leveret-client', version: '0.1.0' };
const CAPABILITIES = [
  ...['publisher_confirms', 'exchange_exchange_bindings', 'basic.nack', 'consumer_cancel_notify', 'connection.blocked'],
  ...['authentication_failure_close', 'publisher_nack_reason'],
];

export class Connection implements ByteHandlers {
  readonly outbox: Outbox;
  /** What a body frame may hold. */
  bodyFrameBytes = 0;
  readonly #user: ConnectionUser;
  readonly #ports: ClientPorts;
  readonly #link: ByteLink;
  readonly #reader = new FrameReader(FRAME_MAX);
  readonly #channels = new Map<number, Channel>();
  #channelMax = CHANNEL_MAX;
  #phase: Phase = Phase.Connecting;
  /** The stream's first bytes have come. */
  #hasHeard = false;
  #login: Login | undefined;
  #greeted: ((greeting: Greeting) => void) | undefined;
  #product = '';
  #version = '';
  #tuned = { channelMax: 0, frameMax: 0, heartbeat: 0 };
  #stopTimer: (() => void) | undefined;
  /** What the server said when it ended the connection. */
  #why = '';

  constructor(transport: ByteTransport, url: string, user: ConnectionUser, ports: ClientPorts) {
    this.#user = user;
    this.#ports = ports;
    this.outbox = new Outbox((bytes) => this.#phase < Phase.Closed && this.#link.send(bytes));
    this.#link = transport.open(url, this);
  }

  get isOpen(): boolean {
    return this.#phase === Phase.Open;
  }

  /** Once the link is open. A refusal is told to the user of the connection. */
  login(login: Login, greeted: (greeting: Greeting) => void): void {
    this.#become(Phase.Starting);
    this.#login = login;
    this.#greeted = greeted;
    this.outbox.put(Uint8Array.from(PROTOCOL_HEADER));
  }

  /** A new channel, with this number if it is not 0; undefined when the server allows no more. */
  channel(user: ChannelUser, wanted = 0): Channel | undefined {
    for (let number = wanted || 1; number <= this.#channelMax; number++) {
      if (this.#channels.has(number)) continue;
      const channel = new Channel(this, number, user);
      this.#channels.set(number, channel);
      channel.open();
      return channel;
    }
    return undefined;
  }
  /** The number may be used again. */
  release(number: number): void {
    this.#channels.delete(number);
  }

  method<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): void {
    this.outbox.put(methodFrame(channel, name, fields));
  }

  /** A method that is encoded already. */
  payload(channel: number, payload: Uint8Array): void {
    const bytes = this.outbox.room(payload.length + FRAME_OVERHEAD_BYTES);
    const at = writeFrameHeader(bytes, this.outbox.at, FrameType.Method, channel, payload.length);
    bytes.set(payload, at);
    this.outbox.at = writeFrameEnd(bytes, at + payload.length);
  }

  /** Ends well, if it is open; else at once. */
  close(replyCode = 200, replyText = 'closed by its user'): void {
    if (this.#phase >= Phase.Closing) return;
    const wasOpen = this.isOpen;
    if (wasOpen) this.method(0, 'connection.close', { replyCode, replyText, failedClassId: 0, failedMethodId: 0 });
    this.outbox.flush();
    this.#become(Phase.Closing);
    if (wasOpen) this.#stopTimer = this.#ports.after(CLOSE_MS_MAX, () => this.#link.cut());
    else this.#link.cut();
  }

  /** The connection cannot go on. */
  fail(error: Refusal): void {
    if (this.#phase >= Phase.Closing) return;
    this.close(error.code ?? ReplyCode.InternalError, error.reason.slice(0, REPLY_TEXT_LENGTH_MAX));
    this.#user.failed(error);
  }

  opened(): void {
    if (this.#phase !== Phase.Connecting) return;
    this.#become(Phase.Idle);
    this.#user.opened();
  }

  bytes(bytes: Uint8Array): void {
    if (this.#phase === Phase.Closed) return;
    this.#user.heard();
    try {
      // A server that does not speak 0-9-1 answers with the header of what it speaks: 'AMQP' again, where a frame has its type.
      if (!this.#hasHeard && bytes[0] === PROTOCOL_HEADER[0]) throw new Error('the server does not speak AMQP 0-9-1');
      this.#hasHeard = true;
      // A plain view: slice() of a Buffer is no copy.
      this.#reader.feed(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
      while (this.#phase < Phase.Closed && this.#reader.next()) this.#frame(this.#reader);
    } catch (thrown) {
      this.fail({ reason: `PROTOCOL - ${thrown instanceof Error ? thrown.message : String(thrown)}` });
    }
    this.#user.read();
  }

  closed(reason: string): void {
    if (this.#phase === Phase.Closed) return;
    this.#become(Phase.Closed);
    this.#user.closed(this.#why || reason);
  }

  #frame(reader: FrameReader): void {
    const { channel, type } = reader;
    if (channel === 0) {
      if (type === FrameType.Method) this.#method(decodeMethod(reader.bytes, reader.payloadStart, reader.payloadEnd));
      else if (type !== FrameType.Heartbeat) throw new Error(`frame ${type} on channel 0`);
      return;
    }
    // Once it closes, nothing matters but the end of that.
    if (this.#phase >= Phase.Closing) return;
    const target = this.#channels.get(channel);
    if (target === undefined) throw new Error(`a frame on channel ${channel}, which is not open`);
    target.frame(reader);
  }

  #method(method: Method): void {
    const { name, fields } = method;
    const phase = this.#phase;
    if (name === 'connection.close') this.#refused(fields);
    else if (name === 'connection.close-ok') this.#link.end();
    else if (phase >= Phase.Closing) return;
    else if (name === 'connection.start' && phase === Phase.Starting) this.#start(fields);
    else if (name === 'connection.tune' && phase === Phase.Tuning) this.#tune(fields);
    else if (name === 'connection.open-ok' && phase === Phase.Opening) this.#greet();
    else if (name === 'connection.blocked' && phase === Phase.Open) this.#user.blocked(fields.reason);
    else if (name === 'connection.unblocked' && phase === Phase.Open) this.#user.blocked(undefined);
    else throw new Error(`${name} out of turn`);
  }

  #start({ serverProperties, mechanisms }: MethodFields<'connection.start'>): void {
    const login = this.#login;
    if (login === undefined) return;
    const { user, password, mechanism, name } = login;
    const offered = decodeUtf8(mechanisms, 0, mechanisms.length);
    if (!offered.split(' ').includes(mechanism)) throw new Error(`the server takes no ${mechanism} login, but ${offered}`);
    this.#product = String(serverProperties.get('product') ?? '');
    this.#version = String(serverProperties.get('version') ?? '');
    const clientProperties: FieldTable = new Map(Object.entries(CLIENT));
    clientProperties.set('capabilities', new Map(CAPABILITIES.map((capability) => [capability, true])));
    if (name !== '') clientProperties.set('connection_name', name);
    const response = encodeUtf8(mechanism === 'PLAIN' ? `\0${user}\0${password}` : '');
    this.#become(Phase.Tuning);
    this.method(0, 'connection.start-ok', { clientProperties, mechanism, response, locale: 'en_US' });
  }

  #tune({ channelMax, frameMax, heartbeat }: MethodFields<'connection.tune'>): void {
    const { vhost = '/', heartbeatS = 0 } = this.#login ?? {};
    if (frameMax > 0 && frameMax < FRAME_MIN_SIZE)
      throw new AmqpError(ReplyCode.NotAllowed, `frame_max ${frameMax} is below AMQP's ${FRAME_MIN_SIZE}`);
    this.#tuned = {
      channelMax: Math.min(channelMax || CHANNEL_MAX, CHANNEL_MAX),
      frameMax: Math.min(frameMax || FRAME_MAX, FRAME_MAX),
      // Where one side does not care, the other decides.
      heartbeat: heartbeat && heartbeatS ? Math.min(heartbeat, heartbeatS) : Math.max(heartbeat, heartbeatS),
    };
    this.#channelMax = this.#tuned.channelMax;
    this.#reader.frameMax = this.#tuned.frameMax;
    this.bodyFrameBytes = this.#tuned.frameMax - FRAME_OVERHEAD_BYTES;
    this.#become(Phase.Opening);
    this.method(0, 'connection.tune-ok', this.#tuned);
    this.method(0, 'connection.open', { virtualHost: vhost });
    if (this.#tuned.heartbeat > 0) this.#beat((this.#tuned.heartbeat * 1_000) / 2);
  }

  #greet(): void {
    this.#become(Phase.Open);
    const { channelMax, frameMax, heartbeat } = this.#tuned;
    this.#greeted?.({ product: this.#product, version: this.#version, channelMax, frameMax, heartbeatS: heartbeat });
  }

  /** Says that we live, wherever nothing else did. */
  #beat(everyMs: number): void {
    this.#stopTimer = this.#ports.after(everyMs, () => {
      if (!this.outbox.hasSent) this.outbox.put(Uint8Array.from(HEARTBEAT_FRAME));
      this.outbox.flush();
      this.outbox.hasSent = false;
      this.#beat(everyMs);
    });
  }

  /** The server ends it. When an operation is the reason, that one is told so; all else ends with the connection. */
  #refused({ replyCode, replyText, failedClassId, failedMethodId }: MethodFields<'connection.close'>): void {
    this.method(0, 'connection.close-ok', {});
    this.outbox.flush();
    this.#link.end();
    if (this.#phase === Phase.Closing) return;
    this.#become(Phase.Closing);
    this.#stopTimer = this.#ports.after(CLOSE_MS_MAX, () => this.#link.cut());
    this.#why = replyText;
    const error: Refusal = { code: replyCode, reason: replyText };
    const key = methodKey(failedClassId, failedMethodId);
    const [culprit, ...others] = [...this.#channels.values()].filter(({ asks }) => asks !== undefined && keyOf(asks) === key);
    if (culprit !== undefined && others.length === 0) culprit.refuse(error);
    else this.#user.failed(error);
  }

  #become(phase: Phase): void {
    if (phase <= this.#phase) throw new Error(`no edge ${this.#phase}-${phase}`); // our own mistake
    if (phase >= Phase.Closing) this.#stopTimer?.();
    this.#phase = phase;
  }
}

function keyOf(name: MethodName): number {
  return methodKey(METHODS[name].classId, METHODS[name].methodId);
}
