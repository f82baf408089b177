// Hostile AMQP conversations, one after the other, each against a broker of its own in virtual time; beside them a witness that minds its business.
// FUZZ_RUNS=100000 runs longer, FUZZ_SEED=n repeats a run; the seed is printed, and a failure prints the shrunk script.
// What must hold: (1) what the server says is in order (amqp-answers.ts), and the peer gets an answer or a close with a code that is documented for
// such a thing, unless it left the server waiting for the rest of a frame; (2) a conversation that nothing was done to is never closed; (3) the
// witness's message goes round; (4) when all have gone, nothing is left over: no queue, message, timer, task, socket, nor a line in the error log.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMethod, encodeMethod, type MethodFields } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { TestBroker } from '../support/broker.ts';
import { PROTOCOL_HEADER, publishFrames, type RawAmqp, type ReceivedFrame, rawFrame } from '../support/raw-amqp.ts';
import { pieces } from '../wire/amqp-arbitraries.ts';
import { type End, judge, type Played, PROBE_CHANNEL, readStream } from './amqp-judge.ts';
import { type Script, script } from './amqp-script.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 5000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));

const probe = rawFrame(1, PROBE_CHANNEL, Buffer.from('0014000a00', 'hex'));

async function play(broker: TestBroker, hostile: Script): Promise<Played> {
  const peer = broker.dialAmqp();
  const octets = Buffer.concat([hostile.octets, probe]); // which is the rest of a frame where one is cut
  // what is long is not dribbled: a turn for each of 30,000 octets proves nothing more
  const how = hostile.pieces === 'bytes' && octets.length > 4000 ? 'thirds' : hostile.pieces;
  for (const piece of pieces(octets, how)) peer.stream.write(piece);
  await broker.advance(1000); // what a refused login waits
  const { end } = readStream(hostile.octets);
  const frames = [...peer.waiting];
  const isClosed = peer.isClosed;
  const complaint = await leave(broker, peer, end);
  if (complaint !== undefined) throw new Error(complaint);
  return { script: hostile, frames, hasHeader: peer.hasHeader, isClosed, fault: peer.fault };
}

/** Goes like a client: answers a close. Then the stream must end. */
async function leave(broker: TestBroker, peer: RawAmqp, end: End): Promise<string | undefined> {
  const code = peer.waiting
    .map(({ method }) => (method?.name === 'connection.close' ? method.fields.replyCode : 0))
    .find((found) => found > 0);
  if (code !== undefined) {
    await peer.send(0, 'connection.close-ok', {});
    await broker.idle();
    // behind what cannot be read, or is not whole, close-ok is taken for more of it
    if (!peer.isClosed && (code === 501 || end !== 'whole')) await broker.advance(5000);
    if (!peer.isClosed) return `the stream does not end after close-ok (${code})`;
  }
  peer.tear();
  await broker.idle();
  return peer.isClosed ? undefined : 'the stream does not end when it is torn';
}

async function witness(broker: TestBroker): Promise<RawAmqp> {
  const peer = broker.dialAmqp();
  await peer.logIn();
  await peer.openChannel(1);
  const declared = { passive: false, durable: false, exclusive: true, autoDelete: false, nowait: false, arguments: new Map() };
  await peer.call(1, 'queue.declare', { queue: 'witness', ...declared }, 'queue.declare-ok');
  const consumer = {
    queue: 'witness',
    consumerTag: 'w',
    noLocal: false,
    noAck: true,
    exclusive: true,
    nowait: false,
    arguments: new Map(),
  };
  await peer.call(1, 'basic.consume', consumer, 'basic.consume-ok');
  return peer;
}

async function goesRound(peer: RawAmqp): Promise<void> {
  await peer.write(publishFrames(1, '', 'witness', Buffer.from('still here')));
  await peer.method('basic.deliver', 1);
  await peer.frame();
  expect(Buffer.from((await peer.frame()).payload).toString()).toBe('still here');
}

