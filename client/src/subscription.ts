// One handle on which the broker sends: a consumer, a tap, or statistics. Opened again after every reconnect. hot
// Always: (1) a message is assembled from the parts that came, never from a size that was announced: its bytes are copied out of the transport's
// (they are gone after the turn), and are bounded by maxMessageBytes; (2) the handle stays taken until the broker has answered the close, and what arrives
// meanwhile is given back. Refuses: to keep messages (feed.ts, worker.ts do).

import type { EventMessage, Sample } from '../../shared/protocol/control.ts';
import { BODY, DELIVER, type Reader as Payload, protocolError, Writer } from './codec.ts';
import { LeveretError } from './error.ts';
import { Message } from './message.ts';
import type { Stats } from './options.ts';
import type { Session } from './session.ts';
import type { Fields, Wire } from './wire.ts';

/** Who reads: messages, or for statistics, samples. */
export interface Reader<T> {
  push(value: T): void;
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
export type OpenOp = keyof typeof closeOps;
type Without<Op extends OpenOp> = Op extends OpenOp ? Omit<Fields<Op>, 'handle'> : never;
export type OpenFields = Without<OpenOp>;

export class Subscription<T> {
  readonly #session: Session;
  readonly #reader: Reader<T>;
  readonly #handle: number;
  readonly #op: OpenOp;
  readonly #fields: OpenFields;
  #wire: Wire | undefined;
  #isOver = false;
  /** Of a message whose body is not complete. */
  #pieces: Uint8Array[] = [];
  #missingBytes = 0;

  constructor(session: Session, op: OpenOp, fields: OpenFields, reader: Reader<T>) {
    this.#session = session;
    this.#reader = reader;
    this.#op = op;
    this.#fields = fields;
    this.#handle = session.take(this);
  }

  /** Asks the broker, now and after each reconnect. */
  open(wire: Wire, handle: number): void {
    if (this.#isOver) return;
    this.#wire = wire;
    wire.request(this.#op, { ...this.#fields, handle } as Fields<OpenOp>).catch((error) => wire.alive && this.end(error));
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
    if (message.event === 'stats') this.#give(withSums(message));
    if (message.event === 'cancelled') this.end(new LeveretError('NOT_FOUND', `cancelled by the broker: ${message.reason}`));
  }

  frame(wire: Wire, type: number, payload: Payload): void {
    const pieces = this.#pieces;
    if (type !== (pieces.length > 0 ? BODY : DELIVER)) throw protocolError(`frame ${type} out of turn`);
    // A copy, for the message outlives the turn. Not slice(), which on a Buffer is a view.
    const piece = new Uint8Array(payload.part(payload.end - payload.at));
    let message = pieces.length > 0 ? undefined : new Message(piece, wire);
    this.#missingBytes = message ? message.missingBytes : this.#missingBytes - piece.length;
    if (this.#missingBytes < 0 || this.#missingBytes > this.#session.maxMessageBytes)
      throw protocolError('a body above maxMessageBytes, or its size');
    if (!message || this.#missingBytes > 0) pieces.push(piece);
    if (this.#missingBytes > 0) return;
    if (!message) {
      const whole = new Writer(pieces.reduce((bytes, { length }) => bytes + length, 0));
      for (const part of pieces.splice(0)) whole.put(part);
      message = new Message(whole.bytes, wire);
    }
    if (this.#isOver) message.release();
    else this.#give(message);
  }

  /** What the operation brings is what its reader was made for. */
  #give(value: Message | Stats): void {
    this.#reader.push(value as T);
  }
}

function withSums(sample: Sample): Stats {
  const sum = (name: 'ready' | 'unacked' | 'publishRate' | 'deliverRate' | 'ackRate'): number =>
    sample.queues.reduce((total, queue) => total + (queue[name] ?? 0), 0);
  return {
    ...sample,
    ready: sum('ready'),
    unacked: sum('unacked'),
    publishRate: sum('publishRate'),
    deliverRate: sum('deliverRate'),
    ackRate: sum('ackRate'),
  };
}
