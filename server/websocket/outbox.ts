// What a connection is about to send: one growing chunk of data frames, encoded in place, put on the socket once a turn. hot
// Always: (1) text and binary leave in the order in which they were asked for: text flushes first; (2) a chunk is written by nobody else until
// the socket has sent it; (3) `isWritable` is false above 4 MiB of written and unsent bytes, and `drained` follows once half of that is gone.
// Refuses: to drop anything, and to wait. Who asks for deliveries looks at `isWritable` first.

import { invariant } from '../../shared/assert.ts';
import { copyBytes, writeU32 } from '../../shared/bytes.ts';
import { CHUNK_BYTES_MAX, giveChunk, takeChunk } from '../../shared/chunk-pool.ts';
import type { AmqpError } from '../../shared/error.ts';
import {
  CONFIRM_BYTES,
  CREDIT_BYTES,
  closeFrame,
  DELIVER_HEAD_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD,
  FrameType,
  REFUSED_HEAD_BYTES,
  RETURN_HEAD_BYTES_MAX,
  writeConfirm,
  writeCredit,
  writeDeliverHead,
  writeFrameEnd,
  writeFrameHeader,
  writeRefused,
  writeReturnHead,
} from '../../shared/protocol/frames.ts';
import { errorToJson } from '../../shared/protocol/json.ts';
import { Ring } from '../../shared/ring.ts';
import { encodeUtf8 } from '../../shared/text.ts';
import type { MessageSocket } from './message-socket.ts';

/** security.md: socket send queue 4 MiB, then stop delivering. */
export const OUTBOX_BYTES_MAX = 4 * 1024 * 1024;
const PAYLOAD_BYTES_MAX = CHUNK_BYTES_MAX - FRAME_OVERHEAD;
const NOTHING: Uint8Array = new Uint8Array(0);

interface InFlight {
  readonly chunk: Uint8Array;
  readonly bytes: number;
}

export class Outbox {
  readonly #socket: MessageSocket;
  readonly #drained: () => void;
  readonly #sent: () => void;
  readonly #inFlight = new Ring<InFlight>();
  #inFlightBytes = 0;
  #chunk: Uint8Array = NOTHING;
  #at = 0;
  /** What the latest flush needed: the next chunk starts as large, so a busy connection does not grow one each turn. */
  #hintBytes = 0;
  #wasFull = false;
  // The CONFIRM frame that ends the chunk, so that more entries can join it; -1 when something else does.
  #confirmFrame = -1;
  #confirmHandle = 0;
  #confirmEntry = 0;
  #confirmNextSeq = 0;
  #confirmCount = 0;
  #confirmRouted = 0;

  constructor(socket: MessageSocket, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
    this.#sent = () => this.#messageSent();
  }

