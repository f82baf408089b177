// One publisher handle: what was published and is not settled, in order, and the credit that lets it leave. hot
// Always: (1) a publish is in exactly one of `waiting` (not sent on this wire) and `sent` (its place there is its confirm sequence), or is settled;
// (2) waiting and sent keep the order of the calls; (3) a lost wire puts what was sent back in front of what waits, so it is sent again with its id:
// a message may then be stored twice; (4) nothing leaves without credit, nor above maxInFlightBytes.
// Refuses: to reorder, and to drop what it holds: it only rejects.

import { FRAME_HEADER_BYTES, Frame, Reader, protocolError } from './codec.ts';
import { toMs } from './duration.ts';
import { PublishEncoder } from './encoder.ts';
import { LeveretError, brokerError, toLeveretError } from './error.ts';
import { Fifo } from './fifo.ts';
import type { PublishDefaults, PublishOptions, Published } from './options.ts';
import { Pending } from './pending.ts';
import type { ClientPorts } from './ports.ts';
import type { Wire } from './wire.ts';

export interface PublisherOwner {
  readonly isOpen: boolean;
  readonly ports: ClientPorts;
  schedule(): void;
  fault(error: LeveretError): void;
}

const MIB = 1_048_576;
const SEND_BYTES_MAX = MIB; // of one WebSocket message: well below batchBytes, and settles get their turn between

export class Publisher {
  readonly #handle: number;
  readonly #confirms: boolean;
  readonly #defaults: PublishDefaults;
  readonly #owner: PublisherOwner;
  readonly #encoder: PublishEncoder;
  readonly #timeoutMs: number;
  #waiting = new Fifo<Pending>();
  #waitingBytes = 0;
  #sent = new Fifo<Pending>();
  #sentBytes = 0;
  /** The confirm sequence of sent.at(0). */
  #firstSeq = 1;
  #credit = 0;
  #wire: Wire | undefined;
  #idle: (() => void)[] = [];
  #sweepAt = Number.POSITIVE_INFINITY;
  #stopSweep: (() => void) | undefined;

  constructor(handle: number, confirms: boolean, defaults: PublishDefaults, owner: PublisherOwner) {
    this.#handle = handle;
    this.#confirms = confirms;
    this.#defaults = defaults;
    this.#owner = owner;
    // With confirms the confirm says where a message went; without them only a return does.
    this.#encoder = new PublishEncoder(handle, !confirms && defaults.unroutable !== 'ignore');
    this.#timeoutMs = toMs(defaults.timeout ?? 30_000);
  }

