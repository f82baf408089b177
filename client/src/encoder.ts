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

/** The first bytes of a frame, up to the body, and where among them the body's size is. */
interface Head {
  readonly bytes: Uint8Array;
  readonly sizeAt: number;
}

/** The publisher's own: fixed, so that encoded frames can be sent again on the next wire. */
export const PUBLISHER_HANDLE = 1;

export class PublishEncoder {
  readonly #heads = new Map<string, Head>();
  readonly #scratch = new Writer(HEAD_BYTES_MAX);
  readonly #text = new Writer(FRAGMENT_BYTES);
  #slab = new Writer(SLAB_BYTES);

  encode(exchange: string, key: string, body: unknown, bodyBytesMax: number, options?: PublishOptions): Pending {
    const kind = typeof body === 'string' ? 1 : body instanceof Uint8Array ? 2 : 0;
    const text = kind === 0 ? JSON.stringify(body) : body;
    const content = typeof text === 'string' ? this.#utf8(text) : text;
    if (!(content instanceof Uint8Array)) throw new LeveretError('INVALID', `a body cannot be ${typeof body}`);
    const { length } = content;
    if (length > bodyBytesMax) throw brokerError({ code: 406, reason: `PRECONDITION_FAILED - a body above ${bodyBytesMax} bytes` });
    const { bytes, sizeAt } = this.#head(exchange, key, kind, options);
    const room = bytes.length + length + (length >> 12) + 8; // more than the frames of the fragments take
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
      slab.frame(BODY, PUBLISHER_HANDLE);
    }
    return new Pending(exchange, key, options, slab.bytes, at, slab.at, bytes.length + length - FRAME_HEADER_BYTES);
  }

  #head(exchange: string, key: string, kind: number, options: PublishOptions | undefined): Head {
    if (options) return this.#makeHead(exchange, key, kind, options);
    // No name holds U+0000 for long: brokers refuse it.
    const name = `${kind}${exchange}\0${key}`;
    let head = this.#heads.get(name);
    if (head === undefined) {
      const { bytes, sizeAt } = this.#makeHead(exchange, key, kind, {});
      head = { bytes: bytes.slice(), sizeAt };
      if (this.#heads.size >= HEADS_MAX) this.#heads.clear();
      this.#heads.set(name, head);
    }
    return head;
  }

  /** Valid until the next call. Twice as fast as a TextEncoder's `encode` for what fits. */
  #utf8(text: string): Uint8Array {
    if (text.length * 3 > FRAGMENT_BYTES) return encodeText(text);
    this.#text.at = 0;
    this.#text.text(text);
    return this.#text.bytes.subarray(0, this.#text.at);
  }

  /** Valid until the next call. */
  #makeHead(exchange: string, key: string, kind: number, options: PublishOptions): Head {
    const { ttl, timestamp, headers, priority, correlationId, replyTo, type, appId, userId, contentEncoding } = options;
    const head = this.#scratch;
    head.at = 0;
    try {
      head.frame(PUBLISH, PUBLISHER_HANDLE);
      head.u8(0);
      head.short(exchange);
      head.short(key);
      const sizeAt = head.at + 8;
      // Name by name: a spread costs microseconds.
      head.header({
        contentType: options.contentType ?? CONTENT_TYPES[kind],
        deliveryMode: options.persistent === false ? 1 : 2,
        expiration: ttl === undefined ? undefined : String(toMs(ttl)),
        messageId: options.id,
        timestamp: timestamp && Math.floor(timestamp.getTime() / 1000),
        contentEncoding,
        headers,
        priority,
        correlationId,
        replyTo,
        type,
        userId,
        appId,
      });
      return { bytes: head.bytes.subarray(0, head.at), sizeAt };
    } catch (error) {
      throw error instanceof RangeError ? new LeveretError('INVALID', 'headers above 64 KiB') : error;
    }
  }
}
