// A message that `get` answered in JSON, as the DELIVER payload that Message reads. Loaded when `get` is first called: few programs do.
// Always: header values become what a binary delivery gives: int64 a bigint, timestamps Dates, bytes Uint8Array.

import type { DeliveryJson, Json, JsonObject } from '../../shared/protocol/control.ts';
import { encodeText, Writer } from './codec.ts';
import { HEAD_BYTES_MAX } from './encoder.ts';
import { Message } from './message.ts';
import type { Session } from './session.ts';
import type { Fields, Wire } from './wire.ts';

/** One message, or undefined when none is ready. */
export async function getMessage<B>(session: Session, fields: Fields<'get'>): Promise<Message<B> | undefined> {
  const wire = await session.opening();
  const { message } = await wire.request('get', fields);
  return message === null ? undefined : messageFromJson(message, wire);
}

function messageFromJson<B>({ tag, redelivered, deliveryCount, id, ...json }: DeliveryJson, wire: Wire): Message<B> {
  const body = json.bodyBase64 === undefined ? encodeText(json.body ?? '') : fromBase64(json.bodyBase64);
  const writer = new Writer(HEAD_BYTES_MAX + body.length);
  const [number, seq] = id.split('-');
  writer.u64(tag);
  writer.u8(Number(redelivered));
  writer.u32(deliveryCount);
  writer.u32(Number(number));
  writer.u64(Number(seq));
  writer.short(json.exchange);
  writer.short(json.key);
  const headerStart = writer.at;
  const { headers } = json.properties;
  writer.header({ ...json.properties, headers: headers && plainTable(headers) });
  writer.patch(headerStart + 8, body.length);
  writer.put(body);
  return new Message<B>(writer.bytes.slice(0, writer.at), wire);
}

function plainTable(table: JsonObject): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(table)) fields[name] = plainValue(value);
  return fields;
}

function plainValue(value: Json): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plainValue);
  const { $amqp: type, value: typed } = value;
  if (type === 'x') return fromBase64(String(typed));
  if (type === 'T') return new Date(Number(typed) * 1000);
  if (type === 'l' || type === 'L') return BigInt(String(typed));
  if (typeof typed === 'object' && typed !== null && !Array.isArray(typed)) {
    if (type === 'D') return 10 ** -Number(typed['scale']) * Number(typed['value']);
    if (type === 'F') return plainTable(typed);
  }
  return type === undefined ? plainTable(value) : Number(typed);
}

function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  // Ten times as fast as Uint8Array.from, which goes by code points.
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
