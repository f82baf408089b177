// The durable rows' own judgement: where data lies, what is sent, what comes back, and how pairs of runs become a figure.

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { choosePlace, fileSystemOf } from '../../../scripts/bench/data-place.ts';
import { recoveryNotice } from '../../../scripts/bench/durable-broker.ts';
import { acks } from '../../../scripts/bench/durable-ends.ts';
import { FrameStock, type StockOptions } from '../../../scripts/bench/frame-stock.ts';
import { Load, type Run } from '../../../scripts/bench/load.ts';
import { against, type Subject } from '../../../scripts/bench/pairs.ts';
import { SMOKE } from '../../../scripts/bench/row.ts';
import { Content } from '../../../shared/content.ts';
import { FrameParser, FrameType, PublishHead, SettleAction, SettleReader } from '../../../shared/protocol/frames.ts';

const MOUNTS = `/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/vdb /tmp/on\\040disk xfs rw 0 0
tmpfs /srv tmpfs rw 0 0
/dev/vdc /srv btrfs rw 0 0
`;

test.each([
  ['/var/tmp', 'ext4'],
  ['/tmp', 'tmpfs'],
  ['/tmp/x', 'tmpfs'],
  ['/tmpx', 'ext4'],
  ['/tmp/on disk/x', 'xfs'],
  ['/srv/x', 'btrfs'],
])('the file system of %s is %s', (path, type) => expect(fileSystemOf(MOUNTS, path)).toBe(type));

test('data lies on the first place that is not memory', () => {
  expect(choosePlace(MOUNTS, ['/tmp', '/var/tmp', '/srv'])).toEqual({ directory: '/var/tmp', fileSystem: 'ext4' });
  expect(() => choosePlace(MOUNTS, ['/tmp', '/tmp/x'])).toThrow('no disk behind /tmp, /tmp/x');
});

test('where mounts cannot be read the first place is taken and its file system is not known', () => {
  expect(choosePlace(undefined, ['/tmp'])).toEqual({ directory: '/tmp', fileSystem: 'an unknown file system' });
});

/** The PUBLISH frames in masked WebSocket messages. */
function framesIn(buffers: readonly Buffer[]): { exchange: string; key: string; deliveryMode: number; bodyBytes: number }[] {
  const bytes = Buffer.concat(buffers);
  const frames = new FrameParser();
  const head = new PublishHead();
  const content = new Content();
  const found: ReturnType<typeof framesIn> = [];
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    const mask = bytes.subarray(at + headBytes, at + headBytes + 4);
    const start = at + headBytes + 4;
    const payload = Uint8Array.from(bytes.subarray(start, start + length), (byte, i) => byte ^ (mask[i & 3] ?? 0));
    at = start + length;
    frames.open(payload);
    while (frames.next()) {
      expect(frames.type).toBe(FrameType.Publish);
      head.read(payload, frames.payloadStart, frames.payloadEnd);
      const { exchange, key, deliveryMode, bodyBytes } = content.read(payload, head.contentStart, frames.payloadEnd);
      found.push({ exchange, key, deliveryMode, bodyBytes });
    }
  }
  return found;
}

const options: StockOptions = { handle: 1, bodyBytes: 1_024, persistent: true, targets: [{ exchange: 'e', key: 'k' }] };

test('a stock gives any number of persistent messages', () => {
  const stock = new FrameStock(options);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_500 }), (count) => {
      const frames = framesIn(stock.take(count));
      expect(frames).toHaveLength(count);
      expect(frames[count - 1]).toEqual({ exchange: 'e', key: 'k', deliveryMode: 2, bodyBytes: 1_024 });
    }),
    { numRuns: 20 },
  );
});

test('a stock of several targets serves them in turn, over and over', () => {
  const targets = ['a', 'b', 'c'].map((key) => ({ exchange: '', key }));
  const stock = new FrameStock({ ...options, bodyBytes: 250_000, targets });
  const keys = [2, 3, 1, 5].flatMap((count) => framesIn(stock.take(count)).map(({ key }) => key));
  expect(keys.join('')).toBe('abcabcabcab');
});

test('each delivery has an ack of its own', () => {
  const bytes = acks([3, 9, 2 ** 40]);
  const frames = new FrameParser().open(bytes);
  expect(frames.next()).toBe(true);
  expect(frames.type).toBe(FrameType.Settle);
  const entries = new SettleReader().open(bytes, frames.payloadStart, frames.payloadEnd);
  const tags: number[] = [];
  while (entries.next()) {
    expect([entries.action, entries.multiple]).toEqual([SettleAction.Ack, false]);
    tags.push(entries.tag);
  }
  expect(tags).toEqual([3, 9, 2 ** 40]);
});

test('the broker tells of its recovery in one line among others', () => {
  const line = JSON.stringify({ level: 'info', kind: 'recovered', ms: 120, bytes: 5e6, messages: 7, msg: 'recovered' });
  expect(recoveryNotice(`{"kind":"other"}\n${line}\nLeveret listens\n`)).toEqual({ ms: 120, bytes: 5e6, messages: 7 });
  expect(() => recoveryNotice('Leveret listens\n')).toThrow('told nothing of its recovery');
});

const subject = (...rates: number[]): Subject => ({
  run: async () => {
    const perSecond = rates.shift() ?? 0;
    return { messages: perSecond, perSecond, answers: perSecond / 10, busy: 0.25 };
  },
});

test('a ratio is the median of the pairs, not the ratio of the medians', async () => {
  const pairing = { name: 'echo', baseline: subject(100, 200, 1_000), subject: subject(50, 200, 100) };
  const figure = await against({ ...SMOKE, rounds: 3 }, pairing);
  expect(figure).toEqual({ value: 0.5, note: '100 messages/s; echo 200', ceiling: 400, generatorBound: false });
});

test('a message that reaches many queues counts once for each', async () => {
  const each = { baseline: 1, subject: 100 };
  const note = ([run]: readonly Run[]): string => `answers ${run?.answers}`;
  const figure = await against(SMOKE, { name: 'single', baseline: subject(500), subject: subject(400), each, note });
  expect(figure).toMatchObject({ value: 80, note: '40,000 messages/s; single 500; answers 40' });
});

test('a third run stands in the note and nowhere else', async () => {
  const asides = [{ name: 'bare ws', subject: subject(70) }];
  const figure = await against(SMOKE, { name: 'loop', baseline: subject(100), subject: subject(50), asides });
  expect(figure).toMatchObject({ value: 0.5, note: '50 messages/s; loop 100; bare ws 70' });
});

test('a generator that was nearly as busy as it can be is told of', async () => {
  const busy: Subject = { run: async () => ({ messages: 9, perSecond: 9, busy: 0.9 }) };
  expect(await against(SMOKE, { name: 'echo', baseline: subject(9), subject: busy })).toMatchObject({ generatorBound: true });
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a run counts the pieces in which messages came back', async () => {
  const load: Load = new Load({ size: 10, send: () => void setTimeout(() => load.received(10, 2), 1) }, 10);
  const running = load.run({ runMs: 100, warmUpMs: 10 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await running).toMatchObject({ messages: 1_000, answers: 200 });
});
