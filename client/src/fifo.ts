// A FIFO that can be looked into by position: push at the tail, shift at the head, both O(1), no garbage. hot
// Always: capacity is a power of two; a slot outside the FIFO is undefined, so that nothing shifted stays reachable.
// Differs from shared/ring.ts by `at`: the place of a publish among those sent is its confirm sequence.

export class Fifo<T> {
  length = 0;
  #slots: (T | undefined)[] = new Array<T | undefined>(16).fill(undefined);
  #head = 0;

  push(value: T): void {
    const slots = this.#slots;
    if (this.length === slots.length) {
      this.#slots = slots.concat(slots);
      // The copy behind continues where the head's lap ends; what is not of the FIFO must be undefined.
      this.#slots.fill(undefined, 0, this.#head).fill(undefined, this.#head + this.length);
    }
    this.#slots[(this.#head + this.length++) & (this.#slots.length - 1)] = value;
  }

  /** The n-th from the head; undefined when there is none. */
  at(n: number): T | undefined {
    return this.#slots[(this.#head + n) & (this.#slots.length - 1)];
  }

  shift(): T | undefined {
    const value = this.at(0);
    if (this.length > 0) {
      this.#slots[this.#head] = undefined;
      this.#head = (this.#head + 1) & (this.#slots.length - 1);
      this.length--;
    }
    return value;
  }

  /** Takes out what is there. */
  *[Symbol.iterator](): Generator<T, undefined> {
    for (let value = this.shift(); value !== undefined; value = this.shift()) yield value;
    return undefined;
  }
}
