// The client's own small codec against the shared one: the same bytes, the same meaning; and what a peer sends wrong ends in an error, not in a read beyond.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MessageProperties, Reader, Writer } from '../../../client/src/codec.ts';
import { Fifo } from '../../../client/src/fifo.ts';
import { encodeContentHeader, type Properties } from '../../../shared/amqp/properties.ts';
import { decodeTable, type FieldTable, type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { encodedTable, shortString } from '../../wire/arbitraries.ts';

/** What the client makes of a value that shared/amqp decoded. */
function plain(value: FieldValue): unknown {
  if (value instanceof Map)
    return Object.assign(Object.create(null), Object.fromEntries([...value].map(([name, field]) => [name, plain(field)])));
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Typed)) return value;
  const typed = value.value;
  if (value.type === 'T') return new Date(Number(typed) * 1000);
  if (value.type === 'S') return new TextDecoder('utf-8', { ignoreBOM: true }).decode(typed as Uint8Array);
  if (typeof typed === 'object' && 'scale' in typed) return 10 ** -typed.scale * typed.value;
  return typed;
}

/** And the other way. */
function typed(value: unknown): FieldValue {
  if (typeof value === 'bigint') return new Typed('l', Number.isSafeInteger(Number(value)) ? Number(value) : value);
  if (value instanceof Date) return new Typed('T', Math.floor(value.getTime() / 1000));
  if (value instanceof Uint8Array) return new Typed('x', value);
  if (Array.isArray(value)) return value.map(typed);
  if (typeof value === 'object' && value !== null) return tableOf(value);
  return value as string | number | boolean | null;
}
const tableOf = (fields: object): FieldTable => new Map(Object.entries(fields).map(([name, field]) => [name, typed(field)]));

const name = fc.string({ unit: 'binary', maxLength: 10 }).filter((text) => !/^[0-9]+$/.test(text) && text !== '__proto__');
const headers = fc.letrec<{ value: unknown; fields: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.date({ min: new Date(0), noInvalidDate: true }),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('fields'),
  ),
  fields: fc.dictionary(name, tie('value'), { maxKeys: 5 }),
})).fields;

const octet = fc.integer({ min: 0, max: 255 });
const properties: fc.Arbitrary<MessageProperties> = fc.record(
  {
    contentType: shortString,
    contentEncoding: shortString,
    headers,
    deliveryMode: octet,
    priority: octet,
    correlationId: shortString,
    replyTo: shortString,
    expiration: shortString,
    messageId: shortString,
    timestamp: fc.maxSafeInteger().map(Math.abs),
    type: shortString,
    userId: shortString,
    appId: shortString,
    clusterId: shortString,
  },
  { requiredKeys: [] },
);

function write(given: MessageProperties): Uint8Array {
  const writer = new Writer(70_000);
  writer.header(given);
  return writer.bytes.slice(0, writer.at);
}

test('a content header has the bytes that shared/amqp gives it', () => {
  fc.assert(
    fc.property(properties, ({ headers: fields, ...rest }) => {
      const shared: Properties = fields === undefined ? rest : { ...rest, headers: tableOf(fields) };
      expect(Buffer.from(write({ ...rest, ...(fields && { headers: fields }) })).toString('hex')).toBe(
        Buffer.from(encodeContentHeader(shared, 0)).toString('hex'),
      );
    }),
  );
});

test('every field type reads as shared/amqp reads it', () => {
  fc.assert(
    fc.property(encodedTable, (bytes) => {
      const header = Buffer.concat([Buffer.from('003c000000000000000000022000', 'hex'), bytes]);
      const read: MessageProperties = {};
      expect(new Reader(header).header(read)).toBe(2);
      expect(read.headers).toEqual(plain(decodeTable(bytes, 0, bytes.length)));
      expect(Object.getPrototypeOf(read.headers)).toBeNull();
    }),
  );
});

describe('bad bytes', () => {
  test('a header cut anywhere throws, and nothing behind it is read', () => {
    fc.assert(
      fc.property(properties, fc.nat(), (given, at) => {
        const bytes = write(given);
        const cut = at % bytes.length;
        // What follows in the buffer is another frame's: a reader that trusted a length would run into it.
        const buffer = new Uint8Array(bytes.length + 100).fill(1);
        buffer.set(bytes);
        expect(() => new Reader(buffer, 0, cut).header({})).toThrow('cut short');
      }),
    );
  });

  test('any bytes end in properties or in an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
        const bytes = Buffer.concat([Buffer.from('003c00000000000000000002', 'hex'), tail]);
        try {
          new Reader(bytes).header({});
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL' });
        }
      }),
    );
  });

  test('tables nested without end are neither read nor written', () => {
    let nested: Record<string, unknown> = {};
    for (let depth = 0; depth < 20; depth++) nested = { n: nested };
    expect(() => write({ headers: nested })).toThrow('nested too deep');
    const bytes = Buffer.concat([Buffer.from('003c000000000000000000022000', 'hex'), deep(20)]);
    expect(() => new Reader(bytes).header({})).toThrow('nested too deep');
  });
});

function deep(levels: number): Buffer {
  const inner = levels === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from('\x01nF'), deep(levels - 1)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(inner.length);
  return Buffer.concat([length, inner]);
}

test('a FIFO gives back what went in, in order, and finds by position', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(), { nil: undefined }), { maxLength: 200 }), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const step of steps) {
        if (step === undefined) expect(fifo.shift()).toBe(model.shift());
        else {
          fifo.push(step);
          model.push(step);
        }
        expect([...fifo]).toEqual(model);
        expect(fifo.length).toBe(model.length);
        for (let n = 0; n < model.length; n += 7) expect(fifo.at(n)).toBe(model[n]);
      }
    }),
  );
});
