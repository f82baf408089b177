// One publisher handle: its confirm sequence, and the credit that holds it back. hot
// Always: (1) every publish takes the next seq, and is confirmed or refused once, in order, when the log says it is durable; (2) publishes of
// one turn with the same fate are one run: no object per message; (3) credit is granted again only for what the broker has taken in, and not
// while it is blocked or a queue holds one of this publisher's messages.
// Refuses: to confirm before `durable`, and to know what a publish is (intake.ts).

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Ring } from '../../shared/ring.ts';
import type { Lsn } from '../ports.ts';
import type { Session } from './session.ts';

/** How a publisher is held back, and how it learns what it did wrong. */
export const Discipline = {
  /** By a window of bytes; each publish that cannot be done is refused in the publisher's sequence. */
  Credit: 0,
  /** Each publish is a request: while the broker is blocked it is refused. */
  Request: 1,
  /** By its protocol, which stops reading. What a publish did wrong is thrown (AMQP closes the channel); only what the broker could not take is refused. */
  Stream: 2,
} as const;
export type Discipline = (typeof Discipline)[keyof typeof Discipline];

/** Consecutive publishes that are confirmed together. */
export class ConfirmRun {
  readonly firstSeq: number;
  count = 1;
  readonly routed: number;
  /** Confirmed when durable up to here. */
  lsn: Lsn;
  error: AmqpError | undefined;
  /** Queues that hold it back. */
  holds = 0;
  constructor(firstSeq: number, routed: number, lsn: Lsn, error: AmqpError | undefined) {
    this.firstSeq = firstSeq;
    this.routed = routed;
    this.lsn = lsn;
    this.error = error;
  }
}

export class Publisher {
  readonly session: Session;
  readonly handle: number;
  readonly confirm: boolean;
  readonly discipline: Discipline;
  /** Bytes it may still send. */
  credit: number;
  /** Its peer has closed it: what is still held for it ends without a word. */
  isClosed = false;
  readonly #windowBytes: number;
  readonly #runs = new Ring<ConfirmRun>();
  #open: ConfirmRun | undefined;
  #nextSeq = 1;
  #holds = 0;
  #heldBytes = 0;

  constructor(session: Session, handle: number, confirm: boolean, discipline: Discipline, windowBytes: number, isBlocked: boolean) {
    this.session = session;
    this.handle = handle;
    this.confirm = confirm;
    this.discipline = discipline;
    this.#windowBytes = discipline === Discipline.Credit ? windowBytes : Number.POSITIVE_INFINITY;
    this.credit = isBlocked && discipline === Discipline.Credit ? 0 : this.#windowBytes; // granted when the alarm is over
  }

  /** The seq that the next publish gets. */
  get nextSeq(): number {
    return this.#nextSeq;
  }
  get unconfirmedCount(): number {
    let count = 0;
    for (const run of this.#runs) count += run.count;
    return count;
  }
  get hasUnconfirmed(): boolean {
    return this.#runs.length > 0;
  }

  /** Counts bytes against the window; 506 when twice the window is used already. One message, begun with credit, may be larger than that. */
  spend(bytes: number): void {
    if (this.credit < -this.#windowBytes)
      throw new AmqpError(ReplyCode.ResourceError, `publisher ${this.handle} used more than twice its credit`, {
        hint: 'send only while credit is above 0',
      });
    this.credit -= bytes;
  }

  /** A publish was stored, or needed no storing. */
  stored(routed: number, lsn: Lsn): void {
    const seq = this.#nextSeq++;
    if (!this.confirm) return;
    const open = this.#open;
    if (open !== undefined && open.routed === routed) {
      open.count++;
      if (lsn > open.lsn) open.lsn = lsn; // what needs no storing has lsn 0
    } else this.#push((this.#open = new ConfirmRun(seq, routed, lsn, undefined)));
  }

  /** A publish that some queue holds: its own run. */
  storedAlone(routed: number, lsn: Lsn): ConfirmRun {
    const run = new ConfirmRun(this.#nextSeq++, routed, lsn, undefined);
    this.#open = undefined;
    if (this.confirm) this.#push(run);
    return run;
  }

  refused(error: AmqpError): void {
    if (this.discipline === Discipline.Stream && !isRefusal(error)) throw error;
    const seq = this.#nextSeq++;
    this.#open = undefined;
    if (this.confirm) this.#push(new ConfirmRun(seq, 0, 0, error));
    else this.session.sink.failed('publish', this.handle, error);
  }

  /** Bytes that queues hold of this publisher's: its protocol stops reading it where that is too much. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  hold(run: ConfirmRun, bytes: number): void {
    run.holds++;
    this.#holds++;
    this.#heldBytes += bytes;
  }

  release(run: ConfirmRun, bytes: number, error: AmqpError | undefined): void {
    run.holds--;
    this.#holds--;
    this.#heldBytes -= bytes;
    if (this.discipline === Discipline.Stream) this.session.sink.credit(this, bytes);
    run.error ??= error;
    if (this.isClosed || this.session.isClosed) return;
    if (error !== undefined && !this.confirm) this.session.sink.failed('publish', this.handle, error);
    this.session.touchUnconfirmed(this);
  }

  /** The turn ends: what follows is another run, for it will be durable later. */
  closeRun(): void {
    this.#open = undefined;
  }

  /** Tells the peer about every run that is durable. Answers how many publishes that were. */
  confirmUpTo(durable: Lsn): number {
    const { sink } = this.session;
    let count = 0;
    for (let run = this.#runs.peek(); run !== undefined && run.lsn <= durable && run.holds === 0; run = this.#runs.peek()) {
      this.#runs.shift();
      count += run.count;
      if (run === this.#open) this.#open = undefined;
      if (run.error === undefined) sink.confirm(this, run.firstSeq, run.count, run.routed);
      else sink.refuse(this, run.firstSeq, run.error);
    }
    return count;
  }

  /** Grants back what was used, once it is worth a frame. */
  replenish(): void {
    if (this.#windowBytes === Number.POSITIVE_INFINITY || this.#holds > 0 || this.credit > this.#windowBytes / 2) return;
    const bytes = this.#windowBytes - this.credit;
    this.credit += bytes;
    this.session.sink.credit(this, bytes);
  }

  #push(run: ConfirmRun): void {
    this.#runs.push(run);
    this.session.touchUnconfirmed(this);
  }
}

/** The broker could not take it; else the publisher asked for what cannot be done. */
function isRefusal({ code }: AmqpError): boolean {
  return code === ReplyCode.ContentTooLarge || code === ReplyCode.ResourceError;
}
