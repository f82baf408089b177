// The 14 properties of AMQP's basic class, and the content header they travel in.
//
//   class u16 = 60 · weight u16 = 0 · body size u64 · flags u16 · the properties present, in the order below
//
// Always: (1) bit 15 of the flags is the first property, bit 2 the last, as AMQP 0-9-1 (4.2.6.1) has it; (2) what Content.read accepted,
// decodeProperties decodes: a string that is not UTF-8 shows U+FFFD and a timestamp above 2^53 - 1 is rounded, for the stored bytes stay as they came.
// Refuses: a string above 255 bytes, a number out of range.

import { readU32, writeU16, writeU64 } from '../bytes.ts';
import { AmqpError, ReplyCode } from '../error.ts';
import { decodeUtf8Loosely, shortStringBytes, shortStringEnd, writeShortString } from '../text.ts';
import { decodeTable, type FieldTable, tableBytes, writeTable } from './table.ts';

export interface Properties {
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
  headers?: FieldTable | undefined;
  /** 1 transient, 2 persistent. */
  deliveryMode?: number | undefined;
  priority?: number | undefined;
  correlationId?: string | undefined;
  replyTo?: string | undefined;
  /** Milliseconds, as a decimal string. */
  expiration?: string | undefined;
  messageId?: string | undefined;
  /** Seconds since 1970. */
  timestamp?: number | undefined;
  type?: string | undefined;
  userId?: string | undefined;
  appId?: string | undefined;
  clusterId?: string | undefined;
}

export const BASIC_CLASS = 60;
/** Up to and with the flags. */
export const CONTENT_HEADER_FIXED_BYTES = 14;

type TextProperty = Exclude<keyof Properties, 'headers' | 'deliveryMode' | 'priority' | 'timestamp'>;
type PropertyField =
  | { readonly name: TextProperty; readonly kind: 'text' }
  | { readonly name: 'headers'; readonly kind: 'table' }
  | { readonly name: 'deliveryMode' | 'priority'; readonly kind: 'octet' }
  | { readonly name: 'timestamp'; readonly kind: 'seconds' };

/** The properties in wire order: the n-th has flag 1 << (15 - n). */
export const propertyFields: readonly PropertyField[] = [
  { name: 'contentType', kind: 'text' },
  { name: 'contentEncoding', kind: 'text' },
  { name: 'headers', kind: 'table' },
  { name: 'deliveryMode', kind: 'octet' },
  { name: 'priority', kind: 'octet' },
  { name: 'correlationId', kind: 'text' },
  { name: 'replyTo', kind: 'text' },
  { name: 'expiration', kind: 'text' },
  { name: 'messageId', kind: 'text' },
  { name: 'timestamp', kind: 'seconds' },
  { name: 'type', kind: 'text' },
  { name: 'userId', kind: 'text' },
  { name: 'appId', kind: 'text' },
  { name: 'clusterId', kind: 'text' },
];

const FLAGS: ReadonlyMap<string, number> = new Map(propertyFields.map(({ name }, i) => [name, 0x8000 >>> i]));

const malformed = (): AmqpError => new AmqpError(ReplyCode.SyntaxError, 'malformed content: properties run past their end');

export function encodeContentHeader(properties: Properties, bodyBytes: number): Uint8Array {
  const bytes = new Uint8Array(contentHeaderBytes(properties));
  writeContentHeader(bytes, 0, properties, bodyBytes);
  return bytes;
}

/** The flags of the properties present. From here on, only those are looked at: most messages have one or two. */
function flagsOf(properties: Properties): number {
  let flags = 0;
  for (const name in properties) {
    const flag = FLAGS.get(name);
    if (flag !== undefined) flags |= flag;
  }
  // A property set to undefined is absent.
  for (let rest = flags; rest !== 0; rest ^= highest(rest)) {
    if (properties[fieldOf(rest).name] === undefined) flags ^= highest(rest);
  }
  return flags;
}

const highest = (flags: number): number => 0x8000_0000 >>> Math.clz32(flags);
const fieldOf = (flags: number): PropertyField => propertyFields[Math.clz32(flags) - 16] as PropertyField;

/** Bytes of the content header with these properties. Throws 502 for what a header cannot hold, so that writeContentHeader cannot fail. */
export function contentHeaderBytes(properties: Properties): number {
  let size = CONTENT_HEADER_FIXED_BYTES;
  for (let rest = flagsOf(properties); rest !== 0; rest ^= highest(rest)) size += propertyBytes(properties, fieldOf(rest));
  return size;
}

function propertyBytes(properties: Properties, field: PropertyField): number {
  if (field.kind === 'text') return shortStringBytes(properties[field.name] ?? '');
  if (field.kind === 'table') return tableBytes(properties[field.name] ?? new Map());
  const number = properties[field.name] ?? 0;
  const max = field.kind === 'octet' ? 255 : Number.MAX_SAFE_INTEGER;
  if (!Number.isInteger(number) || number < 0 || number > max) {
    throw new AmqpError(ReplyCode.SyntaxError, `property ${field.name} is not an integer from 0 to ${max}`);
  }
  return field.kind === 'octet' ? 1 : 8;
}

/** Writes a content header at `at` and answers the offset behind it. The caller has made room for contentHeaderBytes(properties). */
export function writeContentHeader(bytes: Uint8Array, at: number, properties: Properties, bodyBytes: number): number {
  const flags = flagsOf(properties);
  writeU16(bytes, at, BASIC_CLASS);
  writeU16(bytes, at + 2, 0);
  writeU64(bytes, at + 4, bodyBytes);
  writeU16(bytes, at + 12, flags);
  let next = at + CONTENT_HEADER_FIXED_BYTES;
  for (let rest = flags; rest !== 0; rest ^= highest(rest)) next = writeProperty(bytes, next, properties, fieldOf(rest));
  return next;
}

function writeProperty(bytes: Uint8Array, at: number, properties: Properties, field: PropertyField): number {
  if (field.kind === 'text') return writeShortString(bytes, at, properties[field.name] ?? '');
  if (field.kind === 'table') return writeTable(bytes, at, properties[field.name] ?? new Map());
  if (field.kind === 'seconds') return writeU64(bytes, at, properties[field.name] ?? 0);
  bytes[at] = properties[field.name] ?? 0;
  return at + 1;
}

/** The properties that stand at bytes[propertiesStart, headerEnd), as `flags` says which. Nothing of the result is a view. */
export function decodeProperties(bytes: Uint8Array, propertiesStart: number, headerEnd: number, flags: number): Properties {
  const properties: Properties = {};
  let at = propertiesStart;
  for (let rest = flags & 0xfffc; rest !== 0; rest ^= highest(rest)) {
    const field = fieldOf(rest);
    const next = propertyEnd(bytes, at, headerEnd, field);
    if (field.kind === 'text') properties[field.name] = decodeUtf8Loosely(bytes, at + 1, next);
    else if (field.kind === 'table') properties[field.name] = decodeTable(bytes, at, next);
    else if (field.kind === 'octet') properties[field.name] = bytes[at] as number;
    else properties[field.name] = readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
    at = next;
  }
  return properties;
}

function propertyEnd(bytes: Uint8Array, at: number, end: number, field: PropertyField): number {
  if (field.kind === 'text') return shortStringEnd(bytes, at, end);
  const fixed = field.kind === 'octet' ? 1 : field.kind === 'seconds' ? 8 : 4;
  if (at + fixed > end) throw malformed();
  const next = field.kind === 'table' ? at + 4 + readU32(bytes, at) : at + fixed;
  if (next > end) throw malformed();
  return next;
}
