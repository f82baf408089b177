// What the AMQP half tells the client: answers and events as the text, deliveries and confirms as the frames of leveret.v1. hot
// Always: (1) it is told in the order in which it came: frames that were gathered go before the next text; (2) the bytes are lent for the call, as
// transport.ts says, and the next ones are gathered elsewhere, for the client may answer from inside it; (3) confirms of neighbours that came out
// alike are one entry. Refuses: to know AMQP (the other files of this folder read it).

import { AmqpError } from '../../../shared/error.ts';
import {
  CONFIRM_BYTES,
  closeFrame,
  DELIVER_HEAD_BYTES,
  FRAME_OVERHEAD,
  FrameType,
  REFUSED_HEAD_BYTES,
  writeConfirm,
  writeDeliverHead,
  writeFrameHeader,
  writeRefused,
} from '../../../shared/protocol/frames.ts';
import { errorToJson } from '../../../shared/protocol/json.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { PUBLISHER_HANDLE } from '../encoder.ts';
import type { LinkHandlers } from '../transport.ts';

/** The `error` of an answer: ErrorJson, but that a code is there only when the broker gave one, and that it may say itself whether it passes. */
export interface Refusal {
  readonly code?: number;
  readonly reason: string;
  readonly hint?: string;
  readonly path?: string;
  readonly queue?: string;
  readonly retryable?: boolean;
}

/** How many queues took a publish, when AMQP has only told that some did. No broker has as many. */
export const UNCOUNTED = 0xffff_ffff;

export const NO_CHANNEL: Refusal = {
  reason: 'OVERFLOW - all channels that the broker allows are open',
  hint: 'each consumer takes one: cancel some, or connect once more',
  retryable: true,
};

const BUFFER_BYTES = 65_536;
const NOTHING = new Uint8Array(0);

export class Inbound {
  readonly #handlers: LinkHandlers;
  #bytes: Uint8Array = new Uint8Array(BUFFER_BYTES);
  #spare: Uint8Array = new Uint8Array(BUFFER_BYTES);
  #at = 0;
  /** Where the CONFIRM frame that is still open begins; -1: none is. */
  #confirmStart = -1;
  #lastSeq = 0;
  #lastRouted = -1;
  #lastCount = 0;

  constructor(handlers: LinkHandlers) {
    this.#handlers = handlers;
  }

  answer(id: number, ok: object): void {
    this.text({ id, ok });
  }
  refuse(id: number | null, error: Refusal): void {
    this.text({ id, error });
  }
  text(message: object): void {
    this.flush();
    this.#handlers.text(JSON.stringify(message));
  }

  /** The names are exchange and key, as short strings; `part` is the body, or its beginning. */
  deliver(
    handle: number,
    tag: number,
    deliveryCount: number,
    redelivered: boolean,
    seq: number,
    names: Uint8Array,
    header: Uint8Array,
    part: Uint8Array,
  ): void {
    this.#closeConfirms();
    const start = this.#room(FRAME_OVERHEAD + DELIVER_HEAD_BYTES + names.length + header.length + part.length);
    const bytes = this.#bytes;
    let at = writeFrameHeader(bytes, start, FrameType.Deliver, handle, 0);
    at = writeDeliverHead(bytes, at, tag, redelivered, deliveryCount, 0, seq);
    for (const piece of [names, header, part]) {
      bytes.set(piece, at);
      at += piece.length;
    }
    this.#at = closeFrame(bytes, start, at);
  }

  /** More of the body of that handle's last message. */
  body(handle: number, part: Uint8Array): void {
    this.#closeConfirms();
    const start = this.#room(FRAME_OVERHEAD + part.length);
    const at = writeFrameHeader(this.#bytes, start, FrameType.Body, handle, 0);
    this.#bytes.set(part, at);
    this.#at = closeFrame(this.#bytes, start, at + part.length);
  }

  confirm(seq: number, routed: number): void {
    if (this.#confirmStart >= 0 && routed === this.#lastRouted && seq === this.#lastSeq + 1) {
      this.#lastSeq = seq;
      this.#lastCount++;
      writeConfirm(this.#bytes, this.#at - CONFIRM_BYTES, seq + 1 - this.#lastCount, this.#lastCount, routed);
      return;
    }
    this.#openConfirms(CONFIRM_BYTES);
    this.#at = writeConfirm(this.#bytes, this.#at, seq, 1, routed);
    this.#lastSeq = seq;
    this.#lastRouted = routed;
    this.#lastCount = 1;
  }

  refused(seq: number, error: Refusal): void {
    const json = encodeUtf8(JSON.stringify(error));
    this.#openConfirms(REFUSED_HEAD_BYTES + json.length);
    this.#at = writeRefused(this.#bytes, this.#at, seq, json);
    this.#lastRouted = -1;
  }

  /** Hands over what was gathered. */
  flush(): void {
    this.#closeConfirms();
    if (this.#at === 0) return;
    const full = this.#bytes;
    const bytes = full.subarray(0, this.#at);
    this.#bytes = this.#spare;
    this.#spare = NOTHING;
    this.#at = 0;
    this.#handlers.binary(bytes);
    this.#spare = full;
  }

  #openConfirms(count: number): void {
    // One octet more, for the frame's end.
    const at = this.#room(FRAME_OVERHEAD + count);
    if (this.#confirmStart >= 0) return;
    this.#confirmStart = at;
    this.#at = writeFrameHeader(this.#bytes, at, FrameType.Confirm, PUBLISHER_HANDLE, 0);
  }
  #closeConfirms(): void {
    if (this.#confirmStart < 0) return;
    this.#at = closeFrame(this.#bytes, this.#confirmStart, this.#at);
    this.#confirmStart = -1;
    this.#lastRouted = -1;
  }

  /** Answers where the room begins. */
  #room(count: number): number {
    const needed = this.#at + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#at));
      this.#bytes = grown;
    }
    return this.#at;
  }
}

/** An error of the shared codecs, as it is answered. */
export function refusalOf(thrown: unknown): Refusal {
  if (thrown instanceof AmqpError) return errorToJson(thrown);
  return { reason: `PROTOCOL - ${thrown instanceof Error ? thrown.message : String(thrown)}` };
}
