// One message whose body comes in several frames, until it is whole.
// Always: (1) memory follows what has come in, never what a header promises; (2) once refused, its parts are counted and dropped.
// Refuses: more body than its header said (502).

import type { AmqpError } from '../../shared/error.ts';

const GROWTH = 2;

export class Assembly {
  readonly mandatory: boolean;
  /** Set: the message is refused already, and its parts go nowhere. */
  readonly refusal: AmqpError | undefined;
  /** Bytes of body that are still to come. */
  missingBytes: number;
  bytes: Uint8Array;
  length = 0;
  /** What it will hold at the end. */
  readonly reservedBytes: number;

  /** `first` is the content run's beginning, as far as its PUBLISH frame had it. */
  constructor(first: Uint8Array, missingBytes: number, mandatory: boolean, refusal: AmqpError | undefined) {
    this.mandatory = mandatory;
    this.refusal = refusal;
    this.missingBytes = missingBytes;
    this.bytes = new Uint8Array(0);
    this.reservedBytes = refusal === undefined ? first.length + missingBytes : 0;
    if (refusal === undefined) this.#append(first);
  }

  /** The next part. Its bytes are copied. */
  add(part: Uint8Array): void {
    this.missingBytes -= part.length;
    if (this.refusal === undefined) this.#append(part);
  }

  #append(part: Uint8Array): void {
    const needed = this.length + part.length;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.min(needed + this.missingBytes, Math.max(needed, this.bytes.length * GROWTH)));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(part, this.length);
    this.length = needed;
  }
}
