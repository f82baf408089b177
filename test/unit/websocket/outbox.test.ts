// What goes into an outbox comes out as frames, in order, whole, and untouched while the socket holds it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MessageSocket } from '../../../server/websocket/message-socket.ts';
import { Outbox } from '../../../server/websocket/outbox.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { ConfirmReader, DeliverHead, FrameParser, FrameType, ReturnHead, readCredit } from '../../../shared/protocol/frames.ts';
import { SEND_QUEUE_BYTES_MAX } from '../../../shared/send-queue.ts';

/** Holds what it is given until it is told to send, and sees whether anybody wrote into it meanwhile. */
class HoldingSocket implements MessageSocket {
  readonly held: { bytes: Uint8Array; copy: Uint8Array; sent: () => void }[] = [];
  readonly messages: (string | Uint8Array)[] = [];

  sendText(text: string, sent: () => void): void {
    this.messages.push(text);
    this.held.push({ bytes: new Uint8Array(0), copy: new Uint8Array(0), sent });
  }
  sendBinary(bytes: Uint8Array, sent: () => void): void {
    const copy = bytes.slice();
    this.messages.push(copy);
    this.held.push({ bytes, copy, sent });
  }
  send(count: number): void {
    for (const { bytes, copy, sent } of this.held.splice(0, count)) {
      expect(Buffer.compare(bytes, copy)).toBe(0);
      sent();
    }
  }
  close(): void {
    throw new Error('an outbox closes nothing');
  }
  pause(): void {
    throw new Error('an outbox pauses nothing');
  }
  resume(): void {
    throw new Error('an outbox resumes nothing');
  }
  admit(): void {
    throw new Error('an outbox admits nothing');
  }
}

type Step =
  | { kind: 'deliver'; handle: number; tag: number; run: Uint8Array }
  | { kind: 'confirm'; handle: number; firstSeq: number; count: number; routed: number }
  | { kind: 'refuse'; handle: number; seq: number }
  | { kind: 'returned'; handle: number; seq: number; run: Uint8Array }
  | { kind: 'credit'; handle: number; bytes: number }
  | { kind: 'text'; text: string }
  | { kind: 'flush' }
  | { kind: 'sent'; count: number };

const refusal = new AmqpError(ReplyCode.NotFound, "no exchange 'x' in vhost '/'");
const handle = fc.integer({ min: 1, max: 3 });
const seq = fc.integer({ min: 1, max: 1000 });
const run = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 200 }) }, fc.integer({ min: 0, max: 600_000 })),
    fc.integer({ min: 0, max: 255 }),
  )
  .map(([length, seed]) => new Uint8Array(length).map((_, i) => (seed + i * 7) & 255));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('deliver' as const), handle, tag: seq, run }),
  fc.record({
    kind: fc.constant('confirm' as const),
    handle,
    firstSeq: seq,
    count: fc.integer({ min: 1, max: 9 }),
    routed: fc.integer({ min: 0, max: 2 }),
  }),
  fc.record({ kind: fc.constant('refuse' as const), handle, seq }),
  fc.record({ kind: fc.constant('returned' as const), handle, seq, run }),
  fc.record({ kind: fc.constant('credit' as const), handle, bytes: seq }),
  fc.record({ kind: fc.constant('text' as const), text: fc.string() }),
  fc.record({ kind: fc.constant('flush' as const) }),
  fc.record({ kind: fc.constant('sent' as const), count: fc.integer({ min: 1, max: 5 }) }),
);

