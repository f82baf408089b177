// What is done to a conversation that is in order, so that it is not: one thing or a few, anywhere in it, as fast-check generates them.
// Always: (1) a script is octets alone, so it can come in any pieces; (2) what does not fit the frame that it is done to does nothing.

import fc from 'fast-check';
import { rawFrame } from '../support/raw-amqp.ts';
import { type Cut, cut } from '../wire/amqp-arbitraries.ts';
import { nested } from '../wire/amqp-hostile-cases.ts';
import { conversation, HANDSHAKE_FRAMES } from './amqp-conversation.ts';

export class Script {
  readonly octets: Buffer;
  readonly pieces: Cut;
  /** What was done to the conversation. */
  readonly wrongs: readonly string[];
  /** Some of it was done before connection.open. */
  readonly isHandshakeTouched: boolean;
  readonly frameMax: number;

  constructor(octets: Buffer, pieces: Cut, wrongs: readonly string[], isHandshakeTouched: boolean, frameMax: number) {
    this.octets = octets;
    this.pieces = pieces;
    this.wrongs = wrongs;
    this.isHandshakeTouched = isHandshakeTouched;
    this.frameMax = frameMax;
  }

  /** How a failure prints it: the octets as hex, which can be pasted. */
  [fc.toStringMethod](): string {
    return JSON.stringify({ ...this, octets: this.octets.toString('hex') });
  }
}

interface Wrong {
  readonly what: string;
  /** Does it to frames[at]; frames are copies. */
  readonly to: (frames: Buffer[], at: number) => void;
}

function number(bytes: number, value: bigint | number): Buffer {
  return Buffer.from(
    BigInt(value)
      .toString(16)
      .padStart(2 * bytes, '0'),
    'hex',
  );
}

/** Writes `octets` over a frame, from `offset` on. */
function over(what: string, offset: number, octets: Buffer): Wrong {
  return {
    what,
    to: (frames, at) => {
      const frame = frames[at];
      if (frame !== undefined && frame.length >= offset + octets.length) frame.set(octets, offset);
    },
  };
}

/** Does it to the next content header instead. */
function toHeader({ what, to }: Wrong): Wrong {
  return {
    what,
    to: (frames, at) =>
      to(
        frames,
        frames.findIndex((frame, i) => i >= at && frame[0] === 2),
      ),
  };
}

/** Another payload, in a frame that is in order. */
function reframed(what: string, change: (payload: Buffer) => Buffer): Wrong {
  return {
    what,
    to: (frames, at) => {
      const frame = frames[at];
      if (frame !== undefined && frame.length > 8)
        frames[at] = rawFrame(frame[0] ?? 0, frame.readUInt16BE(1), change(frame.subarray(7, -1)));
    },
  };
}

