// What one AMQP connection is told of the alarm that holds it back.
// Always: once an episode, and of its end once. Refuses: to hold anything back (held-input.ts).

import type { AlarmWatcher } from '../broker/alarms.ts';
import type { Broker } from '../broker/broker.ts';

export class AlarmNotice implements AlarmWatcher {
  readonly #broker: Broker;
  readonly #tell: (reason: string | undefined) => void;
  isTold = false;

  /** `tell` gets the reason, and undefined when it is over. */
  constructor(broker: Broker, tell: (reason: string | undefined) => void) {
    this.#broker = broker;
    this.#tell = tell;
  }

  begin(): void {
    if (this.isTold) return;
    this.isTold = true;
    this.#broker.alarms.watch(this);
    this.#tell(this.#broker.alarms.reason);
  }

  unblocked(): void {
    this.isTold = false;
    this.#tell(undefined);
  }

  forget(): void {
    this.#broker.alarms.forget(this);
  }
}
