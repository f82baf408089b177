// The direct exchange type: a binding matches when its key equals the routing key, byte for byte. hot
// Always: one look-up a message, however many keys are bound.

import type { Content } from '../../../shared/content.ts';
import { type Bound, BoundSet, type Destinations, type Matcher } from './matcher.ts';

export class DirectMatcher<D> implements Matcher<D> {
  readonly usesKey = true;
  readonly usesHeaders = false;
  readonly #byKey = new Map<string, BoundSet<D>>();

  check(): void {
    // Any key and any arguments can be bound.
  }

  bind(bound: Bound<D>): void {
    let same = this.#byKey.get(bound.key);
    if (same === undefined) this.#byKey.set(bound.key, (same = new BoundSet<D>()));
    same.add(bound);
  }

  unbind(bound: Bound<D>): void {
    const same = this.#byKey.get(bound.key);
    same?.delete(bound);
    if (same?.size === 0) this.#byKey.delete(bound.key);
  }

  match(key: string, _content: Content, into: Destinations<D>): void {
    this.#byKey.get(key)?.addTo(into);
  }
}
