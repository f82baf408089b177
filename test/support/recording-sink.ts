// A session's sink that records, or only counts, what the broker sends. For tests and benchmarks of the engine without a protocol.
// Always: content is copied when it is kept, since the bytes given are valid only during the call. Refuses: to be slow: `keep` is off by default.

import type { Consumer } from '../../server/broker/consumer.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { SessionSink } from '../../server/broker/session-sink.ts';
import { Content } from '../../shared/content.ts';
import type { AmqpError } from '../../shared/error.ts';

export interface Delivered {
  handle: number;
  tag: number;
  redelivered: boolean;
  deliveryCount: number;
  content: Content;
  body: string;
}

export class RecordingSink implements SessionSink {
  readonly delivered: Delivered[] = [];
  readonly confirmed: { firstSeq: number; count: number; routed: number }[] = [];
  readonly refused: { seq: number; error: AmqpError }[] = [];
  readonly returns: { seq: number; code: number }[] = [];
  readonly cancels: { handle: number; reason: string }[] = [];
  readonly actives: { handle: number; active: boolean }[] = [];
  readonly failures: AmqpError[] = [];
  readonly closes: AmqpError[] = [];
  readonly blocks: (string | undefined)[] = [];
  deliveredCount = 0;
  isWritable = true;
  keep = true;

  deliver(
    consumer: Consumer,
    tag: number,
    redelivered: boolean,
    deliveryCount: number,
    _queue: number,
    _seq: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.deliveredCount++;
    if (!this.keep) return;
    const run = new Uint8Array(bytes.subarray(start, end)); // a Buffer's slice would be a view
    const content = new Content().read(run, 0, run.length);
    this.delivered.push({
      handle: consumer.handle,
      tag,
      redelivered,
      deliveryCount,
      content,
      body: new TextDecoder().decode(run.subarray(content.bodyStart)),
    });
  }
  confirm(_publisher: Publisher, firstSeq: number, count: number, routed: number): void {
    if (this.keep) this.confirmed.push({ firstSeq, count, routed });
  }
  refuse(_publisher: Publisher, seq: number, error: AmqpError): void {
    this.refused.push({ seq, error });
  }
  returned(_publisher: Publisher, seq: number, code: number): void {
    this.returns.push({ seq, code });
  }
  credit(): void {}
  cancelled(consumer: Consumer, reason: string): void {
    this.cancels.push({ handle: consumer.handle, reason });
  }
  active(consumer: Consumer, active: boolean): void {
    this.actives.push({ handle: consumer.handle, active });
  }
  blocked(reason: string | undefined): void {
    this.blocks.push(reason);
  }
  failed(_op: string, _handle: number, error: AmqpError): void {
    this.failures.push(error);
  }
  takesReplies(): boolean {
    return this.writable();
  }
  writable(): boolean {
    return this.isWritable;
  }
  flush(): void {}
  close(error: AmqpError): void {
    this.closes.push(error);
  }
}
