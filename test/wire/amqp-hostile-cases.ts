// What a hostile AMQP peer sends, as octets, and how a server has to answer: by the code of a close, by the protocol header, or by going on.
// Always: (1) a case is sent on a connection that stands at its stage; (2) a number is the code of connection.close, one below 500 that of
// channel.close (each code has one scope); (3) nothing here is made by the code under test but well-formed methods around what is wrong.
// Where the answer of RabbitMQ 3.10.8 is another, the case says so; amqp-hostile-rabbitmq.test.ts asks it.

import { methodFrame } from '../../shared/amqp/methods.ts';
import { contentHeader, PROTOCOL_HEADER, publishFrames, rawFrame } from '../support/raw-amqp.ts';

/** start: connection.start has come. tune: start-ok was sent. opening: tune-ok too. open: it is open. channel: channel 1 is open too. */
export type Stage = 'connected' | 'start' | 'tune' | 'opening' | 'open' | 'channel';
export type Answer = number | 'header' | 'goes on';
type RabbitAnswer = Answer | 'hung up' | 'unreadable';

/** No case opens it. */
export const PROBE_CHANNEL = 2000;

export interface HostileCase {
  readonly what: string;
  readonly stage: Stage;
  readonly octets: Buffer;
  readonly answer: Answer;
  /** RabbitMQ 3.10.8's. Before connection.open it only hangs up, whatever it does not like. */
  readonly rabbit: RabbitAnswer;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/[^0-9a-f]/g, ''), 'hex');
const u32 = (value: number): Buffer => hex((value >>> 0).toString(16).padStart(8, '0'));
const method = (channel: number, payload: string): Buffer => rawFrame(1, channel, hex(payload));
const header = (type: number, channel: number, size: number): Buffer => rawFrame(type, channel, new Uint8Array(0), size).subarray(0, 7);
const body = (channel: number, bytes: number): Buffer => rawFrame(3, channel, Buffer.alloc(bytes, 0x62));
const all = (...frames: Buffer[]): Buffer => Buffer.concat(frames);

const publish = (channel: number, exchange = '', routingKey = 'none'): Buffer =>
  publishMethod(channel, { exchange, routingKey, mandatory: false, immediate: false });
function publishMethod(channel: number, fields: { exchange: string; routingKey: string; mandatory: boolean; immediate: boolean }): Buffer {
  return Buffer.from(methodFrame(channel, 'basic.publish', fields));
}
const tuneOk = (channelMax: number, frameMax: number): Buffer =>
  Buffer.from(methodFrame(0, 'connection.tune-ok', { channelMax, frameMax, heartbeat: 0 }));
const open = (virtualHost: string): Buffer => Buffer.from(methodFrame(0, 'connection.open', { virtualHost }));
const openChannel = (channel: number): Buffer => method(channel, '0014000a 00');
const startOk = (mechanism: string, response: string): Buffer =>
  Buffer.from(
    methodFrame(0, 'connection.start-ok', {
      clientProperties: new Map(),
      mechanism,
      response: Buffer.from(response, 'latin1'),
      locale: 'en_US',
    }),
  );

/** queue.declare of an exclusive queue that the server names, whose arguments are these octets, their length first unless `size` says another. */
function declare(fields: Buffer, size = fields.length, queue: Buffer = Buffer.alloc(0)): Buffer {
  return rawFrame(1, 1, Buffer.concat([hex('0032000a 0000'), Buffer.from([queue.length]), queue, hex('04'), u32(size), fields]));
}

/** Tables in tables, `depth` in all with the arguments themselves. */
export function nested(depth: number): Buffer {
  let fields: Buffer = Buffer.alloc(0);
  for (let level = 1; level < depth; level++) fields = Buffer.concat([hex('016e 46'), u32(fields.length), fields]);
  return fields;
}
/** Arrays in an array. */
function nestedArrays(depth: number): Buffer {
  let values: Buffer = Buffer.alloc(0);
  for (let level = 1; level < depth; level++) values = Buffer.concat([hex('41'), u32(values.length), values]);
  return Buffer.concat([hex('0161 41'), u32(values.length), values]);
}
const longString = (bytes: number): Buffer => Buffer.concat([hex('016e 53'), u32(bytes), Buffer.alloc(bytes, 0x78)]);

