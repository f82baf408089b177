// The codec of AMQP's methods: what it writes it reads, whatever lies around it; bytes that are no method are a peer's fault (501, 502, 503) and
// never anything else. amqp-amqplib.test.ts compares with code that others wrote.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMethod, encodeMethod, methodFrame, methodName } from '../../shared/amqp/methods.ts';
import { METHODS, type MethodName, methodKey } from '../../shared/amqp/spec.ts';
import { TABLE_BYTES_MAX, TABLE_DEPTH_MAX } from '../../shared/amqp/table.ts';
import { AmqpError } from '../../shared/error.ts';
import { type AnyMethod, frameBytes, method, methodNames, methodOf, specOf } from './amqp-arbitraries.ts';
import { damaged } from './arbitraries.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const octets = (text: string): Buffer => Buffer.from(text.replaceAll(/[^0-9a-f]/g, ''), 'hex');
const encode = ({ name, fields }: AnyMethod): Uint8Array => encodeMethod(name, fields);
const decode = (bytes: Uint8Array): object => decodeMethod(bytes, 0, bytes.length);

/** The code of the AmqpError that `run` threw, undefined when it threw nothing. Any other error goes on. */
function refusal(run: () => unknown): number | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AmqpError) return error.code;
    throw error;
  }
}

describe.each(methodNames)('%s', (name) => {
  const runs = { numRuns: 50 };

  test('is read as it was written', () => {
    fc.assert(
      fc.property(methodOf(name), (written) => void expect(decode(encode(written))).toStrictEqual(written)),
      runs,
    );
  });

  test('has its ids first, and as a frame the same octets between header and end', () => {
    fc.assert(
      fc.property(methodOf(name), fc.nat(65_535), ({ fields }, channel) => {
        const payload = encodeMethod(name, fields);
        const { classId, methodId } = specOf(name);
        expect([payload[0], payload[1], payload[2], payload[3]]).toEqual([0, classId, 0, methodId]);
        expect(hex(methodFrame(channel, name, fields))).toBe(hex(frameBytes({ type: 1, channel, payload })));
      }),
      runs,
    );
  });

  test('is read the same from the middle of a Buffer, and keeps no view of it', () => {
    fc.assert(
      fc.property(methodOf(name), (written) => {
        const bytes = encode(written);
        const chunk = Buffer.concat([Buffer.alloc(5, 0xff), bytes, Buffer.alloc(300, 0xff)]);
        const read = decodeMethod(chunk, 5, 5 + bytes.length);
        chunk.fill(0xee);
        expect(read).toStrictEqual(written);
      }),
      runs,
    );
  });

  test('cut short anywhere is refused with 501 or 502, though more bytes follow', () => {
    fc.assert(
      fc.property(methodOf(name), (written) => {
        const bytes = encode(written);
        const chunk = Buffer.concat([bytes, Buffer.alloc(300)]);
        // all the short cuts, and some of those in a long string
        const step = Math.max(1, Math.floor(bytes.length / 500));
        for (let end = 0; end < bytes.length; end += step) expect([501, 502]).toContain(refusal(() => decodeMethod(chunk, 0, end)));
        expect([501, 502]).toContain(refusal(() => decodeMethod(chunk, 0, bytes.length - 1)));
      }),
      { numRuns: 20 },
    );
  });

  test('with bytes left over is refused with 501', () => {
    fc.assert(
      fc.property(methodOf(name), fc.uint8Array({ minLength: 1, maxLength: 9 }), (written, more) => {
        expect(refusal(() => decode(Buffer.concat([encode(written), more])))).toBe(501);
      }),
      runs,
    );
  });

  test('of random bytes is refused with 501 or 502, or read', () => {
    const { classId, methodId } = specOf(name);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const code = refusal(() => decode(Buffer.concat([Buffer.from([0, classId, 0, methodId]), bytes])));
        if (code !== undefined) expect([501, 502]).toContain(code);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a method', () => {
  test('damaged anywhere is refused, or read as one that can be written and read again', () => {
    let readCount = 0;
    let refusedCount = 0;
    fc.assert(
      fc.property(damaged(method.map(encode)), (bytes) => {
        let read: AnyMethod | undefined;
        const code = refusal(() => (read = decodeMethod(bytes, 0, bytes.length)));
        if (read === undefined) {
          refusedCount++;
          expect([501, 502, 503]).toContain(code);
        } else {
          readCount++;
          expect(decode(encode(read))).toStrictEqual(read);
        }
      }),
      { numRuns: 5000 },
    );
    // damage that always does the same proves half
    expect(Math.min(readCount, refusedCount)).toBeGreaterThan(100);
  });

  test('that the table does not have is refused with 503, which names its ids', () => {
    const known = new Set(Object.values(METHODS).map(({ classId, methodId }) => methodKey(classId, methodId)));
    expect(known.size).toBe(methodNames.length);
    const id = fc.oneof(fc.constantFrom(10, 20, 30, 40, 50, 60, 85, 90), fc.nat(65_535));
    fc.assert(
      fc.property(id, fc.oneof(fc.nat(130), fc.nat(65_535)), (classId, methodId) => {
        fc.pre(!known.has(methodKey(classId, methodId)));
        expect(methodName(classId, methodId)).toBeUndefined();
        const payload = Buffer.from([classId >> 8, classId & 255, methodId >> 8, methodId & 255, 0]);
        expect(() => decode(payload)).toThrow(new RegExp(`^COMMAND_INVALID - .*\\{${classId},${methodId}\\}`));
        expect(refusal(() => decode(payload))).toBe(503);
      }),
    );
  });

  test('of fewer than four bytes is refused with 501', () => {
    for (let end = 0; end < 4; end++) expect(refusal(() => decodeMethod(octets('000a 000a'), 0, end))).toBe(501);
  });

  test('with a string or a table that is too large is not written: 502', () => {
    const deep = Array.from({ length: TABLE_DEPTH_MAX }).reduce<Map<string, never> | Map<string, unknown>>(
      (inner) => new Map([['n', inner]]),
      new Map(),
    );
    const large = new Map([['n', 'x'.repeat(TABLE_BYTES_MAX)]]);
    const declare = {
      queue: 'q',
      passive: false,
      durable: false,
      exclusive: false,
      autoDelete: false,
      nowait: false,
      arguments: new Map(),
    };
    const wrong: AnyMethod[] = [
      { name: 'queue.declare', fields: { ...declare, queue: 'x'.repeat(256) } },
      { name: 'queue.declare', fields: { ...declare, queue: 'ä'.repeat(128) } },
      { name: 'queue.declare', fields: { ...declare, arguments: large } },
      { name: 'queue.declare', fields: { ...declare, arguments: deep as Map<string, never> } },
      { name: 'basic.consume-ok', fields: { consumerTag: 'x'.repeat(256) } },
    ];
    for (const { name, fields } of wrong) {
      expect(refusal(() => encodeMethod(name, fields))).toBe(502);
      expect(refusal(() => methodFrame(1, name, fields))).toBe(502);
    }
  });
});

describe('bits', () => {
  const bitsOf = (name: MethodName): string[] =>
    Object.entries(specOf(name).fields).flatMap(([field, type]) => (type === 'bit' ? [field] : []));
  const withBits = methodNames.filter((name) => bitsOf(name).length > 0);

  test.each(withBits)('of %s share one octet, the first lowest', (name) => {
    const bits = bitsOf(name);
    fc.assert(
      fc.property(methodOf(name), fc.nat(2 ** bits.length - 1), ({ fields }, octet) => {
        const with_ = (value: number): Uint8Array =>
          encodeMethod(name, { ...fields, ...Object.fromEntries(bits.map((bit, i) => [bit, ((value >> i) & 1) === 1])) });
        const zero = with_(0);
        const set = with_(octet);
        const changed = [...zero.keys()].filter((at) => zero[at] !== set[at]);
        expect(set.length).toBe(zero.length);
        expect(changed.map((at) => [zero[at], set[at]])).toEqual(octet === 0 ? [] : [[0, octet]]);
      }),
      { numRuns: 40 },
    );
  });

  test('above the last are not looked at, as in RabbitMQ', () => {
    expect(decode(octets('003c 006e ff'))).toEqual({ name: 'basic.recover', fields: { requeue: true } });
    expect(decode(octets('003c 006e fe'))).toEqual({ name: 'basic.recover', fields: { requeue: false } });
  });
});

describe('reserved fields', () => {
  test('are written as zero or empty, and read whatever stands there', () => {
    const open = { name: 'connection.open', fields: { virtualHost: '/' } };
    expect(hex(encodeMethod('connection.open', { virtualHost: '/' }))).toBe('000a0028' + '012f' + '00' + '00');
    expect(decode(octets('000a0028 012f 0378797a 01'))).toStrictEqual(open); // capabilities and insist of AMQP 0-8
    expect(decode(octets('003c0046 ffff 0171 01'))).toStrictEqual({ name: 'basic.get', fields: { queue: 'q', noAck: true } }); // a ticket
  });

  test('cut short are refused like any other', () => {
    expect(refusal(() => decode(octets('000a0028 012f 0378')))).toBe(501);
    expect(refusal(() => decode(octets('000a0028 012f 00')))).toBe(501);
  });
});

describe('a 64-bit number', () => {
  test('above 2^53 - 1 is refused with 502', () => {
    expect(decode(octets('003c0050 001fffffffffffff 00'))).toMatchObject({ fields: { deliveryTag: Number.MAX_SAFE_INTEGER } });
    expect(refusal(() => decode(octets('003c0050 0020000000000000 00')))).toBe(502);
    expect(refusal(() => decode(octets('003c0050 ffffffffffffffff 00')))).toBe(502);
  });
});

test('a number that does not fit its field is refused, not cut', () => {
  const qos = (prefetchCount: number): Uint8Array => encodeMethod('basic.qos', { prefetchSize: 0, prefetchCount, global: false });
  expect(qos(65_535)).toHaveLength(11);
  for (const prefetchCount of [65_536, -1, 1.5, Number.NaN]) expect(() => qos(prefetchCount)).toThrow(/not a number from 0 to 65535/);
});
