// The other end of a benchmark's own ceiling: a server that says what a run wants to hear, takes publishes for so many bytes each, and sends as many deliveries
// back from frames encoded once. It looks at next to nothing, so that what limits a run against it is the run's own end.
// Always: (1) one publish, one delivery, in turn to the consumers; as a source it delivers as fast as consumers take it; (2) a confirm for each publish, one
// multiple a chunk; (3) who does not read is not written to: publishers wait then, as they would for a broker.
// Relies on: a client that waits for the answer to each request, as Link does, so that its first publish begins a chunk.
// Refuses to be a broker: acks are not read, and what a run does not ask has no answer.

import { createServer, type Server, type Socket } from 'node:net';
import { FRAME_HEADER_BYTES, FrameReader, PROTOCOL_HEADER } from '../../../shared/amqp/frame.ts';
import { decodeMethod, type Method, methodFrame } from '../../../shared/amqp/methods.ts';
import { METHODS } from '../../../shared/amqp/spec.ts';
import { invariant } from '../../../shared/assert.ts';
import { readU16 } from '../../../shared/bytes.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { CHANNEL, CLOSE_FRAME } from './link.ts';
import { encodeContent } from './publish-ring.ts';

const FRAME_MAX = 128 * 1024;
// Deliveries encoded side by side: one write takes as many of them as it needs.
const STOCK_BYTES = 256 * 1024;

export interface SinkOptions {
  /** Of a delivery's body. */
  readonly bodyBytes: number;
  /** Of a publish, with all its frames. */
  readonly publishBytes: number;
  /** Deliver without being published to. */
  readonly isSource: boolean;
}

export class Sink {
  readonly options: SinkOptions;
  /** Deliveries, one after another. */
  readonly stock: Buffer;
  readonly deliveryBytes: number;
  readonly #server: Server;
  readonly #connections = new Set<SinkConnection>();
  #turn = 0;