const connected: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['AMQP 0-9', Buffer.from('AMQP\0\0\x09\0', 'latin1'), 'header'],
  ['AMQP 1.0', Buffer.from('AMQP\0\x01\0\0', 'latin1'), 'header'],
  ['AMQP 1.0 with SASL', Buffer.from('AMQP\x03\x01\0\0', 'latin1'), 'header'],
  ['lower case', Buffer.from('amqp\0\0\x09\x01', 'latin1'), 'header'],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), 'header'],
  ['a WebSocket handshake', Buffer.from('GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'), 'header'],
  ['a TLS hello', hex(`16 0301 0030 01 00002c 0303 ${'ab'.repeat(32)} 00 0004 1301 00ff 0100`), 'header'],
  ['a frame without a protocol header', openChannel(1), 'header'],
  ['zeros', Buffer.alloc(100), 'header'],
];

const start: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['tune-ok instead of start-ok', tuneOk(10, 8192), 504],
  ['open instead of start-ok', open('/'), 504],
  ['a channel before start-ok', openChannel(1), 505],
  ['a publish before start-ok', publishFrames(1, '', 'q', Buffer.from('x')), 505],
  ['content on channel 0 before start-ok', body(0, 3), 505],
  ['a heartbeat on channel 1 before start-ok', rawFrame(8, 1, new Uint8Array(0)), 505],
  ['an unknown method before start-ok', method(0, '000a 00ff'), 503],
  ['a mechanism that is not offered', startOk('SCRAM-SHA-1', 'x'), 503],
  ['EXTERNAL without a certificate', startOk('EXTERNAL', 'guest'), 503],
  ['PLAIN without its separators', startOk('PLAIN', 'guest'), 502],
  ['PLAIN of no octets', startOk('PLAIN', ''), 502],
  ['PLAIN with a user that is not UTF-8', startOk('PLAIN', '\0\xff\0guest'), 502],
  ['AMQPLAIN that is no table', startOk('AMQPLAIN', '\x05LOGIN'), 502],
  ['AMQPLAIN without a password', startOk('AMQPLAIN', '\x05LOGINS\0\0\0\x05guest'), 502],
  ['a frame above 8,192 octets before tune', header(1, 0, 8193), 501],
  ['a frame of 4 GiB before tune', header(1, 0, 0xffff_ffff), 501],
  ['the protocol header twice', PROTOCOL_HEADER, 501],
];

const tune: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['channel_max above the maximum', tuneOk(2048, 131_072), 530],
  ['channel_max 65,535', tuneOk(65_535, 131_072), 530],
  ['channel_max 0, which is no limit', tuneOk(0, 131_072), 530],
  ['frame_max above the maximum', tuneOk(2047, 131_073), 530],
  ['frame_max 0xffffffff', tuneOk(2047, 0xffff_ffff), 530],
  ['frame_max 0, which is no limit', tuneOk(2047, 0), 530],
  ['frame_max below the minimum', tuneOk(2047, 4095), 530],
  ['start-ok twice', startOk('PLAIN', '\0guest\0guest'), 504],
  ['open before tune-ok', open('/'), 504],
  ['a channel before tune-ok', openChannel(1), 505],
];

const opening: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['a vhost that does not exist', open('nosuch'), 530],
  ['a vhost without a name', open(''), 530],
  ['tune-ok twice', tuneOk(2047, 131_072), 504],
  ['a channel before open', openChannel(1), 505],
  ['update-secret before open', method(0, '000a0046 00000000 00'), 504],
];

