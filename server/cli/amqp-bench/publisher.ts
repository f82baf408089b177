// The publishing end of a link: stretches of the ring, as fast as window, schedule and socket allow. hot
// Always: (1) what is sent is what the socket has room for: a ring's worth of bytes at most lies before it; (2) with a schedule, a message counts from
// when it was due; without, from when it was handed to the socket; (3) one turn of the event loop sends so much and no more, so that reading goes on.

import { Ring } from '../../../shared/ring.ts';
import type { ConfirmWindow } from './confirm-window.ts';
import type { Link, LinkEnd } from './link.ts';
import type { PublishRing } from './publish-ring.ts';
import type { Schedule } from './schedule.ts';
import { nowUs } from './stamp.ts';

// A write of 64 KiB is one system call that the kernel takes whole; above, nothing is gained.
const STRETCH_BYTES_MAX = 64 * 1024;
const TURN_BYTES_MAX = 256 * 1024;
// Without a schedule one message in so many carries a time: enough for percentiles, and the rest cost nothing.
const STAMP_EVERY = 16;

export interface PublisherOptions {
  readonly window: ConfirmWindow | undefined;
  /** How many more may be on their way to the consumers. */
  readonly room: () => number;
  /** Messages after which it stops. */
  readonly limit: number;
  /** Told after each chunk of confirms, and when the limit is sent. */
  readonly progressed: () => void;
}

export class Publisher implements LinkEnd {
  published = 0;
  readonly #link: Link;
  readonly #ring: PublishRing;
  readonly #options: PublisherOptions;
  /** Of the writes under way, the messages of each. */
  readonly #writes = new Ring<number>();
  readonly #written = (): void => {
    this.#ring.written(this.#writes.shift() ?? 0);
    this.#isFull = false;
    this.#wake();
  };
  readonly #turn = (): void => {
    this.#isAwake = false;
    this.pump();
  };
  #schedule: Schedule | undefined;
  #isSending = false;
  #isAwake = false;
  #isFull = false;

  constructor(link: Link, ring: PublishRing, options: PublisherOptions) {
    this.#link = link;
    this.#ring = ring;
    this.#options = options;
    link.end = this;
  }

  /** Sends from now on: when `schedule` says so, or as fast as it goes. */
  start(schedule: Schedule | undefined): void {
    this.#schedule = schedule;
    this.#isSending = true;
    this.pump();
  }

  stop(): void {
    this.#isSending = false;
  }

  /** All it has to send is sent, and confirmed if that was asked for. */
  get isDone(): boolean {
    return this.published >= this.#options.limit && this.openConfirms === 0;
  }
  get openConfirms(): number {
    return this.#options.window?.open ?? 0;
  }
  get confirmed(): number {
    return this.#options.window?.confirmed ?? 0;
  }
  get nacked(): number {
    return this.#options.window?.nacked ?? 0;
  }

  content(): void {
    throw new Error('a delivery came to a publisher');
  }
  settled(tag: number, isMultiple: boolean, isNack: boolean): void {
    this.#options.window?.settled(tag, isMultiple, isNack, nowUs());
  }
  chunkRead(): void {
    if (this.#isSending) this.pump();
    this.#options.progressed();
  }

  /** Sends what may be sent now. */
  pump(): void {
    let bytes = 0;
    while (this.#isSending && !this.#isFull) {
      const now = nowUs();
      const count = this.#sendable(now);
      if (count === 0) return;
      if (bytes >= TURN_BYTES_MAX) {
        this.#wake();
        return;
      }
      bytes += this.#send(this.#ring.within(count, STRETCH_BYTES_MAX), now);
    }
  }

  #sendable(now: number): number {
    const { window, limit, room } = this.#options;
    const schedule = this.#schedule;
    let count = Math.min(this.#ring.available, limit - this.published, room());
    if (window !== undefined) count = Math.min(count, window.room);
    if (schedule !== undefined) count = Math.min(count, schedule.dueCount(now) - this.published);
    return Math.max(0, count);
  }

  #send(count: number, now: number): number {
    const { window, limit, progressed } = this.#options;
    const schedule = this.#schedule;
    const ring = this.#ring;
    for (let i = 0; i < count; i++) {
      const index = this.published + i;
      const dueUs = schedule === undefined ? now : schedule.dueUs(index);
      window?.sent(dueUs);
      ring.stamp(i, schedule !== undefined || index % STAMP_EVERY === 0 ? dueUs : 0);
    }
    this.published += count;
    const stretch = ring.take(count);
    this.#writes.push(count);
    this.#isFull = !this.#link.write(stretch, this.#written);
    if (this.published >= limit) {
      this.#isSending = false;
      progressed();
    }
    return stretch.length;
  }

  /** Goes on in the next turn, behind what there is to read. */
  #wake(): void {
    if (this.#isAwake || !this.#isSending) return;
    this.#isAwake = true;
    setImmediate(this.#turn);
  }
}
