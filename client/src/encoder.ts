// Publishes as frames, straight into the slabs they are sent from. hot
//
//   slab: frame frame frame ...      frame: type, handle, size · flags · exchange · key · content header · body · 0xCE
//
// Always: (1) consecutive publishes lie side by side in one slab, so that a turn's publishes leave as one message without a copy; (2) a slab's bytes never
// change once written, and it lives as long as a pending publish points into it; (3) what stands before the body is kept per exchange and key and only
// copied. Refuses: to send (publisher.ts).

import { BODY, encodeText, FRAME_HEADER_BYTES, PUBLISH, Writer } from './codec.ts';
import { toMs } from './duration.ts';
import { brokerError, LeveretError } from './error.ts';
import type { PublishOptions } from './options.ts';
import { Pending } from './pending.ts';

const SLAB_BYTES = 131_072;
const FRAGMENT_BYTES = 65_536; // body bytes in one frame: with the longest head well below every broker's frameBytes (262,144)
/** Exchange, key and a content header with the 64 KiB of headers that a broker takes. */
export const HEAD_BYTES_MAX = 67_584;
const HEADS_MAX = 1_000; // heads kept: keys may be made up without end
const CONTENT_TYPES = ['application/json', 'text/plain', 'application/octet-stream'];

// All other options are properties of the message.
const BEHAVIOUR = /^(timeout|signal|whenDown|confirm|unroutable|max.*)$/;

/** The first bytes of a frame, up to the body, and where among them the body's size is. */
interface Head {
  readonly bytes: Uint8Array;
  readonly sizeAt: number;
}

export class PublishEncoder {
  readonly #handle: number;
  readonly #heads = new Map<string, Head>();
  #slab = new Writer(SLAB_BYTES);

  constructor(handle: number) {
    this.#handle = handle;
  }

  encode(exchange: string, key: string, body: unknown, options: PublishOptions, bodyBytesMax = Number.POSITIVE_INFINITY): Pending {
    const kind = typeof body === 'string' ? 1 : body instanceof Uint8Array ? 2 : 0;
    const text = kind === 0 ? JSON.stringify(body) : body;
    const content = typeof text === 'string' ? encodeText(text) : text;
    if (!(content instanceof Uint8Array)) throw new LeveretError('INVALID', `a body cannot be ${typeof body}`);
    const { length } = content;
    if (length > bodyBytesMax) throw brokerError({ code: 406, reason: `PRECONDITION_FAILED - a body above ${bodyBytesMax} bytes` });
    const { bytes, sizeAt } = this.#head(exchange, key, kind, options);
    const overhead = (Math.floor(length / FRAGMENT_BYTES) + 1) * (FRAME_HEADER_BYTES + 1);
    const room = bytes.length + length + overhead;
    if (this.#slab.at + room > this.#slab.bytes.length) this.#slab = new Writer(Math.max(SLAB_BYTES, room));
    const slab = this.#slab;
    const { at } = slab;
    let start = at;
    slab.put(bytes);
    slab.patch(at + sizeAt, length);
    for (let sent = 0; ; ) {
      slab.put(length > FRAGMENT_BYTES ? content.subarray(sent, sent + FRAGMENT_BYTES) : content);
      slab.endFrame(start);
      sent += FRAGMENT_BYTES;
      if (sent >= length) break;
      start = slab.at;
      slab.frame(BODY, this.#handle);
    }
    return new Pending(exchange, key, options, slab.bytes, at, slab.at, bytes.length + length - FRAME_HEADER_BYTES);
  }

  #head(exchange: string, key: string, kind: number, options: PublishOptions): Head {
    for (const name in options) if (!BEHAVIOUR.test(name)) return this.#makeHead(exchange, key, kind, options);
    // No name holds U+0000 for long: brokers refuse it.
    const name = `${kind}${exchange}\0${key}`;
    let head = this.#heads.get(name);
    if (head === undefined) {
      head = this.#makeHead(exchange, key, kind, options);
      if (this.#heads.size >= HEADS_MAX) this.#heads.clear();
      this.#heads.set(name, head);
    }
    return head;
  }

  #makeHead(
    exchange: string,
    key: string,
    kind: number,
    { id, ttl, timestamp, persistent, contentType = CONTENT_TYPES[kind], ...same }: PublishOptions,
  ): Head {
    const head = new Writer(same.headers === undefined ? 4_096 : HEAD_BYTES_MAX);
    try {
      head.frame(PUBLISH, this.#handle);
      head.u8(0);
      head.short(exchange);
      head.short(key);
      const sizeAt = head.at + 8;
      head.header({
        ...same,
        contentType,
        deliveryMode: persistent === false ? 1 : 2,
        expiration: ttl === undefined ? undefined : String(toMs(ttl)),
        messageId: id,
        timestamp: timestamp && Math.floor(timestamp.getTime() / 1000),
      });
      return { bytes: head.bytes.slice(0, head.at), sizeAt };
    } catch (error) {
      throw error instanceof RangeError ? new LeveretError('INVALID', 'headers above 64 KiB') : error;
    }
  }
}
