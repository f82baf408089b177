// What one session may see of its vhost in a sample: asked of authorise.ts, and remembered.
// Always: (1) a verdict holds for one queue or exchange, under the rights it was asked under; a look at 10,000 queues a second asks nothing twice;
// (2) who is tagged monitoring or administrator sees the numbers of all, and of single queues what it has a right on, like anybody.
// Refuses: to decide, and to count (stats.ts).

import { hasTag, mayDo } from './authorise.ts';
import type { Exchange } from './exchange.ts';
import type { Identity } from './login.ts';
import type { Queue } from './queue.ts';
import type { Rights } from './rights.ts';

export class Sight {
  readonly #identity: Identity;
  #rights: Rights | undefined;
  #version = 0;
  /** Names do not change, and what is gone is forgotten with it. */
  #verdicts = new WeakMap<Queue | Exchange, boolean>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  get user(): string {
    return this.#identity.account.name;
  }

  get seesTotals(): boolean {
    return hasTag(this.#identity.account, 'monitoring');
  }

  /** To be called once before each look. */
  refresh(): void {
    const rights = this.#identity.account.rights(this.#identity.vhost);
    const version = rights?.version ?? 0;
    if (rights === this.#rights && version === this.#version) return;
    this.#rights = rights;
    this.#version = version;
    this.#verdicts = new WeakMap();
  }

  seesQueue(queue: Queue): boolean {
    const known = this.#verdicts.get(queue);
    if (known !== undefined) return known;
    return this.#remember(queue, mayDo(this.#identity, 'stats', { queue: queue.name }));
  }

  seesExchange(exchange: Exchange): boolean {
    const known = this.#verdicts.get(exchange);
    if (known !== undefined) return known;
    return this.#remember(exchange, mayDo(this.#identity, 'exchange.inspect', { exchange: exchange.name }));
  }

  #remember(what: Queue | Exchange, verdict: boolean): boolean {
    this.#verdicts.set(what, verdict);
    return verdict;
  }
}
