// A WebSocket as a stream of bytes: what is written goes out in binary messages, one a write, and what comes in has no edges.
// Always: (1) a text message, or one that cannot be read, ends the stream; (2) `code` is that of the close frame, or 1006 without one.

import type { ByteStream } from './byte-stream.ts';
import { clientFrame, Opcode, RawWebSocket } from './raw-web-socket.ts';

export class WebSocketStream implements ByteStream {
  readonly #socket: RawWebSocket;
  #isOver = false;
  #data: (chunk: Buffer) => void = () => {};
  #closed: () => void = () => {};

  constructor(socket: RawWebSocket) {
    this.#socket = socket;
    void this.#read();
  }

  /** `subprotocol` may be empty: none is asked for. */
  static async dial(port: number, subprotocol: string): Promise<WebSocketStream> {
    const socket = await RawWebSocket.open(port, { 'Sec-WebSocket-Protocol': subprotocol });
    if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}: ${socket.body}`);
    return new WebSocketStream(socket);
  }

  get code(): Promise<number> {
    return this.#socket.closed;
  }
  /** A text message, which no AMQP client sends. */
  async text(text: string): Promise<void> {
    await this.#socket.text(text);
  }

  listen(data: (chunk: Buffer) => void, closed: () => void): void {
    this.#data = data;
    this.#closed = closed;
  }
  get isWritable(): boolean {
    return !this.#isOver;
  }
  write(bytes: Uint8Array): void {
    void this.#socket.write(clientFrame(Opcode.Binary, bytes));
  }
  flushed(): Promise<void> {
    return Promise.resolve(); // the raw socket does not tell
  }
  end(): void {
    void this.#socket.write(clientFrame(Opcode.Close, Buffer.from([3, 232])));
  }
  destroy(): void {
    this.#socket.end();
  }
  pause(): void {
    this.#socket.freeze();
  }
  resume(): void {
    this.#socket.thaw();
  }

  async #read(): Promise<void> {
    for (;;) {
      const message = await this.#socket.next().catch(() => undefined);
      if (message === undefined) break;
      if ('text' in message) this.#socket.end();
      else this.#data(Buffer.from(message.hex, 'hex'));
    }
    this.#isOver = true;
    this.#closed();
  }
}
