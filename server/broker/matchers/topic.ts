// The topic exchange type: keys are words between dots; in a binding key `*` stands for one word, `#` for any number of them. hot
// Bindings form a trie, one node a word. A match walks the routing key once, word by word, with the set of nodes reached so far.
// Always: (1) a node is entered once a word, so a match costs at most words x nodes, whatever the `#`s; (2) the empty key has no words, but
// between two dots stands an empty word; (3) `#.#` means `#` and is stored so; (4) a node without bindings below it does not exist.
// Refuses: more than 128 words in a binding key. RabbitMQ differs: it has no such limit.

import type { Content } from '../../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { type Bound, BoundSet, type Destinations, type Matcher } from './matcher.ts';

const WORDS_MAX = 128;

class Node<D> {
  /** Stays reached, whatever word follows. */
  readonly isHash: boolean;
  readonly words = new Map<string, Node<D>>();
  star: Node<D> | undefined = undefined;
  hash: Node<D> | undefined = undefined;
  /** Bindings whose key ends here. */
  readonly ends = new BoundSet<D>();
  /** The step of the walk that entered it last. */
  step = 0;

  constructor(isHash: boolean) {
    this.isHash = isHash;
  }

  get isEmpty(): boolean {
    return this.ends.size === 0 && this.words.size === 0 && this.star === undefined && this.hash === undefined;
  }

  child(word: string): Node<D> | undefined {
    return word === '*' ? this.star : word === '#' ? this.hash : this.words.get(word);
  }

  grow(word: string): Node<D> {
    const node = new Node<D>(word === '#');
    if (word === '*') this.star = node;
    else if (word === '#') this.hash = node;
    else this.words.set(word, node);
    return node;
  }

  prune(word: string): void {
    if (word === '*') this.star = undefined;
    else if (word === '#') this.hash = undefined;
    else this.words.delete(word);
  }
}

export class TopicMatcher<D> implements Matcher<D> {
  readonly usesKey = true;
  readonly usesHeaders = false;
  readonly #root = new Node<D>(false);
  /** Nodes reached by the words so far, and those the next word reaches. */
  #reached: Node<D>[] = [];
  #next: Node<D>[] = [];
  #reachedCount = 0;
  #nextCount = 0;
  #step = 0;

  check(key: string): void {
    const words = wordsOf(key).length;
    if (words <= WORDS_MAX) return;
    throw new AmqpError(ReplyCode.PreconditionFailed, `a topic binding key has at most ${WORDS_MAX} words, this one ${words}`, {
      path: '/key',
    });
  }

  bind(bound: Bound<D>): void {
    let node = this.#root;
    for (const word of patternOf(bound.key)) node = node.child(word) ?? node.grow(word);
    node.ends.add(bound);
  }

  unbind(bound: Bound<D>): void {
    const words = patternOf(bound.key);
    const path = [this.#root];
    for (const word of words) {
      const node = path.at(-1)?.child(word);
      if (node === undefined) return;
      path.push(node);
    }
    path.at(-1)?.ends.delete(bound);
    for (let depth = words.length; depth > 0 && path[depth]?.isEmpty; depth--) path[depth - 1]?.prune(words[depth - 1] ?? '');
  }

  match(key: string, _content: Content, into: Destinations<D>): void {
    this.#begin();
    if (key !== '') {
      let start = 0;
      for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', start)) {
        this.#take(key.slice(start, dot));
        start = dot + 1;
      }
      this.#take(start === 0 ? key : key.slice(start));
    }
    for (let i = 0; i < this.#reachedCount; i++) (this.#reached[i] as Node<D>).ends.addTo(into);
  }

  #begin(): void {
    this.#step++;
    this.#nextCount = 0;
    this.#enter(this.#root);
    this.#swap();
  }

  #take(word: string): void {
    this.#step++;
    this.#nextCount = 0;
    for (let i = 0; i < this.#reachedCount; i++) {
      const node = this.#reached[i] as Node<D>;
      if (node.isHash) this.#enter(node);
      if (node.star !== undefined) this.#enter(node.star);
      const child = node.words.get(word);
      if (child !== undefined) this.#enter(child);
    }
    this.#swap();
  }

  /** A `#` may stand for no word at all, so what enters a node enters its `#` too. Never deeper than that: `#.#` is not stored. */
  #enter(node: Node<D>): void {
    if (node.step === this.#step) return;
    node.step = this.#step;
    this.#next[this.#nextCount++] = node;
    if (node.hash !== undefined) this.#enter(node.hash);
  }

  #swap(): void {
    const reached = this.#reached;
    this.#reached = this.#next;
    this.#reachedCount = this.#nextCount;
    this.#next = reached;
  }
}

function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.');
}

function patternOf(key: string): string[] {
  return wordsOf(key).filter((word, i, words) => word !== '#' || words[i - 1] !== '#');
}
