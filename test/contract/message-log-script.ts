// Carries out one list of steps on a message log, beside the plainest model of what a log holds, and compares the two.
// Always: (1) the model knows references (a queue and a seq), each with what its queue keeps; (2) a refused step changes nothing in the model;
// (3) queues 1 to 3 are durable, queue 4 is not. Refuses: what a crash leaves: the log is always closed.

import fc from 'fast-check';
import { expect } from 'vitest';
import {
  Append,
  type Definition,
  type LogListener,
  MessageFlag,
  type MessageLog,
  REFUSED,
  type Recovered,
  type RecoverySink,
  type Stored,
  View,
} from '../../server/ports.ts';
import type { LogSubject, LogWorld } from '../support/log-subjects.ts';
import { queueNamed } from '../support/staged-log.ts';

export const DURABLE_QUEUES = [1, 2, 3];
const QUEUE_COUNT = 4;
const DETOURS_MAX = 3;

/** One message, and who takes it. */
export interface Message {
  readonly size: number;
  /** Bits: queue 1, 2, 3, 4. */
  readonly queues: number;
  readonly isPersistent: boolean;
  readonly priority: number;
  readonly deadline: number;
}

export type Step =
  | { readonly do: 'append'; readonly message: Message }
  | { readonly do: 'settle' | 'requeue'; readonly pick: number }
  | { readonly do: 'move'; readonly pick: number; readonly message: Message }
  | { readonly do: 'transact'; readonly messages: readonly Message[]; readonly picks: readonly number[] }
  | { readonly do: 'define'; readonly kind: string }
  | { readonly do: 'commit' | 'rest' | 'reopen' };

const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 900 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 9_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 400_000 }) },
);
const message = (queues: fc.Arbitrary<number>): fc.Arbitrary<Message> =>
  fc.record({
    size,
    queues,
    isPersistent: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    priority: fc.nat({ max: 9 }),
    deadline: fc.constantFrom(0, 1, 1_767_225_600_000.5, 2 ** 52),
  });
