// Big-endian unsigned integers as plain byte loads and stores. hot
// Always: (1) a u64 is a number, at most 2^53 - 1; above, reading throws 502 and writing is an invariant; (2) a write answers the offset behind it.
// Refuses to check bounds: the caller has compared `at` with its own end, which may lie before the end of the buffer.

import { invariant } from './assert.ts';
import { AmqpError, ReplyCode } from './error.ts';

// Below this many bytes a loop beats a view and `set` (50 ns).
const LOOP_BYTES_MAX = 24;
const TWO_32 = 0x1_0000_0000;

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}

export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at);
  if (high > 0x1f_ffff) throw new AmqpError(ReplyCode.SyntaxError, 'a 64-bit number above 2^53 - 1');
  return high * TWO_32 + readU32(bytes, at + 4);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
  return at + 2;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}

export function writeU64(bytes: Uint8Array, at: number, value: number): number {
  invariant(value >= 0 && value <= Number.MAX_SAFE_INTEGER, 'a u64 is at most 2^53 - 1');
  writeU32(bytes, at, Math.floor(value / TWO_32));
  return writeU32(bytes, at + 4, value >>> 0);
}

/** Copies from[start, end) to `to` at `at` and answers the offset behind it. */
export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  const bytes = end - start;
  if (bytes > LOOP_BYTES_MAX) to.set(new Uint8Array(from.buffer, from.byteOffset + start, bytes), at);
  else for (let i = 0; i < bytes; i++) to[at + i] = from[start + i] as number;
  return at + bytes;
}
