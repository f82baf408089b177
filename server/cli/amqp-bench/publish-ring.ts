// Publishes, encoded before the run: a ring of whole messages (method, header and body frames) of which stretches go to the socket as they are. hot
// Always: (1) a message's stamp is written in place, and only once the socket is done with the bytes (`written`): so nothing is copied and nothing
// is sent that a later stamp has changed; (2) messages take their routing keys in turn; (3) a stretch does not wrap: at the end of the ring it is shorter.
// Refuses to know sockets, windows or time: publisher.ts does.

import { FRAME_OVERHEAD_BYTES, FrameType, writeFrameEnd, writeFrameHeader } from '../../../shared/amqp/frame.ts';
import { methodFrame } from '../../../shared/amqp/methods.ts';
import { encodeContentHeader, type Properties } from '../../../shared/amqp/properties.ts';
import { STAMP_BYTES } from './stamp.ts';

export interface RingOptions {
  readonly channel: number;
  readonly exchange: string;
  /** One at least. */
  readonly keys: readonly string[];
  readonly properties: Properties;
  readonly bodyBytes: number;
  readonly frameMax: number;
  /** About as large as the ring shall be; a whole round of keys and two messages fit in any case. */
  readonly ringBytes: number;
}

export class PublishRing {
  /** Messages in the ring. */
  readonly length: number;
  readonly #bytes: Buffer;
  /** Where message i begins; one more entry than messages. */
  readonly #starts: Float64Array;
  readonly #bodyOffset: Int32Array;
  readonly #hasStamps: boolean;
  #next = 0;
  #inFlight = 0;

  constructor(options: RingOptions) {
    const round = options.keys.map((key) => encodePublish(options, key));
    const roundBytes = round.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const rounds = Math.max(2, Math.floor(options.ringBytes / roundBytes));
    this.length = rounds * round.length;
    this.#bytes = Buffer.concat(Array.from({ length: rounds }, () => round.map(({ bytes }) => bytes)).flat());
    this.#starts = new Float64Array(this.length + 1);
    this.#bodyOffset = new Int32Array(this.length);
    this.#hasStamps = options.bodyBytes >= STAMP_BYTES;
    for (let i = 0; i < this.length; i++) {
      const { bytes, bodyOffset } = round[i % round.length] as Encoded;
      this.#starts[i + 1] = (this.#starts[i] as number) + bytes.length;
      this.#bodyOffset[i] = bodyOffset;
    }
  }

  /** Messages that `take` would give in one stretch. */
  get available(): number {
    return Math.min(this.length - this.#next, this.length - this.#inFlight);
  }

  /** Of `count` messages, how many from here on stay within `bytesMax`: one at least. */
  within(count: number, bytesMax: number): number {
    const start = this.#starts[this.#next] as number;
    const last = this.#next + count;
    if ((this.#starts[last] as number) - start <= bytesMax) return count;
    let low = 1;
    let high = count;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[this.#next + middle] as number) - start <= bytesMax) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Writes a stamp into the message that is `ahead` of the next one to be taken. */
  stamp(ahead: number, us: number): void {
    if (!this.#hasStamps) return;
    const index = this.#next + ahead;
    this.#bytes.writeDoubleBE(us, (this.#starts[index] as number) + (this.#bodyOffset[index] as number));
  }

  /** The next `count` messages, at most `available`: they are the socket's until `written`. */
  take(count: number): Buffer {
    const stretch = this.#bytes.subarray(this.#starts[this.#next], this.#starts[this.#next + count]);
    this.#next = (this.#next + count) % this.length;
    this.#inFlight += count;
    return stretch;
  }

  /** The socket is done with the `count` messages that were taken first. */
  written(count: number): void {
    this.#inFlight -= count;
  }
}

interface Encoded {
  readonly bytes: Uint8Array;
  readonly bodyOffset: number;
}

/** A whole publish: its body is stamp 0 and then x's. */
export function encodePublish(
  { channel, exchange, properties, bodyBytes, frameMax }: Omit<RingOptions, 'keys' | 'ringBytes'>,
  routingKey: string,
): Encoded {
  const method = methodFrame(channel, 'basic.publish', { exchange, routingKey, mandatory: false, immediate: false });
  return encodeContent({ channel, method, properties, bodyBytes, frameMax });
}

export interface ContentOptions {
  readonly channel: number;
  /** The frame before the content header. */
  readonly method: Uint8Array;
  readonly properties: Properties;
  readonly bodyBytes: number;
  readonly frameMax: number;
}

/** A content's frames: `method`, the content header, and the body in pieces of frameMax - 8. */
export function encodeContent({ channel, method, properties, bodyBytes, frameMax }: ContentOptions): Encoded {
  const header = encodeContentHeader(properties, bodyBytes);
  const pieceBytesMax = frameMax - FRAME_OVERHEAD_BYTES;
  const pieces = Math.ceil(bodyBytes / pieceBytesMax);
  const bytes = new Uint8Array(method.length + header.length + bodyBytes + (1 + pieces) * FRAME_OVERHEAD_BYTES).fill('x'.charCodeAt(0));
  bytes.set(method);
  let at = writeFrameHeader(bytes, method.length, FrameType.Header, channel, header.length);
  bytes.set(header, at);
  at = writeFrameEnd(bytes, at + header.length);
  let bodyOffset = at;
  for (let piece = 0; piece < pieces; piece++) {
    const size = Math.min(pieceBytesMax, bodyBytes - piece * pieceBytesMax);
    at = writeFrameHeader(bytes, at, FrameType.Body, channel, size);
    if (piece === 0) bytes.fill(0, (bodyOffset = at), at + Math.min(size, STAMP_BYTES));
    at = writeFrameEnd(bytes, at + size);
  }
  return { bytes, bodyOffset };
}
