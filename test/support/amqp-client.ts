// A raw AMQP 0-9-1 client over TCP: it shows every frame as it came, and sends what it is told, right or wrong.
// Always: (1) nothing is sent that was not asked for, but the answer to a server's close (`answersCloses`); (2) what came is kept by channel, in
// order, a content together with its method; (3) a wait ends: by what it waits for, by the end of the socket, or by its time limit.
// Refuses: to reconnect, to send heartbeats, to judge. What is right is for the test to say.

import { connect, type Socket } from 'node:net';
import { FRAME_OVERHEAD_BYTES, FrameReader, FrameType, PROTOCOL_HEADER, writeFrameEnd, writeFrameHeader } from '../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../shared/amqp/methods.ts';
import { CONTENT_HEADER_FIXED_BYTES, decodeProperties, encodeContentHeader, type Properties } from '../../shared/amqp/properties.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { encodeTable, type FieldTable } from '../../shared/amqp/table.ts';
import { readU16, readU32 } from '../../shared/bytes.ts';

export interface AmqpContent {
  /** The payload of the content header frame. */
  readonly header: Uint8Array;
  readonly properties: Properties;
  readonly body: Uint8Array;
  /** Bytes of body in each body frame. */
  readonly bodyFrames: readonly number[];
}

/**
 * What a server sends: a method with its content, a heartbeat, a protocol header (when it refuses ours), bytes that are no frame of AMQP (the
 * socket is then dropped), or the end of the socket.
 */
export type AmqpItem =
  | { readonly kind: 'method'; readonly method: Method; readonly content: AmqpContent | undefined }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'header'; readonly bytes: Uint8Array }
  | { readonly kind: 'malformed'; readonly why: string }
  | { readonly kind: 'end' };

export interface LoginOptions {
  readonly vhost?: string;
  readonly user?: string;
  readonly password?: string;
  readonly mechanism?: string;
  /** The SASL response; made of user and password unless given. */
  readonly response?: Uint8Array;
  readonly clientProperties?: FieldTable;
  readonly channelMax?: number;
  readonly frameMax?: number;
  readonly heartbeat?: number;
}

export interface PublishOptions {
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly mandatory?: boolean;
  readonly immediate?: boolean;
  readonly properties?: Properties;
  readonly body?: Uint8Array | string;
}

/** What clients announce that can do all that RabbitMQ asks about. */
export const ALL_CAPABILITIES: FieldTable = new Map(
  ['publisher_confirms', 'exchange_exchange_bindings', 'basic.nack', 'consumer_cancel_notify', 'connection.blocked'].map((name) => [
    name,
    true,
  ]),
).set('authentication_failure_close', true);

const WAIT_MS_MAX = 10_000; // a rescue: RabbitMQ makes a failed login wait for 3 s
const DEFAULT_TUNE = { channelMax: 2047, frameMax: 131_072, heartbeat: 0 };

interface Waiter {
  resolve(): void;
}

/** Sees each item as it comes; answers whether `next` shall give it too. */
type Watch = (channel: number, item: AmqpItem) => boolean;

/** A wait that ended by the end of the socket or by its time limit. */
export class NothingCame extends Error {}

export class AmqpClient {
  /** Answers connection.close and channel.close with their close-ok. */
  answersCloses = true;
  hasEnded = false;
  /** What is negotiated, for splitting what is published. */
  frameMax = DEFAULT_TUNE.frameMax;
  readonly #socket: Socket;
  readonly #reader = new FrameReader(0x7fff_ffff);
  readonly #watch: Watch;
  readonly #unread = new Map<number, AmqpItem[]>();
  readonly #waiters = new Set<Waiter>();
  readonly #assembling = new Map<number, Assembly>();
  #isRefused = false;

