// One handle on which the broker sends: a consumer, a tap, or statistics. Opened again after every reconnect. hot
// Always: (1) a message is assembled from the parts that came, never from a size that was announced: its bytes are copied out of the transport's
// (they are gone after the turn), and are bounded by maxMessageBytes; (2) the handle stays taken until the broker has answered the close, and what arrives
// meanwhile is given back. Refuses: to keep messages (feed.ts, worker.ts do).

import { DeliverHead, FrameType, type FrameParser } from '../../shared/protocol/frames.ts';
import type { EventMessage, Request, Sample } from '../../shared/protocol/control.ts';
import { LeveretError } from './error.ts';
import { Message, type Delivery } from './message.ts';
import { ContentParts } from './properties.ts';
import type { Handle, HandleOwner } from './session.ts';
import type { Wire } from './wire.ts';

/** Who reads. */
export interface Reader {
  message?(message: Message): void;
  sample?(sample: Sample): void;
  /** The connection is lost: what came by it will come again. */
  lost?(): void;
  /** Takes nothing new, and finishes. */
  drain?(): Promise<unknown>;
  /** No more will come: cancelled by the broker, refused on opening, or the connection closed. */
  ended(error: LeveretError): void;
}

type Without<T> = Omit<T, 'handle'>;
/** What to open, and so how to close. */
export type Subject =
  | { readonly op: 'consume'; readonly fields: Without<Request<'consume'>> }
  | { readonly op: 'tap.open'; readonly fields: Without<Request<'tap.open'>> }
  | { readonly op: 'stats.open'; readonly fields: Without<Request<'stats.open'>> };

const closeOps = { consume: 'consumer.cancel', 'tap.open': 'tap.close', 'stats.open': 'stats.close' } as const;

export class Subscription implements Handle {
  readonly #owner: HandleOwner;
  readonly #subject: Subject;
  readonly #reader: Reader;
  readonly #handle: number;
  #wire: Wire | undefined;
  #isOver = false;
  readonly #head = new DeliverHead();
  readonly #parts = new ContentParts();
  /** Of a message whose body is not complete. */
  #partial: { delivery: Delivery; pieces: Uint8Array[]; missingBytes: number } | undefined;

  constructor(owner: HandleOwner, subject: Subject, reader: Reader) {
    this.#owner = owner;
    this.#subject = subject;
    this.#reader = reader;
    this.#handle = owner.take(this);
  }

  /** Asks the broker, now and after each reconnect. */
  open(wire: Wire): void {
    if (this.#isOver) return;
    this.#wire = wire;
    const { op, fields } = this.#subject;
    wire.request(op, { handle: this.#handle, ...fields } as Request<typeof op>).catch((error: LeveretError) => {
      if (wire.alive) this.end(error);
    });
  }

  /** Asks the broker to stop. What still arrives goes back. */
  async cancel(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#wire?.request(closeOps[this.#subject.op], { handle: this.#handle }).catch(() => undefined);
    this.#owner.release(this.#handle);
  }

  lost(): void {
    this.#wire = undefined;
    this.#partial = undefined;
    if (!this.#isOver) this.#reader.lost?.();
  }

  end(error: LeveretError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.release(this.#handle);
    this.#reader.ended(error);
  }

  async drain(): Promise<void> {
    await this.#reader.drain?.();
  }

  event(message: EventMessage): void {
    if (message.event === 'stats' && !this.#isOver) this.#reader.sample?.(message);
    if (message.event === 'cancelled') this.end(new LeveretError('NOT_FOUND', `the broker cancelled this consumer: ${message.reason}`));
  }

  frame(wire: Wire, parser: FrameParser): void {
    const { bytes, payloadStart, payloadEnd } = parser;
    if (parser.type === FrameType.Body) this.#more(wire, bytes.subarray(payloadStart, payloadEnd));
    else if (parser.type === FrameType.Deliver) this.#deliver(wire, bytes, payloadStart, payloadEnd);
    else throw new LeveretError('PROTOCOL', `a consumer got a frame of type ${parser.type}`);
  }

  #deliver(wire: Wire, bytes: Uint8Array, start: number, end: number): void {
    if (this.#partial !== undefined) throw new LeveretError('PROTOCOL', 'a message began before the last one ended');
    const { tag, redelivered, deliveryCount, queueNumber, seq, contentStart } = this.#head.read(bytes, start, end);
    const delivery = { tag, redelivered, deliveryCount, id: queueNumber === 0 ? '' : `${queueNumber}-${seq}` };
    const parts = this.#parts.read(bytes, contentStart, end);
    if (parts.bodyBytes > this.#owner.maxMessageBytes) {
      const hint = 'raise maxMessageBytes of connect';
      throw new LeveretError('PROTOCOL', `a message of ${parts.bodyBytes} bytes, above ${this.#owner.maxMessageBytes}`, { hint });
    }
    const run = new Uint8Array(bytes.subarray(contentStart, end));
    const missingBytes = parts.bodyBytes - (end - parts.bodyStart);
    if (missingBytes > 0) {
      this.#partial = { delivery, pieces: [run], missingBytes };
      return;
    }
    this.#give(wire, delivery, run, parts.keyStart - contentStart, parts.headerStart - contentStart, parts.bodyStart - contentStart);
  }

  #more(wire: Wire, piece: Uint8Array): void {
    const partial = this.#partial;
    if (partial === undefined || piece.length > partial.missingBytes) throw new LeveretError('PROTOCOL', 'more body than its header says');
    partial.pieces.push(new Uint8Array(piece));
    partial.missingBytes -= piece.length;
    if (partial.missingBytes > 0) return;
    this.#partial = undefined;
    const run = concat(partial.pieces);
    const parts = this.#parts.read(run, 0, run.length);
    this.#give(wire, partial.delivery, run, parts.keyStart, parts.headerStart, parts.bodyStart);
  }

  #give(wire: Wire, delivery: Delivery, run: Uint8Array, keyStart: number, headerStart: number, bodyStart: number): void {
    const message = new Message(delivery, wire, run, keyStart, headerStart, bodyStart);
    if (this.#isOver) message.release();
    else this.#reader.message?.(message);
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
