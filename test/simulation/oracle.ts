// What the peers of a simulated broker saw, as a history; and what of it the disk must have.
// Always: (1) a thing is told at the moment at which it happens; (2) a settle is known to be synced when a persistent publish that came after it is
// confirmed, or when the log has had the time that it promises; (3) a transaction is whole: where a crash leaves a part of one, it leaves all.
// Refuses: to act. workload.ts acts.

import { crc32 } from 'node:zlib';
import type { Happening } from '../../scripts/kill-loop/history.ts';
import { History } from '../../scripts/kill-loop/history.ts';
import { checkHistory } from '../../scripts/kill-loop/history-checks.ts';

/** A body in a queue. */
export interface Copy {
  readonly queue: string;
  readonly body: string;
}

export interface Sent {
  readonly body: string;
  readonly queues: readonly string[];
  readonly isPersistent: boolean;
  /** Of its record; 0 where it has none, as a transient message. */
  lsn: number;
}

interface Owed extends Copy {
  readonly lsn: number;
  readonly atMs: number;
  /** Undefined: settled; else how many failed deliveries it counts. */
  readonly deliveryCount: number | undefined;
}

interface Transacted {
  readonly sent: readonly Sent[];
  readonly acked: readonly Copy[];
  isDone: boolean;
  /** In which life it was committed. */
  readonly life: number;
}

export class Oracle {
  readonly history = new History();
  readonly complaints: string[] = [];
  readonly trace: string[] = [];
  readonly tally = new Map<string, number>();
  readonly #transactions: Transacted[] = [];
  /** Life by life: what was delivered in it. */
  readonly #delivered: Set<string>[] = [new Set()];
  readonly #dropped = new Set<string>();
  #owed: Owed[] = [];
  /** Persistent, by body: sent when, and not answered yet. */
  readonly #waiting = new Map<string, number>();
  #hash = 0;

  complain(text: string): void {
    const complaint = text.replaceAll(/\.{2,}/g, ''); // what bodies are filled with
    this.complaints.push(complaint);
    this.note(`complaint ${complaint}`);
  }

  /** A line of the trace. */
  note(line: string): void {
    this.trace.push(line);
    this.#hash = crc32(line, this.#hash);
  }
  get traceHash(): number {
    return this.#hash;
  }
  count(what: string, by = 1): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + by);
  }

  tell(queue: string, happening: Happening): void {
    this.history.tell(queue, happening);
    const who = 'body' in happening ? happening.body.slice(0, 12) : 'consumer' in happening ? happening.consumer : '';
    const how = happening.kind === 'delivered' ? `${happening.redelivered} ${happening.deliveryCount}` : '';
    this.note(`${happening.kind} ${queue} ${who} ${how}`);
    this.count(happening.kind);
    if (happening.kind === 'refused') this.#waiting.delete(happening.body);
    if (happening.kind === 'dropped') this.#dropped.add(`${queue} ${happening.body}`);
    if (happening.kind === 'delivered') this.#delivered[this.#delivered.length - 1]?.add(`${queue} ${happening.body}`);
  }

  attempted(
    { body, queues, isPersistent }: Sent,
    nowMs: number,
    more: Omit<Extract<Happening, { kind: 'attempt' }>, 'kind' | 'body' | 'deadlineMs' | 'level'>,
    each: (queue: string) => { deadlineMs: number; level: number },
  ): void {
    if (isPersistent) this.#waiting.set(body, nowMs);
    for (const queue of queues) this.tell(queue, { kind: 'attempt', body, ...more, ...each(queue) });
  }
  confirmed({ body, queues, lsn: evidence }: Sent, routed: number): void {
    if (routed !== queues.length)
      this.complain(`${body.slice(0, 12)} was routed to ${routed} of ${queues.length} queues: a binding is lost`);
    this.#waiting.delete(body);
    for (const queue of queues) this.tell(queue, { kind: 'confirmed', body });
    this.#synced(({ lsn }) => lsn <= evidence);
  }

  /** An ack, or a return that counts, went into the log as `lsn`. */
  owes({ queue, body }: Copy, lsn: number, atMs: number, deliveryCount?: number): void {
    this.#owed.push({ queue, body, lsn, atMs, deliveryCount });
    if (deliveryCount !== undefined) this.tell(queue, { kind: 'counted', body, deliveryCount, isSynced: false });
  }

  #synced(isSynced: (owed: Owed) => boolean): void {
    const synced = this.#owed.filter(isSynced);
    if (synced.length === 0) return;
    this.#owed = this.#owed.filter((owed) => !isSynced(owed));
    for (const { queue, body, deliveryCount } of synced) {
      if (deliveryCount === undefined) this.tell(queue, { kind: 'synced', body });
      else this.tell(queue, { kind: 'counted', body, deliveryCount, isSynced: true });
    }
  }

  transacted(sent: readonly Sent[], acked: readonly Copy[]): () => void {
    const transaction: Transacted = { sent, acked, isDone: false, life: this.#delivered.length - 1 };
    this.#transactions.push(transaction);
    this.count('transaction');
    return () => {
      transaction.isDone = true;
      for (const one of sent) this.confirmed(one, one.queues.length);
      for (const { queue, body } of acked) this.tell(queue, { kind: 'synced', body });
    };
  }

  /** The broker is gone. What was settled by `lazyMs` is on disk, unless the disk is so far behind that what was published by `behindMs` still waits. */
  died(how: 'killed' | 'stopped', lazyMs: number, behindMs: number): void {
    const isBehind = [...this.#waiting.values()].some((atMs) => atMs <= behindMs);
    this.#waiting.clear();
    if (!isBehind) this.#synced(({ atMs }) => atMs <= lazyMs);
    this.#owed = [];
    this.history.tellAll({ kind: how });
    this.note(how);
    this.#delivered.push(new Set());
  }

  judge(untilMs: number): void {
    for (const complaint of checkHistory(this.history, { untilMs, seesAll: true })) this.complain(complaint);
    for (const transaction of this.#transactions) this.#checkWhole(transaction);
  }

  #checkWhole({ sent, acked, isDone, life }: Transacted): void {
    const later = this.#delivered.slice(life + 1);
    const has = (lives: readonly Set<string>[], queue: string, body: string): boolean => lives.some((each) => each.has(`${queue} ${body}`));
    const persistent = sent.filter(({ isPersistent }) => isPersistent);
    const copies = persistent.flatMap(({ body, queues }) => queues.map((queue) => ({ queue, body })));
    const survived = copies.filter(({ queue, body }) => has(later, queue, body));
    if (survived.length === 0 && !isDone) return;
    for (const { queue, body } of copies)
      if (!has(this.#delivered, queue, body) && !this.#dropped.has(`${queue} ${body}`))
        this.complain(`${queue}: ${body.slice(0, 12)} is missing from a transaction that was kept`);
    for (const { queue, body } of acked)
      if (has(later, queue, body)) this.complain(`${queue}: ${body.slice(0, 12)} came back though the transaction that acked it was kept`);
  }
}
