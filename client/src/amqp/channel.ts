// One channel: what was asked on it and is not answered, in order, and the content that arrives, put together from method, header and bodies. hot
//
//   Opening -> Open -> Closing (we asked) -> Closed        Opening, Open or Closing -> Closed (the server closed it, and its number is free again)
//
// Always: (1) answers come in the order of the questions, so a soft error belongs to the oldest question, and those behind it were not looked at: its user
// gets them back, and may ask them again on another channel; (2) nothing is sent before the channel is open, and nothing but close-ok after it closed.
// Refuses: to open again by itself (each user knows best what that takes).

import { FRAME_OVERHEAD_BYTES, type FrameReader, FrameType, writeFrameEnd, writeFrameHeader } from '../../../shared/amqp/frame.ts';
import { decodeMethod, encodeMethod, type Method, type MethodFields } from '../../../shared/amqp/methods.ts';
import { CONTENT_HEADER_FIXED_BYTES } from '../../../shared/amqp/properties.ts';
import { METHODS, type MethodName, methodKey } from '../../../shared/amqp/spec.ts';
import { readU16, readU64, writeU32, writeU64 } from '../../../shared/bytes.ts';
import { shortStringBytes, shortStringEnd, writeShortString } from '../../../shared/text.ts';
import type { Connection } from './connection.ts';
import type { Refusal } from './inbound.ts';

const NOTHING = new Uint8Array(0);

/** One question: a method, and who waits for its answer. */
export interface Ask {
  readonly name: MethodName;
  /** The method as a frame's payload. */
  readonly payload: Uint8Array;
  done(error: Refusal | undefined, reply?: Method): void;
}

export interface ChannelUser {
  /** The server closed the channel. These were not answered: the first is the reason, when there is one. */
  closed(error: Refusal, unanswered: readonly Ask[]): void;
  /** A part of a message; each has one at least, if empty. */
  content?(content: Content, part: Uint8Array): void;
  confirmed?(tag: number, isMultiple: boolean, isStored: boolean): void;
  /** By the server. */
  cancelled?(): void;
  /** Nothing that was delivered here waits to be settled. */
  settled?(): void;
}

/** What arrives. `names` are exchange and routing key, as short strings; `at` is where the part begins in the body. */
export class Content {
  header: Uint8Array = NOTHING;
  bodyBytes = 0;
  at = 0;
  readonly kind: 'deliver' | 'return' | 'get';
  readonly names: Uint8Array;
  readonly tag: number;
  readonly redelivered: boolean;
  /** Of a get: what is left in the queue. Of a return: the reply code. */
  readonly number: number;
  /** Of a return. */
  readonly replyText: string;

  constructor(kind: Content['kind'], names: Uint8Array, tag: number, redelivered: boolean, number = 0, replyText = '') {
    this.kind = kind;
    this.names = names;
    this.tag = tag;
    this.redelivered = redelivered;
    this.number = number;
    this.replyText = replyText;
  }
}

const State = { Opening: 0, Open: 1, Closing: 2, Closed: 3 } as const;
type State = (typeof State)[keyof typeof State];

const keyOf = (name: MethodName): number => methodKey(METHODS[name].classId, METHODS[name].methodId);
const DELIVER = keyOf('basic.deliver');
// The three that settle are alike: a delivery tag, and an octet of bits.
const KEYS = { 'basic.ack': keyOf('basic.ack'), 'basic.nack': keyOf('basic.nack'), 'basic.reject': keyOf('basic.reject') } as const;
const REQUEUE = { 'basic.ack': 0, 'basic.nack': 2, 'basic.reject': 1 } as const;
const SETTLE_PAYLOAD_BYTES = 13;
export type Settling = keyof typeof KEYS;

export function ask<Name extends MethodName>(name: Name, fields: MethodFields<Name>, done: Ask['done']): Ask {
  return { name, payload: encodeMethod(name, fields), done };
}

