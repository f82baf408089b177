// AMQP 0-9-1 over a WebSocket: its bytes in binary messages, whose edges mean nothing.
// Always: (1) until the AMQP connection is open the peer may send 64 KiB (web-socket.ts counts); (2) a text message is 1003: AMQP is bytes; (3) the
// end of the WebSocket is the end of the AMQP connection: abrupt, it drops what is left; closed by the peer, what came before is handed out first, for as
// long as the owner takes it; (4) one turn brings as much as one of a TCP socket: a message of 16 MiB is no turn. Subprotocol `amqp`, or none
// (architecture.md, 4).
// Refuses: anything else; amqp/ knows no WebSockets, websocket/ no AMQP.

import { Ring } from '../shared/ring.ts';
import type { ByteHandler, ByteSocket } from './amqp/byte-socket.ts';
import { TURN_BYTES_MAX } from './amqp/net-socket.ts';
import type { Turns } from './ports.ts';
import type { MessageSocket, SocketHandler } from './websocket/message-socket.ts';

// RFC 6455, 7.4.1
const NORMAL = 1000;
const UNSUPPORTED_DATA = 1003;
const ABNORMAL = 1006;

export class MessageByteSocket implements ByteSocket, SocketHandler {
  readonly #socket: MessageSocket;
  readonly #turns: Turns;
  readonly #turnOver = (): void => this.#endTurn();
  #handler: ByteHandler | undefined;
  /** Messages that are not handed out, the first of them from `#at` on. */
  #backlog = new Ring<Uint8Array>(2);
  #at = 0;
  #turnBytes = 0;
  #isTurnAsked = false;
  /** By the owner. */
  #isPaused = false;
  #isReading = true;
  /** The peer has closed the WebSocket, and the owner does not know yet. */
  #isOver = false;

  constructor(socket: MessageSocket, turns: Turns) {
    this.#socket = socket;
    this.#turns = turns;
  }

  /** Who is told what comes in. */
  attach(handler: ByteHandler): void {
    this.#handler = handler;
  }

  write(bytes: Uint8Array, sent: () => void): void {
    this.#socket.sendBinary(bytes, sent);
  }
  end(): void {
    this.#forget();
    this.#socket.close(NORMAL, '');
    this.#read(true); // for the peer's close; what else comes is dropped
  }
  destroy(): void {
    this.end();
  }
  pause(): void {
    this.#isPaused = true;
    this.#read(false);
  }
  resume(): void {
    this.#isPaused = false;
    if (this.#backlog.length > 0) this.#askTurn();
    else this.#read(this.#turnBytes < TURN_BYTES_MAX);
  }

  onText(): void {
    this.#socket.close(UNSUPPORTED_DATA, 'AMQP goes into binary messages');
    this.#forget()?.onClosed();
  }
  onBinary(bytes: Uint8Array): void {
    if (this.#handler === undefined || bytes.length === 0) return;
    this.#backlog.push(bytes);
    this.#handOut();
  }
  onClosed(code: number): void {
    this.#isOver = true;
    if (code === ABNORMAL || this.#isPaused || this.#backlog.length === 0) this.#forget()?.onClosed();
  }

  #endTurn(): void {
    this.#isTurnAsked = false;
    this.#turnBytes = 0;
    this.#handOut();
  }

  /** As much as this turn and the owner take. */
  #handOut(): void {
    while (this.#turnBytes < TURN_BYTES_MAX && !this.#isPaused) {
      const slice = this.#nextSlice(TURN_BYTES_MAX - this.#turnBytes);
      if (slice === undefined) break;
      this.#turnBytes += slice.length;
      this.#handler?.onBytes(slice);
    }
    if (this.#handler === undefined) return;
    if (this.#isOver && (this.#isPaused || this.#backlog.length === 0)) {
      this.#forget()?.onClosed();
      return;
    }
    if (this.#turnBytes > 0) this.#askTurn();
    this.#read(this.#turnBytes < TURN_BYTES_MAX && !this.#isPaused);
  }

  #nextSlice(bytesMax: number): Uint8Array | undefined {
    const message = this.#backlog.peek();
    if (message === undefined) return undefined;
    const slice = message.subarray(this.#at, this.#at + bytesMax);
    this.#at += slice.length;
    if (this.#at === message.length) {
      this.#backlog.shift();
      this.#at = 0;
    }
    return slice;
  }

  #askTurn(): void {
    if (this.#isTurnAsked) return;
    this.#isTurnAsked = true;
    this.#turns.defer(this.#turnOver);
  }

  #read(isReading: boolean): void {
    if (this.#isReading === isReading) return;
    this.#isReading = isReading;
    if (isReading) this.#socket.resume();
    else this.#socket.pause();
  }

  /** Nothing more goes to the owner, who is answered when there is one. */
  #forget(): ByteHandler | undefined {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#backlog = new Ring(2);
    this.#at = 0;
    return handler;
  }
}
