// Publishes as frames, straight into the slabs they are sent from. hot
//
//   slab: frame frame frame ...      frame: type, handle, size · flags · exchange · key · content header · body · 0xCE
//
// Always: (1) consecutive publishes lie side by side in one slab, so that a turn's publishes leave as one message without a copy; (2) a slab's bytes never
// change once written, and it lives as long as a pending publish points into it; (3) what stands before the body is kept per exchange and key and only
// copied. Refuses: to send (publisher.ts).

import { FRAME_HEADER_BYTES, FrameType, closeFrame, writeFrameHeader, writePublishHead } from '../../shared/protocol/frames.ts';
import { writeShortString } from '../../shared/text.ts';
import { toMs } from './duration.ts';
import { LeveretError } from './error.ts';
import type { PublishOptions } from './options.ts';
import { HEAD_BYTES_MAX, patchBodyBytes, writeHeader } from './properties.ts';

const SLAB_BYTES = 131_072;
const FRAGMENT_BYTES = 65_536; // body bytes in one frame: with the longest head well below every broker's frameBytes (262,144)
const LOOP_CHARS_MAX = 48; // below, a loop beats encodeInto's fixed cost
const DIRECT_CHARS_MAX = 16_384; // longer text is encoded first: three bytes for each character would be reserved for it
const HEADS_MAX = 1_000; // heads kept: keys may be made up without end

const utf8 = new TextEncoder();

const BodyKind = { Json: 0, Text: 1, Bytes: 2 } as const;
const CONTENT_TYPES = ['application/json', 'text/plain', 'application/octet-stream'] as const;

/** The first bytes of a frame: frame header, flags, exchange, key and content header. */
interface Head {
  readonly bytes: Uint8Array;
  readonly headerStart: number;
}

export class PublishEncoder {
  /** What the last `encode` wrote. */
  slab = new Uint8Array(SLAB_BYTES);
  start = 0;
  end = 0;
  payloadBytes = 0;
  readonly #handle: number;
  readonly #mandatory: boolean;
  readonly #heads = new Map<string, Head>();
  #scratch: Uint8Array | undefined;

  constructor(handle: number, mandatory: boolean) {
    this.#handle = handle;
    this.#mandatory = mandatory;
  }

  encode(exchange: string, key: string, body: unknown, options: PublishOptions | undefined): void {
    const kind = typeof body === 'string' ? BodyKind.Text : body instanceof Uint8Array ? BodyKind.Bytes : BodyKind.Json;
    const head = options !== undefined && hasProperties(options) ? this.#makeHead(exchange, key, kind, options) : this.#keptHead(exchange, key, kind);
    if (body instanceof Uint8Array) return this.#encodeBytes(head, body);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    if (text === undefined) throw new LeveretError('INVALID', `a body cannot be ${typeof body}`);
    if (text.length > DIRECT_CHARS_MAX) return this.#encodeBytes(head, utf8.encode(text));
    const at = this.#begin(head, text.length * 3);
    const bodyEnd = writeText(this.slab, at, text);
    this.#finish(head, at, bodyEnd);
  }

  #encodeBytes(head: Head, body: Uint8Array): void {
    const fragments = Math.max(1, Math.ceil(body.length / FRAGMENT_BYTES));
    const at = this.#begin(head, body.length + fragments * (FRAME_HEADER_BYTES + 1));
    const { slab, start } = this;
    const firstBytes = Math.min(body.length, FRAGMENT_BYTES);
    slab.set(firstBytes === body.length ? body : body.subarray(0, firstBytes), at);
    this.#finish(head, at, at + firstBytes);
    for (let sent = firstBytes; sent < body.length; sent += FRAGMENT_BYTES) {
      const part = body.subarray(sent, sent + FRAGMENT_BYTES);
      const partAt = writeFrameHeader(slab, this.end, FrameType.Body, this.#handle, 0);
      slab.set(part, partAt);
      this.end = closeFrame(slab, this.end, partAt + part.length);
      this.payloadBytes += part.length;
    }
    patchBodyBytes(slab, start + head.headerStart, body.length);
  }