test(`no AMQP peer harms another, and each gets an answer or a documented end (FUZZ_SEED=${SEED})`, {
  timeout: 60_000 * Math.max(3, RUNS / 1000),
}, async () => {
  const outcomes = new Map<string, number>();
  let soft = 0;
  const property = fc.asyncProperty(script, fc.boolean(), async (hostile, defersReads) => {
    // small enough that a wrong body size meets the limit
    const broker = new TestBroker({ limits: { messageBytes: 5000 }, defersReads });
    const other = await witness(broker);
    const [played] = await Promise.all([play(broker, hostile), goesRound(other)]);
    const { outcome, complaints } = judge(played);
    await goesRound(other);
    expect([...complaints, ...(await broker.end())]).toEqual([]);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (played.frames.some(({ method }) => method?.name === 'channel.close')) soft++;
  });
  await fc.assert(property, { numRuns: RUNS, seed: SEED });
  console.log(
    `${RUNS} conversations (FUZZ_SEED=${SEED}), ${soft} with a channel closed: ${[...outcomes]
      .sort()
      .map(([how, count]) => `${how} ${count}`)
      .join(', ')}`,
  );
  // a generator that never gets past the door, or never hits anything, proves nothing
  expect(soft).toBeGreaterThan(RUNS / 50);
  for (const outcome of ['goes on', 'mute', 'connection 501', 'connection 502', 'connection 503', 'connection 504', 'connection 505'])
    expect(outcomes.get(outcome) ?? 0, `runs that ended with '${outcome}'`).toBeGreaterThan(RUNS / 500);
});