const opened: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['connection.open twice', open('/'), 504],
  ['start-ok once more', startOk('PLAIN', '\0guest\0guest'), 504],
  ['tune-ok once more', tuneOk(2047, 131_072), 504],
  ['connection.start from a client', method(0, '000a000a 00 09 00000000 00000000 00000000'), 504],
  ['connection.open-ok from a client', method(0, '000a0029 00'), 504],
  ['connection.close-ok to no close', method(0, '000a0033'), 504],
  ['connection.blocked from a client', method(0, '000a003c 00'), 504],
  ['channel.open on channel 0', openChannel(0), 504],
  ['queue.declare on channel 0', method(0, '0032000a 0000 00 04 00000000'), 504],
  ['a connection method on channel 1', method(1, '000a0028 012f 00 00'), 504],
  ['an unknown class', method(0, '0063 0001'), 503, 'hung up'],
  ['an unknown method of a known class', method(0, '000a 0063'), 503, 'hung up'],
  ['a method frame of no octets', method(0, ''), 501],
  ['a method frame of three octets', method(0, '000a00'), 501],
  ['a content header on channel 0', contentHeader(0, 0), 505],
  ['a body on channel 0', body(0, 1), 505],
  ['frame type 0', rawFrame(0, 0, new Uint8Array(0)), 501],
  ['frame type 4 on channel 1', rawFrame(4, 1, new Uint8Array(3)), 501],
  ['frame type 65 (A)', rawFrame(65, 0, new Uint8Array(3)), 501],
  ['frame type 255', rawFrame(255, 9, new Uint8Array(3)), 501],
  ['a heartbeat on channel 1', rawFrame(8, 1, new Uint8Array(0)), 505],
  ['a heartbeat on channel 65,535', rawFrame(8, 65_535, new Uint8Array(0)), 505],
  ['heartbeats', all(rawFrame(8, 0, new Uint8Array(0)), rawFrame(8, 0, new Uint8Array(0))), 'goes on'],
  ['heartbeats, one with a payload', all(rawFrame(8, 0, new Uint8Array(0)), rawFrame(8, 0, new Uint8Array(5))), 501],
  ['a size above frame_max', header(1, 0, 131_073), 501],
  ['a size of 0x7fffffff', header(3, 1, 0x7fff_ffff), 501],
  ['a size of 0xffffffff', header(3, 1, 0xffff_ffff), 501],
  ['a size of 0 for a method that has one', all(header(1, 0, 0), hex('000a0032'), hex('ce')), 501],
  ['a size one too small', rawFrame(1, 0, hex('000a0046 00000000 00'), 8), 501],
  ['a size one too large, and the next frame behind it', all(rawFrame(1, 0, hex('000a0046 00000000 00'), 10), openChannel(1)), 501],
  ['an end octet of 0', rawFrame(8, 0, new Uint8Array(0), 0, 0), 501],
  ['an end octet of 0xcd', rawFrame(1, 0, hex('000a0046 00000000 00'), 9, 0xcd), 501],
  ['a publish on a channel that is not open', publishFrames(1, '', 'q', Buffer.from('x')), 504],
  ['a content header on a channel that is not open', contentHeader(3, 5), 505],
  ['a body on a channel that is not open', body(3, 5), 505],
  ['an ack on a channel that is not open', method(3, '003c0050 0000000000000001 00'), 504],
  ['channel.close on a channel that is not open', method(3, '00140028 0000 00 0000 0000'), 504],
  ['a method on channel 65,535', method(65_535, '0032000a 0000 00 04 00000000'), 504],
  ['channel.open with octets left over', method(1, '0014000a 00 00'), 501],
  ['channel.open cut short', method(1, '0014000a'), 501],
];

