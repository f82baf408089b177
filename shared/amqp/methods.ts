// The codec of all AMQP methods, driven by the table in spec.ts. The hot ones have a second codec by hand (hot.ts); a property test compares them.
//
//   payload: class u16 · method u16 · fields in the table's order; consecutive bits share one octet, the first in bit 0
//
// Always: (1) decoding reads the whole payload: bytes missing or left over throw 501, and so does a short string that is not UTF-8; (2) what is
// encoded has short strings of at most 255 bytes (502). A table that does not parse throws 502, in table.ts's words.
// Refuses: a class or method that the table does not have (503, as RabbitMQ does). longstr fields are bytes: SASL responses need not be text.

import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../bytes.ts';
import { AmqpError, ReplyCode } from '../error.ts';
import { decodeUtf8, isUtf8, shortStringBytes, writeShortString } from '../text.ts';
import { FRAME_OVERHEAD_BYTES, FrameType, malformedUtf8, undecodable, unknownFrame, writeFrameEnd, writeFrameHeader } from './frame.ts';
import { METHODS, type MethodName, type MethodSpec, methodKey } from './spec.ts';
import { checkTable, decodeTable, type FieldTable, tableBytes, writeTable } from './table.ts';

interface FieldForms {
  bit: boolean;
  octet: number;
  short: number;
  long: number;
  longlong: number;
  shortstr: string;
  longstr: Uint8Array;
  table: FieldTable;
}
type Fields<Name extends MethodName> = (typeof METHODS)[Name]['fields'];
type Form<Type> = Type extends keyof FieldForms ? FieldForms[Type] : never;

/** The fields of a method by name, without reserved ones. */
export type MethodFields<Name extends MethodName> = {
  readonly [Field in keyof Fields<Name> as Field extends `reserved${number}` ? never : Field]: Form<Fields<Name>[Field]>;
};

/** One method, told apart by `name`. */
export type Method<Name extends MethodName = MethodName> = {
  [Each in Name]: { readonly name: Each; readonly fields: MethodFields<Each> };
}[Name];

type AnyValue = FieldForms[keyof FieldForms];
type AnyFields = { readonly [field: string]: AnyValue };

const specs: readonly (readonly [MethodName, MethodSpec])[] = Object.entries(METHODS) as [MethodName, MethodSpec][];
const nameByKey: ReadonlyMap<number, MethodName> = new Map(
  specs.map(([name, { classId, methodId }]) => [methodKey(classId, methodId), name]),
);
const NO_TABLE: FieldTable = new Map();

/** The name of the method with these ids; undefined where there is none. */
export function methodName(classId: number, methodId: number): MethodName | undefined {
  return nameByKey.get(methodKey(classId, methodId));
}

/** The method in bytes[start, end), a method frame's payload. Throws 503 for one that does not exist, 501 and 502 for one that does not parse. */
export function decodeMethod(bytes: Uint8Array, start: number, end: number): Method {
  if (start + 4 > end) throw unknownFrame({ type: FrameType.Method, bytes, payloadStart: start, payloadEnd: end });
  const classId = readU16(bytes, start);
  const methodId = readU16(bytes, start + 2);
  const name = nameByKey.get(methodKey(classId, methodId));
  if (name === undefined) throw new AmqpError(ReplyCode.CommandInvalid, `unknown method {${classId},${methodId}}`);
  const reader = new FieldReader(bytes, start + 4, end);
  const fields: { [field: string]: AnyValue } = {};
  for (const [field, type] of Object.entries(METHODS[name].fields)) {
    const value = reader.read(type);
    if (!field.startsWith('reserved')) fields[field] = value;
  }
  reader.end();
  return { name, fields } as Method; // the table that made the fields is the one that made the type
}

/** A method's payload. Throws 502 for strings and tables that are too large, and numbers that do not fit their field. */
export function encodeMethod<Name extends MethodName>(name: Name, fields: MethodFields<Name>): Uint8Array {
  const size = payloadBytes(METHODS[name].fields, fields);
  const bytes = new Uint8Array(size);
  writePayload(bytes, 0, METHODS[name], fields);
  return bytes;
}

/** A whole method frame. */
export function methodFrame<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): Uint8Array {
  const size = payloadBytes(METHODS[name].fields, fields);
  const bytes = new Uint8Array(size + FRAME_OVERHEAD_BYTES);
  const at = writeFrameHeader(bytes, 0, FrameType.Method, channel, size);
  writeFrameEnd(bytes, writePayload(bytes, at, METHODS[name], fields));
  return bytes;
}

