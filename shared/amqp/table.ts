// AMQP field tables: what header tables and arguments are made of, without loss.
//
//   table: u32 bytes · (u8 n · name (n bytes) · value)*      array: u32 bytes · value*      value: u8 type · what the type says
//
// Always: (1) decode then encode gives the same bytes for every type of RabbitMQ's dialect (but a name given twice keeps its first value, as
// look-ups in RabbitMQ do; a boolean is 0 or 1; a NaN has one form); (2) a table is a Map, so "__proto__" is only a key; (3) what checkTable
// accepts, decodeTable decodes.
// RabbitMQ differs from AMQP 0-9-1: `s` is int16, `l` and `L` are signed int64, `x` is bytes.
// Refuses: depth above 16, a table above 64 KiB, a length beyond its table, a name that is not UTF-8.

import { readU16, readU32, writeU32 } from '../bytes.ts';
import { AmqpError, ReplyCode } from '../error.ts';
import { decodeUtf8, isUtf8, readShortString, shortStringBytes, shortStringEnd, utf8Length, writeShortString, writeUtf8 } from '../text.ts';

/** Tables and arrays inside each other, the outermost counted. */
export const TABLE_DEPTH_MAX = 16;
/** With its own length field. */
export const TABLE_BYTES_MAX = 65_536;

/**
 * A value whose AMQP type is not the default for its JavaScript form. `value` of b B s u I i l L T is a number or, beyond 2^53 - 1, a bigint;
 * of f and d a number; of x and S bytes; of D `{scale, value}`, which is value / 10^scale. A value out of its type's range throws 502.
 */
export class Typed {
  readonly type: 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'l' | 'L' | 'f' | 'd' | 'T' | 'x' | 'D' | 'S';
  readonly value: number | bigint | Uint8Array | { readonly scale: number; readonly value: number };
  constructor(type: Typed['type'], value: Typed['value']) {
    if (!fits(type, value)) throw new AmqpError(ReplyCode.SyntaxError, `not a value of field type '${type}'`);
    this.type = type;
    this.value = value;
  }
}

/**
 * string `S`; boolean `t`; null `V`; number: `I` when an int32, else `l` when an integer up to 2^53 - 1, else `d`; array `A`; Map `F`.
 * All else is Typed (a longstr that is not UTF-8 is Typed 'S' with its bytes; an `l` that would fit int32 is Typed 'l').
 */
export type FieldValue = string | boolean | null | number | Typed | FieldValue[] | FieldTable;
export type FieldTable = Map<string, FieldValue>;

const RANGES: { readonly [type: string]: readonly [low: number | bigint, high: number | bigint] } = {
  b: [-128, 127],
  B: [0, 255],
  s: [-32_768, 32_767],
  u: [0, 65_535],
  I: [-2_147_483_648, 2_147_483_647],
  i: [0, 4_294_967_295],
  l: [-(2n ** 63n), 2n ** 63n - 1n],
  L: [-(2n ** 63n), 2n ** 63n - 1n],
  T: [0, 2n ** 64n - 1n],
};

function fits(type: string, value: Typed['value']): boolean {
  const range = RANGES[type];
  if (range !== undefined) {
    const whole = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
    return whole && value >= range[0] && value <= range[1];
  }
  if (type === 'f' || type === 'd') return typeof value === 'number';
  if (type === 'x' || type === 'S') return value instanceof Uint8Array;
  if (type !== 'D' || typeof value !== 'object' || value instanceof Uint8Array) return false;
  const { scale, value: unscaled } = value;
  return Number.isInteger(scale) && scale >= 0 && scale <= 255 && Number.isInteger(unscaled) && unscaled >= 0 && unscaled <= 0xffff_ffff;
}

// The types by their octets.
const CODE = {
  A: 0x41,
  B: 0x42,
  D: 0x44,
  F: 0x46,
  I: 0x49,
  L: 0x4c,
  S: 0x53,
  T: 0x54,
  V: 0x56,
  b: 0x62,
  d: 0x64,
  f: 0x66,
  i: 0x69,
  l: 0x6c,
  s: 0x73,
  t: 0x74,
  u: 0x75,
  x: 0x78,
} as const;

