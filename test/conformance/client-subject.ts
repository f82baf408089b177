// What the suite of client-contract.ts runs on: a wire and a broker to it, and what the tests of all its parts share.
// Always: where a wire or a broker cannot do the same, the subject says so in `differs`, and the suite expects what docs/client-amqp.md promises instead.
import { expect } from 'vitest';
import type { Arguments, Connection, ConnectOptions, LeveretError, Published, Topology } from '../../client/src/index.ts';

export type SubjectOptions<T extends Topology> = Omit<ConnectOptions<T>, 'transport'>;

/** One broker that nobody else uses. */
export interface Room {
  connect<T extends Topology = Topology>(options?: SubjectOptions<T>): Promise<Connection<T>>;
  /** As connect, with a way to tear the link, and how many there have been. */
  connectTorn<T extends Topology = Topology>(options?: SubjectOptions<T>): Promise<{ mq: Connection<T>; tear(): void; links(): number }>;
  close(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  /** Once for all tests; what it answers ends it. */
  start(): Promise<() => Promise<void>>;
  room(): Promise<Room>;
  readonly differs: {
    /** The wire does not tell how many queues took a publish. */
    readonly uncounted?: boolean;
    /** The wire has no look at a queue. */
    readonly uninspected?: boolean;
    /** The wire has no taps and no statistics. */
    readonly unwatched?: boolean;
    /** What goes back without having been handed out counts as an attempt. */
    readonly releasesCount?: boolean;
    /** The code for a publish that a full queue refuses. */
    readonly overflow?: string;
    /** Arguments for a queue that counts deliveries. */
    readonly counting?: Arguments;
  };
}

export const until = async (isTrue: () => boolean | Promise<boolean>): Promise<void> => {
  const rescue = AbortSignal.timeout(25_000);
  while (!(await isTrue())) {
    if (rescue.aborted) throw new Error('it never came true');
    await new Promise((resolve) => setImmediate(resolve));
  }
};

export const failure = (promise: Promise<unknown>): Promise<LeveretError> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (error: LeveretError) => error,
  );

/** What a test is given: a room of its own, and a connection to it. */
export class Given {
  readonly differs: Subject['differs'];
  readonly room: Room;
  readonly mq: Connection;
  readonly faults: LeveretError[] = [];

  constructor(differs: Subject['differs'], room: Room, mq: Connection) {
    this.differs = differs;
    this.room = room;
    this.mq = mq;
    mq.on('fault', (error) => this.faults.push(error));
  }

  async readyIn(queue: string): Promise<number> {
    return (await this.mq.declareQueue(queue, { passive: true })).messageCount;
  }

  /** What a publish resolves with when this many queues took it. */
  expectRouted(published: Published, count: number): void {
    if (!this.differs.uncounted || count === 0) expect(published).toEqual({ routed: count });
    else expect(() => published.routed).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
  }

  async bodiesOf(queue: string, count: number): Promise<unknown[]> {
    const bodies: unknown[] = [];
    if (count === 0) return bodies;
    for await (const msg of this.mq.queue(queue).consume()) {
      bodies.push(msg.body);
      msg.ack();
      if (bodies.length === count) break;
    }
    return bodies;
  }
}
