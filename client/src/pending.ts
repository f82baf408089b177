// Publishes on their way: the promise of each, and a FIFO that can be looked into by position. hot
// Always: (1) a pending settles its promise once; (2) its bytes, whole frames, stay as they are until it is settled, so that it can be sent again;
// (3) capacity is a power of two, and a slot outside the FIFO is undefined.

import { LeveretError } from './error.ts';
import type { Published } from './options.ts';

// `new Promise(executor)` without a closure for each: the executor hands its two functions over through here.
let takenResolve: (value: Published) => void;
let takenReject: (error: LeveretError) => void;
const take = (resolve: (value: Published) => void, reject: (error: LeveretError) => void): void => {
  takenResolve = resolve;
  takenReject = reject;
};

// One frozen answer for each small number of queues.
const answers: readonly Published[] = Array.from({ length: 16 }, (_, routed) => Object.freeze({ routed }));

export class Pending {
  readonly promise: Promise<Published>;
  settled = false;
  /** The broker has answered; `settled` may be true before, by time or by signal. */
  isConfirmed = false;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** What it costs of the publisher's credit. */
  readonly payloadBytes: number;
  readonly deadline: number;
  readonly failsWhenDown: boolean;
  readonly ignoresUnroutable: boolean;
  /** For the reason of NO_ROUTE. */
  readonly exchange: string;
  readonly key: string;
  onSettled: (() => void) | undefined;
  readonly #resolve: (value: Published) => void;
  readonly #reject: (error: LeveretError) => void;

  constructor(
    bytes: Uint8Array, start: number, end: number, payloadBytes: number, deadline: number, failsWhenDown: boolean, ignoresUnroutable: boolean,
    exchange: string, key: string,
  ) {
    this.promise = new Promise<Published>(take);
    this.#resolve = takenResolve;
    this.#reject = takenReject;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.payloadBytes = payloadBytes;
    this.deadline = deadline;
    this.failsWhenDown = failsWhenDown;
    this.ignoresUnroutable = ignoresUnroutable;
    this.exchange = exchange;
    this.key = key;
    this.onSettled = undefined;
  }

  stored(routed: number): void {
    if (this.settled) return;
    if (routed === 0 && !this.ignoresUnroutable) {
      const reason = `NO_ROUTE - exchange '${this.exchange}' has no queue for key '${this.key}'`;
      const hint = "bind a queue, or publish with unroutable: 'ignore'";
      return this.fail(new LeveretError('NO_ROUTE', reason, { replyCode: 312, hint }));
    }
    this.resolve(routed);
  }

  resolve(routed: number): void {
    if (this.settled) return;
    this.settled = true;
    this.onSettled?.();
    this.#resolve(answers[routed] ?? { routed });
  }

  fail(error: LeveretError): void {
    if (this.settled) return;
    this.settled = true;
    this.onSettled?.();
    this.#reject(error);
  }
}

export class PendingRing {
  length = 0;
  #slots: (Pending | undefined)[] = new Array<Pending | undefined>(64).fill(undefined);
  #head = 0;

  push(pending: Pending): void {
    if (this.length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.length++) & (this.#slots.length - 1)] = pending;
  }

  /** The n-th from the head; undefined when there is none. */
  at(n: number): Pending | undefined {
    return n < this.length ? this.#slots[(this.#head + n) & (this.#slots.length - 1)] : undefined;
  }

  shift(): Pending | undefined {
    if (this.length === 0) return undefined;
    const pending = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.length--;
    return pending;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = old.slice(this.#head).concat(old.slice(0, this.#head), new Array<undefined>(old.length).fill(undefined));
    this.#head = 0;
  }
}
