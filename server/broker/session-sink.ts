// What a protocol does for a session: its connection implements this, and encodes straight into its outbox. hot
// Always: bytes that are given are valid only during the call; `flush` is called once a turn, after all that the turn had to say.
// Refuses: anything of one protocol. RabbitMQ has its writer process here; ours is a method call.

import type { AmqpError } from '../../shared/error.ts';
import type { Consumer } from './consumer.ts';
import type { Publisher } from './publisher.ts';

/** What a protocol's connection does for its session. Bytes given are valid only during the call. */
export interface SessionSink {
  /** Encodes one delivery: the content run is bytes[start, end). `tag` also counts auto-ack deliveries, which nobody settles. */
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
  ): void;
  confirm(publisher: Publisher, firstSeq: number, count: number, routed: number): void;
  refuse(publisher: Publisher, seq: number, error: AmqpError): void;
  returned(publisher: Publisher, seq: number, code: number, text: string, bytes: Uint8Array, start: number, end: number): void;
  /** The publisher may send so many bytes more; for one that its protocol holds back: a queue has let go of so many. */
  credit(publisher: Publisher, bytes: number): void;
  cancelled(consumer: Consumer, reason: string): void;
  active(consumer: Consumer, active: boolean): void;
  /** undefined: no longer. Only to sessions that publish. */
  blocked(reason: string | undefined): void;
  /** Something a data frame asked failed, and no confirm can say so. */
  failed(op: 'settle' | 'publish', handle: number, error: AmqpError): void;
  /** False: the outbox is over its limit. session.resume() follows when it has drained. */
  writable(): boolean;
  /** Whether an answer to a request can be sent: only what piles up unread stands against that. */
  takesReplies(): boolean;
  /** The turn is over: what was encoded goes to the socket. */
  flush(): void;
  /** The broker ends this connection. */
  close(error: AmqpError): void;
}

/** What a get found. The content run is bytes[start, end), valid only during the call. */
export interface Got {
  readonly tag: number;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly queueNumber: number;
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly messageCount: number;
}
