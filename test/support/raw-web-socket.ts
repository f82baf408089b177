// A WebSocket client down to its octets: frames are written as given, whole, in thirds or byte by byte, also those no client would send.
// Always: (1) what came in is kept in order until a test takes it; (2) the end is known with the code of the close frame, or 1006 without one.
// Refuses fragments and frames above 64 KiB from the server's side of the tests that need neither.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export type Pieces = 'whole' | 'thirds' | 'bytes';
export type Incoming = { text: string } | { hex: string };

export const Opcode = { Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

/** The frame of a client: masked, with a key of zeros unless `masked` is false. */
export function clientFrame(opcode: number, payload: Uint8Array, masked = true): Buffer {
  const length = payload.length;
  const mask = masked ? 0x80 : 0;
  const head =
    length < 126
      ? [0x80 | opcode, mask | length]
      : length < 65_536
        ? [0x80 | opcode, mask | 126, length >> 8, length & 255]
        : [0x80 | opcode, mask | 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255];
  return Buffer.concat([Buffer.from(head), masked ? Buffer.alloc(4) : Buffer.alloc(0), payload]);
}

export class RawWebSocket {
  readonly #socket: Socket;
  readonly #incoming: Incoming[] = [];
  #buffer = Buffer.alloc(0);
  #arrived: () => void = () => {};
  #code = 1006;
  readonly closed: Promise<number>;
  /** Answers no ping any more. */
  isMute = false;

  private constructor(socket: Socket, head: Buffer) {
    this.#socket = socket;
    // not `once`: that fails with the first error, and a reset is one
    this.closed = new Promise((resolve) => socket.once('close', () => resolve(this.#code)));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#read(head);
  }

  /** Resolves with the socket, or with the HTTP answer that refused it. */
  static async open(port: number, headers: Record<string, string> = {}): Promise<RawWebSocket | { status: number; body: string }> {
    const socket = connect(port, '127.0.0.1');
    const all = {
      Host: `127.0.0.1:${port}`,
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Protocol': 'leveret.v1',
      ...headers,
    };
    const lines = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}`]));
    socket.write(`GET /ws HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    let answer = Buffer.alloc(0);
    while (!answer.includes('\r\n\r\n')) answer = Buffer.concat([answer, (await once(socket, 'data'))[0]]);
    const end = answer.indexOf('\r\n\r\n') + 4;
    const status = Number(answer.subarray(9, 12).toString());
    if (status === 101) return new RawWebSocket(socket, answer.subarray(end));
    const rest: Buffer[] = [answer.subarray(end)];
    socket.on('data', (chunk: Buffer) => rest.push(chunk));
    await once(socket, 'close');
    return { status, body: Buffer.concat(rest).toString() };
  }

  /** Writes octets as they are. Pieces are separate writes, each in its own turn. */
  async write(octets: Uint8Array, pieces: Pieces = 'whole'): Promise<void> {
    const size = pieces === 'whole' ? octets.length : pieces === 'thirds' ? Math.ceil(octets.length / 3) : 1;
    for (let at = 0; at < octets.length; at += size) {
      if (!this.#socket.writable) return; // the server has ended it: `closed` tells why
      this.#socket.write(octets.subarray(at, at + size));
      if (size < octets.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  text(message: object | string, pieces: Pieces = 'whole'): Promise<void> {
    return this.write(clientFrame(Opcode.Text, Buffer.from(typeof message === 'string' ? message : JSON.stringify(message))), pieces);
  }
  binary(hex: string, pieces: Pieces = 'whole'): Promise<void> {
    return this.write(clientFrame(Opcode.Binary, Buffer.from(hex.replaceAll(/[^0-9a-f]/g, ''), 'hex')), pieces);
  }

  /** The next message, text or binary. Fails when the connection ends first. */
  async next(): Promise<Incoming> {
    for (;;) {
      const message = this.#incoming.shift();
      if (message !== undefined) return message;
      const ended = await Promise.race([this.closed, new Promise<undefined>((resolve) => (this.#arrived = () => resolve(undefined)))]);
      if (ended !== undefined && this.#incoming.length === 0) throw new Error(`closed with ${ended} instead of a message`);
    }
  }
  /** The next message, which must be text. */
  async json(): Promise<{ [field: string]: unknown }> {
    const message = await this.next();
    if (!('text' in message)) throw new Error(`binary ${message.hex} instead of text`);
    return JSON.parse(message.text);
  }
  async hex(): Promise<string> {
    const message = await this.next();
    if (!('hex' in message)) throw new Error(`text ${message.text} instead of binary`);
    return message.hex;
  }

  /** Reads nothing until `thaw`. */
  freeze(): void {
    this.#socket.pause();
  }
  thaw(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const [first, second] = this.#buffer;
      if (first === undefined || second === undefined) break;
      const wide = second === 126 ? 2 : second === 127 ? 8 : 0;
      if (this.#buffer.length < 2 + wide) break;
      const length = wide === 0 ? second : wide === 2 ? this.#buffer.readUInt16BE(2) : this.#buffer.readUInt32BE(6);
      const end = 2 + wide + length;
      if (this.#buffer.length < end) break;
      this.#take(first & 15, this.#buffer.subarray(2 + wide, end));
      this.#buffer = this.#buffer.subarray(end);
    }
    this.#arrived();
  }

  #take(opcode: number, payload: Buffer): void {
    if (opcode === Opcode.Text) this.#incoming.push({ text: payload.toString() });
    else if (opcode === Opcode.Binary) this.#incoming.push({ hex: payload.toString('hex') });
    else if (opcode === Opcode.Close) {
      this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#socket.end();
    } else if (opcode === Opcode.Ping && !this.isMute) this.#socket.write(clientFrame(Opcode.Pong, payload));
  }
}
