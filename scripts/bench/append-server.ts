// The yardstick of the durable rows: `node append-server.js FILE tcp|ws RECORD_BYTES append|overwrite` takes records from a bare socket, or as they lie in
// the messages of a bare ws server, writes them to FILE, and answers after fdatasync how many are safe (u32). Prints its address, lives until it is killed.
// Always: (1) the asynchronous calls of the broker's log and no other: one writev, then one fdatasync, one of both in flight; (2) what arrives
// meanwhile is the next batch; (3) `append`: the file grows, as a log does that nobody consumes; `overwrite`: 64 MiB, written once before, begun again when
// it is full: the least that a disk can be asked for, and no log of messages that wait.
// Refuses: frames, checksums, copies. Bytes are written as the socket gave them; an answer counts the records that are whole.

import { closeSync, fdatasync, fsyncSync, openSync, writeSync, writev } from 'node:fs';
import { createServer } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const OVERWRITTEN_BYTES = 64 << 20;
const CHUNK_BYTES = 1 << 20;

interface Setting {
  readonly fd: number;
  /** Where writing begins again. */
  readonly fileBytes: number;
  readonly recordBytes: number;
}

class AppendLoop {
  readonly #fd: number;
  readonly #fileBytes: number;
  readonly #recordBytes: number;
  readonly #answer: (bytes: Buffer) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #position = 0;
  #synced = 0;
  #isBusy = false;

  constructor({ fd, fileBytes, recordBytes }: Setting, answer: (bytes: Buffer) => void) {
    this.#fd = fd;
    this.#fileBytes = fileBytes;
    this.#recordBytes = recordBytes;
    this.#answer = answer;
  }

  take(chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    // As in the broker, a batch is what one turn of the event loop brought.
    if (!this.#isBusy) {
      this.#isBusy = true;
      setImmediate(() => this.#write());
    }
  }

  #write(): void {
    const pieces = this.#waiting;
    const bytes = this.#waitingBytes;
    if (this.#position + bytes > this.#fileBytes) this.#position = 0;
    const position = this.#position;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#position += bytes;
    writev(this.#fd, pieces, position, (error, written) => {
      if (error !== null) throw error;
      if (written !== bytes) throw new Error(`the disk took ${written} of ${bytes} bytes`);
      fdatasync(this.#fd, (failed) => {
        if (failed !== null) throw failed;
        this.#done(bytes);
      });
    });
  }

  #done(bytes: number): void {
    const before = Math.floor(this.#synced / this.#recordBytes);
    this.#synced += bytes;
    const count = Math.floor(this.#synced / this.#recordBytes) - before;
    if (count > 0) {
      const answer = Buffer.allocUnsafe(4);
      answer.writeUInt32LE(count);
      this.#answer(answer);
    }
    if (this.#waiting.length > 0) this.#write();
    else this.#isBusy = false;
  }
}

function open(path: string, isOverwritten: boolean): Pick<Setting, 'fd' | 'fileBytes'> {
  const fd = openSync(path, 'w+', 0o600);
  if (!isOverwritten) return { fd, fileBytes: Number.POSITIVE_INFINITY };
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < OVERWRITTEN_BYTES; at += CHUNK_BYTES) writeSync(fd, zeros, 0, CHUNK_BYTES, at);
  fsyncSync(fd);
  return { fd, fileBytes: OVERWRITTEN_BYTES };
}

function serveTcp(setting: Setting): void {
  const server = createServer({ noDelay: true }, (socket) => {
    const loop = new AppendLoop(setting, (answer) => void (socket.destroyed || socket.write(answer)));
    socket.on('data', (chunk: Buffer) => loop.take(chunk));
    socket.on('error', () => socket.destroy());
  });
  server.listen({ host: '127.0.0.1', port: 0 }, () => tell('tcp', server.address()));
}

/** The settings that cost time are those of the broker's listener. */
function serveWs(setting: Setting): void {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, skipUTF8Validation: true });
  server.on('connection', (socket: WebSocket) => {
    const loop = new AppendLoop(setting, (answer) => void (socket.readyState === socket.OPEN && socket.send(answer)));
    socket.on('message', (bytes: Buffer) => loop.take(bytes));
  });
  server.on('listening', () => tell('ws', server.address()));
}

function tell(protocol: string, address: ReturnType<WebSocketServer['address']>): void {
  if (address === null || typeof address === 'string') throw new Error('the append server has no port');
  process.stdout.write(`${protocol}://127.0.0.1:${address.port}\n`);
}

const [path, protocol, recordBytes, how] = process.argv.slice(2);
if (path === undefined || how === undefined) throw new Error('usage: append-server.js FILE tcp|ws RECORD_BYTES append|overwrite');
const setting = { ...open(path, how === 'overwrite'), recordBytes: Number(recordBytes) };
if (protocol === 'ws') serveWs(setting);
else serveTcp(setting);
process.on('SIGTERM', () => {
  closeSync(setting.fd);
  process.exit(0);
});
