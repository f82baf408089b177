// Wing and Gong's check, with Lowe's memory of what was tried: is there one order of all operations on a queue that respects real time, and in which a
// plain first-in-first-out queue would have answered the same?
// Always: (1) an operation that returned takes effect once, between its call and its return; (2) one that never returned took effect once after
// its call, or never; (3) linear orders are searched exhaustively: an answer of false is a proof.
// Refuses: histories of more than 30 operations, as the search is exponential in those that overlap.

export type QueueOperation = {
  /** Positions in one order of all calls and returns; undefined: it never returned. */
  readonly calledAt: number;
  returnedAt: number | undefined;
} & (
  | { readonly kind: 'publish'; readonly body: string }
  /** `got` undefined: the queue was empty. Of no meaning where it never returned. */
  | { readonly kind: 'get'; got: string | undefined }
);

const OPERATIONS_MAX = 30;

/** True: some order explains it. `isEmptyAtEnd`: and leaves the queue empty. */
export function isLinearizable(history: readonly QueueOperation[], isEmptyAtEnd = false): boolean {
  if (history.length > OPERATIONS_MAX) throw new Error(`a history of ${history.length} operations is too long to be searched`);
  return new Search(history, isEmptyAtEnd).finds(0, []);
}

class Search {
  readonly #history: readonly QueueOperation[];
  readonly #isEmptyAtEnd: boolean;
  /** Bits of those that returned. */
  readonly #returned: number;
  /** What was tried in vain: bits of the operations done, and the queue that they left. */
  readonly #vain = new Set<string>();

  constructor(history: readonly QueueOperation[], isEmptyAtEnd: boolean) {
    this.#history = history;
    this.#isEmptyAtEnd = isEmptyAtEnd;
    this.#returned = history.reduce((bits, { returnedAt }, at) => (returnedAt === undefined ? bits : bits | (1 << at)), 0);
  }

  /** `done`: bits of what has taken effect, and left the queue as `held`. */
  finds(done: number, held: readonly string[]): boolean {
    if ((this.#returned & ~done) === 0 && !(this.#isEmptyAtEnd && held.length > 0)) return true;
    const key = `${done} ${held.join(' ')}`;
    if (this.#vain.has(key)) return false;
    const before = this.#firstReturn(done);
    for (const [at, operation] of this.#history.entries()) {
      // what was called after another had returned cannot come before it
      if ((done & (1 << at)) !== 0 || operation.calledAt > before) continue;
      const after = applied(operation, held);
      if (after !== undefined && this.finds(done | (1 << at), after)) return true;
    }
    this.#vain.add(key);
    return false;
  }

  /** Of those that are still to take effect. */
  #firstReturn(done: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const [at, { returnedAt }] of this.#history.entries())
      if ((done & (1 << at)) === 0 && returnedAt !== undefined && returnedAt < first) first = returnedAt;
    return first;
  }
}

/** The queue after it; undefined: a queue that holds this does not answer so. */
function applied(operation: QueueOperation, held: readonly string[]): readonly string[] | undefined {
  if (operation.kind === 'publish') return [...held, operation.body];
  if (operation.returnedAt === undefined) return held.slice(1);
  if (operation.got !== held[0]) return undefined;
  return held.slice(1);
}
