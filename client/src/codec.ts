// The bytes of leveret.v1 as the client reads and writes them: frames, content headers, header tables as plain JavaScript values. hot
//
//   frame: type u8 · handle u16 · size u32 · payload · 0xCE       content: exchange shortstr · key shortstr · header · body
//   header: class u16 = 60 · weight u16 · body size u64 · flags u16 · properties
//
// Always: (1) the bytes are those of shared/protocol and shared/amqp, and a test compares them: this second, smaller codec exists because those two, made to
// lose no type, are half of what a browser may be asked to load; (2) no length that a peer states is believed: what runs past its end throws;
// (3) tables are objects without a prototype. Refuses: depth above 16.

import { LeveretError } from './error.ts';

/** The properties of AMQP's basic class; `timestamp` in seconds, headers as plain values. */
export type MessageProperties = {
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
};

// Frame types, one constant each: a page pays for the names of an object's members.
export const PUBLISH = 1;
export const DELIVER = 2;
export const SETTLE = 3;
export const CONFIRM = 4;
export const CREDIT = 6;
export const BODY = 7;
export const FRAME_HEADER_BYTES = 7;
export const FRAME_END = 0xce;

// In wire order, the n-th with flag 1 << (15 - n), and what each is: short string, table, octet, u64.
const NAMES =
  'contentType contentEncoding headers deliveryMode priority correlationId replyTo expiration messageId timestamp type userId appId clusterId'.split(
    ' ',
  );
const KINDS = 'ssFoosssstssss';
// Field types that DataView reads as they are.
const NUMBERS: {
  readonly [type: string]: readonly [
    name: 'getInt8' | 'getUint8' | 'getInt16' | 'getUint16' | 'getInt32' | 'getUint32' | 'getFloat32' | 'getFloat64',
    bytes: number,
  ];
} = {
  b: ['getInt8', 1],
  B: ['getUint8', 1],
  s: ['getInt16', 2],
  u: ['getUint16', 2],
  I: ['getInt32', 4],
  i: ['getUint32', 4],
  f: ['getFloat32', 4],
  d: ['getFloat64', 8],
};
const DEPTH_MAX = 16;
const TWO_32 = 2 ** 32;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
export const encodeText = (text: string): Uint8Array => encoder.encode(text);

export const protocolError = (what: string): LeveretError => new LeveretError('PROTOCOL', what);
const invalid = (what: string): LeveretError => new LeveretError('INVALID', what);

/** Reads one thing after another up to `end`, and not beyond. */
export class Reader {
  at: number;
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isMore(): boolean {
    return this.at < this.end;
  }
  /** Answers where the bytes passed over begin. */
  skip(count: number): number {
    const { at } = this;
    this.at += count;
    if (this.at > this.end) throw protocolError('cut short');
    return at;
  }
  u8(): number {
    return this.#view.getUint8(this.skip(1));
  }
  u16(): number {
    return this.#view.getUint16(this.skip(2));
  }
  u32(): number {
    return this.#view.getUint32(this.skip(4));
  }
  u64(): number {
    return this.u32() * TWO_32 + this.u32();
  }
  text(count: number): string {
    return decoder.decode(this.part(count));
  }
  /** A view, no copy. */
  part(count: number): Uint8Array {
    return this.bytes.subarray(this.skip(count), this.at);
  }

  /** A content header up to the body, into `properties`. Answers the body's size. */
  header(properties: Record<string, unknown>): number {
    if (this.u32() !== 60 << 16) throw protocolError('not a basic header');
    const bodyBytes = this.u64();
    const flags = this.u16();
    for (let i = 0; i < NAMES.length; i++) {
      if ((flags & (0x8000 >> i)) === 0) continue;
      const kind = KINDS[i];
      properties[NAMES[i] ?? ''] =
        kind === 's' ? this.text(this.u8()) : kind === 'F' ? this.#fields(this.u32(), true, 1) : kind === 'o' ? this.u8() : this.u64();
    }
    return bodyBytes;
  }

  #fields(bytes: number, isNamed: boolean, depth: number): Record<string, unknown> {
    if (depth > DEPTH_MAX) throw protocolError('nested too deep');
    const fields: Record<string, unknown> = isNamed ? Object.create(null) : [];
    const inner = new Reader(this.bytes, this.skip(bytes), this.at);
    for (let n = 0; inner.isMore; n++) {
      const name = isNamed ? inner.text(inner.u8()) : n;
      const value = inner.#value(depth);
      if (!(name in fields)) fields[name] = value;
    }
    return fields;
  }

  #value(depth: number): unknown {
    const type = String.fromCharCode(this.u8());
    switch (type) {
      case 'S':
        return this.text(this.u32());
      case 'x':
        return new Uint8Array(this.part(this.u32()));
      case 'F':
      case 'A':
        return this.#fields(this.u32(), type === 'F', depth + 1);
      case 'V':
        return null;
      case 't':
        return this.u8() !== 0;
      case 'D':
        return 10 ** -this.u8() * this.u32();
      case 'T':
        return new Date(this.u64() * 1000);
      case 'l':
      case 'L': {
        const value = this.#view.getBigInt64(this.skip(8));
        const number = Number(value);
        return Number.isSafeInteger(number) ? number : value;
      }
    }
    const [name, bytes] = NUMBERS[type] ?? [];
    if (name === undefined) throw protocolError(`no field type ${type}`);
    return this.#view[name](this.skip(bytes ?? 0));
  }
}

