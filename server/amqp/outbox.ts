// What an AMQP connection is about to send: frames of all its channels, encoded into one growing chunk, put on the socket once a turn. hot
// Always: (1) frames leave in the order of the calls, a method's content right behind it; (2) every body frame but the last is filled to
// frameMax - 8 exactly (clients count on it); (3) `isWritable` is false above its limit (4 MiB) of written and unsent bytes, `isOverfull` true above twice as much, which
// only what is not held back can fill: answers, gets, returns; `drained` follows both.
// Refuses: to own chunks (shared/send-queue.ts does), to drop anything, and to wait. Who asks for deliveries looks at `isWritable` first; who carries out requests, at `isOverfull`.

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
import { copyBytes } from '../../shared/bytes.ts';
import { CHUNK_BYTES_MAX } from '../../shared/chunk-pool.ts';
import type { ContentParts } from '../../shared/content.ts';
import { SendQueue } from '../../shared/send-queue.ts';
import type { ByteSocket } from './byte-socket.ts';

const CONFIRM_FRAME_BYTES = CONFIRM_BYTES + FRAME_OVERHEAD_BYTES;

export class Outbox {
  /** As negotiated: the largest frame that is sent. */
  frameMax: number;
  readonly #queue: SendQueue;
  /** Where the latest ack ends in the chunk, before which flush, and whose it is: the next one may join it. */
  #ackEnd = 0;
  #ackFlush = -1;
  #ackChannel = 0;

  constructor(socket: ByteSocket, frameMax: number, drained: () => void, sendQueueBytes?: number) {
    this.frameMax = frameMax;
    this.#queue = new SendQueue((bytes, sent) => socket.write(bytes, sent), drained, sendQueueBytes);
  }

  /** Flushes that sent something: a heartbeat is due when it stands still. */
  get sentCount(): number {
    return this.#queue.flushCount;
  }
  get sentBytes(): number {
    return this.#queue.totalBytes;
  }
  get isWritable(): boolean {
    return this.#queue.isBelow(this.#queue.bytesMax);
  }
  /** Its peer asks and does not read. `drained` follows here too. */
  get isOverfull(): boolean {
    return !this.#queue.isBelow(2 * this.#queue.bytesMax);
  }

  /** A whole frame, encoded elsewhere. */
  frame(frame: Uint8Array): void {
    this.#queue.reserve(frame.length);
    this.#queue.at = copyBytes(frame, 0, frame.length, this.#queue.chunk, this.#queue.at);
  }

  /** basic.deliver and its content. `tag` is the consumer tag as a short string. */
  deliver(channel: number, tag: Uint8Array, deliveryTag: number, redelivered: boolean, content: ContentParts): void {
    const { bytes, start, headerStart } = content;
    const payloadBytes = DELIVER_FIXED_BYTES + tag.length + headerStart - start;
    this.#begin(channel, payloadBytes, content);
    this.#queue.at = writeDeliver(this.#queue.chunk, this.#queue.at, tag, deliveryTag, redelivered, bytes, start, headerStart);
    this.#content(channel, content);
  }

  getOk(channel: number, deliveryTag: number, redelivered: boolean, messageCount: number, content: ContentParts): void {
    const { bytes, start, headerStart } = content;
    this.#begin(channel, GET_OK_FIXED_BYTES + headerStart - start, content);
    this.#queue.at = writeGetOk(this.#queue.chunk, this.#queue.at, deliveryTag, redelivered, bytes, start, headerStart, messageCount);
    this.#content(channel, content);
  }

  /** basic.return and its content. `text` is a short string. */
  returned(channel: number, replyCode: number, text: Uint8Array, content: ContentParts): void {
    const { bytes, start, headerStart } = content;
    this.#begin(channel, RETURN_FIXED_BYTES + text.length + headerStart - start, content);
    this.#queue.at = writeReturn(this.#queue.chunk, this.#queue.at, replyCode, text, bytes, start, headerStart);
    this.#content(channel, content);
  }

  /** basic.ack to a publisher, up to `deliveryTag`, which ends `count` publishes in a row. Joins the ack before it, when nothing stands between. */
  ack(channel: number, deliveryTag: number, count: number): void {
    const queue = this.#queue;
    const joins = this.#ackEnd === queue.at && this.#ackFlush === queue.flushCount && this.#ackChannel === channel;
    if (joins) queue.at -= CONFIRM_FRAME_BYTES;
    this.#confirm(channel, HotKey.Ack, deliveryTag, joins || count > 1);
    this.#ackEnd = queue.at;
    this.#ackFlush = queue.flushCount;
    this.#ackChannel = channel;
  }

  /** basic.nack of one publish. */
  nack(channel: number, deliveryTag: number): void {
    this.#confirm(channel, HotKey.Nack, deliveryTag, false);
  }

  #confirm(channel: number, key: number, deliveryTag: number, multiple: boolean): void {
    this.#queue.reserve(CONFIRM_FRAME_BYTES);
    const at = writeFrameHeader(this.#queue.chunk, this.#queue.at, FrameType.Method, channel, CONFIRM_BYTES);
    this.#queue.at = writeFrameEnd(this.#queue.chunk, writeConfirm(this.#queue.chunk, at, key, deliveryTag, multiple));
  }

  /** The turn is over: one write with all that was encoded. */
  flush(): void {
    this.#queue.flush();
  }

  /** The header of a method frame of `payloadBytes`; with room for the whole message, where that fits into a chunk. */
  #begin(channel: number, payloadBytes: number, { headerStart, end }: ContentParts): void {
    const methodBytes = payloadBytes + FRAME_OVERHEAD_BYTES;
    const allBytes = methodBytes + end - headerStart + 2 * FRAME_OVERHEAD_BYTES;
    this.#queue.reserve(allBytes <= CHUNK_BYTES_MAX ? allBytes : methodBytes);
    this.#queue.at = writeFrameHeader(this.#queue.chunk, this.#queue.at, FrameType.Method, channel, payloadBytes);
  }

  /** Ends the method frame, then a header frame and as many body frames as there are. */
  #content(channel: number, { bytes, headerStart, bodyStart, end }: ContentParts): void {
    this.#queue.at = writeFrameEnd(this.#queue.chunk, this.#queue.at);
    this.#payload(FrameType.Header, channel, bytes, headerStart, bodyStart);
    const partMax = this.frameMax - FRAME_OVERHEAD_BYTES;
    for (let from = bodyStart; from < end; from += partMax)
      this.#payload(FrameType.Body, channel, bytes, from, Math.min(end, from + partMax));
  }

  #payload(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    this.#queue.reserve(end - start + FRAME_OVERHEAD_BYTES);
    const at = writeFrameHeader(this.#queue.chunk, this.#queue.at, type, channel, end - start);
    this.#queue.at = writeFrameEnd(this.#queue.chunk, copyBytes(bytes, start, end, this.#queue.chunk, at));
  }
}
