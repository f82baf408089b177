// A message's properties between plain JavaScript and AMQP's content header, without the steps between.
//
//   exchange shortstr · key shortstr · class u16 = 60 · weight u16 · body size u64 · flags u16 · properties · body
//
// Always: (1) the bytes are those of shared/amqp (a test compares them): this file exists because that one, made to lose no type, is half the size budget
// of the browser's client; (2) no length that a peer states is believed before it is compared with the bytes there are; (3) tables are objects without a
// prototype. Refuses: depth above 16.

import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../../shared/bytes.ts';
import { decodeUtf8Loosely, shortStringEnd, writeShortString, writeUtf8 } from '../../shared/text.ts';
import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { LeveretError } from './error.ts';

/** The 14 properties of AMQP's basic class; `timestamp` in seconds, headers as plain values. */
export interface MessageProperties {
  contentType?: string;
  contentEncoding?: string;
  headers?: Readonly<Record<string, unknown>>;
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  timestamp?: number;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

type Writable = { -readonly [Name in keyof MessageProperties]?: MessageProperties[Name] | undefined };

// In wire order; the n-th has flag 1 << (15 - n).
const NAMES: readonly (keyof MessageProperties)[] = [
  'contentType', 'contentEncoding', 'headers', 'deliveryMode', 'priority', 'correlationId', 'replyTo', 'expiration', 'messageId', 'timestamp', 'type',
  'userId', 'appId', 'clusterId',
];
const HEADERS = 2;
const DELIVERY_MODE = 3;
const PRIORITY = 4;
const TIMESTAMP = 9;

/** Exchange, key and a content header with the headers table of 64 KiB that a broker takes. */
export const HEAD_BYTES_MAX = 68_608;
const FIXED_BYTES = 14; // class, weight, body size, flags
const DEPTH_MAX = 16;

const malformed = (what: string): LeveretError => new LeveretError('PROTOCOL', `malformed content: ${what}`);
const invalid = (what: string): LeveretError => new LeveretError('INVALID', what);

/** Writes the content header with a body size of 0 and answers the offset behind it: patchBodyBytes sets the size. */
export function writeHeader(bytes: Uint8Array, at: number, properties: Writable): number {
  bytes.fill(0, at, at + FIXED_BYTES);
  bytes[at + 1] = 60;
  let flags = 0;
  let next = at + FIXED_BYTES;
  for (let i = 0; i < NAMES.length; i++) {
    const value = properties[NAMES[i] ?? 'clusterId'];
    if (value === undefined) continue;
    flags |= 1 << (15 - i);
    if (typeof value === 'string') next = writeShortString(bytes, next, value);
    else if (typeof value === 'object') next = writeFields(bytes, next, value, 1);
    else if (i === TIMESTAMP) next = writeU64(bytes, next, value);
    else if (value >= 0 && value <= 255) bytes[next++] = value;
    else throw invalid(`${NAMES[i]} is not from 0 to 255`);
  }
  writeU16(bytes, at + 12, flags);
  return next;
}

/** `headerStart` is where writeHeader began. */
export function patchBodyBytes(bytes: Uint8Array, headerStart: number, bodyBytes: number): void {
  writeU32(bytes, headerStart + 8, bodyBytes);
}

/** Where the parts of a content run are; `read` checks all that the client will look at. Reusable. */
export class ContentParts {
  keyStart = 0;
  headerStart = 0;
  bodyStart = 0;
  /** As stated: more than is here while parts are still to come. */
  bodyBytes = 0;