// Payload bytes by type octet; -1: a u32 length and as many bytes; -2: no such type.
const SIZES = new Int8Array(256).fill(-2);
for (const type of [CODE.A, CODE.F, CODE.S, CODE.x]) SIZES[type] = -1;
for (const type of [CODE.t, CODE.b, CODE.B]) SIZES[type] = 1;
for (const type of [CODE.s, CODE.u]) SIZES[type] = 2;
for (const type of [CODE.I, CODE.i, CODE.f]) SIZES[type] = 4;
for (const type of [CODE.l, CODE.L, CODE.d, CODE.T]) SIZES[type] = 8;
SIZES[CODE.D] = 5;
SIZES[CODE.V] = 0;

const malformed = (what: string): AmqpError => new AmqpError(ReplyCode.SyntaxError, `malformed table: ${what}`);

/** The offset behind the value whose type octet is at `at`. Looks at no more than its length. */
export function skipValue(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) throw malformed('a value is missing');
  const size = SIZES[bytes[at] as number] as number;
  if (size === -2) throw malformed(`no field type ${bytes[at]}`);
  const next = size === -1 ? lengthEnd(bytes, at + 1, end) : at + 1 + size;
  if (next > end) throw malformed('a value runs past its end');
  return next;
}

/** The offset behind a u32 length and the bytes it counts. */
function lengthEnd(bytes: Uint8Array, at: number, end: number): number {
  const next = at + 4 > end ? Number.POSITIVE_INFINITY : at + 4 + readU32(bytes, at);
  if (next > end) throw malformed('a length runs past its end');
  return next;
}

/** Throws 502 unless bytes[start, end) starts with a table that decodeTable can decode. Builds nothing; answers the offset behind the table. */
export function checkTable(bytes: Uint8Array, start: number, end: number, depthMax = TABLE_DEPTH_MAX): number {
  const tableEnd = lengthEnd(bytes, start, end);
  if (tableEnd - start > TABLE_BYTES_MAX) throw malformed(`above ${TABLE_BYTES_MAX} bytes`);
  checkFields(bytes, start + 4, tableEnd, true, 1, depthMax);
  return tableEnd;
}

function checkFields(bytes: Uint8Array, start: number, end: number, named: boolean, depth: number, depthMax: number): void {
  if (depth > depthMax) throw malformed(`nested deeper than ${depthMax}`);
  let at = start;
  while (at < end) {
    if (named) {
      const nameEnd = shortStringEnd(bytes, at, end);
      if (!isUtf8(bytes, at + 1, nameEnd)) throw malformed('a name is not UTF-8');
      at = nameEnd;
    }
    const next = skipValue(bytes, at, end);
    const type = bytes[at];
    if (type === CODE.F || type === CODE.A) checkFields(bytes, at + 5, next, type === CODE.F, depth + 1, depthMax);
    at = next;
  }
}

/**
 * Where the field `name` has its type octet, -1 when there is none. `start` is the table's u32 length, `end` the offset behind the table.
 * Decodes nothing on the way; decodeValue(bytes, offset, end) decodes what was found.
 */
export function findField(bytes: Uint8Array, start: number, end: number, name: string): number {
  let at = start + 4;
  while (at < end) {
    const nameEnd = shortStringEnd(bytes, at, end);
    if (isName(bytes, at + 1, nameEnd, name)) return nameEnd;
    at = skipValue(bytes, nameEnd, end);
  }
  return -1;
}

function isName(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  // Fewer bytes than units: cannot be. More: only when the name is not ASCII.
  if (end - start < name.length) return false;
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    if (unit >= 0x80) return decodeUtf8(bytes, start, end) === name;
    if (bytes[start + i] !== unit) return false;
  }
  return end - start === name.length;
}

/** Decodes the table whose u32 length is at `start`. It ends by `end`, at start + 4 + that length. */
export function decodeTable(bytes: Uint8Array, start: number, end: number): FieldTable {
  const tableEnd = lengthEnd(bytes, start, end);
  if (tableEnd - start > TABLE_BYTES_MAX) throw malformed(`above ${TABLE_BYTES_MAX} bytes`);
  return decodeFields(bytes, start + 4, tableEnd, 1);
}

function decodeFields(bytes: Uint8Array, start: number, end: number, depth: number): FieldTable {
  if (depth > TABLE_DEPTH_MAX) throw malformed(`nested deeper than ${TABLE_DEPTH_MAX}`);
  const table: FieldTable = new Map();
  let at = start;
  while (at < end) {
    const name = readShortString(bytes, at, end);
    at += 1 + (bytes[at] as number);
    const next = skipValue(bytes, at, end);
    if (!table.has(name)) table.set(name, decodeAt(bytes, at, next, depth));
    at = next;
  }
  return table;
}

