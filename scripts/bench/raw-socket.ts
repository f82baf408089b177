// A WebSocket whose sending side costs next to nothing: messages are masked and framed once, before the run, and written as they are.
// Always: (1) opening, receiving and closing are ws's own; (2) `write` takes whole WebSocket frames only, and only while ws itself is
// not sending, so frames never mix; (3) every frame has a mask that is not zero: the server unmasks it like any client's.
// Why: a generator that spends as long on sending as the broker on receiving would measure itself.

import { once } from 'node:events';
import { createConnection, type NetConnectOpts, type Socket } from 'node:net';
import { WebSocket } from 'ws';

const MASK = Uint8Array.of(0x5a, 0xc3, 0x17, 0x9e);
const BINARY_FINAL = 0x82;

/** One binary WebSocket message from a client, ready for the socket. */
export function encodeMessage(payload: Uint8Array): Buffer {
  const head = payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10;
  const bytes = Buffer.allocUnsafe(head + 4 + payload.length);
  bytes[0] = BINARY_FINAL;
  if (head === 2) bytes[1] = 0x80 | payload.length;
  else if (head === 4) {
    bytes[1] = 0x80 | 126;
    bytes.writeUInt16BE(payload.length, 2);
  } else {
    bytes[1] = 0x80 | 127;
    bytes.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  bytes.set(MASK, head);
  for (let i = 0; i < payload.length; i++) bytes[head + 4 + i] = (payload[i] ?? 0) ^ (MASK[i & 3] ?? 0);
  return bytes;
}

interface Answer {
  readonly id?: number;
  readonly ok?: Record<string, unknown>;
  readonly error?: { readonly reason: string };
}

export class RawSocket {
  readonly #socket: WebSocket;
  readonly #stream: Socket;
  #requests = 0;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  /** Called with each binary message. */
  onMessage: (bytes: Buffer) => void = () => undefined;
  /** Called once with the reason when the peer closes. */
  onClose: (reason: string) => void = () => undefined;

  private constructor(socket: WebSocket, stream: Socket) {
    this.#socket = socket;
    this.#stream = stream;
    socket.on('message', (bytes: Buffer, isBinary: boolean) => {
      if (isBinary) this.onMessage(bytes);
      else this.#onText(bytes.toString());
    });
    socket.on('close', (code: number, reason: Buffer) => this.onClose(`closed with ${code} ${reason.toString()}`));
    socket.on('error', (error: Error) => this.onClose(error.message));
  }

  static async open(url: string, subprotocol?: string): Promise<RawSocket> {
    let stream: Socket | undefined;
    const open = (options: NetConnectOpts): Socket => {
      stream = createConnection(options);
      return stream;
    };
    const socket = new WebSocket(url, subprotocol === undefined ? [] : [subprotocol], {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      createConnection: open as typeof createConnection,
    });
    await once(socket, 'open');
    if (stream === undefined) throw new Error('ws opened no connection');
    stream.setNoDelay(true);
    return new RawSocket(socket, stream);
  }

  /** One control operation of docs/protocol.md; answers its `ok`. */
  async request(op: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> {
    const id = ++this.#requests;
    const answer = new Promise<Answer>((resolve) => {
      this.#answers.set(id, resolve);
    });
    this.#socket.send(JSON.stringify({ id, op, ...fields }));
    const { ok, error } = await answer;
    if (ok === undefined) throw new Error(`${op}: ${error?.reason ?? 'no answer'}`);
    return ok;
  }

  /** Whole frames from encodeMessage. */
  write(frames: Buffer): void {
    this.#stream.write(frames);
  }

  /** The same from several buffers, in one call of the system. */
  writeAll(frames: readonly Buffer[]): void {
    if (frames.length > 1) this.#stream.cork();
    for (const some of frames) this.#stream.write(some);
    if (frames.length > 1) this.#stream.uncork();
  }

  async close(): Promise<void> {
    this.onClose = () => undefined;
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }

  #onText(text: string): void {
    const answer: Answer = JSON.parse(text);
    if (answer.id === undefined) return; // an event
    this.#answers.get(answer.id)?.(answer);
    this.#answers.delete(answer.id);
  }
}
