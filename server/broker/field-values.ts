// Field values as the broker compares and names them: when two are the same, and what RabbitMQ calls their types.
// Always: (1) integers are the same when their values are, whatever their width; so are floats; (2) nothing else is the same across types
// (a longstr is not a binary, 1 is not "1"); (3) two values are the same exactly when their canonicalValue is.
// RabbitMQ differs: it counts a decimal among the integers when it compares arguments.

import { type FieldTable, type FieldValue, Typed } from '../../shared/amqp/table.ts';

/** RabbitMQ's names of the types, as its error texts spell them. */
const TYPE_NAMES: Readonly<Record<Typed['type'], string>> = {
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  l: 'long',
  L: 'long',
  f: 'float',
  d: 'double',
  T: 'timestamp',
  x: 'binary',
  D: 'decimal',
  S: 'longstr',
};

export function typeName(value: FieldValue): string {
  if (typeof value === 'string') return 'longstr';
  if (typeof value === 'boolean') return 'bool';
  if (value === null) return 'void';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? (value === (value | 0) ? 'signedint' : 'long') : 'double';
  if (Array.isArray(value)) return 'array';
  return value instanceof Typed ? TYPE_NAMES[value.type] : 'table';
}

/** The value of any integer type; undefined for everything else. Timestamps are not integers. */
export function integerOf(value: FieldValue | undefined): number | bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  if (!(value instanceof Typed) || typeof value.value === 'object') return undefined;
  switch (value.type) {
    case 'f':
    case 'd':
    case 'T':
      return undefined;
    default:
      return value.value;
  }
}

/** As RabbitMQ prints a value inside quotes. */
export function printValue(value: FieldValue): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'undefined';
  const integer = integerOf(value);
  return integer === undefined ? canonicalValue(value).slice(1) : String(integer);
}

/** One string for all values that are the same. */
export function canonicalValue(value: FieldValue): string {
  if (typeof value === 'string') return `S${JSON.stringify(value)}`;
  if (typeof value === 'boolean') return `t${value}`;
  if (value === null) return 'V';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? `i${value + 0}` : `d${value}`;
  if (Array.isArray(value)) return `A[${value.map(canonicalValue).join(',')}]`;
  return value instanceof Typed ? canonicalTyped(value) : canonicalTable(value);
}

/** One string for all tables with the same names and values, in whatever order. */
export function canonicalTable(table: FieldTable): string {
  if (table.size === 0) return 'F{}';
  const fields = [...table].map(([name, value]) => `${JSON.stringify(name)}:${canonicalValue(value)}`);
  return `F{${fields.sort().join(',')}}`;
}

function canonicalTyped(typed: Typed): string {
  const integer = integerOf(typed);
  if (integer !== undefined) return `i${integer}`;
  const { value } = typed;
  const type = typed.type === 'f' ? 'd' : typed.type;
  if (value instanceof Uint8Array) return `${type}${value.join(' ')}`;
  return typeof value === 'object' ? `D${value.scale}/${value.value}` : `${type}${Object.is(value, -0) ? 0 : value}`;
}
