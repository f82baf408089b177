// What happens in the broker, told to whoever listens: the event exchange, the audit log, dashboards.
// Always: (1) an event is told after what it tells of is done, in order; (2) names and fields are those of RabbitMQ's event exchange where it has them
// (queue.created, user.password.changed); (3) a listener that throws ends nobody else's turn: its error is its own fault, and goes up.
// Refuses: to keep events; whoever wants history keeps it.

import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import type { Clock } from '../ports.ts';

export interface BrokerEvent {
  /** As RabbitMQ's event exchange names it; also its routing key there. */
  readonly kind: string;
  readonly at: number;
  readonly fields: FieldTable;
}

export class Events {
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: BrokerEvent) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Answers how to stop listening. */
  listen(listener: (event: BrokerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(kind: string, fields: Readonly<Record<string, FieldValue>>): void {
    if (this.#listeners.size === 0) return;
    const event = { kind, at: this.#clock.now(), fields: new Map(Object.entries(fields)) };
    for (const listener of this.#listeners) listener(event);
  }
}
