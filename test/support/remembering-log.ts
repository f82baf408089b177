// A message log that survives its broker: what a durable one will be, without a disk. For tests of recovery through the port.
// Always: `open` on the log of a broker that is gone hands over what was durable then: definitions, and the persistent messages of queues that
// still hold them, with delivery counts and flags. Refuses: to model torn writes: the simulated disk of a durable log does.

import {
  Append,
  type Definition,
  type LogListener,
  type Lsn,
  MessageFlag,
  type MessageLog,
  REFUSED,
  type ReadWaiter,
  type RecoverySink,
  type Settled,
  Stored,
  type View,
} from '../../server/ports.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';

export class RememberingLog implements MessageLog {
  #inner = new MemoryLog();
  #listener: LogListener | undefined;
  readonly #definitions: Definition[] = [];
  /** "queue number:seq" to the message and its bytes. */
  readonly #messages = new Map<string, { queueNumber: number; stored: Stored; bytes: Uint8Array }>();

  get lastLsn(): Lsn {
    return this.#inner.lastLsn;
  }
  get durableLsn(): Lsn {
    return this.#inner.durableLsn;
  }
  get memoryBytes(): number {
    return this.#inner.memoryBytes;
  }

  /** What a durable log does now and then: one snapshot of the topology in place of all changes. */
  checkpoint(): void {
    this.#definitions.splice(0, this.#definitions.length, ...(this.#listener?.topology() ?? []));
  }

  open(sink: RecoverySink, listener: LogListener): void {
    this.#listener = listener;
    this.#inner = new MemoryLog();
    const seqs = new Map<number, number>();
    const quiet: RecoverySink = { definition: () => undefined, message: () => true, recovered: () => undefined };
    this.#inner.open(quiet, listener);
    for (const definition of this.#definitions) sink.definition(definition);
    const kept = [...this.#messages.values()].sort((a, b) => a.queueNumber - b.queueNumber || a.stored.seq - b.stored.seq);
    for (const { queueNumber, stored, bytes } of kept) {
      const { place } = this.#store(bytes);
      stored.slab = place.slab;
      stored.offset = place.offset;
      seqs.set(queueNumber, stored.seq);
      if (!sink.message(queueNumber, stored)) this.settle(queueNumber, stored.seq, stored.slab, stored.length, stored.flags);
    }
    sink.recovered({
      isClean: true,
      queueNumberMax: Math.max(0, ...seqs.keys()),
      seqMax: (queueNumber) => seqs.get(queueNumber) ?? 0,
    });
  }

  append(append: Append): Lsn {
    const lsn = this.#inner.append(append);
    if (lsn !== REFUSED) this.#remember(append);
    return lsn;
  }
  settle(queueNumber: number, seq: number, slab: number, length: number, flags: number): void {
    this.#messages.delete(`${queueNumber}:${seq}`);
    this.#inner.settle(queueNumber, seq, slab, length, flags);
  }
  requeue(queueNumber: number, seq: number, _slab: number, flags: number, deliveryCount: number): void {
    const message = this.#messages.get(`${queueNumber}:${seq}`);
    if (message !== undefined) Object.assign(message.stored, { flags, deliveryCount });
    this.#inner.requeue();
  }
  move(queueNumber: number, seq: number, slab: number, length: number, flags: number, append: Append): Lsn {
    const lsn = this.#inner.move(queueNumber, seq, slab, length, flags, append);
    if (lsn === REFUSED) return lsn;
    this.#messages.delete(`${queueNumber}:${seq}`);
    this.#remember(append);
    return lsn;
  }
  transact(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    const lsn = this.#inner.transact(appends, settled);
    if (lsn === REFUSED) return lsn;
    for (const append of appends) this.#remember(append);
    for (const { queueNumber, seq } of settled) this.#messages.delete(`${queueNumber}:${seq}`);
    return lsn;
  }
  define(definition: Definition): Lsn {
    this.#definitions.push(JSON.parse(JSON.stringify(definition)));
    return this.#inner.define(definition);
  }
  read(slab: number, offset: number, length: number, view: View, waiter: ReadWaiter): boolean {
    return this.#inner.read(slab, offset, length, view, waiter);
  }
  commit(): void {
    this.#inner.commit();
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }

  #remember(append: Append): void {
    if (!(append.flags & MessageFlag.Persistent)) return;
    const bytes = new Uint8Array(append.bytes.subarray(append.start, append.end));
    for (let i = 0; i < append.count; i++) {
      const stored = new Stored();
      stored.seq = append.seqs[i] ?? 0;
      stored.length = bytes.length;
      stored.bodyBytes = append.bodyBytes;
      stored.priority = append.priorities[i] ?? 0;
      stored.flags = append.flags;
      stored.deadline = append.deadlines[i] ?? 0;
      this.#messages.set(`${append.queueNumbers[i]}:${stored.seq}`, { queueNumber: append.queueNumbers[i] ?? 0, stored, bytes });
    }
  }

  #store(bytes: Uint8Array): Append {
    const append = new Append();
    append.begin(bytes, 0, bytes.length, 0, 0);
    append.add(0, 0, 0, 0);
    this.#inner.append(append);
    return append;
  }
}
