// The client's wire over AMQP 0-9-1: a Transport (transport.ts) that takes what the client says in leveret.v1 and says it in AMQP, and the other way. hot
//
//   client core  ── requests, PUBLISH, SETTLE ──▶  gateway  ── methods and content on channels ──▶  broker
//                ◀── answers, events, DELIVER, CONFIRM ──          ◀── the same ──
//
// Always: (1) the whole client stands on this side of the port unchanged: handles, reconnect, topology, publishes that are sent again, workers; (2) one link is one
// connection, with a channel for operations, one for publishes, one for requests, one for each consumer, and some for gets; (3) nothing is answered
// inside a call of the client. Refuses what AMQP cannot say: operations.ts lists that.
// Differs from the Leveret protocol as docs/client-amqp.md says.

import { Content as Published } from '../../../shared/content.ts';
import { ReplyCode } from '../../../shared/error.ts';
import { FrameParser, FrameType, PUBLISH_HEAD_BYTES, SettleAction, SettleReader } from '../../../shared/protocol/frames.ts';
import type { ClientPorts } from '../ports.ts';
import type { Link, LinkHandlers, Transport } from '../transport.ts';
import type { ByteTransport } from './bytes.ts';
import type { Settling } from './channel.ts';
import { Connection, type ConnectionUser, type Greeting } from './connection.ts';
import { type ConsumeFields, Consumer, type Consuming, deliver, Unsettled } from './consuming.ts';
import { Getting } from './getting.ts';
import { Inbound, type Refusal, refusalOf } from './inbound.ts';
import { type Asked, type Done, Operations, stepOf, unsupported } from './operations.ts';
import { PublishWriter } from './publish-frames.ts';
import { Publishing, REPLY_QUEUE } from './publishing.ts';

/** What the gateway is told beside the client's own options. */
export interface GatewayOptions {
  readonly ports: ClientPorts;
  readonly maxMessageBytes: number;
  readonly vhost?: string | undefined;
  readonly heartbeatS: number;
  readonly mechanism: 'PLAIN' | 'EXTERNAL';
}

const ACTIONS: { readonly [Action in SettleAction]: Settling } = {
  [SettleAction.Ack]: 'basic.ack',
  [SettleAction.Nack]: 'basic.nack',
  [SettleAction.Reject]: 'basic.reject',
  [SettleAction.Release]: 'basic.nack',
};
const UNLIMITED = Number.MAX_SAFE_INTEGER; // the broker alone knows its limit, and refuses what is above
const SILENCE_MS = 2_147_483_647; // without heartbeats, silence says nothing

export function amqpTransport(transport: ByteTransport, options: GatewayOptions): Transport {
  // Of all connections: then no two messages have one id.
  let lastSeq = 0;
  const nextSeq = (): number => ++lastSeq;
  return { open: (url: string, handlers: LinkHandlers): Link => new Gateway(transport, url, handlers, options, nextSeq) };
}

class Gateway implements Link, ConnectionUser, Consuming {
  readonly connection: Connection;
  readonly inbound: Inbound;
  readonly unsettled = new Unsettled();
  readonly maxMessageBytes: number;
  readonly nextSeq: () => number;
  readonly #handlers: LinkHandlers;
  readonly #options: GatewayOptions;
  readonly #vhost: string;
  readonly #operations: Operations;
  readonly #getting: Getting;
  readonly #consumers = new Map<number, Consumer>();
  readonly #publishing: Publishing;
  #requests: Publishing | undefined;
  readonly #writer = new PublishWriter();
  readonly #content = new Published();
  readonly #frames = new FrameParser();
  readonly #settles = new SettleReader();
  /** Where the publish that is being written will go. */
  #target: Publishing;
  #seq = 0;
  #helloId: number | undefined;

  constructor(transport: ByteTransport, url: string, handlers: LinkHandlers, options: GatewayOptions, nextSeq: () => number) {
    this.#handlers = handlers;
    this.#options = options;
    this.maxMessageBytes = options.maxMessageBytes;
    this.nextSeq = nextSeq;
    this.#vhost = options.vhost ?? vhostOf(url);
    this.inbound = new Inbound(handlers);
    this.connection = new Connection(transport, url, this, options.ports);
    this.#operations = new Operations(this.connection);
    this.#getting = new Getting(this);
    this.#target = this.#publishing = new Publishing(this.connection, this.inbound);
  }

  // What the client says.

  sendText(text: string): void {
    const asked: Asked = JSON.parse(text);
    // A connection that ends takes every question with it.
    if (asked.op !== 'hello' && !this.connection.isOpen) return;
    let isInside = true;
    const answer: Done = (error, ok = {}) => (error ? this.inbound.refuse(asked.id, error) : this.inbound.answer(asked.id, ok));
    const done: Done = (error, ok) => (isInside ? queueMicrotask(() => answer(error, ok)) : answer(error, ok));
    try {
      this.#ask(asked, done);
    } catch (thrown) {
      done(refusalOf(thrown));
    }
    isInside = false;
  }

  sendBinary(bytes: Uint8Array): void {
    if (!this.connection.isOpen) return;
    const frames = this.#frames.open(bytes);
    while (frames.next()) {
      if (frames.type === FrameType.Publish) this.#publish(frames);
      else if (frames.type === FrameType.Body) this.#part(bytes.subarray(frames.payloadStart, frames.payloadEnd));
      else if (frames.type === FrameType.Settle) this.#settle(frames);
    }
    this.#publishing.pump();
    this.#requests?.pump();
    this.connection.outbox.flush();
  }

  close(): void {
    this.connection.close();
  }

