// Consumers, each on a channel of its own, and the settling of what they and gets bring. hot
//
// Always: (1) a consumer has its own prefetch, and what closes one channel touches no other; (2) a delivery is known here by a tag of this connection, until
// it is settled or its channel is gone: a settle that comes later is dropped, for the broker has the message back; (3) a channel is closed when its consumer
// is cancelled and all it delivered is settled, and not before: closing would give them back; (4) a channel that the server closes under a running consumer (an
// ack that took too long) is told as a fault, and the consumer asks again on another.
// Refuses: to release: AMQP has no way back that is not counted, so it is a nack with requeue.

import { CONTENT_HEADER_FIXED_BYTES } from '../../../shared/amqp/properties.ts';
import { decodeValue, type FieldTable, findField, Typed } from '../../../shared/amqp/table.ts';
import { readU16, readU32 } from '../../../shared/bytes.ts';
import { PropertyFlag } from '../../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { PREFETCH_MAX, type Request } from '../../../shared/protocol/control.ts';
import { tableFromJson } from '../../../shared/protocol/json.ts';
import { shortStringEnd } from '../../../shared/text.ts';
import { type Ask, ask, type Channel, type ChannelUser, type Content, type Settling } from './channel.ts';
import type { Connection } from './connection.ts';
import { type Inbound, NO_CHANNEL, type Refusal } from './inbound.ts';

/** What was delivered on this connection and is not settled. */
export class Unsettled {
  readonly #deliveries = new Map<number, { readonly channel: Channel; readonly tag: number }>();
  #lastTag = 0;

  add(channel: Channel, tag: number): number {
    channel.unsettledCount++;
    this.#deliveries.set(++this.#lastTag, { channel, tag });
    return this.#lastTag;
  }

  /** False: it is settled, or the broker has it back. */
  settle(tag: number, action: Settling, requeue: boolean): boolean {
    const delivery = this.#deliveries.get(tag);
    if (delivery === undefined) return false;
    this.#deliveries.delete(tag);
    delivery.channel.settle(delivery.tag, action, requeue);
    return true;
  }

  forget(gone: Channel): void {
    for (const [tag, { channel }] of this.#deliveries) if (channel === gone) this.#deliveries.delete(tag);
  }
}

/** What consumers and gets share on one connection. */
export interface Consuming {
  readonly connection: Connection;
  readonly inbound: Inbound;
  readonly unsettled: Unsettled;
  readonly maxMessageBytes: number;
  /** A number for each delivery, which no other has. */
  nextSeq(): number;
  /** The broker has ended the consumer with that handle. */
  cancelled(handle: number, reason: string): void;
}

/** What `consume` asks for. */
export type ConsumeFields = Request<'consume'>;

const PREFETCH = 1_000; // the Leveret protocol's default

export class Consumer implements ChannelUser {
  readonly #shared: Consuming;
  readonly #handle: number;
  readonly #fields: ConsumeFields;
  readonly #consumerTag: string;
  readonly #arguments: FieldTable;
  #channel: Channel | undefined;
  #isRunning = false;
  #isCancelled = false;

  /** Throws 502 for what AMQP cannot hold. */
  constructor(shared: Consuming, handle: number, fields: ConsumeFields) {
    const { priority = 0, prefetch = 0, arguments: args = {} } = fields;
    if (!(prefetch <= PREFETCH_MAX)) throw new AmqpError(ReplyCode.SyntaxError, `a prefetch above ${PREFETCH_MAX}`, { path: '/prefetch' });
    this.#arguments = tableFromJson(args, '/arguments');
    if (priority !== 0) this.#arguments.set('x-priority', priority);
    this.#shared = shared;
    this.#handle = handle;
    this.#fields = fields;
    this.#consumerTag = fields.consumerTag || `leveret.${handle}`;
  }

