// What a log hands back when it is opened: topology, messages, and how far numbers had come.
// Always: (1) no queue number, and no seq of a queue, names a second thing, after a crash neither; (2) the log is asked for nothing while it
// is being opened: what recovery leads to (limits, definitions) follows in `finish`; (3) a message of a queue that is gone is not taken.
// Refuses: to judge damage: what a log hands over is sound. RabbitMQ differs: it gives no ids that could be given twice.

import type { Definition, MessageLog, Recovered, RecoverySink, Stored } from '../ports.ts';
import { queueSeqDefinition, topologyOf } from './definitions.ts';
import type { Queue } from './queue.ts';
import { QUEUE_NUMBERS, type QueueNumbers } from './queue-numbers.ts';
import type { Records } from './records.ts';
import type { Vhosts } from './vhosts.ts';

/**
 * After a crash the log knows the publishes that it had written, and deliveries of later ones may have got out: peers know those by (queue, seq),
 * and such an id must never name two messages. No queue takes in so many within what one crash loses.
 */
const SEQS_SKIPPED = 2 ** 32;

export class Recovery implements RecoverySink {
  readonly #vhosts: Vhosts;
  readonly #records: Records;
  readonly #numbers: QueueNumbers;
  /** Those of deleted queues too, as long as the log is being opened. */
  readonly #queues = new Map<number, Queue>();
  #isClean = true;

  constructor(vhosts: Vhosts, records: Records, numbers: QueueNumbers) {
    this.#vhosts = vhosts;
    this.#records = records;
    this.#numbers = numbers;
  }

  /** A queue was made from a definition. */
  add(queue: Queue): void {
    this.#queues.set(queue.number, queue);
    this.#numbers.skip(queue.number);
  }

  definition(definition: Definition): void {
    if (definition.kind === QUEUE_NUMBERS) this.#numbers.restore(definition);
    else if (!this.#vhosts.restore(definition) && !this.#records.restore(definition))
      this.#vhosts.get(String(definition['vhost']))?.restore(definition);
  }

  message(queueNumber: number, stored: Stored): boolean {
    const queue = this.#queues.get(queueNumber);
    if (queue === undefined || queue.isDeleted) return false;
    queue.restore(stored);
    return true;
  }

  recovered(found: Recovered): void {
    this.#isClean = found.isClean;
    this.#numbers.skip(found.queueNumberMax);
    for (const queue of this.#queues.values()) {
      queue.continueAt(found.seqMax(queue.number) + 1);
      if (!found.isClean) queue.continueAt(queue.nextSeq + SEQS_SKIPPED);
    }
  }

  /** The log is open. */
  finish(log: MessageLog, now: number): void {
    this.#queues.clear();
    if (!this.#isClean) this.defineSeqs(log); // or a second crash would begin where this one did
    for (const vhost of this.#vhosts.values())
      for (const queue of vhost.queues.values()) {
        queue.enforceLimits(now); // what was unacked counts again
      }
  }

  /** Tells the log how far each durable queue has come, where its messages may not: they were transient, or a crash was skipped over. */
  defineSeqs(log: MessageLog): void {
    for (const vhost of this.#vhosts.values())
      for (const queue of vhost.queues.values()) {
        const nextSeq = queue.seqToDefine();
        if (nextSeq !== 0) log.define(queueSeqDefinition(vhost.name, queue.name, queue.number, nextSeq));
      }
  }

  /** All that is durable, in an order in which it can be restored. */
  topology(): Definition[] {
    const administration = [...this.#vhosts.definitions(), ...this.#records.definitions()];
    return [this.#numbers.definition(), ...administration, ...[...this.#vhosts.values()].flatMap(topologyOf)];
  }
}