  #ask(asked: Asked, done: Done): void {
    switch (asked.op) {
      case 'hello': {
        const { user, password, client } = asked;
        this.#helloId = asked.id;
        const { heartbeatS, mechanism } = this.#options;
        const login = { user, password, vhost: this.#vhost, mechanism, name: client?.name ?? '', heartbeatS };
        this.connection.login(login, (greeting) => this.#greeted(greeting, user, done));
        break;
      }
      case 'publisher.open':
        this.#publishing.open((error) => done(error, { handle: asked.handle, credit: UNLIMITED }));
        break;
      case 'consume':
        if (asked.queue === REPLY_QUEUE) this.#expectReplies(asked, done);
        else this.#consume(asked, done);
        break;
      case 'consumer.cancel':
        this.#cancel(asked.handle, done);
        break;
      case 'get':
        this.#getting.get(asked.queue, asked.noAck ?? false, done);
        break;
      case 'ack':
      case 'nack':
      case 'reject':
      case 'release':
        done(this.#settleByHand(asked));
        break;
      default: {
        const step = stepOf(asked);
        if (step === undefined) done(unsupported(asked.op));
        else this.#operations.run(step, done);
      }
    }
  }

  #settleByHand(asked: Asked & { readonly op: 'ack' | 'nack' | 'reject' | 'release' }): Refusal | undefined {
    if ('multiple' in asked && asked.multiple) return unsupported(`${asked.op} of several messages`);
    const action = asked.op === 'release' ? 'basic.nack' : (`basic.${asked.op}` as const);
    const requeue = 'requeue' in asked ? asked.requeue !== false : true;
    if (this.unsettled.settle(asked.tag, action, requeue)) return undefined;
    return { code: ReplyCode.PreconditionFailed, reason: `PRECONDITION_FAILED - unknown delivery tag ${asked.tag}` };
  }

  #expectReplies({ handle, queue }: ConsumeFields, done: Done): void {
    this.#requests = new Publishing(this.connection, this.inbound, {
      content: (content, part) => (content.at > 0 ? this.inbound.body(handle, part) : deliver(this, handle, 0, content, part)),
      closed: (error) => {
        this.#requests = undefined;
        if (error !== undefined) this.cancelled(handle, error.reason);
      },
    });
    this.#requests.open((error) => {
      if (error !== undefined) this.#requests = undefined;
      done(error, { handle, queue, consumerTag: '' });
    });
  }

  #consume(asked: ConsumeFields, done: Done): void {
    const { handle, queue } = asked;
    const consumer = new Consumer(this, handle, asked);
    this.#consumers.set(handle, consumer);
    consumer.open((error, consumerTag) => {
      if (error !== undefined) this.#consumers.delete(handle);
      done(error, { handle, queue, consumerTag });
    });
  }

  #cancel(handle: number, done: Done): void {
    const consumer = this.#consumers.get(handle);
    this.#consumers.delete(handle);
    if (consumer === undefined) done(undefined);
    else consumer.cancel(() => done(undefined));
  }

  #publish({ bytes, payloadStart, payloadEnd }: FrameParser): void {
    const content = this.#content.read(bytes, payloadStart + PUBLISH_HEAD_BYTES, payloadEnd);
    this.#target = this.#requests && content.replyTo === REPLY_QUEUE ? this.#requests : this.#publishing;
    this.#writer.begin(content, ++this.#seq, this.#target.number, this.connection.bodyFrameBytes);
    this.#part(bytes.subarray(content.bodyStart, payloadEnd));
  }

  #part(part: Uint8Array): void {
    const publish = this.#writer.part(part);
    if (publish) this.#target.add(publish);
  }

  #settle({ bytes, payloadStart, payloadEnd }: FrameParser): void {
    const settles = this.#settles.open(bytes, payloadStart, payloadEnd);
    while (settles.next()) {
      const { tag, action, requeue } = settles;
      this.unsettled.settle(tag, ACTIONS[action], requeue || action === SettleAction.Release);
    }
  }

  // What the connection tells.

  opened(): void {
    this.#handlers.opened();
  }

  heard(): void {
    this.#handlers.heard();
  }

  read(): void {
    this.inbound.flush();
  }

  blocked(reason: string | undefined): void {
    this.#publishing.block(reason !== undefined);
    this.#requests?.block(reason !== undefined);
    this.inbound.text(reason === undefined ? { event: 'unblocked', reason: '' } : { event: 'blocked', reason });
  }

  cancelled(handle: number, reason: string): void {
    this.#consumers.delete(handle);
    this.inbound.text({ event: 'cancelled', handle, reason });
  }

  /** Before the greeting it is the login that is refused; later there is nobody to answer, and the client takes it as the end. */
  failed(error: Refusal): void {
    this.inbound.refuse(this.#helloId ?? null, error);
  }

  closed(reason: string): void {
    this.#handlers.closed(1006, reason);
  }

  #greeted({ product, version, channelMax, frameMax, heartbeatS }: Greeting, user: string, done: Done): void {
    this.#helloId = undefined;
    const limits = {
      messageBytes: UNLIMITED,
      frameBytes: frameMax,
      batchBytes: UNLIMITED,
      handles: channelMax,
      prefetch: 65_535,
      publisherWindowBytes: UNLIMITED,
      headerBytes: frameMax,
    };
    const heartbeatMs = heartbeatS > 0 ? heartbeatS * 1_000 : SILENCE_MS;
    const server = { product, version };
    done(undefined, { version: 1, session: '', server, vhost: this.#vhost, user, heartbeatMs, capabilities: [], limits });
  }
}

/** `amqp://host/vhost`; the path of a WebSocket is not one. */
function vhostOf(url: string): string {
  const { protocol, pathname } = new URL(url);
  return (protocol.startsWith('amqp') && decodeURIComponent(pathname.slice(1))) || '/';
}
