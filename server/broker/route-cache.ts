// Routes that were found before, by the bytes of exchange and key. One a vhost, shared by its sessions. hot
// Always: (1) a route is given again only for the same bytes and the same topology; (2) the cache is a table of fixed size in which a new
// route takes the place of the one it collides with: no list to keep, no sweep, at most 4096 routes.
// Refuses: routes that headers decided (Route.cacheable).

import type { Content } from '../../shared/content.ts';
import { Route } from './router.ts';

const SLOTS = 4_096; // a few hundred KiB when full; more keys than this cost a walk through the matcher each

export class CachedRoute extends Route {
  /** Grows when this becomes the route of something else. */
  generation = 0;
  #bytes = new Uint8Array(64);
  /** 0: holds no route. */
  #length = 0;

  /** Whether this is the route of `content`'s exchange and key, in this topology. CC and BCC are not looked at. */
  isFor(content: Content, version: number): boolean {
    const length = content.headerStart - content.start;
    if (length !== this.#length || this.version !== version) return false;
    const { bytes, start } = content;
    const known = this.#bytes;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== known[i]) return false;
    return true;
  }

  forget(): void {
    this.generation++;
    this.#length = 0;
  }

  /** This route is `content`'s from now on. */
  keep(content: Content): void {
    this.generation++;
    const length = content.headerStart - content.start;
    if (length > this.#bytes.length) this.#bytes = new Uint8Array(length);
    this.#bytes.set(content.bytes.subarray(content.start, content.headerStart));
    this.#length = length;
  }
}

export class RouteCache {
  readonly #slots: (CachedRoute | undefined)[] = new Array<CachedRoute | undefined>(SLOTS).fill(undefined);

  /** The one place where this content's route may stand. */
  slotFor(content: Content): CachedRoute {
    const { bytes, start, headerStart } = content;
    let hash = 0x811c9dc5; // FNV-1a
    for (let i = start; i < headerStart; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    const at = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    let slot = this.#slots[at];
    if (slot === undefined) slot = this.#slots[at] = new CachedRoute();
    return slot;
  }
}
