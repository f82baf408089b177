// One message as bytes: the content run, the same at rest, on the way in and on the way out. hot
//
//   u8 n · exchange (n bytes) · u8 m · routing key (m bytes) · class u16 = 60 · weight u16 = 0 · body size u64 · flags u16 · properties · body
//
// Always: (1) `read` checks the whole run once, header table included; only a getter of a name that is not UTF-8 can still throw 502; (2) nothing
// is decoded until a getter asks; (3) a Content is a reusable reader: it is a view, and lives no longer than the turn that made it.
// Refuses: to own bytes (the log does) and to re-encode what a publisher sent (field types would be lost).
// The layout is frozen: logs on disk hold it. AMQP 0-9-1, 4.2.6 (content framing) and the basic class's properties.

import { BASIC_CLASS, CONTENT_HEADER_FIXED_BYTES, decodeProperties, encodeContentHeader, type Properties } from './amqp/properties.ts';
import { checkTable, decodeTable, type FieldTable } from './amqp/table.ts';
import { readU32, readU64 } from './bytes.ts';
import { AmqpError, ReplyCode } from './error.ts';
import { decodeUtf8, utf8Length, writeShortString } from './text.ts';

/** Property flags, in the order in which the properties stand. Bit 15 first. */
export const PropertyFlag = {
  ContentType: 1 << 15,
  ContentEncoding: 1 << 14,
  Headers: 1 << 13,
  DeliveryMode: 1 << 12,
  Priority: 1 << 11,
  CorrelationId: 1 << 10,
  ReplyTo: 1 << 9,
  Expiration: 1 << 8,
  MessageId: 1 << 7,
  Timestamp: 1 << 6,
  Type: 1 << 5,
  UserId: 1 << 4,
  AppId: 1 << 3,
  ClusterId: 1 << 2,
} as const;

const HEADER_TABLE_BYTES_MAX = 65_536; // security.md: header table 64 KiB

const malformed = (what: string): AmqpError => new AmqpError(ReplyCode.SyntaxError, `malformed content: ${what}`);

export class Content {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  keyStart = 0;
  headerStart = 0;
  propertiesStart = 0;
  bodyStart = 0;
  /** As the header says; the body itself is what follows bodyStart. */
  bodyBytes = 0;
  flags = 0;
  /** Offset of the encoded header table (its u32 length first), 0 when absent. */
  headersStart = 0;
  headersEnd = 0;
  deliveryMode = 0;
  /** -1 when absent. */
  priority = -1;
  #replyToStart = 0;
  #expirationStart = 0;
  #userIdStart = 0;

  /**
   * Reads the run bytes[start, end). Throws 502 when it does not parse.
   * `bodyStart + bodyBytes` may lie beyond `end` while parts of the body are still to come: `isComplete` tells.
   */
  read(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    if (start >= end) throw malformed('empty');
    this.keyStart = start + 1 + (bytes[start] as number);
    if (this.keyStart >= end) throw malformed('exchange runs past the end');
    const header = this.keyStart + 1 + (bytes[this.keyStart] as number);
    this.headerStart = header;
    this.propertiesStart = header + CONTENT_HEADER_FIXED_BYTES;
    if (this.propertiesStart > end) throw malformed('content header cut short');
    if ((((bytes[header] as number) << 8) | (bytes[header + 1] as number)) !== BASIC_CLASS) throw malformed('class is not basic (60)');
    const high = readU32(bytes, header + 4);
    if (high > 0x1f_ffff) throw malformed('body size above 2^53 - 1');
    this.bodyBytes = high * 0x1_0000_0000 + readU32(bytes, header + 8);
    this.flags = ((bytes[header + 12] as number) << 8) | (bytes[header + 13] as number);
    this.bodyStart = this.#readProperties(end);
    if (this.end - this.bodyStart > this.bodyBytes) throw malformed('more body than its header says');
    return this;
  }

  get isComplete(): boolean {
    return this.end - this.bodyStart === this.bodyBytes;
  }
  get exchange(): string {
    return decodeUtf8(this.bytes, this.start + 1, this.keyStart);
  }
  get key(): string {
    return decodeUtf8(this.bytes, this.keyStart + 1, this.headerStart);
  }
  get replyTo(): string | undefined {
    return this.#shortString(this.#replyToStart);
  }
  get expiration(): string | undefined {
    return this.#shortString(this.#expirationStart);
  }
  get userId(): string | undefined {
    return this.#shortString(this.#userIdStart);
  }
  get headers(): FieldTable | undefined {
    return this.headersStart === 0 ? undefined : decodeTable(this.bytes, this.headersStart, this.headersEnd);
  }
  get properties(): Properties {
    return decodeProperties(this.bytes, this.propertiesStart, this.bodyStart, this.flags);
  }

