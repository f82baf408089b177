// The channels of one connection by number, and what a frame means on a number that has none.
// Always: (1) at most as many are open as was negotiated; (2) on a channel that we have closed everything is dropped until close-ok; (3) a close-ok
// on a number that nobody uses is what is left of a close that crossed the client's own.
// Refuses: frames of open channels (incoming.ts).

import { BlamelessError, type FrameReader, FrameType, misplacedFrame } from '../../shared/amqp/frame.ts';
import { decodeMethod } from '../../shared/amqp/methods.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { channelFields } from '../broker/event-fields.ts';
import { endsOf } from '../broker/login.ts';
import type { Session } from '../broker/session.ts';
import { noMethod } from './assembly.ts';
import { Channel, type ChannelHost } from './channel.ts';

export class Channels {
  /** As negotiated. */
  max: number;
  readonly #host: ChannelHost;
  readonly #byNumber = new Map<number, Channel>();

  constructor(host: ChannelHost, max: number) {
    this.#host = host;
    this.max = max;
  }

  /** The open channel of this number. */
  find(number: number): Channel | undefined {
    const channel = this.#byNumber.get(number);
    return channel?.isOpen ? channel : undefined;
  }

  *sessions(): Iterable<readonly [number, Session]> {
    for (const [number, channel] of this.#byNumber) if (channel.isOpen) yield [number, channel.session];
  }

  get unackedCount(): number {
    let count = 0;
    for (const channel of this.#byNumber.values()) if (channel.isOpen) count += channel.session.unackedCount;
    return count;
  }

  /** Something that was asked on one of them is not answered yet. */
  get mustWait(): boolean {
    for (const channel of this.#byNumber.values()) if (channel.isOpen && channel.mustWait(false)) return true;
    return false;
  }

  /** There is room for deliveries again. */
  resume(): void {
    for (const channel of this.#byNumber.values()) if (channel.isOpen) channel.session.resume();
  }

  /** A frame on a number whose channel is not open, or is being closed. */
  takeOutside(frame: FrameReader): void {
    const { channel: number, type, bytes, payloadStart, payloadEnd } = frame;
    if (type > FrameType.Body || type < FrameType.Method) throw misplacedFrame(frame);
    const name = type === FrameType.Method ? decodeMethod(bytes, payloadStart, payloadEnd).name : undefined;
    const closing = this.#byNumber.get(number);
    if (closing !== undefined) {
      if (name !== 'channel.close-ok' && name !== 'channel.close') return;
      if (name === 'channel.close') closing.closeAsked();
      else closing.end();
      return;
    }
    if (name === undefined) throw noMethod();
    if (name === 'channel.open') this.#open(number);
    else if (name !== 'channel.close-ok') throw new AmqpError(ReplyCode.ChannelError, "expected 'channel.open'");
  }

  forget(channel: Channel): void {
    if (this.#byNumber.delete(channel.number)) this.#tell('channel.closed', channel);
  }

  end(): void {
    for (const channel of [...this.#byNumber.values()]) channel.end();
  }

  #tell(kind: 'channel.created' | 'channel.closed', { number, session }: Channel): void {
    const { broker, remote } = this.#host;
    broker.events.tell(kind, () => channelFields(kind, endsOf(remote).name, number, session), session.identity.account.name);
  }

  #open(number: number): void {
    if (this.#byNumber.size >= this.max) {
      const text = `number of channels opened (${this.#byNumber.size}) has reached the negotiated channel_max (${this.max})`;
      throw new BlamelessError(ReplyCode.NotAllowed, text);
    }
    this.#host.broker.connections.checkChannels(this.#host.identity.account);
    const channel = new Channel(number, this.#host);
    this.#byNumber.set(number, channel);
    this.#tell('channel.created', channel);
    channel.reply('channel.open-ok', {});
  }
}
