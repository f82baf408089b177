// The whole broker on a simulated disk, under seeds: what was confirmed is never lost, and what is planted is found.
// SIM_SEED=n runs that seed alone; SIM_RUNS=n says how many.

import { describe, expect, test } from 'vitest';
import type { MessageLog, RecoverySink, Stored } from '../../server/ports.ts';
import { Stored as StoredMessage } from '../../server/ports.ts';
import type { Disk, DiskFile } from '../../server/store/file.ts';
import seeds from '../seeds.json' with { type: 'json' };
import type { EngineTime } from '../support/engine.ts';
import type { SimDisk } from '../support/sim-disk.ts';
import { type Planted, World } from './world.ts';

const RUNS = Number(process.env['SIM_RUNS'] ?? 2_000);
const ONE = process.env['SIM_SEED'];
const FIRST = 1;

async function check(seed: number): Promise<{ restarts: number; retired: number; confirmed: number }> {
  const outcome = await new World(seed).run();
  expect(outcome.complaints, `SIM_SEED=${seed}`).toEqual([]);
  const again = await new World(seed).run();
  expect(again.traceHash, `SIM_SEED=${seed} does not repeat`).toBe(outcome.traceHash);
  return outcome;
}

test(`no seed loses what was confirmed, and each repeats itself (${ONE === undefined ? `${RUNS} seeds` : `SIM_SEED=${ONE}`})`, async () => {
  if (ONE !== undefined) {
    await check(Number(ONE));
    return;
  }
  let retired = 0;
  let confirmed = 0;
  for (const seed of [...seeds, ...Array.from({ length: RUNS }, (_, i) => FIRST + i)]) {
    const outcome = await check(seed);
    retired += outcome.retired;
    confirmed += outcome.confirmed;
  }
  // what is never reached is not proven
  expect(retired).toBeGreaterThan(RUNS / 20);
  expect(confirmed).toBeGreaterThan(RUNS);
}, 400_000);

function fileProxy(file: DiskFile, changes: Partial<DiskFile>): DiskFile {
  return new Proxy(file, {
    get: (target, name) => {
      const changed = Reflect.get(changes, name);
      if (changed !== undefined) return changed;
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function diskProxy(disk: SimDisk, open: (file: DiskFile, path: string) => DiskFile): Disk {
  return new Proxy<Disk>(disk, {
    get: (target, name) => {
      if (name === 'openNow') return (path: string, how: 'create' | 'change' | 'read') => open(disk.openNow(path, how), path);
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function logProxy(log: MessageLog, changes: Partial<MessageLog>): MessageLog {
  return new Proxy(log, {
    get: (target, name) => {
      const changed = Reflect.get(changes, name);
      if (changed !== undefined) return changed;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Hands the messages over changed: `last` is called with the last one. */
function sinkProxy(sink: RecoverySink, last: (queueNumber: number, stored: Stored) => void): RecoverySink {
  let held: { queueNumber: number; stored: Stored } | undefined;
  return {
    definition: (definition) => sink.definition(definition),
    message: (queueNumber, stored) => {
      if (held !== undefined) sink.message(held.queueNumber, held.stored);
      held = { queueNumber, stored: new StoredMessage().copyFrom(stored) };
      return true;
    },
    recovered: (found) => {
      if (held !== undefined) last(held.queueNumber, held.stored);
      sink.recovered(found);
    },
  };
}

const planted: Planted[] = [
  {
    name: 'a confirm before the sync',
    disk: (disk, time: EngineTime) =>
      diskProxy(disk, (file) => fileProxy(file, { sync: (done) => void time.setTimer(time.now() + 1, () => done(null)) })),
  },
  {
    name: 'a lost ack',
    log: (log) => {
      let count = 0;
      return logProxy(log, {
        settle: (queueNumber, seq, slab, length, flags) => {
          if (++count % 5 !== 0) log.settle(queueNumber, seq, slab, length, flags);
        },
      });
    },
  },
  {
    name: 'a wrong D in recovery',
    disk: (disk) =>
      diskProxy(disk, (file, path) =>
        path.includes('/wal/')
          ? fileProxy(file, {
              readNow: (into, position) => {
                const count = file.readNow(into, position);
                into.fill(0, Math.min(into.length, 600)); // as if nothing behind were known to be durable
                return count;
              },
            })
          : file,
      ),
  },
  { name: 'a dropped tail', sink: (sink) => sinkProxy(sink, () => undefined) },
  {
    name: 'a double enqueue',
    sink: (sink) =>
      sinkProxy(sink, (queueNumber, stored) => {
        sink.message(queueNumber, stored);
        stored.seq += 1_000_000;
        sink.message(queueNumber, stored);
      }),
  },
];

describe('the simulation finds', () => {
  test.each(planted)('$name', async (bug) => {
    let found: string[] = [];
    for (let seed = 1; seed <= 60 && found.length === 0; seed++) found = (await new World(seed, bug).run()).complaints;
    expect(found).not.toEqual([]);
  });
});
