// Hostile AMQP conversations, one after the other, each against a broker of its own in virtual time; beside them a witness that minds its business.
// FUZZ_RUNS=100000 runs longer, FUZZ_SEED=n repeats a run; the seed is printed, and a failure prints the shrunk script.
// What must hold: (1) what the server says is in order (amqp-answers.ts), and the peer gets an answer or a close with a code that is documented for
// such a thing, unless it left the server waiting for the rest of a frame; (2) a conversation that nothing was done to is never closed; (3) the
// witness's message goes round; (4) when all have gone, nothing is left over: no queue, message, timer, task, socket, nor a line in the error log.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AmqpAnswers } from '../support/amqp-answers.ts';
import { TestBroker } from '../support/broker.ts';
import { publishFrames, type RawAmqp, type ReceivedFrame, rawFrame } from '../support/raw-amqp.ts';
import { pieces } from '../wire/amqp-arbitraries.ts';
import { type Script, script } from './amqp-script.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 5000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));
const PROBE_CHANNEL = 2000;
const LARGEST_FRAME_BYTES = 131_072 + 8;
// 403: a login that was made wrong. 406 and the like close channels.
const CODES = [403, 501, 502, 503, 504, 505, 530, 540];

/** Where a stream of octets ends: with a frame, inside one, or where no frame can be. */
type End = 'whole' | 'cut' | 'no frame';

function endOf(octets: Buffer): End {
  const header = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
  if (!header.subarray(0, octets.length).equals(octets.subarray(0, 8))) return 'no frame';
  let at = 8;
  while (at + 7 <= octets.length) {
    const size = octets.readUInt32BE(at + 3);
    if (size > LARGEST_FRAME_BYTES) return 'no frame';
    if (at + size + 8 > octets.length) return 'cut';
    if (octets[at + size + 7] !== 0xce) return 'no frame';
    at += size + 8;
  }
  return at === octets.length ? 'whole' : 'cut';
}

interface Played {
  readonly script: Pick<Script, 'wrongs' | 'isHandshakeTouched' | 'frameMax'>;
  readonly end: End;
  readonly frames: readonly ReceivedFrame[];
  readonly hasHeader: boolean;
  readonly isClosed: boolean;
  readonly fault: Error | undefined;
}

/** How the server answered, and what was wrong with that. */
function judge({ script: played, end, frames, hasHeader, isClosed, fault }: Played): { outcome: string; complaints: readonly string[] } {
  const answers = new AmqpAnswers(played.frameMax);
  for (const frame of frames) answers.take(frame);
  const complaints = [...answers.end()];
  if (fault !== undefined) complaints.push(`what the server sent cannot be read: ${fault.message}`);
  const outcome = outcomeOf(frames, hasHeader, isClosed);
  const code = Number(/^connection (\d+)/.exec(outcome)?.[1]);
  if (!Number.isNaN(code) && !CODES.includes(code)) complaints.push(`the connection was closed with ${code}`);
  const isEnd = outcome !== 'goes on' && outcome !== 'mute';
  if (outcome === 'mute' && end !== 'cut') complaints.push(`no answer to a stream that is ${end}`);
  if (outcome === 'goes on' && end === 'no frame') complaints.push('what is no frame was passed over');
  if (outcome === 'hung up' && !played.isHandshakeTouched) complaints.push('hung up without a word');
  if (outcome === 'header' && !played.isHandshakeTouched) complaints.push('a protocol header for an AMQP client');
  if (isEnd && played.wrongs.length === 0) complaints.push(`a conversation in order ended with ${outcome}`);
  return { outcome, complaints };
}

function outcomeOf(frames: readonly ReceivedFrame[], hasHeader: boolean, isClosed: boolean): string {
  for (const { channel, method } of frames) {
    if (method?.name === 'connection.close') return `connection ${method.fields.replyCode}`;
    if (method?.name === 'connection.close-ok') return 'asked to close';
    if (method?.name === 'channel.open-ok' && channel === PROBE_CHANNEL) return 'goes on';
  }
  if (hasHeader) return 'header';
  return isClosed ? 'hung up' : 'mute';
}

const probe = rawFrame(1, PROBE_CHANNEL, Buffer.from('0014000a00', 'hex'));

async function play(broker: TestBroker, hostile: Script): Promise<Played> {
  const peer = broker.dialAmqp();
  const octets = Buffer.concat([hostile.octets, probe]);
  // what is long is not dribbled: a turn for each of 30,000 octets proves nothing more
  const how = hostile.pieces === 'bytes' && octets.length > 4000 ? 'thirds' : hostile.pieces;
  for (const piece of pieces(octets, how)) peer.stream.write(piece);
  await broker.advance(1000); // what a refused login waits
  const end = endOf(octets);
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
    const broker = new TestBroker({ limits: { messageBytes: 20_000 }, defersReads });
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
