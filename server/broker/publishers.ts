// The publishers of one session: what waits for a confirm, what credit goes back, and that an alarm is told to those who publish.
// Always: (1) a publisher is confirmed in the order of its publishes; (2) an alarm is told once an episode, and its end to whoever was told.
// Refuses: to take messages in (intake.ts) and to know transactions (session.ts).

import type { Broker } from './broker.ts';
import { Discipline, type Publisher } from './publisher.ts';
import type { SessionSink } from './session-sink.ts';

export class Publishers {
  readonly #broker: Broker;
  readonly #sink: SessionSink;
  readonly #touch: () => void;
  readonly #open = new Set<Publisher>();
  readonly #unconfirmed = new Set<Publisher>();
  wasToldBlocked = false;
  #hasPublished = false;

  /** `touch`: something waits for the sink's end of turn. */
  constructor(broker: Broker, sink: SessionSink, touch: () => void) {
    this.#broker = broker;
    this.#sink = sink;
    this.#touch = touch;
  }

  /** Publishes that wait for their confirm. */
  get unconfirmedCount(): number {
    let count = 0;
    for (const publisher of this.#open) count += publisher.unconfirmedCount;
    return count;
  }
  get hasUnconfirmed(): boolean {
    return this.#unconfirmed.size > 0;
  }
  get hasConfirming(): boolean {
    for (const { confirm } of this.#open) if (confirm) return true;
    return false;
  }

  add(publisher: Publisher): void {
    this.#open.add(publisher);
    if (!this.#broker.isBlocked || publisher.discipline !== Discipline.Credit) return;
    this.#hasPublished = true; // it wants to, and must hear why it may not
    this.#sayBlocked();
  }

  remove(publisher: Publisher): void {
    publisher.isClosed = true;
    this.#open.delete(publisher);
    this.#unconfirmed.delete(publisher);
  }

  clear(): void {
    this.#open.clear();
    this.#unconfirmed.clear();
  }

  /** `publisher` took a message in, or was refused one. */
  published(publisher: Publisher): void {
    if (publisher.discipline !== Discipline.Stream) this.#hasPublished = true;
    if (this.#broker.isBlocked) this.#sayBlocked();
  }

  awaitConfirm(publisher: Publisher): void {
    this.#unconfirmed.add(publisher);
  }

  /** Confirms what is durable. False when that was nothing: a publish that is held must not keep the turns going. */
  confirmUpTo(durable: number): boolean {
    let isTold = false;
    for (const publisher of this.#unconfirmed) {
      const count = publisher.confirmUpTo(durable);
      this.#broker.totals.confirmed += count;
      if (count > 0) isTold = true;
      publisher.closeRun();
      if (!publisher.hasUnconfirmed) this.#unconfirmed.delete(publisher);
    }
    return isTold;
  }

  /** The end of a turn: credit goes back, and so does the word that an alarm is over. */
  endTurn(): void {
    if (this.#broker.isBlocked) return;
    for (const publisher of this.#open) publisher.replenish();
    if (!this.wasToldBlocked) return;
    this.wasToldBlocked = false;
    this.#sink.blocked(undefined);
  }

  /** An alarm begins. Who has credit must hear that it is worth nothing; who streams hears it at its next publish, as in RabbitMQ. */
  tellBlocked(): void {
    if (this.#hasPublished) this.#sayBlocked();
  }

  /** Once per episode. */
  #sayBlocked(): void {
    if (this.wasToldBlocked) return;
    this.wasToldBlocked = true;
    this.#sink.blocked(this.#broker.alarms.reason);
    this.#touch();
  }
}
