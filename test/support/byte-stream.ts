// The client's end of a stream of bytes: over TCP, and without a network in front of a server's ByteSocket.
// Always: (1) chunks arrive in order, in memory of their own, never inside the call that sent them; (2) the end comes once, after all that was sent
// before it (but `destroy`, which loses what was on the way); (3) in memory, `sent` is called when the other end has read, or is gone.

import { connect, type Socket } from 'node:net';
import type { ByteHandler, ByteSocket } from '../../server/amqp/byte-socket.ts';

export interface ByteStream {
  /** Called once, before anything arrives. */
  listen(data: (chunk: Buffer) => void, closed: () => void): void;
  readonly isWritable: boolean;
  write(bytes: Uint8Array): void;
  /** Resolves when the system has taken what was written, or the stream is over. */
  flushed(): Promise<void>;
  /** Says no more, and reads on to the other's end. */
  end(): void;
  /** As a torn cable would. */
  destroy(): void;
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
}

export class TcpStream implements ByteStream {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async dial(port: number): Promise<TcpStream> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new TcpStream(socket);
  }

  listen(data: (chunk: Buffer) => void, closed: () => void): void {
    this.#socket.on('error', () => {}); // 'close' follows
    this.#socket.on('data', data);
    this.#socket.once('close', closed);
  }
  get isWritable(): boolean {
    return this.#socket.writable;
  }
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }
  async flushed(): Promise<void> {
    if (!this.#socket.writableNeedDrain || this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.once('drain', done).once('close', done);
    });
  }
  end(): void {
    this.#socket.end();
  }
  destroy(): void {
    this.#socket.destroy();
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
}

interface Outgoing {
  readonly bytes: Buffer;
  readonly sent: () => void;
}

/** Both ends at once: a ByteStream for the test, a ByteSocket for the server's connection. */
export class MemoryStream implements ByteStream {
  /** The server's end. */
  readonly server: ByteSocket;
  #handler: ByteHandler | undefined;
  #data: (chunk: Buffer) => void = () => {};
  #closed: () => void = () => {};
  #toServer: Buffer[] = [];
  #toTest: Outgoing[] = [];
  #isServerPaused = false;
  #isTestPaused = false;
  #isPumping = false;
  /** Who has ended, and whether what is on the way still arrives. */
  #ending: { readonly byServer: boolean; readonly isTorn: boolean } | undefined;
  #isEnded = false;

  constructor() {
    this.server = {
      write: (bytes, sent) => {
        this.#toTest.push({ bytes: Buffer.from(bytes), sent });
        this.#pump();
      },
      end: () => this.#end(true, false),
      destroy: () => this.#end(true, true),
      pause: () => {
        this.#isServerPaused = true;
      },
      resume: () => {
        this.#isServerPaused = false;
        this.#pump();
      },
    };
  }

  /** The server's connection, which was made with `server`. */
  attach(handler: ByteHandler): void {
    this.#handler = handler;
  }

  /** Nothing is on its way that could still arrive. */
  get isQuiet(): boolean {
    if (this.#isEnded) return true;
    if (this.#mayEnd()) return false;
    const isInputQuiet = this.#toServer.length === 0 || this.#isServerPaused || this.#ending?.byServer === true;
    return isInputQuiet && (this.#toTest.length === 0 || this.#isTestPaused);
  }
  get isEnded(): boolean {
    return this.#isEnded;
  }
  /** Of the server's, written and not read. */
  get unreadBytes(): number {
    return this.#toTest.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
  /** Of the test's, written and not read: the server has paused. */
  get untakenBytes(): number {
    return this.#toServer.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  listen(data: (chunk: Buffer) => void, closed: () => void): void {
    this.#data = data;
    this.#closed = closed;
  }
  get isWritable(): boolean {
    return this.#ending === undefined;
  }
  write(bytes: Uint8Array): void {
    this.#toServer.push(Buffer.from(bytes));
    this.#pump();
  }
  flushed(): Promise<void> {
    return Promise.resolve(); // nothing stands between the two ends
  }
  end(): void {
    this.#end(false, false);
  }
  destroy(): void {
    this.#end(false, true);
  }
  pause(): void {
    this.#isTestPaused = true;
  }
  resume(): void {
    this.#isTestPaused = false;
    this.#pump();
  }

  #end(byServer: boolean, isTorn: boolean): void {
    if (this.#ending === undefined || isTorn) this.#ending = { byServer, isTorn };
    this.#pump();
  }

  #pump(): void {
    if (this.#isPumping || this.#isEnded) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      if (!this.#isEnded) this.#deliver();
    });
  }

  #deliver(): void {
    // one chunk of each direction at a time, so that neither end hears while it speaks
    if (!this.#isServerPaused && this.#ending?.byServer !== true) {
      const chunk = this.#toServer.shift();
      if (chunk !== undefined) this.#handler?.onBytes(chunk);
    }
    if (!this.#isTestPaused && this.#ending?.isTorn !== true) {
      const chunk = this.#toTest.shift();
      if (chunk !== undefined) {
        this.#data(chunk.bytes);
        chunk.sent();
      }
    }
    if (this.#mayEnd()) this.#finish();
    else if (!this.isQuiet) this.#pump();
  }

  #mayEnd(): boolean {
    if (this.#ending === undefined) return false;
    if (this.#ending.isTorn) return true;
    if (this.#ending.byServer) return this.#toTest.length === 0;
    return this.#toServer.length === 0;
  }

  #finish(): void {
    this.#isEnded = true;
    const unsent = this.#toTest;
    this.#toTest = [];
    this.#handler?.onClosed();
    for (const { sent } of unsent) sent();
    this.#closed();
  }
}
