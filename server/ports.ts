// What the broker asks of the world: time, chance, the end of a turn, and the log that keeps messages.
// Always: (1) the broker reaches time, randomness, disk and network only through these interfaces; (2) a port is shaped by its
// user, not by its implementation; (3) nothing here allocates per message: callers own and reuse Append, View and Place.
// Refuses: policy. A port stores, tells time or draws bytes; what that means is decided in broker/.

/** Wall-clock milliseconds that never run backwards, and one-shot timers. */
export interface Clock {
  /** Milliseconds since 1970; never less than an earlier answer. */
  now(): number;
  /** Calls `fire` once, at or after `atMs`. */
  setTimer(atMs: number, fire: () => void): Timer;
}
export interface Timer {
  cancel(): void;
}

/** Where the broker draws names and tokens from. */
export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
}

/** Puts work at the end of the present turn of the event loop, after all input that is already there. */
export interface Turns {
  defer(task: () => void): void;
}

/** What the broker tells about itself: for logs now, for dashboards and an event exchange later. */
export interface Notices {
  notice(notice: Notice): void;
}
export interface Notice {
  readonly kind: string;
  /** error: somebody has to act. warn: messages are dropped or held back, and somebody should know. */
  readonly severity: 'info' | 'warn' | 'error';
  readonly text: string;
  /** Names and numbers that belong to the text. */
  readonly fields: Readonly<Record<string, string | number>>;
}

/** Where a connection writes what people may want to know. A pino logger is one. */
export interface ConnectionLog {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** A log sequence number: grows by one a record. 0 stands before the first record. */
export type Lsn = number;

/** `append` and `move` answer this instead of an lsn when nothing was stored. */
export const REFUSED = -1;

/** Where a stored message lies. 12 bytes of a queue's index. */
export interface Place {
  slab: number;
  offset: number;
  length: number;
}

/** What a queue knows of one message. The broker passes one reused object around; nobody keeps it. */
export class Stored implements Place {
  /** The message's place in the life of its queue: never reused, orders the queue. */
  seq = 0;
  slab = 0;
  offset = 0;
  length = 0;
  bodyBytes = 0;
  priority = 0;
  /** MessageFlag bits. */
  flags = 0;
  /** Deliveries that came back and counted. */
  deliveryCount = 0;
  /** Wall-clock milliseconds; 0 for none. */
  deadline = 0;

  copyFrom(other: Stored): this {
    this.seq = other.seq;
    this.slab = other.slab;
    this.offset = other.offset;
    this.length = other.length;
    this.bodyBytes = other.bodyBytes;
    this.priority = other.priority;
    this.flags = other.flags;
    this.deliveryCount = other.deliveryCount;
    this.deadline = other.deadline;
    return this;
  }
}

/** Flags that a queue keeps with each message and the log with each reference. */
export const MessageFlag = {
  /** delivery-mode 2: survives a restart in every durable queue that holds it. */
  Persistent: 1,
  /** Was delivered before: the next delivery says so. */
  Redelivered: 2,
  /** Its x-death headers are this broker's, not a publisher's. */
  Deaths: 4,
} as const;

/** One message on its way into the log, with the queues that will hold it. Owned and reused by its caller. */
export class Append {
  /** The content run (shared/content.ts) is bytes[start, end). */
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  bodyBytes = 0;
  flags = 0;
  count = 0;
  readonly queueNumbers: number[] = [];
  readonly seqs: number[] = [];
  /** The level it has in each queue. */
  readonly priorities: number[] = [];
  /** Wall-clock deadline per queue; 0 for none. */
  readonly deadlines: number[] = [];
  /** Set by the log. */
  readonly place: Place = { slab: 0, offset: 0, length: 0 };

