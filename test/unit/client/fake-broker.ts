// A broker that a test scripts, on the far side of the client's transport port, speaking the real codec; and time that the test owns.
// Always: (1) it answers hello, handles and declares by itself unless a test says otherwise in `answers`; (2) nothing is said to the client inside a call of
// the client; (3) each link is remembered, with all that came over it in order. Refuses: to route or to queue.
import type { ClientPorts } from '../../../client/src/ports.ts';
// What the client loads on demand is here before it asks, so that a test need not wait for it.
import '../../../client/src/batches.ts';
import '../../../client/src/declare.ts';
import '../../../client/src/json-message.ts';
import '../../../client/src/pool.ts';
import '../../../client/src/rpc.ts';
import {
  type Connection,
  type ConnectOptions,
  connect,
  type Link,
  type LinkHandlers,
  type Topology,
  type Transport,
} from '../../../client/src/index.ts';
import type { Properties } from '../../../shared/amqp/properties.ts';
import { Content, encodeContent } from '../../../shared/content.ts';
import * as frames from '../../../shared/protocol/frames.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { VirtualClock } from '../../support/clock.ts';

export type Said =
  | { kind: 'text'; op: string; id: number; fields: Record<string, unknown> }
  | {
      kind: 'publish';
      message: number;
      handle: number;
      mandatory: boolean;
      exchange: string;
      key: string;
      properties: Properties;
      body: string;
      bodyBytes: number;
    }
  | { kind: 'body'; message: number; handle: number; bytes: number }
  | { kind: 'settle'; message: number; tag: number; action: 'ack' | 'nack' | 'reject' | 'release'; requeue: boolean }
  | { kind: 'close'; code: number };

export const HELLO = {
  version: 1,
  session: 'c0ffee',
  server: { product: 'Fake', version: '0' },
  vhost: '/',
  user: 'guest',
  heartbeatMs: 30_000,
  capabilities: [],
  limits: {
    messageBytes: 16_777_216,
    frameBytes: 262_144,
    batchBytes: 16_842_752,
    handles: 2047,
    prefetch: 65_535,
    publisherWindowBytes: 8_388_608,
    headerBytes: 65_536,
  },
};

const scratch = new Uint8Array(1_048_576);

type Answer = { ok: unknown } | { error: { code: number; reason: string; hint?: string } } | undefined;
type AnswerOp = (fields: Record<string, unknown>, link: FakeLink) => Answer;

export class FakeLink implements Link {
  readonly url: string;
  readonly said: Said[] = [];
  isOpen = false;
  readonly #broker: FakeBroker;
  readonly #handlers: LinkHandlers;
  #messages = 0;

  constructor(broker: FakeBroker, url: string, handlers: LinkHandlers) {
    this.#broker = broker;
    this.url = url;
    this.#handlers = handlers;
  }

