// Bugs by name, as a broker could have them: proxies around the disk, the log and the sink of recovery that do one thing wrong.
// Always: each says what the oracle must answer to it. A simulation that misses one of them proves nothing about the rest.

import { type RecoverySink, Stored } from '../../server/ports.ts';
import type { Disk, DiskFile } from '../../server/store/file.ts';
import type { SimDisk } from '../support/sim-disk.ts';
import type { Planted } from './world.ts';

function changed<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get: (inner, name) => {
      if (name in changes) return Reflect.get(changes, name);
      // methods of classes with private fields want the object itself as their receiver
      const value = Reflect.get(inner, name, inner);
      return typeof value === 'function' ? value.bind(inner) : value;
    },
  });
}

function withFiles(disk: SimDisk, change: (file: DiskFile) => Partial<DiskFile>): Disk {
  return changed<Disk>(disk, {
    openNow: (path, how) => {
      const file = disk.openNow(path, how);
      return path.includes('/wal/') ? changed(file, change(file)) : file;
    },
  });
}

/** Hands messages over one behind; `last` is given the last one. */
function withLast(sink: RecoverySink, last: (queueNumber: number, stored: Stored) => void): RecoverySink {
  let held: { queueNumber: number; stored: Stored } | undefined;
  return changed(sink, {
    message: (queueNumber, stored) => {
      if (held !== undefined) sink.message(held.queueNumber, held.stored);
      held = { queueNumber, stored: new Stored().copyFrom(stored) };
      return true;
    },
    recovered: (found) => {
      if (held !== undefined) last(held.queueNumber, held.stored);
      sink.recovered(found);
    },
  });
}

/** Of two neighbours in a queue each is handed over with the other's seq. */
function exchanging(sink: RecoverySink): RecoverySink {
  let held: { queueNumber: number; stored: Stored } | undefined;
  const give = (): void => {
    if (held !== undefined) sink.message(held.queueNumber, held.stored);
    held = undefined;
  };
  return changed(sink, {
    message: (queueNumber, stored) => {
      if (held?.queueNumber !== queueNumber) {
        give();
        held = { queueNumber, stored: new Stored().copyFrom(stored) };
        return true;
      }
      const first = held.stored;
      const second = new Stored().copyFrom(stored);
      [first.seq, second.seq] = [second.seq, first.seq];
      sink.message(queueNumber, second);
      give();
      return true;
    },
    recovered: (found) => {
      give();
      sink.recovered(found);
    },
  });
}

const OTHER_SEQ = 1_000_000;
// Where the header of the first batch ends, and with it all that can be read of a file whose D is thought to be 0.
const SEEN_BYTES = 600;

export const planted: readonly Planted[] = [
  {
    name: 'a confirm before the sync',
    says: /was confirmed and never acked: lost|is missing from a transaction|was synced/,
    disk: (disk, env) => withFiles(disk, () => ({ sync: (done) => void env.after(1, () => done(null)) })),
  },
  {
    name: 'a lost ack',
    says: /was delivered after it was (acked|dropped) and that was synced/,
    log: (log) => {
      let count = 0;
      return changed(log, {
        settle: (queueNumber, seq, slab, length, flags) => {
          if (++count % 5 !== 0) log.settle(queueNumber, seq, slab, length, flags);
        },
      });
    },
  },
  {
    name: 'a wrong D in recovery',
    says: /was confirmed and never acked: lost|is missing from a transaction|queue \w+ is lost/,
    disk: (disk) =>
      withFiles(disk, (file) => ({
        readNow: (into, position) => {
          const count = file.readNow(into, position);
          into.fill(0, Math.min(into.length, SEEN_BYTES)); // as if nothing behind it were known to be durable
          return count;
        },
      })),
  },
  {
    name: 'a dropped tail',
    says: /was confirmed and never acked: lost|is missing from a transaction/,
    sink: (sink) => withLast(sink, () => undefined),
  },
  {
    name: 'a double enqueue',
    says: /came twice in one drain|while .+ held it|was delivered after it was acked/,
    sink: (sink) =>
      withLast(sink, (queueNumber, stored) => {
        sink.message(queueNumber, stored);
        stored.seq += OTHER_SEQ;
        sink.message(queueNumber, stored);
      }),
  },
  {
    name: 'a move in two steps',
    says: /never dead-lettered: lost|in two places|came twice|was delivered after it was/,
    log: (log) => {
      let count = 0;
      return changed(log, {
        // every third dead letter is given up first, and its copy forgotten
        move: (queueNumber, seq, slab, length, flags, append) => {
          if (++count % 3 !== 0) return log.move(queueNumber, seq, slab, length, flags, append);
          return log.append(append);
        },
      });
    },
  },
  {
    name: 'a forgotten requeue',
    says: /failed deliveries and had/,
    log: (log) => changed(log, { requeue: () => undefined }),
  },
  {
    name: "two messages in each other's place",
    says: /which was published later/,
    sink: exchanging,
  },
];
