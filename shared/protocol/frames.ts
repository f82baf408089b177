// The data frames of leveret.v1 (docs/protocol.md, "Binary messages"): one parser, a writer and a reader for each payload. hot
//
//   0 type u8 · 1 handle u16 · 3 payload bytes u32 · 7 payload · 0xCE
//
// Always: (1) a writer stores at `at`, answers the offset behind, and leaves room to its caller; (2) parser and readers are objects to reuse: fields
// are set by the last open/read/next, and nothing is allocated for a frame; (3) a malformed frame throws 501, a number above 2^53 - 1 throws 502.
// Does not look into content (content.ts): heads and readers tell where it starts. Unknown flag bits are ignored.

import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../bytes.ts';
import { AmqpError, ReplyCode } from '../error.ts';
import { readShortString, shortStringEnd, writeShortString } from '../text.ts';

export const FrameType = { Publish: 1, Deliver: 2, Settle: 3, Confirm: 4, Return: 5, Credit: 6, Body: 7 } as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const FRAME_HEADER_BYTES = 7;
export const FRAME_END = 0xce;
/** Header and end octet. */
export const FRAME_OVERHEAD = 8;
/** What a payload may hold unless hello's limits say otherwise. 256 KiB: two such frames of different handles still interleave within a millisecond. */
export const FRAME_BYTES_MAX = 262_144;

export const PUBLISH_HEAD_BYTES = 1;
export const DELIVER_HEAD_BYTES = 25;
export const SETTLE_BYTES = 9;
export const CONFIRM_BYTES = 17;
/** A refused confirm, without its JSON error. */
export const REFUSED_HEAD_BYTES = 21;
/** seq, code and the longest text. */
export const RETURN_HEAD_BYTES_MAX = 266;
export const CREDIT_BYTES = 4;

const PUBLISH_MANDATORY = 1;
const DELIVER_REDELIVERED = 1;
const OUTCOME_STORED = 0;
const OUTCOME_REFUSED = 1;

export const SettleAction = { Ack: 0, Nack: 1, Reject: 2, Release: 3 } as const;
export type SettleAction = (typeof SettleAction)[keyof typeof SettleAction];
const SETTLE_ACTION_MASK = 3;
const SETTLE_REQUEUE = 4;
const SETTLE_MULTIPLE = 8;

const NOTHING = new Uint8Array(0);
const malformed = (what: string): AmqpError => new AmqpError(ReplyCode.FrameError, `malformed frame: ${what}`);

/** Walks one binary message: `open` it, then read the fields after each `next` that answers true. After a throw there is no next. */
export class FrameParser {
  type: FrameType = FrameType.Body;
  handle = 0;
  bytes: Uint8Array = NOTHING;
  payloadStart = 0;
  payloadEnd = 0;
  readonly #payloadBytesMax: number;
  #at = 0;
  #end = 0;

  constructor(payloadBytesMax = FRAME_BYTES_MAX) {
    this.#payloadBytesMax = payloadBytesMax;
  }

  open(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
    return this;
  }

