// Publishes as AMQP frames, from those of leveret.v1, in slabs that are sent from and kept until the confirm. hot
//
//   method: 1 · channel u16 · size u32 · 60 u16 · 40 u16 · 0 u16 · exchange shortstr · key shortstr · mandatory u8 · 0xCE
//   header: 2 · channel u16 · size u32 · content header · 0xCE         body: 3 · channel u16 · size u32 · at most frameMax - 8 bytes · 0xCE, as often as it takes
//
// Always: (1) consecutive publishes lie side by side; (2) written bytes never change, so that they can be sent again on a channel with the same number;
// (3) a body that comes in parts has its whole room from the start. Refuses: to send (publishing.ts).

import { FRAME_HEADER_BYTES, FRAME_OVERHEAD_BYTES, FrameType, writeFrameEnd, writeFrameHeader } from '../../../shared/amqp/frame.ts';
import { METHODS, methodKey } from '../../../shared/amqp/spec.ts';
import { readU32, writeU16, writeU32 } from '../../../shared/bytes.ts';
import type { Content as Published } from '../../../shared/content.ts';
import { readShortString } from '../../../shared/text.ts';
import type { Content } from './channel.ts';
import type { Refusal } from './inbound.ts';

const SLAB_BYTES = 131_072;
const { classId, methodId } = METHODS['basic.publish'];
/** Class, method and the reserved field. */
const BEFORE_NAMES_BYTES = 6;
const MANDATORY = 1;

/** One publish, at bytes[start, end). */
export class Unconfirmed {
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** No queue took it. */
  isReturned = false;
  isDone = false;
  /** A return that says more than that. */
  refusal: Refusal | undefined = undefined;
  /** It, or one that was on its way with it, has closed the channel. */
  isSuspect = false;
  /** What a broker may refuse with a soft error, beside the size: the exchange, and the user in whose name it is sent. */
  readonly trial: string;
  readonly bodyBytes: number;

  constructor(seq: number, trial: string, bodyBytes: number, bytes: Uint8Array, start: number, end: number) {
    this.seq = seq;
    this.trial = trial;
    this.bodyBytes = bodyBytes;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  get exchange(): string {
    return readShortString(this.bytes, this.#namesAt, this.end);
  }
  get key(): string {
    return readShortString(this.bytes, this.#namesAt + 1 + (this.bytes[this.#namesAt] ?? 0), this.end);
  }

  hasNames({ names }: Content): boolean {
    return this.#has(names, this.#namesAt);
  }
  hasHeader({ header }: Content): boolean {
    const methodEnd = this.start + FRAME_OVERHEAD_BYTES + readU32(this.bytes, this.start + 3);
    return this.#has(header, methodEnd + FRAME_HEADER_BYTES);
  }

  get #namesAt(): number {
    return this.start + FRAME_HEADER_BYTES + BEFORE_NAMES_BYTES;
  }
  #has(bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== this.bytes[at + i]) return false;
    return true;
  }
}

export class PublishWriter {
  #bytes = new Uint8Array(SLAB_BYTES);
  #at = 0;
  #start = 0;
  #channel = 0;
  #seq = 0;
  #trial = '';
  #bodyBytes = 0;
  /** Of the body, still to come; and of its frame that is being written. */
  #bodyLeft = 0;
  #frameLeft = 0;
  #bodyFrameBytes = 0;

  /** Begins with all but the body; `part` adds that, and answers the publish when it is whole. */
  begin(content: Published, seq: number, channel: number, bodyFrameBytes: number): void {
    const { bodyBytes, start, headerStart, bodyStart } = content;
    const namesBytes = headerStart - start;
    const headerBytes = bodyStart - headerStart;
    const methodBytes = BEFORE_NAMES_BYTES + namesBytes + 1;
    const frames = 2 + Math.ceil(bodyBytes / bodyFrameBytes);
    const size = methodBytes + headerBytes + bodyBytes + frames * FRAME_OVERHEAD_BYTES;
    if (this.#at + size > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(SLAB_BYTES, size));
      this.#at = 0;
    }
    const bytes = this.#bytes;
    this.#start = this.#at;
    this.#seq = seq;
    this.#trial = content.userId === undefined ? content.exchange : `${content.exchange}\0${content.userId}`;
    this.#channel = channel;
    this.#bodyLeft = this.#bodyBytes = bodyBytes;
    this.#bodyFrameBytes = bodyFrameBytes;
    let at = writeFrameHeader(bytes, this.#at, FrameType.Method, channel, methodBytes);
    at = writeU16(bytes, writeU32(bytes, at, methodKey(classId, methodId)), 0);
    bytes.set(content.bytes.subarray(start, headerStart), at);
    at += namesBytes;
    bytes[at] = MANDATORY;
    at = writeFrameHeader(bytes, writeFrameEnd(bytes, at + 1), FrameType.Header, channel, headerBytes);
    bytes.set(content.bytes.subarray(headerStart, bodyStart), at);
    this.#at = writeFrameEnd(bytes, at + headerBytes);
  }

  part(part: Uint8Array): Unconfirmed | undefined {
    if (part.length > this.#bodyLeft) throw new RangeError('more body than was announced');
    for (let taken = 0; taken < part.length; ) {
      if (this.#frameLeft === 0) {
        this.#frameLeft = Math.min(this.#bodyLeft, this.#bodyFrameBytes);
        this.#at = writeFrameHeader(this.#bytes, this.#at, FrameType.Body, this.#channel, this.#frameLeft);
      }
      const count = Math.min(part.length - taken, this.#frameLeft);
      this.#bytes.set(part.subarray(taken, taken + count), this.#at);
      this.#at += count;
      taken += count;
      this.#bodyLeft -= count;
      this.#frameLeft -= count;
      if (this.#frameLeft === 0) this.#at = writeFrameEnd(this.#bytes, this.#at);
    }
    if (this.#bodyLeft > 0) return undefined;
    return new Unconfirmed(this.#seq, this.#trial, this.#bodyBytes, this.#bytes, this.#start, this.#at);
  }
}
