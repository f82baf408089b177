// One delivered message, and its settling. hot
// Always: (1) a message owns its bytes; (2) it is settled once, on the connection it came by: later settles, and those after a reconnect, answer false
// (the broker has taken the message back); (3) nothing is decoded before it is asked for.

import { SettleAction } from '../../shared/protocol/frames.ts';
import type { DeliveryJson } from '../../shared/protocol/control.ts';
import { decodeUtf8Loosely, encodeUtf8, writeShortString } from '../../shared/text.ts';
import { LeveretError } from './error.ts';
import { HEAD_BYTES_MAX, bytesFromBase64, plainFromJson, readProperties, writeHeader, type MessageProperties } from './properties.ts';
import type { Wire } from './wire.ts';

const NO_HEADERS: Readonly<Record<string, unknown>> = Object.freeze(Object.create(null));
const UNREAD: unique symbol = Symbol('unread');

/** Where a message came from and how often. */
export interface Delivery {
  readonly tag: number;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly id: string;
}

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
  /** `<queue number>-<seq>`: the same at every redelivery, and unique in its broker. '' on a tap. */
  readonly id: string;
  /** Whether it was delivered before, or may have been. */
  readonly redelivered: boolean;
  /** 1 for the first delivery. */
  readonly attempt: number;
  #wire: Wire | undefined;
  readonly #tag: number;
  readonly #run: Uint8Array;
  readonly #keyStart: number;
  readonly #headerStart: number;
  readonly #bodyStart: number;
  #properties: MessageProperties | undefined;
  #body: B | typeof UNREAD = UNREAD;

  /** @internal `run` is a whole content run (properties.ts). */
  constructor(delivery: Delivery, wire: Wire | undefined, run: Uint8Array, keyStart: number, headerStart: number, bodyStart: number) {
    this.id = delivery.id;
    this.redelivered = delivery.redelivered;
    this.attempt = delivery.deliveryCount + 1;
    this.#tag = delivery.tag;
    this.#wire = delivery.tag === 0 ? undefined : wire;
    this.#run = run;
    this.#keyStart = keyStart;
    this.#headerStart = headerStart;
    this.#bodyStart = bodyStart;
  }

  /** @internal As `get` answers it. */
  static fromJson<B>(json: DeliveryJson, wire: Wire): Message<B> {
    const body = json.bodyBase64 === undefined ? encodeUtf8(json.body ?? '') : bytesFromBase64(json.bodyBase64);
    const head = new Uint8Array(HEAD_BYTES_MAX);
    const keyStart = writeShortString(head, 0, json.exchange);
    const headerStart = writeShortString(head, keyStart, json.key);
    const { headers, ...properties } = json.properties;
    const bodyStart = writeHeader(head, headerStart, headers === undefined ? properties : { ...properties, headers: plainFromJson(headers) });
    const run = new Uint8Array(bodyStart + body.length);
    run.set(head.subarray(0, bodyStart));
    run.set(body, bodyStart);
    return new Message<B>(json, wire, run, keyStart, headerStart, bodyStart);
  }

  /** The body as its content type says: JSON parsed, text as a string, all else as bytes. Throws UNREADABLE for JSON that is none. */
  get body(): B {
    if (this.#body !== UNREAD) return this.#body;
    const body: B = decodeBody(this.bytes, this.properties.contentType ?? '');
    this.#body = body;
    return body;
  }
  /** The body as it came. */
  get bytes(): Uint8Array {
    return this.#run.subarray(this.#bodyStart);
  }
  /** The exchange it was published to; '' is the default one. */
  get exchange(): string {
    return decodeUtf8Loosely(this.#run, 1, this.#keyStart);
  }
  /** The routing key. */
  get key(): string {
    return decodeUtf8Loosely(this.#run, this.#keyStart + 1, this.#headerStart);
  }
  get properties(): MessageProperties {
    return (this.#properties ??= readProperties(this.#run, this.#headerStart, this.#bodyStart));
  }
  /** Plain values; `{}` when there are none. */
  get headers(): Readonly<Record<string, unknown>> {
    return this.properties.headers ?? NO_HEADERS;
  }
  /** What the publisher gave as `id`. */
  get messageId(): string | undefined {
    return this.properties.messageId;
  }
  /** Nothing more can be said about it: settled, never needing it, or its connection is gone. */
  get isSettled(): boolean {
    return this.#wire === undefined || !this.#wire.alive;
  }

  /** Done. False: it was settled before, or its connection is gone and it will come again. */
  ack(): boolean {
    return this.#settle(SettleAction.Ack, false);
  }
  /** Back to its place in the queue (or away, with `requeue: false`). */
  nack({ requeue = true }: { readonly requeue?: boolean } = {}): boolean {
    return this.#settle(SettleAction.Nack, requeue);
  }
  /** To the dead-letter exchange (or back, with `requeue: true`; then it counts as a failed attempt). */
  reject({ requeue = false }: { readonly requeue?: boolean } = {}): boolean {
    return this.#settle(SettleAction.Reject, requeue);
  }

  /** Back to its place, as if it had not been delivered: not counted as an attempt. */
  release(): boolean {
    return this.#settle(SettleAction.Release, false);
  }

  #settle(action: SettleAction, requeue: boolean): boolean {
    const wire = this.#wire;
    this.#wire = undefined;
    return wire?.settle(this.#tag, action, requeue) ?? false;
  }
}

// `any` is what JSON.parse gives, and B is what the caller says that is: the client does not validate.
function decodeBody(bytes: Uint8Array, contentType: string): ReturnType<typeof JSON.parse> {
  const isJson = contentType.startsWith('application/json');
  if (!isJson && !contentType.startsWith('text/')) return bytes;
  const text = decodeUtf8Loosely(bytes, 0, bytes.length);
  if (!isJson) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LeveretError('UNREADABLE', 'the body is not JSON, although its content type says so', { cause });
  }
}
