// Argument tables as RabbitMQ's management API shows them: plain values, without their AMQP types.
// Always: a table that was made of plain JSON comes out as the same JSON; what JSON cannot hold becomes the nearest that it can, as in RabbitMQ.
// Refuses: to be read back; shared/protocol/json.ts keeps the types.

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
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (!(value instanceof Uint8Array)) return value.value / 10 ** value.scale;
  return isUtf8(value, 0, value.length) ? decodeUtf8(value, 0, value.length) : `Not UTF-8, base64 is: ${encodeBase64(value)}`;
}
