// One link from its opening to its end: requests and their answers, frames in and out, settles, the sign of life. hot
// Always: (1) a wire dies once and never comes back: a reconnect makes a new one, so what holds a wire (a message, a request) can tell whether its
// connection is still there; (2) text and binary leave in the order asked for: publishes and settles of this turn go before the next request;
// (3) what a peer sends wrong ends this wire in one place, `#guard`. Refuses: to know what handles mean (session.ts).

import {
  FRAME_HEADER_BYTES, FrameParser, FrameType, SETTLE_BYTES, type SettleAction, closeFrame, writeFrameHeader, writeSettle,
} from '../../shared/protocol/frames.ts';
import type { AnswerMessage, Answer, EventMessage, OperationName, Request } from '../../shared/protocol/control.ts';
import { LeveretError, brokerError, toLeveretError } from './error.ts';
import type { ClientPorts } from './ports.ts';
import type { Link, LinkHandlers, Transport } from './transport.ts';

/** Who holds the wire. */
export interface WireOwner {
  opened(wire: Wire): void;
  /** The fields of the parser are the frame, until this returns. */
  frame(wire: Wire, parser: FrameParser): void;
  event(wire: Wire, message: EventMessage): void;
  lost(wire: Wire, error: LeveretError): void;
  /** Something is to be sent at the end of this turn: call `flush`. */
  schedule(): void;
  /** Before a request: what this turn wants sent first. */
  flush(): void;
}

interface Waiting {
  answer(ok: unknown): void;
  fail(error: LeveretError): void;
}

const SETTLE_RUN_BYTES = 65_000; // below every frame limit; a run above it is sent before the turn ends

export class Wire implements LinkHandlers {
  alive = true;
  /** Resolves when the link has closed. */
  readonly gone: Promise<void>;
  #isGone = (): void => undefined;
  readonly #owner: WireOwner;
  readonly #ports: ClientPorts;
  readonly #requestTimeoutMs: number;
  readonly #url: string;
  readonly #link: Link;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #parser = new FrameParser();
  readonly #settles = new Uint8Array(SETTLE_RUN_BYTES + SETTLE_BYTES + FRAME_HEADER_BYTES + 1);
  #settlesEnd = FRAME_HEADER_BYTES;
  #heard = true;
  #stopWatch: (() => void) | undefined;

  constructor(transport: Transport, url: string, requestTimeoutMs: number, owner: WireOwner, ports: ClientPorts) {
    this.#owner = owner;
    this.#ports = ports;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#url = url;
    this.gone = new Promise((resolve) => {
      this.#isGone = resolve;
    });
    this.#link = transport.open(url, this);
  }

  /** What frames may hold, as hello said. */
  limitFrames(payloadBytesMax: number): void {
    this.#parser = new FrameParser(payloadBytesMax);
  }

  /** Ends the wire when nothing is heard for two intervals; asks with `ping` after one. */
  watch(intervalMs: number): void {
    this.#stopWatch = this.#ports.after(intervalMs, () => {
      if (this.#heard) this.request('ping', {}).catch(() => this.fail(new LeveretError('DISCONNECTED', `${this.#url} is silent`)));
      this.#heard = false;
      this.watch(intervalMs);
    });
  }

  request<Name extends OperationName>(op: Name, fields: Request<Name>): Promise<Answer<Name>> {
    return new Promise((resolve, reject) => {
      if (!this.alive) return reject(new LeveretError('DISCONNECTED', `the connection was lost before ${op}`));
      this.#owner.flush();
      const id = this.#nextId++;
      const stop = this.#ports.after(this.#requestTimeoutMs, () => this.#settled(id)?.fail(new LeveretError('TIMEOUT', `no answer to ${op}`)));
      const waiting: Waiting = {
        answer: (ok: Answer<Name>) => (stop(), resolve(ok)),
        fail: (error) => (stop(), reject(error)),
      };
      this.#waiting.set(id, waiting);
      this.#link.sendText(JSON.stringify({ id, op, ...fields }));
    });
  }

  sendBinary(bytes: Uint8Array): void {
    if (this.alive) this.#link.sendBinary(bytes);
  }

  /** False when this wire is gone: the broker has the message back already. */
  settle(tag: number, action: SettleAction, requeue: boolean): boolean {
    if (!this.alive) return false;
    if (this.#settlesEnd > SETTLE_RUN_BYTES) this.#owner.flush();
    if (this.#settlesEnd === FRAME_HEADER_BYTES) this.#owner.schedule();
    this.#settlesEnd = writeSettle(this.#settles, this.#settlesEnd, tag, action, requeue, false);
    return true;
  }

  flushSettles(): void {
    if (this.#settlesEnd === FRAME_HEADER_BYTES) return;
    writeFrameHeader(this.#settles, 0, FrameType.Settle, 0, 0);
    const end = closeFrame(this.#settles, 0, this.#settlesEnd);
    this.#settlesEnd = FRAME_HEADER_BYTES;
    this.sendBinary(this.#settles.subarray(0, end));
  }

  /** Ends the wire: by us (1000), or because of what the peer did. */
  fail(error: LeveretError, closeCode = 1000): void {
    if (!this.alive) return;
    this.alive = false;
    this.#stopWatch?.();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) request.fail(error);
    this.#link.close(closeCode);
    this.#owner.lost(this, error);
  }

  opened(): void {
    if (this.alive) this.#owner.opened(this);
  }

  heard(): void {
    this.#heard = true;
  }

  text(text: string): void {
    this.#guard(() => {
      const message: AnswerMessage | EventMessage = JSON.parse(text);
      if ('event' in message) this.#owner.event(this, message);
      else if ('error' in message) {
        const error = brokerError(message.error);
        const request = this.#settled(message.id);
        if (request === undefined) this.fail(error);
        else request.fail(error);
      } else this.#settled(message.id)?.answer(message.ok);
    });
  }

  binary(bytes: Uint8Array): void {
    this.#guard(() => {
      const parser = this.#parser.open(bytes);
      while (this.alive && parser.next()) this.#owner.frame(this, parser);
    });
  }

  closed(code: number, reason: string): void {
    this.#isGone();
    const why = reason === '' ? '' : `: ${reason}`;
    this.fail(new LeveretError('DISCONNECTED', `${this.#url} closed (${code}${why})`));
  }

  #settled(id: number | null): Waiting | undefined {
    const waiting = this.#waiting.get(id ?? 0);
    this.#waiting.delete(id ?? 0);
    return waiting;
  }

  #guard(handle: () => void): void {
    if (!this.alive) return;
    this.#heard = true;
    try {
      handle();
    } catch (thrown) {
      this.fail(toLeveretError(thrown, 'PROTOCOL'), 4501);
    }
  }
}