const methods: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['channel.open twice', openChannel(1), 504],
  ['channel.open-ok from a client', method(1, '0014000b 00000000'), 503],
  ['channel.close-ok to no close', method(1, '00140029'), 503],
  ['channel.flow-ok to no flow', method(1, '00140015 01'), 503],
  ['basic.cancel-ok to no cancel', method(1, '003c001f 0174'), 503],
  ['queue.declare-ok from a client', method(1, '0032000b 0171 00000000 00000000'), 503],
  ['basic.deliver from a client', method(1, '003c003c 0174 0000000000000001 00 00 0171'), 503, 'goes on'],
  ['basic.get-empty from a client', method(1, '003c0048 00'), 503],
  ['basic.return from a client', method(1, '003c0032 0138 00 00 00'), 503, 'goes on'],
  ['an unknown class', method(1, '0063 0001'), 503, 'hung up'],
  ['an unknown method', method(1, '003c 0063'), 503, 'hung up'],
  ['a connection method', method(1, '000a0046 00000000 00'), 503],
  ['a method frame of no octets', method(1, ''), 501],
  ['a method frame of three octets', method(1, '003c00'), 501],
  ['a short string that runs past the end', method(1, '003c0046 0000 0571'), 501],
  ['a short string of 255 octets of which one came', method(1, '0032001e 0000 ff71 00'), 501],
  ['a bit that is missing', method(1, '003c006e'), 501],
  ['octets left over', method(1, '003c006e 01 00'), 501],
  ['a publish cut short', method(1, '003c0028 0000 00 0471'), 501],
  ['a publish with octets left over', method(1, '003c0028 0000 00 0171 00 00'), 501],
  ['an ack cut short', method(1, '003c0050 00000000000001'), 501],
  ['an ack with octets left over', method(1, '003c0050 0000000000000001 00 00'), 501],
  ['a queue name that is not UTF-8', declare(Buffer.alloc(0), 0, hex('ffc0')), 501],
  ['qos with a prefetch size', method(1, '003c000a 00000001 0001 00'), 540],
  ['recover without requeue', method(1, '003c006e 00'), 540],
  ['an exchange of unknown type', method(1, '0028000a 0000 0165 046e6f6e65 00 00000000'), 406, 503],
  ['an ack of a tag that never was', method(1, '003c0050 0000000000000063 00'), 406],
  ['an ack of all up to a tag that never was', method(1, '003c0050 0000000000000063 01'), 406],
  ['an ack of tag 0', method(1, '003c0050 0000000000000000 00'), 406],
  ['an ack of all, when there is none', method(1, '003c0050 0000000000000000 01'), 'goes on'],
  ['an ack of tag 2^53', method(1, '003c0050 0020000000000000 00'), 406],
  ['an ack of tag 2^64 - 1', method(1, '003c0050 ffffffffffffffff 01'), 406],
  ['a nack of a tag that never was', method(1, '003c0078 0000000000000001 02'), 406],
  ['a reject of tag 2^63', method(1, '003c005a 8000000000000000 01'), 406],
  ['a consumer tag twice', all(declare(Buffer.alloc(0)), ...[1, 2].map(() => method(1, '003c0014 0000 00 0174 02 00000000'))), 530],
  ['a cancel of no consumer', method(1, '003c001e 046e6f6e65 00'), 'goes on'],
  ['commit without select', method(1, '005a0014'), 406],
  ['rollback without select', method(1, '005a001e'), 406],
  ['tx.select after confirm.select', all(method(1, '0055000a 01'), method(1, '005a000a')), 406],
  ['confirm.select after tx.select', all(method(1, '005a000a'), method(1, '0055000a 01')), 406],
  ['no queue at all, and none declared before', method(1, '003c0046 0000 00 00'), 404],
  ['a queue of 255 octets that does not exist', method(1, `003c0046 0000 ff${'71'.repeat(255)} 00`), 404],
  ['a queue of 255 octets in two-octet letters that does not exist', method(1, `003c0046 0000 fe${'c3a4'.repeat(127)} 00`), 404],
  ['a binding of names of 255 octets', method(1, `00320014 0000 ff${'71'.repeat(255)} ff${'65'.repeat(255)} 00 00 00000000`), 404],
  ['a queue named amq.x', declare(Buffer.alloc(0), 0, Buffer.from('amq.x')), 403],
];

