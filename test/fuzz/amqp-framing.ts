// The rules of AMQP's framing as they apply to a client's stream after connection.open, whatever its requests mean: a reference that knows channels
// and content, and no implementation (AMQP 0-9-1, 4.2).
// Always: (1) what it calls broken must end the connection; (2) what it lets pass may still be wrong in what it says. A channel that the server has
// closed is left out: all may follow there.

import { METHODS, methodKey } from '../../shared/amqp/spec.ts';

export interface Frame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Buffer;
}

const PUBLISH = methodKey(60, 40);
const CHANNEL_OPEN = methodKey(20, 10);
const CHANNEL_CLOSE = methodKey(20, 40);
const CHANNEL_CLOSE_OK = methodKey(20, 41);
const CONNECTION_CLOSE = methodKey(10, 50);
const UPDATE_SECRET = methodKey(10, 70);
const KNOWN: ReadonlySet<number> = new Set(Object.values(METHODS).map(({ classId, methodId }) => methodKey(classId, methodId)));
const BASIC = 60;

interface Channel {
  /** Octets of body that are due; 'header' when that comes first, undefined between messages. */
  due: 'header' | bigint | undefined;
  publishCount: number;
}

export class Framing {
  /** The first rule that was broken. */
  broken: string | undefined;
  readonly #closed: ReadonlySet<number>;
  readonly #channels = new Map<number, Channel>();
  #isOver = false;

  /** `closed`: channels that the server has closed. */
  constructor(closed: ReadonlySet<number>) {
    this.#closed = closed;
  }

  /** At most so many publishes can have been confirmed there. */
  publishCount(channel: number): number {
    return this.#channels.get(channel)?.publishCount ?? 0;
  }

  take(frame: Frame): void {
    if (this.#isOver || this.broken !== undefined) return;
    const { type, channel, payload } = frame;
    const key = type === 1 && payload.length >= 4 ? payload.readUInt32BE(0) : 0;
    if (type === 8) this.broken = channel !== 0 || payload.length > 0 ? 'a heartbeat that is none' : undefined;
    else if (channel === 0) this.broken = this.#onConnection(type, key);
    else if (!this.#closed.has(channel)) this.broken = this.#onChannel(frame, key);
  }

  #onConnection(type: number, key: number): string | undefined {
    if (type !== 1) return `a frame of type ${type} on channel 0`;
    if (key === CONNECTION_CLOSE) this.#isOver = true;
    else if (key !== UPDATE_SECRET) return 'a method that has no place on channel 0';
    return undefined;
  }

  #onChannel({ type, channel: number, payload }: Frame, key: number): string | undefined {
    if (type < 1 || type > 3) return `a frame of type ${type}`;
    const channel = this.#channels.get(number);
    if (channel === undefined) {
      if (key === CHANNEL_OPEN) this.#channels.set(number, { due: undefined, publishCount: 0 });
      return key === CHANNEL_OPEN || key === CHANNEL_CLOSE_OK ? undefined : 'a frame on a channel that is not open';
    }
    if (channel.due === 'header') return header(channel, type, payload);
    if (channel.due !== undefined) return body(channel, channel.due, type, payload);
    if (type !== 1) return 'content without a method';
    if (!KNOWN.has(key)) return 'an unknown method';
    if (key === CHANNEL_OPEN) return 'a channel opened twice';
    if (key === CHANNEL_CLOSE) this.#channels.delete(number);
    else if (key === PUBLISH) {
      channel.due = 'header';
      channel.publishCount++;
    }
    return undefined;
  }
}

function header(channel: Channel, type: number, payload: Buffer): string | undefined {
  if (type !== 2) return `a frame of type ${type} where a content header is due`;
  if (payload.length < 14 || payload.readUInt16BE(0) !== BASIC) return 'a content header that is none';
  const bodyBytes = payload.readBigUInt64BE(4);
  channel.due = bodyBytes === 0n ? undefined : bodyBytes;
  return undefined;
}

function body(channel: Channel, due: bigint, type: number, payload: Buffer): string | undefined {
  if (type !== 3) return `a frame of type ${type} in the middle of content`;
  const left = due - BigInt(payload.length);
  if (left < 0n) return 'more body than its header said';
  channel.due = left === 0n ? undefined : left;
  return undefined;
}
