// What a test did to a message log, and what the log may therefore hand back after a crash: the oracle of crash tests.
// Always: (1) what was done up to the durable lsn is there; what was done after it is there or not, each step of it wholly or not at all;
// (2) nothing else is there; (3) settling and requeues are as durable as that only `LAZY_MS` after; (4) a step is noted before the log is asked, for the crash may come in between.
// Refuses: to know files, or how the log came down.

import { type Definition, MessageFlag, type Place, type Stored } from '../../server/ports.ts';

export interface Content {
  readonly bytes: Uint8Array;
  readonly bodyBytes: number;
  readonly flags: number;
}

/** One change, atomic. */
export interface Step {
  readonly what: string;
  /** Infinity until the log has answered. */
  lsn: number;
  /** When nobody waits for it, and the log may take its time: when it was asked. */
  lazyAtMs?: number;
}

interface Requeue extends Step {
  readonly flags: number;
  readonly deliveryCount: number;
}

/** One message in one queue. */
export interface Entry {
  readonly queueNumber: number;
  readonly seq: number;
  readonly priority: number;
  readonly deadline: number;
  readonly content: Content;
  readonly added: Step;
  taken: Step | undefined;
  readonly requeues: Requeue[];
  place: Place;
}

/** What a recovery handed over. */
export interface Found {
  readonly definitions: readonly Definition[];
  /** In the order in which they came. */
  readonly messages: readonly FoundMessage[];
  readonly isClean: boolean;
  readonly queueNumberMax: number;
  readonly lastLsn: number;
  seqMax(queueNumber: number): number;
}
export interface FoundMessage {
  readonly queueNumber: number;
  readonly stored: Stored;
  /** undefined: it could not be read. */
  readonly bytes: Uint8Array | undefined;
}

/** What the log promises for what nobody waits for is 200 ms; and a write and a sync under way before its own. */
const LAZY_MS = 200 + 60;

const keyOf = (queueNumber: number, seq: number): string => `${queueNumber}:${seq}`;

export class Ledger {
  readonly entries = new Map<string, Entry>();
  readonly #steps: { step: Step; adds: Entry[]; takes: Entry[] }[] = [];
  readonly #defined: { step: Step; definition: Definition }[] = [];
  readonly #nextSeqs = new Map<number, number>();
  isClosed = false;

  /** A new page: what a recovery found is what there is now. */
  static from(found: Found): Ledger {
    const ledger = new Ledger();
    for (const definition of found.definitions) ledger.define(definition).lsn = 0;
    for (const { queueNumber, stored, bytes } of found.messages) {
      const content = { bytes: bytes ?? new Uint8Array(0), bodyBytes: stored.bodyBytes, flags: stored.flags };
      const step = ledger.begin('recovered', 0);
      const entry = ledger.add(step, content, queueNumber, stored.seq, stored.priority, stored.deadline);
      entry.place = { slab: stored.slab, offset: stored.offset, length: stored.length };
      entry.requeues.push({ what: 'recovered', lsn: 0, flags: stored.flags, deliveryCount: stored.deliveryCount });
    }
    for (const { definition } of ledger.#defined) {
      const number = Number(definition['number'] ?? 0);
      ledger.#nextSeqs.set(number, Math.max(ledger.#nextSeqs.get(number) ?? 1, found.seqMax(number) + 1));
    }
    return ledger;
  }

  // What is done.

