// The sockets of an HTTP port, from their connection to their end: how many there may be, and how long one may say nothing.
// Always: (1) each is admitted like a connection of any protocol, and its place goes when it becomes a WebSocket, which is admitted itself; (2) one that has
// not sent the head of a request within `silentMsMax` is cut; Node sees to the rest of it, and to what is idle between two; (3) one too many may send its
// request, to hear why it is refused; beyond REFUSED_MAX of these it is cut at once.
// Refuses: to answer.

import type { Socket } from 'node:net';
import type { Admission, Admissions } from '../broker/admissions.ts';
import type { Clock, Timer } from '../ports.ts';

const REFUSED_MAX = 64;

export interface SocketsOptions {
  readonly clock: Clock;
  readonly silentMsMax: number;
  /** undefined: there may be any number. */
  readonly admissions?: Admissions | undefined;
  readonly isLoopback?: ((address: string) => boolean) | undefined;
}

export interface Place {
  /** Why it is one too many. */
  readonly refusal: string | undefined;
  /** It has sent a request. */
  heard(): void;
  /** Whoever asks there has logged in. */
  opened(): void;
  /** It is no HTTP any more, or is gone. */
  left(): void;
}

export class Sockets {
  readonly #options: SocketsOptions;
  readonly #open = new Set<Socket>();
  /** By both ends: over TLS, who asks is not the socket that came in, but has its ends. */
  readonly #places = new Map<string, Place>();
  #refusedCount = 0;

  constructor(options: SocketsOptions) {
    this.#options = options;
  }

  get open(): ReadonlySet<Socket> {
    return this.#open;
  }

  add(socket: Socket): void {
    this.#open.add(socket);
    const { admissions, isLoopback } = this.#options;
    const address = socket.remoteAddress ?? '';
    const refusal = admissions?.refusal(address, isLoopback?.(address) ?? false);
    if (refusal !== undefined && this.#refusedCount >= REFUSED_MAX) {
      socket.once('close', () => this.#open.delete(socket));
      socket.destroy();
      return;
    }
    const place = this.#place(socket, refusal, refusal === undefined ? admissions?.admit(address) : undefined);
    const ends = endsOf(socket);
    this.#places.set(ends, place);
    socket.once('close', () => {
      this.#open.delete(socket);
      place.left();
      if (this.#places.get(ends) === place) this.#places.delete(ends);
    });
  }

  of(socket: Socket): Place | undefined {
    return this.#places.get(endsOf(socket));
  }

  #place(socket: Socket, refusal: string | undefined, admission: Admission | undefined): Place {
    const { clock, silentMsMax } = this.#options;
    let timer: Timer | undefined = clock.setTimer(clock.now() + silentMsMax, () => socket.destroy());
    let isThere = true;
    if (refusal !== undefined) this.#refusedCount++;
    const heard = (): void => {
      timer?.cancel();
      timer = undefined;
    };
    return {
      refusal,
      heard,
      opened: () => admission?.opened(),
      left: () => {
        heard();
        admission?.left();
        if (isThere && refusal !== undefined) this.#refusedCount--;
        isThere = false;
      },
    };
  }
}

function endsOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
}
