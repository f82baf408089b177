// Counts the contents in a stream of AMQP frames by the sizes in the frame headers, without decoding: what a consumer's side of a benchmark costs. hot
// Always: (1) the stream may be cut anywhere; (2) of a body no more is looked at than the stamp in its first eight bytes: nothing is copied but the
// beginning of a frame that a cut hides; (3) a content counts when its last body byte has come; (4) a frame that does not end in 0xCE throws.
// Methods other than deliver, ack and nack are shown whole, for somebody else to decode.
// Refuses to check what a frame says beyond that: the brokers are the subject here, their codecs have tests of their own.

import { FRAME_END, FRAME_HEADER_BYTES, FRAME_OVERHEAD_BYTES, FrameType } from '../../../shared/amqp/frame.ts';
import { METHODS, methodKey } from '../../../shared/amqp/spec.ts';
import { readU32, readU64 } from '../../../shared/bytes.ts';
import { STAMP_BYTES } from './stamp.ts';

const keyOf = ({ classId, methodId }: { readonly classId: number; readonly methodId: number }): number => methodKey(classId, methodId);
const DELIVER = keyOf(METHODS['basic.deliver']);
const ACK = keyOf(METHODS['basic.ack']);
const NACK = keyOf(METHODS['basic.nack']);

// More than any broker's frame-max for what is no body.
const METHOD_BYTES_MAX = 1 << 20;

/** Who is told. Its bytes are the stream's: they are good until it returns. */
export interface ContentReader {
  /** A content is whole. `stamp` is 0 where its body is too short to hold one. */
  content(stamp: number): void;
  settled(tag: number, isMultiple: boolean, isNack: boolean): void;
  /** Any other method: bytes[start, end) is its payload. */
  method(bytes: Uint8Array, start: number, end: number): void;
}

export class ContentWalk {
  readonly #reader: ContentReader;
  readonly #stampView = new DataView(new ArrayBuffer(STAMP_BYTES));
  /** The beginning of a frame, until as much has come as is looked at. */
  #pending: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES + STAMP_BYTES);
  #pendingBytes = 0;
  /** To be passed over: what is left of a body frame, with its end octet. */
  #skipBytes = 0;
  /** Of the content's body, in frames to come. */
  #bodyBytes = 0;
  #isFirstBody = false;
  #stamp = 0;

  constructor(reader: ContentReader) {
    this.#reader = reader;
  }

  walk(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    if (this.#skipBytes > 0) {
      const passed = Math.min(this.#skipBytes, end - at);
      at += passed;
      this.#skipBytes -= passed;
      if (this.#skipBytes > 0) return;
      this.#bodyFrameEnded(bytes[at - 1] as number);
    }
    if (this.#pendingBytes > 0) at = this.#finishPending(bytes, at, end);
    while (at < end) {
      const left = end - at;
      if (left < FRAME_HEADER_BYTES || left < this.#wanted(bytes, at)) {
        this.#keep(bytes, at, end);
        return;
      }
      at = this.#frame(bytes, at, end);
    }
  }

  /** How much of the frame at `at`, whose header is there, must have come before it is looked at. */
  #wanted(bytes: Uint8Array, at: number): number {
    const size = readU32(bytes, at + 3);
    if (bytes[at] !== FrameType.Body) {
      if (size > METHOD_BYTES_MAX) throw new Error(`a frame of type ${bytes[at]} and ${size} bytes: the stream is out of step`);
      return size + FRAME_OVERHEAD_BYTES;
    }
    return FRAME_HEADER_BYTES + (this.#isFirstBody ? Math.min(size, STAMP_BYTES) : 0);
  }

  /** Looks at the frame at `at`; answers where the next begins, or `end` where a part of this one is to be passed over still. */
  #frame(bytes: Uint8Array, at: number, end: number): number {
    const size = readU32(bytes, at + 3);
    const payload = at + FRAME_HEADER_BYTES;
    const next = payload + size + 1;
    const type = bytes[at] as number;
    if (type === FrameType.Body) {
      if (this.#isFirstBody) {
        this.#isFirstBody = false;
        this.#stamp = size < STAMP_BYTES ? 0 : this.#readStamp(bytes, payload);
      }
      this.#bodyBytes -= size;
      if (next > end) {
        this.#skipBytes = next - end;
        return end;
      }
      this.#bodyFrameEnded(bytes[next - 1] as number);
      return next;
    }
    checkEnd(bytes[next - 1] as number);
    if (type === FrameType.Method) this.#method(bytes, payload, next - 1);
    else if (type === FrameType.Header) {
      this.#bodyBytes = readU64(bytes, payload + 4);
      this.#isFirstBody = true;
      this.#stamp = 0;
      if (this.#bodyBytes === 0) this.#reader.content(0);
    }
    return next;
  }

  #bodyFrameEnded(octet: number): void {
    checkEnd(octet);
    if (this.#bodyBytes === 0) this.#reader.content(this.#stamp);
  }

  #method(bytes: Uint8Array, start: number, end: number): void {
    const key = readU32(bytes, start);
    if (key === DELIVER) return;
    if (key === ACK || key === NACK) {
      this.#reader.settled(readU64(bytes, start + 4), ((bytes[start + 12] as number) & 1) === 1, key === NACK);
    } else this.#reader.method(bytes, start, end);
  }

  #readStamp(bytes: Uint8Array, at: number): number {
    const view = this.#stampView;
    view.setUint32(0, readU32(bytes, at));
    view.setUint32(4, readU32(bytes, at + 4));
    return view.getFloat64(0);
  }

  /** Completes the frame whose beginning is kept, and answers where to go on. */
  #finishPending(bytes: Uint8Array, start: number, end: number): number {
    let at = this.#take(bytes, start, end, FRAME_HEADER_BYTES);
    if (this.#pendingBytes < FRAME_HEADER_BYTES) return at;
    const wanted = this.#wanted(this.#pending, 0);
    at = this.#take(bytes, at, end, wanted);
    if (this.#pendingBytes < wanted) return at;
    this.#pendingBytes = 0;
    this.#frame(this.#pending, 0, wanted);
    if (this.#skipBytes > 0) {
      const passed = Math.min(this.#skipBytes, end - at);
      at += passed;
      this.#skipBytes -= passed;
      if (this.#skipBytes === 0) this.#bodyFrameEnded(bytes[at - 1] as number);
    }
    return at;
  }

  #take(bytes: Uint8Array, at: number, end: number, wanted: number): number {
    const count = Math.max(0, Math.min(wanted - this.#pendingBytes, end - at));
    this.#reserve(wanted);
    this.#pending.set(bytes.subarray(at, at + count), this.#pendingBytes);
    this.#pendingBytes += count;
    return at + count;
  }

  #keep(bytes: Uint8Array, at: number, end: number): void {
    this.#reserve(end - at);
    this.#pending.set(bytes.subarray(at, end));
    this.#pendingBytes = end - at;
  }

  #reserve(size: number): void {
    if (this.#pending.length >= size) return;
    const grown = new Uint8Array(size);
    grown.set(this.#pending.subarray(0, this.#pendingBytes));
    this.#pending = grown;
  }
}

function checkEnd(octet: number): void {
  if (octet !== FRAME_END) throw new Error(`a frame ends in ${octet}, not in ${FRAME_END}: the stream is out of step`);
}
