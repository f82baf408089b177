// One publisher handle: what was published and is not settled, in order, and the credit that lets it leave. hot
// Always: (1) a publish is in exactly one of `waiting` (not sent on this wire) and `sent` (its place there is its confirm sequence), or is settled;
// (2) waiting and sent keep the order of the calls; (3) a lost wire puts what was sent back in front of what waits, so it is sent again with its id:
// a message may then be stored twice; (4) nothing leaves without credit, nor above maxInFlightBytes.
// Refuses: to reorder, and to drop what it holds: it only rejects.

import { ConfirmReader, FRAME_OVERHEAD, FrameType, ReturnHead, readCredit, type FrameParser } from '../../shared/protocol/frames.ts';
import { readU32 } from '../../shared/bytes.ts';
import { decodeUtf8 } from '../../shared/text.ts';
import { toMs } from './duration.ts';
import { PublishEncoder } from './encoder.ts';
import { LeveretError, brokerError, toLeveretError } from './error.ts';
import type { PublishDefaults, PublishOptions, Published } from './options.ts';
import { Pending, PendingRing } from './pending.ts';
import type { ClientPorts } from './ports.ts';
import type { Wire } from './wire.ts';

export interface PublisherOwner {
  readonly isOpen: boolean;
  readonly ports: ClientPorts;
  schedule(): void;
  fault(error: LeveretError): void;
}

const SEND_BYTES_MAX = 1_048_576; // of one WebSocket message: well below batchBytes, and settles get their turn between
const MIB = 1_048_576;

export class Publisher {
  readonly handle: number;
  readonly #confirms: boolean;
  readonly #owner: PublisherOwner;
  readonly #encoder: PublishEncoder;
  readonly #timeoutMs: number;
  readonly #failsWhenDown: boolean;
  readonly #ignoresUnroutable: boolean;
  readonly #maxInFlightBytes: number;
  readonly #maxWaitingBytes: number;
  #waiting = new PendingRing();
  #waitingBytes = 0;
  #sent = new PendingRing();
  #sentBytes = 0;
  /** The confirm sequence of sent.at(0). */
  #firstSeq = 1;
  #credit = 0;
  #wire: Wire | undefined;
  #idle: (() => void)[] = [];
  #sweepAt = Number.POSITIVE_INFINITY;
  #stopSweep: (() => void) | undefined;
  readonly #confirm = new ConfirmReader();

  constructor(handle: number, confirms: boolean, defaults: PublishDefaults, owner: PublisherOwner) {
    this.handle = handle;
    this.#confirms = confirms;
    this.#owner = owner;
    this.#ignoresUnroutable = defaults.unroutable === 'ignore';
    // With confirms the confirm says where a message went; without them only a return does.
    this.#encoder = new PublishEncoder(handle, !confirms && !this.#ignoresUnroutable);
    this.#timeoutMs = toMs(defaults.timeout ?? 30_000);
    this.#failsWhenDown = defaults.whenDown === 'fail';
    this.#maxInFlightBytes = defaults.maxInFlightBytes ?? 8 * MIB;
    this.#maxWaitingBytes = defaults.maxWaitingBytes ?? 256 * MIB;
  }