  publish(exchange: string, key: string, body: unknown, options?: PublishOptions): Promise<Published> {
    const owner = this.#owner;
    const defaults = this.#defaults;
    const encoder = this.#encoder;
    const signal = options?.signal;
    const failsWhenDown = (options?.whenDown ?? defaults.whenDown) === 'fail';
    let timeoutMs = this.#timeoutMs;
    try {
      if (failsWhenDown && !owner.isOpen) throw new LeveretError('DISCONNECTED', 'there is no connection');
      if (this.#waitingBytes > (defaults.maxWaitingBytes ?? 256 * MIB)) throw new LeveretError('OVERFLOW', 'too much waits to be published');
      if (signal?.aborted) throw aborted(signal);
      if (options?.timeout !== undefined) timeoutMs = toMs(options.timeout);
      encoder.encode(exchange, key, body, options);
    } catch (thrown) {
      return Promise.reject(toLeveretError(thrown, 'INVALID'));
    }
    const deadline = owner.ports.now() + timeoutMs;
    const ignoresUnroutable = (options?.unroutable ?? defaults.unroutable) === 'ignore';
    const { slab } = encoder;
    const pending = new Pending(slab.bytes, encoder.start, slab.at, encoder.payloadBytes, deadline, failsWhenDown, ignoresUnroutable);
    if (signal) pending.onSettled = onAbort(signal, (error) => pending.settle(error));
    if (deadline < this.#sweepAt) this.#sweepBy(deadline);
    this.#waiting.push(pending);
    this.#waitingBytes += pending.payloadBytes;
    owner.schedule();
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
    const { credit } = await wire.request('publisher.open', { handle: this.#handle, confirm: this.#confirms });
    if (wire.alive) this.#wire = wire;
    this.#credit = credit;
  }

  /** The wire is gone; `closed`, when for good. */
  lost(closed?: LeveretError): void {
    const unknown = new LeveretError('DISCONNECTED', 'the connection was lost before the confirm: the message may be stored or not');
    const again = new Fifo<Pending>();
    this.#waitingBytes = 0;
    for (const fifo of [this.#sent, this.#waiting]) {
      for (let pending = fifo.shift(); pending !== undefined; pending = fifo.shift()) {
        if (closed || pending.failsWhenDown) pending.settle(closed ?? unknown);
        if (pending.isSettled) continue;
        again.push(pending);
        this.#waitingBytes += pending.payloadBytes;
      }
    }
    this.#wire = undefined;
    this.#waiting = again;
    this.#sentBytes = 0;
    this.#firstSeq = 1;
    if (closed) this.#stopSweep?.();
    this.#tellIdle();
  }

  /** Sends what credit and the limit allow: one message for what lies side by side. */
  flush(): void {
    const wire = this.#wire;
    // Not before the session is open: consumers come back first, for a reply may need one.
    if (wire === undefined || this.#waiting.length === 0 || !this.#owner.isOpen) return;
    const maxInFlightBytes = this.#defaults.maxInFlightBytes ?? 8 * MIB;
    let bytes: Uint8Array | undefined;
    let start = 0;
    let end = 0;
    while (this.#credit > 0 && this.#sentBytes < maxInFlightBytes) {
      const pending = this.#waiting.shift();
      if (pending === undefined) break;
      this.#waitingBytes -= pending.payloadBytes;
      if (pending.isSettled) continue;
      if (pending.bytes !== bytes || pending.start !== end) {
        send(wire, bytes, start, end);
        bytes = pending.bytes;
        start = pending.start;
      }
      end = pending.end;
      this.#credit -= pending.payloadBytes;
      if (this.#confirms) {
        this.#sent.push(pending);
        this.#sentBytes += pending.payloadBytes;
      } else pending.settle({ routed: 0 });
    }
    send(wire, bytes, start, end);
    this.#tellIdle();
  }

  frame(type: number, payload: Reader): void {
    if (type === Frame.Confirm) this.#confirmed(payload);
    else if (type === Frame.Credit) this.#credit += payload.u32();
    else if (type === Frame.Return) {
      payload.u64();
      this.#owner.fault(brokerError({ code: payload.u16(), reason: `${payload.text(payload.u8())} - a message came back` }));
    } else if (type !== Frame.Body) throw protocolError(`frame ${type} for a publisher`);
    if (this.#waiting.length > 0) this.#owner.schedule();
  }

  #confirmed(payload: Reader): void {
    while (payload.isMore) {
      const first = payload.u64() - this.#firstSeq;
      const end = first + payload.u32();
      const isRefused = payload.u8() === 1;
      const stored = { routed: payload.u32() };
      const refusal = isRefused ? brokerError(JSON.parse(payload.text(payload.u32()))) : undefined;
      if (first < 0 || end > this.#sent.length) throw protocolError('a confirm of what was not published');
      for (let n = first; n < end; n++) {
        const pending = this.#sent.at(n);
        if (pending === undefined) continue;
        pending.isConfirmed = true;
        pending.settle(refusal ?? (stored.routed > 0 || pending.ignoresUnroutable ? stored : unroutable(pending)));
      }
    }
    while (this.#sent.at(0)?.isConfirmed) {
      this.#sentBytes -= this.#sent.shift()?.payloadBytes ?? 0;
      this.#firstSeq++;
    }
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#idle.length === 0) return;
    while (this.#waiting.at(0)?.isSettled) this.#waitingBytes -= this.#waiting.shift()?.payloadBytes ?? 0;
    if (this.#waiting.length + this.#sent.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #sweepBy(deadline: number): void {
    const { ports } = this.#owner;
    this.#stopSweep?.();
    this.#sweepAt = deadline;
    this.#stopSweep = ports.after(deadline - ports.now(), () => this.#sweep());
  }

  /** Rejects what is overdue. Entries stay in their place: what was sent keeps its sequence until its confirm. */
  #sweep(): void {
    const now = this.#owner.ports.now();
    let next = Number.POSITIVE_INFINITY;
    for (const fifo of [this.#waiting, this.#sent]) {
      for (let n = 0; n < fifo.length; n++) {
        const pending = fifo.at(n);
        if (pending === undefined || pending.isSettled) continue;
        if (pending.deadline > now) next = Math.min(next, pending.deadline);
        else pending.settle(new LeveretError('TIMEOUT', fifo === this.#sent ? 'no confirm in time: stored or not' : 'not sent in time'));
      }
    }
    this.#sweepAt = Number.POSITIVE_INFINITY;
    if (next < this.#sweepAt) this.#sweepBy(next);
    this.#tellIdle();
  }
}

/** Whole frames, in messages of at most SEND_BYTES_MAX. */
function send(wire: Wire, bytes: Uint8Array | undefined, start: number, end: number): void {
  if (bytes === undefined) return;
  let from = start;
  if (end - start > SEND_BYTES_MAX) {
    const reader = new Reader(bytes, start, end);
    for (let at = start; at < end; at = reader.at) {
      reader.skip(3);
      reader.skip(reader.u32() + 1);
      if (reader.at - from <= SEND_BYTES_MAX) continue;
      wire.sendBinary(bytes.subarray(from, at));
      from = at;
    }
  }
  wire.sendBinary(bytes.subarray(from, end));
}

function unroutable({ bytes, start }: Pending): LeveretError {
  const frame = new Reader(bytes, start + FRAME_HEADER_BYTES + 1);
  const reason = `NO_ROUTE - exchange '${frame.text(frame.u8())}' has no queue for key '${frame.text(frame.u8())}'`;
  return new LeveretError('NO_ROUTE', reason, { replyCode: 312, hint: "bind a queue, or publish with unroutable: 'ignore'" });
}

export function aborted({ reason }: AbortSignal): LeveretError {
  const isTimeout = reason instanceof Error && reason.name === 'TimeoutError';
  return new LeveretError(isTimeout ? 'TIMEOUT' : 'ABORTED', 'aborted by its signal', { cause: reason });
}

/** Answers how to stop listening. */
export function onAbort(signal: AbortSignal, tell: (error: LeveretError) => void): () => void {
  const abort = (): void => tell(aborted(signal));
  signal.addEventListener('abort', abort);
  return () => signal.removeEventListener('abort', abort);
}
