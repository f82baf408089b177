// What an AMQP connection is about to send: frames of all its channels, encoded into one growing chunk, put on the socket once a turn. hot
// Always: (1) frames leave in the order of the calls, a method's content right behind it; (2) every body frame but the last is filled to
// frameMax - 8 exactly (clients count on it); (3) a chunk is written by nobody else until the socket has sent it; (4) `isWritable` is false above
// 4 MiB of written and unsent bytes, and `drained` follows once half of that is gone; `isOverfull` is true above twice as much, which only what is not
// held back can fill: answers, gets, returns.
// Refuses: to drop anything, and to wait. Who asks for deliveries looks at `isWritable` first; who carries out requests, at `isOverfull`.

import { FRAME_OVERHEAD_BYTES, FrameType, writeFrameEnd, writeFrameHeader } from '../../shared/amqp/frame.ts';
import {
  CONFIRM_BYTES,
  DELIVER_FIXED_BYTES,
  GET_OK_FIXED_BYTES,
  HotKey,
  RETURN_FIXED_BYTES,
  writeConfirm,
  writeDeliver,
  writeGetOk,
  writeReturn,
} from '../../shared/amqp/hot.ts';
import { invariant } from '../../shared/assert.ts';
import { copyBytes } from '../../shared/bytes.ts';
import { CHUNK_BYTES_MAX, giveChunk, takeChunk } from '../../shared/chunk-pool.ts';
import type { ContentParts } from '../../shared/content.ts';
import { Ring } from '../../shared/ring.ts';
import type { ByteSocket } from './byte-socket.ts';

/** security.md: socket send queue 4 MiB, then stop delivering. */
export const OUTBOX_BYTES_MAX = 4 * 1024 * 1024;
const CONFIRM_FRAME_BYTES = CONFIRM_BYTES + FRAME_OVERHEAD_BYTES;
const NOTHING: Uint8Array = new Uint8Array(0);

interface InFlight {
  readonly chunk: Uint8Array;
  readonly bytes: number;
}

export class Outbox {
  /** As negotiated: the largest frame that is sent. */
  frameMax: number;
  /** Flushes that sent something: a heartbeat is due when it stands still. */
  sentCount = 0;
  readonly #socket: ByteSocket;
  readonly #drained: () => void;
  readonly #sent: () => void;
  readonly #inFlight = new Ring<InFlight>(2);
  #inFlightBytes = 0;
  #chunk: Uint8Array = NOTHING;
  #at = 0;
  /** What the latest flush needed: the next chunk starts as large, so a busy connection does not grow one each turn. */
  #hintBytes = 0;
  #wasFull = false;
  /** Where the latest ack ends in the chunk, and whose it is: the next one may join it. */
  #ackEnd = 0;
  #ackChannel = 0;

  constructor(socket: ByteSocket, frameMax: number, drained: () => void) {
    this.#socket = socket;
    this.frameMax = frameMax;
    this.#drained = drained;
    this.#sent = () => this.#chunkSent();
  }