  begin(what: string, lsn = Number.POSITIVE_INFINITY): Step {
    const step = { what, lsn };
    this.#steps.push({ step, adds: [], takes: [] });
    return step;
  }
  nextSeq(queueNumber: number): number {
    const seq = this.#nextSeqs.get(queueNumber) ?? 1;
    this.#nextSeqs.set(queueNumber, seq + 1);
    return seq;
  }
  add(step: Step, content: Content, queueNumber: number, seq: number, priority: number, deadline: number): Entry {
    const place = { slab: 0, offset: 0, length: content.bytes.length };
    const entry: Entry = { queueNumber, seq, priority, deadline, content, added: step, taken: undefined, requeues: [], place };
    this.entries.set(keyOf(queueNumber, seq), entry);
    this.#last(step).adds.push(entry);
    return entry;
  }
  take(step: Step, entry: Entry): void {
    entry.taken = step;
    this.#last(step).takes.push(entry);
  }
  /** The log refused: the step never happened. */
  undo(step: Step): void {
    const { adds, takes } = this.#last(step);
    for (const { queueNumber, seq } of adds) this.entries.delete(keyOf(queueNumber, seq));
    for (const entry of takes) entry.taken = undefined;
    this.#steps.pop();
  }
  requeue(entry: Entry, flags: number, deliveryCount: number): Requeue {
    const step = { what: 'requeue', lsn: Number.POSITIVE_INFINITY, flags, deliveryCount };
    entry.requeues.push(step);
    return step;
  }
  define(definition: Definition): Step {
    const step = { what: `define ${definition.kind}`, lsn: Number.POSITIVE_INFINITY };
    this.#defined.push({ step, definition });
    if (definition.kind === 'queue.delete') {
      this.#steps.push({ step, adds: [], takes: [] });
      for (const entry of this.held) if (entry.queueNumber === definition['number']) this.take(step, entry);
    }
    return step;
  }

  get held(): Entry[] {
    return [...this.entries.values()].filter(({ taken }) => taken === undefined);
  }
  get topology(): Definition[] {
    return fold(this.#defined.map(({ definition }) => definition));
  }

  // What must be.

  /** Complaints about what a log handed over that had called everything up to `durableLsn` durable. */
  check(found: Found, durableLsn: number, nowMs: number): string[] {
    const complaints: string[] = [];
    const leastLsn = found.isClean ? Number.POSITIVE_INFINITY : durableLsn;
    const isSure = ({ lsn, lazyAtMs }: Step): boolean =>
      found.isClean || (lsn <= durableLsn && (lazyAtMs === undefined || nowMs - lazyAtMs >= LAZY_MS));
    if (found.isClean && !this.isClosed) complaints.push('the log says it was closed, and was not');
    const queues = this.#checkDefinitions(found, leastLsn, complaints);
    const messages = new Map(found.messages.map((message) => [keyOf(message.queueNumber, message.stored.seq), message]));
    checkOrder(found, complaints);
    for (const [key, message] of messages) {
      const entry = this.entries.get(key);
      if (entry === undefined) complaints.push(`${key} was never appended`);
      else this.#checkMessage(key, entry, message, found.isClean, isSure, complaints);
    }
    for (const [key, { added, taken, queueNumber, content }] of this.entries) {
      if (!isSure(added) || taken !== undefined || messages.has(key) || !queues.has(queueNumber) || !isPersistent(content)) continue;
      complaints.push(`${key} is lost: ${added.what} had lsn ${added.lsn}, durable were ${leastLsn}`);
    }
    for (const { step, adds, takes } of this.#steps) {
      if (!isSure(step)) this.#checkStep(step, adds, takes, { messages, queues, isSure }, complaints);
    }
    return complaints;
  }

  #checkDefinitions(found: Found, leastLsn: number, complaints: string[]): Set<number> {
    const isLike = canonical(fold(found.definitions));
    const least = this.#defined.filter(({ step }) => step.lsn <= leastLsn).length;
    let isKnown = false;
    for (let count = least; count <= this.#defined.length && !isKnown; count++) {
      isKnown = canonical(fold(this.#defined.slice(0, count).map(({ definition }) => definition))) === isLike;
    }
    if (!isKnown) complaints.push(`definitions are of no moment at or after lsn ${leastLsn}: ${isLike}`);
    return queueNumbers(found.definitions);
  }

  #checkMessage(key: string, entry: Entry, message: FoundMessage, isClean: boolean, isSure: IsSure, complaints: string[]): void {
    const { stored, bytes } = message;
    const { content, taken, priority, deadline } = entry;
    if (taken !== undefined && isSure(taken)) complaints.push(`${key} is back: ${taken.what} had lsn ${taken.lsn}`);
    if (!isPersistent(content)) complaints.push(`${key} is back and was transient`);
    if (bytes === undefined) complaints.push(`${key} cannot be read`);
    else if (Buffer.compare(bytes, content.bytes) !== 0) complaints.push(`${key} has other bytes`);
    if (stored.priority !== priority || stored.deadline !== deadline || stored.bodyBytes !== content.bodyBytes) {
      complaints.push(`${key} has priority ${stored.priority}, deadline ${stored.deadline}, ${stored.bodyBytes} body bytes`);
    }
    this.#checkMarks(key, entry, stored, isClean, isSure, complaints);
  }

  #checkMarks(key: string, entry: Entry, stored: Stored, isClean: boolean, isSure: IsSure, complaints: string[]): void {
    const marks = [{ what: 'added', flags: entry.content.flags, deliveryCount: 0, lsn: 0 }, ...entry.requeues];
    const settled = marks.findLastIndex(isSure);
    const mask = isClean ? ~0 : ~MessageFlag.Redelivered;
    const isKnown = marks
      .slice(Math.max(0, settled))
      .some(({ flags, deliveryCount }) => ((flags ^ stored.flags) & mask) === 0 && deliveryCount === stored.deliveryCount);
    if (!isKnown) complaints.push(`${key} has flags ${stored.flags}, delivery count ${stored.deliveryCount}; had ${JSON.stringify(marks)}`);
    if (!isClean && !(stored.flags & MessageFlag.Redelivered))
      complaints.push(`${key} may have been delivered and is not called redelivered`);
  }

