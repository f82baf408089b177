// AMQP 0-9-1 frames out of a stream of bytes that may be cut anywhere, and the octets around a payload. hot
//
//   type u8 · channel u16 · size u32 · payload (size bytes) · 0xCE
//
// Always: (1) a frame that lies whole in a chunk is shown in place, one that does not is put together once, in a buffer no larger than frameMax
// allows; (2) what `next` showed is valid until the next call, and its bytes may be written over by then; (3) a size above what was negotiated
// throws before anything is allocated for it.
// RabbitMQ's readers forgive eight bytes above frameMax (clients differ in what they count); so does this one. AMQP 0-9-1, 2.3.5 and 4.2.3.

import { readU16, readU32, writeU16, writeU32 } from '../bytes.ts';
import { AmqpError, ReplyCode } from '../error.ts';

export const FrameType = { Method: 1, Header: 2, Body: 3, Heartbeat: 8 } as const;
export const FRAME_END = 0xce;
export const FRAME_HEADER_BYTES = 7;
/** Around a payload: the header and the end octet. frameMax counts them. */
export const FRAME_OVERHEAD_BYTES = 8;
/** AMQP's frame-min-size. */
export const FRAME_MIN_SIZE = 4096;
/** "AMQP", 0, 0-9-1: what a client sends first. */
export const PROTOCOL_HEADER: readonly number[] = [0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1];
/** A whole heartbeat frame. */
export const HEARTBEAT_FRAME: readonly number[] = [FrameType.Heartbeat, 0, 0, 0, 0, 0, 0, FRAME_END];

const NOTHING: Uint8Array = new Uint8Array(0);
const PENDING_BYTES_MIN = 512;

export class FrameReader {
  type = 0;
  channel = 0;
  /** The payload is bytes[payloadStart, payloadEnd). */
  bytes: Uint8Array = NOTHING;
  payloadStart = 0;
  payloadEnd = 0;
  /** The largest frame that is taken. */
  frameMax: number;
  #chunk: Uint8Array = NOTHING;
  #at = 0;
  /** The beginning of a frame whose end has not come. */
  #pending: Uint8Array = NOTHING;
  #pendingBytes = 0;

  constructor(frameMax: number) {
    this.frameMax = frameMax;
  }

  /** Of the chunk, still to be read. */
  get leftBytes(): number {
    return this.#chunk.length - this.#at;
  }
  /** The chunk that is read now, and where its next frame begins: for who looks ahead. */
  get chunk(): Uint8Array {
    return this.#chunk;
  }
  get at(): number {
    return this.#at;
  }
  /** Goes on behind frames that were read ahead. */
  skipTo(at: number): void {
    this.#at = at;
  }

