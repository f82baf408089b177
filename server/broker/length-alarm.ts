// Whether a queue has come to its limit of length, told as events: queue.limit_reached and, once it is below nine tenths of it again, queue.limit_cleared. hot
// Always: (1) each episode is told at its begin and its end, not message by message; (2) one that begins within a second of the last told one is told when it still lasts after it.
// Refuses: to enforce the limit (queue.ts).

import type { FieldValue } from '../../shared/amqp/table.ts';
import type { Broker } from './broker.ts';
import type { Queue } from './queue.ts';

const CLEARS_AT = 0.9; // of the limit, or it would flutter

export class LengthAlarm {
  readonly #broker: Broker;
  readonly #queue: Queue;
  #isTold = false;

  constructor(broker: Broker, queue: Queue) {
    this.#broker = broker;
    this.#queue = queue;
  }

  /** A message found no room, or another had to go for it. */
  reached(): void {
    if (this.#isTold || this.#queue.isTap) return;
    this.#isTold = this.#broker.events.emitLimited('queue.limit_reached', String(this.#queue.number), () => this.#fields());
  }

  /** Something left, or the limit is another. */
  left(): void {
    if (!this.#isTold) return;
    const { readyCount, readyBytes, settings } = this.#queue;
    if (readyCount >= settings.maxLength * CLEARS_AT || readyBytes >= settings.maxLengthBytes * CLEARS_AT) return;
    this.#isTold = false;
    this.#broker.events.tellOfItself('queue.limit_cleared', () => this.#fields());
  }

  #fields(): Readonly<Record<string, FieldValue>> {
    const { name, vhost, readyCount, readyBytes, settings } = this.#queue;
    const limits = Object.entries({ max_length: settings.maxLength, max_length_bytes: settings.maxLengthBytes });
    return {
      name,
      vhost: vhost.name,
      messages_ready: readyCount,
      message_bytes_ready: readyBytes,
      overflow: settings.overflow,
      ...Object.fromEntries(limits.filter(([, limit]) => limit !== Number.POSITIVE_INFINITY)),
    };
  }
}
