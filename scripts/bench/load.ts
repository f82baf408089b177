// One timed run of a load: keeps a window of messages in flight, counts what comes back, and what the generator itself spent.
// Always: (1) a run counts between two moments in full flow, after a warm-up; (2) it then stops sending and waits until everything sent
// has come back: a message lost or made twice fails the row; (3) baseline and subject are driven by this same code.

/** What a load drives: `send` puts `size` messages on their way, unless `isOpen` says that it may not now. */
export interface Lane {
  readonly size: number;
  isOpen?(): boolean;
  send(): void;
}

export interface Run {
  readonly messages: number;
  readonly perSecond: number;
  /** In how many pieces they came back. */
  readonly answers?: number;
  /** Share of one core that this process used, user and system. */
  readonly busy: number;
}

export interface RunLength {
  readonly runMs: number;
  readonly warmUpMs: number;
}

const DRAIN_MS_MAX = 20_000;

export class Load {
  readonly #lane: Lane;
  readonly #windowMessages: number;
  #sent = 0;
  #received = 0;
  #answers = 0;
  #sending = false;
  #drained: (() => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  constructor(lane: Lane, windowMessages: number) {
    this.#lane = lane;
    this.#windowMessages = windowMessages;
  }

  /** Tells that messages came back, in one piece or more. */
  received(count: number, answers = 1): void {
    this.#received += count;
    this.#answers += answers;
    if (this.#sending) this.fill();
    else if (this.#received >= this.#sent) this.#drained?.();
  }

  /** Sends while the window has room and the lane is open; the lane's owner calls it again when the lane opens. */
  fill(): void {
    while (this.#sending && this.#sent - this.#received + this.#lane.size <= this.#windowMessages && this.#lane.isOpen?.() !== false) {
      this.#sent += this.#lane.size;
      this.#lane.send();
    }
  }

  failed(reason: string): void {
    this.#sending = false;
    this.#fail?.(new Error(reason));
  }

  async run(length: RunLength): Promise<Run> {
    const broken = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.#sending = true;
    this.fill();
    await Promise.race([pause(length.warmUpMs), broken]);
    const before = { at: performance.now(), cpu: process.cpuUsage(), received: this.#received, answers: this.#answers };
    await Promise.race([pause(length.runMs), broken]);
    const seconds = (performance.now() - before.at) / 1_000;
    const cpu = process.cpuUsage(before.cpu);
    const messages = this.#received - before.received;
    const answers = this.#answers - before.answers;
    this.#sending = false;
    await Promise.race([this.#drain(), broken]);
    return { messages, answers, perSecond: messages / seconds, busy: (cpu.user + cpu.system) / 1e6 / seconds };
  }

  async #drain(): Promise<void> {
    if (this.#received < this.#sent) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${this.#sent} messages went, only ${this.#received} came back`)), DRAIN_MS_MAX);
        this.#drained = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#received !== this.#sent) throw new Error(`${this.#sent} messages went, ${this.#received} came back`);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
