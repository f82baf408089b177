// What the message log on disk does beyond its contract: when it writes.

import { expect, test } from 'vitest';
import { Append, MessageFlag } from '../../../server/ports.ts';
import { DurableLog } from '../../../server/store/durable-log.ts';
import { EngineTime } from '../../support/engine.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { noFaults } from '../../support/sim-machine.ts';
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

/** A log on `disk`, opened; and what it handed over and said. */
function opened(disk: SimDisk, time: EngineTime) {
  const log = new DurableLog({
    disk,
    directory: 'data',
    clock: time,
    notices: { notice: () => undefined },
    processes: { self: '1 1', isAlive: () => false },
    sizes: { diskFreeBytesMin: 0 },
  });
  const unknown: string[] = [];
  const flags: number[] = [];
  const found: boolean[] = [];
  log.open(
    {
      definition: () => undefined,
      message: (_queueNumber, stored) => flags.push(stored.flags) > 0,
      recovered: ({ isClean }) => void found.push(isClean),
    },
    {
      durable: () => undefined,
      unknown: (_lsn, { message }) => void unknown.push(message),
      blocked: () => undefined,
      topology: () => [QUEUE],
    },
  );
  const rest = async (): Promise<void> => {
    for (let ms = 0; ms < 100; ms++) {
      time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const close = async (): Promise<boolean> => {
    let isClosed = false;
    void log.close().then(() => {
      isClosed = true;
    });
    await rest();
    return isClosed;
  };
  return { log, unknown, flags, isClean: () => found.at(-1), rest, close };
}

const QUEUE = { kind: 'queue', number: 1 } as const;

test('a log that is closed while its disk is full says that it does not know what is stored', async () => {
  const time = new EngineTime();
  const disk = new SimDisk({ random: seeded(1), schedule: (delayMs, task) => void time.setTimer(time.now() + delayMs, task) });
  const { log, unknown, rest, close } = opened(disk, time);
  await rest();
  Object.assign(disk.faults, { fail: { at: disk.operations + 1, code: 'ENOSPC', onwards: true } });
  log.define(QUEUE);
  log.commit();
  await rest();
  expect(unknown).toEqual([]);
  expect([await close(), unknown]).toEqual([true, ['the disk is full']]);
});

for (const code of ['ENOSPC', 'EIO'] as const)
  test(`a log whose last checkpoint meets ${code} leaves no mark of a clean end, so that messages still say redelivered`, async () => {
    const time = new EngineTime();
    const schedule = (delayMs: number, task: () => void): void => void time.setTimer(time.now() + delayMs, task);
    let disk = new SimDisk({ random: seeded(1), schedule });
    const first = opened(disk, time);
    first.log.define(QUEUE);
    const append = new Append();
    append.begin(new Uint8Array(8), 0, 8, 8, MessageFlag.Persistent);
    append.add(1, 1, 0, 0);
    first.log.append(append);
    first.log.commit();
    await first.rest();
    disk = disk.kill();

    const second = opened(disk, time);
    await second.rest();
    expect(second.flags.map((flags) => flags & MessageFlag.Redelivered)).toEqual([MessageFlag.Redelivered]);
    if (code === 'EIO') Object.assign(disk.faults, { fail: { at: disk.operations + 1, code, onwards: false } });
    else Object.assign(disk.faults, { capacityBytes: disk.usedBytes });
    expect(await second.close()).toBe(true);
    expect(second.unknown.length, 'a full disk loses nothing here; of any other fault the broker hears').toBe(code === 'EIO' ? 1 : 0);
    disk = disk.kill();
    Object.assign(disk.faults, noFaults);

    const third = opened(disk, time);
    expect(third.isClean()).toBe(false);
    expect(third.flags.map((flags) => flags & MessageFlag.Redelivered)).toEqual([MessageFlag.Redelivered]);
    await third.rest();
    expect(await third.close()).toBe(true);
  });
