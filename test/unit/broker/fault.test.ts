// The end of a broker: when its log loses track, when the log cannot be opened, and when it is closed in good order.
// Always: an engine and a log that the test owns.

import { expect, test } from 'vitest';
import { MessageFlag } from '../../../server/ports.ts';
import { Engine } from '../../support/engine.ts';
import { queueNamed, StagedLog } from '../../support/staged-log.ts';

test('when the log loses track every session ends with 541, nothing is confirmed any more, and the owner is told once', async () => {
  const log = new StagedLog();
  const faults: Error[] = [];
  const engine = new Engine({ log, onFault: (cause) => faults.push(cause) });
  const [peer, other] = [engine.connect(), engine.connect()];
  peer.sink.close = (error) => void peer.sink.closes.push(error);
  engine.declare(peer, 'q', [['x-expires', 60_000]]);
  engine.consume(other, 'q');
  engine.time.settle();
  log.isBehind = true;
  engine.publish(peer, '', 'q', 'doubtful');
  let isDone = false;
  engine.broker.whenDurable(log.lastLsn, () => (isDone = true));
  engine.time.settle();
  const cause = new Error('EIO: fdatasync');
  log.listener.unknown(log.durableLsn + 1, cause);
  log.isBehind = false;
  log.commit();
  engine.time.settle();
  expect([...peer.sink.closes, ...other.sink.closes].map((error) => [error.code, error.message])).toEqual([
    [541, 'INTERNAL_ERROR - the message log lost track of recent publishes'],
    [541, 'INTERNAL_ERROR - the message log lost track of recent publishes'],
  ]);
  expect([peer.sink.confirmed, peer.sink.refused, isDone]).toEqual([[], [], false]);
  expect([peer.session.isClosed, other.session.isClosed, engine.broker.connectionCount]).toEqual([true, true, 0]);
  expect(faults).toEqual([cause]);
  expect(engine.notices.map(({ kind, severity }) => `${kind} ${severity}`)).toEqual(['log.unknown error']);
  expect(() => engine.connect()).toThrow('INTERNAL_ERROR - the broker is closed');
  expect(engine.time.timerCount).toBe(0);
  expect(log.isClosed).toBe(false);
  await engine.broker.close();
  expect(log.isClosed).toBe(true);
});

test('a log that loses track while it commits has nothing of that turn confirmed', () => {
  const log = new StagedLog();
  const engine = new Engine({ log });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  engine.time.settle();
  log.commit = () => log.listener.unknown(1, new Error('EIO'));
  engine.publish(peer, '', 'nowhere', 'needs no storing');
  engine.publish(peer, '', 'q', 'x');
  engine.time.settle();
  expect(peer.sink.confirmed).toEqual([]);
  expect(peer.sink.closes).toHaveLength(1);
});

test('a log that cannot be opened leaves no timer and is not asked again', () => {
  const definitions = [queueNamed('q', 1, { 'x-expires': 1_000 })];
  const log = new StagedLog({ definitions, messages: [{ queueNumber: 1, seq: 1, deadline: 5 }], failure: new Error('damaged') });
  const time = { timers: 0, tasks: [] as (() => void)[] };
  log.commit = () => expect.unreachable();
  const setTimer = () => {
    time.timers++;
    return { cancel: () => time.timers-- };
  };
  expect(() => new Engine({ log, clock: { now: () => 10, setTimer }, turns: { defer: (task) => time.tasks.push(task) } })).toThrow(
    'damaged',
  );
  expect(time.timers).toBe(0);
  for (const task of time.tasks) task();
});

test('when the broker closes, what is unacked is back in the log before the log closes', async () => {
  const log = new StagedLog();
  const engine = new Engine({ log });
  const peer = engine.connect();
  engine.declare(peer, 'q');
  for (const body of ['a', 'b', 'c']) engine.publish(peer, '', 'q', body);
  engine.consume(peer, 'q', { prefetch: 2 });
  engine.time.settle();
  const [first, second] = [peer, engine.connect()];
  log.close = async () => {
    expect(log.requeues.map(({ seq, flags, deliveryCount }) => [seq, flags & MessageFlag.Redelivered, deliveryCount])).toEqual([
      [1, MessageFlag.Redelivered, 1],
      [2, MessageFlag.Redelivered, 1],
    ]);
    log.isClosed = true;
  };
  await engine.broker.close();
  expect(log.isClosed).toBe(true);
  expect([...first.sink.closes, ...second.sink.closes].map(({ code }) => code)).toEqual([320, 320]);
  await engine.broker.close();
});

test('a closing log that fails tells the owner', async () => {
  const log = new StagedLog();
  const faults: string[] = [];
  const engine = new Engine({ log, onFault: ({ message }) => faults.push(message) });
  log.close = async () => log.listener.unknown(1, new Error('EIO'));
  await engine.broker.close();
  expect(faults).toEqual(['EIO']);
});
