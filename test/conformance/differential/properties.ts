// Situations: the 14 properties and every type of header come back as they were sent, octet by octet.

import { encodeContentHeader, type Properties } from '../../../shared/amqp/properties.ts';
import { type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { frameOf, isMethod, rawFrame } from '../../support/amqp-client.ts';
import { type Play, situations, table } from './stage.ts';
import { hex } from './transcript.ts';

/** The octets of a content header, sent and got again. */
function roundTrip(header: Uint8Array): Play {
  return async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.connection.client.write(frameOf(1, 'basic.publish', { routingKey: s.name('q') }), rawFrame(2, 1, header));
    await ch.fence();
    if (!ch.isOpen) return;
    ch.lane.hidden.add('basic.get-ok');
    const item = await ch.get(s.name('q'));
    if (!isMethod(item, 'basic.get-ok') || item.kind !== 'method') return;
    const got = hex(item.content?.header ?? new Uint8Array(0));
    s.note(got === hex(header) ? 'as it was sent' : `sent ${hex(header)}, got ${got}`);
  };
}

const properties = (value: Properties): Play => roundTrip(encodeContentHeader(value, 0));
const header = (value: FieldValue): Play => properties({ headers: table({ h: value }) });

const ALL: Properties = {
  contentType: 'text/plain',
  contentEncoding: 'gzip',
  headers: table({ a: 1 }),
  deliveryMode: 2,
  priority: 7,
  correlationId: 'correlation',
  replyTo: 'reply',
  expiration: '3600000',
  messageId: 'message',
  timestamp: 1_700_000_000,
  type: 'type',
  userId: 'guest',
  appId: 'app',
  clusterId: 'cluster',
};

const NUMBERS: readonly [Typed['type'], (number | bigint)[]][] = [
  ['b', [-128, 0, 127]],
  ['B', [0, 255]],
  ['s', [-32_768, 32_767]],
  ['u', [0, 65_535]],
  ['I', [-2_147_483_648, 2_147_483_647]],
  ['i', [0, 4_294_967_295]],
  ['l', [-(2n ** 63n), 2n ** 63n - 1n, 5]],
  ['L', [-(2n ** 63n), 2n ** 63n - 1n]],
  ['T', [0, 1_700_000_000, 2n ** 64n - 1n]],
  ['f', [0, -1.5]],
  ['d', [0, 0.1, -1e300, 1e-300, 5]],
];

/** A header of one value of this type and these octets. */
function rawHeader(type: string, ...octets: readonly number[]): Play {
  const field = [1, 0x68, type.charCodeAt(0), ...octets];
  return roundTrip(Uint8Array.from([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, field.length, ...field]));
}

export const propertySituations = situations({
  'all 14 properties': properties(ALL),
  'no property': properties({}),
  ...Object.fromEntries(Object.entries(ALL).map(([name, value]) => [`the property ${name} alone`, properties({ [name]: value })])),
  'empty strings': properties({ contentType: '', correlationId: '', replyTo: '', messageId: '', type: '', appId: '' }),
  'strings of 255 octets': properties({ contentType: 'x'.repeat(255), correlationId: 'y'.repeat(255) }),
  'strings beyond ASCII': properties({ contentType: 'täxt', messageId: '€' }),
  'an empty header table': properties({ headers: new Map() }),
  'a timestamp of 2^53 - 1': properties({ timestamp: Number.MAX_SAFE_INTEGER }),
  'a priority of 0 is not none': properties({ priority: 0 }),
  'a delivery mode of 1 is not none': properties({ deliveryMode: 1 }),

  ...Object.fromEntries(
    NUMBERS.map(([type, values]) => [`headers of type ${type}`, header(values.map((value) => new Typed(type, value)))]),
  ),
  'headers of type t': header([true, false]),
  'headers of type S': header(['', 'x', 'ä€', 'x'.repeat(1000)]),
  'headers of type S that are not UTF-8': rawHeader('S', 0, 0, 0, 2, 0xc3, 0x28),
  'headers of type x': header(new Typed('x', Uint8Array.from([0, 255, 128]))),
  'headers of type V': header(null),
  'headers of type A': header([[], [1, 'a', null], [[['deep']]]]),
  'headers of type F': header(table({ '': 1, a: table({ b: table({}) }), c: [table({ d: true })] })),
  'headers of type D': rawHeader('D', 2, 0, 0, 1, 0),
  'a header of an infinite float': header(new Typed('f', Number.POSITIVE_INFINITY)),
  'a header that is not a number': rawHeader('d', 0x7f, 0xf8, 0, 0, 0, 0, 0, 0),
  'a boolean header that is 2': rawHeader('t', 2),
  'a header with an empty name, and one with a name beyond ASCII': properties({ headers: table({ '': 1, größe: 2 }) }),
  'headers in an order of their own': properties({ headers: table({ z: 1, a: 2, m: 3 }) }),
  'a header name twice': roundTrip(
    Uint8Array.from([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 8, 1, 0x68, 0x74, 1, 1, 0x68, 0x74, 0]),
  ),
  'a thousand headers': properties({ headers: table(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`header-${i}`, i]))) }),
  'every octet in a body': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), body: Uint8Array.from({ length: 256 }, (_, i) => i) });
    await ch.get(s.name('q'));
  },
  'what is requeued has its properties unchanged': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    ch.publish({ routingKey: s.name('q'), properties: ALL, body: 'm' });
    await ch.get(s.name('q'), false);
    ch.send('basic.nack', { deliveryTag: 1, requeue: true });
    await ch.get(s.name('q'));
  },
});
