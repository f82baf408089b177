// The JSON form of tables, properties, bodies and errors (docs/protocol.md, "Properties and tables in JSON").
// Always: (1) fromJson(toJson(x)) encodes to the same bytes as x, but for the order of fields whose names are integers (JavaScript's objects sort
// them); (2) what cannot be is an AmqpError 502 whose path points into the request, never another error.
// Refuses: depth above 16, more than 64 KiB (found before more than that is built), a tag it does not know. Unknown properties are ignored, as unknown fields are.

import { type Properties, propertyFields } from '../amqp/properties.ts';
import { type FieldTable, type FieldValue, TABLE_BYTES_MAX, TABLE_DEPTH_MAX, Typed, tableBytes } from '../amqp/table.ts';
import { decodeBase64, encodeBase64 } from '../base64.ts';
import { AmqpError, ReplyCode } from '../error.ts';
import { decodeUtf8, encodeUtf8, isUtf8, SHORT_STRING_BYTES_MAX, utf8Length } from '../text.ts';
import type { BodyJson, ErrorJson, Json, JsonObject, PropertiesJson } from './control.ts';

const TAG = '$amqp';

export function tableToJson(table: FieldTable): JsonObject {
  const fields: JsonObject = {};
  for (const [name, value] of table) setField(fields, name, valueToJson(value));
  return table.has(TAG) ? { [TAG]: 'F', value: fields } : fields;
}

/** Plain assignment would set the prototype. */
function setField(fields: JsonObject, name: string, value: Json): void {
  if (name === '__proto__') Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true });
  else fields[name] = value;
}

function valueToJson(value: FieldValue): Json {
  if (value instanceof Map) return tableToJson(value);
  if (Array.isArray(value)) return value.map(valueToJson);
  if (value instanceof Typed) return { [TAG]: value.type, value: typedToJson(value.value) };
  if (typeof value === 'number' && !Number.isFinite(value)) return { [TAG]: 'd', value: String(value) };
  return value;
}

function typedToJson(value: Typed['value']): Json {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0) ? value : Object.is(value, -0) ? '-0' : String(value);
  if (value instanceof Uint8Array) return encodeBase64(value);
  return { scale: value.scale, value: value.value };
}

/** `path` is the JSON pointer of `object` in its request. */
export function tableFromJson(object: JsonObject, path = ''): FieldTable {
  const table = valueFromJson(object, path, 0, { bytesLeft: TABLE_BYTES_MAX });
  if (!(table instanceof Map)) throw refused('not a table', path);
  at(path, () => tableBytes(table));
  return table;
}

/** What one table may still take: so that a megabyte of fields costs no more than its first 64 KiB. Counted low, for tableBytes knows best. */
interface Budget {
  bytesLeft: number;
}

function spend(budget: Budget, bytes: number, path: string): void {
  budget.bytesLeft -= bytes;
  if (budget.bytesLeft < 0) throw refused(`a table above ${TABLE_BYTES_MAX} bytes`, path);
}

/** `depth` counts the tables and arrays around the value. */
function valueFromJson(json: Json, path: string, depth: number, budget: Budget): FieldValue {
  spend(budget, typeof json === 'string' ? 1 + json.length : 1, path);
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) {
    checkDepth(depth, path);
    return json.map((element, i) => valueFromJson(element, `${path}/${i}`, depth + 1, budget));
  }
  if (!Object.hasOwn(json, TAG)) return fieldsFromJson(json, path, depth, budget);
  const value = json['value'];
  if (json[TAG] !== 'F') return typedFromJson(json[TAG], value, path);
  if (!isObject(value)) throw refused('a tagged table is an object', `${path}/value`);
  return fieldsFromJson(value, `${path}/value`, depth, budget);
}

function fieldsFromJson(json: JsonObject, path: string, depth: number, budget: Budget): FieldTable {
  checkDepth(depth, path);
  const table: FieldTable = new Map();
  for (const name of Object.keys(json)) {
    // before its path is made: what is not a name is not repeated
    checkShort(name, path);
    const fieldPath = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    spend(budget, 1 + name.length, path);
    table.set(name, valueFromJson(json[name] ?? null, fieldPath, depth + 1, budget));
  }
  return table;
}

function checkDepth(depth: number, path: string): void {
  if (depth >= TABLE_DEPTH_MAX) throw refused(`a table nested deeper than ${TABLE_DEPTH_MAX}`, path);
}

function typedFromJson(type: Json | undefined, value: Json | undefined, path: string): FieldValue {
  return at(`${path}/value`, () => {
    switch (type) {
      case 'b':
      case 'B':
      case 's':
      case 'u':
      case 'I':
      case 'i':
      case 'l':
      case 'L':
      case 'T':
        return integerFromJson(type, value);
      case 'f':
        return new Typed(type, floatFromJson(value));
      case 'd':
        return doubleFromJson(floatFromJson(value));
      case 'x':
        return new Typed(type, decodeBase64(textOf(value)));
      case 'S': {
        const bytes = decodeBase64(textOf(value));
        return isUtf8(bytes, 0, bytes.length) ? decodeUtf8(bytes, 0, bytes.length) : new Typed(type, bytes);
      }
      case 'D':
        return decimalFromJson(value);
      default:
        throw refused(typeof type === 'string' ? `no field type '${type.slice(0, 16)}'` : 'a field type is a string', `${path}/${TAG}`);
    }
  });
}

function integerFromJson(type: Typed['type'], value: Json | undefined): FieldValue {
  if (typeof value === 'number') return new Typed(type, value);
  const text = textOf(value);
  // 20 digits hold 2^64; the bound keeps BigInt from reading a megabyte of them.
  if (!/^-?[0-9]{1,20}$/.test(text)) throw new AmqpError(ReplyCode.SyntaxError, `not a value of field type '${type}'`);
  const big = BigInt(text);
  return new Typed(type, Number.isSafeInteger(Number(big)) ? Number(big) : big);
}

