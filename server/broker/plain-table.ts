// Argument tables as RabbitMQ's JSON has them: plain values without their AMQP types.
// Always: a table from plain JSON comes out as the same JSON. What JSON cannot hold becomes what RabbitMQ makes of it: timestamps and decimals are
// numbers, bytes that are no UTF-8 a text that says so. Refuses: to bring those back; who needs types uses shared/protocol/json.ts.

import { type FieldTable, type FieldValue, Typed } from '../../shared/amqp/table.ts';
import { encodeBase64 } from '../../shared/base64.ts';
import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { decodeUtf8, isUtf8 } from '../../shared/text.ts';

export function plainTable(table: FieldTable): JsonObject {
  return Object.fromEntries([...table].map(([name, value]) => [name, plain(value)]));
}

function plain(value: FieldValue): Json {
  if (value instanceof Map) return plainTable(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Typed) return plainTyped(value.value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function plainTyped(value: Typed['value']): Json {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value + 0 : String(value);
  if (!(value instanceof Uint8Array)) return value.value / 10 ** value.scale;
  return isUtf8(value, 0, value.length) ? decodeUtf8(value, 0, value.length) : `Not UTF-8, base64 is: ${encodeBase64(value)}`;
}
