// AMQP's bytes out of WebSocket messages: how much of them comes in one turn, and when none comes.
import { beforeEach, expect, test } from 'vitest';
import type { ByteHandler } from '../../server/amqp/byte-socket.ts';
import { MessageByteSocket } from '../../server/amqp-over-websocket.ts';
import type { Turns } from '../../server/ports.ts';
import type { MessageSocket } from '../../server/websocket/message-socket.ts';

const TURN_BYTES = 64 * 1024;
const NORMAL = 1000;
const ABNORMAL = 1006;

class FakeSocket implements MessageSocket {
  isPaused = false;
  readonly closes: number[] = [];
  sendText(): void {}
  sendBinary(): void {}
  close(code: number): void {
    this.closes.push(code);
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  admit(): void {}
}

/** Turns that end when the test says so. */
class TestTurns implements Turns {
  #tasks: (() => void)[] = [];
  defer(task: () => void): void {
    this.#tasks.push(task);
  }
  /** False when nobody waited for it. */
  end(): boolean {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
    return tasks.length > 0;
  }
}

class Owner implements ByteHandler {
  readonly chunks: Uint8Array[] = [];
  closes = 0;
  isInCall = false;
  /** Done while a chunk is handed over. */
  during: () => void = () => {};
  onBytes(chunk: Uint8Array): void {
    expect(this.isInCall, 'one chunk at a time').toBe(false);
    this.isInCall = true;
    this.chunks.push(chunk);
    this.during();
    this.isInCall = false;
  }
  onClosed(): void {
    expect(this.isInCall, 'never inside a call').toBe(false);
    this.closes++;
  }
  get sizes(): number[] {
    return this.chunks.map((chunk) => chunk.length);
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

let socket: FakeSocket;
let turns: TestTurns;
let owner: Owner;
let byteSocket: MessageByteSocket;
beforeEach(() => {
  socket = new FakeSocket();
  turns = new TestTurns();
  owner = new Owner();
  byteSocket = new MessageByteSocket(socket, turns);
  byteSocket.attach(owner);
});

/** `length` bytes, no two neighbouring slices of which are the same. */
function message(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed + i + (i >>> 8) * 7) & 0xff);
}
function endAllTurns(): void {
  while (turns.end());
}

test('a message of many turns comes in one slice a turn, and the WebSocket is not read until the last', () => {
  const bytes = message(3 * TURN_BYTES + 5);
  byteSocket.onBinary(bytes);
  for (const count of [1, 2, 3]) {
    expect(owner.sizes).toEqual(Array(count).fill(TURN_BYTES));
    expect(socket.isPaused).toBe(true);
    turns.end();
  }
  expect(owner.sizes).toEqual([TURN_BYTES, TURN_BYTES, TURN_BYTES, 5]);
  expect(socket.isPaused).toBe(false);
  endAllTurns();
  expect(owner.bytes.equals(bytes)).toBe(true);
});

test('small messages come at once and as they are, and one turn takes in no more of them than of one large message', () => {
  byteSocket.onBinary(message(10));
  byteSocket.onBinary(message(TURN_BYTES - 30));
  expect(owner.sizes).toEqual([10, TURN_BYTES - 30]);
  expect(socket.isPaused).toBe(false);
  byteSocket.onBinary(message(50));
  byteSocket.onBinary(message(7));
  expect(owner.sizes).toEqual([10, TURN_BYTES - 30, 20]);
  expect(socket.isPaused).toBe(true);
  turns.end();
  expect(owner.sizes).toEqual([10, TURN_BYTES - 30, 20, 30, 7]);
  expect(socket.isPaused).toBe(false);
});

test('a turn that is exactly full is over, and the WebSocket is read again in the next', () => {
  byteSocket.onBinary(message(TURN_BYTES));
  expect(socket.isPaused).toBe(true);
  turns.end();
  expect(socket.isPaused).toBe(false);
  expect(owner.sizes).toEqual([TURN_BYTES]);
  expect(turns.end(), 'an idle socket asks for no turns').toBe(false);
});

test('what comes behind a large message waits behind it', () => {
  const messages = [message(2 * TURN_BYTES + 1, 1), message(3, 2), message(TURN_BYTES, 3), message(4, 4)];
  for (const each of messages) byteSocket.onBinary(each);
  endAllTurns();
  expect(owner.bytes.equals(Buffer.concat(messages))).toBe(true);
});

test('an empty message is dropped', () => {
  byteSocket.onBinary(message(0));
  expect(owner.chunks).toEqual([]);
  expect(turns.end()).toBe(false);
});

test('an owner that pauses gets nothing until it resumes, and nothing inside its own call', () => {
  byteSocket.onBinary(message(2 * TURN_BYTES));
  byteSocket.pause();
  byteSocket.onBinary(message(5));
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES]);
  expect(socket.isPaused).toBe(true);
  byteSocket.resume();
  expect(owner.sizes).toEqual([TURN_BYTES]);
  expect(socket.isPaused, 'there is a backlog still').toBe(true);
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES, TURN_BYTES, 5]);
  expect(socket.isPaused).toBe(false);
});

