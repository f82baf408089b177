// The methods that every message pays for, by hand: publish and ack as they come in, deliver, get-ok, return and ack as they go out. hot
// Always: (1) what is read and written here is what methods.ts reads and writes for the same method: a property test compares them; (2) a payload
// that is too short or too long throws 501 before a field of it is used.
// Refuses bounds on what it writes: the caller has made room.

import { copyBytes, readU32, readU64, writeU16, writeU32, writeU64 } from '../bytes.ts';
import { AmqpError, ReplyCode } from '../error.ts';
import { undecodable } from './frame.ts';
import { BASIC_CLASS } from './properties.ts';

/** Class and method as the first u32 of a payload. */
export const HotKey = {
  Publish: 0x003c0028,
  Deliver: 0x003c003c,
  Return: 0x003c0032,
  GetOk: 0x003c0047,
  Ack: 0x003c0050,
  Reject: 0x003c005a,
  Nack: 0x003c0078,
} as const;

const METHOD_BYTES = 4; // class and method
// class, method, reserved1
const PUBLISH_NAMES_AT = 6;
const SETTLE_BYTES = 13;

/** basic.publish: where its names and flags are. The names stand as two short strings in [namesStart, namesEnd), as a content run begins. */
export class PublishReader {
  namesStart = 0;
  namesEnd = 0;
  mandatory = false;
  immediate = false;

  /** bytes[start, end) is the payload. */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.namesStart = start + PUBLISH_NAMES_AT;
    const keyAt = this.namesStart + 1 + (bytes[this.namesStart] as number);
    this.namesEnd = keyAt + 1 + (bytes[keyAt] as number);
    if (keyAt >= end || this.namesEnd !== end - 1) throw undecodable(bytes, start + METHOD_BYTES, end);
    const flags = bytes[this.namesEnd] as number;
    this.mandatory = (flags & 1) !== 0;
    this.immediate = (flags & 2) !== 0;
  }
}

/** basic.ack, basic.nack and basic.reject: a delivery tag and two flags. */
export class SettleReader {
  deliveryTag = 0;
  /** multiple of ack and nack, requeue of reject. */
  first = false;
  /** requeue of nack. */
  second = false;

  read(bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== SETTLE_BYTES) throw undecodable(bytes, start + METHOD_BYTES, end);
    if (readU32(bytes, start + 4) > 0x1f_ffff) throw tagTooLarge(bytes, start + 4);
    this.deliveryTag = readU64(bytes, start + 4);
    const flags = bytes[start + 12] as number;
    this.first = (flags & 1) !== 0;
    this.second = (flags & 2) !== 0;
  }
}

/** No delivery has a tag above 2^53 - 1. */
function tagTooLarge(bytes: Uint8Array, at: number): AmqpError {
  const tag = (BigInt(readU32(bytes, at)) << 32n) | BigInt(readU32(bytes, at + 4));
  return new AmqpError(ReplyCode.PreconditionFailed, `unknown delivery tag ${tag}`);
}

/** Payload bytes of basic.deliver around the consumer tag and the names. */
export const DELIVER_FIXED_BYTES = 4 + 8 + 1;

/** Payload of basic.deliver. `tag` is the consumer tag as a short string; names[start, end) are exchange and routing key, as a content run begins. */
export function writeDeliver(
  bytes: Uint8Array,
  at: number,
  tag: Uint8Array,
  deliveryTag: number,
  redelivered: boolean,
  names: Uint8Array,
  start: number,
  end: number,
): number {
  let next = writeU16(bytes, writeU16(bytes, at, BASIC_CLASS), HotKey.Deliver & 0xffff);
  next = copyBytes(tag, 0, tag.length, bytes, next);
  next = writeU64(bytes, next, deliveryTag);
  bytes[next++] = redelivered ? 1 : 0;
  return copyBytes(names, start, end, bytes, next);
}

/** Payload bytes of basic.get-ok around the names. */
export const GET_OK_FIXED_BYTES = 4 + 8 + 1 + 4;

export function writeGetOk(
  bytes: Uint8Array,
  at: number,
  deliveryTag: number,
  redelivered: boolean,
  names: Uint8Array,
  start: number,
  end: number,
  messageCount: number,
): number {
  let next = writeU16(bytes, writeU16(bytes, at, BASIC_CLASS), HotKey.GetOk & 0xffff);
  next = writeU64(bytes, next, deliveryTag);
  bytes[next++] = redelivered ? 1 : 0;
  next = copyBytes(names, start, end, bytes, next);
  return writeU32(bytes, next, messageCount);
}

/** Payload bytes of basic.return around its text and the names. */
export const RETURN_FIXED_BYTES = 4 + 2;

/** Payload of basic.return; `text` is the reply text as a short string. */
export function writeReturn(
  bytes: Uint8Array,
  at: number,
  replyCode: number,
  text: Uint8Array,
  names: Uint8Array,
  start: number,
  end: number,
): number {
  let next = writeU16(bytes, writeU16(bytes, at, BASIC_CLASS), HotKey.Return & 0xffff);
  next = writeU16(bytes, next, replyCode);
  next = copyBytes(text, 0, text.length, bytes, next);
  return copyBytes(names, start, end, bytes, next);
}

/** Payload bytes of basic.ack and basic.nack. */
export const CONFIRM_BYTES = SETTLE_BYTES;

/** Payload of basic.ack, or of basic.nack without requeue: what confirms a publish, or refuses it. */
export function writeConfirm(bytes: Uint8Array, at: number, key: number, deliveryTag: number, multiple: boolean): number {
  const next = writeU64(bytes, writeU16(bytes, writeU16(bytes, at, BASIC_CLASS), key & 0xffff), deliveryTag);
  bytes[next] = multiple ? 1 : 0;
  return next + 1;
}
