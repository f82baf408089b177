// A memory log that does what a test tells it: hands over a staged past, refuses, stays behind, fails; and writes down what it was told.
// Always: whatever is not staged works as in a memory log. Refuses: to survive its broker: remembering-log.ts does.

import {
  Append,
  type Definition,
  type LogListener,
  type Lsn,
  MessageFlag,
  REFUSED,
  type RecoverySink,
  type Settled,
  Stored,
} from '../../server/ports.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { encodeContent } from '../../shared/content.ts';

export interface StagedMessage {
  readonly queueNumber: number;
  readonly seq: number;
  readonly body?: string;
  readonly deadline?: number;
  readonly deliveryCount?: number;
  readonly priority?: number;
}

export interface Past {
  readonly definitions?: readonly Definition[];
  readonly messages?: readonly StagedMessage[];
  readonly isClean?: boolean;
  readonly queueNumberMax?: number;
  readonly seqMax?: (queueNumber: number) => number;
  /** Thrown after all else was handed over. */
  readonly failure?: Error;
}

export class StagedLog extends MemoryLog {
  /** `append` and all that may refuse do. */
  refuses = false;
  /** What is committed does not become durable. */
  isBehind = false;
  readonly defined: Definition[] = [];
  readonly requeues: { queueNumber: number; seq: number; flags: number; deliveryCount: number }[] = [];
  readonly transactions: { appends: number; settled: number }[] = [];
  /** What the sink answered for each staged message. */
  readonly taken: boolean[] = [];
  isClosed = false;
  readonly #past: Past;
  #listener: LogListener | undefined;

  constructor(past: Past = {}) {
    super();
    this.#past = past;
  }

  get listener(): LogListener {
    if (this.#listener === undefined) throw new Error('the log is not open');
    return this.#listener;
  }

  override open(sink: RecoverySink, listener: LogListener): void {
    this.#listener = listener;
    const quiet: RecoverySink = { definition: () => undefined, message: () => true, recovered: () => undefined };
    super.open(quiet, listener);
    const { definitions = [], messages = [], isClean = true, queueNumberMax = 0, seqMax = () => 0, failure } = this.#past;
    for (const definition of definitions) sink.definition(definition);
    for (const message of messages) this.taken.push(sink.message(message.queueNumber, this.#store(message)));
    if (failure !== undefined) throw failure;
    sink.recovered({ isClean, queueNumberMax, seqMax });
  }

  override append(append: Append): Lsn {
    return this.refuses ? REFUSED : super.append(append);
  }
  override transact(appends: readonly Append[], settled: readonly Settled[]): Lsn {
    if (this.refuses) return REFUSED;
    this.transactions.push({ appends: appends.length, settled: settled.length });
    return super.transact(appends, settled);
  }
  override move(queueNumber: number, seq: number, slab: number, length: number, flags: number, append: Append): Lsn {
    return this.refuses ? REFUSED : super.move(queueNumber, seq, slab, length, flags, append);
  }
  override requeue(queueNumber = 0, seq = 0, _slab = 0, flags = 0, deliveryCount = 0): void {
    this.requeues.push({ queueNumber, seq, flags, deliveryCount });
    super.requeue();
  }
  override define(definition: Definition): Lsn {
    this.defined.push(definition);
    return super.define(definition);
  }
  override commit(): void {
    if (!this.isBehind) super.commit();
  }
  override async close(): Promise<void> {
    this.isClosed = true;
    await super.close();
  }

  #store({ seq, body = '', deadline = 0, deliveryCount = 0, priority = 0 }: StagedMessage): Stored {
    const bytes = new TextEncoder().encode(body);
    const run = encodeContent('', 'q', { deliveryMode: 2 }, bytes);
    const append = new Append();
    append.begin(run, 0, run.length, bytes.length, MessageFlag.Persistent);
    append.add(0, seq, priority, deadline);
    super.append(append);
    return Object.assign(new Stored(), append.place, {
      seq,
      deadline,
      deliveryCount,
      priority,
      bodyBytes: bytes.length,
      flags: MessageFlag.Persistent,
    });
  }
}

/** A durable queue, as a log defines it. */
export function queueNamed(name: string, number: number, args: Readonly<Record<string, unknown>> = {}, more: object = {}): Definition {
  return { kind: 'queue', vhost: '/', name, number, autoDelete: false, arguments: args, ...more };
}