  private constructor(socket: Socket, watch: Watch) {
    this.#socket = socket;
    this.#watch = watch;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => this.#end()); // a reset is an end too
    socket.on('close', () => this.#end());
  }

  static dial(port: number, watch: Watch = () => true): Promise<AmqpClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new AmqpClient(socket, watch));
      });
    });
  }

  write(...parts: readonly (Uint8Array | readonly number[])[]): void {
    this.#socket.write(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
  }

  /** Fields that are left out are zero, false or empty. */
  send<Name extends MethodName>(channel: number, name: Name, fields: Partial<MethodFields<Name>> = {}): void {
    this.write(frameOf(channel, name, fields));
  }

  publish(channel: number, options: PublishOptions): void {
    this.write(...publishFrames(channel, options, this.frameMax));
  }

  /** From the protocol header to connection.open-ok, or to whatever came instead. */
  async login(options: LoginOptions = {}): Promise<void> {
    const { vhost = '/', channelMax, frameMax, heartbeat } = { ...DEFAULT_TUNE, ...options };
    this.write(PROTOCOL_HEADER);
    if (!isMethod(await this.next(0), 'connection.start')) return;
    this.startOk(options);
    if (!isMethod(await this.next(0), 'connection.tune')) return;
    this.send(0, 'connection.tune-ok', { channelMax, frameMax, heartbeat });
    if (frameMax > 0) this.frameMax = frameMax;
    this.send(0, 'connection.open', { virtualHost: vhost });
    await this.next(0);
  }

  startOk({ user = 'guest', password = 'guest', mechanism = 'PLAIN', response, clientProperties }: LoginOptions = {}): void {
    this.send(0, 'connection.start-ok', {
      clientProperties: clientProperties ?? new Map([['capabilities', ALL_CAPABILITIES]]),
      mechanism,
      response: response ?? (mechanism === 'AMQPLAIN' ? amqPlain(user, password) : Buffer.from(`\0${user}\0${password}`)),
      locale: 'en_US',
    });
  }

  /** The next item of a channel that was not taken yet. */
  async next(channel: number, waitMs = WAIT_MS_MAX): Promise<AmqpItem> {
    const unread = (): AmqpItem[] => this.#unread.get(channel) ?? [];
    await this.until(() => unread().length > 0, waitMs);
    return unread().shift() as AmqpItem;
  }

  /** Until `isDone`, asked whenever something came. */
  async until(isDone: () => boolean, waitMs = WAIT_MS_MAX): Promise<void> {
    const deadline = performance.now() + waitMs;
    while (!isDone()) {
      const leftMs = deadline - performance.now();
      if (this.hasEnded) throw new NothingCame('the socket has ended');
      if (leftMs <= 0) throw new NothingCame('nothing came');
      await this.#something(leftMs);
    }
  }

  /** Ends the socket as a process that dies does. */
  destroy(): void {
    this.#socket.destroy();
  }

  #something(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter = {
        resolve: (): void => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve();
        },
      };
      const timer = setTimeout(waiter.resolve, waitMs);
      this.#waiters.add(waiter);
    });
  }

  #read(chunk: Uint8Array): void {
    // A server that does not like our header answers with its own, and no frame begins with an A.
    if (this.#isRefused || chunk[0] === PROTOCOL_HEADER[0]) {
      this.#isRefused = true;
      this.#came(0, { kind: 'header', bytes: chunk.slice() });
      return;
    }
    try {
      this.#reader.feed(chunk);
      while (this.#reader.next()) this.#frame(this.#reader);
    } catch (error) {
      this.#came(0, { kind: 'malformed', why: String(error) });
      this.destroy();
    }
  }

  #frame({ type, channel, bytes, payloadStart, payloadEnd }: FrameReader): void {
    const assembly = this.#assembling.get(channel);
    if (type === FrameType.Heartbeat) {
      this.#came(channel, { kind: 'heartbeat' });
    } else if (type === FrameType.Method) {
      const method = decodeMethod(bytes, payloadStart, payloadEnd);
      if (hasContent(method)) this.#assembling.set(channel, new Assembly(method));
      else this.#came(channel, { kind: 'method', method, content: undefined });
    } else if (assembly === undefined) {
      throw new Error(`a frame of type ${type} on channel ${channel} without a method`);
    } else if (assembly.take(type, bytes.slice(payloadStart, payloadEnd))) {
      this.#assembling.delete(channel);
      this.#came(channel, { kind: 'method', method: assembly.method, content: assembly.content() });
    }
  }

  #came(channel: number, item: AmqpItem): void {
    if (this.#watch(channel, item)) {
      const unread = this.#unread.get(channel) ?? [];
      this.#unread.set(channel, unread);
      unread.push(item);
    }
    if (this.answersCloses && isMethod(item, 'channel.close')) this.send(channel, 'channel.close-ok');
    if (this.answersCloses && isMethod(item, 'connection.close')) this.send(0, 'connection.close-ok');
    for (const waiter of this.#waiters) waiter.resolve();
  }

  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#came(0, { kind: 'end' });
  }
}

