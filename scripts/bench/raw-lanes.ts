// The two ends of a raw run: against the echo server, and against a queue of the broker with one auto-ack consumer.
// Always: (1) both send the very same WebSocket messages of PUBLISH frames, encoded before the run; (2) a publisher stays within its
// credit; (3) what comes back is counted frame by frame, on both, as any receiver has to walk it.

import { encodeContent } from '../../shared/content.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../shared/protocol/control.ts';
import {
  FRAME_OVERHEAD,
  FrameParser,
  FrameType,
  PUBLISH_HEAD_BYTES,
  readCredit,
  writeFrameEnd,
  writeFrameHeader,
  writePublishHead,
} from '../../shared/protocol/frames.ts';
import { Load } from './load.ts';
import { encodeMessage, RawSocket } from './raw-socket.ts';

const PUBLISHER = 1;
const CONSUMER = 2;
const CHUNK_BYTES = 65_536; // one write of the generator's socket
const WINDOW_BYTES = 1 << 20; // in flight, the same against echo and broker: enough to keep both sides busy, small enough to stay in cache

/** How frames travel: how many in one WebSocket message, and how many of those in one write. */
export interface Parcel {
  readonly frames: number;
  readonly frameBytes: number;
  readonly chunkMessages: number;
  readonly chunk: Buffer;
}

/** PUBLISH frames with `bodyBytes` of body to `queue`; as many a WebSocket message as fit `messageBytes`, at least one. */
export function parcel(queue: string, bodyBytes: number, messageBytes: number): Parcel {
  const content = encodeContent('', queue, {}, new Uint8Array(bodyBytes).fill(0x78));
  const frame = new Uint8Array(FRAME_OVERHEAD + PUBLISH_HEAD_BYTES + content.length);
  const head = writeFrameHeader(frame, 0, FrameType.Publish, PUBLISHER, PUBLISH_HEAD_BYTES + content.length);
  const start = writePublishHead(frame, head, false);
  frame.set(content, start);
  writeFrameEnd(frame, start + content.length);
  const frames = Math.max(1, Math.floor(messageBytes / frame.length));
  const message = new Uint8Array(frames * frame.length);
  for (let i = 0; i < frames; i++) message.set(frame, i * frame.length);
  const encoded = encodeMessage(message);
  const repeats = Math.max(1, Math.floor(CHUNK_BYTES / encoded.length));
  return {
    frames,
    frameBytes: frame.length,
    chunkMessages: frames * repeats,
    chunk: Buffer.concat(new Array<Buffer>(repeats).fill(encoded)),
  };
}

export interface Opened {
  readonly load: Load;
  close(): Promise<void>;
}

const windowOf = ({ frameBytes }: Parcel): number => Math.floor(WINDOW_BYTES / frameBytes);

export async function openEcho(url: string, load: Parcel): Promise<Opened> {
  const socket = await RawSocket.open(url);
  const running = new Load({ size: load.chunkMessages, send: () => socket.write(load.chunk) }, windowOf(load));
  const frames = new FrameParser();
  socket.onMessage = (bytes) => running.received(countFrames(frames, bytes, FrameType.Publish));
  socket.onClose = (reason) => running.failed(`echo: ${reason}`);
  return { load: running, close: () => socket.close() };
}

function countFrames(frames: FrameParser, bytes: Uint8Array, type: FrameType): number {
  let count = 0;
  frames.open(bytes);
  while (frames.next()) if (frames.type === type) count++;
  return count;
}

/** Publisher and consumer have a connection each, as the services they stand for would. */
export async function openQueue(url: string, queue: string, load: Parcel): Promise<Opened> {
  const [publisher, consumer] = await Promise.all([openSession(url), openSession(url)]);
  await consumer.request('queue.declare', { queue, durable: false, autoDelete: true });
  const { credit } = await publisher.request('publisher.open', { handle: PUBLISHER, confirm: false });
  let creditBytes = Number(credit);
  const chunkPayloadBytes = load.chunkMessages * (load.frameBytes - FRAME_OVERHEAD);
  const credits = new FrameParser();
  const deliveries = new FrameParser();
  const running = new Load(
    {
      size: load.chunkMessages,
      isOpen: () => creditBytes >= chunkPayloadBytes,
      send: () => {
        creditBytes -= chunkPayloadBytes;
        publisher.write(load.chunk);
      },
    },
    windowOf(load),
  );
  publisher.onMessage = (bytes) => {
    credits.open(bytes);
    while (credits.next())
      if (credits.type === FrameType.Credit) creditBytes += readCredit(bytes, credits.payloadStart, credits.payloadEnd);
    running.fill();
  };
  consumer.onMessage = (bytes) => running.received(countFrames(deliveries, bytes, FrameType.Deliver));
  publisher.onClose = (reason) => running.failed(`publisher: ${reason}`);
  consumer.onClose = (reason) => running.failed(`consumer: ${reason}`);
  await consumer.request('consume', { handle: CONSUMER, queue, noAck: true });
  return { load: running, close: async () => void (await Promise.all([publisher.close(), consumer.close()])) };
}

export async function openSession(url: string): Promise<RawSocket> {
  const socket = await RawSocket.open(url, SUBPROTOCOL);
  await socket.request('hello', { version: PROTOCOL_VERSION, user: 'guest', password: 'guest' });
  return socket;
}