function decodeArray(bytes: Uint8Array, start: number, end: number, depth: number): FieldValue[] {
  if (depth > TABLE_DEPTH_MAX) throw malformed(`nested deeper than ${TABLE_DEPTH_MAX}`);
  const values: FieldValue[] = [];
  let at = start;
  while (at < end) {
    const next = skipValue(bytes, at, end);
    values.push(decodeAt(bytes, at, next, depth));
    at = next;
  }
  return values;
}

/** Decodes the value whose type octet is at `at`; bytes it holds are copied. */
export function decodeValue(bytes: Uint8Array, at: number, end: number): FieldValue {
  return decodeAt(bytes, at, skipValue(bytes, at, end), 1);
}

/** The value from its type octet to `end`, exactly. */
function decodeAt(bytes: Uint8Array, at: number, end: number, depth: number): FieldValue {
  const first = bytes[at + 1] as number;
  switch (bytes[at]) {
    case CODE.S:
      return isUtf8(bytes, at + 5, end) ? decodeUtf8(bytes, at + 5, end) : new Typed('S', copyOf(bytes, at + 5, end));
    case CODE.t:
      return first !== 0;
    case CODE.I:
      return readU32(bytes, at + 1) | 0;
    case CODE.l:
      return decodeInt64(bytes, at + 1, 'l');
    case CODE.L:
      return decodeInt64(bytes, at + 1, 'L');
    case CODE.d:
      return decodeDouble(bytes, at + 1);
    case CODE.F:
      return decodeFields(bytes, at + 5, end, depth + 1);
    case CODE.A:
      return decodeArray(bytes, at + 5, end, depth + 1);
    case CODE.V:
      return null;
    case CODE.x:
      return new Typed('x', copyOf(bytes, at + 5, end));
    case CODE.T:
      return new Typed('T', number64(viewOf(bytes, at + 1).getBigUint64(0)));
    case CODE.b:
      return new Typed('b', (first << 24) >> 24);
    case CODE.B:
      return new Typed('B', first);
    case CODE.s:
      return new Typed('s', (readU16(bytes, at + 1) << 16) >> 16);
    case CODE.u:
      return new Typed('u', readU16(bytes, at + 1));
    case CODE.i:
      return new Typed('i', readU32(bytes, at + 1));
    case CODE.f:
      return new Typed('f', viewOf(bytes, at + 1).getFloat32(0));
    case CODE.D:
      return new Typed('D', { scale: first, value: readU32(bytes, at + 2) });
    default:
      throw malformed(`no field type ${bytes[at]}`);
  }
}

function decodeInt64(bytes: Uint8Array, at: number, type: 'l' | 'L'): FieldValue {
  const value = number64(viewOf(bytes, at).getBigInt64(0));
  // Plain only where encoding a plain number gives an `l` again.
  const plain = type === 'l' && typeof value === 'number' && value !== (value | 0);
  return plain ? value : new Typed(type, value);
}

function decodeDouble(bytes: Uint8Array, at: number): FieldValue {
  const value = viewOf(bytes, at).getFloat64(0);
  return Number.isSafeInteger(value) ? new Typed('d', value) : value;
}

function number64(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function viewOf(bytes: Uint8Array, at: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + at);
}

/** Not slice(), which on a Buffer is a view. */
function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

/** The table with its u32 length. */
export function encodeTable(table: FieldTable): Uint8Array {
  const bytes = new Uint8Array(tableBytes(table));
  writeTable(bytes, 0, table);
  return bytes;
}

/** Bytes of the encoded table, its u32 length included. Throws 502 for what a table cannot hold, so that writeTable cannot fail. */
export function tableBytes(table: FieldTable): number {
  const size = fieldsBytes(table, 1);
  if (size > TABLE_BYTES_MAX) throw new AmqpError(ReplyCode.SyntaxError, `a table above ${TABLE_BYTES_MAX} bytes`);
  return size;
}

function fieldsBytes(table: FieldTable, depth: number): number {
  if (depth > TABLE_DEPTH_MAX) throw new AmqpError(ReplyCode.SyntaxError, `a table nested deeper than ${TABLE_DEPTH_MAX}`);
  let size = 4;
  for (const [name, value] of table) size += shortStringBytes(name) + valueBytes(value, depth);
  return size;
}

