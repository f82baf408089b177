// The publisher handle: what was published and is not settled, in order, and the credit that lets it leave. hot
// Always: (1) a publish is in exactly one of `waiting` (not sent on this wire) and `sent` (its place there is its confirm sequence), or is settled;
// (2) waiting and sent keep the order of the calls; (3) a lost wire puts what was sent back in front of what waits, so it is sent again with its id:
// a message may then be stored twice; (4) nothing leaves without credit, nor above maxInFlightBytes.
// Refuses: to reorder, and to drop what it holds: it only rejects.

import { CONFIRM, CREDIT, protocolError, type Reader } from './codec.ts';
import { toMs } from './duration.ts';
import { PUBLISHER_HANDLE, PublishEncoder } from './encoder.ts';
import { brokerError, LeveretError, toLeveretError } from './error.ts';
import { Fifo } from './fifo.ts';
import type { BrokerInfo, PublishBehaviour, PublishDefaults, Published, PublishOptions } from './options.ts';
import type { Pending } from './pending.ts';
import type { ClientPorts } from './ports.ts';
import type { Wire } from './wire.ts';

export interface PublisherOwner {
  readonly isOpen: boolean;
  readonly ports: ClientPorts;
  readonly broker: BrokerInfo;
  schedule(): void;
  fault(error: LeveretError): void;
}

const MIB = 1_048_576;

export class Publisher {
  readonly #defaults: PublishDefaults & { readonly timeout: number; readonly maxInFlightBytes: number; readonly maxWaitingBytes: number };
  readonly #owner: PublisherOwner;
  readonly #encoder = new PublishEncoder();
  #waiting = new Fifo<Pending>();
  #waitingBytes = 0;
  #sent = new Fifo<Pending>();
  #sentBytes = 0;
  /** The confirm sequence of sent.at(0). */
  #firstSeq = 1;
  #credit = 0;
  #wire: Wire | undefined;
  #sweepAt = Number.POSITIVE_INFINITY;
  #stopSweep: (() => void) | undefined;

  constructor(defaults: PublishDefaults, owner: PublisherOwner) {
    this.#defaults = { maxInFlightBytes: 8 * MIB, maxWaitingBytes: 256 * MIB, ...defaults, timeout: toMs(defaults.timeout ?? 30_000) };
    this.#owner = owner;
  }

