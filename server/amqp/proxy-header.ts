// The PROXY protocol, versions 1 and 2: what a load balancer says of the client it stands for, before the client's first byte.
//
//   1: PROXY TCP4 source destination sport dport CR LF          at most 107 octets
//   2: signature (12) · version 2 and command · family · u16 bytes · addresses · TLVs that nobody here reads
//
// Always: (1) a header is taken whole or the socket is cut, within 5 s; what follows it stays in the socket; (2) LOCAL and UNKNOWN, which health
// checks send, leave the address of the peer itself. haproxy's "The PROXY protocol", 2 (semantics A6).
// Refuses: to decide whose word counts; who listens does.

import { isIPv4, isIPv6, type Socket } from 'node:net';
import { readU16 } from '../../shared/bytes.ts';
import type { Clock } from '../ports.ts';

const HEADER_MS_MAX = 5_000;
const VERSION_1_BYTES_MAX = 107;
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const VERSION_2_FIXED_BYTES = 16;
const VERSION_2_BYTES_MAX = VERSION_2_FIXED_BYTES + 4096; // addresses, and more TLVs than any balancer sends

/** Where a connection comes from. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  /** Octets of the header. */
  readonly length: number;
  /** undefined: the peer speaks for itself. */
  readonly source: Peer | undefined;
}

/** The header that `bytes` begins with; `short` while it may still become one. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | 'short' | 'wrong' {
  if (bytes.length === 0) return 'short';
  return bytes[0] === SIGNATURE[0] ? parseVersion2(bytes) : parseVersion1(bytes);
}

function parseVersion1(bytes: Uint8Array): ProxyHeader | 'short' | 'wrong' {
  const end = bytes.indexOf(0x0a);
  const line = String.fromCharCode(...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end + 1, VERSION_1_BYTES_MAX)));
  const begins = 'PROXY '.startsWith(line.slice(0, 6)) || line.startsWith('PROXY ');
  if (!begins || (end < 0 && bytes.length >= VERSION_1_BYTES_MAX)) return 'wrong';
  if (end < 0) return 'short';
  if (line.startsWith('PROXY UNKNOWN') && line.endsWith('\r\n')) return { length: end + 1, source: undefined };
  const [, family, address = '', , port = ''] = /^PROXY (TCP[46]) (\S+) (\S+) (\d{1,5}) \d{1,5}\r\n$/.exec(line) ?? [];
  const isAddress = family === 'TCP4' ? isIPv4(address) : family === 'TCP6' && isIPv6(address);
  return isAddress && Number(port) <= 65_535 ? { length: end + 1, source: { address, port: Number(port) } } : 'wrong';
}

function parseVersion2(bytes: Uint8Array): ProxyHeader | 'short' | 'wrong' {
  for (let i = 0; i < Math.min(bytes.length, SIGNATURE.length); i++) if (bytes[i] !== SIGNATURE[i]) return 'wrong';
  if (bytes.length < VERSION_2_FIXED_BYTES) return 'short';
  const [version, command] = [(bytes[12] as number) >>> 4, (bytes[12] as number) & 15];
  const length = VERSION_2_FIXED_BYTES + readU16(bytes, 14);
  if (version !== 2 || command > 1 || length > VERSION_2_BYTES_MAX) return 'wrong';
  if (bytes.length < length) return 'short';
  const family = (bytes[13] as number) >>> 4;
  if (command === 0 || family === 0) return { length, source: undefined };
  const addressBytes = family === 1 ? 4 : 16;
  if (family > 2 || length < VERSION_2_FIXED_BYTES + 2 * addressBytes + 4) return 'wrong';
  const address = bytes.subarray(VERSION_2_FIXED_BYTES, VERSION_2_FIXED_BYTES + addressBytes);
  return { length, source: { address: addressText(address), port: readU16(bytes, VERSION_2_FIXED_BYTES + 2 * addressBytes) } };
}

function addressText(address: Uint8Array): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => readU16(address, 2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1); // the short form
}

/** Takes the header off `socket`, which nobody reads yet, and says whom it speaks for. Without one the socket is cut, and `done` never called. */
export function awaitProxyHeader(socket: Socket, clock: Clock, done: (source: Peer | undefined) => void): void {
  let bytes = Buffer.alloc(0);
  const cut = clock.setTimer(clock.now() + HEADER_MS_MAX, () => socket.destroy());
  const read = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const header = parseProxyHeader(bytes);
    if (header === 'short') return;
    cut.cancel();
    socket.off('data', read);
    if (header === 'wrong') {
      socket.destroy();
      return;
    }
    socket.pause();
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    done(header.source);
  };
  socket.once('close', () => cut.cancel());
  socket.on('data', read);
}