  publish(exchange: string, key: string, body: unknown, options: PublishOptions | undefined): Promise<Published> {
    let timeoutMs = this.#timeoutMs;
    const failsWhenDown = options?.whenDown === undefined ? this.#failsWhenDown : options.whenDown === 'fail';
    const encoder = this.#encoder;
    try {
      if (failsWhenDown && !this.#owner.isOpen) throw new LeveretError('DISCONNECTED', 'there is no connection');
      if (this.#waitingBytes > this.#maxWaitingBytes) throw new LeveretError('OVERFLOW', `${this.#waitingBytes} bytes wait to be published`);
      if (options?.signal?.aborted) throw aborted(options.signal);
      if (options?.timeout !== undefined) timeoutMs = toMs(options.timeout);
      encoder.encode(exchange, key, body, options);
    } catch (thrown) {
      return Promise.reject(toLeveretError(thrown, 'INVALID'));
    }
    const deadline = this.#owner.ports.now() + timeoutMs;
    const ignores = options?.unroutable === undefined ? this.#ignoresUnroutable : options.unroutable === 'ignore';
    const pending = new Pending(
      encoder.slab, encoder.start, encoder.end, encoder.payloadBytes, deadline, failsWhenDown, ignores, exchange, key,
    );
    if (options?.signal !== undefined) listen(pending, options.signal);
    if (deadline < this.#sweepAt) this.#sweepBy(deadline);
    this.#waiting.push(pending);
    this.#waitingBytes += pending.payloadBytes;
    this.#owner.schedule();
    return pending.promise;
  }

  /** Resolves when everything published so far is settled. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  async open(wire: Wire): Promise<void> {
    const { credit } = await wire.request('publisher.open', { handle: this.handle, confirm: this.#confirms });
    if (!wire.alive) return;
    this.#wire = wire;
    this.#credit = credit;
  }

  lost(): void {
    this.#wire = undefined;
    const again = new PendingRing();
    const down = new LeveretError('DISCONNECTED', 'the connection was lost before the confirm: the message may be stored or not');
    for (const ring of [this.#sent, this.#waiting]) {
      for (let pending = ring.shift(); pending !== undefined; pending = ring.shift()) {
        if (pending.failsWhenDown) pending.fail(down);
        if (!pending.settled) again.push(pending);
      }
    }
    this.#waiting = again;
    this.#waitingBytes = sum(again);
    this.#sentBytes = 0;
    this.#firstSeq = 1;
    this.#tellIdle();
  }

  close(error: LeveretError): void {
    this.lost();
    this.#stopSweep?.();
    for (let pending = this.#waiting.shift(); pending !== undefined; pending = this.#waiting.shift()) pending.fail(error);
    this.#waitingBytes = 0;
    this.#tellIdle();
  }

  /** Sends what credit and the limit allow: one message for what lies side by side. */
  flush(): void {
    const wire = this.#wire;
    // Not before the session is open: consumers come back first, for a reply may need one.
    if (wire === undefined || this.#waiting.length === 0 || !this.#owner.isOpen) return;
    let bytes: Uint8Array | undefined;
    let start = 0;
    let end = 0;
    while (this.#credit > 0 && this.#sentBytes < this.#maxInFlightBytes) {
      const pending = this.#waiting.shift();
      if (pending === undefined) break;
      this.#waitingBytes -= pending.payloadBytes;
      if (pending.settled) continue;
      if (pending.bytes !== bytes || pending.start !== end) {
        if (bytes !== undefined) send(wire, bytes, start, end);
        bytes = pending.bytes;
        start = pending.start;
      }
      end = pending.end;
      this.#credit -= pending.payloadBytes;
      if (this.#confirms) {
        this.#sent.push(pending);
        this.#sentBytes += pending.payloadBytes;
      } else pending.resolve(0);
    }
    if (bytes !== undefined) send(wire, bytes, start, end);
    this.#tellIdle();
  }

  frame(parser: FrameParser): void {
    const { bytes, payloadStart, payloadEnd } = parser;
    if (parser.type === FrameType.Confirm) this.#confirmed(bytes, payloadStart, payloadEnd);
    else if (parser.type === FrameType.Credit) this.#credit += readCredit(bytes, payloadStart, payloadEnd);
    else if (parser.type === FrameType.Return) {
      const { code, text } = new ReturnHead().read(bytes, payloadStart, payloadEnd);
      this.#owner.fault(brokerError({ code, reason: `NO_ROUTE - a message came back: ${text}` }));
    } else if (parser.type !== FrameType.Body) throw new LeveretError('PROTOCOL', `a publisher got a frame of type ${parser.type}`);
    if (this.#waiting.length > 0) this.#owner.schedule();
  }

  #confirmed(bytes: Uint8Array, start: number, end: number): void {
    const confirm = this.#confirm.open(bytes, start, end);
    while (confirm.next()) {
      const first = confirm.firstSeq - this.#firstSeq;
      if (first < 0 || first + confirm.count > this.#sent.length) throw new LeveretError('PROTOCOL', 'a confirm for what was not published');
      for (let n = first; n < first + confirm.count; n++) {
        const pending = this.#sent.at(n);
        if (pending === undefined) break;
        pending.isConfirmed = true;
        if (confirm.refused) pending.fail(brokerError(JSON.parse(decodeUtf8(bytes, confirm.errorStart, confirm.errorEnd))));
        else pending.stored(confirm.routed);
      }
      this.#dropConfirmed();
    }
    this.#tellIdle();
  }

  #dropConfirmed(): void {
    while (this.#sent.at(0)?.isConfirmed) {
      this.#sentBytes -= this.#sent.shift()?.payloadBytes ?? 0;
      this.#firstSeq++;
    }
  }

  #tellIdle(): void {
    if (this.#idle.length === 0) return;
    while (this.#waiting.at(0)?.settled) this.#waitingBytes -= this.#waiting.shift()?.payloadBytes ?? 0;
    if (this.#waiting.length + this.#sent.length > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #sweepBy(deadline: number): void {
    this.#stopSweep?.();
    this.#sweepAt = deadline;
    const { ports } = this.#owner;
    this.#stopSweep = ports.after(deadline - ports.now(), () => this.#sweep());
  }

  /** Rejects what is overdue. Entries stay in their place: what was sent keeps its sequence until its confirm. */
  #sweep(): void {
    const now = this.#owner.ports.now();
    let next = Number.POSITIVE_INFINITY;
    for (const ring of [this.#waiting, this.#sent]) {
      for (let n = 0; n < ring.length; n++) {
        const pending = ring.at(n);
        if (pending === undefined || pending.settled) continue;
        if (pending.deadline <= now) pending.fail(timedOut(ring === this.#sent));
        else next = Math.min(next, pending.deadline);
      }
    }
    this.#sweepAt = Number.POSITIVE_INFINITY;
    this.#stopSweep = undefined;
    if (next < this.#sweepAt) this.#sweepBy(next);
    this.#tellIdle();
  }
}

function sum(ring: PendingRing): number {
  let bytes = 0;
  for (let n = 0; n < ring.length; n++) bytes += ring.at(n)?.payloadBytes ?? 0;
  return bytes;
}

/** Whole frames, in messages of at most SEND_BYTES_MAX. */
function send(wire: Wire, bytes: Uint8Array, start: number, end: number): void {
  let from = start;
  if (end - start > SEND_BYTES_MAX) {
    let at = start;
    while (at < end) {
      const next = at + readU32(bytes, at + 3) + FRAME_OVERHEAD;
      if (next - from > SEND_BYTES_MAX) {
        wire.sendBinary(bytes.subarray(from, at));
        from = at;
      }
      at = next;
    }
  }
  wire.sendBinary(bytes.subarray(from, end));
}

function timedOut(wasSent: boolean): LeveretError {
  const reason = wasSent ? 'no confirm in time: the message may be stored or not' : 'not sent in time';
  return new LeveretError('TIMEOUT', reason, { hint: wasSent ? undefined : 'the connection is down, or the broker gives no credit' });
}

export function aborted(signal: AbortSignal): LeveretError {
  const isTimeout = signal.reason instanceof Error && signal.reason.name === 'TimeoutError';
  return new LeveretError(isTimeout ? 'TIMEOUT' : 'ABORTED', 'aborted by its signal', { cause: signal.reason });
}

function listen(pending: Pending, signal: AbortSignal): void {
  const abort = (): void => pending.fail(aborted(signal));
  signal.addEventListener('abort', abort);
  pending.onSettled = () => signal.removeEventListener('abort', abort);
}
