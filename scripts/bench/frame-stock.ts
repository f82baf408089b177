// PUBLISH frames of durable messages, encoded and masked before the run, to be sent in any number at once.
// Always: (1) what is due in one turn of the generator is one write of few buffers, as a client's batch is; (2) WebSocket messages of about
// 16 KiB; (3) every message of the run is sent in the order of `targets`, over and over.

import { encodeContent } from '../../shared/content.ts';
import {
  FRAME_OVERHEAD,
  FrameType,
  PUBLISH_HEAD_BYTES,
  writeFrameEnd,
  writeFrameHeader,
  writePublishHead,
} from '../../shared/protocol/frames.ts';
import { encodeMessage } from './raw-socket.ts';

const MESSAGE_BYTES = 16_384;
const STOCK_BYTES = 1 << 20; // of whole WebSocket messages in one buffer: one write takes a window of 1,000

/** Where a message goes. */
export interface Target {
  readonly exchange: string;
  readonly key: string;
}

export interface StockOptions {
  readonly handle: number;
  readonly bodyBytes: number;
  /** delivery-mode 2. */
  readonly persistent: boolean;
  /** In turn. Several only when a frame fills a WebSocket message alone. */
  readonly targets: readonly Target[];
}

export function publishFrame({ exchange, key }: Target, { handle, bodyBytes, persistent }: StockOptions): Uint8Array {
  const content = encodeContent(exchange, key, persistent ? { deliveryMode: 2 } : {}, new Uint8Array(bodyBytes).fill(0x78));
  const frame = new Uint8Array(FRAME_OVERHEAD + PUBLISH_HEAD_BYTES + content.length);
  const head = writeFrameHeader(frame, 0, FrameType.Publish, handle, PUBLISH_HEAD_BYTES + content.length);
  const start = writePublishHead(frame, head, false);
  frame.set(content, start);
  writeFrameEnd(frame, start + content.length);
  return frame;
}

export class FrameStock {
  /** PUBLISH payload of the largest message: what it costs of a publisher's credit. */
  readonly payloadBytes: number;
  /** Frames in a whole WebSocket message. */
  readonly framesPerMessage: number;
  /** Whole messages, one after the other. */
  readonly #stock: Buffer;
  /** Where each begins; one more for the end. */
  readonly #starts: number[] = [0];
  /** A message of so many frames. */
  readonly #parts: readonly Buffer[];
  #at = 0;

  constructor(options: StockOptions) {
    const frames = options.targets.map((target) => publishFrame(target, options));
    const [first] = frames;
    if (first === undefined) throw new Error('a stock needs a target');
    this.payloadBytes = Math.max(...frames.map((frame) => frame.length)) - FRAME_OVERHEAD;
    this.framesPerMessage = frames.length > 1 ? 1 : Math.max(1, Math.floor(MESSAGE_BYTES / first.length));
    this.#parts = Array.from({ length: this.framesPerMessage }, (_, count) => encodeMessage(repeat(first, count)));
    const whole = frames.map((frame) => encodeMessage(repeat(frame, this.framesPerMessage)));
    const rounds = Math.max(1, Math.floor(STOCK_BYTES / whole.reduce((bytes, message) => bytes + message.length, 0)));
    const messages = Array.from({ length: rounds }, () => whole).flat();
    for (const message of messages) this.#starts.push((this.#starts[this.#starts.length - 1] ?? 0) + message.length);
    this.#stock = Buffer.concat(messages);
  }

  /** The buffers that hold the next `count` messages. */
  take(count: number): Buffer[] {
    const taken: Buffer[] = [];
    let whole = Math.floor(count / this.framesPerMessage);
    while (whole > 0) {
      const some = Math.min(whole, this.#starts.length - 1 - this.#at);
      taken.push(this.#stock.subarray(this.#starts[this.#at], this.#starts[this.#at + some]));
      this.#at = (this.#at + some) % (this.#starts.length - 1);
      whole -= some;
    }
    const part = this.#parts[count % this.framesPerMessage];
    if (part !== undefined && count % this.framesPerMessage > 0) taken.push(part);
    return taken;
  }
}

function repeat(frame: Uint8Array, count: number): Uint8Array {
  const message = new Uint8Array(frame.length * count);
  for (let i = 0; i < count; i++) message.set(frame, i * frame.length);
  return message;
}