const some = fc.integer({ min: 1, max: 15 });
const pick = fc.nat({ max: 10_000 });
const is = <T extends string>(text: T): fc.Arbitrary<T> => fc.constant(text);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ do: is('append'), message: message(some) }) },
  { weight: 7, arbitrary: fc.record({ do: is('settle'), pick }) },
  { weight: 3, arbitrary: fc.record({ do: is('requeue'), pick }) },
  { weight: 2, arbitrary: fc.record({ do: is('move'), pick, message: message(fc.nat({ max: 15 })) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: is('transact'),
      messages: fc.array(message(some), { maxLength: 3 }),
      picks: fc.array(pick, { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: is('define'), kind: fc.constantFrom('exchange', 'binding', 'queue.seq') }) },
  { weight: 6, arbitrary: fc.record({ do: is('commit') }) },
  { weight: 2, arbitrary: fc.record({ do: is('rest') }) },
  { weight: 1, arbitrary: fc.record({ do: is('reopen') }) },
);
export const steps: fc.Arbitrary<Step[]> = fc.array(step, { maxLength: 120, size: 'max' });

/** What a queue holds of a message, and where the log put it. */
interface Held {
  readonly queueNumber: number;
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly isStored: boolean;
  readonly bodyBytes: number;
  readonly priority: number;
  readonly deadline: number;
  flags: number;
  deliveryCount: number;
  slab: number;
  offset: number;
}

export class LogScript implements LogListener, RecoverySink {
  readonly subject: LogSubject;
  readonly world: LogWorld;
  log: MessageLog;
  readonly held = new Map<string, Held>();
  /** Reads that were answered later, files kept, and openings that found something: proof that the script went there. */
  readonly seen = { later: 0, segments: 0, found: 0, refused: 0 };
  #definitions: Definition[] = [];
  #toldLsn = 0;
  /** Of the newest operation that answered with its own. */
  #newestLsn = 0;
  readonly #seqs = [0, 0, 0, 0, 0];
  #marks = 0;
  #recovered: { definitions: Definition[]; messages: Kept[]; end: Recovered | undefined } | undefined;

  constructor(subject: LogSubject, seed = 1) {
    this.subject = subject;
    this.world = subject.begin(seed);
    this.log = this.world.next();
    this.#recovered = { definitions: [], messages: [], end: undefined };
    this.log.open(this, this);
    expect(this.#recovered).toMatchObject({ definitions: [], messages: [] });
    this.#recovered = undefined;
    for (const number of DURABLE_QUEUES) this.define(queueNamed(`q${number}`, number));
  }

  async run(list: readonly Step[]): Promise<void> {
    for (const one of list) {
      const before = this.log.lastLsn;
      if (await this.#step(one)) {
        expect(this.log.lastLsn).toBeGreaterThan(before);
        expect(this.log.durableLsn).toBeLessThan(this.log.lastLsn);
      }
      this.seen.segments += this.world.segments();
    }
    for (const each of this.held.values()) await this.expectBytes(each);
  }

  /** True: the log has taken something. */
  async #step(one: Step): Promise<boolean> {
    switch (one.do) {
      case 'append':
        return this.append(one.message);
      case 'settle':
      case 'requeue': {
        const found = this.#pick(one.pick);
        if (found === undefined) return false;
        await this.expectBytes(found);
        this[one.do](found);
        return true;
      }
      case 'move': {
        const source = this.#pick(one.pick);
        if (source === undefined) return false;
        await this.expectBytes(source);
        return this.move(source, one.message);
      }
      case 'transact': {
        const settled = new Set(one.picks.map((at) => this.#pick(at)).filter((found) => found !== undefined));
        return this.transact(one.messages, [...settled]);
      }
      case 'define':
        this.define({ kind: one.kind, vhost: '/', name: `d${this.#marks++}` });
        return true;
      case 'commit':
        this.log.commit();
        return false;
      case 'rest':
        await this.rest();
        return false;
      case 'reopen':
        if (this.subject.forgets === undefined) await this.reopen();
        return false;
    }
  }

  // What a script does.

  append(wanted: Message): boolean {
    const append = this.#filled(wanted);
    const lsn = this.log.append(append);
    if (this.#isRefused(lsn, [append])) return false;
    this.#keep(append);
    return true;
  }
  settle(held: Held): void {
    this.log.settle(held.queueNumber, held.seq, held.slab, held.bytes.length, held.flags);
    this.held.delete(keyOf(held));
  }
  requeue(held: Held): void {
    held.flags |= MessageFlag.Redelivered;
    held.deliveryCount++;
    this.log.requeue(held.queueNumber, held.seq, held.slab, held.flags, held.deliveryCount);
  }
  move(source: Held, wanted: Message): boolean {
    const append = this.#filled(wanted);
    const lsn = this.log.move(source.queueNumber, source.seq, source.slab, source.bytes.length, source.flags, append);
    if (this.#isRefused(lsn, append.count === 0 ? [] : [append])) return false;
    this.held.delete(keyOf(source));
    this.#keep(append);
    return true;
  }
  transact(wanted: readonly Message[], settled: readonly Held[]): boolean {
    const appends = wanted.map((each) => this.#filled(each));
    const lsn = this.log.transact(
      appends,
      settled.map(({ queueNumber, seq, slab, bytes, flags }) => ({ queueNumber, seq, slab, length: bytes.length, flags })),
    );
    if (this.#isRefused(lsn, appends)) return false;
    for (const each of settled) this.held.delete(keyOf(each));
    for (const append of appends) this.#keep(append);
    return true;
  }
  define(definition: Definition): void {
    this.#definitions.push(definition);
    this.#expectNew(this.log.define(definition));
  }

  /** Commits, and waits until all is durable. */
  async rest(): Promise<void> {
    const { lastLsn } = this.log;
    this.log.commit();
    await this.world.until(() => this.log.durableLsn >= lastLsn);
    await this.world.pause();
    expect(this.#toldLsn).toBe(this.log.durableLsn);
  }

  /** Closes the log, opens another one over what it left, and expects exactly what was stored and not given up. */
  async reopen(): Promise<void> {
    let isClosed = false;
    this.log.close().then(() => {
      isClosed = true;
    });
    await this.world.until(() => isClosed);
    for (const [key, each] of this.held) if (!each.isStored) this.held.delete(key);
    this.log = this.world.next();
    const recovered = { definitions: [] as Definition[], messages: [] as Kept[], end: undefined as Recovered | undefined };
    this.#recovered = recovered;
    this.log.open(this, this);
    this.#recovered = undefined;
    this.#toldLsn = this.log.durableLsn; // what was found is safe, and not told
    this.#newestLsn = 0;
    const expected = [...this.held.values()].sort((a, b) => a.queueNumber - b.queueNumber || a.seq - b.seq);
    // queues come in any order, each by seq
    expect(recovered.messages.sort((a, b) => a.queueNumber - b.queueNumber)).toEqual(expected.map(keptOf));
    for (const kind of new Set(this.#definitions.map((definition) => definition.kind)))
      expect(recovered.definitions.filter((each) => each.kind === kind)).toEqual(this.#definitions.filter((each) => each.kind === kind));
    expect(recovered.definitions).toHaveLength(this.#definitions.length);
    expect(recovered.end?.isClean).toBe(true);
    for (const { queueNumber, seq } of expected) expect(recovered.end?.seqMax(queueNumber)).toBeGreaterThanOrEqual(seq);
    expect(recovered.end?.queueNumberMax).toBeGreaterThanOrEqual(Math.max(0, ...expected.map(({ queueNumber }) => queueNumber)));
    this.#definitions = recovered.definitions;
    this.seen.found += recovered.messages.length;
  }

  /** Reads with or without a detour over the waiter. */
  async expectBytes(held: Held): Promise<void> {
    const view = new View();
    let isReadable = false;
    const waiter = { readable: () => (isReadable = true) };
    for (let detours = 0; !this.log.read(held.slab, held.offset, held.bytes.length, view, waiter); detours++) {
      expect(isReadable).toBe(false);
      // a file that is retired between the answer and the reading is read again, from where its messages are now
      expect(detours).toBeLessThan(this.subject.takenBytes === Number.POSITIVE_INFINITY ? 1 : DETOURS_MAX);
      this.seen.later++;
      await this.world.until(() => isReadable);
      isReadable = false;
    }
    expect(Buffer.compare(view.bytes.subarray(view.start, view.start + held.bytes.length), held.bytes)).toBe(0);
  }

  async end(): Promise<void> {
    let isClosed = false;
    this.log.close().then(() => {
      isClosed = true;
    });
    await this.world.until(() => isClosed);
    this.world.end();
  }

  // Inside.

  #pick(at: number): Held | undefined {
    const all = [...this.held.values()];
    return all[at % Math.max(1, all.length)];
  }

  #filled({ size: bytesCount, queues, isPersistent, priority, deadline }: Message): Append {
    const append = new Append();
    const mark = ++this.#marks;
    const around = 3; // it need not stand at the start of its buffer
    const bytes = new Uint8Array(bytesCount + 2 * around).fill(mark * 31 + bytesCount);
    bytes[bytesCount + around - 1] = mark;
    append.begin(bytes, around, around + bytesCount, bytesCount - 1, isPersistent ? MessageFlag.Persistent : 0);
    for (let queue = 1; queue <= QUEUE_COUNT; queue++) {
      if ((queues & (1 << (queue - 1))) === 0) continue;
      const seq = (this.#seqs[queue] = (this.#seqs[queue] ?? 0) + 1);
      append.add(queue, seq, priority + queue, deadline);
    }
    return append;
  }

  #isRefused(lsn: number, appends: readonly Append[]): boolean {
    const stored = appends.filter(isStored);
    const bytes = stored.reduce((sum, { start, end, count }) => sum + end - start + 64 + count * 24, 0);
    if (lsn !== REFUSED) {
      this.#expectNew(lsn);
      if (stored.length > 0) expect(bytes).toBeLessThanOrEqual(2 * this.subject.takenBytes + 4_096);
      return false;
    }
    this.seen.refused++;
    expect(bytes).toBeGreaterThan(this.subject.takenBytes - 512);
    return true;
  }

  /** A log may write, and count, what waited before this. */
  #expectNew(lsn: number): void {
    expect(lsn).toBeGreaterThan(this.#newestLsn);
    expect(lsn).toBeLessThanOrEqual(this.log.lastLsn);
    this.#newestLsn = lsn;
  }

  #keep(append: Append): void {
    const bytes = new Uint8Array(append.bytes.subarray(append.start, append.end));
    for (let i = 0; i < append.count; i++) {
      const queueNumber = append.queueNumbers[i] ?? 0;
      const held: Held = {
        queueNumber,
        seq: append.seqs[i] ?? 0,
        bytes,
        isStored: (append.flags & MessageFlag.Persistent) !== 0 && DURABLE_QUEUES.includes(queueNumber),
        bodyBytes: append.bodyBytes,
        priority: append.priorities[i] ?? 0,
        deadline: append.deadlines[i] ?? 0,
        flags: append.flags,
        deliveryCount: 0,
        slab: append.place.slab,
        offset: append.place.offset,
      };
      expect(append.place.length).toBe(bytes.length);
      this.held.set(keyOf(held), held);
    }
  }

  // The log's listener.

  durable(lsn: number): void {
    expect(lsn).toBeGreaterThan(this.#toldLsn);
    expect(lsn).toBeLessThanOrEqual(this.log.lastLsn);
    this.#toldLsn = lsn;
  }
  unknown(_lsn: number, cause: Error): void {
    throw cause;
  }
  blocked(): void {
    throw new Error('nothing is blocked here');
  }
  topology(): readonly Definition[] {
    return this.#definitions;
  }

  // The sink of an opening: definitions, then messages, each queue's by seq, then the end.

  definition(definition: Definition): void {
    expect(this.#recovered?.messages).toEqual([]);
    this.#recovered?.definitions.push(definition);
  }
  message(queueNumber: number, stored: Stored): boolean {
    expect(this.#recovered?.end).toBeUndefined();
    if (!DURABLE_QUEUES.includes(queueNumber)) return false;
    const { seq, length, flags, priority, deadline, deliveryCount, bodyBytes } = stored;
    this.#recovered?.messages.push({ queueNumber, seq, length, flags, priority, deadline, deliveryCount, bodyBytes });
    const held = this.held.get(`${queueNumber} ${seq}`);
    if (held !== undefined) Object.assign(held, { slab: stored.slab, offset: stored.offset });
    return true;
  }
  recovered(found: Recovered): void {
    if (this.#recovered !== undefined) this.#recovered.end = found;
  }
}

function isStored(append: Append): boolean {
  return (
    (append.flags & MessageFlag.Persistent) !== 0 && append.queueNumbers.slice(0, append.count).some((q) => DURABLE_QUEUES.includes(q))
  );
}
function keyOf({ queueNumber, seq }: Held): string {
  return `${queueNumber} ${seq}`;
}

/** What a log keeps of a reference, beside the bytes. */
interface Kept {
  readonly queueNumber: number;
  readonly seq: number;
  readonly length: number;
  readonly flags: number;
  readonly priority: number;
  readonly deadline: number;
  readonly deliveryCount: number;
  readonly bodyBytes: number;
}

function keptOf({ queueNumber, seq, bytes, flags, priority, deadline, deliveryCount, bodyBytes }: Held): Kept {
  return { queueNumber, seq, length: bytes.length, flags, priority, deadline, deliveryCount, bodyBytes };
}
