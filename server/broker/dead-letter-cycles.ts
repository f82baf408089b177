// Cycles of dead letters that the log was told of.
// Always: each pair of queues is told of once, and at most TOLD_CYCLES_MAX are; the source counts every message.

import type { Notices } from '../ports.ts';
import type { Queue } from './queue.ts';

const TOLD_CYCLES_MAX = 1_000;

export class DeadLetterCycles {
  readonly #notices: Notices;
  readonly #told = new Set<string>();

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  tell(from: Queue, to: Queue): void {
    const cycle = `${from.number}>${to.number}`;
    if (this.#told.has(cycle) || this.#told.size >= TOLD_CYCLES_MAX) return;
    this.#told.add(cycle);
    this.#notices.notice({
      kind: 'dead-letter.cycle',
      severity: 'warn',
      text: 'message dropped: it has been dead-lettered in a cycle without a reject',
      fields: { queue: from.name, target: to.name },
    });
  }
}
