// A connection's input: frame after frame, until there are none or one has to wait. What comes meanwhile waits behind it. hot
// Always: (1) frames are carried out in their order, one at a time, also when carrying one out brings more input or ends the connection;
// (2) the host is told to leave its socket alone as soon as input that waits is enough, and to listen again when it goes on.
// Refuses: to know what a frame means, or what an error in one leads to: its host does.

import { FrameReader } from '../../shared/amqp/frame.ts';
import { HeldInput, Hold } from './held-input.ts';

export interface FrameLoopHost {
  /** Nothing is carried out any more. */
  readonly isClosed: boolean;
  /** Carries out the frame that the reader shows. Throws nothing. */
  frame(): void;
  /** What comes next is no frame, and so is all that follows it. */
  unreadable(error: unknown): void;
  setDeaf(isDeaf: boolean): void;
}

export class FrameLoop {
  readonly reader: FrameReader;
  readonly #host: FrameLoopHost;
  readonly #held = new HeldInput();
  #isRunning = false;

  constructor(host: FrameLoopHost, frameMax: number) {
    this.#host = host;
    this.reader = new FrameReader(frameMax);
  }

  /** Something waits. */
  get isHeld(): boolean {
    return this.#held.isHeld;
  }

  take(chunk: Uint8Array): void {
    if (this.#held.isHeld || this.#isRunning) {
      if (this.#held.push(chunk))
        this.release(Hold.Alarm); // it closes: what it sent before that is carried out first
      else if (this.#held.isDeaf) this.#host.setDeaf(true);
      return;
    }
    this.reader.feed(chunk);
    this.#run();
  }

  /** Nothing more is carried out; for Hold.Reply the frame that the reader shows comes again. */
  hold(why: Hold): void {
    this.#held.hold(why, this.reader);
  }

  release(why: Hold): void {
    if (!this.#held.release(why) || this.#isRunning || this.#host.isClosed) return;
    this.#run();
    if (!this.#held.isDeaf) this.#host.setDeaf(false);
  }

  /** Nothing waits any more, and nothing goes on by itself. */
  clear(): void {
    this.#held.clear();
  }

  /** After `clear`: what came meanwhile, and then the socket. */
  goOn(): void {
    if (!this.#isRunning) this.#run();
    this.#host.setDeaf(false);
  }

  #run(): void {
    this.#isRunning = true;
    do {
      if (this.#held.isShownAgain) {
        this.#held.isShownAgain = false;
        this.#host.frame();
      }
      while (!this.#held.isHeld && this.#hasNext()) this.#host.frame();
    } while (!this.#held.isHeld && this.#feedHeld());
    this.#isRunning = false;
    if (this.#held.isDeaf) this.#host.setDeaf(true);
  }

  #hasNext(): boolean {
    if (this.#host.isClosed) return false;
    try {
      return this.reader.next();
    } catch (error) {
      this.reader.reset();
      this.#host.unreadable(error);
      return false;
    }
  }

  #feedHeld(): boolean {
    const chunk = this.#held.shift();
    if (chunk === undefined || this.#host.isClosed) return false;
    this.reader.feed(chunk);
    return true;
  }
}