  next(): boolean {
    const { bytes } = this;
    const at = this.#at;
    const end = this.#end;
    if (at === end) return false;
    this.#at = end;
    const payloadStart = at + FRAME_HEADER_BYTES;
    if (payloadStart >= end) throw malformed('cut short');
    const type = bytes[at] as number;
    if (type < FrameType.Publish || type > FrameType.Body) throw malformed(`no frame type ${type}`);
    const payloadBytes = readU32(bytes, at + 3);
    if (payloadBytes > this.#payloadBytesMax)
      throw malformed(`${payloadBytes} bytes of payload, above the limit of ${this.#payloadBytesMax}`);
    const payloadEnd = payloadStart + payloadBytes;
    if (payloadEnd >= end) throw malformed('cut short');
    if (bytes[payloadEnd] !== FRAME_END) throw malformed('its end octet is not 0xCE');
    this.type = type as FrameType;
    this.handle = readU16(bytes, at + 1);
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.#at = payloadEnd + 1;
    return true;
  }
}

export function writeFrameHeader(bytes: Uint8Array, at: number, type: FrameType, handle: number, payloadBytes: number): number {
  bytes[at] = type;
  writeU16(bytes, at + 1, handle);
  return writeU32(bytes, at + 3, payloadBytes);
}

export function writeFrameEnd(bytes: Uint8Array, at: number): number {
  bytes[at] = FRAME_END;
  return at + 1;
}

/** Ends the frame that writeFrameHeader began at `frameStart`, and sets its size: for payloads whose size is known only when written. */
export function closeFrame(bytes: Uint8Array, frameStart: number, at: number): number {
  writeU32(bytes, frameStart + 3, at - frameStart - FRAME_HEADER_BYTES);
  return writeFrameEnd(bytes, at);
}

// PUBLISH: flags u8 · content

export function writePublishHead(bytes: Uint8Array, at: number, mandatory: boolean): number {
  bytes[at] = mandatory ? PUBLISH_MANDATORY : 0;
  return at + PUBLISH_HEAD_BYTES;
}

export class PublishHead {
  mandatory = false;
  contentStart = 0;

  read(bytes: Uint8Array, start: number, end: number): this {
    if (start + PUBLISH_HEAD_BYTES > end) throw malformed('PUBLISH cut short');
    this.mandatory = ((bytes[start] as number) & PUBLISH_MANDATORY) !== 0;
    this.contentStart = start + PUBLISH_HEAD_BYTES;
    return this;
  }
}

// DELIVER: tag u64 · flags u8 · delivery count u32 · queue number u32 · seq u64 · content

export function writeDeliverHead(
  bytes: Uint8Array,
  at: number,
  tag: number,
  redelivered: boolean,
  deliveryCount: number,
  queueNumber: number,
  seq: number,
): number {
  writeU64(bytes, at, tag);
  bytes[at + 8] = redelivered ? DELIVER_REDELIVERED : 0;
  writeU32(bytes, at + 9, deliveryCount);
  writeU32(bytes, at + 13, queueNumber);
  return writeU64(bytes, at + 17, seq);
}

export class DeliverHead {
  /** 0: nothing to settle. */
  tag = 0;
  redelivered = false;
  deliveryCount = 0;
  queueNumber = 0;
  seq = 0;
  contentStart = 0;

  read(bytes: Uint8Array, start: number, end: number): this {
    if (start + DELIVER_HEAD_BYTES > end) throw malformed('DELIVER cut short');
    this.tag = readU64(bytes, start);
    this.redelivered = ((bytes[start + 8] as number) & DELIVER_REDELIVERED) !== 0;
    this.deliveryCount = readU32(bytes, start + 9);
    this.queueNumber = readU32(bytes, start + 13);
    this.seq = readU64(bytes, start + 17);
    this.contentStart = start + DELIVER_HEAD_BYTES;
    return this;
  }
}

// SETTLE: (tag u64 · flags u8)+

/** One entry; a SETTLE frame holds one or more. */
export function writeSettle(bytes: Uint8Array, at: number, tag: number, action: SettleAction, requeue: boolean, multiple: boolean): number {
  writeU64(bytes, at, tag);
  bytes[at + 8] = action | (requeue ? SETTLE_REQUEUE : 0) | (multiple ? SETTLE_MULTIPLE : 0);
  return at + SETTLE_BYTES;
}

/** `open` the payload, then read the fields after each `next` that answers true. */
export class SettleReader {
  tag = 0;
  action: SettleAction = SettleAction.Ack;
  requeue = false;
  multiple = false;
  #bytes: Uint8Array = NOTHING;
  #at = 0;
  #end = 0;

  open(bytes: Uint8Array, start: number, end: number): this {
    if (start === end || (end - start) % SETTLE_BYTES !== 0) throw malformed('SETTLE is not a run of whole entries');
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    return this;
  }