  /** A step that may have been lost was so wholly or not at all. */
  #checkStep(
    step: Step,
    adds: readonly Entry[],
    takes: readonly Entry[],
    { messages, queues, isSure }: { messages: Map<string, FoundMessage>; queues: Set<number>; isSure: IsSure },
    complaints: string[],
  ): void {
    const signs: string[] = [];
    let isDone = false;
    let isUndone = false;
    const sign = (done: boolean, text: string): void => {
      if (done) isDone = true;
      else isUndone = true;
      signs.push(text);
    };
    for (const { queueNumber, seq, taken, content } of adds) {
      if (messages.has(keyOf(queueNumber, seq))) sign(true, `has added ${keyOf(queueNumber, seq)}`);
      else if (taken === undefined && queues.has(queueNumber) && isPersistent(content))
        sign(false, `has not added ${keyOf(queueNumber, seq)}`);
    }
    for (const { queueNumber, seq, added, content } of takes) {
      if (messages.has(keyOf(queueNumber, seq))) sign(false, `has not taken ${keyOf(queueNumber, seq)}`);
      else if (isSure(added) && queues.has(queueNumber) && isPersistent(content)) sign(true, `has taken ${keyOf(queueNumber, seq)}`);
    }
    if (isDone && isUndone) complaints.push(`${step.what} at lsn ${step.lsn} is half done: ${signs.join(', ')}`);
  }

  #last(step: Step): { adds: Entry[]; takes: Entry[] } {
    const last = this.#steps[this.#steps.length - 1];
    if (last?.step !== step) throw new Error('one step at a time');
    return last;
  }
}

type IsSure = (step: Step) => boolean;
const isPersistent = ({ flags }: Content): boolean => (flags & MessageFlag.Persistent) !== 0;

function checkOrder(found: Found, complaints: string[]): void {
  const last = new Map<number, number>();
  for (const { queueNumber, stored } of found.messages) {
    const before = last.get(queueNumber) ?? 0;
    if (stored.seq <= before) complaints.push(`${keyOf(queueNumber, stored.seq)} comes after ${keyOf(queueNumber, before)}`);
    last.set(queueNumber, stored.seq);
    if (stored.seq > found.seqMax(queueNumber)) complaints.push(`${keyOf(queueNumber, stored.seq)} is beyond the highest seq`);
  }
}

/** What definitions amount to: the newest of each name, without what was deleted. */
function fold(definitions: readonly Definition[]): Definition[] {
  const names = new Map<string, Definition>();
  for (const definition of definitions) {
    const [kind = '', verb] = definition.kind.split('.');
    const name = `${kind} ${String(definition['name'])}`;
    if (verb === 'delete') names.delete(name);
    else if (verb === undefined) names.set(name, definition); // else it tells of one
  }
  return [...names.values()];
}

/** Of the queues that there are. */
export function queueNumbers(definitions: readonly Definition[]): Set<number> {
  return new Set(fold(definitions).flatMap(({ kind, number }) => (kind === 'queue' ? [Number(number)] : [])));
}

function canonical(definitions: readonly Definition[]): string {
  const texts = definitions.map((definition) => JSON.stringify(Object.entries(definition).sort(([a], [b]) => (a < b ? -1 : 1))));
  return texts.sort().join('\n');
}
