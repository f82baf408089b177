// One handle on which the broker sends: a consumer, a tap, or statistics. Opened again after every reconnect. hot
// Always: (1) a message is assembled from the parts that came, never from a size that was announced: its bytes are copied out of the transport's
// (they are gone after the turn), and are bounded by maxMessageBytes; (2) the handle stays taken until the broker has answered the close, and what arrives
// meanwhile is given back. Refuses: to keep messages (feed.ts, worker.ts do).

import type { EventMessage, Sample } from '../../shared/protocol/control.ts';
import { Frame, type Reader as Payload, protocolError } from './codec.ts';
import { LeveretError } from './error.ts';
import { Message } from './message.ts';
import type { Session } from './session.ts';
import type { Fields, Wire } from './wire.ts';

/** Who reads. */
export interface Reader<B> {
  push?(message: Message<B>): void;
  sample?(sample: Sample): void;
  /** The connection is lost: what came by it will come again. */
  lost?(): void;
  /** Takes nothing new, and finishes. */
  drain?(): Promise<void>;
  cancel?(): Promise<void>;
  /** No more will come: cancelled by the broker, refused on opening, or the connection closed. */
  end(error: LeveretError): void;
}

// What opens a handle, and what closes it.
const closeOps = { consume: 'consumer.cancel', 'tap.open': 'tap.close', 'stats.open': 'stats.close' } as const;
type OpenOp = keyof typeof closeOps;

type Loose<Op extends OpenOp> = Op extends OpenOp ? Omit<Fields<Op>, 'handle'> : never;

export class Subscription<B> {
  readonly #session: Session;
  readonly #reader: Reader<B>;
  readonly #handle: number;
  readonly #ask: (wire: Wire) => Promise<unknown>;
  readonly #op: OpenOp;
  #wire: Wire | undefined;
  #isOver = false;
  /** Of a message whose body is not complete. */
  #pieces: Uint8Array[] = [];
  #missingBytes = 0;

  constructor(session: Session, op: OpenOp, fields: Loose<OpenOp>, reader: Reader<B>) {
    this.#session = session;
    this.#reader = reader;
    this.#op = op;
    this.#handle = session.take(this);
    this.#ask = (wire) => wire.request(op, { ...fields, handle: this.#handle } as Fields<OpenOp>);
    session.start(this);
  }

  /** Asks the broker, now and after each reconnect. */
  open(wire: Wire): void {
    if (this.#isOver) return;
    this.#wire = wire;
    this.#ask(wire).catch((error: LeveretError) => wire.alive && this.end(error));
  }

  /** Asks the broker to stop. What still arrives goes back. */
  async cancel(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#wire?.request(closeOps[this.#op], { handle: this.#handle }).catch(() => undefined);
    this.#session.release(this.#handle);
  }

  lost(): void {
    this.#wire = undefined;
    this.#pieces = [];
    if (!this.#isOver) this.#reader.lost?.();
  }

  end(error: LeveretError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#session.release(this.#handle);
    this.#reader.end(error);
  }

  drain(): Promise<void> | undefined {
    return (this.#reader.drain ?? this.#reader.cancel)?.call(this.#reader);
  }

  event(message: EventMessage): void {
    if (message.event === 'stats') this.#reader.sample?.(message);
    if (message.event === 'cancelled') this.end(new LeveretError('NOT_FOUND', `cancelled by the broker: ${message.reason}`));
  }

  frame(wire: Wire, type: number, payload: Payload): void {
    const pieces = this.#pieces;
    const isFirst = pieces.length === 0;
    if (type !== (isFirst ? Frame.Deliver : Frame.Body)) throw protocolError(`frame ${type} out of turn`);
    // A copy, for the message outlives the turn. Not slice(), which on a Buffer is a view.
    const piece = new Uint8Array(payload.part(payload.end - payload.at));
    let message = isFirst ? new Message<B>(piece, wire) : undefined;
    this.#missingBytes = message?.missingBytes ?? this.#missingBytes - piece.length;
    if (this.#missingBytes < 0 || this.#missingBytes > this.#session.maxMessageBytes) throw protocolError('a wrong body size, or above maxMessageBytes');
    if (!isFirst || this.#missingBytes > 0) pieces.push(piece);
    if (this.#missingBytes > 0) return;
    message ??= new Message(concat(pieces), wire);
    if (!isFirst) this.#pieces = [];
    if (this.#isOver) message.release();
    else this.#reader.push?.(message);
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
