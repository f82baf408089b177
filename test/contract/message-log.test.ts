// What every message log obeys, run on each implementation.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Append, type LogListener, type MessageLog, REFUSED, type RecoverySink, View } from '../../server/ports.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { EngineTime } from '../support/engine.ts';
import { RememberingLog } from '../support/remembering-log.ts';

interface Subject {
  readonly name: string;
  make(time: EngineTime): MessageLog;
}
const subjects: Subject[] = [
  { name: 'memory log', make: () => new MemoryLog() },
  { name: 'memory log that reads later', make: (time) => new MemoryLog({ deferReads: time }) },
  { name: 'remembering log', make: () => new RememberingLog() },
];

class Listener implements LogListener, RecoverySink {
  durableLsn = 0;
  durable(lsn: number): void {
    expect(lsn).toBeGreaterThan(this.durableLsn);
    this.durableLsn = lsn;
  }
  unknown(): void {
    throw new Error('nothing is unknown here');
  }
  definition(): void {}
  message(): boolean {
    return true;
  }
  recovered(): void {}
  blocked(): void {
    throw new Error('nothing is blocked here');
  }
  topology(): [] {
    return [];
  }
}

interface Held {
  readonly bytes: Uint8Array;
  readonly queues: number[];
  readonly seq: number;
  readonly place: { slab: number; offset: number; length: number };
}

/** Reads with or without a detour over the waiter. */
function read(log: MessageLog, time: EngineTime, held: Held): Uint8Array {
  const view = new View();
  let isReadable = false;
  const { slab, offset, length } = held.place;
  const waiter = { readable: () => (isReadable = true) };
  if (!log.read(slab, offset, length, view, waiter)) {
    expect(isReadable).toBe(false);
    time.settle();
    expect(isReadable).toBe(true);
    expect(log.read(slab, offset, length, view, waiter)).toBe(true);
  }
  return new Uint8Array(view.bytes.subarray(view.start, view.start + length));
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        size: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 400_000 })),
        queues: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const), pick: fc.nat() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('move' as const),
        pick: fc.nat(),
        size: fc.integer({ min: 1, max: 5_000 }),
        queues: fc.integer({ min: 0, max: 3 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  ),
  { maxLength: 120 },
);

describe.each(subjects)('the $name', ({ make }) => {
  test('gives back the bytes of every message that some queue still holds, whatever else comes and goes', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const time = new EngineTime();
        const log = make(time);
        const listener = new Listener();
        log.open(listener, listener);
        const held: Held[] = [];
        const append = new Append();
        let seq = 0;
        const fill = (size: number, queues: number): Uint8Array => {
          const bytes = new Uint8Array(size).fill(seq * 31 + size);
          bytes[size - 1] = seq;
          append.begin(bytes, 0, size, size, 1);
          seq++;
          for (let queue = 1; queue <= queues; queue++) append.add(queue, seq, 0, 0);
          return bytes;
        };
        const keep = (bytes: Uint8Array): void => {
          if (append.count > 0) held.push({ bytes, queues: append.queueNumbers.slice(0, append.count), seq, place: { ...append.place } });
        };
        const pick = (at: number): Held | undefined => held[at % Math.max(1, held.length)];
        const drop = (message: Held): number => {
          const queue = message.queues.pop() ?? 0;
          if (message.queues.length === 0) held.splice(held.indexOf(message), 1);
          return queue;
        };
        for (const each of script) {
          const before = log.lastLsn;
          if (each.do === 'append') {
            const bytes = fill(each.size, each.queues);
            expect(log.append(append)).toBe(log.lastLsn);
            keep(bytes);
          } else if (each.do === 'commit') {
            log.commit();
            expect(log.durableLsn).toBe(log.lastLsn);
            expect(listener.durableLsn).toBe(log.lastLsn);
            continue;
          } else {
            const message = pick(each.pick);
            if (message === undefined) continue;
            const { slab, length } = message.place;
            expect(Buffer.compare(read(log, time, message), message.bytes)).toBe(0);
            const queue = drop(message);
            if (each.do === 'settle') log.settle(queue, message.seq, slab, length, 1);
            else {
              const bytes = fill(each.size, each.queues);
              expect(log.move(queue, message.seq, slab, length, 1, append)).toBe(log.lastLsn);
              keep(bytes);
            }
          }
          expect(log.lastLsn).toBeGreaterThan(before);
          expect(log.durableLsn).toBeLessThan(log.lastLsn);
        }
        for (const message of held) expect(Buffer.compare(read(log, time, message), message.bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('gives memory back when messages are settled', () => {
    const log = make(new EngineTime());
    const listener = new Listener();
    log.open(listener, listener);
    const append = new Append();
    const bytes = new Uint8Array(100_000);
    const places: { slab: number; length: number }[] = [];
    for (let seq = 1; seq <= 100; seq++) {
      append.begin(bytes, 0, bytes.length, bytes.length, 0);
      append.add(1, seq, 0, 0);
      log.append(append);
      places.push({ ...append.place });
    }
    const full = log.memoryBytes;
    expect(full).toBeGreaterThanOrEqual(10_000_000);
    places.forEach(({ slab, length }, i) => log.settle(1, i + 1, slab, length, 0));
    expect(log.memoryBytes).toBeLessThan(full / 4);
  });
});

test('a memory log with a limit refuses what does not fit and keeps what it has', () => {
  const log = new MemoryLog({ bytesMax: 2 << 20 });
  const listener = new Listener();
  log.open(listener, listener);
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
