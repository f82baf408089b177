// A binary heap: the next deadline in O(log n). Deadlines that move or die stay in it; their owner skips them when they come up.
// Always: (1) no element is before its parent, so peek is the first; (2) nothing popped stays reachable.
// Refuses: removal from the middle; an order among equals.

export class Heap<T> {
  readonly #before: (a: T, b: T) => boolean;
  #slots: T[] = [];

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#slots.length;
  }

  peek(): T | undefined {
    return this.#slots[0];
  }

  push(value: T): void {
    const slots = this.#slots;
    let at = slots.length;
    slots.push(value);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = slots[above] as T;
      if (!this.#before(value, parent)) break;
      slots[at] = parent;
      at = above;
    }
    slots[at] = value;
  }

  pop(): T | undefined {
    const slots = this.#slots;
    if (slots.length === 0) return undefined;
    const first = slots[0] as T;
    const last = slots.pop() as T;
    if (slots.length > 0) this.#sink(last);
    return first;
  }

  clear(): void {
    this.#slots = [];
  }

  /** Puts `value` where the root was, and moves it down to its place. */
  #sink(value: T): void {
    const slots = this.#slots;
    const size = slots.length;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= size) break;
      if (below + 1 < size && this.#before(slots[below + 1] as T, slots[below] as T)) below++;
      const child = slots[below] as T;
      if (!this.#before(child, value)) break;
      slots[at] = child;
      at = below;
    }
    slots[at] = value;
  }
}
