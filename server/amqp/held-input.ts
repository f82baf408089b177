// Input that a connection does not carry out yet, and why: an answer that is due first, an alarm that holds publishers back, or a peer that does not
// read the answers it has got.
// Always: (1) chunks come out in the order in which they came; (2) under an alarm alone the socket is read a little further, so that a peer that
// closes its connection is heard, once what it sent before that is done: RabbitMQ stops reading, and does not hear it; (3) what is held is bounded by that, and by one read of the socket.
// Refuses: to carry out anything.

import { FrameReader, FrameType } from '../../shared/amqp/frame.ts';
import { METHODS, methodKey } from '../../shared/amqp/spec.ts';
import { readU32 } from '../../shared/bytes.ts';
import { Ring } from '../../shared/ring.ts';

/** Why input is held. */
export const Hold = { Reply: 1, Alarm: 2, Unread: 4, Full: 8 } as const;
export type Hold = (typeof Hold)[keyof typeof Hold];

// How far a connection is read beyond what it may do.
const LOOK_AHEAD_BYTES_MAX = 65_536;
const CLOSE_KEY = methodKey(METHODS['connection.close'].classId, METHODS['connection.close'].methodId);

export class HeldInput {
  /** The frame that the reader shows is to be carried out again. */
  isShownAgain = false;
  readonly #chunks = new Ring<Uint8Array>(2);
  /** Hold bits. */
  #reasons = 0;
  /** Reads ahead under an alarm. */
  #scout: FrameReader | undefined;
  #aheadBytes = 0;
  /** Its peer closes the connection in what is there already: no alarm holds that up. */
  #isClosing = false;

  get isHeld(): boolean {
    return this.#reasons !== 0;
  }
  /** The socket is to be left alone. */
  get isDeaf(): boolean {
    return (this.#reasons & (Hold.Reply | Hold.Unread | Hold.Full)) !== 0 || (this.isHeld && this.#aheadBytes >= LOOK_AHEAD_BYTES_MAX);
  }

  /** `reader` stands where input stops. */
  hold(why: Hold, reader: FrameReader): void {
    if (why === Hold.Alarm && !this.#sendsAhead(reader)) return;
    this.#reasons |= why;
    if (why === Hold.Reply) this.isShownAgain = true;
  }

  /** True when that was the last reason. */
  release(why: Hold): boolean {
    if ((this.#reasons & why) === 0) return false;
    this.#reasons &= ~why;
    if (why === Hold.Alarm) this.#scout = undefined;
    return this.#reasons === 0;
  }

  /** Nothing is held any more. */
  clear(): void {
    this.#reasons = 0;
    this.isShownAgain = false;
    this.#scout = undefined;
  }

  /** What comes while input is held. True: its peer closes the connection in it, which no alarm may hold up. */
  push(chunk: Uint8Array): boolean {
    this.#chunks.push(chunk);
    this.#aheadBytes += chunk.length;
    if (this.#scout !== undefined && findsClose(this.#scout, chunk)) this.#isClosing = true;
    return this.#isClosing;
  }

  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    this.#aheadBytes -= chunk?.length ?? 0;
    return chunk;
  }

  /** False: the peer closes the connection in what has been read. */
  #sendsAhead(reader: FrameReader): boolean {
    if (this.#isClosing) return false;
    if (this.#scout !== undefined) return true;
    const scout = new FrameReader(reader.frameMax);
    this.#isClosing = findsClose(scout, reader.chunk.subarray(reader.at));
    for (const chunk of this.#chunks) this.#isClosing ||= findsClose(scout, chunk);
    if (!this.#isClosing) this.#scout = scout;
    return !this.#isClosing;
  }
}

function findsClose(scout: FrameReader, chunk: Uint8Array): boolean {
  try {
    scout.feed(chunk);
    while (scout.next()) {
      const isMethod = scout.channel === 0 && scout.type === FrameType.Method && scout.payloadEnd - scout.payloadStart >= 4;
      if (isMethod && readU32(scout.bytes, scout.payloadStart) === CLOSE_KEY) return true;
    }
  } catch {
    scout.reset(); // what is wrong with it is said when it is carried out
  }
  return false;
}