  /** Gives the next bytes of the stream. The chunk before has been read to its end: `next` answered false. */
  feed(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Moves to the next frame; false when the chunk is used up. Throws 501 for a frame that cannot be. */
  next(): boolean {
    if (this.#pendingBytes > 0) return this.#finishPending();
    const chunk = this.#chunk;
    const at = this.#at;
    const left = chunk.length - at;
    if (left < FRAME_HEADER_BYTES) return this.#keep();
    const size = readU32(chunk, at + 3);
    if (size + FRAME_OVERHEAD_BYTES > left) {
      this.#checkSize(chunk, at, size);
      return this.#keep();
    }
    this.#at = at + size + FRAME_OVERHEAD_BYTES;
    this.#show(chunk, at, size);
    return true;
  }

  /** Forgets what has come: after a frame that cannot be, nobody knows where the next one begins. */
  reset(): void {
    this.feed(NOTHING);
    this.#pending = NOTHING;
    this.#pendingBytes = 0;
  }

  #finishPending(): boolean {
    if (!this.#take(FRAME_HEADER_BYTES)) return false;
    const size = readU32(this.#pending, 3);
    this.#checkSize(this.#pending, 0, size);
    if (!this.#take(size + FRAME_OVERHEAD_BYTES)) return false;
    const frame = this.#pending;
    this.#pending = NOTHING;
    this.#pendingBytes = 0;
    this.#show(frame, 0, size);
    return true;
  }

  /** Fills the pending frame up to `wanted` bytes; false when the chunk has less. */
  #take(wanted: number): boolean {
    const count = Math.min(wanted - this.#pendingBytes, this.leftBytes);
    if (count > 0) {
      this.#grow(this.#pendingBytes + count, wanted);
      this.#pending.set(this.#chunk.subarray(this.#at, this.#at + count), this.#pendingBytes);
      this.#pendingBytes += count;
      this.#at += count;
    }
    return this.#pendingBytes >= wanted || this.#release();
  }

  /** Doubles, so that bytes that come singly are not copied again for each: never more than the frame, nor twice what came. */
  #grow(needed: number, wanted: number): void {
    if (needed <= this.#pending.length) return;
    const grown = new Uint8Array(Math.max(needed, Math.min(Math.max(wanted, FRAME_HEADER_BYTES), Math.max(PENDING_BYTES_MIN, needed * 2))));
    grown.set(this.#pending.subarray(0, this.#pendingBytes));
    this.#pending = grown;
  }

  #keep(): false {
    const left = this.leftBytes;
    if (left > 0) {
      this.#pending = new Uint8Array(Math.max(left, FRAME_HEADER_BYTES));
      this.#pending.set(this.#chunk.subarray(this.#at));
      this.#pendingBytes = left;
    }
    return this.#release();
  }

  /** Who waits holds nothing of what was read: an idle connection costs no chunk. */
  #release(): false {
    this.feed(NOTHING);
    this.bytes = NOTHING;
    return false;
  }

  #checkSize(bytes: Uint8Array, at: number, size: number): void {
    if (size <= this.frameMax) return;
    const type = bytes[at] as number;
    const text = `type ${type}, all octets = <<>>: {frame_too_large,${size},${this.frameMax - FRAME_OVERHEAD_BYTES}}`;
    throw new AmqpError(ReplyCode.FrameError, text);
  }

  #show(bytes: Uint8Array, at: number, size: number): void {
    if (size > this.frameMax) this.#checkSize(bytes, at, size);
    this.type = bytes[at] as number;
    this.channel = readU16(bytes, at + 1);
    this.bytes = bytes;
    this.payloadStart = at + FRAME_HEADER_BYTES;
    this.payloadEnd = this.payloadStart + size;
    const end = bytes[this.payloadEnd] as number;
    if (end !== FRAME_END) {
      const octets = describeOctets(bytes, this.payloadStart, this.payloadEnd);
      throw new AmqpError(ReplyCode.FrameError, `type ${this.type}, ${octets}: {invalid_frame_end_marker,${end}}`);
    }
  }
}

/** Writes the seven octets before a payload and answers the offset behind them. */
export function writeFrameHeader(bytes: Uint8Array, at: number, type: number, channel: number, payloadBytes: number): number {
  bytes[at] = type;
  return writeU32(bytes, writeU16(bytes, at + 1, channel), payloadBytes);
}

export function writeFrameEnd(bytes: Uint8Array, at: number): number {
  bytes[at] = FRAME_END;
  return at + 1;
}

/** An error that no method is to blame for: connection.close names none. */
export class BlamelessError extends AmqpError {}

interface ShownFrame {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly payloadStart: number;
  readonly payloadEnd: number;
}

/** A frame that is none: of an unknown type, or shorter than its type can be. */
export function unknownFrame({ type, bytes, payloadStart, payloadEnd }: ShownFrame): BlamelessError {
  return new BlamelessError(ReplyCode.FrameError, `type ${type}, ${describeOctets(bytes, payloadStart, payloadEnd)}: unknown_frame`);
}

/** A frame where its type has no place, or which is none at all. */
export function misplacedFrame(frame: ShownFrame): BlamelessError {
  const { type, bytes, payloadStart, payloadEnd } = frame;
  const isFrame = type === FrameType.Heartbeat ? payloadStart === payloadEnd : type >= FrameType.Method && type <= FrameType.Body;
  if (!isFrame) return unknownFrame(frame);
  return new BlamelessError(ReplyCode.UnexpectedFrame, `type ${type}, ${describeOctets(bytes, payloadStart, payloadEnd)}`);
}

/** A short string that is not UTF-8. */
export function malformedUtf8(): BlamelessError {
  return new BlamelessError(ReplyCode.FrameError, 'Malformed UTF-8 in shortstr');
}

/** Fields of a method, which begin at `start`, that do not parse. Those of the connection class hold passwords, so they are not shown. */
export function undecodable(bytes: Uint8Array, start: number, end: number): AmqpError {
  if (readU16(bytes, start - 4) === CONNECTION_CLASS) return new AmqpError(ReplyCode.FrameError, `cannot decode ${end - start} octets`);
  const shown = bytes.subarray(start, Math.min(end, start + UNDECODABLE_OCTETS_SHOWN));
  return new AmqpError(ReplyCode.FrameError, `cannot decode <<${shown.join(',')}${start + shown.length < end ? ',' : '>>'}`);
}

const CONNECTION_CLASS = 10;
const OCTETS_SHOWN = 16;
// A reply text ends at 255 bytes, and each octet takes two of them or more.
const UNDECODABLE_OCTETS_SHOWN = 128;

/** A payload as RabbitMQ's frame errors print it: Erlang's binary. */
export function describeOctets(bytes: Uint8Array, start: number, end: number): string {
  const isCut = end - start > OCTETS_SHOWN;
  const shown = [...bytes.subarray(start, isCut ? start + OCTETS_SHOWN : end)];
  const isText = shown.length > 0 && shown.every((octet) => octet >= 0x20 && octet < 0x7f);
  const inside = isText ? JSON.stringify(String.fromCharCode(...shown)) : shown.join(',');
  return `${isCut ? `first ${OCTETS_SHOWN}` : 'all'} octets = <<${inside}>>`;
}
