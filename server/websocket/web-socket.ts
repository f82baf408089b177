// A WebSocket of the `ws` package as a MessageSocket: limits, heartbeat, and an end that does not wait for the peer. hot
// Always: (1) before `admit`, a peer that has sent 64 KiB is closed with 1009, whatever it announced; (2) a peer that is silent for two heartbeats is
// cut; (3) after an error's close frame nothing more is read: what still comes is discarded until the peer hangs up.
// Differs from ws's own maxPayload: that is one number for the life of a socket, so it holds the limit after hello, and (1) is counted here.

import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { invariant } from '../../shared/assert.ts';
import { CloseCode } from '../../shared/protocol/control.ts';
import type { Clock, Timer } from '../ports.ts';
import { HELLO_BYTES_MAX } from './connection.ts';
import type { MessageSocket, SocketHandler } from './message-socket.ts';

// The header of one WebSocket frame from a client.
const FRAME_HEADER_BYTES_MAX = 14;

export class WsSocket implements MessageSocket {
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #heartbeatMs: number;
  #handler: SocketHandler | undefined;
  #heartbeat: Timer;
  #wasHeard = true;
  #isSilent = false;
  /** Of what was sent, at the last beat. */
  #takenBytes = 0;
  #isEnding = false;
  #isAdmitted = false;
  readonly #countHello: () => void;

  constructor(ws: WebSocket, socket: Socket, clock: Clock, heartbeatMs: number) {
    this.#ws = ws;
    this.#socket = socket;
    this.#clock = clock;
    this.#heartbeatMs = heartbeatMs;
    const readBefore = socket.bytesRead;
    this.#countHello = () => {
      // called once more for the chunk that held hello, when it is admitted already
      if (!this.#isAdmitted && socket.bytesRead - readBefore > HELLO_BYTES_MAX + FRAME_HEADER_BYTES_MAX) this.#tooBig();
    };
    // ws has added its own listener before: it has handled a hello by the time this one counts.
    socket.on('data', this.#countHello);
    ws.on('message', (data, isBinary) => this.#message(data, isBinary));
    ws.on('ping', () => this.#heard());
    ws.on('pong', () => this.#heard());
    // ws closes with the code that fits (1002, 1007, 1009) before it tells of the error, and 'close' follows.
    ws.on('error', () => this.#stopReading());
    ws.on('close', (code, reason) => this.#closed(code, reason.toString()));
    this.#heartbeat = this.#nextHeartbeat();
  }

  /** Who is told what comes in. Set once, right after construction. */
  attach(handler: SocketHandler): void {
    invariant(this.#handler === undefined, 'a socket has one owner');
    this.#handler = handler;
  }

  sendText(text: string, sent: () => void): void {
    if (this.#takesMore) this.#ws.send(text, sent);
  }

  sendBinary(bytes: Uint8Array, sent: () => void): void {
    if (this.#takesMore) this.#ws.send(bytes, sent);
  }

  /** Once it closes, ws would answer for what it drops before it answers for what is still on its way: `sent` would not be in order. */
  get #takesMore(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  close(code: number, reason: string): void {
    this.#isEnding = true;
    this.#heartbeat.cancel();
    this.#ws.close(code, reason);
    if (code === CloseCode.Normal || code === CloseCode.ShuttingDown) return;
    this.#stopReading();
    this.#socket.end();
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    // A peer that could not send was not silent.
    this.#wasHeard = true;
    this.#ws.resume();
  }

  admit(): void {
    this.#isAdmitted = true;
    this.#socket.off('data', this.#countHello);
  }

  /** Ends at once: the process is about to. */
  terminate(): void {
    this.#ws.terminate();
  }

  #message(data: RawData, isBinary: boolean): void {
    this.#heard();
    if (this.#isEnding || !(data instanceof Uint8Array)) return;
    if (!this.#isAdmitted && data.length > HELLO_BYTES_MAX) this.#tooBig();
    else if (isBinary) this.#handler?.onBinary(data);
    else this.#handler?.onText(data.toString());
  }

  #heard(): void {
    this.#wasHeard = true;
  }

  #tooBig(): void {
    this.#handler?.onClosed(CloseCode.TooBig, 'above 64 KiB before hello');
    this.close(CloseCode.TooBig, 'above 64 KiB before hello');
  }

  #closed(code: number, reason: string): void {
    this.#isEnding = true;
    this.#heartbeat.cancel();
    this.#handler?.onClosed(code, reason);
  }

  #stopReading(): void {
    this.#isEnding = true;
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
  }

  #nextHeartbeat(): Timer {
    return this.#clock.setTimer(this.#clock.now() + this.#heartbeatMs, () => this.#beat());
  }

  #beat(): void {
    // A peer that we do not listen to cannot be heard: it has to take what is sent.
    const takenBytes = this.#socket.bytesWritten - this.#ws.bufferedAmount;
    const isAlive = this.#wasHeard || (this.#ws.isPaused && takenBytes !== this.#takenBytes);
    if (this.#isSilent && !isAlive) {
      this.#ws.terminate();
      return;
    }
    this.#takenBytes = takenBytes;
    this.#isSilent = !isAlive;
    this.#wasHeard = false;
    this.#ws.ping();
    this.#heartbeat = this.#nextHeartbeat();
  }
}