  /** Begins another message. */
  begin(bytes: Uint8Array, start: number, end: number, bodyBytes: number, flags: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.bodyBytes = bodyBytes;
    this.flags = flags;
    this.count = 0;
  }
  add(queueNumber: number, seq: number, priority: number, deadline: number): void {
    this.queueNumbers[this.count] = queueNumber;
    this.seqs[this.count] = seq;
    this.priorities[this.count] = priority;
    this.deadlines[this.count] = deadline;
    this.count++;
  }
}

/** Where `read` puts the message: bytes[start, start + length). Valid until the reader's turn ends. */
export class View {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
}

/** Told once when bytes that `read` did not have are there. */
export interface ReadWaiter {
  readable(): void;
}

/** Told what became of records that were appended, and asked for what a checkpoint holds. */
export interface LogListener {
  /** Every record up to and including `lsn` is as safe as this log makes it. */
  durable(lsn: Lsn): void;
  /** It is not known whether records from `lsn` on are stored: they may be neither confirmed nor refused. The log takes nothing more. */
  unknown(fromLsn: Lsn, cause: Error): void;
  /** Publishers are to be held back for this reason (a disk that fills up); undefined: they may go on. Settling goes on meanwhile. */
  blocked(reason: string | undefined): void;
  /** All durable topology as it is now, in an order in which `RecoverySink.definition` can take it. */
  topology(): readonly Definition[];
}

/** What recovery finds, in this order: definitions, then every message a queue may still hold, by seq within its queue, then the end. */
export interface RecoverySink {
  definition(definition: Definition): void;
  /** False: nobody has this queue any more, and the log may forget the message. */
  message(queueNumber: number, stored: Stored): boolean;
  recovered(found: Recovered): void;
}

export interface Recovered {
  /** The log was closed. Else deliveries and unsynced publishes may have got out that it knows nothing of. */
  readonly isClean: boolean;
  /** The highest queue number that any record names: numbers up to it are never given again. */
  readonly queueNumberMax: number;
  /** The highest seq of this queue that any record names; 0 for none. */
  seqMax(queueNumber: number): number;
}

/** One reference to a message that is given up. */
export interface Settled {
  readonly queueNumber: number;
  readonly seq: number;
  readonly slab: number;
  readonly length: number;
  readonly flags: number;
}

/** One change of topology. JSON, so that the log can keep it readable. */
export interface Definition {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/**
 * Keeps messages and topology. One log serves every queue; a message that several queues hold is stored once.
 * Implementations: memory-log.ts; durable-log.ts, on disk; a replicated one. test/contract/message-log.ts is what they all obey.
 */
export interface MessageLog {
  /** The newest record's lsn, and the newest that is safe. */
  readonly lastLsn: Lsn;
  readonly durableLsn: Lsn;
  /** Bytes that messages hold in memory now. */
  readonly memoryBytes: number;
  /** Hands all that survived to `sink`, then reports to `listener` for good. Called once, before anything else. */
  open(sink: RecoverySink, listener: LogListener): void;
  /** Stores one message for `append.count` queues, all or nothing, and sets `append.place`. Answers its lsn, or REFUSED. */
  append(append: Append): Lsn;
  /** One queue is done with a message for good. */
  settle(queueNumber: number, seq: number, slab: number, length: number, flags: number): void;
  /** Stores `appends` and gives up `settled`, all of it or, after a crash or when REFUSED, nothing. Sets each append's place. */
  transact(appends: readonly Append[], settled: readonly Settled[]): Lsn;
  /** A delivery came back: its new delivery count survives a restart. */
  requeue(queueNumber: number, seq: number, slab: number, flags: number, deliveryCount: number): void;
  /** Takes a message out of one queue and stores its successor in others, in one record (dead-lettering). `append.count` may be 0. */
  move(queueNumber: number, seq: number, slab: number, length: number, flags: number, append: Append): Lsn;
  /** Records a change of topology. */
  define(definition: Definition): Lsn;
  /** True when `view` now shows the message; else `waiter.readable()` follows: read again then, and now and then once more (its file may have moved). */
  read(slab: number, offset: number, length: number, view: View, waiter: ReadWaiter): boolean;
  /** The turn is over: what was appended in it may be written now. */
  commit(): void;
  /** Writes what is left and gives everything back. Resolves when the log may be opened again. Nothing may be asked of it any more. */
  close(): Promise<void>;
}
