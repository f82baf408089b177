// Messages got one by one. Each that waits to be settled has, if it can, a channel to itself.
// Always: (1) a get goes to a channel on which nothing is unsettled, and more channels are opened for that up to a limit: a soft error (a queue that is not
// there) closes its channel, and all that was got on it would go back; (2) a channel stays open for the next. Refuses: to wait for a message.

import { CONTENT_HEADER_FIXED_BYTES, decodeProperties } from '../../../shared/amqp/properties.ts';
import { readU16 } from '../../../shared/bytes.ts';
import type { Answer, DeliveryJson } from '../../../shared/protocol/control.ts';
import { bodyToJson, propertiesToJson } from '../../../shared/protocol/json.ts';
import { readShortString } from '../../../shared/text.ts';
import { type Ask, ask, type Channel, type ChannelUser, type Content } from './channel.ts';
import { type Consuming, deliveryCountOf } from './consuming.ts';
import { NO_CHANNEL, type Refusal } from './inbound.ts';

// Beside it others share: so many got and unsettled messages are rare, and each channel costs the broker memory.
const CHANNELS_MAX = 32;

type Got = (error: Refusal | undefined, answer?: Answer<'get'>) => void;

export class Getting {
  readonly #shared: Consuming;
  readonly #channels = new Set<GetChannel>();

  constructor(shared: Consuming) {
    this.#shared = shared;
  }

  get(queue: string, noAck: boolean, done: Got): void {
    const chosen = this.#choose();
    if (chosen === undefined) done(NO_CHANNEL);
    else chosen.get(queue, noAck, done);
  }

  #choose(): GetChannel | undefined {
    let least: GetChannel | undefined;
    for (const each of this.#channels) if (least === undefined || each.load < least.load) least = each;
    if (least?.load === 0 || this.#channels.size >= CHANNELS_MAX) return least;
    const opened = new GetChannel(this.#shared, (gone, again) => {
      this.#channels.delete(gone);
      for (const { queue, noAck, done } of again) this.get(queue, noAck, done);
    });
    if (!opened.isOpen) return least;
    this.#channels.add(opened);
    return opened;
  }
}

interface Wanted {
  readonly queue: string;
  readonly noAck: boolean;
  readonly done: Got;
}

class GetChannel implements ChannelUser {
  readonly #shared: Consuming;
  readonly #channel: Channel | undefined;
  readonly #gone: (gone: GetChannel, again: readonly Wanted[]) => void;
  #wanted: Wanted[] = [];
  #parts: Uint8Array[] = [];

  constructor(shared: Consuming, gone: (gone: GetChannel, again: readonly Wanted[]) => void) {
    this.#shared = shared;
    this.#gone = gone;
    this.#channel = shared.connection.channel(this);
  }

  get isOpen(): boolean {
    return this.#channel !== undefined;
  }
  /** What a soft error would hit. */
  get load(): number {
    return this.#wanted.length + (this.#channel?.unsettledCount ?? 0);
  }

  get(queue: string, noAck: boolean, done: Got): void {
    const answered: Ask['done'] = (error, reply) => {
      if (error !== undefined) this.#wanted.shift()?.done(error);
      else if (reply !== undefined) this.#wanted.shift()?.done(undefined, { message: null });
      // Neither: get-ok, which `content` has told, for it knows the message.
    };
    const question = ask('basic.get', { queue, noAck }, answered);
    this.#wanted.push({ queue, noAck, done });
    this.#channel?.ask(question);
  }

  content(content: Content, part: Uint8Array): void {
    if (content.bodyBytes > this.#shared.maxMessageBytes) throw new Error('a body above maxMessageBytes');
    const channel = this.#channel;
    const wanted = this.#wanted[0];
    if (channel === undefined || wanted === undefined || content.kind !== 'get') throw new Error(`a ${content.kind} that nobody asked for`);
    this.#parts.push(part.slice());
    if (content.at + part.length < content.bodyBytes) return;
    const body = joined(this.#parts, content.bodyBytes);
    this.#parts = [];
    this.#wanted.shift();
    const tag = wanted.noAck ? 0 : this.#shared.unsettled.add(channel, content.tag);
    const message = messageOf(content, body, tag, this.#shared.nextSeq());
    wanted.done(undefined, { message, messageCount: content.number });
  }

  closed(error: Refusal): void {
    if (this.#channel) this.#shared.unsettled.forget(this.#channel);
    const [culprit, ...others] = this.#wanted;
    this.#wanted = [];
    this.#gone(this, others);
    culprit?.done(error);
  }
}

function messageOf(content: Content, body: Uint8Array, tag: number, seq: number): DeliveryJson {
  const { names, header, redelivered } = content;
  const flags = readU16(header, CONTENT_HEADER_FIXED_BYTES - 2);
  return {
    tag,
    redelivered,
    deliveryCount: deliveryCountOf(content),
    id: `0-${seq}`,
    exchange: readShortString(names, 0, names.length),
    key: readShortString(names, 1 + (names[0] ?? 0), names.length),
    properties: propertiesToJson(decodeProperties(header, CONTENT_HEADER_FIXED_BYTES, header.length, flags)),
    ...bodyToJson(body, 0, body.length),
  };
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