test('an owner that pauses over a chunk gets no other, and one that resumes over it does not get two at once', () => {
  owner.during = () => byteSocket.pause();
  byteSocket.onBinary(message(2 * TURN_BYTES));
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES]);
  owner.during = () => {
    byteSocket.pause();
    byteSocket.resume();
  };
  byteSocket.resume();
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES, TURN_BYTES]);
  expect(socket.isPaused).toBe(false);
});

test('an owner that pauses and resumes without a backlog pauses and resumes the WebSocket', () => {
  byteSocket.pause();
  expect(socket.isPaused).toBe(true);
  byteSocket.resume();
  expect(socket.isPaused).toBe(false);
  byteSocket.onBinary(message(TURN_BYTES));
  byteSocket.pause();
  byteSocket.resume();
  expect(socket.isPaused, 'the turn is full').toBe(true);
  turns.end();
  expect(socket.isPaused).toBe(false);
});

test('a peer that is torn off is gone at once, and what is left of its message is dropped', () => {
  byteSocket.onBinary(message(3 * TURN_BYTES));
  byteSocket.onClosed(ABNORMAL);
  expect(owner.closes).toBe(1);
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES]);
  expect(owner.closes).toBe(1);
});

test('a peer that closes the WebSocket behind a message is gone when that is taken', () => {
  byteSocket.onBinary(message(2 * TURN_BYTES + 1));
  byteSocket.onClosed(NORMAL);
  expect(owner.closes).toBe(0);
  turns.end();
  expect(owner.closes).toBe(0);
  turns.end();
  expect(owner.sizes).toEqual([TURN_BYTES, TURN_BYTES, 1]);
  expect(owner.closes).toBe(1);
  endAllTurns();
  expect(owner.closes).toBe(1);
});

test('who has closed the WebSocket is gone when the owner pauses, for nothing would tell it to go on', () => {
  byteSocket.onBinary(message(3 * TURN_BYTES));
  byteSocket.onClosed(NORMAL);
  owner.during = () => byteSocket.pause();
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES, TURN_BYTES]);
  expect(owner.closes).toBe(1);
});

test('who closes the WebSocket of an owner that has paused is gone at once', () => {
  byteSocket.onBinary(message(2 * TURN_BYTES));
  byteSocket.pause();
  byteSocket.onClosed(NORMAL);
  expect(owner.closes).toBe(1);
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES]);
});

test.each(['end', 'destroy'] as const)('after `%s` nothing more comes, and the WebSocket is read for the close of the peer', (how) => {
  owner.during = () => byteSocket[how]();
  byteSocket.onBinary(message(3 * TURN_BYTES));
  byteSocket.onBinary(message(1));
  endAllTurns();
  expect(owner.sizes).toEqual([TURN_BYTES]);
  expect(socket.isPaused).toBe(false);
  expect(socket.closes).toEqual([NORMAL]);
  byteSocket.onClosed(NORMAL);
  expect(owner.closes, 'the owner knows').toBe(0);
});

test('a text message ends it at once, whatever of a message is left', () => {
  byteSocket.onBinary(message(2 * TURN_BYTES));
  byteSocket.onText();
  endAllTurns();
  expect(socket.closes).toEqual([1003]);
  expect(owner.closes).toBe(1);
  expect(owner.sizes).toEqual([TURN_BYTES]);
});
