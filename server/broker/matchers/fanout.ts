// The fanout exchange type: every binding matches every message. hot
// Always: routing key, binding key and arguments are ignored.

import type { Content } from '../../../shared/content.ts';
import { type Bound, BoundSet, type Destinations, type Matcher } from './matcher.ts';

export class FanoutMatcher<D> implements Matcher<D> {
  readonly usesKey = false;
  readonly usesHeaders = false;
  readonly #all = new BoundSet<D>();

  check(): void {
    // Any key and any arguments can be bound.
  }

  bind(bound: Bound<D>): void {
    this.#all.add(bound);
  }

  unbind(bound: Bound<D>): void {
    this.#all.delete(bound);
  }

  match(_key: string, _content: Content, into: Destinations<D>): void {
    this.#all.addTo(into);
  }
}
