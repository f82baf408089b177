// Field tables as bytes, as values and as JSON: nothing is lost between them, and nothing malformed passes.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkTable,
  decodeTable,
  decodeValue,
  encodeTable,
  type FieldTable,
  type FieldValue,
  findField,
  skipValue,
  Typed,
} from '../../shared/amqp/table.ts';
import { AmqpError } from '../../shared/error.ts';
import { tableFromJson, tableToJson } from '../../shared/protocol/json.ts';
import { damaged, encodedTable, table } from './arbitraries.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What `run` threw; anything but an AmqpError 502 goes on. */
function refusal(run: () => unknown): AmqpError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AmqpError && error.code === 502) return error;
    throw error;
  }
}

describe('a table', () => {
  test('decoded and encoded has the same bytes', () => {
    fc.assert(fc.property(encodedTable, (bytes) => void expect(hex(encodeTable(decodeTable(bytes, 0, bytes.length)))).toBe(hex(bytes))));
  });

  test('encoded and decoded is the same table', () => {
    fc.assert(
      fc.property(table, (fields) => {
        const bytes = encodeTable(fields);
        expect(decodeTable(bytes, 0, bytes.length)).toStrictEqual(fields);
      }),
    );
  });

  test('written as JSON text and read back has the same bytes', () => {
    fc.assert(
      fc.property(encodedTable, (bytes) => {
        const json = JSON.stringify(tableToJson(decodeTable(bytes, 0, bytes.length)));
        expect(hex(encodeTable(tableFromJson(JSON.parse(json))))).toBe(hex(bytes));
      }),
    );
  });

  test('decodes the same from the middle of a Buffer, and keeps no view of it', () => {
    fc.assert(
      fc.property(encodedTable, (bytes) => {
        const slab = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(3, 0xff)]);
        const fields = decodeTable(slab, 3, 3 + bytes.length);
        slab.fill(0);
        expect(hex(encodeTable(fields))).toBe(hex(bytes));
      }),
    );
  });

  test('that is well formed passes the check, which answers its end', () => {
    fc.assert(fc.property(encodedTable, (bytes) => void expect(checkTable(bytes, 0, bytes.length)).toBe(bytes.length)));
  });

  test('that is damaged is refused with 502, and what passes the check can be decoded', () => {
    fc.assert(
      fc.property(damaged(encodedTable), (bytes) => {
        const refused = refusal(() => checkTable(bytes, 0, bytes.length));
        if (refused === undefined) encodeTable(decodeTable(bytes, 0, bytes.length));
        else refusal(() => decodeTable(bytes, 0, bytes.length));
      }),
      { numRuns: 500 },
    );
  });

  test('is searched for a field without decoding it', () => {
    fc.assert(
      fc.property(table, (fields) => {
        const bytes = encodeTable(fields);
        for (const [name, value] of fields) {
          const at = findField(bytes, 0, bytes.length, name);
          expect(decodeValue(bytes, at, bytes.length)).toStrictEqual(value);
          expect(skipValue(bytes, at, bytes.length)).toBeGreaterThan(at);
        }
        for (const name of ['absent', 'é', 'x'.repeat(255)]) {
          if (!fields.has(name)) expect(findField(bytes, 0, bytes.length, name)).toBe(-1);
        }
      }),
    );
  });

  test('with a name given twice keeps the first, however it is read', () => {
    const bytes = Buffer.from('0000000a 01 61 74 01 01 61 73 0007'.replaceAll(' ', ''), 'hex');
    bytes.writeUInt32BE(bytes.length - 4);
    expect(decodeTable(bytes, 0, bytes.length)).toStrictEqual(new Map([['a', true]]));
    expect(decodeValue(bytes, findField(bytes, 0, bytes.length, 'a'), bytes.length)).toBe(true);
  });

  test('may nest 16 deep and not 17, in bytes and in JSON', () => {
    const nest = (depth: number): FieldTable => {
      let value: FieldValue = new Map();
      for (let i = 1; i < depth; i++) value = i % 2 ? [value] : new Map([['n', value]]);
      return value instanceof Map ? value : new Map([['n', value]]);
    };
    const deepest = nest(15);
    expect(checkTable(encodeTable(deepest), 0, encodeTable(deepest).length)).toBeGreaterThan(0);
    const last = new Map<string, FieldValue>([['n', deepest]]);
    expect(tableFromJson(tableToJson(last))).toStrictEqual(last);
    expect(decodeTable(encodeTable(last), 0, encodeTable(last).length)).toStrictEqual(last);
    const tooDeep = new Map<string, FieldValue>([['n', last]]);
    expect(refusal(() => encodeTable(tooDeep))).toBeDefined();
    expect(refusal(() => tableFromJson(tableToJson(tooDeep)))?.detail.path).toBe(`/n/n${'/n/0'.repeat(7)}`);
  });

  test('of 64 KiB passes and one byte more does not', () => {
    const sized = (bytes: number): FieldTable => new Map([['s', 'x'.repeat(bytes - 4 - 2 - 5)]]);
    const full = encodeTable(sized(65_536));
    expect(checkTable(full, 0, full.length)).toBe(65_536);
    expect(refusal(() => encodeTable(sized(65_537)))).toBeDefined();
    const over = Buffer.concat([full, Buffer.from('\x01aV')]);
    over.writeUInt32BE(over.length - 4);
    expect(refusal(() => checkTable(over, 0, over.length))).toBeDefined();
    expect(refusal(() => decodeTable(over, 0, over.length))).toBeDefined();
  });
});

