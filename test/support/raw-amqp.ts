// An AMQP client down to its octets: frames are written as given, whole, in thirds or byte by byte, also those no client would send.
// Always: (1) what came in is kept in order until a test takes it; (2) a frame that cannot be read, or an end inside one, fails who waits;
// (3) a close of the peer's is answered like any client does, so that both sides end. Its codec is the one that test/wire proves.
// Refuses content above what a test reads whole, and heartbeats: those of the server are dropped.

import { FrameReader } from '../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { type ByteStream, TcpStream } from './byte-stream.ts';

export type Pieces = 'whole' | 'thirds' | 'bytes';

export interface ReceivedFrame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Uint8Array;
  /** Of a method frame. */
  readonly method: Method | undefined;
}

/** How a peer was answered: the protocol header, a close, the end of the stream without a word, or like any other. */
export type Outcome =
  | { readonly how: 'header' | 'hung up' | 'goes on' }
  | { readonly how: 'connection' | 'channel'; readonly code: number; readonly text: string; readonly blamed: string };

export interface Handshake {
  readonly user?: string;
  readonly password?: string;
  readonly vhost?: string;
  readonly channelMax?: number;
  readonly frameMax?: number;
  readonly heartbeat?: number;
  readonly capabilities?: readonly string[];
}

export const PROTOCOL_HEADER = Buffer.from('AMQP\0\0\x09\x01', 'latin1');

/** A frame of any type, with any size and end octet. */
export function rawFrame(type: number, channel: number, payload: Uint8Array, size = payload.length, end = 0xce): Buffer {
  const bytes = Buffer.alloc(8 + payload.length);
  bytes[0] = type;
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(size, 3);
  bytes.set(payload, 7);
  bytes[bytes.length - 1] = end;
  return bytes;
}

/** basic.publish, its header and a body in one frame, or in none when it is empty. */
export function publishFrames(channel: number, exchange: string, routingKey: string, body: Uint8Array): Buffer {
  const method = methodFrame(channel, 'basic.publish', { exchange, routingKey, mandatory: false, immediate: false });
  const parts = [method, contentHeader(channel, body.length)];
  if (body.length > 0) parts.push(rawFrame(3, channel, body));
  return Buffer.concat(parts);
}

export function contentHeader(channel: number, bodyBytes: number | bigint, classId = 60, rest = '0000'): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(classId);
  fixed.writeBigUInt64BE(BigInt(bodyBytes), 4);
  return rawFrame(2, channel, Buffer.concat([fixed, Buffer.from(rest.replaceAll(' ', ''), 'hex')]));
}

export class RawAmqp {
  readonly stream: ByteStream;
  readonly #reader = new FrameReader(0x7fff_ffff);
  readonly #frames: ReceivedFrame[] = [];
  #header = Buffer.alloc(0);
  #isFirst = true;
  #fault: Error | undefined;
  #arrived: () => void = () => {};
  #isClosed = false;
  readonly closed: Promise<void>;

  /** Over a stream on which nothing was said yet. */
  constructor(stream: ByteStream) {
    this.stream = stream;
    this.closed = new Promise((resolve) =>
      stream.listen(
        (chunk) => this.#read(chunk),
        () => {
          this.#isClosed = true;
          this.#arrived();
          resolve();
        },
      ),
    );
  }

  /** A TCP connection; nothing is said yet. */
  static async dial(port: number): Promise<RawAmqp> {
    return new RawAmqp(await TcpStream.dial(port));
  }

  /** A connection that is open. */
  static async open(port: number, handshake: Handshake = {}): Promise<RawAmqp> {
    const client = await RawAmqp.dial(port);
    await client.logIn(handshake);
    return client;
  }

  /** From the protocol header to open-ok. */
  async logIn(handshake: Handshake = {}): Promise<void> {
    await this.write(PROTOCOL_HEADER);
    await this.method('connection.start');
    await this.startOk(handshake);
    const tune = await this.method('connection.tune');
    await this.send(0, 'connection.tune-ok', {
      channelMax: handshake.channelMax ?? tune.fields.channelMax,
      frameMax: handshake.frameMax ?? tune.fields.frameMax,
      heartbeat: handshake.heartbeat ?? 0,
    });
    await this.send(0, 'connection.open', { virtualHost: handshake.vhost ?? '/' });
    await this.method('connection.open-ok');
  }

