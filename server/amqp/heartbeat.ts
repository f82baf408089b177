// Heartbeats of one connection: a sign of life when nothing else was sent, and an end for a peer that gives none.
// Always: (1) the interval is the client's, from its tune-ok; we send at half of it, and cut after two of it without a byte; (2) any bytes count;
// (3) a peer that we do not listen to cannot be heard, and is not cut for it. AMQP 0-9-1, 4.2.7; RabbitMQ's "Detecting Dead TCP Connections".
// Refuses: to run at interval 0, which switches them off.

import { HEARTBEAT_FRAME } from '../../shared/amqp/frame.ts';
import type { Clock, Timer } from '../ports.ts';
import type { Outbox } from './outbox.ts';

const FRAME = Uint8Array.from(HEARTBEAT_FRAME);
// Half intervals without a byte until the peer is cut: two intervals, and the one that was under way.
const SILENT_BEATS_MAX = 5;

export class Heartbeat {
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #halfMs: number;
  readonly #cut: () => void;
  #timer: Timer | undefined;
  #silentBeats = 0;
  #sentCount = 0;
  /** Its peer is not listened to. */
  isDeaf = false;

  constructor(clock: Clock, outbox: Outbox, intervalSeconds: number, cut: () => void) {
    this.#clock = clock;
    this.#outbox = outbox;
    this.#halfMs = intervalSeconds * 500;
    this.#cut = cut;
    if (intervalSeconds > 0) this.#next();
  }

  heard(): void {
    this.#silentBeats = 0;
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #next(): void {
    this.#timer = this.#clock.setTimer(this.#clock.now() + this.#halfMs, () => this.#beat());
  }

  #beat(): void {
    this.#silentBeats = this.isDeaf ? 0 : this.#silentBeats + 1;
    if (this.#silentBeats >= SILENT_BEATS_MAX) {
      this.#timer = undefined;
      this.#cut();
      return;
    }
    if (this.#outbox.sentCount === this.#sentCount) {
      this.#outbox.frame(FRAME);
      this.#outbox.flush();
    }
    this.#sentCount = this.#outbox.sentCount;
    this.#next();
  }
}
