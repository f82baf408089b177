// Random tables, properties and frames for the wire properties.
// Always: `encodedTable` is built with Buffer, byte by byte, and never with the code under test; names in one table differ, and are no array
// indexes (JavaScript objects would reorder them, and JSON objects have no order to keep).

import fc from 'fast-check';
import type { Properties } from '../../shared/amqp/properties.ts';
import { type FieldTable, type FieldValue, Typed } from '../../shared/amqp/table.ts';

const name = fc
  .oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ maxLength: 12, unit: 'binary' }),
    fc.constantFrom('__proto__', 'constructor', '$amqp', ''),
  )
  .filter((text) => !/\p{Surrogate}/u.test(text) && !/^[0-9]+$/.test(text));

export const wellFormed = (maxLength: number): fc.Arbitrary<string> => fc.string({ unit: 'binary', maxLength });

export const shortString: fc.Arbitrary<string> = wellFormed(60);

const fixed = (type: string, size: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Buffer.concat([Buffer.from(type), bytes]));
const sized = (type: string, payload: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  payload.map((bytes) => Buffer.concat([Buffer.from(type), length(bytes.length), bytes]));

function length(bytes: number): Buffer {
  const field = Buffer.alloc(4);
  field.writeUInt32BE(bytes);
  return field;
}

const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const isNumber = (value: Buffer): boolean => !Number.isNaN(value.length === 5 ? value.readFloatBE(1) : value.readDoubleBE(1));

/** The payload of a table (its fields) and a value with its type octet, as bytes. */
const encoded = fc.letrec<{ value: Buffer; fields: Buffer }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    sized('S', bytes),
    sized(
      'S',
      wellFormed(10).map((text) => Buffer.from(text)),
    ),
    sized('x', bytes),
    fc.constantFrom(Buffer.from('V'), Buffer.from('t\0'), Buffer.from('t\x01')),
    fc.oneof(fixed('b', 1), fixed('B', 1), fixed('s', 2), fixed('u', 2), fixed('I', 4), fixed('i', 4), fixed('D', 5)),
    fc.oneof(fixed('l', 8), fixed('L', 8), fixed('T', 8)),
    fc.constantFrom('l', 'L', 'T').chain((type) => fixed('', 1).map((last) => Buffer.concat([Buffer.from(type), Buffer.alloc(7), last]))),
    fc.oneof(fixed('f', 4), fixed('d', 8)).filter(isNumber),
    fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.constant(-0)).map((number) => {
      const value = Buffer.from('d........');
      value.writeDoubleBE(number, 1);
      return value;
    }),
    sized('F', tie('fields')),
    sized(
      'A',
      fc.array(tie('value'), { maxLength: 5 }).map((values) => Buffer.concat(values)),
    ),
  ),
  fields: fc
    .uniqueArray(fc.tuple(name, tie('value')), { maxLength: 6, selector: ([key]) => key })
    .map((fields) => Buffer.concat(fields.flatMap(([key, value]) => [Buffer.from([Buffer.byteLength(key)]), Buffer.from(key), value]))),
}));

/** A table as bytes, with its u32 length. */
export const encodedTable: fc.Arbitrary<Uint8Array> = encoded.fields.map(
  (fields) => new Uint8Array(Buffer.concat([length(fields.length), fields])),
);

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const number64 = (big: bigint): number | bigint => (Number.isSafeInteger(Number(big)) ? Number(big) : big);

const typed: fc.Arbitrary<Typed> = fc.oneof(
  fc.integer({ min: -128, max: 127 }).map((value) => new Typed('b', value)),
  fc.nat(255).map((value) => new Typed('B', value)),
  fc.nat(65_535).map((value) => new Typed('u', value)),
  fc.integer().map((value) => new Typed('l', value)),
  int64.map((value) => new Typed('L', number64(value))),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => new Typed('T', number64(value))),
  fc.float({ noNaN: true }).map((value) => new Typed('f', value)),
  fc.maxSafeInteger().map((value) => new Typed('d', value)),
  fc.uint8Array({ maxLength: 8 }).map((value) => new Typed('x', value)),
  fc.record({ scale: fc.nat(255), value: fc.nat() }, { noNullPrototype: true }).map((value) => new Typed('D', value)),
);

/** A table in the one form decodeTable gives, so that decode(encode(table)) equals it. */
const values = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.oneof(
      wellFormed(10),
      fc.boolean(),
      fc.constant(null),
      fc.integer(),
      fc.maxSafeInteger().map((number) => number + 0),
    ),
    fc.double({ noInteger: true, noNaN: true }),
    typed,
    tie('table'),
    fc.array(tie('value'), { maxLength: 5 }),
  ),
  table: fc.uniqueArray(fc.tuple(name, tie('value')), { maxLength: 6, selector: ([key]) => key }).map((fields) => new Map(fields)),
}));
export const table: fc.Arbitrary<FieldTable> = values.table;

export const properties: fc.Arbitrary<Properties> = fc.record(
  {
    contentType: shortString,
    contentEncoding: shortString,
    headers: table,
    deliveryMode: fc.nat(255),
    priority: fc.nat(255),
    correlationId: shortString,
    replyTo: shortString,
    expiration: shortString,
    messageId: shortString,
    timestamp: fc.maxSafeNat(),
    type: shortString,
    userId: shortString,
    appId: shortString,
    clusterId: shortString,
  },
  { requiredKeys: [] },
);

/** `bytes` with a few octets changed, cut away or put in. */
export function damaged(source: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
  return fc.tuple(source, fc.array(edit, { minLength: 1, maxLength: 3 })).map(([original, edits]) => {
    let result = Buffer.from(original);
    for (const { at, remove, insert } of edits) {
      const from = at % (result.length + 1);
      result = Buffer.concat([result.subarray(0, from), insert, result.subarray(from + remove)]);
    }
    return new Uint8Array(result);
  });
}
