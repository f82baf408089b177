// The port between an exchange and its type: which of its bindings does a message match? hot
// Always: (1) `match` only adds to `into`, and may add a destination more than once: the router removes duplicates; (2) bind and unbind are
// given the same object for the same binding, once each; (3) a matcher that says usesHeaders === false answers from the key alone.
// Refuses: to know queues, exchanges, alternates or CC (router.ts). test/contract/matcher.test.ts is what every matcher obeys.

import type { FieldTable } from '../../../shared/amqp/table.ts';
import type { Content } from '../../../shared/content.ts';

/** What a matcher sees of a binding. */
export interface Bound<D> {
  readonly key: string;
  readonly arguments: FieldTable;
  readonly destination: D;
}

export interface Matcher<D> {
  /** False when every routing key gives the same answer. */
  readonly usesKey: boolean;
  /** True when the answer may depend on more than the key; such a route cannot be cached by key. */
  readonly usesHeaders: boolean;
  /** Throws 406 when these cannot be bound. Called before `bind`. */
  check(key: string, args: FieldTable): void;
  bind(bound: Bound<D>): void;
  unbind(bound: Bound<D>): void;
  match(key: string, content: Content, into: Destinations<D>): void;
}

/** Destinations found so far. Reused: nothing is allocated once it has grown. */
export class Destinations<D> {
  readonly found: D[] = [];
  count = 0;

  add(destination: D): void {
    this.found[this.count++] = destination;
  }

  clear(): void {
    this.count = 0;
    // A wide fan-out must not keep hundreds of deleted queues reachable.
    if (this.found.length > 64) this.found.length = 0;
  }
}

/** Bindings that match alike, in no order. Removal costs O(1) however many there are. */
export class BoundSet<D, B extends Bound<D> = Bound<D>> {
  readonly bounds: B[] = [];
  /** Where each stands; only kept once a search would cost more than a Map. */
  #places: Map<B, number> | undefined;

  get size(): number {
    return this.bounds.length;
  }

  add(bound: B): void {
    this.#places?.set(bound, this.bounds.length);
    this.bounds.push(bound);
    if (this.#places === undefined && this.bounds.length > 16) this.#places = new Map(this.bounds.map((each, place) => [each, place]));
  }

  delete(bound: B): void {
    const place = this.#places === undefined ? this.bounds.indexOf(bound) : (this.#places.get(bound) ?? -1);
    const last = this.bounds.at(-1);
    if (place < 0 || last === undefined) return;
    this.#places?.set(last, place);
    this.#places?.delete(bound);
    this.bounds[place] = last;
    this.bounds.pop();
  }

  addTo(into: Destinations<D>): void {
    const { bounds } = this;
    for (let i = 0; i < bounds.length; i++) into.add((bounds[i] as B).destination);
  }
}
