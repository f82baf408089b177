// A TCP or TLS socket as a ByteSocket. hot
// Always: (1) a peer that does not hang up after `end` is cut; until then what it sends is read and dropped, so that what we said last arrives
// (closing with unread bytes makes TCP reset the connection); (2) an error of the socket is its close and nothing else.
// Refuses: to know what the bytes mean.

import type { Socket } from 'node:net';
import type { Clock, Timer } from '../ports.ts';
import type { ByteHandler, ByteSocket } from './byte-socket.ts';

const HANG_UP_MS_MAX = 2_000;

export class NetSocket implements ByteSocket {
  readonly #socket: Socket;
  readonly #clock: Clock;
  #handler: ByteHandler | undefined;
  #cut: Timer | undefined;

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.setNoDelay(true);
    socket.on('error', () => undefined); // 'close' follows
    socket.on('data', (chunk: Buffer) => this.#handler?.onBytes(chunk));
    socket.on('end', () => socket.end());
    socket.on('close', () => this.#closed());
  }

  /** Who is told what comes in. Set once, right after construction. */
  attach(handler: ByteHandler): void {
    this.#handler = handler;
  }

  write(bytes: Uint8Array, sent: () => void): void {
    this.#socket.write(bytes, sent);
  }

  end(): void {
    if (this.#cut !== undefined) return;
    const socket = this.#socket;
    socket.removeAllListeners('data');
    socket.resume();
    socket.end();
    this.#cut = this.#clock.setTimer(this.#clock.now() + HANG_UP_MS_MAX, () => socket.destroy());
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

  #closed(): void {
    this.#cut?.cancel();
    this.#handler?.onClosed();
  }
}
