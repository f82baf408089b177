// The method table and its codec against amqplib's, which are generated from the specification (lib/defs.js): same methods, same types, same octets.
// Always: fields are matched by their place, for names differ (amqplib keeps those of AMQP 0-8: ticket, capabilities, insist, knownHosts).
// What amqplib cannot say is left out here and stands in amqp-methods.test.ts: int64 as `L`, bytes that are no UTF-8 as `S`.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMethod, methodFrame } from '../../shared/amqp/methods.ts';
import { encodeContentHeader, type Properties } from '../../shared/amqp/properties.ts';
import { type FieldType, METHODS, type MethodName, methodKey } from '../../shared/amqp/spec.ts';
import { type FieldTable, type FieldValue, Typed } from '../../shared/amqp/table.ts';
import { formOf, frameBytes, methodNames, specOf } from './amqp-arbitraries.ts';
import { shortString, wellFormed } from './arbitraries.ts';

interface AmqplibDefs {
  readonly [name: string]: unknown;
  info(id: number): { readonly name: string; readonly args: readonly { readonly type: string; readonly name: string }[] };
  encodeMethod(id: number, channel: number, fields: object): Buffer;
  encodeProperties(id: number, channel: number, bodyBytes: number, fields: object): Buffer;
  decode(id: number, payload: Buffer): { readonly [field: string]: unknown };
}

const require = createRequire(import.meta.url);
const defs: AmqplibDefs = require(join(dirname(require.resolve('amqplib')), 'lib/defs.js'));

const key = (name: MethodName): number => methodKey(specOf(name).classId, specOf(name).methodId);

/** A table in our form and in amqplib's. */
interface Twin<Ours> {
  readonly ours: Ours;
  readonly theirs: unknown;
}

const same = <T extends FieldValue>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<Twin<FieldValue>> =>
  arbitrary.map((value) => ({ ours: value, theirs: value }));
const typed = (type: Typed['type'], theirs: string, low: number, high: number): fc.Arbitrary<Twin<FieldValue>> =>
  fc.integer({ min: low, max: high }).map((value) => ({ ours: new Typed(type, value), theirs: { '!': theirs, value } }));
// '!' as a name is amqplib's own mark of a type; names that are array indexes would change their place.
const fieldName = wellFormed(12).filter((text) => text !== '!' && !/^[0-9]+$/.test(text));

const twins = fc.letrec<{ value: Twin<FieldValue>; table: Twin<FieldTable> }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    same(fc.oneof<fc.Arbitrary<FieldValue>[]>(wellFormed(10), fc.boolean(), fc.constant(null))),
    fc.integer().map((value) => ({ ours: value, theirs: { '!': 'int', value } })),
    fc
      .maxSafeInteger()
      .filter((value) => value !== (value | 0))
      .map((value) => ({ ours: value, theirs: { '!': 'long', value } })),
    fc.double({ noInteger: true, noNaN: true }).map((value) => ({ ours: value, theirs: { '!': 'double', value } })),
    typed('b', 'byte', -128, 127),
    typed('B', 'uint8', 0, 255),
    typed('s', 'short', -32_768, 32_767),
    typed('u', 'uint16', 0, 65_535),
    typed('i', 'uint32', 0, 0xffff_ffff),
    typed('l', 'long', -5, 5),
    typed('T', 'timestamp', 0, Number.MAX_SAFE_INTEGER),
    fc.float({ noNaN: true }).map((value) => ({ ours: new Typed('f', value), theirs: { '!': 'float', value } })),
    fc.tuple(fc.nat(255), fc.nat(0xffff_ffff)).map(([scale, value]) => ({
      ours: new Typed('D', { scale, value }),
      theirs: { '!': 'decimal', value: { places: scale, digits: value } },
    })),
    fc.uint8Array({ maxLength: 9 }).map((value) => ({ ours: new Typed('x', value), theirs: Buffer.from(value) })),
    tie('table'),
    fc
      .array(tie('value'), { maxLength: 4 })
      .map((values) => ({ ours: values.map(({ ours }) => ours), theirs: values.map(({ theirs }) => theirs) })),
  ),
  table: fc.uniqueArray(fc.tuple(fieldName, tie('value')), { maxLength: 5, selector: ([name]) => name }).map((fields) => ({
    ours: new Map(fields.map(([name, { ours }]) => [name, ours])),
    theirs: Object.fromEntries(fields.map(([name, { theirs }]) => [name, theirs])),
  })),
}));

function twinOf(type: FieldType): fc.Arbitrary<Twin<unknown>> {
  if (type === 'table') return twins.table;
  return formOf(type).map((value) => ({ ours: value, theirs: value instanceof Uint8Array ? Buffer.from(value) : value }));
}

