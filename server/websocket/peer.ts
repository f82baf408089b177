// The far side of a connection that has logged in: what its session tells it, as frames or as JSON. hot
// Always: (1) deliveries, confirms and credit are encoded straight into the outbox, and leave once a turn; (2) a consumer that asked for JSON
// gets events, all others frames; (3) once closed nothing more is sent or answered.
// Refuses: to interpret what comes in (data-frames.ts, handlers.ts), and to decide why a connection ends (connection.ts).

import { Content } from '../../shared/content.ts';
import type { AmqpError } from '../../shared/error.ts';
import type { EventMessage, MessageJson } from '../../shared/protocol/control.ts';
import { bodyToJson, errorToJson, propertiesToJson } from '../../shared/protocol/json.ts';
import type { Broker } from '../broker/broker.ts';
import type { Consumer } from '../broker/consumer.ts';
import type { Publisher } from '../broker/publisher.ts';
import type { Session } from '../broker/session.ts';
import type { SessionSink } from '../broker/session-sink.ts';
import type { Clock } from '../ports.ts';
import type { ConsumerHandle, Handles } from './handles.ts';
import type { Outbox } from './outbox.ts';

/** What both kinds of input act on. */
export interface PeerContext {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly handles: Handles;
  readonly outbox: Outbox;
  /** Of a message's body. */
  readonly messageBytesMax: number;
  /** Of a consumer that asks for none, and what it may ask for. */
  readonly prefetch: { readonly unset: number; readonly max: number };
  /** Ends the connection, for a reason of the broker's. */
  readonly end: (error: AmqpError) => void;
  /** A new token for this login: see lease.ts. */
  readonly renew: (secret: string, done: (refusal: AmqpError | undefined) => void) => void;
}

/** What becomes of a JSON `publish`. */
export interface Outcome {
  readonly requestId: number;
  readonly stored: (routed: number) => void;
  readonly refused: (error: AmqpError) => void;
}

export class Peer implements SessionSink {
  readonly context: PeerContext;
  isClosed = false;
  /** The server shuts down: nothing new is delivered. */
  isDraining = false;
  /** JSON publishes that wait for their confirm, by seq. */
  readonly outcomes = new Map<number, Outcome>();
  readonly #jsonConsumers = new Set<Consumer>();
  readonly #content = new Content();
  #blockedReason = '';
  #session: Session | undefined;

  constructor(context: PeerContext) {
    this.context = context;
  }

  /** The broker makes a session for a sink: so the sink learns of it second. */
  attach(session: Session): void {
    this.#session = session;
  }
  get session(): Session {
    if (this.#session === undefined) throw new Error('a peer acts only after login');
    return this.#session;
  }

  event(message: EventMessage): void {
    if (!this.isClosed) this.context.outbox.text(JSON.stringify(message));
  }

  addConsumer(handle: ConsumerHandle): void {
    this.context.handles.open(handle.consumer.handle, handle);
    if (handle.isJson) this.#jsonConsumers.add(handle.consumer);
  }
  removeConsumer(consumer: Consumer): void {
    this.context.handles.close(consumer.handle);
    this.#jsonConsumers.delete(consumer);
  }

  deliver(
    consumer: Consumer,
    tag: number,
    redelivered: boolean,
    deliveryCount: number,
    queueNumber: number,
    seq: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const settleTag = consumer.noAck ? 0 : tag;
    if (this.#jsonConsumers.size > 0 && this.#jsonConsumers.has(consumer)) {
      const message = this.messageJson(bytes, start, end);
      this.event({
        event: 'deliver',
        handle: consumer.handle,
        tag: settleTag,
        redelivered,
        deliveryCount,
        id: `${queueNumber}-${seq}`,
        ...message,
      });
      return;
    }
    this.context.outbox.deliver(consumer.handle, settleTag, redelivered, deliveryCount, queueNumber, seq, bytes, start, end);
  }

  confirm(publisher: Publisher, firstSeq: number, count: number, routed: number): void {
    if (publisher.handle !== 0) this.context.outbox.confirm(publisher.handle, firstSeq, count, routed);
    else for (let seq = firstSeq; seq < firstSeq + count; seq++) this.#takeOutcome(seq)?.stored(routed);
  }

  refuse(publisher: Publisher, seq: number, error: AmqpError): void {
    if (publisher.handle !== 0) this.context.outbox.refuse(publisher.handle, seq, error);
    else this.#takeOutcome(seq)?.refused(error);
  }

  returned(publisher: Publisher, seq: number, code: number, text: string, bytes: Uint8Array, start: number, end: number): void {
    if (publisher.handle !== 0) {
      this.context.outbox.returned(publisher.handle, seq, code, text, bytes, start, end);
      return;
    }
    const requestId = this.outcomes.get(seq)?.requestId ?? 0;
    this.event({ event: 'return', handle: 0, seq: requestId, code, reason: text, ...this.messageJson(bytes, start, end) });
  }

  credit(publisher: Publisher, bytes: number): void {
    this.context.outbox.credit(publisher.handle, bytes);
  }

  cancelled(consumer: Consumer, reason: string): void {
    this.#jsonConsumers.delete(consumer);
    this.context.handles.lose(consumer.handle);
    this.event({ event: 'cancelled', handle: consumer.handle, reason });
  }

  active(consumer: Consumer, active: boolean): void {
    this.event({ event: 'active', handle: consumer.handle, active });
  }

  blocked(reason: string | undefined): void {
    this.event(reason === undefined ? { event: 'unblocked', reason: this.#blockedReason } : { event: 'blocked', reason });
    this.#blockedReason = reason ?? '';
  }

  failed(op: 'settle' | 'publish', handle: number, error: AmqpError): void {
    this.event({ event: 'error', op, handle, error: errorToJson(error) });
  }

  writable(): boolean {
    return !this.isDraining && this.context.outbox.isWritable;
  }

  takesReplies(): boolean {
    return this.context.outbox.isWritable;
  }

  flush(): void {
    if (!this.isClosed) this.context.outbox.flush();
  }

  close(error: AmqpError): void {
    this.context.end(error);
  }

  /** A content run in JSON. */
  messageJson(bytes: Uint8Array, start: number, end: number): MessageJson {
    const content = this.#content.read(bytes, start, end);
    return {
      exchange: content.exchange,
      key: content.key,
      properties: propertiesToJson(content.properties),
      ...bodyToJson(bytes, content.bodyStart, end),
    };
  }

  #takeOutcome(seq: number): Outcome | undefined {
    const outcome = this.outcomes.get(seq);
    this.outcomes.delete(seq);
    return outcome;
  }
}
