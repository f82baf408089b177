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
import { type End, endOf, judge, type Played, PROBE_CHANNEL } from './amqp-judge.ts';
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
  const end = endOf(hostile.octets);
  const frames = [...peer.waiting];
  const isClosed = peer.isClosed;
  const complaint = await leave(broker, peer, end);
  if (complaint !== undefined) throw new Error(complaint);
  return { script: hostile, end, frames, hasHeader: peer.hasHeader, isClosed, fault: peer.fault };
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
  const probed = received(PROBE_CHANNEL, 'channel.open-ok', {});
  const inOrder: Played = {
    script: { wrongs: [], isHandshakeTouched: false, frameMax: 4096 },
    end: 'whole',
    frames: [probed],
    hasHeader: false,
    isClosed: false,
    fault: undefined,
  };
  const wronged = { ...inOrder.script, wrongs: ['something'] };

  test('has nothing to say of an answer, of a close for what was wrong, and of silence while more is to come', () => {
    const sound: Played[] = [
      inOrder,
      { ...inOrder, script: wronged, frames: [close(501, 'FRAME_ERROR - no')], isClosed: true, end: 'no frame' },
      { ...inOrder, script: wronged, frames: [], end: 'cut' },
    ];
    expect(sound.map((played) => judge(played).complaints)).toEqual([[], [], []]);
  });

  const broken: [complaint: RegExp, played: Played][] = [
    [/^no answer to a stream that is whole$/, { ...inOrder, script: wronged, frames: [] }],
    [/^no answer to a stream that is no frame$/, { ...inOrder, script: wronged, frames: [], end: 'no frame' }],
    [/^what is no frame was passed over$/, { ...inOrder, script: wronged, end: 'no frame' }],
    [/^a close with 541 /, { ...inOrder, script: wronged, frames: [close(541, 'INTERNAL_ERROR - oops')], isClosed: true }],
    [/^the connection was closed with 200$/, { ...inOrder, script: wronged, frames: [close(200, 'bye')], isClosed: true }],
    [/^a close with 501 that says 'no'$/, { ...inOrder, script: wronged, frames: [close(501, 'no')], isClosed: true }],
    [/^hung up without a word$/, { ...inOrder, script: wronged, frames: [], isClosed: true }],
    [/^a conversation in order ended with connection 504$/, { ...inOrder, frames: [close(504, 'CHANNEL_ERROR - no')], isClosed: true }],
    [/^a protocol header for an AMQP client$/, { ...inOrder, script: wronged, frames: [], hasHeader: true, isClosed: true }],
    [/^what the server sent cannot be read: torn$/, { ...inOrder, fault: new Error('torn') }],
  ];
  test.each(broken)('says %s', (complaint, played) => {
    expect(judge(played).complaints).toContainEqual(expect.stringMatching(complaint));
  });

  test('knows where a stream ends', () => {
    const frame = rawFrame(8, 0, new Uint8Array(0));
    const stream = (...parts: Buffer[]): End => endOf(Buffer.concat([PROTOCOL_HEADER, ...parts]));
    expect([stream(), stream(frame), stream(frame, frame)]).toEqual(['whole', 'whole', 'whole']);
    expect([endOf(PROTOCOL_HEADER.subarray(0, 5)), stream(frame.subarray(0, 3)), stream(frame, frame.subarray(0, 7))]).toEqual([
      'cut',
      'cut',
      'cut',
    ]);
    expect([
      endOf(Buffer.from('HTTP')),
      stream(rawFrame(8, 0, new Uint8Array(0), 0, 1)),
      stream(rawFrame(1, 0, Buffer.alloc(9), 2 ** 31)),
    ]).toEqual(['no frame', 'no frame', 'no frame']);
  });
});

function received<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): ReceivedFrame {
  const payload = encodeMethod(name, fields);
  return { type: 1, channel, payload, method: decodeMethod(payload, 0, payload.length) };
}
