// What happens in the broker, told to whoever listens: the exchange amq.rabbitmq.event, the audit log, dashboards. docs/operating.md lists the kinds.
// Always: (1) an event is told after what it tells of is done, in order; (2) names and fields are those of RabbitMQ's event exchange where it has them
// (queue.created, user.password.changed); (3) a listener that throws ends nobody else's turn: its error is its own fault, and goes up; (4) without a listener or a binding
// nothing is made; (5) nothing is told of what a restart only brings back; (6) who did it is known only while `as` runs: whatever comes of itself, later in the same turn too,
// is the broker's own.
// Refuses: to keep events; whoever wants history keeps it.

import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import { Typed } from '../../shared/amqp/table.ts';
import type { Clock } from '../ports.ts';

export interface BrokerEvent {
  /** As RabbitMQ's event exchange names it; also its routing key there. */
  readonly kind: string;
  readonly at: number;
  readonly fields: FieldTable;
}

/** What RabbitMQ calls itself where nobody asked. */
export const INTERNAL_ACTOR = 'rmq-internal';
/** Of each event that is told at most so often. */
const LIMITED_MS = 1_000;
const LIMITED_MAX = 10_000;
const NO_BODY = new Uint8Array(0);
const PERSISTENT = 2; // delivery-mode

/** Where events go beside listeners. */
export interface EventOutlet {
  /** Whether anybody would get them. */
  isOpen(): boolean;
  send(key: string, properties: { headers: FieldTable; deliveryMode: number; timestamp: number }, body: Uint8Array): void;
}

export class Events {
  readonly #owner: { readonly clock: Clock };
  readonly #outlet: EventOutlet | undefined;
  readonly #listeners = new Map<(event: BrokerEvent) => void, (kind: string) => boolean>();
  /** Whether a listener wants a kind: asked once, for some are asked about at every message. */
  readonly #wanted = new Map<string, boolean>();
  readonly #toldAt = new Map<string, number>();
  #isStarted = false;
  /** undefined: nobody asked. */
  #actor: string | undefined;

  constructor(owner: { readonly clock: Clock }, outlet?: EventOutlet) {
    this.#owner = owner;
    this.#outlet = outlet;
  }

  /** The broker has recovered: from now on what happens is news. */
  start(): void {
    this.#isStarted = true;
  }

  /** Answers how to stop listening. `wants`: of which kinds it would hear. */
  listen(listener: (event: BrokerEvent) => void, wants: (kind: string) => boolean = () => true): () => void {
    this.#listeners.set(listener, wants);
    this.#wanted.clear();
    return () => {
      this.#listeners.delete(listener);
      this.#wanted.clear();
    };
  }

  /** Anybody would hear of an event of some kind. */
  get isHeard(): boolean {
    return this.#isStarted && (this.#listeners.size > 0 || (this.#outlet?.isOpen() ?? false));
  }
  /** Anybody would hear of an event of this kind. */
  hears(kind: string): boolean {
    if (!this.isHeard) return false;
    if (this.#outlet?.isOpen()) return true;
    let isWanted = this.#wanted.get(kind);
    if (isWanted === undefined) {
      isWanted = [...this.#listeners.values()].some((wants) => wants(kind));
      this.#wanted.set(kind, isWanted);
    }
    return isWanted;
  }

  /**
   * What happens in `work`, at once, is done by `actor`; after its first await nothing is. Who is asked for something by somebody else's work only helps: the first
   * to act is the one who is named.
   */
  as<Result>(actor: string, work: () => Result): Result {
    if (this.#actor !== undefined) return work();
    this.#actor = actor;
    try {
      return work();
    } finally {
      this.#actor = undefined;
    }
  }

  /** `by`: where it is known whatever else is being done. */
  emit(kind: string, fields: Readonly<Record<string, FieldValue>>, by = this.#actor ?? INTERNAL_ACTOR): void {
    if (!this.hears(kind)) return;
    const at = this.#owner.clock.now();
    const event = { kind, at, fields: new Map(Object.entries(fields)).set('user_who_performed_action', by) };
    for (const [listener, wants] of this.#listeners) if (wants(kind)) listener(event);
    if (!this.#outlet?.isOpen()) return;
    const headers = new Map(event.fields).set('timestamp_in_ms', new Typed('l', at));
    this.#outlet.send(kind, { headers, deliveryMode: PERSISTENT, timestamp: Math.floor(at / 1000) }, NO_BODY);
  }

  /** The same, where the fields cost something: they are asked for when somebody listens. */
  tell(kind: string, fields: () => Readonly<Record<string, FieldValue>>, by?: string): void {
    if (this.hears(kind)) this.emit(kind, fields(), by);
  }

  /** The same, of what comes of itself, whoever's work it happens in. */
  tellOfItself(kind: string, fields: () => Readonly<Record<string, FieldValue>>): void {
    this.tell(kind, fields, INTERNAL_ACTOR);
  }

  /** The same, at most once a second for each `about`: for what happens to messages. Answers whether it was told. */
  emitLimited(kind: string, about: string, fields: () => Readonly<Record<string, FieldValue>>): boolean {
    if (!this.hears(kind)) return false;
    const key = `${kind} ${about}`;
    const now = this.#owner.clock.now();
    const toldAt = this.#toldAt.get(key);
    if (toldAt !== undefined && now - toldAt < LIMITED_MS) return false;
    if (this.#toldAt.size >= LIMITED_MAX) this.#toldAt.clear();
    this.#toldAt.set(key, now);
    this.tellOfItself(kind, fields);
    return true;
  }
}
