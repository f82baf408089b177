// UTF-8 and AMQP short strings (u8 length, then that many bytes). hot
// Always: (1) decoding is strict: bytes that are not UTF-8 throw 502, and a byte order mark is kept; (2) a short string is at most 255 bytes.
// A lone surrogate in a JavaScript string is written as U+FFFD, as the WebSocket standard does; schemas.ts refuses such names.

import { AmqpError, ReplyCode } from './error.ts';

// The two globals of every host this runs on; the es2023 lib does not declare them.
declare const TextEncoder: new () => { encode(text: string): Uint8Array; encodeInto(text: string, into: Uint8Array): { written: number } };
declare const TextDecoder: new (label: string, options: { fatal: boolean; ignoreBOM: boolean }) => { decode(bytes: Uint8Array): string };

export const SHORT_STRING_BYTES_MAX = 255;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const looseDecoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

// Up to this many bytes a loop beats TextDecoder's fixed cost (0.1 us).
const LOOP_BYTES_MAX = 12;

export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= LOOP_BYTES_MAX) {
    let text = '';
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte >= 0x80) break;
      text += String.fromCharCode(byte);
    }
    if (at === end) return text;
  }
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    throw new AmqpError(ReplyCode.SyntaxError, 'invalid UTF-8');
  }
}

/** For text that only people read: what is not UTF-8 becomes U+FFFD. */
export function decodeUtf8Loosely(bytes: Uint8Array, start: number, end: number): string {
  return isUtf8(bytes, start, end) ? decodeUtf8(bytes, start, end) : looseDecoder.decode(bytes.subarray(start, end));
}

export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Whether decodeUtf8 would accept these bytes. Builds nothing. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const lead = bytes[at++] as number;
    if (lead < 0x80) continue;
    if (lead < 0xc2 || lead > 0xf4) return false;
    const more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (at + more > end) return false;
    const second = bytes[at] as number;
    // RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (let i = 1; i < more; i++) if (((bytes[at + i] as number) & 0xc0) !== 0x80) return false;
    at += more;
  }
  return true;
}

/** Bytes of `text` in UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      length += 1;
    } else {
      length += 2;
      const next = unit >= 0xd800 && unit < 0xdc00 ? text.charCodeAt(i + 1) : 0;
      // A pair is two units and four bytes: its second half adds nothing.
      if (next >= 0xdc00 && next < 0xe000) i++;
    }
  }
  return length;
}

/** Writes `text` at `at` and answers the offset behind it. The caller has made room for utf8Length(text) bytes. */
export function writeUtf8(bytes: Uint8Array, at: number, text: string): number {
  const length = text.length;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return at + i + encoder.encodeInto(text.slice(i), bytes.subarray(at + i)).written;
    bytes[at + i] = unit;
  }
  return at + length;
}

/** Bytes of `text` as a short string, its length octet included; above 255 bytes throws 502. */
export function shortStringBytes(text: string): number {
  const length = utf8Length(text);
  if (length > SHORT_STRING_BYTES_MAX) throw tooLong(text);
  return length + 1;
}

/** Writes `text` as a short string and answers the offset behind it. The caller has made room for 256 bytes, or for shortStringBytes(text). */
export function writeShortString(bytes: Uint8Array, at: number, text: string): number {
  const length = text.length;
  if (length > SHORT_STRING_BYTES_MAX) throw tooLong(text);
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return writeShortUtf8(bytes, at, text);
    bytes[at + 1 + i] = unit;
  }
  bytes[at] = length;
  return at + 1 + length;
}

function writeShortUtf8(bytes: Uint8Array, at: number, text: string): number {
  if (utf8Length(text) > SHORT_STRING_BYTES_MAX) throw tooLong(text);
  const end = writeUtf8(bytes, at + 1, text);
  bytes[at] = end - at - 1;
  return end;
}

/** The short string at `at`, which must end by `end`. The next field is at shortStringEnd(bytes, at, end). */
export function readShortString(bytes: Uint8Array, at: number, end: number): string {
  return decodeUtf8(bytes, at + 1, shortStringEnd(bytes, at, end));
}

/** The offset behind the short string at `at`; 502 if that is beyond `end`. Does not look at its bytes. */
export function shortStringEnd(bytes: Uint8Array, at: number, end: number): number {
  const next = at < end ? at + 1 + (bytes[at] as number) : Number.POSITIVE_INFINITY;
  if (next > end) throw new AmqpError(ReplyCode.SyntaxError, 'a short string runs past its end');
  return next;
}

function tooLong(text: string): AmqpError {
  return new AmqpError(ReplyCode.SyntaxError, `a short string above ${SHORT_STRING_BYTES_MAX} bytes: '${text.slice(0, 32)}...'`);
}