describe('the judge', () => {
  const close = (code: number, text: string): ReceivedFrame =>
    received(0, 'connection.close', { replyCode: code, replyText: text, failedClassId: 0, failedMethodId: 0 });
  const opened = received(1, 'channel.open-ok', {});
  const probed = received(PROBE_CHANNEL, 'channel.open-ok', {});
  const open = rawFrame(1, 1, Buffer.from('0014000a00', 'hex'));
  const publish = publishFrames(1, '', 'q', Buffer.from('1'));
  const stream = (...frames: Buffer[]): Buffer => {
    const heartbeat = rawFrame(8, 0, new Uint8Array(0)); // what stands for the handshake is not looked at
    return Buffer.concat([PROTOCOL_HEADER, heartbeat, heartbeat, heartbeat, ...frames]);
  };
  const soundScript = { octets: stream(open, publish), wrongs: [], isHandshakeTouched: false, frameMax: 4096 };
  const sound: Played = { script: soundScript, frames: [opened, probed], hasHeader: false, isClosed: false, fault: undefined };
  const wronged = { ...sound, script: { ...soundScript, wrongs: ['something'] } };
  const of = (octets: Buffer, frames: ReceivedFrame[] = [opened, probed]): Played => ({
    ...wronged,
    script: { ...wronged.script, octets },
    frames,
  });
  const cut = publish.subarray(0, 30);
  const noFrame = rawFrame(8, 0, new Uint8Array(0), 0, 1);

  test('has nothing to say of an answer, of a close for what was wrong, and of silence while more is to come', () => {
    const channelClose = { replyCode: 404, replyText: 'NOT_FOUND - no', failedClassId: 60, failedMethodId: 40 };
    const inOrder: Played[] = [
      sound,
      { ...of(stream(noFrame), [close(501, 'FRAME_ERROR - no')]), isClosed: true },
      of(stream(open, cut), [opened]),
      of(stream(open, publish, publish.subarray(0, 20)), [opened, received(1, 'channel.close', channelClose)]),
      of(stream(open, publish), [opened, received(1, 'basic.ack', { deliveryTag: 1, multiple: false }), probed]),
    ];
    expect(inOrder.map((played) => judge(played).complaints)).toEqual([[], [], [], [], []]);
  });

  const broken: [complaint: RegExp, played: Played][] = [
    [/^no answer to a stream that is whole$/, { ...wronged, frames: [] }],
    [/^no answer to a stream that is no frame$/, of(stream(noFrame), [])],
    [/^what is no frame was passed over$/, of(stream(open, noFrame))],
    [/^a close with 541 /, { ...wronged, frames: [close(541, 'INTERNAL_ERROR - oops')], isClosed: true }],
    [/^the connection was closed with 200$/, { ...wronged, frames: [close(200, 'bye')], isClosed: true }],
    [/^a close with 501 that says 'no'$/, { ...wronged, frames: [close(501, 'no')], isClosed: true }],
    [/^hung up without a word$/, { ...wronged, frames: [], isClosed: true }],
    [/^a conversation in order ended with connection 504$/, { ...sound, frames: [close(504, 'CHANNEL_ERROR - no')], isClosed: true }],
    [/^a protocol header for an AMQP client$/, { ...wronged, frames: [], hasHeader: true, isClosed: true }],
    [/^what the server sent cannot be read: torn$/, { ...sound, fault: new Error('torn') }],
    [
      /^publish 2 is confirmed on channel 1, and never was$/,
      of(stream(open, publish), [opened, received(1, 'basic.ack', { deliveryTag: 2, multiple: true }), probed]),
    ],
  ];
  test.each(broken)('says %s', (complaint, played) => {
    expect(judge(played).complaints).toContainEqual(expect.stringMatching(complaint));
  });

  const header = publish.subarray(-31, -9);
  const body = publish.subarray(-9);
  const passedOver: [rule: string, octets: Buffer][] = [
    ['a heartbeat that is none', stream(rawFrame(8, 1, new Uint8Array(0)))],
    ['a frame of type 3 on channel 0', stream(rawFrame(3, 0, new Uint8Array(1)))],
    ['a method that has no place on channel 0', stream(rawFrame(1, 0, Buffer.from('0014000a00', 'hex')))],
    ['a frame of type 9', stream(open, rawFrame(9, 1, new Uint8Array(1)))],
    ['a frame on a channel that is not open', stream(publish)],
    ['content without a method', stream(open, header)],
    ['content without a method', stream(open, publish, body)],
    ['an unknown method', stream(open, rawFrame(1, 1, Buffer.from('00630001', 'hex')))],
    ['a channel opened twice', stream(open, open)],
    ['a frame of type 1 where a content header is due', stream(open, publish.subarray(0, publish.length - 31), open)],
    ['a content header that is none', stream(open, publish.subarray(0, publish.length - 31), rawFrame(2, 1, Buffer.alloc(14)))],
    ['a frame of type 1 in the middle of content', stream(open, publish.subarray(0, publish.length - 9), open)],
    ['more body than its header said', stream(open, publish.subarray(0, publish.length - 9), rawFrame(3, 1, Buffer.alloc(2)))],
  ];
  test.each(passedOver)('says when this is passed over: %s', (rule, octets) => {
    expect(judge(of(octets)).complaints).toEqual([`passed over: ${rule}`]);
    expect(judge({ ...of(octets, [close(505, 'UNEXPECTED_FRAME - no')]), isClosed: true }).complaints).toEqual([]);
  });

  test('knows where a stream ends', () => {
    const frame = rawFrame(8, 0, new Uint8Array(0));
    const endOf = (...parts: Buffer[]): End => readStream(Buffer.concat([PROTOCOL_HEADER, ...parts])).end;
    expect([endOf(), endOf(frame), endOf(frame, frame)]).toEqual(['whole', 'whole', 'whole']);
    expect([readStream(PROTOCOL_HEADER.subarray(0, 5)).end, endOf(frame.subarray(0, 3)), endOf(frame, frame.subarray(0, 7))]).toEqual([
      'cut',
      'cut',
      'cut',
    ]);
    expect([readStream(Buffer.from('HTTP')).end, endOf(noFrame), endOf(rawFrame(1, 0, Buffer.alloc(9), 2 ** 31))]).toEqual([
      'no frame',
      'no frame',
      'no frame',
    ]);
  });
});

function received<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): ReceivedFrame {
  const payload = encodeMethod(name, fields);
  return { type: 1, channel, payload, method: decodeMethod(payload, 0, payload.length) };
}
