// What every message log obeys, run on each implementation: in memory, and on disk over a simulated and a real one, with large and with tiny files.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Append, MessageFlag, type MessageLog, REFUSED } from '../../server/ports.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { durableSubjects, type LogSubject, memorySubjects } from '../support/log-subjects.ts';
import { queueNamed } from '../support/staged-log.ts';
import { LogScript, type Message, steps } from './message-log-script.ts';

const subjects: readonly LogSubject[] = [...memorySubjects, ...durableSubjects];
const ALL = 0b0111; // the durable queues

function message(size: number, queues = 1, isPersistent = true): Message {
  return { size, queues, isPersistent, priority: 2, deadline: 0 };
}
/** Runs on a log of this kind, and closes it. */
async function using(subject: LogSubject, act: (script: LogScript) => Promise<void>): Promise<void> {
  const script = new LogScript(subject);
  await act(script);
  await script.end();
}
const at = (script: LogScript, queueNumber: number, seq: number) => {
  const found = script.held.get(`${queueNumber} ${seq}`);
  if (found === undefined) throw new Error(`queue ${queueNumber} holds no ${seq}`);
  return found;
};

describe.each(subjects)('the $name', (subject) => {
  test('holds every message that some queue holds, whatever else comes and goes, and whenever it is closed and opened again', async () => {
    const seen = { later: 0, segments: 0, found: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (list, seed) => {
        const script = new LogScript(subject, seed);
        try {
          await script.run(list);
          if (subject.forgets === undefined) await script.reopen();
          await script.run([]);
        } finally {
          await script.end();
        }
        for (const key of ['later', 'segments', 'found', 'refused'] as const) seen[key] += script.seen[key];
      }),
      // a failure that shrinks for long still says what it found
      { numRuns: subject.runs, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
    );
    // what is never reached is not proven
    if (subject.readsLater) expect(seen.later).toBeGreaterThan(0);
    if (subject.isTiny && subject.runs >= 100) expect(Math.min(seen.later, seen.segments, seen.found, seen.refused)).toBeGreaterThan(0);
  });

  test('takes nothing for durable before it was committed, and tells of it once, in order', () =>
    using(subject, async (script) => {
      await script.rest();
      const before = script.log.durableLsn;
      script.append(message(100));
      script.append(message(100));
      await new Promise((resolve) => setImmediate(resolve));
      expect(script.log.durableLsn).toBe(before);
      await script.rest();
      expect(script.log.durableLsn).toBeGreaterThan(before);
    }));

  test('gives memory back when messages are settled', () =>
    using(subject, async (script) => {
      for (let i = 0; i < 100; i++) script.append({ ...message(100_000), isPersistent: false });
      const full = script.log.memoryBytes;
      expect(full).toBeGreaterThanOrEqual(10_000_000);
      for (const each of [...script.held.values()]) script.settle(each);
      expect(script.log.memoryBytes).toBeLessThan(full / 4);
    }));

  test('shows the bytes of a message, not of one that was in its place before', () =>
    using(subject, async (script) => {
      for (let round = 0; round < 8; round++) {
        for (let i = 0; i < 24; i++) script.append(message(900, 1, false));
        for (let turn = 0; turn < 2; turn++) await script.rest();
        await script.run([]);
        for (const each of [...script.held.values()]) script.settle(each);
      }
    }));

  test('moves a message to several queues, or to none', () =>
    using(subject, async (script) => {
      for (let i = 0; i < 3; i++) script.append(message(80 + i));
      expect(script.move(at(script, 1, 1), message(90, 0b0110))).toBe(true);
      expect(script.move(at(script, 1, 2), message(1, 0))).toBe(true);
      expect([...script.held.keys()]).toEqual(['1 3', '2 1', '3 1']);
      await script.run([]);
      await script.rest();
      if (subject.forgets === undefined) await script.reopen();
      await script.run([]);
    }));

  test('transacts several messages and settles at once', () =>
    using(subject, async (script) => {
      script.append(message(70, ALL));
      script.transact([message(80, 0b0011), message(90, 0b1000), message(100, 0b1001, false)], [at(script, 1, 1), at(script, 2, 1)]);
      script.transact([], [at(script, 3, 1)]);
      script.transact([message(30)], []);
      await script.run([]);
      await script.rest();
      if (subject.forgets === undefined) await script.reopen();
      await script.run([]);
      script.transact([], [at(script, 1, 2)]);
      expect(script.held.has('1 2')).toBe(false);
    }));
});

