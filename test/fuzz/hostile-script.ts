// What a hostile peer does on one connection, as fast-check generates it: requests, frames and octets that are nearly right.
// Always: (1) a script is octets alone, so it can be written in any pieces; (2) names come from a few, so that scripts meet in the same queues;
// (3) no script names the witness's queue. `mayBeMute`: it can leave the server waiting for the rest of something, so no answer need come.

import fc from 'fast-check';
import { schemas } from '../../shared/protocol/schemas.ts';
import { clientFrame, Opcode, type Pieces } from '../support/raw-web-socket.ts';
import { encodedTable } from '../wire/arbitraries.ts';

export interface Step {
  readonly octets: Buffer;
  readonly mayBeMute: boolean;
}

export interface Script {
  readonly saysHello: boolean;
  readonly steps: readonly Step[];
  readonly pieces: Pieces;
  /** How it goes: with an answer awaited, or without a word. */
  readonly leaves: 'asked' | 'abruptly';
}

const names = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('f0', 'f1', 'f2', '', 'amq.topic', 'amq.fanout', 'amq.headers', 'amq.rabbitmq.reply-to') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('__proto__', 'constructor', '\ud800', 'f\u0000', 'x'.repeat(255), 'x'.repeat(256), 'ä'.repeat(128)),
  },
);
const numbers = fc.constantFrom(
  0,
  1,
  2,
  3,
  4,
  5,
  9,
  255,
  256,
  65_535,
  65_536,
  0x7fff_ffff,
  0xffff_ffff,
  2 ** 53 - 1,
  2 ** 53,
  -1,
  1.5,
  1e300,
);

const nested = (depth: number, open: string, close: string): string => `${open.repeat(depth)}1${close.repeat(depth)}`;
/** JSON texts, not values: some of them no JSON.stringify would write. */
const oddities = fc.constantFrom(
  'null',
  '-0',
  '1e999',
  '"\\ud800"',
  '{"__proto__":{"a":1}}',
  '{"a":1,"a":2}',
  '{"$amqp":"l","value":"99999999999999999999"}',
  '{"$amqp":"x","value":"?"}',
  '{"$amqp":["x"],"value":1}',
  '{"$amqp":"F","value":{"$amqp":1}}',
  nested(3000, '[', ']'),
  nested(3000, '{"a":', '}'),
  `{"$amqp":${nested(20_000, '[', ']')},"value":1}`,
  `"${'x'.repeat(70_000)}"`,
  `{"${'n'.repeat(300)}":1}`,
);
const anything = fc.oneof(
  names.map((name) => JSON.stringify(name)),
  numbers.map(String),
  fc.boolean().map(String),
  oddities,
);

const ARGUMENTS = [
  'x-max-length',
  'x-message-ttl',
  'x-expires',
  'x-max-priority',
  'x-dead-letter-exchange',
  'x-overflow',
  'x-queue-type',
  'x-single-active-consumer',
];
const table = fc.oneof(
  { weight: 3, arbitrary: fc.constant('{}') },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...ARGUMENTS), anything).map(([name, value]) => `{"${name}":${value}}`) },
  { weight: 1, arbitrary: oddities },
);

function fieldOf(field: string): fc.Arbitrary<string> {
  if (field === 'arguments') return table;
  if (['handle', 'tag', 'messages', 'prefetch', 'credit', 'priority', 'everyMs', 'buffer', 'version'].includes(field)) {
    return fc.oneof({ weight: 6, arbitrary: numbers.map(String) }, { weight: 1, arbitrary: anything });
  }
  if (['queue', 'exchange', 'source', 'destination', 'key', 'consumerTag'].includes(field)) {
    return fc.oneof({ weight: 9, arbitrary: names.map((name) => JSON.stringify(name)) }, { weight: 1, arbitrary: anything });
  }
  if (field === 'type') return fc.constantFrom('"direct"', '"topic"', '"headers"', '"x"');
  if (field === 'queues') return fc.constantFrom('"*"', '"(a+)+b"', '"*f*0*"', '"[f]?"');
  if (field === 'properties') {
    const wrong = fc.tuple(fc.constantFrom('headers', 'priority', 'expiration', 'timestamp', 'replyTo', 'userId'), anything);
    return fc.oneof(
      fc.constant('{}'),
      wrong.map(([name, value]) => `{"${name}":${value}}`),
      oddities,
    );
  }
  if (field === 'encoding') return fc.constantFrom('"json"', '"binary"', '"xml"');
  return anything;
}

const fieldsOf = (schema: unknown): string[] =>
  typeof schema === 'object' && schema !== null && 'properties' in schema && typeof schema.properties === 'object'
    ? Object.keys(schema.properties ?? {})
    : [];

const request = fc.constantFrom(...Object.entries(schemas)).chain(([op, schema]) => {
  const fields = fieldsOf(schema).filter((field) => field !== 'id' && field !== 'op');
  return fc
    .tuple(
      fc.integer({ min: 1, max: 99 }),
      fc
        .subarray(fields, { minLength: Math.floor(fields.length / 2) })
        .chain((chosen) => fc.tuple(...chosen.map((field) => fieldOf(field).map((value) => `"${field}":${value}`)))),
    )
    .map(([id, values]) => `{${[`"id":${id}`, `"op":"${op}"`, ...values].join(',')}}`);
});

const noRequest = fc.oneof(
  fc.constantFrom('', '[]', 'null', '{"id":1}', '{"id":1e400,"op":"ping"}', '{"id":1,"op":["ping"]}', nested(5000, '[', ']')),
  fc.string({ maxLength: 30 }),
);

