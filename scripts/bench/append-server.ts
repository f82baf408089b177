// The yardstick of the durable rows: `node append-server.js FILE` takes records of 1 KiB from a bare socket, appends them to FILE, and answers after
// fdatasync how many are safe (u32). Prints its address, lives until it is killed.
// Always: (1) the asynchronous calls of the broker's log and no other: one writev, then one fdatasync, one of both in flight; (2) what arrives
// meanwhile is the next batch; (3) the file is as a WAL file is: 64 MiB, written once before, overwritten from its start when it is full.
// Refuses: framing, checksums, copies. Chunks are written as the socket gave them; an answer counts the records that are whole.

import { closeSync, fdatasync, fsyncSync, openSync, writeSync, writev } from 'node:fs';
import { createServer, type Socket } from 'node:net';

const RECORD_BYTES = 1_024;
const FILE_BYTES = 64 << 20;
const CHUNK_BYTES = 1 << 20;

class AppendLoop {
  readonly #fd: number;
  readonly #socket: Socket;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #position = 0;
  #synced = 0;
  #isBusy = false;

  constructor(fd: number, socket: Socket) {
    this.#fd = fd;
    this.#socket = socket;
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
    if (this.#position + bytes > FILE_BYTES) this.#position = 0;
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
    const before = Math.floor(this.#synced / RECORD_BYTES);
    this.#synced += bytes;
    const count = Math.floor(this.#synced / RECORD_BYTES) - before;
    if (count > 0 && !this.#socket.destroyed) {
      const answer = Buffer.allocUnsafe(4);
      answer.writeUInt32LE(count);
      this.#socket.write(answer);
    }
    if (this.#waiting.length > 0) this.#write();
    else this.#isBusy = false;
  }
}

function preallocate(path: string): number {
  const fd = openSync(path, 'w+', 0o600);
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < FILE_BYTES; at += CHUNK_BYTES) writeSync(fd, zeros, 0, CHUNK_BYTES, at);
  fsyncSync(fd);
  return fd;
}

const path = process.argv[2];
if (path === undefined) throw new Error('usage: append-server.js FILE');
const fd = preallocate(path);
const server = createServer({ noDelay: true }, (socket) => {
  const loop = new AppendLoop(fd, socket);
  socket.on('data', (chunk: Buffer) => loop.take(chunk));
  socket.on('error', () => socket.destroy());
});
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the append server has no port');
  process.stdout.write(`tcp://127.0.0.1:${address.port}\n`);
});
process.on('SIGTERM', () => {
  closeSync(fd);
  process.exit(0);
});