// no size is too large for a log in memory: the one with a limit has its own test
test.each(durableSubjects)('the $name refuses what is too large, as a whole, and goes on', (subject) =>
  using(subject, async (script) => {
    const tooLarge = message(2 * subject.takenBytes + 4_096, ALL);
    script.append(message(50, 0b0011));
    expect(script.append(tooLarge)).toBe(false);
    expect(script.move(at(script, 1, 1), tooLarge)).toBe(false);
    expect(script.transact([message(50), tooLarge], [at(script, 2, 1)])).toBe(false);
    expect([...script.held.keys()]).toEqual(['1 1', '2 1']);
    expect(script.append(message(60))).toBe(true);
    await script.run([]);
    await script.reopen(); // finds these three, and nothing of the others
    expect([...script.held.keys()]).toEqual(['1 1', '2 1', '1 6']);
  }),
);

test.each(durableSubjects)(
  'the $name knows what was settled and requeued while its file was retired, when the records of that are gone too',
  (subject) =>
    using(subject, async (script) => {
      const size = Math.min(700, subject.takenBytes);
      for (let round = 0; round < 60; round++) {
        for (let i = 0; i < 6; i++) script.append(message(size));
        for (let turn = 0; turn < 4; turn++) {
          script.log.commit();
          const now = script.world.time.now();
          await script.world.until(() => script.world.time.now() > now + 1);
          // old ones, from wherever they are now; a few stay for long
          const old = [...script.held.values()].filter(({ seq }) => seq % 8 !== 0);
          if (old.length > 20) for (const each of old.slice(0, 2)) script.settle(each);
        }
      }
      // what told of it is retired: all that is kept is the segments' own
      for (let i = 0; i < 60; i++) {
        script.append(message(size, 2));
        await script.rest();
        for (const each of [...script.held.values()]) if (each.queueNumber === 2) script.settle(each);
      }
      if (subject.isTiny) expect(script.world.segments()).toBeGreaterThan(0);
      await script.reopen();
      await script.run([]);
    }),
);

// the others say why not: what is in memory alone goes with its process
describe.each(subjects.filter(({ forgets }) => forgets === undefined))('what was in the $name when it was closed', (subject) => {
  test('is there again: what was stored and not settled, by seq, with flags, level, deadline and delivery count', async () => {
    await using(subject, async (script) => {
      for (let i = 0; i < 40; i++) script.append({ ...message(300 + i, 1 + (i % 7)), deadline: i % 3 === 0 ? 1_767_225_600_123 + i : 0 });
      const all = [...script.held.values()];
      for (const [i, each] of all.entries()) if (i % 4 === 1) script.settle(each);
      for (const [i, each] of all.entries()) if (i % 4 === 2) for (let n = 0; n < i; n++) script.requeue(each);
      for (const [i, each] of all.entries()) if (i % 8 === 2) script.settle(each);
      await script.reopen();
      expect(script.seen.found).toBe(script.held.size);
      await script.reopen(); // nothing came since
      await script.run([]);
    });
  });

  test('does not have what is transient, or held by transient queues alone', async () => {
    await using(subject, async (script) => {
      script.append(message(100, ALL, false));
      script.append(message(100, 0b1000));
      script.append(message(100, 0b1001));
      await script.reopen();
      expect([...script.held.keys()]).toEqual(['1 2']);
    });
  });

  test('has its definitions in the order in which they can be taken', async () => {
    const definitions = [
      { kind: 'exchange', vhost: '/', name: 'e', type: 'topic', autoDelete: false, internal: false, arguments: {} },
      queueNamed('late', 9, { 'x-max-priority': 3 }),
      { kind: 'binding', vhost: '/', source: 'e', destination: 'late', destinationKind: 'queue', key: '#', arguments: {} },
      { kind: 'something else', name: 'ä"\n', nested: [{ deep: null }] },
    ];
    const world = subject.begin(7);
    const open = async (): Promise<{ found: object[]; queueNumberMax: number; log: MessageLog }> => {
      const found: object[] = [];
      let queueNumberMax = -1;
      const log = world.next();
      log.open(
        { definition: (one) => void found.push(one), message: () => true, recovered: (end) => (queueNumberMax = end.queueNumberMax) },
        { durable: () => undefined, unknown: () => undefined, blocked: () => undefined, topology: () => definitions },
      );
      return { found, queueNumberMax, log };
    };
    const close = async (log: MessageLog): Promise<void> => {
      let isClosed = false;
      log.close().then(() => {
        isClosed = true;
      });
      await world.until(() => isClosed);
    };
    const first = await open();
    expect(first).toMatchObject({ found: [], queueNumberMax: 0 });
    for (const definition of definitions) first.log.define(definition);
    await close(first.log);
    const second = await open();
    expect(second.found).toEqual(definitions);
    await close(second.log);
    world.end();
  });
});