describe('a typed value', () => {
  const bad: readonly (readonly [Typed['type'], Typed['value']])[] = [
    ['b', 128],
    ['B', -1],
    ['s', 32_768],
    ['u', 65_536],
    ['I', 2 ** 31],
    ['i', -1],
    ['l', 2n ** 63n],
    ['L', 1.5],
    ['T', -1],
    ['l', 2 ** 53],
    ['f', 1n],
    ['x', 1],
    ['D', { scale: 256, value: 0 }],
    ['D', { scale: 0, value: -1 }],
  ];
  test.each(bad)('of type %s cannot be %s', (type, value) => {
    expect(refusal(() => new Typed(type, value))).toBeDefined();
  });
});

describe('the JSON form', () => {
  const json = (text: string): FieldTable => tableFromJson(JSON.parse(text), '/arguments');

  test('gives JSON values their AMQP types', () => {
    const fields = json('{"s":"x","t":true,"v":null,"i":1,"l":2147483648,"d":1.5,"big":1e300,"a":[1],"f":{"x":1}}');
    const types = [...fields.keys()].map((name) => {
      const bytes = encodeTable(fields);
      return String.fromCharCode(bytes[findField(bytes, 0, bytes.length, name)] ?? 0);
    });
    expect(types.join('')).toBe('StVIlddAF');
  });

  test('keeps "__proto__" a plain field', () => {
    const fields = json('{"__proto__":{"polluted":1}}');
    expect(fields.get('__proto__')).toStrictEqual(new Map([['polluted', 1]]));
    expect(JSON.stringify(tableToJson(fields))).toBe('{"__proto__":{"polluted":1}}');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  test.each([
    ['{"a":{"$amqp":"Z","value":1}}', '/arguments/a/$amqp'],
    ['{"a":{"$amqp":7}}', '/arguments/a/$amqp'],
    ['{"a":{"$amqp":"b","value":300}}', '/arguments/a/value'],
    ['{"a":{"$amqp":"l"}}', '/arguments/a/value'],
    ['{"a":{"$amqp":"l","value":"1e3"}}', '/arguments/a/value'],
    ['{"a":{"$amqp":"l","value":"9223372036854775808"}}', '/arguments/a/value'],
    [`{"a":{"$amqp":"l","value":"${'9'.repeat(50)}"}}`, '/arguments/a/value'],
    ['{"a":{"$amqp":"d","value":"one"}}', '/arguments/a/value'],
    ['{"a":{"$amqp":"x","value":"A"}}', '/arguments/a/value'],
    ['{"a":{"$amqp":"D","value":{"scale":1}}}', '/arguments/a/value'],
    ['{"a":{"$amqp":"F","value":[]}}', '/arguments/a/value'],
    ['{"a/b~c":[1,{"$amqp":"b","value":1.5}]}', '/arguments/a~1b~0c/1/value'],
    ['{"$amqp":"b","value":1}', '/arguments'],
    [`{"${'x'.repeat(256)}":1}`, '/arguments'],
  ])('%s is refused at %s', (text, path) => {
    expect(refusal(() => json(text))?.detail.path).toBe(path);
  });

  test('reads any JSON object into a table that can be encoded, or refuses it with 502', () => {
    const tag = fc.constantFrom('b', 'B', 's', 'u', 'I', 'i', 'l', 'L', 'T', 'f', 'd', 'x', 'D', 'S', 'F', 'q');
    const object = fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), fc.record({ $amqp: tag, value: fc.jsonValue() })));
    fc.assert(
      fc.property(object, (value) => {
        refusal(() => encodeTable(tableFromJson(JSON.parse(JSON.stringify(value)))));
      }),
    );
  });
});