const ZERO: { readonly [Type in FieldType]: unknown } = {
  bit: false,
  octet: 0,
  short: 0,
  long: 0,
  longlong: 0,
  shortstr: '',
  longstr: Buffer.alloc(0),
  table: {},
};

/** The fields of `name` as we call them, and as amqplib does; what is reserved is zero there. */
function fieldsOf(name: MethodName): fc.Arbitrary<{ ours: { [field: string]: never }; theirs: { [field: string]: unknown } }> {
  const types = Object.entries(specOf(name).fields);
  const { args } = defs.info(key(name));
  return fc.tuple(...types.map(([, type]) => twinOf(type))).map((values) => {
    const ours: [string, never][] = [];
    const theirs: [string, unknown][] = [];
    types.forEach(([field, type], i) => {
      const isReserved = field.startsWith('reserved');
      if (!isReserved) ours.push([field, values[i]?.ours as never]);
      theirs.push([args[i]?.name ?? '', isReserved ? ZERO[type] : values[i]?.theirs]);
    });
    return { ours: Object.fromEntries(ours), theirs: Object.fromEntries(theirs) };
  });
}

test('every method is known to both', () => {
  const theirs = Object.entries(defs).filter(([name, value]) => typeof value === 'number' && defs[`methodInfo${name}`] !== undefined);
  const ids = theirs.map(([, id]) => id).filter((id) => id !== 60); // 60 alone is the properties of basic
  expect(ids.length).toBeGreaterThan(60);
  expect(new Set(methodNames.map(key))).toEqual(new Set(ids));
  expect(Object.keys(METHODS)).toHaveLength(ids.length);
});

describe.each(methodNames)('%s', (name) => {
  test('has the same name and the same types in the same order', () => {
    const { name: theirName, args } = defs.info(key(name));
    expect(name.replaceAll(/[.-]/g, '').toLowerCase()).toBe(theirName.toLowerCase());
    expect(Object.values(specOf(name).fields)).toEqual(args.map(({ type }) => type));
    for (const [i, field] of Object.keys(specOf(name).fields).entries()) {
      if (field.startsWith('reserved')) continue;
      const theirs = args[i]?.name ?? '';
      // failed: AMQP calls the ids of close classId and methodId, like its own
      expect([theirs, `failed${theirs}`].map((text) => text.toLowerCase())).toContain(field.toLowerCase());
    }
  });

  test('is written in the same octets, and read back from theirs', () => {
    fc.assert(
      fc.property(fieldsOf(name), fc.nat(65_535), ({ ours, theirs }, channel) => {
        const frame = defs.encodeMethod(key(name), channel, theirs);
        expect(Buffer.from(methodFrame(channel, name, ours)).toString('hex')).toBe(frame.toString('hex'));
        expect(decodeMethod(frame, 7, frame.length - 1)).toStrictEqual({ name, fields: ours });
      }),
      { numRuns: 60 },
    );
  });

  test('is read by amqplib as it was meant', () => {
    const { args } = defs.info(key(name));
    const plain = Object.entries(specOf(name).fields).map(([field, type], i) => ({ field, type, theirs: args[i]?.name ?? '' }));
    fc.assert(
      fc.property(fieldsOf(name), ({ ours }) => {
        const read = defs.decode(key(name), Buffer.from(methodFrame(1, name, ours)).subarray(11, -1));
        for (const { field, type, theirs } of plain) {
          // amqplib gives up the types of a table's values
          if (field.startsWith('reserved') || type === 'table') continue;
          const value: unknown = ours[field];
          expect(read[theirs]).toEqual(value instanceof Uint8Array ? Buffer.from(value) : value);
        }
      }),
      { numRuns: 30 },
    );
  });
});

test('the content header has the same octets', () => {
  const texts = [
    'contentType',
    'contentEncoding',
    'correlationId',
    'replyTo',
    'expiration',
    'messageId',
    'type',
    'userId',
    'appId',
    'clusterId',
  ] as const;
  const properties = fc.record(
    {
      ...Object.fromEntries(texts.map((name) => [name, shortString])),
      deliveryMode: fc.nat(255),
      priority: fc.nat(255),
      timestamp: fc.maxSafeNat(),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(properties, fc.option(twins.table), fc.maxSafeNat(), (values: Properties, headers, bodyBytes) => {
      const ours = headers === null ? values : { ...values, headers: headers.ours };
      const theirs = headers === null ? values : { ...values, headers: headers.theirs };
      const payload = encodeContentHeader(ours, bodyBytes);
      expect(frameBytes({ type: 2, channel: 7, payload }).toString('hex')).toBe(
        defs.encodeProperties(60, 7, bodyBytes, theirs).toString('hex'),
      );
    }),
    { numRuns: 300 },
  );
});