  open(): void {
    this.isOpen = true;
    this.#handlers.opened();
  }
  /** The network goes away. */
  cut(code = 1006, reason = ''): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#handlers.closed(code, reason);
  }
  refuse(): void {
    this.#handlers.closed(1006, 'connection refused');
  }
  text(message: unknown): void {
    if (this.isOpen) this.#handlers.text(typeof message === 'string' ? message : JSON.stringify(message));
  }
  /** Overwritten after the call: the port says that bytes live no longer than that. */
  binary(bytes: Uint8Array): void {
    if (this.isOpen) this.#handlers.binary(bytes);
    bytes.fill(0xaa);
  }

  sendText(text: string): void {
    const { id, op, ...fields } = JSON.parse(text) as { id: number; op: string };
    this.said.push({ kind: 'text', op, id, fields });
    const answer = this.#broker.answers[op]?.(fields, this);
    if (answer !== undefined) queueMicrotask(() => this.text({ id, ...answer }));
  }
  sendBinary(bytes: Uint8Array): void {
    this.#messages++;
    const parser = new frames.FrameParser().open(bytes.slice());
    while (parser.next()) this.#record(parser);
  }
  close(code: number): void {
    this.said.push({ kind: 'close', code });
    queueMicrotask(() => this.cut(code));
  }

  #record({ type, handle, bytes, payloadStart, payloadEnd }: frames.FrameParser): void {
    const message = this.#messages;
    if (type === frames.FrameType.Publish) {
      const head = new frames.PublishHead().read(bytes, payloadStart, payloadEnd);
      const content = new Content().read(bytes, head.contentStart, payloadEnd);
      const body = new TextDecoder().decode(bytes.subarray(content.bodyStart, payloadEnd));
      const { exchange, key, properties, bodyBytes } = content;
      this.said.push({ kind: 'publish', message, handle, mandatory: head.mandatory, exchange, key, properties, body, bodyBytes });
    } else if (type === frames.FrameType.Settle) {
      const settle = new frames.SettleReader().open(bytes, payloadStart, payloadEnd);
      const names = ['ack', 'nack', 'reject', 'release'] as const;
      while (settle.next())
        this.said.push({ kind: 'settle', message, tag: settle.tag, action: names[settle.action], requeue: settle.requeue });
    } else this.said.push({ kind: 'body', message, handle, bytes: payloadEnd - payloadStart });
  }

  ops(): string[] {
    return this.said.flatMap((said) => (said.kind === 'text' ? [said.op] : []));
  }
  requests(op: string): Record<string, unknown>[] {
    return this.said.flatMap((said) => (said.kind === 'text' && said.op === op ? [said.fields] : []));
  }
  publishes(): (Said & { kind: 'publish' })[] {
    return this.said.filter((said) => said.kind === 'publish');
  }
  settles(): string[] {
    return this.said.flatMap((said) => (said.kind === 'settle' ? [`${said.action}${said.requeue ? '+' : ''} ${said.tag}`] : []));
  }

  confirm(firstSeq: number, count = 1, routed = 1, handle = 1): void {
    this.frame(frames.FrameType.Confirm, handle, (bytes, at) => frames.writeConfirm(bytes, at, firstSeq, count, routed));
  }
  refusePublish(seq: number, error: { code: number; reason: string }): void {
    this.frame(frames.FrameType.Confirm, 1, (bytes, at) => frames.writeRefused(bytes, at, seq, encodeUtf8(JSON.stringify(error))));
  }
  credit(handle: number, amount: number): void {
    this.frame(frames.FrameType.Credit, handle, (bytes, at) => frames.writeCredit(bytes, at, amount));
  }
  deliver(handle: number, tag: number, body: unknown, properties: Properties = {}, deliveryCount = 0, parts: number[] = []): void {
    const text = body instanceof Uint8Array ? body : encodeUtf8(JSON.stringify(body));
    const run = encodeContent('', 'q', { contentType: body instanceof Uint8Array ? undefined : 'application/json', ...properties }, text);
    const firstEnd = parts[0] ?? run.length;
    this.frame(frames.FrameType.Deliver, handle, (bytes, at) => {
      const next = frames.writeDeliverHead(bytes, at, tag, deliveryCount > 0, deliveryCount, 7, tag);
      bytes.set(run.subarray(0, firstEnd), next);
      return next + firstEnd;
    });
    for (let i = 0; i < parts.length; i++) {
      const part = run.subarray(parts[i], parts[i + 1] ?? run.length);
      this.frame(frames.FrameType.Body, handle, (bytes, at) => {
        bytes.set(part, at);
        return at + part.length;
      });
    }
  }
  frame(type: frames.FrameType, handle: number, write: (bytes: Uint8Array, at: number) => number): void {
    const bytes = scratch;
    const at = frames.writeFrameHeader(bytes, 0, type, handle, 0);
    this.binary(bytes.slice(0, frames.closeFrame(bytes, 0, write(bytes, at))));
  }
}

export class FakeBroker implements Transport {
  readonly links: FakeLink[] = [];
  readonly clock = new VirtualClock();
  random = 0.5;
  /** False: nobody listens. */
  isUp = true;
  credit = 8_388_608;
  readonly answers: Record<string, AnswerOp> = {
    hello: () => ({ ok: HELLO }),
    ping: () => ({ ok: {} }),
    'publisher.open': ({ handle }) => ({ ok: { handle, credit: this.credit } }),
    'publisher.close': () => ({ ok: {} }),
    consume: ({ handle, queue }) => ({ ok: { handle, queue, consumerTag: 'c' } }),
    'consumer.cancel': () => ({ ok: {} }),
    'tap.open': ({ handle }) => ({ ok: { handle } }),
    'tap.close': () => ({ ok: {} }),
    'stats.open': ({ handle }) => ({ ok: { handle } }),
    'stats.close': () => ({ ok: {} }),
    'exchange.declare': ({ exchange }) => ({ ok: { exchange } }),
    'exchange.bind': () => ({ ok: {} }),
    'queue.declare': ({ queue }) => ({ ok: { queue, messageCount: 0, consumerCount: 0 } }),
    'queue.bind': () => ({ ok: {} }),
    'queue.purge': () => ({ ok: { messageCount: 3 } }),
  };

  readonly ports: ClientPorts = {
    now: () => this.clock.now(),
    random: () => this.random,
    after: (ms, run) => {
      const timer = this.clock.setTimer(this.clock.now() + ms, run);
      return () => timer.cancel();
    },
  };

  open(url: string, handlers: LinkHandlers): Link {
    const link = new FakeLink(this, url, handlers);
    this.links.push(link);
    queueMicrotask(() => (this.isUp ? link.open() : link.refuse()));
    return link;
  }

  /** The latest link. */
  get link(): FakeLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('nobody has connected');
    return link;
  }

  connect<T extends Topology>(options: ConnectOptions<T> = {}, urls: string | string[] = 'ws://fake/ws'): Promise<Connection<T>> {
    return connect<T>(urls, { transport: this, ports: this.ports, ...options });
  }

  /** Time passes, and everything that follows from it happens. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms, turns);
  }
}

/** Lets every promise that can settle, settle: nothing here waits for time. */
export async function turns(count = 5): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}