const tables: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['a table nested 16 deep', declare(nested(16)), 'goes on'],
  ['a table nested 17 deep', declare(nested(17)), 502, 'goes on'],
  ['a table nested 1,000 deep', declare(nested(1000)), 502, 'goes on'],
  ['arrays nested 1,000 deep', declare(nestedArrays(1000)), 502, 'goes on'],
  ['arrays nested 13,000 deep', declare(nestedArrays(13_000)), 502, 'goes on'],
  ['a table of 64 KiB and more', declare(longString(65_530)), 502, 'goes on'],
  ['a table longer than its frame', declare(Buffer.alloc(0), 1000), 501],
  ['a table of 0xffffffff octets', declare(Buffer.alloc(0), 0xffff_ffff), 501],
  ['a table whose length is cut', method(1, '0032000a 0000 0171 04 0000'), 501],
  ['a table whose value is missing', declare(hex('0178')), 502, 'hung up'],
  ['a table whose value is cut', declare(hex('0178 49 0000')), 502, 'hung up'],
  ['a table whose name runs past the end', declare(hex('ff78 56')), 502, 'hung up'],
  ['a table with a type that does not exist', declare(hex('0178 3f 00')), 502, 'hung up'],
  ['a table with a name that is not UTF-8', declare(hex('01ff 56')), 502, 'goes on'],
  ['a long string longer than its table', declare(hex('0178 53 7fffffff 61')), 502, 'hung up'],
  ['an array longer than its table', declare(hex('0178 41 00000009 56')), 502, 'hung up'],
  ['a table with __proto__', declare(hex('095f5f70726f746f5f5f 46 00000004 0161 7401')), 'goes on'],
  ['a name twice', declare(hex('0161 56 0161 56')), 'goes on'],
];

const properties = (flags: string, rest: string, size = 0n): Buffer => all(publish(1), contentHeader(1, size, 60, flags + rest));
const content: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['a content header without a method', contentHeader(1, 5), 505],
  ['a body without a method', body(1, 5), 505],
  ['a body without a header', all(publish(1), body(1, 5)), 505],
  ['two headers', all(publish(1), contentHeader(1, 5), contentHeader(1, 5)), 505],
  ['two publishes', all(publish(1), publish(1)), 505],
  ['an ack between publish and header', all(publish(1), method(1, '003c0050 0000000000000000 01')), 505],
  ['a method in the middle of a body', all(publish(1), contentHeader(1, 5), body(1, 2), method(1, '005a000a')), 505],
  [
    'a heartbeat in the middle of a body',
    all(publish(1), contentHeader(1, 5), body(1, 2), rawFrame(8, 0, new Uint8Array(0)), body(1, 3)),
    'goes on',
  ],
  ['a content header for another channel', all(publish(1), contentHeader(2, 5)), 505],
  ['a header of class queue', all(publish(1), contentHeader(1, 5, 50)), 505],
  ['a header of class 0', all(publish(1), contentHeader(1, 5, 0)), 505],
  ['a header of 13 octets', all(publish(1), rawFrame(2, 1, hex('003c 0000 0000000000000000 00'))), 501, 541],
  ['a header of no octets', all(publish(1), rawFrame(2, 1, new Uint8Array(0))), 501],
  ['more body than the header says', all(publish(1), contentHeader(1, 3), body(1, 4)), 501, 'goes on'],
  ['more body in a second frame', all(publish(1), contentHeader(1, 3), body(1, 2), body(1, 2)), 501, 'goes on'],
  ['a body for an empty message', all(publish(1), contentHeader(1, 0), body(1, 1)), 505],
  ['less body than the header says, then a method', all(publish(1), contentHeader(1, 3), body(1, 2), publish(1)), 505],
  ['body frames of no octets', all(publish(1), contentHeader(1, 2), body(1, 0), body(1, 1), body(1, 0), body(1, 1)), 'goes on'],
  ['a body size above the largest message', all(publish(1), contentHeader(1, 2 ** 40)), 406, 'goes on'],
  ['a body size of 2^53', all(publish(1), contentHeader(1, 2n ** 53n)), 502, 'goes on'],
  ['a body size of 2^63', all(publish(1), contentHeader(1, 2n ** 63n)), 502, 'goes on'],
  ['a body size of 2^64 - 1', all(publish(1), contentHeader(1, 2n ** 64n - 1n)), 502, 'goes on'],
  ['a property that runs past the end', properties('8000', 'ff69'), 502, 541],
  ['a property that is missing', properties('1000', ''), 502, 541],
  ['a property flag that does not exist', properties('0002', ''), 502, 'goes on'],
  ['a second word of property flags', properties('0001', '0000'), 502, 541],
  ['octets after the properties', properties('1000', '02 00'), 502, 541],
  ['octets after no properties', properties('0000', '00'), 502, 541],
  ['a header table that runs past the end', properties('2000', '00000009 0161'), 502, 541],
  ['a header table with a type that does not exist', properties('2000', '00000003 0161 3f'), 502, 541],
  [
    'a header table nested 1,000 deep',
    properties('2000', Buffer.concat([u32(nested(1000).length), nested(1000)]).toString('hex')),
    502,
    'goes on',
  ],
  [
    'a header table above 64 KiB',
    properties('2000', Buffer.concat([u32(longString(65_530).length), longString(65_530)]).toString('hex')),
    502,
    'goes on',
  ],
  ['a message id that is not UTF-8', properties('0080', '02ffc0'), 'goes on'],
  ['a routing key that is not UTF-8', all(method(1, '003c0028 0000 00 02ffc0 00'), contentHeader(1, 0)), 502, 'goes on'],
  ['an exchange that is not UTF-8', all(method(1, '003c0028 0000 02ffc0 00 00'), contentHeader(1, 0)), 502, 'unreadable'],
  ['immediate', all(publishMethod(1, { exchange: '', routingKey: 'q', mandatory: false, immediate: true }), contentHeader(1, 0)), 540],
  ['an exchange that does not exist', all(publish(1, 'nosuch'), contentHeader(1, 0)), 404],
  ['an expiration that is no number', properties('0100', '03616263'), 406],
  ['another user than the one that is logged in', properties('0010', '03626f62'), 406],
];

