// The ends of the durable runs: a publisher that counts confirms, a consumer that acks, and the bare append server's client.
// Always: (1) everything due in one turn is one write, on both sides of a comparison; (2) every delivery is acked by an entry of its own;
// (3) a publish that is refused, or reaches no queue, fails the run.

import { createConnection, type Socket } from 'node:net';
import {
  ConfirmReader,
  DeliverHead,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD,
  FrameParser,
  FrameType,
  readCredit,
  SETTLE_BYTES,
  SettleAction,
  writeFrameEnd,
  writeFrameHeader,
  writeSettle,
} from '../../shared/protocol/frames.ts';
import { FrameStock, type StockOptions } from './frame-stock.ts';
import { openSession } from './raw-lanes.ts';
import { encodeMessage, type RawSocket } from './raw-socket.ts';

const PUBLISHER = 1;
const CONSUMER = 1;
/** Of the bare append loop. */
export const RECORD_BYTES = 1_024;

/** What an end tells its run. */
export interface Told {
  /** Confirmed, acked or answered, in so many pieces. */
  done(count: number, pieces: number): void;
  /** It may send again. */
  open(): void;
  failed(reason: string): void;
}

/** Puts off the write of what is due to the end of the present turn. */
export class Dues {
  readonly #write: (count: number) => void;
  #due = 0;
  readonly #flush = (): void => {
    const due = this.#due;
    this.#due = 0;
    this.#write(due);
  };

  constructor(write: (count: number) => void) {
    this.#write = write;
  }

  add(count: number): void {
    if (this.#due === 0) process.nextTick(this.#flush);
    this.#due += count;
  }
}

/** The client of append-server.ts. */
export class Appender {
  readonly #socket: Socket;
  readonly #dues: Dues;

  private constructor(socket: Socket, windowRecords: number, told: Told) {
    this.#socket = socket;
    const records = Buffer.alloc(windowRecords * RECORD_BYTES, 0x78);
    this.#dues = new Dues((count) => void socket.write(records.subarray(0, count * RECORD_BYTES)));
    let carry: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      const answers = carry.length === 0 ? chunk : Buffer.concat([carry, chunk]);
      let count = 0;
      let at = 0;
      for (; at + 4 <= answers.length; at += 4) count += answers.readUInt32LE(at);
      carry = answers.subarray(at);
      told.done(count, at / 4);
    });
    socket.on('error', (error) => told.failed(`append server: ${error.message}`));
    socket.on('close', () => told.failed('the append server closed'));
  }

  static async open(url: string, windowRecords: number, told: Told): Promise<Appender> {
    const { hostname: host, port } = new URL(url);
    const socket = await new Promise<Socket>((resolve, reject) => {
      const opening = createConnection({ host, port: Number(port), noDelay: true });
      opening.once('error', reject);
      opening.once('connect', () => {
        opening.removeListener('error', reject);
        resolve(opening);
      });
    });
    return new Appender(socket, windowRecords, told);
  }

  send(count: number): void {
    this.#dues.add(count);
  }
  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }
}

/** Publishes from a stock with confirms. */
export class ConfirmedPublisher {
  readonly socket: RawSocket;
  readonly #stock: FrameStock;
  readonly #dues: Dues;
  #creditBytes: number;

  private constructor(socket: RawSocket, creditBytes: number, stock: FrameStock, told: Told) {
    this.socket = socket;
    this.#creditBytes = creditBytes;
    this.#stock = stock;
    this.#dues = new Dues((count) => socket.writeAll(stock.take(count)));
    const frames = new FrameParser();
    const confirms = new ConfirmReader();
    socket.onMessage = (bytes) => {
      let confirmed = 0;
      frames.open(bytes);
      while (frames.next()) {
        if (frames.type === FrameType.Credit) this.#creditBytes += readCredit(bytes, frames.payloadStart, frames.payloadEnd);
        if (frames.type !== FrameType.Confirm) continue;
        confirms.open(bytes, frames.payloadStart, frames.payloadEnd);
        while (confirms.next()) {
          confirmed += confirms.count;
          if (confirms.refused) told.failed(bytes.toString('utf8', confirms.errorStart, confirms.errorEnd));
          else if (confirms.routed === 0) told.failed('a message reached no queue');
        }
      }
      if (confirmed > 0) told.done(confirmed, 1);
      else told.open();
    };
    socket.onClose = (reason) => told.failed(`publisher: ${reason}`);
  }

  static async open(url: string, options: Omit<StockOptions, 'handle'>, told: Told): Promise<ConfirmedPublisher> {
    const socket = await openSession(url);
    const { credit } = await socket.request('publisher.open', { handle: PUBLISHER, confirm: true });
    return new ConfirmedPublisher(socket, Number(credit), new FrameStock({ ...options, handle: PUBLISHER }), told);
  }

  /** Its credit allows `count` more. */
  canSend(count: number): boolean {
    return this.#creditBytes >= count * this.#stock.payloadBytes;
  }
  send(count: number): void {
    this.#creditBytes -= count * this.#stock.payloadBytes;
    this.#dues.add(count);
  }
}

/** Consumes, and acks what one WebSocket message brought in one SETTLE frame. */
export class AckingConsumer {
  readonly socket: RawSocket;

  private constructor(socket: RawSocket, told: Told) {
    this.socket = socket;
    const frames = new FrameParser();
    const head = new DeliverHead();
    const tags: number[] = [];
    socket.onMessage = (bytes) => {
      frames.open(bytes);
      while (frames.next()) if (frames.type === FrameType.Deliver) tags.push(head.read(bytes, frames.payloadStart, frames.payloadEnd).tag);
      if (tags.length === 0) return;
      socket.write(encodeMessage(acks(tags)));
      const count = tags.length;
      tags.length = 0;
      told.done(count, 1);
    };
    socket.onClose = (reason) => told.failed(`consumer: ${reason}`);
  }

  static async open(url: string, queue: string, prefetch: number, told: Told): Promise<AckingConsumer> {
    const consumer = new AckingConsumer(await openSession(url), told);
    await consumer.socket.request('consume', { handle: CONSUMER, queue, prefetch });
    return consumer;
  }
}

/** One SETTLE frame that acks each of `tags`. */
export function acks(tags: readonly number[]): Uint8Array {
  const frame = new Uint8Array(FRAME_OVERHEAD + tags.length * SETTLE_BYTES);
  writeFrameHeader(frame, 0, FrameType.Settle, 0, tags.length * SETTLE_BYTES);
  let at = FRAME_HEADER_BYTES;
  for (const tag of tags) {
    writeSettle(frame, at, tag, SettleAction.Ack, false, false);
    at += SETTLE_BYTES;
  }
  writeFrameEnd(frame, at);
  return frame;
}
