// The 14 basic properties in a content header, and in JSON.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CONTENT_HEADER_FIXED_BYTES,
  contentHeaderBytes,
  decodeProperties,
  encodeContentHeader,
  type Properties,
  propertyFields,
} from '../../shared/amqp/properties.ts';
import { AmqpError } from '../../shared/error.ts';
import type { BodyJson, PropertiesJson } from '../../shared/protocol/control.ts';
import { bodyFromJson, bodyToJson, errorFromBytes, errorToJson, propertiesFromJson, propertiesToJson } from '../../shared/protocol/json.ts';
import { properties } from './arbitraries.ts';

const flagsOf = (header: Uint8Array): number => Buffer.from(header).readUInt16BE(12);
const decode = (header: Uint8Array): Properties => decodeProperties(header, CONTENT_HEADER_FIXED_BYTES, header.length, flagsOf(header));

function refusal(run: () => unknown): AmqpError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AmqpError && error.code === 502) return error;
    throw error;
  }
}

describe('properties', () => {
  test('encoded and decoded are the same, and the same bytes again', () => {
    fc.assert(
      fc.property(properties, fc.maxSafeNat(), (value, bodyBytes) => {
        const header = encodeContentHeader(value, bodyBytes);
        expect(header.length).toBe(contentHeaderBytes(value));
        expect(decode(header)).toEqual(value);
        expect(encodeContentHeader(decode(header), bodyBytes)).toEqual(header);
        expect(Buffer.from(header).readBigUInt64BE(4)).toBe(BigInt(bodyBytes));
      }),
    );
  });

  test('as JSON text and back give the same bytes', () => {
    fc.assert(
      fc.property(properties, (value) => {
        const json = JSON.parse(JSON.stringify(propertiesToJson(value)));
        expect(encodeContentHeader(propertiesFromJson(json), 1)).toEqual(encodeContentHeader(value, 1));
      }),
    );
  });

  test('have the flags of AMQP 0-9-1, the first property bit 15', () => {
    const values: Required<PropertiesJson> = {
      contentType: '',
      contentEncoding: '',
      headers: {},
      deliveryMode: 1,
      priority: 0,
      correlationId: '',
      replyTo: '',
      expiration: '',
      messageId: '',
      timestamp: 0,
      type: '',
      userId: '',
      appId: '',
      clusterId: '',
    };
    const flags = Object.entries(values).map(([name, value]) => flagsOf(encodeContentHeader(propertiesFromJson({ [name]: value }), 0)));
    expect(flags).toEqual([0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10, 8, 4]);
    expect(propertyFields.map(({ name }) => name)).toEqual(Object.keys(values));
  });

  test('set to undefined are absent', () => {
    expect(encodeContentHeader({ type: undefined, headers: undefined, priority: undefined }, 0)).toEqual(encodeContentHeader({}, 0));
    expect(propertiesToJson({ type: undefined, headers: undefined })).toEqual({});
  });

  test('that a JSON reader could not show still decode: U+FFFD for what is not UTF-8, a rounded timestamp', () => {
    const bytes = Buffer.from('02ff41ffffffffffffffff', 'hex');
    expect(decodeProperties(bytes, 0, bytes.length, 0x8040)).toEqual({ contentType: '\ufffdA', timestamp: 2 ** 64 });
  });

  test('cut short are refused with 502', () => {
    fc.assert(
      fc.property(properties, fc.nat(), (value, cut) => {
        const header = encodeContentHeader(value, 0);
        if (header.length === CONTENT_HEADER_FIXED_BYTES) return;
        const end = CONTENT_HEADER_FIXED_BYTES + (cut % (header.length - CONTENT_HEADER_FIXED_BYTES));
        const read = (): Properties => decodeProperties(header, CONTENT_HEADER_FIXED_BYTES, end, flagsOf(header));
        expect(refusal(read)).toBeDefined();
      }),
    );
  });

  const impossible: readonly Properties[] = [
    { type: 'x'.repeat(256) },
    { type: '€'.repeat(86) },
    { priority: 256 },
    { priority: -1 },
    { deliveryMode: 1.5 },
    { timestamp: 2 ** 53 },
    { timestamp: Number.NaN },
  ];
  test.each(impossible)('%o cannot be encoded', (value) => {
    expect(refusal(() => encodeContentHeader(value, 0))).toBeDefined();
  });

  test.each([
    ['{"priority":"1"}', '/properties/priority'],
    ['{"priority":256}', '/properties/priority'],
    ['{"timestamp":-1}', '/properties/timestamp'],
    ['{"type":7}', '/properties/type'],
    [`{"replyTo":"${'x'.repeat(256)}"}`, '/properties/replyTo'],
    ['{"headers":[]}', '/properties/headers'],
    ['{"headers":{"a":{"$amqp":"b","value":128}}}', '/properties/headers/a/value'],
  ])('%s is refused, with the path %s', (text, path) => {
    expect(refusal(() => propertiesFromJson(JSON.parse(text)))?.detail.path).toBe(path);
  });

  test('unknown in JSON are ignored', () => {
    expect(propertiesFromJson(JSON.parse('{"type":"t","colour":"red"}'))).toEqual({ type: 't' });
  });
});