  read(bytes: Uint8Array, start: number, end: number): this {
    this.keyStart = shortStringEnd(bytes, start, end);
    this.headerStart = shortStringEnd(bytes, this.keyStart, end);
    let at = this.headerStart + FIXED_BYTES;
    if (at > end || readU16(bytes, this.headerStart) !== 60) throw malformed('no basic header');
    this.bodyBytes = readU64(bytes, this.headerStart + 4);
    const flags = readU16(bytes, at - 2);
    if (flags & 3) throw malformed('unknown property flags');
    for (let i = 0; i < NAMES.length; i++) if (flags & (1 << (15 - i))) at = propertyEnd(bytes, at, end, i);
    this.bodyStart = at;
    if (end - at > this.bodyBytes) throw malformed('more body than its header says');
    return this;
  }
}

function propertyEnd(bytes: Uint8Array, at: number, end: number, index: number): number {
  let next = at;
  if (index === HEADERS) next = at + 4 > end ? end + 1 : at + 4 + readU32(bytes, at);
  else if (index === DELIVERY_MODE || index === PRIORITY) next = at + 1;
  else if (index === TIMESTAMP) next = at + 8;
  else return shortStringEnd(bytes, at, end);
  if (next > end) throw malformed('properties cut short');
  return next;
}

/** The properties of a header that ContentParts has read. */
export function readProperties(bytes: Uint8Array, headerStart: number, bodyStart: number): MessageProperties {
  const properties: Record<string, unknown> = {};
  const flags = readU16(bytes, headerStart + 12);
  let at = headerStart + FIXED_BYTES;
  for (let i = 0; i < NAMES.length; i++) {
    if ((flags & (1 << (15 - i))) === 0) continue;
    const next = propertyEnd(bytes, at, bodyStart, i);
    const name = NAMES[i] ?? '';
    if (i === HEADERS) properties[name] = readFields(bytes, at + 4, next, 1);
    else if (i === TIMESTAMP) properties[name] = readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
    else if (next === at + 1 && (i === DELIVERY_MODE || i === PRIORITY)) properties[name] = bytes[at];
    else properties[name] = decodeUtf8Loosely(bytes, at + 1, next);
    at = next;
  }
  return properties;
}

/** A table with its u32 length. */
function writeFields(bytes: Uint8Array, at: number, fields: object, depth: number): number {
  if (depth > DEPTH_MAX) throw invalid(`headers nested deeper than ${DEPTH_MAX}`);
  let next = at + 4;
  const isArray = Array.isArray(fields);
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined && !isArray) continue;
    if (!isArray) next = writeShortString(bytes, next, name);
    next = writeValue(bytes, next, value, depth);
  }
  writeU32(bytes, at, next - at - 4);
  return next;
}

function writeValue(bytes: Uint8Array, at: number, value: unknown, depth: number): number {
  const put = (type: string, next: number): number => {
    bytes[at] = type.charCodeAt(0);
    return next;
  };
  switch (typeof value) {
    case 'string':
    case 'symbol': {
      const end = writeUtf8(bytes, at + 5, String(value));
      writeU32(bytes, at + 1, end - at - 5);
      return put('S', end);
    }
    case 'boolean':
      bytes[at + 1] = Number(value);
      return put('t', at + 2);
    case 'bigint':
      return put('l', writeInt64(bytes, at + 1, value));
    case 'number':
      if (value === (value | 0)) return put('I', writeU32(bytes, at + 1, value));
      if (Number.isSafeInteger(value)) return put('l', writeInt64(bytes, at + 1, BigInt(value)));
      room(bytes, at + 9);
      viewOf(bytes, at + 1).setFloat64(0, value);
      return put('d', at + 9);
    case 'object':
      if (value === null) return put('V', at + 1);
      if (value instanceof Date) return put('T', writeU64(bytes, at + 1, Math.floor(value.getTime() / 1000)));
      if (value instanceof Uint8Array) {
        room(bytes, at + 5 + value.length);
        writeU32(bytes, at + 1, value.length);
        bytes.set(value, at + 5);
        return put('x', at + 5 + value.length);
      }
      return put(Array.isArray(value) ? 'A' : 'F', writeFields(bytes, at + 1, value, depth + 1));
    default:
      throw invalid(`a header cannot hold a ${typeof value}`);
  }
}

function writeInt64(bytes: Uint8Array, at: number, value: bigint): number {
  room(bytes, at + 8);
  if (BigInt.asIntN(64, value) !== value) throw invalid('a header above 64 bits');
  viewOf(bytes, at).setBigInt64(0, value);
  return at + 8;
}