  next(): boolean {
    const at = this.#at;
    if (at === this.#end) return false;
    this.#at = at + SETTLE_BYTES;
    const flags = this.#bytes[at + 8] as number;
    const action = flags & SETTLE_ACTION_MASK;
    this.tag = readU64(this.#bytes, at);
    this.action = action as SettleAction;
    this.requeue = (flags & SETTLE_REQUEUE) !== 0;
    this.multiple = (flags & SETTLE_MULTIPLE) !== 0;
    return true;
  }
}

// CONFIRM: (first seq u64 · count u32 · outcome u8 · routed u32 [· u32 length · JSON error])+

/** One entry: `count` publishes from `firstSeq` are stored, each in `routed` queues. */
export function writeConfirm(bytes: Uint8Array, at: number, firstSeq: number, count: number, routed: number): number {
  writeU64(bytes, at, firstSeq);
  writeU32(bytes, at + 8, count);
  bytes[at + 12] = OUTCOME_STORED;
  return writeU32(bytes, at + 13, routed);
}

/** One entry: the publish `seq` was refused. `error` is an ErrorJson in UTF-8 (json.ts). */
export function writeRefused(bytes: Uint8Array, at: number, seq: number, error: Uint8Array): number {
  writeConfirm(bytes, at, seq, 1, 0);
  bytes[at + 12] = OUTCOME_REFUSED;
  writeU32(bytes, at + CONFIRM_BYTES, error.length);
  bytes.set(error, at + REFUSED_HEAD_BYTES);
  return at + REFUSED_HEAD_BYTES + error.length;
}

/** `open` the payload, then read the fields after each `next` that answers true. errorStart and errorEnd mean something only when refused. */
export class ConfirmReader {
  firstSeq = 0;
  count = 0;
  refused = false;
  routed = 0;
  errorStart = 0;
  errorEnd = 0;
  #bytes: Uint8Array = NOTHING;
  #at = 0;
  #end = 0;

  open(bytes: Uint8Array, start: number, end: number): this {
    if (start === end) throw malformed('CONFIRM is empty');
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    return this;
  }

  next(): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    if (at === this.#end) return false;
    let next = at + CONFIRM_BYTES;
    if (next > this.#end) throw malformed('CONFIRM cut short');
    const outcome = bytes[at + 12] as number;
    if (outcome > OUTCOME_REFUSED) throw malformed(`no confirm outcome ${outcome}`);
    this.firstSeq = readU64(bytes, at);
    this.count = readU32(bytes, at + 8);
    this.refused = outcome === OUTCOME_REFUSED;
    this.routed = readU32(bytes, at + 13);
    if (this.refused) {
      this.errorStart = next + 4;
      if (this.errorStart > this.#end) throw malformed('CONFIRM cut short');
      this.errorEnd = this.errorStart + readU32(bytes, next);
      if (this.errorEnd > this.#end) throw malformed('CONFIRM cut short');
      next = this.errorEnd;
    }
    this.#at = next;
    return true;
  }
}

// RETURN: seq u64 · reply code u16 · reply text shortstr · content

export function writeReturnHead(bytes: Uint8Array, at: number, seq: number, code: number, text: string): number {
  writeU64(bytes, at, seq);
  writeU16(bytes, at + 8, code);
  return writeShortString(bytes, at + 10, text);
}

export class ReturnHead {
  seq = 0;
  code = 0;
  text = '';
  contentStart = 0;

  read(bytes: Uint8Array, start: number, end: number): this {
    if (start + 11 > end) throw malformed('RETURN cut short');
    this.seq = readU64(bytes, start);
    this.code = readU16(bytes, start + 8);
    this.text = readShortString(bytes, start + 10, end);
    this.contentStart = shortStringEnd(bytes, start + 10, end);
    return this;
  }
}

// CREDIT: u32

export function writeCredit(bytes: Uint8Array, at: number, amount: number): number {
  return writeU32(bytes, at, amount);
}

export function readCredit(bytes: Uint8Array, start: number, end: number): number {
  if (end - start !== CREDIT_BYTES) throw malformed('CREDIT is not four bytes');
  return readU32(bytes, start);
}
