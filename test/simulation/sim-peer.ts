// A client of a simulated broker: its session, what it holds, and what it tells the oracle of all that it is sent.
// Always: a delivery is told in the moment in which the session hands it over. Refuses: to decide what to do with it: workload.ts does.

import type { Broker } from '../../server/broker/broker.ts';
import type { Consumer } from '../../server/broker/consumer.ts';
import { trustedAccount } from '../../server/broker/login.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { Session } from '../../server/broker/session.ts';
import type { Got, SessionSink } from '../../server/broker/session-sink.ts';
import { Content } from '../../shared/content.ts';
import type { AmqpError } from '../../shared/error.ts';
import type { Copy, Oracle, Sent } from './oracle.ts';
import type { SimEnv } from './sim-env.ts';

export interface Held extends Copy {
  readonly tag: number;
  readonly consumer: string;
  readonly deliveryCount: number;
}

interface Reading {
  readonly name: string;
  readonly queue: string;
  readonly consumer: Consumer;
}

export class SimPeer implements SessionSink {
  readonly name: string;
  readonly session: Session;
  readonly publisher: Publisher;
  /** By delivery tag. */
  readonly held = new Map<number, Held>();
  /** By handle. */
  readonly readings = new Map<number, Reading>();
  /** Unconfirmed, by seq. */
  readonly unconfirmed = new Map<number, Sent>();
  isClosed = false;
  readonly #env: SimEnv;
  readonly #oracle: Oracle;
  readonly #received: (peer: SimPeer, held: Held) => void;
  #handle = 10;

  constructor(
    broker: Broker,
    name: string,
    isTransactional: boolean,
    around: { env: SimEnv; oracle: Oracle; received: (peer: SimPeer, held: Held) => void },
  ) {
    this.name = name;
    this.#env = around.env;
    this.#oracle = around.oracle;
    this.#received = around.received;
    this.session = broker.openSession(this, { account: trustedAccount('guest'), vhost: '/', name });
    if (isTransactional) this.session.txSelect();
    this.publisher = this.session.openPublisher(1, !isTransactional);
  }

  consume(queue: string, prefetch: number): void {
    const handle = this.#handle++;
    const name = `${this.name}.${handle}`;
    this.#oracle.tell(queue, { kind: 'opened', consumer: name, prefetch });
    const consumer = this.session.consume({
      handle,
      queue,
      consumerTag: name,
      noAck: false,
      exclusive: false,
      prefetch,
      credit: undefined,
      priority: 0,
      arguments: new Map(),
    });
    this.readings.set(handle, { name, queue, consumer });
  }

  get(queue: string, noAck: boolean): void {
    const consumer = `${this.name}.get`;
    this.session.get(queue, noAck, (got: Got | undefined) => {
      if (got === undefined) return;
      const body = this.#tellDelivered(queue, consumer, got.redelivered, got.deliveryCount, got.bytes, got.start, got.end);
      if (noAck) this.#oracle.tell(queue, { kind: 'acked', body, consumer });
      else this.#take({ queue, body, consumer, tag: got.tag, deliveryCount: got.deliveryCount });
    });
  }

  /** Ends its session: what it held goes back. */
  leave(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const consumers = new Map([...this.held.values()].map(({ consumer, queue }) => [`${queue} ${consumer}`, { queue, consumer }]));
    for (const { queue, consumer } of consumers.values()) this.#oracle.tell(queue, { kind: 'gone', consumer });
    this.held.clear();
    this.session.close();
  }

  deliver(
    consumer: Consumer,
    tag: number,
    redelivered: boolean,
    deliveryCount: number,
    _queueNumber: number,
    _seq: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const reading = this.readings.get(consumer.handle);
    const queue = consumer.queue.name;
    const name = reading?.name ?? `${this.name}.${consumer.handle}`;
    const body = this.#tellDelivered(queue, name, redelivered, deliveryCount, bytes, start, end);
    this.#take({ queue, body, consumer: name, tag, deliveryCount });
  }

  #tellDelivered(
    queue: string,
    consumer: string,
    redelivered: boolean,
    deliveryCount: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): string {
    const content = new Content().read(bytes, start, end);
    const body = Buffer.from(bytes.buffer, bytes.byteOffset + content.bodyStart, end - content.bodyStart).toString('latin1');
    this.#oracle.tell(queue, { kind: 'delivered', body, consumer, redelivered, deliveryCount, atMs: this.#env.nowMs });
    return body;
  }
  #take(held: Held): void {
    this.held.set(held.tag, held);
    this.#received(this, held);
  }

  confirm(_publisher: Publisher, firstSeq: number, count: number, routed: number): void {
    for (let seq = firstSeq; seq < firstSeq + count; seq++) {
      const sent = this.unconfirmed.get(seq);
      this.unconfirmed.delete(seq);
      if (sent === undefined) this.#oracle.complain(`${this.name}: a confirm of ${seq}, which is not open`);
      else this.#oracle.confirmed(sent, routed);
    }
  }
  refuse(_publisher: Publisher, seq: number, error: AmqpError): void {
    const sent = this.unconfirmed.get(seq);
    this.unconfirmed.delete(seq);
    this.#oracle.note(`refused ${error.message}`);
    for (const queue of sent?.queues ?? []) this.#oracle.tell(queue, { kind: 'refused', body: sent?.body ?? '' });
  }
  cancelled(consumer: Consumer): void {
    this.readings.delete(consumer.handle);
  }
  failed(op: string, _handle: number, error: AmqpError): void {
    this.#oracle.note(`failed ${op} ${error.message}`);
  }
  returned(): void {}
  credit(): void {}
  active(): void {}
  blocked(reason: string | undefined): void {
    this.#oracle.note(`blocked ${reason}`);
    this.#oracle.count('blocked');
  }
  takesReplies(): boolean {
    return this.writable();
  }
  writable(): boolean {
    return true;
  }
  flush(): void {}
  /** The broker ends it. */
  close(error: AmqpError): void {
    this.isClosed = true;
    this.#oracle.note(`closed ${error.message}`);
  }
}