/** A whole publish of five octets, each of whose frames may say another size or end otherwise. */
function whole(changes: {
  headerEnd?: number;
  bodyEnd?: number;
  headerSize?: number;
  bodySize?: number;
  headerChannel?: number;
  bodyChannel?: number;
}): Buffer {
  const { headerEnd = 0xce, bodyEnd = 0xce, headerSize = 14, bodySize = 5, headerChannel = 1, bodyChannel = 1 } = changes;
  const header = rawFrame(2, headerChannel, contentHeader(1, 5).subarray(7, -1), headerSize, headerEnd);
  return all(publish(1), header, rawFrame(3, bodyChannel, Buffer.from('hello'), bodySize, bodyEnd));
}
// A publish that comes in one piece is read at a stroke (publish-joiner.ts): it must be refused for the same.
const atAStroke: readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer][] = [
  ['a whole publish', whole({}), 'goes on'],
  ['a whole publish whose header ends otherwise', whole({ headerEnd: 0xcd }), 501],
  ['a whole publish whose body ends otherwise', whole({ bodyEnd: 0 }), 501],
  ['a whole publish whose header says an octet less', whole({ headerSize: 13 }), 501],
  ['a whole publish whose header says an octet more', whole({ headerSize: 15 }), 501],
  ['a whole publish whose body says an octet less', whole({ bodySize: 4 }), 501],
  ['a whole publish whose body says an octet more, and another', all(whole({ bodySize: 6 }), whole({})), 501, 'unreadable'],
  ["a whole publish whose header is another channel's", whole({ headerChannel: 2 }), 505],
  ["a whole publish whose body is another channel's", whole({ bodyChannel: 2 }), 505],
];

function at(
  stage: Stage,
  rows: readonly (readonly [what: string, octets: Buffer, answer: Answer, rabbit?: RabbitAnswer])[],
): HostileCase[] {
  const isSilent = stage === 'start' || stage === 'tune';
  return rows.map(([what, octets, answer, rabbit]) => ({ what, stage, octets, answer, rabbit: isSilent ? 'hung up' : (rabbit ?? answer) }));
}

export const hostileCases: readonly HostileCase[] = [
  ...at('connected', connected),
  ...at('start', start),
  ...at('tune', tune),
  ...at('opening', opening),
  ...at('open', opened),
  ...at('channel', methods),
  ...at('channel', tables),
  ...at('channel', content),
  ...at('channel', atAStroke),
];
