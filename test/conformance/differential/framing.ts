// Situations: frames and contents that are wrong, at the edge, or cut in unusual places.

import { FrameType } from '../../../shared/amqp/frame.ts';
import { encodeMethod } from '../../../shared/amqp/methods.ts';
import { bodyFrames, frameOf, headerFrame, publishFrames, rawFrame } from '../../support/amqp-client.ts';
import { type Channel, type Play, situations, table } from './stage.ts';

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const publishMethod = frameOf(1, 'basic.publish', { routingKey: 'nowhere' });

/** Frames on an open channel 1 that end the connection. */
function wrong(...frames: readonly (Uint8Array | readonly number[])[]): Play {
  return async (s) => {
    const ch = await s.channel();
    ch.connection.client.write(...frames);
    await ch.connection.ended();
  };
}

/** Frames on an open channel 1 that are taken, or are refused with a method. */
function handled(...frames: readonly (Uint8Array | readonly number[])[]): Play {
  return async (s) => {
    const ch = await s.channel();
    ch.connection.client.write(...frames);
    await ch.fence();
  };
}

/** A method frame of channel 1 from the payload's octets. */
const method = (...octets: readonly number[]): Uint8Array => rawFrame(FrameType.Method, 1, octets);
/** queue.declare of '' up to its arguments, and the octets of these. */
const declareWith = (argumentOctets: readonly number[]): Uint8Array => method(0, 50, 0, 10, 0, 0, 0, 0b100, ...argumentOctets);
/** A table of one field. */
const oneField = (...octets: readonly number[]): number[] => [0, 0, 0, octets.length, ...octets];

/** A content header with the octets of flags and properties, and a body size. */
function contentHeader(bodyBytes: number, ...octets: readonly number[]): Uint8Array {
  return rawFrame(FrameType.Header, 1, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, bodyBytes >>> 8, bodyBytes & 255, ...octets]);
}
const published = (header: Uint8Array, ...more: Uint8Array[]): Uint8Array[] => [publishMethod, header, ...more];

/** A queue of one's own that what is published comes back from. */
async function echo(ch: Channel, queue: string): Promise<void> {
  await ch.declare(queue, {}, { exclusive: true });
  await ch.consume(queue, { noAck: true });
}

/** A nested table, `depth` deep. */
function nested(depth: number): number[] {
  let octets: number[] = [0, 0, 0, 0];
  for (let i = 1; i < depth; i++) {
    const size = octets.length + 3;
    octets = [size >>> 24, (size >>> 16) & 255, (size >>> 8) & 255, size & 255, 1, 0x6b, 0x46, ...octets];
  }
  return octets;
}