  startOk({
    user = 'guest',
    password = 'guest',
    capabilities = ['consumer_cancel_notify', 'connection.blocked'],
  }: Handshake = {}): Promise<void> {
    return this.send(0, 'connection.start-ok', {
      clientProperties: new Map([['capabilities', new Map(capabilities.map((name) => [name, true]))]]),
      mechanism: 'PLAIN',
      response: new TextEncoder().encode(`\0${user}\0${password}`),
      locale: 'en_US',
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }
  /** What has come and was not taken: for who does not wait. */
  get waiting(): readonly ReceivedFrame[] {
    return this.#frames;
  }
  get hasHeader(): boolean {
    return this.#header.length > 0;
  }
  /** What could not be read of what came. */
  get fault(): Error | undefined {
    return this.#fault;
  }

  /** Writes octets as they are. Pieces are separate writes, each in its own turn. */
  async write(octets: Uint8Array, pieces: Pieces = 'whole'): Promise<void> {
    const size = pieces === 'whole' ? octets.length : pieces === 'thirds' ? Math.ceil(octets.length / 3) : 1;
    for (let at = 0; at < octets.length; at += size) {
      if (!this.stream.isWritable) return; // the server has ended it: the outcome tells why
      this.stream.write(octets.subarray(at, at + size));
      if (size < octets.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Until what was written is on its way. */
  flushed(): Promise<void> {
    return this.stream.flushed();
  }

  send<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): Promise<void> {
    return this.write(methodFrame(channel, name, fields));
  }

  async openChannel(channel: number): Promise<void> {
    await this.send(channel, 'channel.open', {});
    await this.method('channel.open-ok', channel);
  }

  /** The next frame. Fails when the stream ends first. */
  async frame(): Promise<ReceivedFrame> {
    const frame = await this.#next();
    if (frame === undefined)
      throw new Error(`the stream ended instead of a frame${this.#header.length > 0 ? ', with a protocol header' : ''}`);
    return frame;
  }

  /** The next frame, which must be this method. */
  async method<Name extends MethodName>(name: Name, channel = 0): Promise<Method<Name>> {
    const frame = await this.frame();
    const { method } = frame;
    if (!isMethod(method, name) || frame.channel !== channel) {
      throw new Error(
        `${method === undefined ? `a frame of type ${frame.type}` : JSON.stringify(method)} on channel ${frame.channel} instead of ${name} on ${channel}`,
      );
    }
    return method;
  }

  async call<Name extends MethodName, Reply extends MethodName>(
    channel: number,
    name: Name,
    fields: MethodFields<Name>,
    reply: Reply,
  ): Promise<Method<Reply>> {
    await this.send(channel, name, fields);
    return this.method(reply, channel);
  }

  /**
   * How the server ends this, or a channel of it. What comes before is dropped; a close of the connection is answered and its end awaited.
   * It goes on when channel.open-ok comes on `probe` first: who asks has sent channel.open there.
   */
  async outcome(probe = 0): Promise<Outcome> {
    for (;;) {
      const frame = await this.#next();
      if (frame === undefined) return { how: this.#header.length > 0 ? 'header' : 'hung up' };
      const { method } = frame;
      if (method?.name === 'channel.open-ok' && frame.channel === probe) return { how: 'goes on' };
      if (method?.name !== 'channel.close' && method?.name !== 'connection.close') continue;
      const { replyCode: code, replyText: text, failedClassId, failedMethodId } = method.fields;
      const end = { code, text, blamed: `${failedClassId}.${failedMethodId}` };
      if (method.name === 'channel.close') {
        await this.send(frame.channel, 'channel.close-ok', {});
        return { how: 'channel', ...end };
      }
      await this.send(0, 'connection.close-ok', {});
      await this.closed;
      return { how: 'connection', ...end };
    }
  }

  /** Like a client that goes: asked for and answered. */
  async close(): Promise<void> {
    await this.send(0, 'connection.close', { replyCode: 200, replyText: '', failedClassId: 0, failedMethodId: 0 });
    for (;;) {
      const frame = await this.frame();
      if (frame.method?.name === 'connection.close-ok') break;
    }
    this.stream.end();
    await this.closed;
  }

  /** Reads nothing until `thaw`. */
  freeze(): void {
    this.stream.pause();
  }
  thaw(): void {
    this.stream.resume();
  }
  /** As a torn cable would. */
  tear(): void {
    this.stream.destroy();
  }

  async #next(): Promise<ReceivedFrame | undefined> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      if (this.#fault !== undefined) throw this.#fault;
      if (this.#isClosed) return undefined;
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  #read(chunk: Buffer): void {
    try {
      this.#take(chunk);
    } catch (error) {
      this.#fault = error instanceof Error ? error : new Error(String(error));
    }
    this.#arrived();
  }

  #take(chunk: Buffer): void {
    // what it says first: 'A' is no frame type, so it tells what it speaks
    if (this.#header.length > 0 || (this.#isFirst && chunk[0] === 0x41)) {
      this.#header = Buffer.concat([this.#header, chunk]);
      if (!PROTOCOL_HEADER.subarray(0, this.#header.length).equals(this.#header))
        throw new Error(`the server sent ${this.#header.toString('hex')}`);
      return;
    }
    this.#isFirst = false;
    this.#reader.feed(chunk);
    while (this.#reader.next()) {
      const { type, channel, bytes, payloadStart, payloadEnd } = this.#reader;
      if (type === 8) continue;
      const payload = new Uint8Array(bytes.subarray(payloadStart, payloadEnd));
      this.#frames.push({ type, channel, payload, method: type === 1 ? decodeMethod(payload, 0, payload.length) : undefined });
    }
  }
}

function isMethod<Name extends MethodName>(method: Method | undefined, name: Name): method is Method & Method<Name> {
  return method?.name === name;
}