const handles = fc.constantFrom(1, 1, 1, 1, 2, 2, 3, 4, 0, 9, 65_535);
const bodies = fc.constantFrom(0, 1, 2, 100, 5000).map((bytes) => Buffer.alloc(bytes, bytes % 256));

/** A content run whose header may promise another body than follows. */
const content = fc
  .record({
    exchange: fc.oneof({ weight: 4, arbitrary: fc.constant('') }, { weight: 1, arbitrary: names }),
    key: names,
    flags: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(0, 0x1000, 0x2000) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
    ),
    table: encodedTable,
    properties: fc.uint8Array({ maxLength: 30 }),
    body: bodies,
    promised: fc.constantFrom(0, 0, 0, 0, 0, 1, -1, 5000, 400_000, 2 ** 40, 2 ** 53),
  })
  .map(({ exchange, key, flags, table: headers, properties, body, promised }) => {
    const short = (text: string): Buffer => Buffer.concat([Buffer.from([Buffer.byteLength(text) & 255]), Buffer.from(text)]);
    const head = Buffer.alloc(14);
    head.writeUInt16BE(60, 0);
    head.writeBigUInt64BE(BigInt(Math.max(0, body.length + promised)), 4);
    head.writeUInt16BE(flags, 12);
    const values = flags === 0 ? Buffer.alloc(0) : flags === 0x1000 ? Buffer.from([2]) : flags === 0x2000 ? headers : properties;
    return Buffer.concat([short(exchange), short(key), head, values, body]);
  });

function frameOf(type: number, handle: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(8 + payload.length, 0xce);
  frame[0] = type;
  frame.writeUInt16BE(handle, 1);
  frame.writeUInt32BE(payload.length, 3);
  frame.set(payload, 7);
  return frame;
}

const settle = fc
  .array(fc.tuple(fc.constantFrom(0, 1, 2, 3, 1000, 2 ** 53), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 20 })
  .map((entries) =>
    Buffer.concat(
      entries.map(([tag, flags]) => {
        const entry = Buffer.alloc(9, flags);
        entry.writeBigUInt64BE(BigInt(tag));
        return entry;
      }),
    ),
  );
const u32 = fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff).map((value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
});

const frame = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(handles, fc.boolean(), content)
      .map(([handle, mandatory, run]) => frameOf(1, handle, Buffer.concat([Buffer.from([Number(mandatory)]), run]))),
  },
  { weight: 3, arbitrary: fc.tuple(handles, bodies).map(([handle, body]) => frameOf(7, handle, body)) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(0, 0, 0, 1), settle).map(([handle, entries]) => frameOf(3, handle, entries)) },
  { weight: 2, arbitrary: fc.tuple(handles, u32).map(([handle, bytes]) => frameOf(6, handle, bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 9 }), handles, fc.uint8Array({ maxLength: 60 }))
      .map(([type, handle, payload]) => frameOf(type, handle, payload)),
  },
);

/** A run of frames, and perhaps one thing in it that is wrong. */
const batch = fc
  .record({
    frames: fc.array(frame, { minLength: 1, maxLength: 6 }),
    damage: fc.constantFrom('none', 'none', 'none', 'size', 'end', 'octet', 'cut', 'twice'),
    at: fc.nat(),
    size: fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff, 262_144, 262_145),
  })
  .map(({ frames, damage, at, size }) => {
    const first = frames[0]?.length ?? 0;
    const all = Buffer.concat(damage === 'twice' ? [...frames, ...frames] : frames);
    if (damage === 'size') all.writeUInt32BE(size, 3);
    else if (damage === 'end') all[first - 1] = at & 0x7f;
    else if (damage === 'octet') all[at % all.length] = at & 255;
    return damage === 'cut' ? all.subarray(0, at % all.length) : all;
  });

/** WebSocket frames that no client sends. */
const wire = fc.oneof(
  fc.integer({ min: 0, max: 15 }).chain((opcode) => fc.uint8Array({ maxLength: 20 }).map((payload) => clientFrame(opcode, payload))),
  fc.uint8Array({ maxLength: 5 }).map((payload) => clientFrame(Opcode.Text, payload, false)),
  fc.constantFrom(0x91, 0xa1, 0xc1, 0x01, 0x09).map((first) => {
    const octets = clientFrame(Opcode.Text, Buffer.from('{}'));
    octets[0] = first;
    return octets;
  }),
  fc.constantFrom(0x7f, 0x80).map((high) => Buffer.from([0x82, 0xff, high, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
  fc
    .constantFrom(999, 1000, 1004, 1005, 1006, 2000, 4999, 65_535)
    .map((code) => clientFrame(Opcode.Close, Buffer.from([code >> 8, code & 255]))),
  fc.uint8Array({ minLength: 1, maxLength: 20 }).map((octets) => Buffer.from(octets)),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: batch.map((octets) => ({ octets: clientFrame(Opcode.Binary, octets), mayBeMute: false })) },
  { weight: 6, arbitrary: request.map((text) => ({ octets: clientFrame(Opcode.Text, Buffer.from(text)), mayBeMute: false })) },
  { weight: 1, arbitrary: noRequest.map((text) => ({ octets: clientFrame(Opcode.Text, Buffer.from(text)), mayBeMute: false })) },
  { weight: 1, arbitrary: wire.map((octets) => ({ octets, mayBeMute: true })) },
);

export const script: fc.Arbitrary<Script> = fc.record({
  saysHello: fc.constantFrom(true, true, true, true, true, true, false),
  steps: fc.array(step, { minLength: 1, maxLength: 8 }),
  pieces: fc.constantFrom('whole', 'whole', 'thirds', 'bytes'),
  leaves: fc.constantFrom('asked', 'asked', 'asked', 'abruptly'),
});
