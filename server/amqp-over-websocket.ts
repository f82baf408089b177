// AMQP 0-9-1 over a WebSocket: its bytes in binary messages, whose edges mean nothing.
// Always: (1) until the AMQP connection is open the peer may send 64 KiB (web-socket.ts counts); (2) a text message is 1003: AMQP is bytes; (3) the
// end of the WebSocket is the abrupt end of the AMQP connection. Subprotocol `amqp`, or none (architecture.md, 4).
// Refuses: anything else; amqp/ knows no WebSockets, websocket/ no AMQP.

import type { ByteHandler, ByteSocket } from './amqp/byte-socket.ts';
import type { MessageSocket, SocketHandler } from './websocket/message-socket.ts';

// RFC 6455, 7.4.1
const NORMAL = 1000;
const UNSUPPORTED_DATA = 1003;

export class MessageByteSocket implements ByteSocket, SocketHandler {
  readonly #socket: MessageSocket;
  #handler: ByteHandler | undefined;

  constructor(socket: MessageSocket) {
    this.#socket = socket;
  }

  /** Who is told what comes in. */
  attach(handler: ByteHandler): void {
    this.#handler = handler;
  }

  write(bytes: Uint8Array, sent: () => void): void {
    this.#socket.sendBinary(bytes, sent);
  }
  end(): void {
    this.#handler = undefined;
    this.#socket.close(NORMAL, '');
  }
  destroy(): void {
    this.end();
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }

  onText(): void {
    this.#socket.close(UNSUPPORTED_DATA, 'AMQP goes into binary messages');
    this.onClosed();
  }
  onBinary(bytes: Uint8Array): void {
    this.#handler?.onBytes(bytes);
  }
  onClosed(): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClosed();
  }
}