/** Writes one thing after another. What does not fit throws a RangeError. */
export class Writer {
  at = 0;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    this.#view.setUint8(this.at++, value);
  }
  u16(value: number): void {
    this.u8(value >> 8);
    this.u8(value);
  }
  u32(value: number): void {
    this.patch(this.#take(4), value);
  }
  u64(value: number): void {
    this.u32(value / TWO_32);
    this.u32(value);
  }
  patch(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }
  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#take(bytes.length));
  }
  text(text: string): void {
    const { read, written } = encoder.encodeInto(text, this.bytes.subarray(this.at));
    if (read < text.length) throw new RangeError();
    this.at += written;
  }
  short(text: string): void {
    const at = this.#take(1);
    this.text(text);
    const length = this.at - at - 1;
    if (length > 255) throw invalid(`above 255 bytes: ${text.slice(0, 32)}`);
    this.bytes[at] = length;
  }

  /** Begins a frame; `endFrame` sets its size. */
  frame(type: number, handle: number): void {
    this.u8(type);
    this.u16(handle);
    this.u32(0);
  }
  endFrame(start: number): void {
    this.patch(start + 3, this.at - start - FRAME_HEADER_BYTES);
    this.u8(FRAME_END);
  }

  /** A content header with these properties; its body size, at +8, is 0. */
  header(properties: { readonly [name: string]: unknown }): void {
    const { at } = this;
    this.u32(60 << 16);
    this.u64(0);
    this.u16(0);
    let flags = 0;
    for (let i = 0; i < NAMES.length; i++) {
      const value = properties[NAMES[i] ?? ''];
      if (value === undefined) continue;
      flags |= 0x8000 >> i;
      if (typeof value === 'object') this.#fields(value ?? {}, 1);
      else if (typeof value !== 'number') this.short(String(value));
      else if (KINDS[i] === 't') this.u64(value);
      else if (value >= 0 && value <= 255) this.u8(value);
      else throw invalid(`${NAMES[i]} is not from 0 to 255`);
    }
    this.patch(at + 10, flags); // and two bytes of the size, which is 0
  }

  #take(count: number): number {
    const { at } = this;
    this.at += count;
    return at;
  }

  /** A u32, and as many bytes as `write` writes. */
  #sized(write: () => void): void {
    const at = this.#take(4);
    write();
    this.patch(at, this.at - at - 4);
  }

  #fields(fields: object, depth: number): void {
    if (depth > DEPTH_MAX) throw invalid('nested too deep');
    const isArray = Array.isArray(fields);
    this.#sized(() => {
      for (const [name, value] of Object.entries(fields)) {
        if (value === undefined && !isArray) continue;
        if (!isArray) this.short(name);
        this.#value(value ?? null, depth);
      }
    });
  }

  #value(value: unknown, depth: number): void {
    const type = (letter: string): void => this.u8(letter.charCodeAt(0));
    if (value === null) type('V');
    else if (typeof value === 'string') {
      type('S');
      this.#sized(() => this.text(value));
    } else if (typeof value === 'boolean') {
      type('t');
      this.u8(Number(value));
    } else if (typeof value === 'number' && value === (value | 0)) {
      type('I');
      this.u32(value);
    } else if (typeof value === 'bigint' || Number.isSafeInteger(value)) {
      const whole = BigInt(String(value));
      if (BigInt.asIntN(64, whole) !== whole) throw invalid('above 64 bits');
      type('l');
      this.#view.setBigInt64(this.#take(8), whole);
    } else if (typeof value === 'number') {
      type('d');
      this.#view.setFloat64(this.#take(8), value);
    } else if (value instanceof Date) {
      type('T');
      this.u64(Math.floor(value.getTime() / 1000));
    } else if (value instanceof Uint8Array) {
      type('x');
      this.#sized(() => this.put(value));
    } else if (typeof value === 'object') {
      type(Array.isArray(value) ? 'A' : 'F');
      this.#fields(value, depth + 1);
    } else throw invalid(`a header cannot be a ${typeof value}`);
  }
}