export const framing = situations({
  'a wrong end octet': wrong(
    rawFrame(FrameType.Method, 1, encodeMethod('basic.qos', { prefetchSize: 0, prefetchCount: 1, global: false }), 0),
  ),
  'a wrong end octet of a printable payload': wrong(rawFrame(FrameType.Body, 1, ascii('hello'), 0x41)),
  'a wrong end octet of a long payload': wrong(rawFrame(FrameType.Method, 1, ascii('a'.repeat(300)), 1)),
  'a wrong end octet on channel 0': wrong(rawFrame(FrameType.Heartbeat, 0, [], 0x0a)),
  'a frame of type 0': wrong(rawFrame(0, 1, [1, 2, 3])),
  'a frame of type 4': wrong(rawFrame(4, 0, [])),
  'a frame of type 9': wrong(rawFrame(9, 1, ascii('oops'))),
  'a frame of type 255 on channel 0': wrong(rawFrame(255, 0, ascii('oops'))),
  'a frame of a wrong type on a channel that is not open': wrong(rawFrame(7, 9, ascii('oops'))),
  'a heartbeat on channel 1': wrong(rawFrame(FrameType.Heartbeat, 1, [])),
  'a heartbeat with a payload': handled(rawFrame(FrameType.Heartbeat, 0, ascii('thump'))),
  'text instead of frames': wrong(ascii('what is this text doing here?')),
  'a size of four billion': wrong([1, 0, 1, 0xff, 0xff, 0xff, 0xff]),

  'an empty method frame': wrong(method()),
  'a method frame of three octets': wrong(method(0, 60, 0)),
  'a method without its fields': wrong(method(0, 60, 0, 10)),
  'a method whose fields are cut short': wrong(method(0, 60, 0, 10, 0, 0, 0)),
  'a method with octets too many': wrong(method(0, 60, 0, 10, 0, 0, 0, 0, 0, 1, 0, 7, 7)),
  'a class that does not exist': wrong(method(0, 99, 0, 10)),
  'a method that does not exist': wrong(method(0, 50, 0, 99)),
  'a method of the connection class that does not exist': wrong(rawFrame(FrameType.Method, 0, [0, 10, 0, 99])),
  'a class that does not exist, on channel 0': wrong(rawFrame(FrameType.Method, 0, [0, 99, 0, 99])),
  'a class of AMQP 0-8 that is gone': wrong(method(0, 70, 0, 10)),
  'unused bits of a method that are set': handled(method(0, 60, 0, 10, 0, 0, 0, 0, 0, 1, 0b1111_1110)),
  'a short string beyond the end': wrong(method(0, 50, 0, 10, 0, 0, 200, 0x71)),
  'a queue name that is not UTF-8': wrong(method(0, 50, 0, 10, 0, 0, 2, 0xc3, 0x28, 0b100, 0, 0, 0, 0)),
  'a routing key that is not UTF-8': handled(method(0, 60, 0, 40, 0, 0, 0, 2, 0xc3, 0x28, 0), headerFrame(1, {}, 0)),
  'a consumer tag that is not UTF-8': wrong(method(0, 60, 0, 20, 0, 0, 0, 2, 0xff, 0xfe, 0, 0, 0, 0, 0)),

  'a table that is longer than its frame': wrong(declareWith([0, 0, 1, 0, 1, 0x78])),
  'a table whose field has a type nobody knows': wrong(declareWith(oneField(1, 0x78, 0x5a, 0))),
  'a table whose string is longer than the table': wrong(declareWith(oneField(1, 0x78, 0x53, 0, 0, 0, 99, 0x61))),
  'a table whose last value is missing': wrong(declareWith(oneField(1, 0x78))),
  'a table that ends within a number': wrong(declareWith(oneField(1, 0x78, 0x49, 0, 0))),
  'a table with octets behind it': wrong(declareWith([0, 0, 0, 0, 7])),
  'a table with an empty name': handled(declareWith(oneField(0, 0x74, 1))),
  'a table with a name twice': handled(
    declareWith([
      0,
      0,
      0,
      40,
      ...[...ascii('\x0cx-max-lengthI')],
      0,
      0,
      0,
      1,
      ...[...ascii('\x0cx-max-lengthI')],
      0,
      0,
      0,
      2,
      1,
      0x61,
      0x74,
      1,
    ]),
  ),
  'a boolean that is 2': handled(declareWith(oneField(1, 0x78, 0x74, 2))),
  'tables nested 16 deep': handled(declareWith(nested(16))),
  'tables nested 100 deep': handled(declareWith(nested(100))),

  'a content header without a method': wrong(headerFrame(1, {}, 0)),
  'a body without a method': wrong(rawFrame(FrameType.Body, 1, ascii('x'))),
  'a body without its header': wrong(publishMethod, rawFrame(FrameType.Body, 1, ascii('x'))),
  'a content header behind a method that has no content': wrong(frameOf(1, 'basic.qos', {}), headerFrame(1, {}, 0)),
  'a method where a content header should be': wrong(publishMethod, frameOf(1, 'basic.qos', {})),
  'a method where a body should be': wrong(publishMethod, headerFrame(1, {}, 5), frameOf(1, 'basic.qos', {})),
  'a second header where a body should be': wrong(publishMethod, headerFrame(1, {}, 5), headerFrame(1, {}, 5)),
  'a body longer than its header says': handled(publishMethod, headerFrame(1, {}, 2), rawFrame(FrameType.Body, 1, ascii('xyz'))),
  'a body behind an empty content': wrong(publishMethod, headerFrame(1, {}, 0), rawFrame(FrameType.Body, 1, ascii('x'))),
  'a content header of another class': wrong(publishMethod, rawFrame(FrameType.Header, 1, [0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  'a content header of a class that does not exist': wrong(
    publishMethod,
    rawFrame(FrameType.Header, 1, [0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  ),
  'a content header with a weight': wrong(publishMethod, rawFrame(FrameType.Header, 1, [0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  'a content header cut short': wrong(publishMethod, rawFrame(FrameType.Header, 1, [0, 60, 0, 0, 0, 0])),
  'an empty content header': wrong(publishMethod, rawFrame(FrameType.Header, 1, [])),
  'an empty body frame in a content': async (s) => {
    const ch = await s.channel();
    await echo(ch, s.name('q'));
    const empty = rawFrame(FrameType.Body, 1, []);
    ch.connection.client.write(
      frameOf(1, 'basic.publish', { routingKey: s.name('q') }),
      headerFrame(1, {}, 2),
      empty,
      rawFrame(FrameType.Body, 1, ascii('ab')),
    );
    await ch.next();
  },
  'a body in frames of one octet': async (s) => {
    const ch = await s.channel();
    await echo(ch, s.name('q'));
    ch.connection.client.write(
      frameOf(1, 'basic.publish', { routingKey: s.name('q') }),
      headerFrame(1, {}, 5),
      ...bodyFrames(1, ascii('abcde'), 9),
    );
    await ch.next();
  },
  'properties that end too early': wrong(...published(contentHeader(0, 0x80, 0, 5, 0x61))),
  'properties with octets behind them': wrong(...published(contentHeader(0, 0x10, 0, 2, 0xff, 0xff))),
  'a header table that is longer than its header': wrong(...published(contentHeader(0, 0x20, 0, 0, 0, 1, 0))),
  'a header of a type nobody knows': wrong(...published(contentHeader(0, 0x20, 0, ...oneField(1, 0x78, 0x5a, 0)))),
  'property flags that nobody knows': handled(...published(contentHeader(0, 0, 2))),
  'property flags that go on': wrong(...published(contentHeader(0, 0, 1, 0, 0))),
  'a content type that is not UTF-8': handled(...published(contentHeader(0, 0x80, 0, 2, 0xc3, 0x28))),

  'a frame as long as was negotiated': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    await echo(ch, s.name('q'));
    ch.publish({ routingKey: s.name('q'), body: 'x'.repeat(4088) });
    await ch.next();
  },
  'a body of one octet more than a frame holds': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    await echo(ch, s.name('q'));
    ch.publish({ routingKey: s.name('q'), body: 'x'.repeat(4089) });
    await ch.next();
  },
  'a body of many frames': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    await echo(ch, s.name('q'));
    ch.publish({ routingKey: s.name('q'), body: 'x'.repeat(20_000) });
    await ch.next();
  },
  'a body that comes in large frames and goes in small ones': async (s) => {
    const large = await s.channel();
    const small = await s.channel({ frameMax: 4096 });
    await large.declare(s.name('q'));
    large.publish({ routingKey: s.name('q'), body: 'x'.repeat(300_000) });
    await large.counts(s.name('q'), 1);
    await small.get(s.name('q'));
  },
  'an empty body has no frame': async (s) => {
    const ch = await s.channel();
    await echo(ch, s.name('q'));
    ch.publish({ routingKey: s.name('q') });
    await ch.next();
  },
  'a body of one octet': async (s) => {
    const ch = await s.channel();
    await echo(ch, s.name('q'));
    ch.put(s.name('q'), 'x');
    await ch.next();
  },
  'a frame of eight octets more than was negotiated': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    await echo(ch, s.name('q'));
    ch.connection.client.write(
      frameOf(1, 'basic.publish', { routingKey: s.name('q') }),
      ...publishFrames(1, { body: 'x'.repeat(4096) }).slice(1),
    );
    await ch.next();
  },
  'a frame of nine octets more than was negotiated': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    await echo(ch, s.name('q'));
    ch.connection.client.write(
      frameOf(1, 'basic.publish', { routingKey: s.name('q') }),
      ...publishFrames(1, { body: 'x'.repeat(4097) }).slice(1),
    );
    await ch.connection.ended();
  },
  'headers as long as a frame holds': async (s) => {
    const ch = await s.channel({ frameMax: 4096 });
    await echo(ch, s.name('q'));
    const properties = { headers: table({ long: 'x'.repeat(4000) }) };
    ch.publish({ routingKey: s.name('q'), properties });
    await ch.next();
  },
  'headers that do not fit the consumer in one frame': async (s) => {
    const large = await s.channel();
    const small = await s.channel({ frameMax: 4096 });
    await large.declare(s.name('q'));
    large.publish({ routingKey: s.name('q'), properties: { headers: table({ long: 'x'.repeat(5000) }) }, body: 'b' });
    await large.counts(s.name('q'), 1);
    await small.get(s.name('q'));
  },
  'frames that come octet by octet': async (s) => {
    const ch = await s.channel();
    await echo(ch, s.name('q'));
    for (const octet of Buffer.concat(publishFrames(1, { routingKey: s.name('q'), body: 'bit by bit' })))
      ch.connection.client.write([octet]);
    await ch.next();
  },
  'contents of two channels whose frames alternate': async (s) => {
    const connection = await s.connect();
    const [one, two] = [await connection.channel(), await connection.channel()];
    await echo(one, s.name('a'));
    await echo(two, s.name('b'));
    const a = publishFrames(one.number, { routingKey: s.name('a'), body: 'first' });
    const b = publishFrames(two.number, { routingKey: s.name('b'), body: 'second' });
    for (let i = 0; i < 3; i++) connection.client.write(a[i] ?? [], b[i] ?? []);
    await one.next();
    await two.next();
  },
  'heartbeats between the frames of a content': async (s) => {
    const ch = await s.channel();
    await echo(ch, s.name('q'));
    const beat = rawFrame(FrameType.Heartbeat, 0, []);
    for (const frame of publishFrames(1, { routingKey: s.name('q'), body: 'beat' })) ch.connection.client.write(frame, beat);
    await ch.next();
  },
  'a channel that closes in the middle of a content': async (s) => {
    const ch = await s.channel();
    ch.connection.client.write(publishMethod, headerFrame(1, {}, 5));
    ch.send('channel.close', { replyCode: 200, replyText: 'changed my mind' });
    await ch.connection.ended();
  },
  'a content on a channel that an error is closing': async (s) => {
    const ch = await s.channel();
    ch.connection.client.answersCloses = false;
    ch.connection.client.write(
      frameOf(1, 'queue.declare', { queue: s.name('nosuch'), passive: true }),
      publishMethod,
      headerFrame(1, {}, 1),
      rawFrame(FrameType.Body, 1, ascii('x')),
    );
    await ch.next();
    ch.connection.client.write(publishMethod, headerFrame(1, {}, 0), frameOf(1, 'channel.close-ok'), frameOf(1, 'channel.open'));
    await ch.next();
  },
});
