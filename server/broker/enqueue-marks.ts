// When the messages of one queue came, roughly: `every seq below this one was there at this time`, a few times over.
// Always: (1) at most MARKS_MAX marks, however many messages: 16 bytes each, nothing per message; (2) an age made of them is never too high; it is too low by
// the distance of two marks at most: a sample's interval, or an eighth of the age that the oldest message had when the one in question came; (3) marks
// below the oldest message go. What comes back and is older than that counts as old as the oldest was. After a restart ages count from the restart.
// Refuses: exact times, which would cost 8 bytes a message of an index that has 32.

const MARKS_MAX = 16;

export class EnqueueMarks {
  /** Ascending. */
  #seqs: number[] = [];
  #times: number[] = [];

  get count(): number {
    return this.#seqs.length;
  }

  /** At `now` the queue's next seq is `nextSeq`, and its oldest ready message is `oldestSeq` (0: there is none). */
  note(nextSeq: number, oldestSeq: number, now: number, intervalMs: number): void {
    if (oldestSeq === 0) {
      if (this.#seqs.length > 0) this.#keep(() => false);
      return;
    }
    if ((this.#seqs[0] ?? Number.POSITIVE_INFINITY) <= oldestSeq) this.#keep((i) => (this.#seqs[i] as number) > oldestSeq);
    const last = this.#seqs.length - 1;
    if (last >= 0) {
      if (this.#seqs[last] === nextSeq) return; // nothing came
      const spacingMs = Math.max(intervalMs, (now - (this.#times[0] as number)) / (MARKS_MAX / 2));
      if (now - (this.#times[last] as number) < spacingMs) return;
    }
    this.#seqs.push(nextSeq);
    this.#times.push(now);
    if (this.#seqs.length > MARKS_MAX) this.#keep((i) => i % 2 === 0);
  }

  /** How long `seq` has been there at least. */
  ageMs(seq: number, now: number): number {
    for (let i = 0; i < this.#seqs.length; i++) if ((this.#seqs[i] as number) > seq) return now - (this.#times[i] as number);
    return 0; // it came after the last mark
  }

  #keep(which: (i: number) => boolean): void {
    const [seqs, times] = [this.#seqs, this.#times];
    this.#seqs = seqs.filter((_, i) => which(i));
    this.#times = times.filter((_, i) => which(i));
  }
}
