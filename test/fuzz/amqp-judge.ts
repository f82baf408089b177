// How a server answered a hostile conversation, and what was wrong with that.
// Always: (1) only a stream that ends inside a frame may stay unanswered, and one that breaks a rule of framing (amqp-framing.ts) is ended; (2) a close bears a code that is documented for what a peer can do;
// (3) whatever the server said is in order (amqp-answers.ts). Judges what came, and knows nothing of how the server came to it.

import { AmqpAnswers } from '../support/amqp-answers.ts';
import { PROTOCOL_HEADER, type ReceivedFrame } from '../support/raw-amqp.ts';
import { HANDSHAKE_FRAMES } from './amqp-conversation.ts';
import { type Frame, Framing } from './amqp-framing.ts';
import type { Script } from './amqp-script.ts';

/** Who plays asks for it last. */
export const PROBE_CHANNEL = 2000;
const LARGEST_FRAME_BYTES = 131_072 + 8;
// 403: a login that was made wrong. 406 and the like close channels.
const CODES = [403, 501, 502, 503, 504, 505, 530, 540];

/** Where a stream of octets ends: with a frame, inside one, or where no frame can be. */
export type End = 'whole' | 'cut' | 'no frame';

/** The frames of a client's stream, without its protocol header, and where it ends. */
export function readStream(octets: Buffer): { readonly frames: readonly Frame[]; readonly end: End } {
  const frames: Frame[] = [];
  if (!PROTOCOL_HEADER.subarray(0, octets.length).equals(octets.subarray(0, 8))) return { frames, end: 'no frame' };
  let at = 8;
  while (at + 7 <= octets.length) {
    const size = octets.readUInt32BE(at + 3);
    if (size > LARGEST_FRAME_BYTES) return { frames, end: 'no frame' };
    if (at + size + 8 > octets.length) return { frames, end: 'cut' };
    if (octets[at + size + 7] !== 0xce) return { frames, end: 'no frame' };
    frames.push({ type: octets[at] ?? 0, channel: octets.readUInt16BE(at + 1), payload: octets.subarray(at + 7, at + 7 + size) });
    at += size + 8;
  }
  return { frames, end: at === octets.length ? 'whole' : 'cut' };
}

export interface Played {
  readonly script: Pick<Script, 'octets' | 'wrongs' | 'isHandshakeTouched' | 'frameMax'>;
  readonly frames: readonly ReceivedFrame[];
  readonly hasHeader: boolean;
  readonly isClosed: boolean;
  readonly fault: Error | undefined;
}

/** How the server answered, and what was wrong with that. */
export function judge({ script: played, frames, hasHeader, isClosed, fault }: Played): {
  outcome: string;
  complaints: readonly string[];
} {
  const answers = new AmqpAnswers(played.frameMax);
  for (const frame of frames) answers.take(frame);
  const complaints = [...answers.end()];
  if (fault !== undefined) complaints.push(`what the server sent cannot be read: ${fault.message}`);
  const { frames: sent, end } = readStream(played.octets);
  const outcome = outcomeOf(frames, hasHeader, isClosed);
  const code = Number(/^connection (\d+)/.exec(outcome)?.[1]);
  if (!Number.isNaN(code) && !CODES.includes(code)) complaints.push(`the connection was closed with ${code}`);
  const isEnd = outcome !== 'goes on' && outcome !== 'mute';
  if (outcome === 'mute' && end !== 'cut') complaints.push(`no answer to a stream that is ${end}`);
  if (outcome === 'goes on' && end === 'no frame') complaints.push('what is no frame was passed over');
  if (outcome === 'hung up' && !played.isHandshakeTouched) complaints.push('hung up without a word');
  if (outcome === 'header' && !played.isHandshakeTouched) complaints.push('a protocol header for an AMQP client');
  if (isEnd && played.wrongs.length === 0) complaints.push(`a conversation in order ended with ${outcome}`);
  if (!played.isHandshakeTouched) complaints.push(...framingComplaints(sent, frames, isEnd, answers));
  return { outcome, complaints };
}

function framingComplaints(sent: readonly Frame[], frames: readonly ReceivedFrame[], isEnd: boolean, answers: AmqpAnswers): string[] {
  const closed = new Set(frames.flatMap(({ channel, method }) => (method?.name === 'channel.close' ? [channel] : [])));
  const framing = new Framing(closed);
  for (const frame of sent.slice(HANDSHAKE_FRAMES - 1)) framing.take(frame);
  const complaints: string[] = [];
  if (framing.broken !== undefined && !isEnd) complaints.push(`passed over: ${framing.broken}`);
  for (const [channel, confirmed] of answers.confirmedMax) {
    if (!closed.has(channel) && confirmed > framing.publishCount(channel))
      complaints.push(`publish ${confirmed} is confirmed on channel ${channel}, and never was`);
  }
  return complaints;
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
