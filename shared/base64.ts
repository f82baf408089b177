// Base64 (RFC 4648, section 4) without a host's help: atob and btoa want text of one byte a unit, Buffer is not in browsers.
// Always: decode of encode is the same bytes. Refuses: the URL alphabet, white space, missing padding, bits beyond the last byte.

import { AmqpError, ReplyCode } from './error.ts';
import { decodeUtf8, encodeUtf8 } from './text.ts';

const ALPHABET = encodeUtf8('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PAD = 0x3d;
const VALUES = new Int8Array(256).fill(-1);
for (const [value, octet] of ALPHABET.entries()) VALUES[octet] = value;

export function encodeBase64(bytes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(PAD);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const bits = ((bytes[at] as number) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    out[to] = ALPHABET[bits >>> 18] as number;
    out[to + 1] = ALPHABET[(bits >>> 12) & 63] as number;
    if (left > 1) out[to + 2] = ALPHABET[(bits >>> 6) & 63] as number;
    if (left > 2) out[to + 3] = ALPHABET[bits & 63] as number;
    to += 4;
  }
  return decodeUtf8(out, 0, out.length);
}

export function decodeBase64(text: string): Uint8Array {
  const from = encodeUtf8(text);
  const pads = from.at(-1) !== PAD ? 0 : from.at(-2) !== PAD ? 1 : 2;
  const digits = from.length - pads;
  if (from.length % 4 !== 0) throw notBase64();
  const out = new Uint8Array((digits * 6) >> 3);
  let bits = 0;
  let count = 0;
  let to = 0;
  for (let at = 0; at < digits; at++) {
    const value = VALUES[from[at] as number] as number;
    if (value < 0) throw notBase64();
    bits = ((bits << 6) | value) & 0xfff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out[to++] = bits >>> count;
  }
  if ((bits & ((1 << count) - 1)) !== 0) throw notBase64();
  return out;
}

export function isBase64(text: string): boolean {
  // Linear: one class, then at most two pads; the length rule makes whole groups of it.
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

function notBase64(): AmqpError {
  return new AmqpError(ReplyCode.SyntaxError, 'not base64');
}
