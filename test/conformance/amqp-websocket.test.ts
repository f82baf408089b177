// AMQP over the WebSocket port: which subprotocols are spoken, how bytes may be cut, what the end of the WebSocket means.
import { once } from 'node:events';
import { createBroker, type EmbeddedBroker } from 'leveret';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { FrameReader, FrameType, PROTOCOL_HEADER } from '../../shared/amqp/frame.ts';
import { decodeMethod, type Method, methodFrame } from '../../shared/amqp/methods.ts';
import { encodeUtf8 } from '../../shared/text.ts';

let broker: EmbeddedBroker;
let url: string;
beforeEach(async () => {
  broker = createBroker();
  url = (await broker.listen({ port: 0 })).url;
});
afterEach(() => broker.close());

/** A WebSocket whose binary messages are AMQP; sends in pieces of `pieceBytes`. */
class Peer {
  readonly socket: WebSocket;
  readonly #pieceBytes: number;
  readonly #reader = new FrameReader(131_072);
  readonly #methods: Method[] = [];
  readonly #waiting: ((method: Method) => void)[] = [];

  constructor(protocols: string[], pieceBytes: number) {
    this.socket = new WebSocket(url, protocols);
    this.#pieceBytes = pieceBytes;
    this.socket.on('message', (chunk: Buffer) => {
      this.#reader.feed(chunk);
      while (this.#reader.next()) {
        const { type, bytes, payloadStart, payloadEnd } = this.#reader;
        if (type !== FrameType.Method) continue;
        const method = decodeMethod(bytes, payloadStart, payloadEnd);
        const waiting = this.#waiting.shift();
        if (waiting === undefined) this.#methods.push(method);
        else waiting(method);
      }
    });
  }

  send(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.#pieceBytes) this.socket.send(bytes.subarray(at, at + this.#pieceBytes));
  }
  async method(): Promise<Method['name']> {
    const method = this.#methods.shift() ?? (await new Promise<Method>((resolve) => this.#waiting.push(resolve)));
    return method.name;
  }

  async open(): Promise<void> {
    await once(this.socket, 'open');
    this.send(Uint8Array.from(PROTOCOL_HEADER));
    expect(await this.method()).toBe('connection.start');
    const response = encodeUtf8('\0guest\0guest');
    this.send(methodFrame(0, 'connection.start-ok', { clientProperties: new Map(), mechanism: 'PLAIN', response, locale: 'en_US' }));
    expect(await this.method()).toBe('connection.tune');
    const tuned = methodFrame(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
    const opened = methodFrame(0, 'connection.open', { virtualHost: '/' });
    // frames and messages need not agree: two frames and a half, then the rest
    const channel = methodFrame(1, 'channel.open', {});
    this.send(Buffer.concat([tuned, opened, channel.subarray(0, 5)]));
    this.send(channel.subarray(5));
    expect([await this.method(), await this.method()]).toEqual(['connection.open-ok', 'channel.open-ok']);
  }
}

describe.each([
  ['amqp', ['amqp'], 'amqp'],
  ['amqp among others', ['mqtt', 'amqp'], 'amqp'],
  ['none', [], ''],
] as const)('the subprotocol %s', (_what, asked, echoed) => {
  test.each([1, 7, 1_000_000])('is AMQP, whatever the size of its messages (%s)', async (pieceBytes) => {
    const peer = new Peer([...asked], pieceBytes);
    await peer.open();
    expect(peer.socket.protocol).toBe(echoed);
    peer.socket.close();
  });
});

test('another subprotocol is refused before it is a WebSocket', async () => {
  const socket = new WebSocket(url, ['mqtt']);
  const [error] = (await once(socket, 'error')) as [Error];
  expect(error.message).toMatch(/400/);
});

test('a text message ends the connection with 1003', async () => {
  const peer = new Peer(['amqp'], 1_000_000);
  await once(peer.socket, 'open');
  peer.socket.send('AMQP');
  const [code] = (await once(peer.socket, 'close')) as [number];
  expect(code).toBe(1003);
});

test('64 KiB before the connection is open are too much', async () => {
  const peer = new Peer(['amqp'], 1_000_000);
  await once(peer.socket, 'open');
  peer.socket.send(Buffer.concat([Uint8Array.from(PROTOCOL_HEADER), Buffer.alloc(70_000)]));
  const [code] = (await once(peer.socket, 'close')) as [number];
  expect(code).toBe(1009);
});

test('a WebSocket that closes is a torn connection: its exclusive queue is gone and its delivery is back', async () => {
  const inside = await broker.connect();
  await inside.declareQueue('jobs');
  await inside.queue('jobs').publish('held');
  const peer = new Peer(['amqp'], 1_000_000);
  await peer.open();
  const flags = { passive: false, durable: false, exclusive: true, autoDelete: false, nowait: false, arguments: new Map() };
  peer.send(methodFrame(1, 'queue.declare', { queue: 'mine', ...flags }));
  expect(await peer.method()).toBe('queue.declare-ok');
  peer.send(methodFrame(1, 'basic.get', { queue: 'jobs', noAck: false }));
  expect(await peer.method()).toBe('basic.get-ok');
  expect(broker.stats().broker.connections).toBe(2);
  peer.socket.terminate();
  await expect.poll(() => broker.stats().broker.connections).toBe(1);
  expect(broker.stats().queues.map(({ queue, ready }) => [queue, ready])).toEqual([['jobs', 1]]);
  const message = await inside.queue('jobs').get();
  expect(message?.redelivered).toBe(true);
  message?.ack();
});

test('a connection.close over a WebSocket is answered, and the WebSocket closes in good order', async () => {
  const peer = new Peer([], 1_000_000);
  await peer.open();
  peer.send(methodFrame(0, 'connection.close', { replyCode: 200, replyText: 'bye', failedClassId: 0, failedMethodId: 0 }));
  expect(await peer.method()).toBe('connection.close-ok');
  const [code] = (await once(peer.socket, 'close')) as [number];
  expect(code).toBe(1000);
});
