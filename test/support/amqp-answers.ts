// What a server may send on one AMQP connection, frame by frame, whatever its peer does: a checker that knows the protocol and no implementation.
// Always: (1) content stands right behind its method, in frames filled to frameMax - 8, and adds up; (2) delivery tags count from 1 on each channel;
// (3) a publish is confirmed once; (4) nothing comes on a channel that is closed, nor after the connection's end; (5) closes bear codes of their
// scope, and their name as text; 541 is a fault of the server's own. Refuses to know what was asked: that is for who plays.

import type { Method } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { replyName } from '../../shared/error.ts';
import type { ReceivedFrame } from './raw-amqp.ts';

const CONNECTION_CODES = [320, 402, 403, 501, 502, 503, 504, 505, 506, 530, 540];
const CHANNEL_CODES = [311, 403, 404, 405, 406];
const OF_CONNECTION: readonly MethodName[] = [
  'connection.start',
  'connection.tune',
  'connection.open-ok',
  'connection.close',
  'connection.close-ok',
  'connection.blocked',
  'connection.unblocked',
  'connection.update-secret-ok',
];
const OF_CHANNEL: readonly MethodName[] = [
  'channel.open-ok',
  'channel.flow-ok',
  'channel.close',
  'channel.close-ok',
  'access.request-ok',
  'exchange.declare-ok',
  'exchange.delete-ok',
  'exchange.bind-ok',
  'exchange.unbind-ok',
  'queue.declare-ok',
  'queue.bind-ok',
  'queue.purge-ok',
  'queue.delete-ok',
  'queue.unbind-ok',
  'basic.qos-ok',
  'basic.consume-ok',
  'basic.cancel',
  'basic.cancel-ok',
  'basic.return',
  'basic.deliver',
  'basic.get-ok',
  'basic.get-empty',
  'basic.ack',
  'basic.nack',
  'basic.recover-ok',
  'confirm.select-ok',
  'tx.select-ok',
  'tx.commit-ok',
  'tx.rollback-ok',
];

interface ChannelState {
  isOpen: boolean;
  deliveryTag: number;
  confirmedUpTo: number;
  readonly confirmed: Set<number>;
}

export class AmqpAnswers {
  readonly complaints: string[] = [];
  readonly #frameMax: number;
  readonly #channels = new Map<number, ChannelState>();
  /** The content that is due: undefined bytes until its header has come. */
  #due: { readonly channel: number; readonly name: string; bytes: number | undefined } | undefined;
  #isClosed = false;
  #isOver = false;

  constructor(frameMax: number) {
    this.#frameMax = frameMax;
  }

