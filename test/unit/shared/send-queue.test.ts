// Bytes on their way to a socket: in order, each chunk one owner's at a time, and word when there is room again.
import { expect, test } from 'vitest';
import { CHUNK_BYTES_MAX } from '../../../shared/chunk-pool.ts';
import { SEND_QUEUE_BYTES_MAX, SendQueue } from '../../../shared/send-queue.ts';

/** A socket that says what it got, and that it is sent when the test says so. */
function socket(): { queue: SendQueue; written: number[]; send: () => void; drained: () => number } {
  const written: number[] = [];
  const underWay: (() => void)[] = [];
  let drainedCount = 0;
  const queue = new SendQueue(
    (bytes, sent) => {
      written.push(bytes.length);
      underWay.push(sent);
    },
    () => drainedCount++,
  );
  return { queue, written, send: () => underWay.shift()?.(), drained: () => drainedCount };
}

function put(queue: SendQueue, bytes: number): void {
  queue.reserve(bytes);
  queue.chunk.fill(1, queue.at, queue.at + bytes);
  queue.at += bytes;
}

test('what is encoded in a turn is one write, and nothing is none', () => {
  const { queue, written } = socket();
  put(queue, 10);
  put(queue, 20);
  queue.flush();
  queue.flush();
  expect(written).toEqual([30]);
  expect(queue.flushCount).toBe(1);
});

test('a chunk that would grow beyond the largest goes out first', () => {
  const { queue, written } = socket();
  put(queue, 10);
  put(queue, CHUNK_BYTES_MAX);
  expect(written).toEqual([10]);
  queue.flush();
  expect(written).toEqual([10, CHUNK_BYTES_MAX]);
});

test('a chunk on its way is nobody else’s', () => {
  const { queue, send } = socket();
  put(queue, 100);
  const first = queue.chunk;
  queue.flush();
  put(queue, 100);
  expect(queue.chunk).not.toBe(first);
  queue.flush();
  send();
  put(queue, 100);
  expect(queue.chunk).toBe(first); // it came back
});

test('it is told once that there is room again, when half is gone, and only who was refused', () => {
  const { queue, send, drained } = socket();
  const chunks = SEND_QUEUE_BYTES_MAX / CHUNK_BYTES_MAX;
  for (let i = 0; i < chunks; i++) {
    put(queue, CHUNK_BYTES_MAX);
    queue.flush();
  }
  for (let i = 0; i < chunks; i++) send();
  expect(drained()).toBe(0);
  for (let i = 0; i < chunks; i++) {
    put(queue, CHUNK_BYTES_MAX);
    queue.flush();
  }
  expect(queue.isBelow(SEND_QUEUE_BYTES_MAX)).toBe(false);
  for (let i = 0; i < chunks / 2 - 1; i++) send();
  expect(drained()).toBe(0);
  send();
  expect(drained()).toBe(1);
  for (let i = 0; i < chunks / 2; i++) send();
  expect([drained(), queue.bytes]).toEqual([1, 0]);
});

test('it has a limit of its own, half of which is gone when it tells of room', () => {
  const drained: number[] = [];
  const sent: (() => void)[] = [];
  const queue = new SendQueue(
    (_bytes, done) => void sent.push(done),
    () => void drained.push(queue.bytes),
    1000,
  );
  for (const bytes of [400, 300, 300]) {
    put(queue, bytes);
    queue.flush();
  }
  expect(queue.isBelow(queue.bytesMax)).toBe(false);
  for (const done of sent) done();
  expect(drained).toEqual([300]);
});