function carryOut(outbox: Outbox, socket: HoldingSocket, each: Step): void {
  switch (each.kind) {
    case 'deliver':
      // inside a larger buffer, as in a slab
      outbox.deliver(
        each.handle,
        each.tag,
        true,
        3,
        4,
        5,
        Buffer.concat([Buffer.alloc(3), each.run, Buffer.alloc(3)]),
        3,
        3 + each.run.length,
      );
      break;
    case 'confirm':
      outbox.confirm(each.handle, each.firstSeq, each.count, each.routed);
      break;
    case 'refuse':
      outbox.refuse(each.handle, each.seq, refusal);
      break;
    case 'returned':
      outbox.returned(each.handle, each.seq, 312, 'NO_ROUTE', each.run, 0, each.run.length);
      break;
    case 'credit':
      outbox.credit(each.handle, each.bytes);
      break;
    case 'text':
      outbox.text(each.text);
      break;
    case 'flush':
      outbox.flush();
      break;
    case 'sent':
      socket.send(each.count);
      break;
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** One line for each thing said: a run of confirms is told seq by seq, a body as a whole. */
function expected(steps: readonly Step[]): string[] {
  return steps.flatMap((each) => {
    if (each.kind === 'confirm')
      return Array.from({ length: each.count }, (_, i) => `confirm ${each.handle} ${each.firstSeq + i} ${each.routed}`);
    if (each.kind === 'deliver') return [`deliver ${each.handle} ${each.tag} ${textOf(each.run)}`];
    if (each.kind === 'returned') return [`returned ${each.handle} ${each.seq} ${textOf(each.run)}`];
    if (each.kind === 'refuse') return [`refuse ${each.handle} ${each.seq}`];
    if (each.kind === 'credit') return [`credit ${each.handle} ${each.bytes}`];
    return each.kind === 'text' ? [`text ${each.text}`] : [];
  });
}

function heard(messages: readonly (string | Uint8Array)[]): string[] {
  const lines: string[] = [];
  const parser = new FrameParser();
  const parts: Uint8Array[] = [];
  let head = '';
  const endOfBody = (): void => {
    if (head !== '') lines.push(`${head} ${textOf(Buffer.concat(parts.splice(0)))}`);
    head = '';
  };
  for (const message of messages) {
    if (typeof message === 'string') {
      endOfBody();
      lines.push(`text ${message}`);
      continue;
    }
    expect(message.length).toBeLessThanOrEqual(262_144);
    parser.open(message);
    while (parser.next()) {
      const { type, bytes, payloadStart, payloadEnd } = parser;
      if (type === FrameType.Body) {
        parts.push(bytes.slice(payloadStart, payloadEnd));
        continue;
      }
      endOfBody();
      if (type === FrameType.Deliver) {
        const {
          tag,
          redelivered,
          deliveryCount,
          queueNumber,
          seq: at,
          contentStart,
        } = new DeliverHead().read(bytes, payloadStart, payloadEnd);
        expect([redelivered, deliveryCount, queueNumber, at]).toEqual([true, 3, 4, 5]);
        head = `deliver ${parser.handle} ${tag}`;
        parts.push(bytes.slice(contentStart, payloadEnd));
      } else if (type === FrameType.Return) {
        const { seq: of, code, text, contentStart } = new ReturnHead().read(bytes, payloadStart, payloadEnd);
        expect([code, text]).toEqual([312, 'NO_ROUTE']);
        head = `returned ${parser.handle} ${of}`;
        parts.push(bytes.slice(contentStart, payloadEnd));
      } else if (type === FrameType.Credit) lines.push(`credit ${parser.handle} ${readCredit(bytes, payloadStart, payloadEnd)}`);
      else {
        const confirms = new ConfirmReader().open(bytes, payloadStart, payloadEnd);
        while (confirms.next()) {
          if (confirms.refused) lines.push(`refuse ${parser.handle} ${confirms.firstSeq}`);
          else for (let i = 0; i < confirms.count; i++) lines.push(`confirm ${parser.handle} ${confirms.firstSeq + i} ${confirms.routed}`);
        }
      }
    }
  }
  endOfBody();
  return lines;
}

test('whatever is said comes out in order and whole, and no chunk is written while the socket holds it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const socket = new HoldingSocket();
      const outbox = new Outbox(socket, () => undefined);
      for (const each of steps) carryOut(outbox, socket, each);
      outbox.flush();
      socket.send(socket.held.length);
      expect(outbox.bytes).toBe(0);
      expect(heard(socket.messages)).toEqual(expected(steps));
    }),
  );
});

describe('one connection', () => {
  test('a turn is one message, and an empty turn is none', () => {
    const socket = new HoldingSocket();
    const outbox = new Outbox(socket, () => undefined);
    outbox.flush();
    for (let tag = 1; tag <= 100; tag++) outbox.deliver(1, tag, false, 0, 1, tag, new Uint8Array(100), 0, 100);
    outbox.flush();
    outbox.flush();
    expect(socket.messages).toHaveLength(1);
  });

  test('consecutive confirms are one entry of one frame', () => {
    const socket = new HoldingSocket();
    const outbox = new Outbox(socket, () => undefined);
    for (let first = 1; first <= 1000; first += 2) outbox.confirm(1, first, 2, 1);
    outbox.flush();
    expect(socket.messages.map((message) => message.length)).toEqual([8 + 17]);
  });

  test('above 4 MiB it is not writable, and says so once half of that is gone', () => {
    const socket = new HoldingSocket();
    let drained = 0;
    const outbox = new Outbox(socket, () => drained++);
    const body = new Uint8Array(200_000);
    let written = 0;
    while (outbox.isWritable) {
      outbox.deliver(1, 0, false, 0, 1, 1, body, 0, body.length);
      outbox.flush();
      written++;
    }
    expect(written).toBe(Math.ceil(SEND_QUEUE_BYTES_MAX / (body.length + 33)));
    socket.send(Math.floor(written / 2) - 1);
    expect([drained, outbox.isWritable]).toEqual([0, true]);
    socket.send(2);
    expect(drained).toBe(1);
    socket.send(written);
    expect([drained, outbox.bytes]).toEqual([1, 0]);
  });
});
