// One link from its opening to its end: requests and their answers, frames in and out, settles, the sign of life. hot
// Always: (1) a wire dies once and never comes back: a reconnect makes a new one, so what holds a wire (a message, a request) can tell whether its
// connection is still there; (2) text and binary leave in the order asked for: publishes and settles of this turn go before the next request;
// (3) what a peer sends wrong ends this wire in one place, `#guard`. Refuses: to know what handles mean (session.ts).

import type { Answer, AnswerMessage, EventMessage, OperationName, Request } from '../../shared/protocol/control.ts';
import { FRAME_END, protocolError, Reader, SETTLE, Writer } from './codec.ts';
import { brokerError, LeveretError, toLeveretError } from './error.ts';
import type { Arguments } from './options.ts';
import type { ClientPorts } from './ports.ts';
import type { Link, LinkHandlers, Transport } from './transport.ts';

/** Who holds the wire. */
export interface WireOwner {
  readonly ports: ClientPorts;
  readonly requestMs: number;
  opened(wire: Wire): void;
  /** The payload's bytes are the transport's again when this returns. */
  frame(wire: Wire, type: number, handle: number, payload: Reader): void;
  event(message: EventMessage): void;
  lost(error: LeveretError): void;
  /** Something is to be sent at the end of this turn: call `flush`. */
  schedule(): void;
  /** Before a request: what this turn wants sent first. */
  flush(): void;
}

/** What an operation takes; `arguments` are whatever JSON makes of them. */
export type Fields<Name extends OperationName> = Name extends OperationName
  ? Omit<Request<Name>, 'arguments'> & { readonly arguments?: Arguments }
  : never;

const SETTLE_RUN_BYTES = 65_000; // below every frame limit; a run above it is sent before the turn ends

export class Wire implements LinkHandlers {
  alive = true;
  /** Resolves when the link has closed. */
  readonly gone: Promise<void>;
  #isGone = (): void => undefined;
  readonly #owner: WireOwner;
  readonly #url: string;
  readonly #link: Link;
  /** What to call with the answer, by request. */
  readonly #waiting = new Map<number | null, (error?: LeveretError, ok?: unknown) => void>();
  #lastId = 0;
  readonly #settles = new Writer(SETTLE_RUN_BYTES + 32);
  /** Since something was heard, the one that runs included. */
  #quietIntervals = 0;
  #stopWatch: (() => void) | undefined;

  constructor(transport: Transport, url: string, owner: WireOwner) {
    this.#owner = owner;
    this.#url = url;
    this.gone = new Promise((resolve) => {
      this.#isGone = resolve;
    });
    this.#link = transport.open(url, this);
  }

  /** Ends the wire when nothing is heard for two intervals; asks with `ping` after one. */
  watch(intervalMs: number): void {
    this.#stopWatch = this.#owner.ports.after(intervalMs, () => {
      if (++this.#quietIntervals > 2) return this.fail(this.#gone('is silent'));
      if (this.#quietIntervals > 1) this.request('ping', {}).catch(() => undefined);
      this.watch(intervalMs);
    });
  }

  request<Name extends OperationName>(op: Name, fields: Fields<Name>): Promise<Answer<Name>> {
    return new Promise<never>((resolve, reject) => {
      if (!this.alive) return reject(this.#gone('is gone'));
      this.#owner.flush();
      const id = ++this.#lastId;
      const settle = (error?: LeveretError, ok?: unknown): void => {
        stop();
        this.#waiting.delete(id);
        if (error) reject(error);
        else resolve(ok as never);
      };
      const stop = this.#owner.ports.after(this.#owner.requestMs, () => settle(new LeveretError('TIMEOUT', `no answer to ${op} in time`)));
      this.#waiting.set(id, settle);
      this.#link.sendText(JSON.stringify({ id, op, ...fields }));
    });
  }

  sendBinary(bytes: Uint8Array): void {
    if (this.alive) this.#link.sendBinary(bytes);
  }

  /** False when this wire is gone: the broker has the message back already. */
  settle(tag: number, flags: number): boolean {
    const settles = this.#settles;
    if (settles.at > SETTLE_RUN_BYTES) this.flushSettles();
    if (settles.at === 0) {
      this.#owner.schedule();
      settles.frame(SETTLE, 0);
    }
    settles.u64(tag);
    settles.u8(flags);
    return this.alive;
  }

  flushSettles(): void {
    const settles = this.#settles;
    if (settles.at === 0) return;
    settles.endFrame(0);
    this.sendBinary(settles.bytes.subarray(0, settles.at));
    settles.at = 0;
  }

  /** Ends the wire: by us (1000), or because of what the peer did. */
  fail(error: LeveretError, closeCode = 1000): void {
    if (!this.alive) return;
    this.alive = false;
    this.#stopWatch?.();
    for (const settle of this.#waiting.values()) settle(error);
    this.#link.close(closeCode);
    this.#owner.lost(error);
  }

  opened(): void {
    if (this.alive) this.#owner.opened(this);
  }

  heard(): void {
    this.#quietIntervals = 0;
  }

  text(text: string): void {
    this.#guard(() => {
      const message: AnswerMessage | EventMessage = JSON.parse(text);
      if ('event' in message) return this.#owner.event(message);
      const settle = this.#waiting.get(message.id);
      if ('ok' in message) settle?.(undefined, message.ok);
      else if (message.id) settle?.(brokerError(message.error));
      else this.fail(brokerError(message.error));
    });
  }

  binary(bytes: Uint8Array): void {
    this.#guard(() => {
      const reader = new Reader(bytes);
      while (this.alive && reader.isMore) {
        const type = reader.u8();
        const handle = reader.u16();
        const start = reader.skip(reader.u32());
        const payload = new Reader(bytes, start, reader.at);
        if (reader.u8() !== FRAME_END) throw protocolError('a frame without its end');
        this.#owner.frame(this, type, handle, payload);
      }
    });
  }

  closed(code: number, reason: string): void {
    this.#isGone();
    this.fail(this.#gone(`closed (${code}) ${reason}`));
  }

  #gone(how: string): LeveretError {
    return new LeveretError('DISCONNECTED', `${this.#url} ${how}`);
  }

  #guard(handle: () => void): void {
    if (!this.alive) return;
    this.#quietIntervals = 0;
    try {
      handle();
    } catch (thrown) {
      this.fail(toLeveretError(thrown, 'PROTOCOL'), 4501);
    }
  }
}