  /** Makes room and writes the head; answers where the body goes. */
  #begin(head: Head, bodyBytesMax: number): number {
    const room = head.bytes.length + bodyBytesMax + 1;
    if (this.end + room > this.slab.length) {
      this.slab = new Uint8Array(Math.max(SLAB_BYTES, room));
      this.end = 0;
    }
    this.start = this.end;
    this.slab.set(head.bytes, this.start);
    return this.start + head.bytes.length;
  }

  #finish(head: Head, bodyStart: number, bodyEnd: number): void {
    patchBodyBytes(this.slab, this.start + head.headerStart, bodyEnd - bodyStart);
    this.payloadBytes = bodyEnd - this.start - FRAME_HEADER_BYTES;
    this.end = closeFrame(this.slab, this.start, bodyEnd);
  }

  #keptHead(exchange: string, key: string, kind: number): Head {
    // A name holds no U+0000 that would let two of these meet: brokers refuse it, and the worst here is their refusal.
    const name = `${kind}${exchange}\0${key}`;
    const kept = this.#heads.get(name);
    if (kept !== undefined) return kept;
    const { bytes, headerStart } = this.#makeHead(exchange, key, kind, {});
    const head = { bytes: bytes.slice(), headerStart };
    if (this.#heads.size >= HEADS_MAX) this.#heads.clear();
    this.#heads.set(name, head);
    return head;
  }

  /** Valid until the next call. */
  #makeHead(exchange: string, key: string, kind: number, o: PublishOptions): Head {
    // Some room above the limit, so that what does not fit is seen below.
    const scratch = (this.#scratch ??= new Uint8Array(HEAD_BYTES_MAX + 1024));
    let at = writeFrameHeader(scratch, 0, FrameType.Publish, this.#handle, 0);
    at = writePublishHead(scratch, at, this.#mandatory && o.unroutable !== 'ignore');
    at = writeShortString(scratch, at, exchange);
    at = writeShortString(scratch, at, key);
    const headerStart = at;
    at = writeHeader(scratch, at, {
      contentType: o.contentType ?? CONTENT_TYPES[kind],
      contentEncoding: o.contentEncoding,
      headers: o.headers,
      deliveryMode: o.persistent === false ? 1 : 2,
      priority: o.priority,
      correlationId: o.correlationId,
      replyTo: o.replyTo,
      expiration: o.ttl === undefined ? undefined : String(toMs(o.ttl)),
      messageId: o.id,
      timestamp: o.timestamp === undefined ? undefined : Math.floor(o.timestamp.getTime() / 1000),
      type: o.type,
      userId: o.userId,
      appId: o.appId,
    });
    if (at > HEAD_BYTES_MAX) throw new LeveretError('INVALID', 'headers and properties are above 64 KiB');
    return { bytes: scratch.subarray(0, at), headerStart };
  }
}

function hasProperties(o: PublishOptions): boolean {
  return (
    o.id !== undefined || o.headers !== undefined || o.priority !== undefined || o.persistent !== undefined || o.ttl !== undefined ||
    o.correlationId !== undefined || o.replyTo !== undefined || o.type !== undefined || o.appId !== undefined || o.userId !== undefined ||
    o.timestamp !== undefined || o.contentType !== undefined || o.contentEncoding !== undefined || o.unroutable !== undefined
  );
}

function writeText(bytes: Uint8Array, at: number, text: string): number {
  let done = 0;
  if (text.length <= LOOP_CHARS_MAX) {
    for (; done < text.length; done++) {
      const unit = text.charCodeAt(done);
      if (unit >= 0x80) break;
      bytes[at + done] = unit;
    }
    if (done === text.length) return at + done;
  }
  return at + done + (utf8.encodeInto(done === 0 ? text : text.slice(done), bytes.subarray(at + done)).written ?? 0);
}