function room(bytes: Uint8Array, end: number): void {
  if (end > bytes.length) throw invalid('properties above 64 KiB');
}

function viewOf(bytes: Uint8Array, at: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + at);
}

/** Fields up to `end`, exactly. */
function readFields(bytes: Uint8Array, start: number, end: number, depth: number): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null);
  const reader = new ValueReader(bytes, start, end, depth);
  while (reader.at < end) {
    const nameStart = reader.at + 1;
    reader.at = shortStringEnd(bytes, reader.at, end);
    const name = decodeUtf8Loosely(bytes, nameStart, reader.at);
    const value = reader.next();
    if (!(name in fields)) fields[name] = value;
  }
  return fields;
}

function readArray(bytes: Uint8Array, start: number, end: number, depth: number): unknown[] {
  const values: unknown[] = [];
  const reader = new ValueReader(bytes, start, end, depth);
  while (reader.at < end) values.push(reader.next());
  return values;
}

/** Reads values one after another; DataView throws a RangeError at the end of the buffer, `take` an error of ours at the end of the table. */
class ValueReader {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #depth: number;

  constructor(bytes: Uint8Array, start: number, end: number, depth: number) {
    if (depth > DEPTH_MAX) throw malformed(`nested deeper than ${DEPTH_MAX}`);
    this.#bytes = bytes;
    this.at = start;
    this.#end = end;
    this.#depth = depth;
  }

  #take(count: number): number {
    const at = this.at;
    this.at += count;
    if (this.at > this.#end) throw malformed('a header runs past its end');
    return at;
  }

  next(): unknown {
    const bytes = this.#bytes;
    const type = String.fromCharCode(bytes[this.#take(1)] ?? 0);
    if ('SxFA'.includes(type)) {
      const length = readU32(bytes, this.#take(4));
      const start = this.#take(length);
      if (type === 'S') return decodeUtf8Loosely(bytes, start, this.at);
      if (type === 'x') return new Uint8Array(bytes.subarray(start, this.at));
      return (type === 'F' ? readFields : readArray)(bytes, start, this.at, this.#depth + 1);
    }
    const size = { V: 0, t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, f: 4, D: 5, l: 8, L: 8, d: 8, T: 8 }[type];
    if (size === undefined) throw malformed(`no field type ${type}`);
    const view = viewOf(bytes, this.#take(size));
    switch (type) {
      case 'V': return null;
      case 't': return view.getUint8(0) !== 0;
      case 'b': return view.getInt8(0);
      case 'B': return view.getUint8(0);
      case 's': return view.getInt16(0);
      case 'u': return view.getUint16(0);
      case 'I': return view.getInt32(0);
      case 'i': return view.getUint32(0);
      case 'f': return view.getFloat32(0);
      case 'd': return view.getFloat64(0);
      case 'D': return view.getUint32(1) / 10 ** view.getUint8(0);
      case 'T': return new Date(Number(view.getBigUint64(0)) * 1000);
      default: return toNumber(view.getBigInt64(0));
    }
  }
}

/** A number where it is exact. */
export function toNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A value of a table in JSON form (docs/protocol.md), as plain as readProperties gives it. */
export function plainFromJson(table: JsonObject): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(table)) fields[name] = plainValue(value);
  return fields;
}

function plainValue(value: Json): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plainValue);
  const { $amqp: type, value: typed } = value;
  if (type === 'x') return bytesFromBase64(String(typed));
  if (type === 'T') return new Date(Number(typed) * 1000);
  if (type === 'l' || type === 'L') return toNumber(BigInt(String(typed)));
  if (typeof typed === 'object' && typed !== null && !Array.isArray(typed)) {
    if (type === 'D') return Number(typed['value']) / 10 ** Number(typed['scale']);
    if (type === 'F') return plainFromJson(typed);
  }
  return type === undefined ? plainFromJson(value) : Number(typed);
}

export function bytesFromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
