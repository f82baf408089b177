// How the demo shows that it moves: one bar on a terminal, a plain line now and then elsewhere, nothing when only the result is wanted.
// Always: everything goes to stderr, so that stdout holds the result alone.

import { SingleBar } from 'cli-progress';
import type { QueueCounts } from './ledger.ts';

export interface Progress {
  /** What happens now; ends what was shown before. */
  say(text: string): void;
  /** So many messages were published, and this is what the broker has of them. */
  show(published: number, counts: readonly QueueCounts[]): void;
  end(): void;
}

export function progressOn(style: 'bar' | 'lines' | 'none', total: number): Progress {
  if (style === 'none') return { say: () => undefined, show: () => undefined, end: () => undefined };
  return style === 'bar' ? new Bar(total) : new Lines(total);
}

interface Figures {
  readonly acked: number;
  readonly dead: number;
  readonly waiting: number;
}

function figures(counts: readonly QueueCounts[]): Figures {
  let [acked, dead, waiting] = [0, 0, 0];
  for (const queue of counts) {
    acked += queue.counts.acked;
    dead += queue.counts.deadLettered;
    waiting += queue.ready + queue.unacked + queue.deadLetterWaiting;
  }
  return { acked, dead, waiting };
}

class Bar implements Progress {
  readonly #bar: SingleBar;
  readonly #total: number;
  #shown = false;

  constructor(total: number) {
    this.#total = total;
    const format = '  {bar} {value}/{total} published · {acked} acked · {dead} dead-lettered · {waiting} waiting · {duration} s';
    this.#bar = new SingleBar({
      format,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 28,
      hideCursor: true,
      stream: process.stderr,
    });
  }

  say(text: string): void {
    this.end();
    process.stderr.write(`${text}\n`);
  }

  show(published: number, counts: readonly QueueCounts[]): void {
    const shown = figures(counts);
    if (this.#shown) this.#bar.update(published, shown);
    else this.#bar.start(this.#total, published, shown);
    this.#shown = true;
  }

  end(): void {
    if (this.#shown) this.#bar.stop();
    this.#shown = false;
  }
}

// A line every 2 s: a log of ten lines for a run of 20 s.
const LINE_MS = 2_000;

class Lines implements Progress {
  readonly #total: number;
  #lastAt = 0;

  constructor(total: number) {
    this.#total = total;
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  show(published: number, counts: readonly QueueCounts[]): void {
    if (performance.now() - this.#lastAt < LINE_MS) return;
    this.#lastAt = performance.now();
    const { acked, dead, waiting } = figures(counts);
    this.say(`  ${published}/${this.#total} published, ${acked} acked, ${dead} dead-lettered, ${waiting} waiting`);
  }

  end(): void {
    // Lines end themselves.
  }
}