  /** By channel: the last publish that was confirmed since it was opened. */
  get confirmedMax(): ReadonlyMap<number, number> {
    return new Map([...this.#channels].map(([number, { confirmedUpTo, confirmed }]) => [number, Math.max(confirmedUpTo, ...confirmed)]));
  }

  take(frame: ReceivedFrame): void {
    const { type, channel, payload, method } = frame;
    if (payload.length > this.#frameMax - 8) this.#say(`a frame of ${payload.length + 8} bytes, above ${this.#frameMax}`);
    if (this.#isOver) this.#say(`${method?.name ?? `a frame of type ${type}`} after the end of the connection`);
    if (type === 1 && method !== undefined) {
      if (this.#due !== undefined) this.#say(`${method.name} where the content of ${this.#due.name} is due`);
      this.#due = undefined;
      if (channel === 0) this.#ofConnection(method);
      else this.#ofChannel(channel, method);
    } else if (type === 2) this.#header(channel, payload);
    else if (type === 3) this.#body(channel, payload);
    else this.#say(`a frame of type ${type}`);
  }

  /** The stream has ended, or is quiet. */
  end(): readonly string[] {
    if (this.#due !== undefined) this.#say(`the content of ${this.#due.name} is missing`);
    return this.complaints;
  }

  #ofConnection(method: Method): void {
    if (!OF_CONNECTION.includes(method.name)) this.#say(`${method.name} on channel 0`);
    if (method.name === 'connection.close') {
      if (this.#isClosed) this.#say('a second connection.close');
      this.#isClosed = true;
      this.#close(method.fields, CONNECTION_CODES);
    } else if (method.name === 'connection.close-ok') this.#isOver = true;
    else if (this.#isClosed) this.#say(`${method.name} after connection.close`);
  }

  #ofChannel(number: number, method: Method): void {
    if (!OF_CHANNEL.includes(method.name)) this.#say(`${method.name} from a server`);
    if (this.#isClosed) this.#say(`${method.name} after connection.close`);
    const channel = this.#channels.get(number);
    if (method.name === 'channel.open-ok') {
      if (channel?.isOpen) this.#say(`channel ${number} opened twice`);
      this.#channels.set(number, { isOpen: true, deliveryTag: 0, confirmedUpTo: 0, confirmed: new Set() });
      return;
    }
    if (channel === undefined) this.#say(`${method.name} on channel ${number}, which was never open`);
    else if (method.name === 'channel.close-ok') channel.isOpen = false;
    else if (!channel.isOpen) this.#say(`${method.name} on channel ${number}, which is closed`);
    else this.#onOpenChannel(number, channel, method);
  }

  #onOpenChannel(number: number, channel: ChannelState, method: Method): void {
    const { name } = method;
    if (method.name === 'channel.close') {
      channel.isOpen = false;
      this.#close(method.fields, CHANNEL_CODES);
    } else if (method.name === 'basic.deliver' || method.name === 'basic.get-ok') {
      const { deliveryTag } = method.fields;
      if (deliveryTag !== ++channel.deliveryTag) this.#say(`delivery tag ${deliveryTag} instead of ${channel.deliveryTag}`);
    } else if (method.name === 'basic.ack' || method.name === 'basic.nack') this.#confirm(channel, method.fields);
    if (name === 'basic.deliver' || name === 'basic.get-ok' || name === 'basic.return')
      this.#due = { channel: number, name, bytes: undefined };
  }

  #confirm(channel: ChannelState, { deliveryTag: tag, multiple }: { readonly deliveryTag: number; readonly multiple: boolean }): void {
    if (tag <= channel.confirmedUpTo || channel.confirmed.has(tag)) this.#say(`publish ${tag} is confirmed twice`);
    if (!multiple) channel.confirmed.add(tag);
    else channel.confirmedUpTo = Math.max(channel.confirmedUpTo, tag);
  }

  #header(channel: number, payload: Uint8Array): void {
    const header = Buffer.from(payload);
    if (this.#due === undefined || this.#due.channel !== channel || this.#due.bytes !== undefined) {
      this.#say(`a content header on channel ${channel} that is not due`);
    } else if (header.length < 14 || header.readUInt16BE(0) !== 60 || header.readUInt16BE(2) !== 0) {
      this.#say(`a content header ${header.toString('hex')}`);
    } else {
      this.#due.bytes = Number(header.readBigUInt64BE(4));
      if (this.#due.bytes === 0) this.#due = undefined;
    }
  }

  #body(channel: number, payload: Uint8Array): void {
    const due = this.#due;
    if (due?.bytes === undefined || due.channel !== channel) {
      this.#say(`a body on channel ${channel} that is not due`);
      return;
    }
    const expected = Math.min(due.bytes, this.#frameMax - 8);
    if (payload.length !== expected) this.#say(`a body frame of ${payload.length} bytes instead of ${expected}`);
    due.bytes -= payload.length;
    if (due.bytes <= 0) this.#due = undefined;
  }

  #close({ replyCode, replyText }: { readonly replyCode: number; readonly replyText: string }, codes: readonly number[]): void {
    if (!codes.includes(replyCode)) this.#say(`a close with ${replyCode} ${replyText}`);
    else if (!replyText.startsWith(`${replyName.get(replyCode)} - `)) this.#say(`a close with ${replyCode} that says '${replyText}'`);
  }

  #say(text: string): void {
    this.complaints.push(text);
  }
}
