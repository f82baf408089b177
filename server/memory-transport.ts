// A WebSocket without a network: the client's Transport on one end, the broker's MessageSocket on the other, in one process.
// Always: (1) messages arrive in order, in a later turn, never inside the call that sent them; (2) bytes are copied once on the way in, for the sender
// owns them, and not on the way out; (3) the end comes once to each side, after everything that was sent before it.

import type { Link, LinkHandlers, Transport } from 'leveret-client';
import { Ring } from '../shared/ring.ts';
import type { MessageSocket, SocketHandler } from './websocket/message-socket.ts';

/** Makes the broker's connection for a socket; undefined when the broker takes none any more. */
export type Accept = (socket: MessageSocket) => SocketHandler | undefined;

export function memoryTransport(accept: Accept): Transport {
  return { open: (_url: string, handlers: LinkHandlers): Link => new MemoryPair(accept, handlers) };
}

class MemoryPair implements Link {
  readonly #client: LinkHandlers;
  readonly #toClient = new Ring<() => void>();
  readonly #toBroker = new Ring<() => void>();
  readonly #run = (): void => this.#carry();
  #broker: SocketHandler | undefined;
  #isScheduled = false;
  #isPaused = false;
  #isEnding = false;

  constructor(accept: Accept, client: LinkHandlers) {
    this.#client = client;
    this.#toClient.push(() => {
      this.#broker = accept(this.#brokerEnd());
      if (this.#broker === undefined) this.#end(1006, 'the broker is closed');
      else client.opened();
    });
    this.#schedule();
  }

  // The client's end.

  sendText(text: string): void {
    this.#send(() => this.#broker?.onText(text));
  }
  sendBinary(bytes: Uint8Array): void {
    const owned = bytes.slice();
    this.#send(() => this.#broker?.onBinary(owned));
  }
  close(code: number, reason = ''): void {
    if (this.#isEnding) return;
    this.#isPaused = false;
    this.#send(() => this.#end(code, reason));
  }

  #send(message: () => void): void {
    if (this.#isEnding) return;
    this.#toBroker.push(message);
    this.#schedule();
  }

  // The broker's end.

  #brokerEnd(): MessageSocket {
    const send = (hand: () => void, sent: () => void): void => {
      this.#toClient.push(() => {
        hand();
        sent();
      });
      this.#schedule();
    };
    return {
      sendText: (text, sent) => send(() => this.#client.text(text), sent),
      sendBinary: (bytes, sent) => send(() => this.#client.binary(bytes), sent),
      close: (code, reason) => this.#end(code, reason),
      pause: () => {
        this.#isPaused = true;
      },
      resume: () => {
        this.#isPaused = false;
        this.#schedule();
      },
      admit: () => undefined,
    };
  }

  #end(code: number, reason: string): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#toClient.push(() => {
      this.#broker?.onClosed(code, reason);
      this.#client.closed(code, reason);
    });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  /** What was there when the turn began; what follows from it goes in the next. */
  #carry(): void {
    this.#isScheduled = false;
    let count = this.#toClient.length;
    while (count-- > 0) this.#toClient.shift()?.();
    count = this.#isPaused || this.#isEnding ? 0 : this.#toBroker.length;
    while (count-- > 0 && !this.#isPaused && !this.#isEnding) this.#toBroker.shift()?.();
    if (this.#toClient.length > 0 || (this.#toBroker.length > 0 && !this.#isPaused && !this.#isEnding)) this.#schedule();
  }
}
