// A FIFO that can be looked into by position: push at the tail, shift at the head, both O(1), no garbage. hot
// Always: capacity is a power of two; a slot outside the FIFO is undefined, so that nothing shifted stays reachable.
// Differs from shared/ring.ts by `at`: the place of a publish among those sent is its confirm sequence.

export class Fifo<T> {
  length = 0;
  #slots: (T | undefined)[] = new Array<T | undefined>(16).fill(undefined);
  #head = 0;

  push(value: T): void {
    if (this.length === this.#slots.length) {
      this.#slots = [...this, ...this.#slots.fill(undefined)];
      this.#head = 0;
    }
    this.#slots[(this.#head + this.length++) & (this.#slots.length - 1)] = value;
  }

  /** The n-th from the head, of those there are. */
  at(n: number): T | undefined {
    return this.#slots[(this.#head + n) & (this.#slots.length - 1)];
  }

  shift(): T | undefined {
    const value = this.at(0);
    if (this.length > 0) {
      this.#slots[this.#head++] = undefined;
      this.#head &= this.#slots.length - 1;
      this.length--;
    }
    return value;
  }

  *[Symbol.iterator](): Generator<T, void> {
    for (let n = 0; n < this.length; n++) {
      const value = this.at(n);
      if (value !== undefined) yield value;
    }
  }
}
