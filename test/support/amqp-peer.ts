// An AMQP client in the test's own process, on an engine whose time the test owns: frames in, frames out, no socket.
// Always: (1) what the server wrote is read when the engine has settled; (2) a content is shown with its method; (3) until `taken` is called
// the server's writes count as sent at once, unless the peer is stalled.

import type { ByteSocket } from '../../server/amqp/byte-socket.ts';
import { AmqpConnection } from '../../server/amqp/connection.ts';
import { type AmqpSettings, defaultAmqpLimits } from '../../server/amqp/handshake.ts';
import type { Login, RemoteEnds } from '../../server/broker/login.ts';
import { FrameReader, FrameType, PROTOCOL_HEADER, writeFrameEnd, writeFrameHeader } from '../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../shared/amqp/methods.ts';
import { CONTENT_HEADER_FIXED_BYTES, decodeProperties, encodeContentHeader, type Properties } from '../../shared/amqp/properties.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { readU16 } from '../../shared/bytes.ts';
import { encodeUtf8 } from '../../shared/text.ts';
import type { Engine } from './engine.ts';
import { anybody } from './logins.ts';

const FRAME_MAX = 131_072;

export interface AmqpPeerOptions {
  readonly capabilities?: FieldTable;
  readonly heartbeat?: number;
  readonly channels?: number;
  readonly login?: Login;
  readonly password?: string;
  /** What the client calls its connection. */
  readonly connectionName?: string;
  readonly ends?: RemoteEnds;
}

export class AmqpPeer implements ByteSocket {
  readonly connection: AmqpConnection;
  /** What was logged at error level: the server's own faults. */
  readonly errors: string[] = [];
  /** What came in: `channel method`, heartbeats as `heartbeat`. */
  readonly methods: { readonly channel: number; readonly method: Method }[] = [];
  heartbeats = 0;
  bodies: string[] = [];
  readonly properties: Properties[] = [];
  isEnded = false;
  isPaused = false;
  isStalled = false;
  readonly #engine: Engine;
  readonly #reader = new FrameReader(FRAME_MAX);
  readonly #unsent: (() => void)[] = [];

  constructor(engine: Engine, login: Login = anybody, ends?: RemoteEnds) {
    this.#engine = engine;
    const ignore = (): void => undefined;
    const log = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (fields: object, text: string) => void this.errors.push(`${text} ${JSON.stringify(fields)}`),
    };
    const settings: AmqpSettings = {
      broker: engine.broker,
      clock: engine.time,
      login,
      product: { product: 'Leveret', version: '0' },
      limits: { ...defaultAmqpLimits, messageBytes: engine.broker.limits.messageBytes },
    };
    const remote = { name: 'peer', address: '', isLoopback: true, certifiedName: undefined, ...(ends === undefined ? {} : { ends }) };
    this.connection = new AmqpConnection(settings, this, remote, log, { opened: ignore, closed: ignore });
  }

  /** A peer that has logged in, with `channels` open. */
  static open(engine: Engine, options: AmqpPeerOptions = {}): AmqpPeer {
    const { capabilities = new Map(), heartbeat = 0, channels = 1, login, password = 'guest', connectionName, ends } = options;
    const peer = new AmqpPeer(engine, login, ends);
    const named: FieldTable = new Map(connectionName === undefined ? [] : [['connection_name', connectionName]]);
    peer.bytes(Uint8Array.from(PROTOCOL_HEADER));
    const response = encodeUtf8(`\0guest\0${password}`);
    peer.send(0, 'connection.start-ok', {
      clientProperties: named.set('capabilities', capabilities),
      mechanism: 'PLAIN',
      response,
      locale: 'en_US',
    });
    peer.send(0, 'connection.tune-ok', { channelMax: 2047, frameMax: FRAME_MAX, heartbeat });
    peer.send(0, 'connection.open', { virtualHost: '/' });
    for (let channel = 1; channel <= channels; channel++) peer.send(channel, 'channel.open', {});
    peer.names(); // nobody asks for these
    return peer;
  }

  send<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): void {
    this.bytes(methodFrame(channel, name, fields));
  }

  publish(channel: number, routingKey: string, body: string, properties: Properties = {}, exchange = ''): void {
    this.bytes(publishFrames(channel, routingKey, body, properties, exchange));
  }

  declare(channel: number, queue: string, options: { durable?: boolean; exclusive?: boolean; arguments?: FieldTable } = {}): void {
    const { durable = false, exclusive = false, arguments: args = new Map() } = options;
    this.send(channel, 'queue.declare', { queue, passive: false, durable, exclusive, autoDelete: false, nowait: false, arguments: args });
  }
  consume(channel: number, queue: string, noAck = false, consumerTag = queue): void {
    const flags = { noLocal: false, noAck, exclusive: false, nowait: false };
    this.send(channel, 'basic.consume', { queue, consumerTag, ...flags, arguments: new Map() });
  }

  /** Bytes as they are, then all that follows from them. */
  bytes(chunk: Uint8Array): void {
    this.connection.onBytes(Uint8Array.from(chunk)); // the server writes over what it reads
    this.#engine.time.settle();
  }

  /** The methods that came since the last time: `channel name`. */
  names(): string[] {
    return this.methods.splice(0).map(({ channel, method }) => `${channel} ${method.name}`);
  }

  /** The peer reads again what it let lie. */
  unstall(): void {
    this.isStalled = false;
    for (const sent of this.#unsent.splice(0)) sent();
    this.#engine.time.settle();
  }

  // ByteSocket: what the server does with the peer.

  write(bytes: Uint8Array, sent: () => void): void {
    if (this.isEnded) throw new Error('written after the end');
    if (!Buffer.from(bytes).equals(Buffer.from(PROTOCOL_HEADER))) this.#read(bytes.slice());
    if (this.isStalled) this.#unsent.push(sent);
    else sent();
  }
  end(): void {
    this.isEnded = true;
  }
  destroy(): void {
    this.isEnded = true;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }

  #read(bytes: Uint8Array): void {
    const reader = this.#reader;
    reader.feed(bytes);
    while (reader.next()) {
      if (reader.type === FrameType.Heartbeat) this.heartbeats++;
      else if (reader.type === FrameType.Method)
        this.methods.push({ channel: reader.channel, method: decodeMethod(reader.bytes, reader.payloadStart, reader.payloadEnd) });
      else if (reader.type === FrameType.Header) this.properties.push(readProperties(reader));
      else if (reader.type === FrameType.Body)
        this.bodies.push(Buffer.from(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd)).toString());
    }
  }
}

function readProperties({ bytes, payloadStart, payloadEnd }: FrameReader): Properties {
  return decodeProperties(bytes, payloadStart + CONTENT_HEADER_FIXED_BYTES, payloadEnd, readU16(bytes, payloadStart + 12));
}

/** basic.publish and its content. */
export function publishFrames(channel: number, routingKey: string, body: string, properties: Properties = {}, exchange = ''): Uint8Array {
  const bytes = encodeUtf8(body);
  const frames = [
    methodFrame(channel, 'basic.publish', { exchange, routingKey, mandatory: false, immediate: false }),
    frame(FrameType.Header, channel, encodeContentHeader(properties, bytes.length)),
  ];
  if (bytes.length > 0) frames.push(frame(FrameType.Body, channel, bytes));
  return Buffer.concat(frames);
}

export function frame(type: number, channel: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(payload.length + 8);
  const at = writeFrameHeader(bytes, 0, type, channel, payload.length);
  bytes.set(payload, at);
  writeFrameEnd(bytes, at + payload.length);
  return bytes;
}