export class Channel {
  readonly number: number;
  /** Delivered here, and neither acked nor rejected. */
  unsettledCount = 0;
  readonly #connection: Connection;
  readonly #user: ChannelUser;
  #state: State = State.Opening;
  #asked: Ask[] = [];
  /** Of what arrives now; undefined between messages. */
  #content: Content | undefined;
  #hasHeader = false;

  constructor(connection: Connection, number: number, user: ChannelUser) {
    this.#connection = connection;
    this.number = number;
    this.#user = user;
  }

  /** What was asked first and is not answered. */
  get asks(): MethodName | undefined {
    return this.#asked[0]?.name;
  }
  get isClosed(): boolean {
    return this.#state >= State.Closing;
  }

  open(): void {
    this.#connection.method(this.number, 'channel.open', {});
    this.#asked.push(
      ask('channel.open', {}, (error) => {
        if (error !== undefined) return;
        this.#state = State.Open;
        for (const { payload } of this.#asked) this.#send(payload);
      }),
    );
  }

  /** Asks, in turn. */
  ask(question: Ask): void {
    this.#asked.push(question);
    if (this.#state === State.Open) this.#send(question.payload);
  }

  /** Says what became of a delivery; the server does not answer that. */
  settle(tag: number, action: Settling, requeue: boolean): void {
    this.unsettledCount--;
    if (this.#state === State.Open) {
      const { outbox } = this.#connection;
      const bytes = outbox.room(SETTLE_PAYLOAD_BYTES + FRAME_OVERHEAD_BYTES);
      let at = writeFrameHeader(bytes, outbox.at, FrameType.Method, this.number, SETTLE_PAYLOAD_BYTES);
      at = writeU32(bytes, at, KEYS[action]);
      at = writeU64(bytes, at, tag);
      bytes[at] = requeue ? REQUEUE[action] : 0;
      outbox.at = writeFrameEnd(bytes, at + 1);
    }
    if (this.unsettledCount === 0) this.#user.settled?.();
  }

  /** What is still asked is not answered any more: ask first, and close when that is done. */
  close(): void {
    if (this.#state !== State.Open) return;
    this.#state = State.Closing;
    this.#asked = [];
    this.#connection.method(this.number, 'channel.close', { replyCode: 200, replyText: '', failedClassId: 0, failedMethodId: 0 });
  }

  /** The connection ends because of what was asked here first. */
  refuse(error: Refusal): void {
    this.#asked.shift()?.done(error);
  }

  frame({ type, bytes, payloadStart: start, payloadEnd: end }: FrameReader): void {
    if (type === FrameType.Method) this.#method(bytes, start, end);
    else if (this.#state === State.Closing) return;
    else if (this.#content === undefined) throw new Error(`frame ${type} out of turn on channel ${this.number}`);
    else if (type === FrameType.Header && !this.#hasHeader) this.#header(this.#content, bytes, start, end);
    else if (type === FrameType.Body && this.#hasHeader) this.#part(this.#content, bytes.subarray(start, end));
    else throw new Error(`frame ${type} out of turn on channel ${this.number}`);
  }

  #method(bytes: Uint8Array, start: number, end: number): void {
    if (start + 4 > end) throw new Error('a method without its number');
    const key = methodKey(readU16(bytes, start), readU16(bytes, start + 2));
    if (this.#state === State.Closing) this.#whileClosing(decodeMethod(bytes, start, end));
    else if (this.#content !== undefined) throw new Error(`a method inside content on channel ${this.number}`);
    else if (key === DELIVER) this.#deliver(bytes, start + 4, end);
    else if (key === KEYS['basic.ack'] || key === KEYS['basic.nack']) {
      if (start + SETTLE_PAYLOAD_BYTES > end || this.#user.confirmed === undefined) throw new Error('an ack that nobody asked for');
      this.#user.confirmed(readU64(bytes, start + 4), ((bytes[start + 12] ?? 0) & 1) === 1, key === KEYS['basic.ack']);
    } else this.#cold(decodeMethod(bytes, start, end));
  }

  #cold(method: Method): void {
    const { name, fields } = method;
    switch (name) {
      case 'basic.return':
        this.#content = new Content('return', namesOf(fields), 0, false, fields.replyCode, fields.replyText);
        break;
      case 'basic.get-ok':
        this.#content = new Content('get', namesOf(fields), fields.deliveryTag, fields.redelivered, fields.messageCount);
        break;
      case 'basic.cancel':
        this.#user.cancelled?.();
        break;
      case 'channel.flow':
        this.#connection.method(this.number, 'channel.flow-ok', { active: fields.active });
        break;
      case 'channel.close':
        this.#closed(fields);
        break;
      default:
        this.#answered(method);
    }
  }

  #answered(method: Method): void {
    const { name } = method;
    const asked = this.#asked.shift();
    if (asked === undefined || !(name === `${asked.name}-ok` || name === 'basic.get-empty'))
      throw new Error(`${name} out of turn on channel ${this.number}`);
    asked.done(undefined, method);
  }

  /** The server ends it. It is dead before anybody is told, and its number is free. */
  #closed({ replyCode, replyText }: MethodFields<'channel.close'>): void {
    const unanswered = this.#asked;
    const error: Refusal = { code: replyCode, reason: replyText };
    const wasOpen = this.#state === State.Open;
    this.#asked = [];
    this.#state = State.Closed;
    this.#connection.method(this.number, 'channel.close-ok', {});
    this.#connection.release(this.number);
    if (wasOpen) this.#user.closed(error, unanswered);
    else this.#connection.fail(error); // the next one would not open either
  }

  #whileClosing({ name }: Method): void {
    // Both close at once: the server still answers ours.
    if (name === 'channel.close') this.#connection.method(this.number, 'channel.close-ok', {});
    if (name !== 'channel.close-ok') return;
    this.#state = State.Closed;
    this.#connection.release(this.number);
  }

  #deliver(bytes: Uint8Array, start: number, end: number): void {
    const at = shortStringEnd(bytes, start, end); // behind the consumer tag: a consumer has its own channel
    if (at + 9 > end) throw new Error('a delivery without its tag');
    const names = bytes.slice(at + 9, shortStringEnd(bytes, shortStringEnd(bytes, at + 9, end), end));
    this.#content = new Content('deliver', names, readU64(bytes, at), ((bytes[at + 8] ?? 0) & 1) === 1);
  }

  #header(content: Content, bytes: Uint8Array, start: number, end: number): void {
    if (end - start < CONTENT_HEADER_FIXED_BYTES || readU16(bytes, start) !== METHODS['basic.publish'].classId)
      throw new Error('not a content header');
    content.bodyBytes = readU64(bytes, start + 4);
    content.header = bytes.slice(start, end);
    this.#hasHeader = true;
    if (content.bodyBytes === 0) this.#part(content, NOTHING);
  }

  #part(content: Content, part: Uint8Array): void {
    const next = content.at + part.length;
    if (next > content.bodyBytes) throw new Error('more body than its header says');
    const isWhole = next === content.bodyBytes;
    if (isWhole) {
      this.#content = undefined;
      this.#hasHeader = false;
    }
    this.#user.content?.(content, part);
    content.at = next;
    if (isWhole && content.kind === 'get') this.#asked.shift()?.done(undefined);
  }

  #send(payload: Uint8Array): void {
    this.#connection.payload(this.number, payload);
  }
}

function namesOf({ exchange, routingKey }: MethodFields<'basic.return'> | MethodFields<'basic.get-ok'>): Uint8Array {
  const names = new Uint8Array(shortStringBytes(exchange) + shortStringBytes(routingKey));
  writeShortString(names, writeShortString(names, 0, exchange), routingKey);
  return names;
}
