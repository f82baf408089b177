// What happened to the queues of a broker, as an oracle outside of it saw it: the kill loop and the simulation write it, history-checks.ts reads.
// Always: (1) an event has its place in one order of all events; (2) `acked`, `returned` and `discarded` are told when they are sent, so a crash
// may have undone them until they are `synced`; (3) a body is unique among attempts, and names the attempt in every queue that got it.
// Refuses: to judge, and to forget.

/** One event of one queue. */
export type QueueEvent = { readonly order: number } & (
  | {
      readonly kind: 'attempt';
      readonly body: string;
      /** Its order is promised to hold in every queue. */
      readonly publisher: string;
      readonly isPersistent: boolean;
      readonly deadlineMs: number;
      /** Priority in this queue: order is promised within a level. */
      readonly level: number;
    }
  /** The broker's answer to the attempt. None: nobody knows. */
  | { readonly kind: 'confirmed' | 'refused'; readonly body: string }
  | {
      readonly kind: 'delivered';
      readonly body: string;
      readonly consumer: string;
      readonly redelivered: boolean;
      readonly deliveryCount: number;
      readonly atMs: number;
    }
  | { readonly kind: 'acked' | 'returned' | 'discarded'; readonly body: string; readonly consumer: string }
  /** That this body was last acked, discarded or dropped is known to be on disk. */
  | { readonly kind: 'synced'; readonly body: string }
  /** That it counts so many failed deliveries was sent, or is known to be on disk. */
  | { readonly kind: 'counted'; readonly body: string; readonly deliveryCount: number; readonly isSynced: boolean }
  /** Purged, or gone with its queue: it may come again only after a crash. */
  | { readonly kind: 'dropped'; readonly body: string }
  | { readonly kind: 'opened'; readonly consumer: string; readonly prefetch: number }
  /** What it held goes back. */
  | { readonly kind: 'gone'; readonly consumer: string }
  /** The broker ended: killed without warning, or stopped in order. All consumers are gone. */
  | { readonly kind: 'killed' | 'stopped' }
  /** The stop before had no room to say that it was one. */
  | { readonly kind: 'unmarked' }
  /** From here on nothing is published, and one consumer acks whatever is left. */
  | { readonly kind: 'drain' }
);

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type Happening = Without<QueueEvent, 'order'>;
export type Attempted = Extract<QueueEvent, { kind: 'attempt' }>;
export type Delivery = Extract<QueueEvent, { kind: 'delivered' }>;

export interface QueueHistory {
  readonly queue: string;
  readonly events: readonly QueueEvent[];
  /** Where what is discarded, or expires, goes. */
  readonly deadLetters: string | undefined;
}

export class History {
  readonly #queues = new Map<string, { queue: string; events: QueueEvent[]; deadLetters: string | undefined }>();
  #order = 0;

  /** A queue that may be told of. `deadLetters` is another one. */
  declare(queue: string, deadLetters?: string): void {
    if (!this.#queues.has(queue)) this.#queues.set(queue, { queue, events: [], deadLetters });
  }

  tell(queue: string, happening: Happening): void {
    const found = this.#queues.get(queue);
    if (found === undefined) throw new Error(`no queue ${queue} in this history`);
    found.events.push({ ...happening, order: this.#order++ });
  }

  /** Something that concerns every queue. */
  tellAll(happening: Happening): void {
    for (const { events } of this.#queues.values()) events.push({ ...happening, order: this.#order });
    this.#order++;
  }

  get queues(): readonly QueueHistory[] {
    return [...this.#queues.values()];
  }

  events(queue: string): readonly QueueEvent[] {
    return this.#queues.get(queue)?.events ?? [];
  }
}
