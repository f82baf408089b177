// One publish on its way, and its promise. hot
// Always: (1) it settles its promise once; (2) its bytes, whole frames, stay as they are until then, so that it can be sent again.

import { LeveretError } from './error.ts';
import type { Published, PublishOptions } from './options.ts';

// `new Promise(executor)` without a closure for each: the executor hands its two functions over through here.
let takenResolve: (value: Published) => void;
let takenReject: (error: LeveretError) => void;
const take = (resolve: (value: Published) => void, reject: (error: LeveretError) => void): void => {
  takenResolve = resolve;
  takenReject = reject;
};

export class Pending {
  readonly promise = new Promise<Published>(take);
  readonly #resolve = takenResolve;
  readonly #reject = takenReject;
  isSettled = false;
  /** The broker has answered; `isSettled` may be true before, by time, by signal, or for want of confirms. */
  isConfirmed = false;
  deadline = 0;
  onSettled: (() => void) | undefined = undefined;
  readonly exchange: string;
  readonly key: string;
  readonly options: PublishOptions | undefined;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** What it costs of the publisher's credit. */
  readonly payloadBytes: number;

  constructor(
    exchange: string,
    key: string,
    options: PublishOptions | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    payloadBytes: number,
  ) {
    this.exchange = exchange;
    this.key = key;
    this.options = options;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.payloadBytes = payloadBytes;
  }

  /** Settles: with an error, or with what it resolves with. False when it was settled before. */
  settle(outcome: LeveretError | Published): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.onSettled?.();
    if (outcome instanceof LeveretError) this.#reject(outcome);
    else this.#resolve(outcome);
    return true;
  }
}
