// Who may hash next: a few at a time, the others wait in lanes, one for each address.
// Always: (1) lanes are served in turn, each from its front, so whoever floods one waits behind itself; (2) when all places are taken, a newcomer gets the
// last one of the longest lane, if that is longer than its own would be; (3) who has a place in the end leaves it once.
// Refuses: to know who they are.

import { AmqpError, ReplyCode } from '../../shared/error.ts';

interface Waiting {
  readonly enter: () => void;
  readonly refuse: (error: AmqpError) => void;
}

export class FairQueue {
  readonly #atOnce: number;
  readonly #waitingMax: number;
  /** In the order of their turns; none is empty. */
  readonly #lanes = new Map<string, Waiting[]>();
  #running = 0;
  #count = 0;

  constructor(atOnce: number, waitingMax: number) {
    this.#atOnce = atOnce;
    this.#waitingMax = waitingMax;
  }

  /** Resolves when it is their turn. Rejects with 506 where too many wait. */
  async enter(lane: string): Promise<void> {
    if (this.#running < this.#atOnce) {
      this.#running++;
      return;
    }
    if (this.#count >= this.#waitingMax) this.#makeRoom(lane);
    await new Promise<void>((enter, refuse) => {
      this.#count++;
      const waiting = this.#lanes.get(lane);
      if (waiting === undefined) this.#lanes.set(lane, [{ enter, refuse }]);
      else waiting.push({ enter, refuse });
    });
  }

  /** Whose turn it is has the place now: were it free for a moment, a newcomer could take it too. */
  leave(): void {
    const [next] = this.#lanes;
    if (next === undefined) {
      this.#running--;
      return;
    }
    const [lane, waiting] = next;
    const first = waiting.shift();
    this.#lanes.delete(lane);
    if (waiting.length > 0) this.#lanes.set(lane, waiting);
    this.#count--;
    first?.enter();
  }

  #makeRoom(lane: string): void {
    const [longest, waiting] = [...this.#lanes].reduce((most, each) => (each[1].length > most[1].length ? each : most));
    if (waiting.length <= (this.#lanes.get(lane)?.length ?? 0) + 1) throw tooMany();
    waiting.pop()?.refuse(tooMany());
    this.#count--;
    if (waiting.length === 0) this.#lanes.delete(longest);
  }
}

function tooMany(): AmqpError {
  return new AmqpError(ReplyCode.ResourceError, 'too many logins at once', { hint: 'try again in a moment' });
}
