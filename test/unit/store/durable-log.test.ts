// What the message log on disk does beyond its contract: when it writes.

import { expect, test } from 'vitest';
import { Append, MessageFlag } from '../../../server/ports.ts';
import { DurableLog } from '../../../server/store/durable-log.ts';
import { EngineTime } from '../../support/engine.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

test('a turn that brings much is being written before it is over', async () => {
  const time = new EngineTime();
  const disk = new SimDisk({ random: seeded(1), schedule: (delayMs, task) => void time.setTimer(time.now() + delayMs, task) });
  const log = new DurableLog({
    disk,
    directory: 'data',
    clock: time,
    notices: { notice: () => undefined },
    processes: { self: '1 1', isAlive: () => true },
    sizes: { diskFreeBytesMin: 0 },
  });
  const durable: number[] = [];
  log.open(
    { definition: () => undefined, message: () => true, recovered: () => undefined },
    { durable: (lsn) => void durable.push(lsn), unknown: () => undefined, blocked: () => undefined, topology: () => [] },
  );
  log.define({ kind: 'queue', number: 1 });
  const append = new Append();
  const body = new Uint8Array(1024);
  const writes = (): number => disk.trace.filter((line) => line.startsWith('write ') && !line.endsWith('answered')).length;
  const before = writes();
  for (let seq = 1; seq <= 200; seq++) publish(seq);
  expect(writes(), 'a turn like any other is written at its end').toBe(before);
  for (let seq = 201; seq <= 600; seq++) publish(seq);
  expect(writes(), 'one write at a time').toBe(before + 1);
  log.commit();
  for (let step = 0; step < 200 && log.durableLsn < log.lastLsn; step++) {
    time.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(durable.at(-1), 'all of it is durable in the end').toBe(log.lastLsn);
  const closing = log.close();
  for (let step = 0; step < 200; step++) {
    time.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closing;

  function publish(seq: number): void {
    append.begin(body, 0, body.length, body.length, MessageFlag.Persistent);
    append.add(1, seq, 0, 0);
    log.append(append);
  }
});

test('a log that is closed while its disk is full says that it does not know what is stored', async () => {
  const time = new EngineTime();
  const disk = new SimDisk({ random: seeded(1), schedule: (delayMs, task) => void time.setTimer(time.now() + delayMs, task) });
  const sizes = { diskFreeBytesMin: 0 };
  const log = new DurableLog({
    disk,
    directory: 'data',
    clock: time,
    notices: { notice: () => undefined },
    processes: { self: '1 1', isAlive: () => true },
    sizes,
  });
  const unknown: string[] = [];
  log.open(
    { definition: () => undefined, message: () => true, recovered: () => undefined },
    { durable: () => undefined, unknown: (_lsn, { message }) => void unknown.push(message), blocked: () => undefined, topology: () => [] },
  );
  const rest = async (): Promise<void> => {
    for (let ms = 0; ms < 100; ms++) {
      time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await rest();
  Object.assign(disk.faults, { fail: { at: disk.operations + 1, code: 'ENOSPC', onwards: true } });
  log.define({ kind: 'queue', number: 1 });
  log.commit();
  await rest();
  expect(unknown).toEqual([]);
  let isClosed = false;
  void log.close().then(() => {
    isClosed = true;
  });
  await rest();
  expect([isClosed, unknown]).toEqual([true, ['the disk is full']]);
});