/** A method's content while its frames come. */
class Assembly {
  readonly method: Method;
  #header: Uint8Array | undefined;
  #bodyBytes = 0;
  readonly #frames: Uint8Array[] = [];

  constructor(method: Method) {
    this.method = method;
  }

  /** True when the content is whole. */
  take(type: number, payload: Uint8Array): boolean {
    if (type === FrameType.Header) this.#header = payload;
    else this.#frames.push(payload);
    if (type === FrameType.Body) this.#bodyBytes += payload.length;
    return this.#header !== undefined && this.#bodyBytes === readU32(this.#header, 4) * 0x1_0000_0000 + readU32(this.#header, 8);
  }

  content(): AmqpContent {
    const header = this.#header ?? new Uint8Array(0);
    const properties = decodeProperties(header, CONTENT_HEADER_FIXED_BYTES, header.length, readU16(header, 12));
    return { header, properties, body: Buffer.concat(this.#frames), bodyFrames: this.#frames.map((frame) => frame.length) };
  }
}

export function isMethod<Name extends MethodName>(
  item: AmqpItem | undefined,
  name: Name,
): item is AmqpItem & { readonly kind: 'method'; readonly method: Method<Name> } {
  return item?.kind === 'method' && item.method.name === name;
}

function hasContent({ name }: Method): boolean {
  return name === 'basic.deliver' || name === 'basic.get-ok' || name === 'basic.return';
}

/** A method frame; fields that are left out are zero, false or empty. */
export function frameOf<Name extends MethodName>(channel: number, name: Name, fields: Partial<MethodFields<Name>> = {}): Uint8Array {
  return methodFrame(channel, name, fields as unknown as MethodFields<Name>); // the codec writes what is missing as zero, false or empty
}

/** Any frame. */
export function rawFrame(type: number, channel: number, payload: Uint8Array | readonly number[], end?: number): Uint8Array {
  const bytes = new Uint8Array(payload.length + FRAME_OVERHEAD_BYTES);
  const at = writeFrameHeader(bytes, 0, type, channel, payload.length);
  bytes.set(payload, at);
  writeFrameEnd(bytes, at + payload.length);
  if (end !== undefined) bytes[bytes.length - 1] = end;
  return bytes;
}

export function headerFrame(channel: number, properties: Properties, bodyBytes: number): Uint8Array {
  return rawFrame(FrameType.Header, channel, encodeContentHeader(properties, bodyBytes));
}

export function bodyFrames(channel: number, body: Uint8Array, frameMax: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const share = frameMax - FRAME_OVERHEAD_BYTES;
  for (let at = 0; at < body.length; at += share) frames.push(rawFrame(FrameType.Body, channel, body.subarray(at, at + share)));
  return frames;
}

export function publishFrames(channel: number, options: PublishOptions, frameMax = DEFAULT_TUNE.frameMax): Uint8Array[] {
  const { properties = {}, body = '', ...fields } = options;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return [
    frameOf(channel, 'basic.publish', fields),
    headerFrame(channel, properties, bytes.length),
    ...bodyFrames(channel, bytes, frameMax),
  ];
}

/** A table without the length before it: AMQPLAIN's response. */
export function amqPlain(user: string, password: string): Uint8Array {
  return encodeTable(
    new Map([
      ['LOGIN', user],
      ['PASSWORD', password],
    ]),
  ).subarray(4);
}
