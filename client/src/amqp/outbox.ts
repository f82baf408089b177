// What goes out on one connection: small frames side by side, one write a turn; runs of publishes, which lie elsewhere, between them. hot
// Always: (1) bytes leave in the order in which they were put; (2) bytes once written never change, for the transport may still hold them: a slab
// that is full is left behind. Refuses: to know frames (connection.ts, channel.ts, publishing.ts write them).

const SLAB_BYTES = 16_384;

export class Outbox {
  bytes: Uint8Array = new Uint8Array(SLAB_BYTES);
  at = 0;
  /** Something was sent since this was last set to false: then no heartbeat is needed. */
  hasSent = false;
  #sentTo = 0;
  #isScheduled = false;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #flushLater = (): void => this.flush();

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Room for `count` bytes from `at` on, which the caller moves. They leave at the end of this turn. */
  room(count: number): Uint8Array {
    if (this.at + count > this.bytes.length) {
      this.flush();
      this.bytes = new Uint8Array(Math.max(SLAB_BYTES, count));
      this.at = this.#sentTo = 0;
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.#flushLater);
    }
    return this.bytes;
  }

  put(frame: Uint8Array): void {
    this.room(frame.length).set(frame, this.at);
    this.at += frame.length;
  }

  /** Bytes of the caller's, which never change. */
  sendNow(bytes: Uint8Array): void {
    this.flush();
    this.#transmit(bytes);
  }

  flush(): void {
    this.#isScheduled = false;
    if (this.at === this.#sentTo) return;
    const bytes = this.bytes.subarray(this.#sentTo, this.at);
    this.#sentTo = this.at;
    this.#transmit(bytes);
  }

  #transmit(bytes: Uint8Array): void {
    this.hasSent = true;
    this.#send(bytes);
  }
}