  get isWritable(): boolean {
    if (this.#inFlightBytes + this.#at < OUTBOX_BYTES_MAX) return true;
    this.#wasFull = true;
    return false;
  }

  /** Written and not yet taken by the socket's other side. */
  get bytes(): number {
    return this.#inFlightBytes + this.#at;
  }

  deliver(
    handle: number,
    tag: number,
    redelivered: boolean,
    deliveryCount: number,
    queueNumber: number,
    seq: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const payloadEnd = Math.min(end, start + PAYLOAD_BYTES_MAX - DELIVER_HEAD_BYTES);
    const payloadBytes = DELIVER_HEAD_BYTES + payloadEnd - start;
    this.#reserve(payloadBytes + FRAME_OVERHEAD);
    const chunk = this.#chunk;
    let at = writeFrameHeader(chunk, this.#at, FrameType.Deliver, handle, payloadBytes);
    at = writeDeliverHead(chunk, at, tag, redelivered, deliveryCount, queueNumber, seq);
    at = copyBytes(bytes, start, payloadEnd, chunk, at);
    this.#at = writeFrameEnd(chunk, at);
    if (payloadEnd < end) this.#restOfBody(handle, bytes, payloadEnd, end);
  }

  returned(handle: number, seq: number, code: number, text: string, bytes: Uint8Array, start: number, end: number): void {
    const partEnd = Math.min(end, start + PAYLOAD_BYTES_MAX - RETURN_HEAD_BYTES_MAX);
    this.#reserve(FRAME_OVERHEAD + RETURN_HEAD_BYTES_MAX + partEnd - start);
    const frame = this.#at;
    let at = writeFrameHeader(this.#chunk, frame, FrameType.Return, handle, 0);
    at = writeReturnHead(this.#chunk, at, seq, code, text);
    at = copyBytes(bytes, start, partEnd, this.#chunk, at);
    this.#at = closeFrame(this.#chunk, frame, at);
    if (partEnd < end) this.#restOfBody(handle, bytes, partEnd, end);
  }

  /** Consecutive publishes with the same outcome become one entry, entries of one publisher one frame. */
  confirm(handle: number, firstSeq: number, count: number, routed: number): void {
    if (this.#confirmFrame >= 0 && this.#confirmHandle === handle && this.#confirmNextSeq === firstSeq && this.#confirmRouted === routed) {
      this.#confirmCount += count;
      this.#confirmNextSeq += count;
      writeU32(this.#chunk, this.#confirmEntry + 8, this.#confirmCount);
      return;
    }
    this.#beginConfirm(handle, CONFIRM_BYTES);
    this.#confirmEntry = this.#at;
    this.#confirmNextSeq = firstSeq + count;
    this.#confirmCount = count;
    this.#confirmRouted = routed;
    this.#at = closeFrame(this.#chunk, this.#confirmFrame, writeConfirm(this.#chunk, this.#at, firstSeq, count, routed));
  }

  refuse(handle: number, seq: number, error: AmqpError): void {
    const json = encodeUtf8(JSON.stringify(errorToJson(error)));
    this.#beginConfirm(handle, REFUSED_HEAD_BYTES + json.length);
    this.#confirmNextSeq = 0; // no run can follow on a refused entry
    this.#at = closeFrame(this.#chunk, this.#confirmFrame, writeRefused(this.#chunk, this.#at, seq, json));
  }

  credit(handle: number, bytes: number): void {
    this.#reserve(FRAME_OVERHEAD + CREDIT_BYTES);
    const at = writeFrameHeader(this.#chunk, this.#at, FrameType.Credit, handle, CREDIT_BYTES);
    this.#at = writeFrameEnd(this.#chunk, writeCredit(this.#chunk, at, bytes));
  }

  text(text: string): void {
    this.flush();
    this.#track(NOTHING, text.length);
    this.#socket.sendText(text, this.#sent);
  }

  /** The turn is over: one binary message with all that was encoded. */
  flush(): void {
    const bytes = this.#at;
    if (bytes === 0) return;
    const chunk = this.#chunk;
    this.#chunk = NOTHING;
    this.#at = 0;
    this.#confirmFrame = -1;
    this.#hintBytes = bytes;
    this.#track(chunk, bytes);
    this.#socket.sendBinary(new Uint8Array(chunk.buffer, chunk.byteOffset, bytes), this.#sent);
  }

  /** BODY frames for what a first frame did not hold. */
  #restOfBody(handle: number, bytes: Uint8Array, start: number, end: number): void {
    for (let from = start; from < end; from += PAYLOAD_BYTES_MAX) {
      const to = Math.min(end, from + PAYLOAD_BYTES_MAX);
      this.#reserve(FRAME_OVERHEAD + to - from);
      const at = writeFrameHeader(this.#chunk, this.#at, FrameType.Body, handle, to - from);
      this.#at = writeFrameEnd(this.#chunk, copyBytes(bytes, from, to, this.#chunk, at));
    }
  }

  /** Room for one more entry of `bytes`, in the CONFIRM frame that ends the chunk if it is this publisher's. `#at` is where it goes. */
  #beginConfirm(handle: number, bytes: number): void {
    const joins = this.#confirmFrame >= 0 && this.#confirmHandle === handle && this.#at + bytes <= CHUNK_BYTES_MAX;
    if (joins) {
      const frame = this.#confirmFrame;
      this.#reserve(bytes);
      this.#confirmFrame = frame;
      this.#at -= 1; // over the end octet
      return;
    }
    this.#reserve(FRAME_OVERHEAD + bytes);
    this.#confirmFrame = this.#at;
    this.#confirmHandle = handle;
    this.#at = writeFrameHeader(this.#chunk, this.#at, FrameType.Confirm, handle, 0);
    invariant(this.#at === this.#confirmFrame + FRAME_HEADER_BYTES, 'a frame header has seven octets');
  }

  /** Makes the next `bytes` of the chunk writable: it grows, or goes out and another follows. Offsets survive growing. */
  #reserve(bytes: number): void {
    this.#confirmFrame = -1;
    const needed = this.#at + bytes;
    if (needed <= this.#chunk.length) return;
    invariant(bytes <= CHUNK_BYTES_MAX, 'a frame fits in a chunk');
    if (needed > CHUNK_BYTES_MAX) this.flush();
    const grown = takeChunk(Math.max(this.#at + bytes, this.#hintBytes));
    if (this.#at > 0) grown.set(this.#chunk.subarray(0, this.#at));
    if (this.#chunk.length > 0) giveChunk(this.#chunk);
    this.#chunk = grown;
  }

  #track(chunk: Uint8Array, bytes: number): void {
    this.#inFlight.push({ chunk, bytes });
    this.#inFlightBytes += bytes;
  }

  #messageSent(): void {
    const sent = this.#inFlight.shift();
    if (sent === undefined) return;
    this.#inFlightBytes -= sent.bytes;
    if (sent.chunk.length > 0) giveChunk(sent.chunk);
    if (this.#wasFull && this.#inFlightBytes + this.#at <= OUTBOX_BYTES_MAX / 2) {
      this.#wasFull = false;
      this.#drained();
    }
  }
}
