// One consumer of one queue: how much it may still take, and where its deliveries go. hot
// Always: (1) `unackedCount` is the number of open deliveries it got; (2) a consumer that may take nothing is parked, and whoever gives it
// room (a settle, a grant, a drained outbox) wakes it; (3) after `cancel` nothing more is delivered, but what it holds can be settled.
// Refuses: to choose among consumers (roster.ts), to encode (the protocol's outbox).

import type { FieldTable } from '../../shared/amqp/table.ts';
import type { Queue } from './queue.ts';
import type { Session } from './session.ts';

export interface ConsumeOptions {
  readonly handle: number;
  /** "" = the queue this session declared last. */
  readonly queue: string;
  /** "" = the broker names it. */
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  /** Unacked messages it may hold; 0 = no limit. */
  readonly prefetch: number;
  /** Deliveries until it grants more; undefined = no limit. */
  readonly credit: number | undefined;
  /** An x-priority argument goes before it. */
  readonly priority: number;
  readonly arguments: FieldTable;
}

/** What arguments, queue and broker come to. */
export interface ConsumerTerms {
  readonly timeoutMs: number;
  readonly askedTimeoutMs: number | undefined;
  readonly priority: number;
}

/** Where a consumer stands in its queue's roster. */
export const Standing = {
  /** In a lane: may be chosen. */
  Ready: 0,
  /** Took all it may; waits to be woken. */
  Parked: 1,
  /** Another one is the single active consumer. */
  Waiting: 2,
  /** The single active consumer that a higher priority replaces: takes nothing more, holds its place until it is settled. */
  Yielding: 3,
  Cancelled: 4,
} as const;
export type Standing = (typeof Standing)[keyof typeof Standing];

export class Consumer {
  readonly session: Session;
  readonly queue: Queue;
  readonly handle: number;
  readonly tag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly prefetch: number;
  readonly priority: number;
  /** How long a delivery may stay unacked; Infinity = for ever. */
  timeoutMs: number;
  /** What its own arguments say. */
  readonly askedTimeoutMs: number | undefined;
  unackedCount = 0;
  /** Number.POSITIVE_INFINITY when it has no limit. */
  credit: number;
  standing: Standing = Standing.Ready;

  constructor(session: Session, queue: Queue, tag: string, settings: ConsumerTerms, options: ConsumeOptions) {
    this.session = session;
    this.queue = queue;
    this.handle = options.handle;
    this.tag = tag;
    this.noAck = options.noAck;
    this.exclusive = options.exclusive;
    this.prefetch = options.noAck ? 0 : options.prefetch;
    this.priority = settings.priority;
    this.timeoutMs = settings.timeoutMs;
    this.askedTimeoutMs = settings.askedTimeoutMs;
    this.credit = options.credit ?? Number.POSITIVE_INFINITY;
  }

  get queueName(): string {
    return this.queue.name;
  }
  get isTap(): boolean {
    return this.queue.isTap;
  }

  canTake(): boolean {
    return this.credit > 0 && (this.prefetch === 0 || this.unackedCount < this.prefetch) && this.session.canTake(this);
  }
}
