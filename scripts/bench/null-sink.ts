// A session's other end that takes everything and keeps a count: what the engine costs without a socket.

import type { Consumer } from '../../server/broker/consumer.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { SessionSink } from '../../server/broker/session-sink.ts';
import type { AmqpError } from '../../shared/error.ts';

export class NullSink implements SessionSink {
  delivered = 0;
  deliveredBytes = 0;
  closedBy: Error | undefined;

  deliver(
    _consumer: Consumer,
    _tag: number,
    _redelivered: boolean,
    _deliveryCount: number,
    _queueNumber: number,
    _seq: number,
    _bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.delivered++;
    this.deliveredBytes += end - start;
  }
  confirm(_publisher: Publisher, _firstSeq: number, _count: number): void {
    // nothing waits for it
  }
  refuse(_publisher: Publisher, _seq: number, error: AmqpError): void {
    throw error;
  }
  returned(): void {
    throw new Error('a benchmark publishes nothing mandatory');
  }
  credit(): void {
    // the engine rows publish in bounded turns
  }
  cancelled(_consumer: Consumer, reason: string): void {
    throw new Error(reason);
  }
  active(): void {
    // no single active consumer here
  }
  blocked(): void {
    // rows that fill memory do so on purpose
  }
  failed(_op: 'settle' | 'publish', _handle: number, error: AmqpError): void {
    throw error;
  }
  takesReplies(): boolean {
    return this.writable();
  }
  writable(): boolean {
    return true;
  }
  flush(): void {
    // nothing was encoded
  }
  close(error: Error): void {
    this.closedBy = error;
  }
}
