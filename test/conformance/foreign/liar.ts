// A peer that does not say what the broker says: a relay of AMQP frames that changes some of them on the way. It shows that drivers look.
// Always: (1) what a lie does not mean passes unchanged, and frames stay well-formed: only their meaning is wrong; (2) a lie holds from when it is
// told until another is, on all connections; (3) `stop` leaves no socket behind.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { FRAME_HEADER_BYTES, FrameReader, FrameType, PROTOCOL_HEADER } from '../../../shared/amqp/frame.ts';
import { decodeMethod, type Method, methodFrame } from '../../../shared/amqp/methods.ts';
import { readU16 } from '../../../shared/bytes.ts';
import type { Scenario } from './scenarios.ts';

// Above what anybody negotiates.
const FRAME_BYTES_MAX = 2 ** 24;

/** Gets whole frames, may change them in place, and answers what goes on instead; undefined: nothing. */
export interface Lie {
  readonly toClient?: (frame: Uint8Array) => Uint8Array | undefined;
  readonly toBroker?: (frame: Uint8Array) => Uint8Array | undefined;
}

/** A lie about methods of one name. */
const method =
  <Name extends Method['name']>(name: Name, change: (method: Extract<Method, { name: Name }>, channel: number) => Uint8Array | undefined) =>
  (frame: Uint8Array): Uint8Array | undefined => {
    if (frame[0] !== FrameType.Method) return frame;
    const found = decodeMethod(frame, FRAME_HEADER_BYTES, frame.length - 1);
    return isNamed(found, name) ? change(found, readU16(frame, 1)) : frame;
  };

function isNamed<Name extends Method['name']>(found: Method, name: Name): found is Extract<Method, { name: Name }> {
  return found.name === name;
}

/** One word for another of the same length, in frames of one type. */
const word =
  (type: number, from: string, to: string) =>
  (frame: Uint8Array): Uint8Array => {
    if (frame[0] !== type) return frame;
    for (let at = Buffer.from(frame).indexOf(from); at !== -1; at = Buffer.from(frame).indexOf(from)) frame.set(Buffer.from(to), at);
    return frame;
  };

const both =
  (first: (frame: Uint8Array) => Uint8Array | undefined, second: (frame: Uint8Array) => Uint8Array | undefined) =>
  (frame: Uint8Array): Uint8Array | undefined => {
    const changed = first(frame);
    return changed === undefined ? undefined : second(changed);
  };

const otherBodies: Lie = {
  toClient(frame) {
    // one more, not another bit: what goes through twice must not be right again
    if (frame[0] === FrameType.Body) frame[FRAME_HEADER_BYTES] = ((frame[FRAME_HEADER_BYTES] ?? 0) + 1) % 256;
    return frame;
  },
};
const otherCodes: Lie = {
  toClient: both(
    method('channel.close', ({ fields }, channel) => methodFrame(channel, 'channel.close', { ...fields, replyCode: 403 })),
    both(word(FrameType.Method, 'NOT_FOUND', 'NOT_FOUNT'), word(FrameType.Method, 'RESOURCE_LOCKED', 'RESOURCE_LOCKET')),
  ),
};

/** What a broker says whose queue has not got the message. */
export const LOST: Lie = {
  toBroker: method('basic.publish', ({ fields }, channel) => methodFrame(channel, 'basic.publish', { ...fields, routingKey: 'elsewhere' })),
};
export const REFUSED: Lie = {
  toClient: method('basic.ack', ({ fields }, channel) => methodFrame(channel, 'basic.nack', { ...fields, requeue: false })),
};

/** For each scenario, what it must not overlook. */
export const LIES: Readonly<Record<Scenario, Lie>> = {
  confirms: REFUSED,
  'ack and nack': {
    toClient: both(
      method('basic.deliver', ({ fields }, channel) => methodFrame(channel, 'basic.deliver', { ...fields, redelivered: false })),
      method('basic.get-ok', ({ fields }, channel) => methodFrame(channel, 'basic.get-ok', { ...fields, redelivered: false })),
    ),
  },
  topology: otherCodes,
  rpc: otherBodies,
  'ttl and dlx': { toClient: word(FrameType.Header, 'expired', 'expirex') },
  '10 MB': otherBodies,
  restart: otherBodies,
  killed: otherBodies,
  headers: { toClient: word(FrameType.Header, 'text', 'texx') },
  priority: otherBodies,
  returned: { toClient: word(FrameType.Method, 'NO_ROUTE', 'NO_ROUTX') },
  exclusive: otherCodes,
  cancelled: { toClient: method('basic.cancel', () => undefined) },
  get: otherBodies,
  blocked: { toClient: method('connection.blocked', () => undefined) },
};

export class Liar {
  readonly url: string;
  lie: Lie = {};
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the liar has no port');
    this.url = `amqp://guest:guest@127.0.0.1:${address.port}`;
  }

  static async start(brokerUrl: string): Promise<Liar> {
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const broker = connect(Number(new URL(brokerUrl).port), '127.0.0.1');
      for (const [from, to, change] of [
        [client, broker, (frame: Uint8Array) => (liar.lie.toBroker ?? honest)(frame)],
        [broker, client, (frame: Uint8Array) => (liar.lie.toClient ?? honest)(frame)],
      ] as const) {
        sockets.add(from);
        from.setNoDelay(true);
        const relay = new Relay(from === client ? PROTOCOL_HEADER.length : 0, change);
        from.on('data', (chunk: Buffer) => to.write(relay.read(chunk)));
        from.on('error', () => to.destroy());
        from.on('end', () => to.end());
        from.on('close', () => {
          sockets.delete(from);
          to.destroySoon();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const liar = new Liar(server, sockets);
    return liar;
  }

  /** Ends all connections, as a broker that ends would. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const honest = (frame: Uint8Array): Uint8Array => frame;

/** One direction of one connection. */
class Relay {
  readonly #reader = new FrameReader(FRAME_BYTES_MAX);
  readonly #change: (frame: Uint8Array) => Uint8Array | undefined;
  /** Bytes before the first frame. */
  #headBytes: number;

  constructor(headBytes: number, change: (frame: Uint8Array) => Uint8Array | undefined) {
    this.#headBytes = headBytes;
    this.#change = change;
  }

  read(chunk: Uint8Array): Uint8Array {
    const head = chunk.subarray(0, this.#headBytes);
    this.#headBytes -= head.length;
    const frames: Uint8Array[] = [head];
    this.#reader.feed(chunk.subarray(head.length));
    while (this.#reader.next()) {
      const { bytes, payloadStart, payloadEnd } = this.#reader;
      const changed = this.#change(bytes.slice(payloadStart - FRAME_HEADER_BYTES, payloadEnd + 1));
      if (changed !== undefined) frames.push(changed);
    }
    return Buffer.concat(frames);
  }
}
