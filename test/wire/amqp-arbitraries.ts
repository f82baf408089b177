// Random AMQP methods and frames, and bytes cut into random pieces.
// Always: (1) a method's fields come from the table (spec.ts) alone, so that none of its methods is left out; (2) frames are built with Buffer and
// never with the code under test.

import fc from 'fast-check';
import { type MethodFields, methodName } from '../../shared/amqp/methods.ts';
import { type FieldType, METHODS, type MethodName, type MethodSpec } from '../../shared/amqp/spec.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { shortString, table } from './arbitraries.ts';

export type FieldForm = boolean | number | string | Uint8Array | FieldTable;

export interface AnyMethod {
  readonly name: MethodName;
  readonly fields: MethodFields<MethodName> & { readonly [field: string]: FieldForm };
}

export const methodNames = Object.values(METHODS).map(({ classId, methodId }) => {
  const name = methodName(classId, methodId);
  if (name === undefined) throw new Error(`the codec does not know {${classId},${methodId}}`);
  return name;
});

export function specOf(name: MethodName): MethodSpec {
  return METHODS[name];
}

const unsigned = (max: number): fc.Arbitrary<number> =>
  fc.oneof({ weight: 5, arbitrary: fc.nat(max) }, fc.constantFrom(0, 1, max - 1, max));

const forms: { readonly [Type in FieldType]: fc.Arbitrary<FieldForm> } = {
  bit: fc.boolean(),
  octet: unsigned(255),
  short: unsigned(65_535),
  long: unsigned(0xffff_ffff),
  longlong: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER)),
  shortstr: fc.oneof({ weight: 5, arbitrary: shortString }, fc.constantFrom('', 'x'.repeat(255), 'ä'.repeat(127))),
  longstr: fc.oneof({ weight: 5, arbitrary: fc.uint8Array({ maxLength: 40 }) }, fc.constant(new Uint8Array(3_000).fill(7))),
  table,
};

export function formOf(type: FieldType): fc.Arbitrary<FieldForm> {
  return forms[type];
}

/** `name` with random fields, without the reserved ones. */
export function methodOf(name: MethodName): fc.Arbitrary<AnyMethod> {
  const fields = Object.entries(specOf(name).fields).filter(([field]) => !field.startsWith('reserved'));
  return fc
    .record(Object.fromEntries(fields.map(([field, type]) => [field, forms[type]])), { noNullPrototype: true })
    .map((values) => ({ name, fields: values }));
}

export const method: fc.Arbitrary<AnyMethod> = fc.constantFrom(...methodNames).chain(methodOf);

export interface Frame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Uint8Array;
}

export function frameBytes({ type, channel, payload }: Frame): Buffer {
  const bytes = Buffer.alloc(8 + payload.length, 0xce);
  bytes[0] = type;
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(payload.length, 3);
  bytes.set(payload, 7);
  return bytes;
}

/** Payloads of every size up to `payloadMax`, often of none or of just that. */
export function frame(payloadMax: number): fc.Arbitrary<Frame> {
  const size = fc.oneof({ weight: 4, arbitrary: fc.nat(40) }, fc.nat(payloadMax), fc.constantFrom(0, payloadMax - 1, payloadMax));
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(fc.constantFrom(1, 2, 3), fc.nat(65_535), size, fc.nat(255))
        // no payload repeats within 251 octets: one that is shifted shows
        .map(([type, channel, bytes, first]) => ({
          type,
          channel,
          payload: Uint8Array.from({ length: bytes }, (_, i) => first + (i % 251)),
        })),
    },
    fc.constant({ type: 8, channel: 0, payload: new Uint8Array(0) }),
  );
}

export type Cut = 'whole' | 'thirds' | 'bytes' | readonly number[];

/** How a stream may come: whole, in thirds, octet by octet, or at random places. */
export const cut: fc.Arbitrary<Cut> = fc.oneof(
  fc.constantFrom('whole' as const, 'thirds' as const, 'bytes' as const),
  fc.array(fc.nat(), { maxLength: 30 }),
);

/** Copies: each piece has memory of its own, as a socket's chunks do. */
export function pieces(bytes: Uint8Array, how: Cut): Buffer[] {
  const places =
    how === 'whole'
      ? []
      : how === 'thirds'
        ? [Math.ceil(bytes.length / 3), Math.ceil((2 * bytes.length) / 3)]
        : how === 'bytes'
          ? Array.from(bytes, (_, i) => i)
          : how.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...places].map((from, i) => Buffer.from(bytes.subarray(from, places[i] ?? bytes.length)));
}
