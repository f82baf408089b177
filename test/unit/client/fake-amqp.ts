// An AMQP 0-9-1 server that a test scripts, on the far side of the client's transport port for bytes, speaking the shared codec; and time that the test owns.
// Always: (1) it shakes hands, opens channels and answers what is asked by itself unless a test says otherwise in `answers`; (2) nothing is said to the
// client inside a call of the client; (3) each link is remembered, with all that came over it in order. Refuses: to route, to queue and to confirm.
import type { ClientPorts } from '../../../client/src/ports.ts';
// What the client loads on demand is here before it asks, so that a test need not wait for it.
import '../../../client/src/batches.ts';
import '../../../client/src/declare.ts';
import '../../../client/src/json-message.ts';
import '../../../client/src/pool.ts';
import '../../../client/src/rpc.ts';
import {
  type AmqpConnectOptions,
  type ByteHandlers,
  type ByteLink,
  type ByteTransport,
  type Connection,
  connect,
  type Topology,
} from '../../../client/src/amqp/index.ts';
import { FrameReader, FrameType, writeFrameEnd, writeFrameHeader } from '../../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../../shared/amqp/methods.ts';
import { decodeProperties, encodeContentHeader, type Properties } from '../../../shared/amqp/properties.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import { readU16, readU64 } from '../../../shared/bytes.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { VirtualClock } from '../../support/clock.ts';

/** One method that came, with its content where it has one. */
export interface Said {
  readonly channel: number;
  readonly name: MethodName;
  readonly fields: Record<string, unknown>;
  readonly properties: Properties;
  body: string;
  /** Sizes of its body frames. */
  readonly frames: number[];
  /** In which write it came. */
  readonly write: number;
}

type AnswerMethod = (fields: Record<string, unknown>, link: FakeAmqpLink, channel: number) => void;

export class FakeAmqpLink implements ByteLink {
  readonly url: string;
  readonly said: Said[] = [];
  /** The protocol header that came first, then 'end' or 'cut'. */
  readonly rest: string[] = [];
  heartbeats = 0;
  isOpen = false;
  /** Chunks in which bytes reach the client. */
  chunkBytes = Number.POSITIVE_INFINITY;
  readonly #server: FakeAmqp;
  readonly #handlers: ByteHandlers;
  readonly #reader = new FrameReader(1_000_000);
  #hasHeader = false;
  #writes = 0;
  #bodyLeft = 0;
  readonly #closing = new Set<number>();

  constructor(server: FakeAmqp, url: string, handlers: ByteHandlers) {
    this.#server = server;
    this.url = url;
    this.#handlers = handlers;
  }

