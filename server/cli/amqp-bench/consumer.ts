// The consuming end of a link: counts what is delivered, notes how old it is, acks. hot
// Always: (1) one ack for every `ackEvery` deliveries, multiple where that is more than one, all of a chunk in one write; (2) a delivery's age is taken
// once a chunk: all of a chunk arrived together; (3) `settleRest` acks what is left, so that nothing goes back to its queue.

import { methodFrame } from '../../../shared/amqp/methods.ts';
import { writeU64 } from '../../../shared/bytes.ts';
import type { Latency } from './latency.ts';
import { CHANNEL, type Link, type LinkEnd } from './link.ts';
import { isStamp, nowUs } from './stamp.ts';

// Of an ack frame: behind the frame's header, class and method.
const TAG_OFFSET = 11;

export interface ConsumerOptions {
  /** 0: the broker counts a delivery as acked when it is sent. */
  readonly ackEvery: number;
  readonly latency: Latency;
  /** Told after each chunk. */
  readonly delivered: () => void;
}

export class Consumer implements LinkEnd {
  received = 0;
  readonly #link: Link;
  readonly #options: ConsumerOptions;
  readonly #ack: Uint8Array;
  #acked = 0;
  #chunkUs = 0;

  constructor(link: Link, options: ConsumerOptions) {
    this.#link = link;
    this.#options = options;
    this.#ack = methodFrame(CHANNEL, 'basic.ack', { deliveryTag: 0, multiple: options.ackEvery > 1 });
    link.end = this;
  }

  content(stamp: number): void {
    this.received++;
    if (stamp === 0) return;
    if (this.#chunkUs === 0) this.#chunkUs = nowUs();
    if (isStamp(stamp, this.#chunkUs)) this.#options.latency.record(this.#chunkUs - stamp);
  }

  settled(): void {
    throw new Error('a confirm came to a consumer');
  }

  chunkRead(): void {
    this.#chunkUs = 0;
    const { ackEvery, delivered } = this.#options;
    if (ackEvery > 0 && this.received - this.#acked >= ackEvery) this.#settle(ackEvery);
    delivered();
  }

  settleRest(): void {
    if (this.#options.ackEvery === 0 || this.received === this.#acked) return;
    this.#link.send(CHANNEL, 'basic.ack', { deliveryTag: this.received, multiple: true });
    this.#acked = this.received;
  }

  /** A channel's delivery tags count from 1, so the n-th delivery has tag n. */
  #settle(every: number): void {
    const count = Math.floor((this.received - this.#acked) / every);
    const size = this.#ack.length;
    const frames = Buffer.allocUnsafe(count * size);
    for (let i = 0; i < count; i++) {
      this.#acked += every;
      frames.set(this.#ack, i * size);
      writeU64(frames, i * size + TAG_OFFSET, this.#acked);
    }
    this.#link.write(frames);
  }
}