test('a memory log with a limit refuses what does not fit and keeps what it has', () => {
  const log = new MemoryLog({ bytesMax: 2 << 20 });
  log.open(
    { definition: () => undefined, message: () => true, recovered: () => undefined },
    { durable: () => undefined, unknown: () => undefined, blocked: () => undefined, topology: () => [] },
  );
  const append = new Append();
  const bytes = new Uint8Array(600_000);
  const answers: number[] = [];
  for (let seq = 1; seq <= 5; seq++) {
    append.begin(bytes, 0, bytes.length, bytes.length, 0);
    append.add(1, seq, 0, 0);
    answers.push(log.append(append));
  }
  expect(answers[0]).toBe(1);
  expect(answers.at(-1)).toBe(REFUSED);
  expect(log.memoryBytes).toBeLessThanOrEqual(2 << 20);
});

describe('the contract complains', () => {
  const subject = memorySubjects[2] as LogSubject;
  const broken = (name: string, breakIt: (log: MessageLog) => void) => ({ name, breakIt });

  test.each([
    broken('when a settle is dropped', (log) => {
      const settle = log.settle.bind(log);
      let count = 0;
      log.settle = (...args) => (++count % 3 === 0 ? undefined : settle(...args));
    }),
    broken('when a delivery count is forgotten', (log) => {
      const requeue = log.requeue.bind(log);
      log.requeue = (queueNumber, seq, slab, flags) => requeue(queueNumber, seq, slab, flags, 0);
    }),
    broken('when a definition is lost', (log) => {
      const define = log.define.bind(log);
      let count = 0;
      log.define = (definition) => (++count % 2 === 0 ? log.lastLsn : define(definition));
    }),
    broken('when the flags of a message change', (log) => {
      const append = log.append.bind(log);
      log.append = (one) => {
        one.flags |= one.count > 1 ? MessageFlag.Deaths : 0;
        const lsn = append(one);
        one.flags &= ~MessageFlag.Deaths;
        return lsn;
      };
    }),
    broken('when bytes change', (log) => {
      const append = log.append.bind(log);
      log.append = (one) => {
        const bytes = new Uint8Array(one.bytes);
        bytes[one.end - 1] = (bytes[one.end - 1] ?? 0) ^ 1;
        const { bytes: own } = one;
        one.bytes = bytes;
        const lsn = append(one);
        one.bytes = own;
        return lsn;
      };
    }),
  ])('$name', async ({ breakIt }) => {
    const breaking: LogSubject = {
      ...subject,
      begin: (seed) => {
        const world = subject.begin(seed);
        const next = world.next.bind(world);
        let isBroken = false;
        world.next = () => {
          const log = next();
          if (!isBroken) breakIt(log);
          isBroken = true;
          return log;
        };
        return world;
      },
    };
    const { failed } = await fc.check(
      fc.asyncProperty(steps, async (list) => {
        const script = new LogScript(breaking);
        await script.run(list);
        await script.reopen();
        await script.run([]);
      }),
      { numRuns: 60, endOnFailure: true },
    );
    expect(failed).toBe(true);
  });
});