  open(): void {
    this.isOpen = true;
    this.#handlers.opened();
  }
  /** The network goes away. */
  tear(reason = 'torn'): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#handlers.closed(reason);
  }
  refuse(): void {
    this.#handlers.closed('connection refused');
  }

  // What the client does.

  send(bytes: Uint8Array): void {
    this.#writes++;
    let from = 0;
    if (!this.#hasHeader) {
      this.#hasHeader = true;
      from = 8;
      this.rest.push(String.fromCharCode(...bytes.subarray(0, 4)) + bytes.subarray(4, 8).join('-'));
      queueMicrotask(() => this.#server.greet(this));
    }
    this.#reader.feed(bytes.slice(from));
    while (this.#reader.next()) this.#record(this.#reader);
  }
  end(): void {
    this.rest.push('end');
    setImmediate(() => this.tear('ended'));
  }
  cut(): void {
    this.rest.push('cut');
    setImmediate(() => this.tear('cut'));
  }

  #record({ type, channel, bytes, payloadStart: start, payloadEnd: end }: FrameReader): void {
    const last = this.said.at(-1);
    if (type === FrameType.Heartbeat) this.heartbeats++;
    else if (type === FrameType.Method) {
      const { name, fields } = decodeMethod(bytes, start, end);
      this.said.push({ channel, name, fields: { ...fields }, properties: {}, body: '', frames: [], write: this.#writes });
      if (name === 'channel.close-ok') this.#closing.delete(channel);
      queueMicrotask(() => {
        if (!this.#closing.has(channel)) this.#server.answers[name]?.(fields, this, channel);
      });
    } else if (last === undefined || last.channel !== channel) throw new Error('content on another channel than its method');
    else if (type === FrameType.Header) {
      Object.assign(last.properties, decodeProperties(bytes, start + 14, end, readU16(bytes, start + 12)));
      this.#bodyLeft = readU64(bytes, start + 4);
    } else {
      last.frames.push(end - start);
      last.body += new TextDecoder().decode(bytes.subarray(start, end));
      this.#bodyLeft -= end - start;
      if (this.#bodyLeft < 0) throw new Error('more body than announced');
    }
  }

  // What a test asks about it.

  methods(): string[] {
    return this.said.map(({ channel, name }) => `${channel} ${name}`);
  }
  of(name: MethodName): Said[] {
    return this.said.filter((said) => said.name === name);
  }
  publishes(): string[] {
    return this.of('basic.publish').map(({ body }) => body);
  }
  settles(): string[] {
    return this.said
      .filter(({ name }) => name === 'basic.ack' || name === 'basic.nack' || name === 'basic.reject')
      .map(({ channel, name, fields }) => `${channel} ${name.slice(6)}${fields['requeue'] ? '+' : ''} ${fields['deliveryTag']}`);
  }
  /** The channel on which a queue is consumed. */
  consumerOf(queue: string): number {
    return this.of('basic.consume').findLast(({ fields }) => fields['queue'] === queue)?.channel ?? -1;
  }
  get publishChannel(): number {
    return this.of('confirm.select')[0]?.channel ?? -1;
  }

  // What a test makes the server say.

  say<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): void {
    this.bytes(methodFrame(channel, name, fields));
  }
  ack(deliveryTag: number, multiple = false, channel = this.publishChannel): void {
    this.say(channel, 'basic.ack', { deliveryTag, multiple });
  }
  nack(deliveryTag: number, multiple = false): void {
    this.say(this.publishChannel, 'basic.nack', { deliveryTag, multiple, requeue: false });
  }
  /** What comes on it until close-ok is not looked at. */
  closeChannel(channel: number, replyCode: number, replyText: string): void {
    this.#closing.add(channel);
    this.say(channel, 'channel.close', { replyCode, replyText, failedClassId: 60, failedMethodId: 40 });
  }
  deliver(channel: number, deliveryTag: number, body: unknown, properties: Properties = {}, redelivered = false, part = 100_000): void {
    const bytes = body instanceof Uint8Array ? body : encodeUtf8(JSON.stringify(body));
    const method = { consumerTag: 'c', deliveryTag, redelivered, exchange: '', routingKey: 'q' };
    this.content(channel, methodFrame(channel, 'basic.deliver', method), { contentType: 'application/json', ...properties }, bytes, part);
  }
  get(channel: number, deliveryTag: number, body: unknown): void {
    const method = { deliveryTag, redelivered: false, exchange: '', routingKey: 'q', messageCount: 0 };
    this.content(
      channel,
      methodFrame(channel, 'basic.get-ok', method),
      { contentType: 'application/json' },
      encodeUtf8(JSON.stringify(body)),
    );
  }
  giveBack(published: Said, replyCode = 312, replyText = 'NO_ROUTE', properties: Properties = published.properties): void {
    const { channel, fields, body } = published;
    const method = { replyCode, replyText, exchange: String(fields['exchange']), routingKey: String(fields['routingKey']) };
    this.content(channel, methodFrame(channel, 'basic.return', method), properties, encodeUtf8(body));
  }
  content(channel: number, method: Uint8Array, properties: Properties, body: Uint8Array, part = 100_000): void {
    const frames = [method, frame(FrameType.Header, channel, encodeContentHeader(properties, body.length))];
    for (let at = 0; at < body.length; at += part) frames.push(frame(FrameType.Body, channel, body.subarray(at, at + part)));
    this.bytes(Buffer.concat(frames));
  }
  bytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.isOpen; at += this.chunkBytes) {
      this.#handlers.bytes(Uint8Array.from(bytes.subarray(at, at + this.chunkBytes)));
      if (this.chunkBytes === Number.POSITIVE_INFINITY) return;
    }
  }
}

export function frame(type: number, channel: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(payload.length + 8);
  const at = writeFrameHeader(bytes, 0, type, channel, payload.length);
  bytes.set(payload, at);
  writeFrameEnd(bytes, at + payload.length);
  return bytes;
}

export class FakeAmqp implements ByteTransport {
  readonly links: FakeAmqpLink[] = [];
  readonly clock = new VirtualClock();
  /** False: nobody listens. */
  isUp = true;
  tune = { channelMax: 2047, frameMax: 131_072, heartbeat: 60 };
  mechanisms = 'AMQPLAIN PLAIN';
  readonly answers: { [Name in MethodName]?: AnswerMethod } = {
    'connection.start-ok': (_fields, link) => link.say(0, 'connection.tune', this.tune),
    'connection.open': (_fields, link) => link.say(0, 'connection.open-ok', {}),
    'connection.close': (_fields, link) => link.say(0, 'connection.close-ok', {}),
    'channel.open': ok('channel.open-ok'),
    'channel.close': ok('channel.close-ok'),
    'confirm.select': ok('confirm.select-ok'),
    'exchange.declare': ok('exchange.declare-ok'),
    'exchange.bind': ok('exchange.bind-ok'),
    'queue.declare': ({ queue }, link, channel) =>
      link.say(channel, 'queue.declare-ok', { queue: String(queue) || 'amq.gen-1', messageCount: 0, consumerCount: 0 }),
    'queue.bind': ok('queue.bind-ok'),
    'queue.purge': (_fields, link, channel) => link.say(channel, 'queue.purge-ok', { messageCount: 3 }),
    'queue.delete': (_fields, link, channel) => link.say(channel, 'queue.delete-ok', { messageCount: 0 }),
    'basic.qos': ok('basic.qos-ok'),
    'basic.consume': ({ consumerTag }, link, channel) => link.say(channel, 'basic.consume-ok', { consumerTag: String(consumerTag) }),
    'basic.cancel': ({ consumerTag }, link, channel) => link.say(channel, 'basic.cancel-ok', { consumerTag: String(consumerTag) }),
    'basic.get': (_fields, link, channel) => link.say(channel, 'basic.get-empty', {}),
  };

  readonly ports: ClientPorts = {
    now: () => this.clock.now(),
    random: () => 0.5,
    after: (ms, run) => {
      const timer = this.clock.setTimer(this.clock.now() + ms, run);
      return () => timer.cancel();
    },
  };

  open(url: string, handlers: ByteHandlers): ByteLink {
    const link = new FakeAmqpLink(this, url, handlers);
    this.links.push(link);
    queueMicrotask(() => (this.isUp ? link.open() : link.refuse()));
    return link;
  }

  /** The protocol header has come. */
  greet(link: FakeAmqpLink): void {
    link.say(0, 'connection.start', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: new Map([
        ['product', 'Fake'],
        ['version', '1.2'],
      ]),
      mechanisms: encodeUtf8(this.mechanisms),
      locales: encodeUtf8('en_US'),
    });
  }

  /** The latest link. */
  get link(): FakeAmqpLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('nobody has connected');
    return link;
  }

  connect<T extends Topology>(options: AmqpConnectOptions<T> = {}, urls: string | string[] = 'amqp://fake'): Promise<Connection<T>> {
    return connect<T>(urls, { transport: this, ports: this.ports, ...options });
  }

  /** Time passes, and everything that follows from it happens. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms, turns);
  }
}

function ok<Name extends Extract<Method, { readonly fields: Readonly<Record<never, never>> }>['name']>(name: Name): AnswerMethod {
  return (_fields, link, channel) => link.bytes(methodFrame(channel, name, {} as MethodFields<Name>)); // those that have no fields
}

/** Lets every promise that can settle, settle: nothing here waits for time. */
export async function turns(count = 8): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}