  get isWritable(): boolean {
    if (this.#inFlightBytes + this.#at < OUTBOX_BYTES_MAX) return true;
    this.#wasFull = true;
    return false;
  }

  /** Its peer asks and does not read. `drained` follows here too. */
  get isOverfull(): boolean {
    if (this.#inFlightBytes + this.#at < 2 * OUTBOX_BYTES_MAX) return false;
    this.#wasFull = true;
    return true;
  }

  /** Written and not yet taken by the socket's other side. */
  get bytes(): number {
    return this.#inFlightBytes + this.#at;
  }

  /** A whole frame, encoded elsewhere. */
  frame(frame: Uint8Array): void {
    this.#reserve(frame.length);
    this.#at = copyBytes(frame, 0, frame.length, this.#chunk, this.#at);
  }

  /** basic.deliver and its content. `tag` is the consumer tag as a short string. */
  deliver(channel: number, tag: Uint8Array, deliveryTag: number, redelivered: boolean, content: ContentParts): void {
    const { bytes, start, headerStart } = content;
    const payloadBytes = DELIVER_FIXED_BYTES + tag.length + headerStart - start;
    this.#begin(channel, payloadBytes, content);
    this.#at = writeDeliver(this.#chunk, this.#at, tag, deliveryTag, redelivered, bytes, start, headerStart);
    this.#content(channel, content);
  }

  getOk(channel: number, deliveryTag: number, redelivered: boolean, messageCount: number, content: ContentParts): void {
    const { bytes, start, headerStart } = content;
    this.#begin(channel, GET_OK_FIXED_BYTES + headerStart - start, content);
    this.#at = writeGetOk(this.#chunk, this.#at, deliveryTag, redelivered, bytes, start, headerStart, messageCount);
    this.#content(channel, content);
  }

  /** basic.return and its content. `text` is a short string. */
  returned(channel: number, replyCode: number, text: Uint8Array, content: ContentParts): void {
    const { bytes, start, headerStart } = content;
    this.#begin(channel, RETURN_FIXED_BYTES + text.length + headerStart - start, content);
    this.#at = writeReturn(this.#chunk, this.#at, replyCode, text, bytes, start, headerStart);
    this.#content(channel, content);
  }

  /** basic.ack to a publisher, up to `deliveryTag`, which ends `count` publishes in a row. Joins the ack before it, when nothing stands between. */
  ack(channel: number, deliveryTag: number, count: number): void {
    const joins = this.#ackEnd > 0 && this.#ackEnd === this.#at && this.#ackChannel === channel;
    if (joins) this.#at -= CONFIRM_FRAME_BYTES;
    this.#confirm(channel, HotKey.Ack, deliveryTag, joins || count > 1);
    this.#ackEnd = this.#at;
    this.#ackChannel = channel;
  }

  /** basic.nack of one publish. */
  nack(channel: number, deliveryTag: number): void {
    this.#confirm(channel, HotKey.Nack, deliveryTag, false);
  }

  #confirm(channel: number, key: number, deliveryTag: number, multiple: boolean): void {
    this.#reserve(CONFIRM_FRAME_BYTES);
    const at = writeFrameHeader(this.#chunk, this.#at, FrameType.Method, channel, CONFIRM_BYTES);
    this.#at = writeFrameEnd(this.#chunk, writeConfirm(this.#chunk, at, key, deliveryTag, multiple));
  }

  /** The turn is over: one write with all that was encoded. */
  flush(): void {
    const bytes = this.#at;
    if (bytes === 0) return;
    const chunk = this.#chunk;
    this.#chunk = NOTHING;
    this.#at = 0;
    this.#ackEnd = 0;
    this.#hintBytes = bytes;
    this.sentCount++;
    this.#inFlight.push({ chunk, bytes });
    this.#inFlightBytes += bytes;
    this.#socket.write(new Uint8Array(chunk.buffer, chunk.byteOffset, bytes), this.#sent);
  }

  /** The header of a method frame of `payloadBytes`; with room for the whole message, where that fits into a chunk. */
  #begin(channel: number, payloadBytes: number, { headerStart, end }: ContentParts): void {
    const methodBytes = payloadBytes + FRAME_OVERHEAD_BYTES;
    const allBytes = methodBytes + end - headerStart + 2 * FRAME_OVERHEAD_BYTES;
    this.#reserve(allBytes <= CHUNK_BYTES_MAX ? allBytes : methodBytes);
    this.#at = writeFrameHeader(this.#chunk, this.#at, FrameType.Method, channel, payloadBytes);
  }

  /** Ends the method frame, then a header frame and as many body frames as there are. */
  #content(channel: number, { bytes, headerStart, bodyStart, end }: ContentParts): void {
    this.#at = writeFrameEnd(this.#chunk, this.#at);
    this.#payload(FrameType.Header, channel, bytes, headerStart, bodyStart);
    const partMax = this.frameMax - FRAME_OVERHEAD_BYTES;
    for (let from = bodyStart; from < end; from += partMax)
      this.#payload(FrameType.Body, channel, bytes, from, Math.min(end, from + partMax));
  }

  #payload(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start + FRAME_OVERHEAD_BYTES);
    const at = writeFrameHeader(this.#chunk, this.#at, type, channel, end - start);
    this.#at = writeFrameEnd(this.#chunk, copyBytes(bytes, start, end, this.#chunk, at));
  }

  /** Makes the next `bytes` of the chunk writable: it grows, or goes out and another follows. */
  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#chunk.length) return;
    invariant(bytes <= CHUNK_BYTES_MAX, 'a frame fits in a chunk');
    if (needed > CHUNK_BYTES_MAX) this.flush();
    const grown = takeChunk(Math.max(this.#at + bytes, this.#hintBytes));
    if (this.#at > 0) grown.set(this.#chunk.subarray(0, this.#at));
    if (this.#chunk.length > 0) giveChunk(this.#chunk);
    this.#chunk = grown;
  }

  #chunkSent(): void {
    const sent = this.#inFlight.shift();
    if (sent === undefined) return;
    this.#inFlightBytes -= sent.bytes;
    giveChunk(sent.chunk);
    if (this.#wasFull && this.#inFlightBytes + this.#at <= OUTBOX_BYTES_MAX / 2) {
      this.#wasFull = false;
      this.#drained();
    }
  }
}
