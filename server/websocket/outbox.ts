// What a connection is about to send: one growing chunk of data frames, encoded in place, put on the socket once a turn. hot
// Always: (1) text and binary leave in the order in which they were asked for: text flushes first; (2) `isWritable`
// is false above 4 MiB of written and unsent bytes, and `drained` follows once half of that is gone.
// Refuses: to own chunks (shared/send-queue.ts does), to drop anything, and to wait. Who asks for deliveries looks at `isWritable` first.

import { invariant } from '../../shared/assert.ts';
import { copyBytes, writeU32 } from '../../shared/bytes.ts';
import { CHUNK_BYTES_MAX } from '../../shared/chunk-pool.ts';
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
import { SendQueue } from '../../shared/send-queue.ts';
import { encodeUtf8 } from '../../shared/text.ts';
import type { MessageSocket } from './message-socket.ts';

const PAYLOAD_BYTES_MAX = CHUNK_BYTES_MAX - FRAME_OVERHEAD;

export class Outbox {
  readonly #socket: MessageSocket;
  readonly #queue: SendQueue;
  // The CONFIRM frame that ends the chunk, so that more entries can join it; -1 when something else does.
  #confirmFrame = -1;
  #confirmHandle = 0;
  #confirmEntry = 0;
  #confirmNextSeq = 0;
  #confirmCount = 0;
  #confirmRouted = 0;

  constructor(socket: MessageSocket, drained: () => void, sendQueueBytes?: number) {
    this.#socket = socket;
    this.#queue = new SendQueue((bytes, sent) => socket.sendBinary(bytes, sent), drained, sendQueueBytes);
  }

  get totalBytes(): number {
    return this.#queue.totalBytes;
  }
  get bytesMax(): number {
    return this.#queue.bytesMax;
  }
  get isWritable(): boolean {
    return this.#queue.isBelow(this.#queue.bytesMax);
  }

  /** Written and not yet taken by the socket's other side. */
  get bytes(): number {
    return this.#queue.bytes;
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
    const chunk = this.#queue.chunk;
    let at = writeFrameHeader(chunk, this.#queue.at, FrameType.Deliver, handle, payloadBytes);
    at = writeDeliverHead(chunk, at, tag, redelivered, deliveryCount, queueNumber, seq);
    at = copyBytes(bytes, start, payloadEnd, chunk, at);
    this.#queue.at = writeFrameEnd(chunk, at);
    if (payloadEnd < end) this.#restOfBody(handle, bytes, payloadEnd, end);
  }

  returned(handle: number, seq: number, code: number, text: string, bytes: Uint8Array, start: number, end: number): void {
    const partEnd = Math.min(end, start + PAYLOAD_BYTES_MAX - RETURN_HEAD_BYTES_MAX);
    this.#reserve(FRAME_OVERHEAD + RETURN_HEAD_BYTES_MAX + partEnd - start);
    const frame = this.#queue.at;
    let at = writeFrameHeader(this.#queue.chunk, frame, FrameType.Return, handle, 0);
    at = writeReturnHead(this.#queue.chunk, at, seq, code, text);
    at = copyBytes(bytes, start, partEnd, this.#queue.chunk, at);
    this.#queue.at = closeFrame(this.#queue.chunk, frame, at);
    if (partEnd < end) this.#restOfBody(handle, bytes, partEnd, end);
  }

  /** Consecutive publishes with the same outcome become one entry, entries of one publisher one frame. */
  confirm(handle: number, firstSeq: number, count: number, routed: number): void {
    if (this.#confirmFrame >= 0 && this.#confirmHandle === handle && this.#confirmNextSeq === firstSeq && this.#confirmRouted === routed) {
      this.#confirmCount += count;
      this.#confirmNextSeq += count;
      writeU32(this.#queue.chunk, this.#confirmEntry + 8, this.#confirmCount);
      return;
    }
    this.#beginConfirm(handle, CONFIRM_BYTES);
    this.#confirmEntry = this.#queue.at;
    this.#confirmNextSeq = firstSeq + count;
    this.#confirmCount = count;
    this.#confirmRouted = routed;
    this.#queue.at = closeFrame(
      this.#queue.chunk,
      this.#confirmFrame,
      writeConfirm(this.#queue.chunk, this.#queue.at, firstSeq, count, routed),
    );
  }

  refuse(handle: number, seq: number, error: AmqpError): void {
    const json = encodeUtf8(JSON.stringify(errorToJson(error)));
    this.#beginConfirm(handle, REFUSED_HEAD_BYTES + json.length);
    this.#confirmNextSeq = 0; // no run can follow on a refused entry
    this.#queue.at = closeFrame(this.#queue.chunk, this.#confirmFrame, writeRefused(this.#queue.chunk, this.#queue.at, seq, json));
  }

  credit(handle: number, bytes: number): void {
    this.#reserve(FRAME_OVERHEAD + CREDIT_BYTES);
    const at = writeFrameHeader(this.#queue.chunk, this.#queue.at, FrameType.Credit, handle, CREDIT_BYTES);
    this.#queue.at = writeFrameEnd(this.#queue.chunk, writeCredit(this.#queue.chunk, at, bytes));
  }

  text(text: string): void {
    this.flush();
    this.#queue.track(text.length);
    this.#socket.sendText(text, this.#queue.sent);
  }

  /** The turn is over: one binary message with all that was encoded. */
  flush(): void {
    this.#confirmFrame = -1;
    this.#queue.flush();
  }

  /** BODY frames for what a first frame did not hold. */
  #restOfBody(handle: number, bytes: Uint8Array, start: number, end: number): void {
    for (let from = start; from < end; from += PAYLOAD_BYTES_MAX) {
      const to = Math.min(end, from + PAYLOAD_BYTES_MAX);
      this.#reserve(FRAME_OVERHEAD + to - from);
      const at = writeFrameHeader(this.#queue.chunk, this.#queue.at, FrameType.Body, handle, to - from);
      this.#queue.at = writeFrameEnd(this.#queue.chunk, copyBytes(bytes, from, to, this.#queue.chunk, at));
    }
  }

  /** Room for one more entry of `bytes`, in the CONFIRM frame that ends the chunk if it is this publisher's. `#at` is where it goes. */
  #beginConfirm(handle: number, bytes: number): void {
    const joins = this.#confirmFrame >= 0 && this.#confirmHandle === handle && this.#queue.at + bytes <= CHUNK_BYTES_MAX;
    if (joins) {
      const frame = this.#confirmFrame;
      this.#reserve(bytes);
      this.#confirmFrame = frame;
      this.#queue.at -= 1; // over the end octet
      return;
    }
    this.#reserve(FRAME_OVERHEAD + bytes);
    this.#confirmFrame = this.#queue.at;
    this.#confirmHandle = handle;
    this.#queue.at = writeFrameHeader(this.#queue.chunk, this.#queue.at, FrameType.Confirm, handle, 0);
    invariant(this.#queue.at === this.#confirmFrame + FRAME_HEADER_BYTES, 'a frame header has seven octets');
  }

  /** Makes the next `bytes` of the chunk writable: it grows, or goes out and another follows. Offsets survive growing. */
  #reserve(bytes: number): void {
    this.#confirmFrame = -1;
    this.#queue.reserve(bytes);
  }
}