  /** This message under another exchange and key, with this encoded header table and without expiration; all else byte for byte. */
  rewritten(exchange: string, key: string, headers: Uint8Array): Uint8Array {
    return spliceContent(exchange, key, this.#headerWith(headers, this.#expirationStart), this.bytes.subarray(this.bodyStart, this.end));
  }

  /** This message with another encoded header table; all else byte for byte. */
  withHeaders(headers: Uint8Array): Uint8Array {
    const header = this.#headerWith(headers, 0);
    const namesBytes = this.headerStart - this.start;
    const run = new Uint8Array(namesBytes + header.length + this.end - this.bodyStart);
    run.set(this.bytes.subarray(this.start, this.headerStart));
    run.set(header, namesBytes);
    run.set(this.bytes.subarray(this.bodyStart, this.end), namesBytes + header.length);
    return run;
  }

  /** The content header with this header table, and without the expiration that stands at `expirationStart` (0: nothing goes). */
  #headerWith(headers: Uint8Array, expirationStart: number): Uint8Array {
    const { bytes, bodyStart, headerStart, propertiesStart } = this;
    const headersStart = this.headersStart === 0 ? this.#headersPlace() : this.headersStart;
    const headersEnd = this.headersStart === 0 ? headersStart : this.headersEnd;
    const cutStart = expirationStart === 0 ? bodyStart : expirationStart;
    const cutEnd = expirationStart === 0 ? bodyStart : skipShortString(bytes, cutStart, bodyStart);
    const header = new Uint8Array(headersStart - headerStart + headers.length + (cutStart - headersEnd) + (bodyStart - cutEnd));
    const flags = (this.flags | PropertyFlag.Headers) & (expirationStart === 0 ? 0xffff : ~PropertyFlag.Expiration);
    header.set(bytes.subarray(headerStart, headersStart));
    header[propertiesStart - headerStart - 2] = flags >>> 8;
    header[propertiesStart - headerStart - 1] = flags & 0xff;
    let at = headersStart - headerStart;
    header.set(headers, at);
    at += headers.length;
    header.set(bytes.subarray(headersEnd, cutStart), at);
    header.set(bytes.subarray(cutEnd, bodyStart), at + cutStart - headersEnd);
    return header;
  }

  /** Where a header table would stand. */
  #headersPlace(): number {
    let at = this.propertiesStart;
    if (this.flags & PropertyFlag.ContentType) at = skipShortString(this.bytes, at, this.bodyStart);
    if (this.flags & PropertyFlag.ContentEncoding) at = skipShortString(this.bytes, at, this.bodyStart);
    return at;
  }

  #readProperties(end: number): number {
    const { bytes, flags } = this;
    this.headersStart = this.#replyToStart = this.#expirationStart = this.#userIdStart = 0;
    this.deliveryMode = 0;
    this.priority = -1;
    let at = this.propertiesStart;
    if (flags === PropertyFlag.DeliveryMode) {
      // delivery-mode alone: what most publishers send
      if (at >= end) throw malformed('properties cut short');
      this.deliveryMode = bytes[at] as number;
      return at + 1;
    }
    if (flags & 3) throw malformed('unknown property flags');
    if (flags & PropertyFlag.ContentType) at = skipShortString(bytes, at, end);
    if (flags & PropertyFlag.ContentEncoding) at = skipShortString(bytes, at, end);
    if (flags & PropertyFlag.Headers) {
      if (at + 4 > end) throw malformed('header table cut short');
      const tableEnd = at + 4 + readU32(bytes, at);
      if (tableEnd > end) throw malformed('header table runs past the end');
      if (tableEnd - at > HEADER_TABLE_BYTES_MAX) throw malformed(`header table above ${HEADER_TABLE_BYTES_MAX} bytes`);
      checkTable(bytes, at, tableEnd);
      this.headersStart = at;
      this.headersEnd = tableEnd;
      at = tableEnd;
    }
    if (flags & PropertyFlag.DeliveryMode) this.deliveryMode = octet(bytes, at++, end);
    if (flags & PropertyFlag.Priority) this.priority = octet(bytes, at++, end);
    if (flags & PropertyFlag.CorrelationId) at = skipShortString(bytes, at, end);
    if (flags & PropertyFlag.ReplyTo) at = skipShortString(bytes, (this.#replyToStart = at), end);
    if (flags & PropertyFlag.Expiration) at = skipShortString(bytes, (this.#expirationStart = at), end);
    if (flags & PropertyFlag.MessageId) at = skipShortString(bytes, at, end);
    if (flags & PropertyFlag.Timestamp) at += 8;
    if (flags & PropertyFlag.Type) at = skipShortString(bytes, at, end);
    if (flags & PropertyFlag.UserId) at = skipShortString(bytes, (this.#userIdStart = at), end);
    if (flags & PropertyFlag.AppId) at = skipShortString(bytes, at, end);
    if (flags & PropertyFlag.ClusterId) at = skipShortString(bytes, at, end);
    if (at > end) throw malformed('properties run past the end');
    return at;
  }

  #shortString(at: number): string | undefined {
    return at === 0 ? undefined : decodeUtf8(this.bytes, at + 1, at + 1 + (this.bytes[at] as number));
  }
}

/** Where the parts of a whole run stand. Reads nothing but lengths: for a run that Content has read once. Reused. */
export class ContentParts {
  bytes: Uint8Array = new Uint8Array(0);
  /** Exchange and key as short strings are bytes[start, headerStart). */
  start = 0;
  headerStart = 0;
  bodyStart = 0;
  end = 0;

  read(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    const keyStart = start + 1 + (bytes[start] as number);
    this.headerStart = keyStart + 1 + (bytes[keyStart] as number);
    this.bodyStart = end - readU64(bytes, this.headerStart + 4);
    return this;
  }
}

/** A whole content run. `exchange` and `key` above 255 bytes throw 502. */
export function encodeContent(exchange: string, key: string, properties: Properties, body: Uint8Array): Uint8Array {
  return spliceContent(exchange, key, encodeContentHeader(properties, body.length), body);
}

/** A content run from an encoded content header and a body. */
export function spliceContent(exchange: string, key: string, header: Uint8Array, body: Uint8Array): Uint8Array {
  const run = new Uint8Array(2 + utf8Length(exchange) + utf8Length(key) + header.length + body.length);
  let at = writeShortString(run, 0, exchange);
  at = writeShortString(run, at, key);
  run.set(header, at);
  run.set(body, at + header.length);
  return run;
}

function octet(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) throw malformed('properties cut short');
  return bytes[at] as number;
}
function skipShortString(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) throw malformed('properties cut short');
  return at + 1 + (bytes[at] as number);
}