/** Bytes of a value, its type octet included. */
function valueBytes(value: FieldValue, depth: number): number {
  if (typeof value === 'string') return 5 + utf8Length(value);
  if (typeof value === 'number') return isInt32(value) ? 5 : 9;
  if (typeof value === 'boolean') return 2;
  if (value === null) return 1;
  if (value instanceof Map) return 1 + fieldsBytes(value, depth + 1);
  if (Array.isArray(value)) {
    if (depth >= TABLE_DEPTH_MAX) throw new AmqpError(ReplyCode.SyntaxError, `a table nested deeper than ${TABLE_DEPTH_MAX}`);
    let size = 5;
    for (const element of value) size += valueBytes(element, depth + 1);
    return size;
  }
  // Callers in plain JavaScript reach this with what the types rule out.
  if (!(value instanceof Typed)) throw new AmqpError(ReplyCode.SyntaxError, `a table cannot hold ${typeof value}`);
  const size = SIZES[value.type.charCodeAt(0)] as number;
  return size >= 0 ? 1 + size : 5 + (value.value as Uint8Array).length;
}

/** Writes the table at `at` and answers the offset behind it. The caller has made room for tableBytes(table). */
export function writeTable(bytes: Uint8Array, at: number, table: FieldTable): number {
  let next = at + 4;
  for (const [name, value] of table) {
    next = writeShortString(bytes, next, name);
    next = writeValue(bytes, next, value);
  }
  writeU32(bytes, at, next - at - 4);
  return next;
}

function writeValue(bytes: Uint8Array, at: number, value: FieldValue): number {
  if (typeof value === 'string') {
    const next = writeUtf8(bytes, at + 5, value);
    return writeLength(bytes, at, CODE.S, next);
  }
  if (typeof value === 'number') return writeNumber(bytes, at, value);
  if (typeof value === 'boolean') {
    bytes[at] = CODE.t;
    bytes[at + 1] = value ? 1 : 0;
    return at + 2;
  }
  if (value === null) {
    bytes[at] = CODE.V;
    return at + 1;
  }
  if (value instanceof Map) {
    bytes[at] = CODE.F;
    return writeTable(bytes, at + 1, value);
  }
  if (Array.isArray(value)) {
    let next = at + 5;
    for (const element of value) next = writeValue(bytes, next, element);
    return writeLength(bytes, at, CODE.A, next);
  }
  return writeTyped(bytes, at, value);
}

/** The type octet at `at` and the u32 length of what stands between there and `end`, which is answered. */
function writeLength(bytes: Uint8Array, at: number, type: number, end: number): number {
  bytes[at] = type;
  writeU32(bytes, at + 1, end - at - 5);
  return end;
}

function writeNumber(bytes: Uint8Array, at: number, value: number): number {
  if (isInt32(value)) {
    bytes[at] = CODE.I;
    return writeU32(bytes, at + 1, value);
  }
  if (Number.isSafeInteger(value)) {
    bytes[at] = CODE.l;
    viewOf(bytes, at + 1).setBigInt64(0, BigInt(value));
  } else {
    bytes[at] = CODE.d;
    viewOf(bytes, at + 1).setFloat64(0, value);
  }
  return at + 9;
}

/** Typed's constructor has checked type and range. */
function writeTyped(bytes: Uint8Array, at: number, { type, value }: Typed): number {
  const code = type.charCodeAt(0);
  bytes[at] = code;
  if (value instanceof Uint8Array) {
    bytes.set(value, at + 5);
    return writeLength(bytes, at, code, at + 5 + value.length);
  }
  if (typeof value === 'object') {
    bytes[at + 1] = value.scale;
    return writeU32(bytes, at + 2, value.value);
  }
  const size = SIZES[code] as number;
  const view = viewOf(bytes, at + 1);
  if (type === 'f') view.setFloat32(0, Number(value));
  else if (type === 'd') view.setFloat64(0, Number(value));
  else if (size === 1) view.setUint8(0, Number(value));
  else if (size === 2) view.setUint16(0, Number(value));
  else if (size === 4) view.setUint32(0, Number(value));
  else view.setBigInt64(0, BigInt(value));
  return at + 1 + size;
}

function isInt32(value: number): boolean {
  return value === (value | 0);
}
