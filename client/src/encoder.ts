// Publishes as frames, straight into the slabs they are sent from. hot
//
//   slab: frame frame frame ...      frame: type, handle, size · flags · exchange · key · content header · body · 0xCE
//
// Always: (1) consecutive publishes lie side by side in one slab, so that a turn's publishes leave as one message without a copy; (2) a slab's bytes never
// change once written, and it lives as long as a pending publish points into it; (3) what stands before the body is kept per exchange and key and only
// copied. Refuses: to send (publisher.ts).

import { Frame, Writer, encodeText } from './codec.ts';
import { toMs } from './duration.ts';
import { LeveretError } from './error.ts';
import type { PublishOptions } from './options.ts';

const SLAB_BYTES = 131_072;
const FRAGMENT_BYTES = 65_536; // body bytes in one frame: with the longest head well below every broker's frameBytes (262,144)
/** Exchange, key and a content header with the 64 KiB of headers that a broker takes. */
export const HEAD_BYTES_MAX = 67_584;
const LOOP_CHARS_MAX = 48; // up to here a loop beats encodeInto's fixed cost
const DIRECT_CHARS_MAX = 16_384; // longer text is encoded first: three bytes for each character would be reserved for it
const HEADS_MAX = 1_000; // heads kept: keys may be made up without end
const CONTENT_TYPES = ['application/json', 'text/plain', 'application/octet-stream'];
const FRAME_BYTES = 8; // header and end octet

const PROPERTY_OPTIONS: readonly (keyof PublishOptions)[] = [
  'id', 'headers', 'priority', 'persistent', 'ttl', 'correlationId', 'replyTo', 'type', 'appId', 'userId', 'timestamp', 'contentType', 'contentEncoding',
  'unroutable', // decides the mandatory flag
];

/** The first bytes of a frame, up to the body, and where among them the content header is. */
interface Head {
  readonly bytes: Uint8Array;
  readonly headerStart: number;
}

export class PublishEncoder {
  /** What the last `encode` wrote is slab.bytes[start, slab.at). */
  slab = new Writer(SLAB_BYTES);
  start = 0;
  payloadBytes = 0;
  readonly #handle: number;
  readonly #mandatory: boolean;
  readonly #heads = new Map<string, Head>();

  constructor(handle: number, mandatory: boolean) {
    this.#handle = handle;
    this.#mandatory = mandatory;
  }

  encode(exchange: string, key: string, body: unknown, options: PublishOptions = {}): void {
    const kind = typeof body === 'string' ? 1 : body instanceof Uint8Array ? 2 : 0;
    let content: unknown = kind === 0 ? JSON.stringify(body) : body;
    if (typeof content === 'string' && content.length > DIRECT_CHARS_MAX) content = encodeText(content);
    const { bytes, headerStart } = this.#head(exchange, key, kind, options);
    let frames = 1;
    if (typeof content === 'string') {
      this.#begin(bytes, content.length * 3);
      writeText(this.slab, content);
    } else if (content instanceof Uint8Array) {
      this.#begin(bytes, content.length + (content.length / FRAGMENT_BYTES + 1) * FRAME_BYTES);
      let frameStart = this.start;
      this.slab.put(content.subarray(0, FRAGMENT_BYTES));
      for (; frames * FRAGMENT_BYTES < content.length; frames++) {
        this.slab.endFrame(frameStart);
        frameStart = this.slab.at;
        this.slab.frame(Frame.Body, this.#handle);
        this.slab.put(content.subarray(frames * FRAGMENT_BYTES, (frames + 1) * FRAGMENT_BYTES));
      }
      this.slab.endFrame(frameStart);
    } else throw new LeveretError('INVALID', `a body cannot be ${typeof body}`);
    const { slab, start } = this;
    if (typeof content === 'string') slab.endFrame(start);
    this.payloadBytes = slab.at - start - frames * FRAME_BYTES;
    slab.patch(start + headerStart + 8, this.payloadBytes - (bytes.length - FRAME_BYTES + 1));
  }

  #begin(head: Uint8Array, bodyBytesMax: number): void {
    const room = head.length + bodyBytesMax + FRAME_BYTES;
    if (this.slab.at + room > this.slab.bytes.length) this.slab = new Writer(Math.max(SLAB_BYTES, room));
    this.start = this.slab.at;
    this.slab.put(head);
  }

  #head(exchange: string, key: string, kind: number, o: PublishOptions): Head {
    for (const name of PROPERTY_OPTIONS) if (o[name] !== undefined) return this.#makeHead(exchange, key, kind, o);
    // No name holds U+0000 for long: brokers refuse it.
    const name = `${kind}${exchange}\0${key}`;
    let head = this.#heads.get(name);
    if (head === undefined) {
      head = this.#makeHead(exchange, key, kind, o);
      if (this.#heads.size >= HEADS_MAX) this.#heads.clear();
      this.#heads.set(name, head);
    }
    return head;
  }

  #makeHead(exchange: string, key: string, kind: number, o: PublishOptions): Head {
    const writer = new Writer(o.headers === undefined ? 4_096 : HEAD_BYTES_MAX);
    try {
      writer.frame(Frame.Publish, this.#handle);
      writer.u8(Number(this.#mandatory && o.unroutable !== 'ignore'));
      writer.short(exchange);
      writer.short(key);
      const headerStart = writer.at;
      writer.header({
        ...o,
        contentType: o.contentType ?? CONTENT_TYPES[kind],
        deliveryMode: o.persistent === false ? 1 : 2,
        expiration: o.ttl === undefined ? undefined : String(toMs(o.ttl)),
        messageId: o.id,
        timestamp: o.timestamp && Math.floor(o.timestamp.getTime() / 1000),
      });
      return { bytes: writer.bytes.slice(0, writer.at), headerStart };
    } catch (error) {
      throw error instanceof RangeError ? new LeveretError('INVALID', 'headers are above 64 KiB') : error;
    }
  }
}

function writeText(slab: Writer, text: string): void {
  if (text.length <= LOOP_CHARS_MAX) {
    const { bytes, at } = slab;
    let n = 0;
    for (; n < text.length; n++) {
      const unit = text.charCodeAt(n);
      if (unit >= 0x80) break;
      bytes[at + n] = unit;
    }
    if (n === text.length) {
      slab.at += n;
      return;
    }
  }
  slab.text(text);
}