describe('a body in JSON', () => {
  test('comes back byte for byte', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      fc.string({ unit: 'binary' }).map((text) => new Uint8Array(Buffer.from(text))),
      fc.constant(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])),
    );
    fc.assert(
      fc.property(body, (bytes) => {
        const json: BodyJson = JSON.parse(JSON.stringify(bodyToJson(bytes, 0, bytes.length)));
        expect(Object.keys(json)).toHaveLength(1);
        expect(Buffer.from(bodyFromJson(json)).equals(bytes)).toBe(true);
      }),
    );
  });

  test('is text exactly when it is valid UTF-8', () => {
    expect(bodyToJson(Buffer.from('gr\u00fcn'), 0, 5)).toEqual({ body: 'grün' });
    expect(bodyToJson(Buffer.from('gr\u00fcn'), 0, 3)).toEqual({ bodyBase64: 'Z3LD' });
    expect(bodyToJson(Buffer.from('{"a":"\\n"}\n\t'), 0, 12)).toEqual({ body: '{"a":"\\n"}\n\t' });
    expect(bodyToJson(Buffer.alloc(3), 0, 3)).toEqual({ bodyBase64: 'AAAA' });
    expect(bodyToJson(Buffer.from(`${'x'.repeat(40)}\0`), 0, 41)).toEqual({ body: `${'x'.repeat(40)}\0` });
    expect(JSON.stringify(bodyToJson(Buffer.alloc(1_048_576), 0, 1_048_576)).length).toBeLessThan(1_398_200);
  });

  test('that is not base64 is refused at its path', () => {
    expect(refusal(() => bodyFromJson({ bodyBase64: 'a-b_' }))?.detail.path).toBe('/bodyBase64');
  });
});

describe('an error in JSON', () => {
  test('has code, reason and what more is known', () => {
    const error = new AmqpError(404, "no queue 'q' in vhost '/'", { hint: 'Declare it.', path: '/queue', queue: 'q' });
    const json = errorToJson(error);
    expect(json).toEqual({ code: 404, reason: "NOT_FOUND - no queue 'q' in vhost '/'", hint: 'Declare it.', path: '/queue', queue: 'q' });
    const bytes = Buffer.from(JSON.stringify(json));
    expect(errorFromBytes(bytes, 0, bytes.length)).toEqual(json);
    expect(errorToJson(new AmqpError(541, 'oh'))).toEqual({ code: 541, reason: 'INTERNAL_ERROR - oh' });
  });

  test.each(['', '{', 'null', '[]', '{"code":"404","reason":"x"}', '\ufffd'])('cannot be %j', (text) => {
    const bytes = Buffer.from(text);
    expect(refusal(() => errorFromBytes(bytes, 0, bytes.length))).toBeDefined();
  });
});