  publish(exchange: string, key: string, body: unknown, options?: PublishOptions): Promise<Published> {
    const owner = this.#owner;
    const signal = options?.signal;
    try {
      if (!owner.isOpen && this.#does('whenDown', 'fail', options)) throw new LeveretError('DISCONNECTED', 'no connection');
      if (this.#waitingBytes > this.#defaults.maxWaitingBytes) throw new LeveretError('OVERFLOW', 'too much waits to be sent');
      if (signal?.aborted) throw aborted(signal);
      const pending = this.#encoder.encode(exchange, key, body, owner.broker.limits.messageBytes, options);
      pending.deadline = owner.ports.now() + toMs(options?.timeout ?? this.#defaults.timeout);
      if (signal) pending.onSettled = onAbort(signal, (error) => pending.settle(error));
      this.#sweepBy(pending.deadline);
      this.#wait(pending);
      owner.schedule();
      return pending.promise;
    } catch (thrown) {
      return Promise.reject(toLeveretError(thrown, 'INVALID'));
    }
  }

  /** Resolves when everything published so far is settled. */
  async drain(): Promise<void> {
    await Promise.allSettled(this.#open().map(({ promise }) => promise));
  }

  async open(wire: Wire): Promise<void> {
    const { credit } = await wire.request('publisher.open', { handle: PUBLISHER_HANDLE });
    if (wire.alive) this.#wire = wire;
    this.#credit = credit;
  }

  /** The wire is gone; `closed`, when for good. */
  lost(closed?: LeveretError): void {
    const error = closed ?? new LeveretError('DISCONNECTED', 'lost before the confirm: stored or not');
    const open = this.#open();
    this.#wire = undefined;
    this.#waiting = new Fifo();
    this.#sent = new Fifo();
    this.#waitingBytes = this.#sentBytes = 0;
    this.#firstSeq = 1;
    for (const pending of open) {
      if (closed || this.#does('whenDown', 'fail', pending.options)) pending.settle(error);
      else this.#wait(pending);
    }
    if (closed) this.#stopSweep?.();
  }

  /** Sends what credit and the limit allow: one message for what lies side by side. */
  flush(): void {
    const wire = this.#wire;
    // Not before the session is open: consumers come back first, for a reply may need one.
    if (wire === undefined || !this.#owner.isOpen) return;
    let first: Pending | undefined;
    let end = 0;
    const send = (): void => {
      if (first) wire.sendBinary(first.bytes.subarray(first.start, end));
    };
    while (this.#credit > 0 && this.#sentBytes < this.#defaults.maxInFlightBytes) {
      const pending = this.#waiting.shift();
      if (pending === undefined) break;
      this.#waitingBytes -= pending.payloadBytes;
      if (pending.isSettled) continue;
      if (pending.bytes !== first?.bytes || pending.start !== end) {
        send();
        first = pending;
      }
      end = pending.end;
      this.#credit -= pending.payloadBytes;
      this.#sentBytes += pending.payloadBytes;
      this.#sent.push(pending);
      if (this.#does('confirm', 'none', pending.options)) pending.settle({ routed: 0 });
    }
    send();
  }

  frame(type: number, payload: Reader): void {
    if (type === CREDIT) this.#credit += payload.u32();
    else if (type === CONFIRM) this.#confirmed(payload);
    else throw protocolError(`frame ${type} for a publisher`);
    this.#owner.schedule();
  }

  #confirmed(payload: Reader): void {
    const sent = this.#sent;
    while (payload.isMore) {
      const first = payload.u64() - this.#firstSeq;
      const end = first + payload.u32();
      const isRefused = payload.u8() === 1;
      const stored = { routed: payload.u32() };
      const refusal = isRefused ? brokerError(JSON.parse(payload.text(payload.u32()))) : undefined;
      if (first < 0 || end > sent.length) throw protocolError('a confirm out of sequence');
      for (let n = first; n < end; n++) {
        const pending = sent.at(n);
        if (pending === undefined) continue;
        pending.isConfirmed = true;
        const outcome =
          refusal ?? (stored.routed > 0 || this.#does('unroutable', 'ignore', pending.options) ? stored : unroutable(pending));
        if (!pending.settle(outcome) && this.#does('confirm', 'none', pending.options) && outcome instanceof LeveretError)
          this.#owner.fault(outcome);
      }
    }
    while (sent.at(0)?.isConfirmed) {
      this.#sentBytes -= sent.shift()?.payloadBytes ?? 0;
      this.#firstSeq++;
    }
  }

  /** What is not settled, in order. */
  #open(): Pending[] {
    return [...this.#sent, ...this.#waiting].filter(({ isSettled }) => !isSettled);
  }

  /** What a publish asked for, or else what all do. */
  #does<Name extends keyof PublishBehaviour>(name: Name, what: PublishBehaviour[Name], options?: PublishBehaviour): boolean {
    return (options?.[name] ?? this.#defaults[name]) === what;
  }

  #wait(pending: Pending): void {
    this.#waiting.push(pending);
    this.#waitingBytes += pending.payloadBytes;
  }

  #sweepBy(deadline: number): void {
    if (deadline >= this.#sweepAt) return;
    const { ports } = this.#owner;
    this.#stopSweep?.();
    this.#sweepAt = deadline;
    this.#stopSweep = ports.after(deadline - ports.now(), () => this.#sweep());
  }

  /** Rejects what is overdue. Entries stay in their place: what was sent keeps its sequence until its confirm. */
  #sweep(): void {
    this.#sweepAt = Number.POSITIVE_INFINITY;
    for (const pending of this.#open()) {
      if (pending.deadline > this.#owner.ports.now()) this.#sweepBy(pending.deadline);
      else pending.settle(new LeveretError('TIMEOUT', 'not confirmed in time: stored or not'));
    }
  }
}

function unroutable({ exchange, key }: Pending): LeveretError {
  const reason = `NO_ROUTE - exchange '${exchange}' has no queue for key '${key}'`;
  return brokerError({ code: 312, reason, hint: "bind a queue, or publish with unroutable: 'ignore'" });
}

export function aborted({ reason }: AbortSignal): LeveretError {
  return new LeveretError('ABORTED', 'aborted by its signal', { cause: reason });
}

/** Answers how to stop listening. */
export function onAbort(signal: AbortSignal, tell: (error: LeveretError) => void): () => void {
  const abort = (): void => tell(aborted(signal));
  signal.addEventListener('abort', abort);
  return () => signal.removeEventListener('abort', abort);
}
