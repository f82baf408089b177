// A TCP or TLS socket as a ByteSocket. hot
// Always: (1) a peer that does not hang up after `end` is cut; until then what it sends is read and dropped, so that what we said last arrives
// (closing with unread bytes makes TCP reset the connection); (2) an error of the socket is its close and nothing else; (3) in one turn it brings so many
// bytes and no more: a turn that takes in more than queues hand out in one leaves consumers behind for as long as the publisher goes on.
// Refuses: to know what the bytes mean.

import type { Socket } from 'node:net';
import type { Clock, Timer, Turns } from '../ports.ts';
import type { ByteHandler, ByteSocket } from './byte-socket.ts';

const HANG_UP_MS_MAX = 2_000;
// One read of the socket. The system would go on with up to 32 of them: 30,000 small messages before the first is delivered.
export const TURN_BYTES_MAX = 64 * 1024;

export class NetSocket implements ByteSocket {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #turns: Turns;
  readonly #turnOver = (): void => this.#endTurn();
  #handler: ByteHandler | undefined;
  #cut: Timer | undefined;
  #turnBytes = 0;
  /** By the owner. */
  #isPaused = false;

  constructor(socket: Socket, clock: Clock, turns: Turns) {
    this.#socket = socket;
    this.#clock = clock;
    this.#turns = turns;
    socket.setNoDelay(true);
    socket.on('error', () => undefined); // 'close' follows
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
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
    this.#isPaused = true;
    this.#socket.pause();
  }
  resume(): void {
    this.#isPaused = false;
    if (this.#turnBytes < TURN_BYTES_MAX) this.#socket.resume();
  }

  #read(chunk: Buffer): void {
    if (this.#turnBytes === 0) this.#turns.defer(this.#turnOver);
    this.#turnBytes += chunk.length;
    if (this.#turnBytes >= TURN_BYTES_MAX) this.#socket.pause();
    this.#handler?.onBytes(chunk);
  }

  #endTurn(): void {
    const wasFull = this.#turnBytes >= TURN_BYTES_MAX;
    this.#turnBytes = 0;
    if (wasFull && !this.#isPaused) this.#socket.resume();
  }

  #closed(): void {
    this.#cut?.cancel();
    this.#handler?.onClosed();
  }
}
