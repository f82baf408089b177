// Bytes on their way to one socket: a chunk that grows while frames are encoded into it, put on the socket once a turn, and those under way. hot
// Always: (1) chunks leave in order; (2) a chunk is written by nobody else until the socket has sent it, and is then given back to the pool: so a socket
// answers `sent` in the order of the writes or not at all; (3) after `isBelow` was false, `drained` follows once no more than half of bytesMax is left.
// Refuses: to drop anything, to wait, and to know frames: an outbox writes `chunk` from `at` on, after `reserve`.

import { invariant } from './assert.ts';
import { CHUNK_BYTES_MAX, giveChunk, takeChunk } from './chunk-pool.ts';
import { Ring } from './ring.ts';

/** security.md: socket send queue 4 MiB, then stop delivering. */
export const SEND_QUEUE_BYTES_MAX = 4 * 1024 * 1024;
const NOTHING: Uint8Array = new Uint8Array(0);

interface InFlight {
  readonly chunk: Uint8Array;
  readonly bytes: number;
}

export class SendQueue {
  /** What is encoded and not put on the socket is chunk[0, at). Offsets survive growing, but not a flush. */
  chunk: Uint8Array = NOTHING;
  at = 0;
  /** Chunks put on the socket: what was said of offsets holds while it stands still. */
  flushCount = 0;
  /** All that was put on the socket. */
  totalBytes = 0;
  /** For what the owner sends itself, after `track`. */
  readonly sent: () => void;
  /** Above it nothing more should be encoded here that can wait. */
  readonly bytesMax: number;
  readonly #write: (bytes: Uint8Array, sent: () => void) => void;
  readonly #drained: () => void;
  readonly #inFlight = new Ring<InFlight>(2);
  #inFlightBytes = 0;
  /** What the latest flush needed: the next chunk starts as large, so a busy connection does not grow one each turn. */
  #hintBytes = 0;
  #wasFull = false;

  /** `write` puts bytes on the socket, which calls back once they are sent. */
  constructor(write: (bytes: Uint8Array, sent: () => void) => void, drained: () => void, bytesMax = SEND_QUEUE_BYTES_MAX) {
    this.bytesMax = bytesMax;
    this.#write = write;
    this.#drained = drained;
    this.sent = () => this.#shift();
  }

  /** Written and not yet taken by the socket's other side. */
  get bytes(): number {
    return this.#inFlightBytes + this.at;
  }

  /** False: `drained` is called when there is room again. */
  isBelow(bytesMax: number): boolean {
    if (this.#inFlightBytes + this.at < bytesMax) return true;
    this.#wasFull = true;
    return false;
  }

  /** Makes the next `bytes` of the chunk writable: it grows, or goes out and another follows. */
  reserve(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.chunk.length) return;
    invariant(bytes <= CHUNK_BYTES_MAX, 'a frame fits in a chunk');
    if (needed > CHUNK_BYTES_MAX) this.flush();
    const grown = takeChunk(Math.max(this.at + bytes, this.#hintBytes));
    if (this.at > 0) grown.set(this.chunk.subarray(0, this.at));
    if (this.chunk.length > 0) giveChunk(this.chunk);
    this.chunk = grown;
  }

  /** One write with all that was encoded. */
  flush(): void {
    const { chunk, at: bytes } = this;
    if (bytes === 0) return;
    this.chunk = NOTHING;
    this.at = 0;
    this.flushCount++;
    this.#hintBytes = bytes;
    this.track(bytes, chunk);
    this.#write(new Uint8Array(chunk.buffer, chunk.byteOffset, bytes), this.sent);
  }

  /** Counts bytes that are about to go out until `sent` is called for them. */
  track(bytes: number, chunk: Uint8Array = NOTHING): void {
    this.#inFlight.push({ chunk, bytes });
    this.totalBytes += bytes;
    this.#inFlightBytes += bytes;
  }

  #shift(): void {
    const sent = this.#inFlight.shift();
    if (sent === undefined) return;
    this.#inFlightBytes -= sent.bytes;
    if (sent.chunk.length > 0) giveChunk(sent.chunk);
    if (this.#wasFull && this.#inFlightBytes + this.at <= this.bytesMax / 2) {
      this.#wasFull = false;
      this.#drained();
    }
  }
}