function payloadBytes(types: MethodSpec['fields'], fields: AnyFields): number {
  let size = 4;
  let bits = 0;
  for (const [field, type] of Object.entries(types)) {
    bits = type === 'bit' ? bits + 1 : 0;
    if (type !== 'bit') size += valueBytes(type, fields[field]);
    else if (bits % 8 === 1) size++;
  }
  return size;
}

const NUMBER_MAX: { readonly [type: string]: number } = {
  octet: 0xff,
  short: 0xffff,
  long: 0xffff_ffff,
  longlong: Number.MAX_SAFE_INTEGER,
};

function valueBytes(type: FieldType, value: AnyValue | undefined): number {
  const max = NUMBER_MAX[type];
  if (max !== undefined && value !== undefined && !(Number.isInteger(value) && Number(value) >= 0 && Number(value) <= max))
    throw new AmqpError(ReplyCode.SyntaxError, `not a number from 0 to ${max}: ${String(value)}`);
  switch (type) {
    case 'octet':
      return 1;
    case 'short':
      return 2;
    case 'long':
      return 4;
    case 'longlong':
      return 8;
    case 'shortstr':
      return typeof value === 'string' ? shortStringBytes(value) : 1;
    case 'longstr':
      return 4 + (value instanceof Uint8Array ? value.length : 0);
    default:
      return tableBytes(value instanceof Map ? value : NO_TABLE);
  }
}
type FieldType = MethodSpec['fields'][string];

function writePayload(bytes: Uint8Array, start: number, { classId, methodId, fields: types }: MethodSpec, fields: AnyFields): number {
  let at = writeU16(bytes, writeU16(bytes, start, classId), methodId);
  let bits = 0;
  for (const [field, type] of Object.entries(types)) {
    const value = fields[field];
    if (type === 'bit') {
      if (bits % 8 === 0) bytes[at++] = 0;
      if (value === true) bytes[at - 1] = (bytes[at - 1] as number) | (1 << (bits % 8));
      bits++;
      continue;
    }
    bits = 0;
    at = writeValue(bytes, at, type, value);
  }
  return at;
}

function writeValue(bytes: Uint8Array, at: number, type: FieldType, value: AnyValue | undefined): number {
  const number = typeof value === 'number' ? value : 0;
  switch (type) {
    case 'octet':
      bytes[at] = number;
      return at + 1;
    case 'short':
      return writeU16(bytes, at, number);
    case 'long':
      return writeU32(bytes, at, number);
    case 'longlong':
      return writeU64(bytes, at, number);
    case 'shortstr':
      return writeShortString(bytes, at, typeof value === 'string' ? value : '');
    case 'longstr': {
      const text = value instanceof Uint8Array ? value : new Uint8Array(0);
      bytes.set(text, writeU32(bytes, at, text.length));
      return at + 4 + text.length;
    }
    default:
      return writeTable(bytes, at, value instanceof Map ? value : NO_TABLE);
  }
}

class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  #at: number;
  /** Bits read of the octet before #at; 0: the next bit begins an octet. */
  #bits = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#at = start;
    this.#end = end;
  }

  read(type: FieldType): AnyValue {
    if (type === 'bit') return this.#bit();
    this.#bits = 0;
    const bytes = this.#bytes;
    switch (type) {
      case 'octet':
        return bytes[this.#take(1)] as number;
      case 'short':
        return readU16(bytes, this.#take(2));
      case 'long':
        return readU32(bytes, this.#take(4));
      case 'longlong':
        return readU64(bytes, this.#take(8));
      case 'shortstr': {
        const length = bytes[this.#take(1)] as number;
        const at = this.#take(length);
        if (!isUtf8(bytes, at, at + length)) throw malformedUtf8();
        return decodeUtf8(bytes, at, at + length);
      }
      case 'longstr': {
        const length = readU32(bytes, this.#take(4));
        const at = this.#take(length);
        return new Uint8Array(bytes.subarray(at, at + length)); // not slice(), which on a Buffer is a view
      }
      default: {
        const at = this.#at;
        this.#take(readU32(bytes, this.#take(4)));
        checkTable(bytes, at, this.#at);
        return decodeTable(bytes, at, this.#at);
      }
    }
  }

  /** Throws unless all was read. */
  end(): void {
    if (this.#at !== this.#end) throw undecodable(this.#bytes, this.#start, this.#end);
  }

  #bit(): boolean {
    if (this.#bits === 0) this.#take(1);
    const isSet = ((this.#bytes[this.#at - 1] as number) & (1 << this.#bits)) !== 0;
    this.#bits = (this.#bits + 1) % 8;
    return isSet;
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#end) throw undecodable(this.#bytes, this.#start, this.#end);
    this.#at += count;
    return at;
  }
}
