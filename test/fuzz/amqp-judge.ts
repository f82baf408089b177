// How a server answered a hostile conversation, and what was wrong with that.
// Always: (1) only a stream that ends inside a frame may stay unanswered; (2) a close bears a code that is documented for what a peer can do;
// (3) whatever the server said is in order (amqp-answers.ts). Judges what came, and knows nothing of how the server came to it.

import { AmqpAnswers } from '../support/amqp-answers.ts';
import { PROTOCOL_HEADER, type ReceivedFrame } from '../support/raw-amqp.ts';
import type { Script } from './amqp-script.ts';

/** Who plays asks for it last. */
export const PROBE_CHANNEL = 2000;
const LARGEST_FRAME_BYTES = 131_072 + 8;
// 403: a login that was made wrong. 406 and the like close channels.
const CODES = [403, 501, 502, 503, 504, 505, 530, 540];

/** Where a stream of octets ends: with a frame, inside one, or where no frame can be. */
export type End = 'whole' | 'cut' | 'no frame';

export function endOf(octets: Buffer): End {
  if (!PROTOCOL_HEADER.subarray(0, octets.length).equals(octets.subarray(0, 8))) return 'no frame';
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

export interface Played {
  readonly script: Pick<Script, 'wrongs' | 'isHandshakeTouched' | 'frameMax'>;
  readonly end: End;
  readonly frames: readonly ReceivedFrame[];
  readonly hasHeader: boolean;
  readonly isClosed: boolean;
  readonly fault: Error | undefined;
}

/** How the server answered, and what was wrong with that. */
export function judge({ script: played, end, frames, hasHeader, isClosed, fault }: Played): {
  outcome: string;
  complaints: readonly string[];
} {
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