const SIZES = [0, 1, 0x7fff_ffff, 0xffff_ffff, 4097, 8193, 131_073, 131_081];
const BODY_SIZES = [0n, 1n, 4n, 6n, 30_000n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const METHODS = '000a000a 000a000b 000a001f 000a0028 000a0033 0014000a 0014000b 00140029 00320014 003c0028 003c003c 003c0050'.split(' ');
const methodIds = fc.oneof(
  fc.constantFrom(...METHODS).map((id) => Buffer.from(id, 'hex')),
  fc
    .tuple(fc.constantFrom(10, 20, 30, 40, 50, 60, 85, 90, 0, 99, 65_535), fc.integer({ min: 0, max: 125 }))
    .map(([of, id]) => number(4, of * 65_536 + id)),
);

function sizeBy(by: number): Wrong {
  return {
    what: `size ${by > 0 ? '+' : ''}${by}`,
    to: (frames, at) => {
      const frame = frames[at];
      if (frame !== undefined && frame.length >= 8) frame.writeUInt32BE((frame.readUInt32BE(3) + by) >>> 0, 3);
    },
  };
}

function endOctet(octet: number): Wrong {
  return {
    what: `end octet ${octet}`,
    to: (frames, at) => {
      const frame = frames[at];
      if (frame !== undefined && frame.length > 0) frame[frame.length - 1] = octet;
    },
  };
}

function moved(what: 'left out' | 'twice' | 'after the next'): Wrong {
  return {
    what,
    to: (frames, at) => {
      const frame = frames[at];
      if (frame === undefined) return;
      if (what === 'twice') frames.splice(at, 0, Buffer.from(frame));
      else frames.splice(at, 1);
      if (what === 'after the next') frames.splice(at + 1, 0, frame);
    },
  };
}

function inserted(what: string, frameFrom: (frames: readonly Buffer[]) => Buffer): Wrong {
  return { what, to: (frames, at) => void frames.splice(at, 0, frameFrom(frames)) };
}

/** queue.declare whose arguments are tables in tables. */
function nestedArguments(depth: number): Wrong {
  const fields = nested(depth);
  const declare = Buffer.concat([Buffer.from('0032000a000002713000', 'hex'), number(4, fields.length), fields]);
  return inserted(`arguments nested ${depth} deep`, () => rawFrame(1, 1, declare));
}

function cutShort(place: number): Wrong {
  return {
    what: 'the stream cut short',
    to: (frames, at) => {
      const frame = frames[at];
      if (frame !== undefined) frames.splice(at, frames.length, frame.subarray(0, place % Math.max(1, frame.length)));
    },
  };
}

/** What keeps the stream from being read at all, or ends it. */
const ofFraming: fc.Arbitrary<Wrong> = fc.oneof(
  fc.constantFrom(...SIZES).map((size) => over(`size ${size}`, 3, number(4, size))),
  fc.constantFrom(-1, 1).map(sizeBy),
  fc.nat(255).map(endOctet),
  fc.nat().map(cutShort),
);
const ofMeaning: fc.Arbitrary<Wrong> = fc.oneof(
  fc.oneof(fc.constantFrom(1, 2, 3, 8), fc.nat(255)).map((type) => over(`type ${type}`, 0, number(1, type))),
  fc.constantFrom(0, 1, 2, 9, 2047, 65_535).map((channel) => over(`channel ${channel}`, 1, number(2, channel))),
  methodIds.map((id) => over(`method ${id.toString('hex')}`, 7, id)),
  fc.constantFrom(...BODY_SIZES).map((size) => toHeader(over(`body size ${size}`, 11, number(8, size)))),
  fc.nat(0xffff).map((flags) => toHeader(over(`property flags ${flags}`, 19, number(2, flags)))),
  fc.constantFrom(0, 50, 61).map((of) => toHeader(over(`content of class ${of}`, 7, number(2, of)))),
  fc.constantFrom('left out' as const, 'twice' as const, 'after the next' as const).map(moved),
  fc.nat().map((from) => inserted('a frame from elsewhere', (frames) => Buffer.from(frames[from % frames.length] ?? []))),
  fc.constantFrom(16, 17, 300, 1000).map(nestedArguments),
  fc.tuple(fc.nat(60), fc.nat(255)).map(([place, octet]) => over(`octet ${octet}`, 7 + place, number(1, octet))),
  fc.nat().map((place) => reframed('a payload cut short', (payload) => payload.subarray(0, place % (payload.length + 1)))),
  fc
    .uint8Array({ minLength: 1, maxLength: 9 })
    .map((more) => reframed('octets behind a payload', (payload) => Buffer.concat([payload, more]))),
);
const wrong = fc.oneof({ weight: 1, arbitrary: ofFraming }, { weight: 6, arbitrary: ofMeaning });

/** The handshake is hit less often: what is wrong there keeps the rest from being tried. */
const place = fc.oneof(
  { weight: 1, arbitrary: fc.nat(HANDSHAKE_FRAMES - 1) },
  { weight: 6, arbitrary: fc.integer({ min: HANDSHAKE_FRAMES, max: 1000 }) },
);

export const script: fc.Arbitrary<Script> = fc
  .record({
    conversation,
    wrongs: fc.oneof(
      { weight: 1, arbitrary: fc.constant([]) },
      { weight: 7, arbitrary: fc.array(fc.tuple(wrong, place), { minLength: 1, maxLength: 3 }) },
    ),
    pieces: cut,
  })
  .map(({ conversation: { frames: sound, frameMax }, wrongs, pieces }) => {
    const frames = sound.map((frame) => Buffer.from(frame));
    let isHandshakeTouched = false;
    const done: string[] = [];
    for (const [{ what, to }, where] of wrongs) {
      const at =
        where < HANDSHAKE_FRAMES ? where : HANDSHAKE_FRAMES + ((where - HANDSHAKE_FRAMES) % Math.max(1, frames.length - HANDSHAKE_FRAMES));
      if (at < HANDSHAKE_FRAMES) isHandshakeTouched = true;
      to(frames, at);
      done.push(`${what} at ${at}`);
    }
    return new Script(Buffer.concat(frames), pieces, done, isHandshakeTouched, frameMax);
  });