  open(done: (error?: Refusal, consumerTag?: string) => void): void {
    const { queue, noAck = false, exclusive = false, prefetch = PREFETCH } = this.#fields;
    const consumerTag = this.#consumerTag;
    const fields = { queue, consumerTag, noLocal: false, noAck, exclusive, nowait: false, arguments: this.#arguments };
    const consume = ask('basic.consume', fields, (error) => {
      this.#isRunning = error === undefined;
      done(error, consumerTag);
    });
    this.#channel = this.#shared.connection.channel(this);
    if (this.#channel === undefined) done(NO_CHANNEL);
    const prefetchCount = prefetch || PREFETCH_MAX;
    if (!noAck) this.#channel?.ask(ask('basic.qos', { prefetchSize: 0, prefetchCount, global: false }, () => undefined));
    this.#channel?.ask(consume);
  }

  /** What is not settled stays so: see the top. */
  cancel(done: () => void): void {
    const channel = this.#channel;
    const cancelled = (): void => {
      this.#isCancelled = true;
      done();
      this.settled();
    };
    if (channel === undefined || channel.isClosed || this.#isCancelled) cancelled();
    else channel.ask(ask('basic.cancel', { consumerTag: this.#consumerTag, nowait: false }, cancelled));
  }

  settled(): void {
    if (this.#isCancelled && this.#channel?.unsettledCount === 0) this.#channel.close();
  }

  /** By the server, for good. */
  cancelled(): void {
    this.#isCancelled = true;
    this.#shared.cancelled(this.#handle, 'basic.cancel, as when its queue is deleted');
    this.settled();
  }

  content(content: Content, part: Uint8Array): void {
    const { inbound, unsettled } = this.#shared;
    const channel = this.#channel;
    if (channel === undefined || content.kind !== 'deliver') throw new Error(`a ${content.kind} to a consumer`);
    if (content.at > 0) inbound.body(this.#handle, part);
    else deliver(this.#shared, this.#handle, this.#fields.noAck ? 0 : unsettled.add(channel, content.tag), content, part);
  }

  closed(error: Refusal, unanswered: readonly Ask[]): void {
    if (this.#channel) this.#shared.unsettled.forget(this.#channel);
    this.#channel = undefined;
    const wasRunning = this.#isRunning && !this.#isCancelled;
    this.#isRunning = false;
    const isCancelling = unanswered.some(({ name }) => name === 'basic.cancel');
    for (const { done } of unanswered) done(error);
    if (!wasRunning || isCancelling) return;
    this.#shared.inbound.text({ event: 'error', op: 'settle', handle: this.#handle, error });
    this.open((failure) => failure && this.#shared.cancelled(this.#handle, failure.reason));
  }
}

/** The first part of a message, or all of it. */
export function deliver(shared: Consuming, handle: number, tag: number, content: Content, part: Uint8Array): void {
  const { names, header, redelivered } = content;
  shared.inbound.deliver(handle, tag, deliveryCountOf(content), redelivered, shared.nextSeq(), names, header, part);
}

/** As the broker counts it; where it does not, all that is known of a redelivery is that there was another. */
export function deliveryCountOf({ header, redelivered }: Content): number {
  if (!redelivered) return 0;
  const flags = readU16(header, CONTENT_HEADER_FIXED_BYTES - 2);
  if ((flags & PropertyFlag.Headers) === 0) return 1;
  let at = CONTENT_HEADER_FIXED_BYTES;
  for (const before of [PropertyFlag.ContentType, PropertyFlag.ContentEncoding])
    if ((flags & before) !== 0) at = shortStringEnd(header, at, header.length);
  const end = at + 4 + readU32(header, at);
  if (!(end <= header.length)) throw new Error('a header table runs past its end');
  const valueAt = findField(header, at, end, 'x-delivery-count');
  const value = valueAt < 0 ? 1 : decodeValue(header, valueAt, end);
  const count = value instanceof Typed ? Number(value.value) : Number(value);
  return count > 0 ? count : 1;
}
