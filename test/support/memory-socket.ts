// The two ends of a WebSocket without a network: a TextSocket for the test, a MessageSocket for the broker's connection.
// Always: (1) messages arrive in order, in a later microtask, never inside the call that sent them; (2) `sent` is called when the other end has
// read; (3) the end comes once, after all that was sent before it (but `terminate`, which loses what was on the way).
// Refuses binary messages: what a test needs of those stands in test/wire.

import type { MessageSocket, SocketHandler } from '../../server/websocket/message-socket.ts';
import type { TextSocket } from './json-session.ts';

interface Outgoing {
  readonly text: string;
  readonly sent: () => void;
}

export class MemorySocket implements TextSocket, MessageSocket {
  #handler: SocketHandler | undefined;
  #onText: (text: string) => void = () => {};
  #onClosed: (code: number, reason: string) => void = () => {};
  #toBroker: string[] = [];
  #toTest: Outgoing[] = [];
  #isPumping = false;
  #isPaused = false;
  #isStalled = false;
  #ending: { code: number; reason: string; byTest: boolean } | undefined;
  #isEnded = false;

  /** The broker's connection, which was made with this socket. */
  attach(handler: SocketHandler): void {
    this.#handler = handler;
  }

  /** Nothing is on its way that could still arrive. */
  get isQuiet(): boolean {
    if (this.#isEnded) return true;
    if (this.#ending !== undefined && !this.#isStalled) return false;
    return (this.#isPaused || this.#toBroker.length === 0) && (this.#isStalled || this.#toTest.length === 0);
  }
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The test stops reading, as a browser tab in the background does. */
  stall(isStalled: boolean): void {
    this.#isStalled = isStalled;
    this.#pump();
  }

  // the test's end

  listen(text: (text: string) => void, closed: (code: number, reason: string) => void): void {
    this.#onText = text;
    this.#onClosed = closed;
  }
  send(text: string): void {
    if (this.#ending !== undefined) throw new Error('a closed socket sends nothing');
    this.#toBroker.push(text);
    this.#pump();
  }
  terminate(): void {
    this.#toBroker = [];
    this.#end(1006, 'torn', true);
  }

  // the broker's end, and `close` of both: a code makes it the broker's

  sendText(text: string, sent: () => void): void {
    this.#toTest.push({ text, sent });
    this.#pump();
  }
  sendBinary(): void {
    throw new Error('a JSON session was sent binary data');
  }
  close(code?: number, reason = ''): void {
    this.#end(code ?? 1000, reason, code === undefined);
  }
  pause(): void {
    this.#isPaused = true;
  }
  resume(): void {
    this.#isPaused = false;
    this.#pump();
  }
  admit(): void {}

  #end(code: number, reason: string, byTest: boolean): void {
    if (this.#ending !== undefined) return;
    this.#ending = { code, reason, byTest };
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
    // one message of each direction at a time, so that neither end hears while it speaks
    if (!this.#isPaused && (this.#ending === undefined || this.#ending.byTest)) {
      const text = this.#toBroker.shift();
      if (text !== undefined) this.#handler?.onText(text);
    }
    if (!this.#isStalled) {
      const message = this.#toTest.shift();
      if (message !== undefined) {
        this.#onText(message.text);
        message.sent();
      }
    }
    if (this.#mayEnd()) this.#finish();
    else if (!this.isQuiet) this.#pump();
  }

  #mayEnd(): boolean {
    if (this.#ending === undefined) return false;
    if (this.#ending.byTest) return this.#toBroker.length === 0;
    return this.#toTest.length === 0;
  }

  #finish(): void {
    const { code, reason } = this.#ending ?? { code: 1006, reason: '' };
    this.#isEnded = true;
    const unsent = this.#toTest;
    this.#toTest = [];
    this.#handler?.onClosed(code, reason);
    for (const { sent } of unsent) sent();
    this.#onClosed(code, reason);
  }
}
