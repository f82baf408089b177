// One delivered message, and its settling. hot
// Always: (1) a message owns its bytes, the payload of a DELIVER frame; (2) it is settled once, on the connection it came by: later settles, and those after a
// reconnect, answer false (the broker has taken the message back); (3) the body is not decoded before it is asked for.

import { type MessageProperties, Reader } from './codec.ts';
import { LeveretError } from './error.ts';
import type { Wire } from './wire.ts';

/**
 * A message, as workers, loops and `get` receive it.
 * ```ts
 * await mq.declareQueue('letters');
 * await mq.queue('letters').publish({ to: 'Ann' }, { headers: { urgent: true } });
 * const msg = await mq.queue<{ to: string }>('letters').get();
 * console.log(msg?.body.to, msg?.headers['urgent'], msg?.attempt, msg?.ack());
 * ```
 */
export class Message<B = unknown> {
  /** Whether it was delivered before, or may have been. */
  readonly redelivered: boolean;
  /** 1 for the first delivery. */
  readonly attempt: number;
  /** The exchange it was published to; '' is the default one. */
  readonly exchange: string;
  /** The routing key. */
  readonly key: string;
  /** The properties of AMQP's basic class, `headers` among them. */
  readonly properties: MessageProperties = {};
  /** The body as it came. */
  readonly bytes: Uint8Array;
  readonly #tag: number;
  #wire: Wire | undefined;
  readonly #number: number;
  readonly #seq: number;
  /** @internal Bytes of the body that are not here. */
  readonly missingBytes: number;
  #body: { readonly value: B } | undefined;

  /** @internal */
  constructor(payload: Uint8Array, wire: Wire) {
    const reader = new Reader(payload);
    this.#tag = reader.u64();
    this.#wire = this.#tag === 0 ? undefined : wire;
    this.redelivered = (reader.u8() & 1) === 1;
    this.attempt = reader.u32() + 1;
    this.#number = reader.u32();
    this.#seq = reader.u64();
    this.exchange = reader.text(reader.u8());
    this.key = reader.text(reader.u8());
    const bodyBytes = reader.header(this.properties);
    this.bytes = payload.subarray(reader.at);
    this.missingBytes = bodyBytes - this.bytes.length;
  }

  /** `<queue number>-<seq>`: the same at every redelivery, and unique in its broker. */
  get id(): string {
    return `${this.#number}-${this.#seq}`;
  }
  /** The body as its content type says: JSON parsed, text as a string, all else as bytes. Throws UNREADABLE for JSON that is none. */
  get body(): B {
    this.#body ??= { value: decodeBody(this.bytes, this.properties.contentType ?? '') };
    return this.#body.value;
  }
  /** Plain values; `{}` when there are none. */
  get headers(): Readonly<Record<string, unknown>> {
    return this.properties.headers ?? {};
  }
  /** What the publisher gave as `id`. */
  get messageId(): string | undefined {
    return this.properties.messageId;
  }
  /** Nothing more can be said about it: settled, never needing it, or its connection is gone. */
  get isSettled(): boolean {
    return !this.#wire?.alive;
  }

  /** Done. False: it was settled before, or its connection is gone and it will come again. */
  ack(): boolean {
    return this.#settle(0);
  }
  /** Back to its place in the queue (or away, with `requeue: false`). */
  nack({ requeue = true }: { readonly requeue?: boolean } = {}): boolean {
    return this.#settle(requeue ? 5 : 1);
  }
  /** To the dead-letter exchange (or back, with `requeue: true`). */
  reject({ requeue = false }: { readonly requeue?: boolean } = {}): boolean {
    return this.#settle(requeue ? 6 : 2);
  }
  /** Back to its place, as if it had not been delivered: not counted as an attempt. */
  release(): boolean {
    return this.#settle(3);
  }

  // The flags of SETTLE (docs/protocol.md): 0 ack, 1 nack, 2 reject, 3 release; 4 = requeue.
  #settle(flags: number): boolean {
    const wire = this.#wire;
    this.#wire = undefined;
    return wire?.settle(this.#tag, flags) ?? false;
  }
}

// JSON.parse's type is any: B is what the caller says the body is, for the client does not validate.
function decodeBody(bytes: Uint8Array, contentType: string): ReturnType<typeof JSON.parse> {
  const isJson = contentType.startsWith('application/json');
  if (!isJson && !contentType.startsWith('text/')) return bytes;
  const text = new Reader(bytes).text(bytes.length);
  if (!isJson) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LeveretError('UNREADABLE', 'the body is not JSON, as its content type says', { cause });
  }
}