/** As decodeTable has it: a double is plain unless a plain number of its value would be an integer. */
function doubleFromJson(value: number): FieldValue {
  return Number.isSafeInteger(value) ? new Typed('d', value) : value;
}

function floatFromJson(value: Json | undefined): number {
  if (typeof value === 'number') return value;
  switch (value) {
    case 'NaN':
      return Number.NaN;
    case 'Infinity':
      return Number.POSITIVE_INFINITY;
    case '-Infinity':
      return Number.NEGATIVE_INFINITY;
    case '-0':
      return -0;
    default:
      throw new AmqpError(ReplyCode.SyntaxError, 'not a floating point number');
  }
}

function decimalFromJson(json: Json | undefined): Typed {
  const scale = isObject(json) ? json['scale'] : undefined;
  const value = isObject(json) ? json['value'] : undefined;
  if (typeof scale !== 'number' || typeof value !== 'number') throw new AmqpError(ReplyCode.SyntaxError, "a 'D' has a scale and a value");
  return new Typed('D', { scale, value });
}

export function propertiesToJson(properties: Properties): PropertiesJson {
  const { headers, ...others } = properties;
  const json: JsonObject = {};
  for (const [name, value] of Object.entries(others)) if (value !== undefined) json[name] = value;
  if (headers !== undefined) json['headers'] = tableToJson(headers);
  return json;
}

/** Checks types and ranges too, so it may be given what no schema has seen. */
export function propertiesFromJson(json: PropertiesJson, path = '/properties'): Properties {
  const properties: Properties = {};
  for (const field of propertyFields) {
    const value: unknown = json[field.name];
    if (value === undefined) continue;
    const fieldPath = `${path}/${field.name}`;
    if (field.kind === 'text') {
      if (typeof value !== 'string') throw refused('not a string', fieldPath);
      properties[field.name] = checkShort(value, fieldPath);
    } else if (field.kind === 'table') {
      if (!isObject(value)) throw refused('not a table', fieldPath);
      properties[field.name] = tableFromJson(value, fieldPath);
    } else {
      const max = field.kind === 'octet' ? 255 : Number.MAX_SAFE_INTEGER;
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
        throw refused(`not an integer from 0 to ${max}`, fieldPath);
      }
      properties[field.name] = value;
    }
  }
  return properties;
}

export function bodyToJson(bytes: Uint8Array, start: number, end: number): BodyJson {
  return isText(bytes, start, end) ? { body: decodeUtf8(bytes, start, end) } : { bodyBase64: encodeBase64(bytes.subarray(start, end)) };
}

/**
 * Whether a body is written as text: it is UTF-8, and its control characters, six octets of JSON each, do not make it longer than base64.
 * Quotes and line ends, two octets each, do not count: people read them.
 */
function isText(bytes: Uint8Array, start: number, end: number): boolean {
  if (!isUtf8(bytes, start, end)) return false;
  const escapesMax = (Math.ceil((end - start) / 3) * 4 - (end - start)) / 5;
  let escapes = 0;
  for (let at = start; at < end; at++) {
    const octet = bytes[at] as number;
    if (octet >= 0x20 || octet === 0x09 || octet === 0x0a || octet === 0x0d || octet === 0x08 || octet === 0x0c) continue;
    if (++escapes > escapesMax) return false;
  }
  return true;
}

/** Without either form the body is empty. */
export function bodyFromJson(json: BodyJson): Uint8Array {
  const { body, bodyBase64 } = json;
  if (bodyBase64 === undefined) return encodeUtf8(body ?? '');
  return at('/bodyBase64', () => decodeBase64(bodyBase64));
}

export function errorToJson(error: AmqpError): ErrorJson {
  const { hint, path, queue } = error.detail;
  return {
    code: error.code,
    reason: error.message,
    ...(hint === undefined ? {} : { hint }),
    ...(path === undefined ? {} : { path }),
    ...(queue === undefined ? {} : { queue }),
  };
}

/** The error of a refused confirm: ConfirmReader's bytes from errorStart to errorEnd. */
export function errorFromBytes(bytes: Uint8Array, start: number, end: number): ErrorJson {
  const text = decodeUtf8(bytes, start, end);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new AmqpError(ReplyCode.SyntaxError, 'the error of a refused confirm is not JSON');
  }
  if (!isErrorJson(json)) throw new AmqpError(ReplyCode.SyntaxError, 'the error of a refused confirm has no code or reason');
  return json;
}

function isErrorJson(json: unknown): json is ErrorJson {
  return isObject(json) && typeof json['code'] === 'number' && typeof json['reason'] === 'string';
}

/** Of what JSON.parse gave; a name that AMQP cannot carry is refused where a table is made of it. */
export function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function textOf(value: Json | undefined): string {
  if (typeof value !== 'string') throw new AmqpError(ReplyCode.SyntaxError, 'not a string');
  return value;
}

function checkShort(text: string, path: string): string {
  if (text.length > SHORT_STRING_BYTES_MAX || utf8Length(text) > SHORT_STRING_BYTES_MAX) {
    throw refused(`above ${SHORT_STRING_BYTES_MAX} bytes`, path);
  }
  return text;
}

function refused(text: string, path: string): AmqpError {
  return new AmqpError(ReplyCode.SyntaxError, text, { path });
}

/** Runs `read`; an error without a path gets this one. */
function at<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AmqpError) || error.detail.path !== undefined) throw error;
    const name = error.message.indexOf(' - ');
    throw new AmqpError(error.code, error.message.slice(name + 3), { ...error.detail, path });
  }
}