  constructor(options: SinkOptions) {
    this.options = options;
    const delivery = encodeDelivery(options.bodyBytes);
    this.deliveryBytes = delivery.length;
    this.stock = Buffer.concat(Array.from({ length: Math.max(1, Math.floor(STOCK_BYTES / delivery.length)) }, () => delivery));
    this.#server = createServer({ noDelay: true }, (socket) => {
      const connection = new SinkConnection(socket, this);
      this.#connections.add(connection);
      socket.on('error', () => socket.destroy()); // the client has gone: it has its figures
      socket.on('close', () => this.#connections.delete(connection));
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    invariant(address !== null && typeof address === 'object', 'a server on a port has an address');
    return address.port;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const connection of this.#connections) connection.end();
    await closed;
  }

  /** `count` publishes came. */
  published(count: number): void {
    if (this.options.isSource) return;
    const consumers = [...this.#connections].filter((each) => each.isConsumer);
    const consumer = consumers[this.#turn++ % consumers.length];
    consumer?.deliver(count);
    if (consumer?.isBehind === true) for (const each of this.#connections) each.pause();
  }

  drained(): void {
    if ([...this.#connections].some((each) => each.isBehind)) return;
    for (const each of this.#connections) each.resume();
  }
}

const Phase = { Header: 0, Requests: 1, Publishes: 2 } as const;

class SinkConnection {
  isConsumer = false;
  readonly #socket: Socket;
  readonly #sink: Sink;
  readonly #reader = new FrameReader(FRAME_MAX);
  #phase: (typeof Phase)[keyof typeof Phase] = Phase.Header;
  #publishedBytes = 0;
  #published = 0;
  #isConfirming = false;

  constructor(socket: Socket, sink: Sink) {
    this.#socket = socket;
    this.#sink = sink;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => sink.drained());
  }

  get isBehind(): boolean {
    return this.#socket.writableNeedDrain;
  }
  pause(): void {
    if (!this.isConsumer) this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
  end(): void {
    this.#socket.destroy();
  }

  deliver(count: number): void {
    const { stock, deliveryBytes } = this.#sink;
    for (let left = count * deliveryBytes; left > 0; left -= stock.length) {
      this.#socket.write(left >= stock.length ? stock : stock.subarray(0, left));
    }
  }

  #read(chunk: Buffer): void {
    if (this.#phase === Phase.Header) {
      invariant(chunk.length === PROTOCOL_HEADER.length, 'a client begins with the protocol header and waits');
      this.#phase = Phase.Requests;
      this.#socket.write(START);
      return;
    }
    if (this.#phase === Phase.Requests && isPublish(chunk)) this.#phase = Phase.Publishes;
    const isLast = chunk.subarray(-CLOSE_FRAME.length).equals(CLOSE_FRAME);
    if (this.#phase === Phase.Publishes) this.#count(chunk.length - (isLast ? CLOSE_FRAME.length : 0));
    else if (!this.isConsumer) this.#answer(chunk);
    if (isLast) this.#socket.end(methodFrame(0, 'connection.close-ok', {}));
  }

  #count(bytes: number): void {
    this.#publishedBytes += bytes;
    const published = Math.floor(this.#publishedBytes / this.#sink.options.publishBytes);
    const count = published - this.#published;
    if (count === 0) return;
    this.#published = published;
    if (this.#isConfirming) this.#socket.write(methodFrame(CHANNEL, 'basic.ack', { deliveryTag: published, multiple: true }));
    this.#sink.published(count);
  }

  #answer(chunk: Buffer): void {
    this.#reader.feed(chunk);
    while (this.#reader.next()) {
      const { bytes, payloadStart, payloadEnd } = this.#reader;
      const method = decodeMethod(bytes, payloadStart, payloadEnd);
      if (method.name === 'confirm.select') this.#isConfirming = true;
      const answer = answerTo(method);
      if (answer !== undefined) this.#socket.write(answer);
      if (method.name === 'basic.consume') this.#consume();
    }
  }

  #consume(): void {
    this.isConsumer = true;
    if (this.#sink.options.isSource) this.#pour();
  }

  /** Delivers for as long as the consumer takes it. */
  #pour(): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(this.#sink.stock, () => setImmediate(() => this.#pour()));
  }
}

function isPublish(chunk: Buffer): boolean {
  const { classId, methodId } = METHODS['basic.publish'];
  return readU16(chunk, FRAME_HEADER_BYTES) === classId && readU16(chunk, FRAME_HEADER_BYTES + 2) === methodId;
}

function encodeDelivery(bodyBytes: number): Uint8Array {
  const method = methodFrame(CHANNEL, 'basic.deliver', {
    consumerTag: 'c0',
    deliveryTag: 0, // consumers count
    redelivered: false,
    exchange: '',
    routingKey: 'leveret.bench',
  });
  return encodeContent({ channel: CHANNEL, method, properties: { deliveryMode: 1 }, bodyBytes, frameMax: FRAME_MAX }).bytes;
}

const START = methodFrame(0, 'connection.start', {
  versionMajor: 0,
  versionMinor: 9,
  serverProperties: new Map([['product', 'sink']]),
  mechanisms: encodeUtf8('PLAIN'),
  locales: encodeUtf8('en_US'),
});

function answerTo({ name, fields }: Method): Uint8Array | undefined {
  switch (name) {
    case 'connection.start-ok':
      return methodFrame(0, 'connection.tune', { channelMax: 1, frameMax: FRAME_MAX, heartbeat: 0 });
    case 'connection.open':
      return methodFrame(0, 'connection.open-ok', {});
    case 'channel.open':
      return methodFrame(CHANNEL, 'channel.open-ok', {});
    case 'basic.qos':
      return methodFrame(CHANNEL, 'basic.qos-ok', {});
    case 'basic.consume':
      return methodFrame(CHANNEL, 'basic.consume-ok', { consumerTag: fields.consumerTag });
    case 'confirm.select':
      return methodFrame(CHANNEL, 'confirm.select-ok', {});
    case 'connection.tune-ok':
      return undefined;
    default:
      throw new Error(`the sink has no answer to ${name}`);
  }
}
