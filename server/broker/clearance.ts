// Whether a session may publish where it publishes, asked of authorise.ts and remembered. hot
// Always: (1) a yes is remembered only while the rights have not changed, for the exchange it was given for, or for that exchange and that key where keys
// are limited for this user: there CC and BCC are asked about too; (2) what is remembered is this session's own: routes are shared with sessions that may
// do more. A refusal is never remembered, and leaves nothing of what was allowed before it under other rights.
// Refuses: to decide.

import { invariant } from '../../shared/assert.ts';
import type { Content } from '../../shared/content.ts';
import { authorise } from './authorise.ts';
import type { Rights } from './rights.ts';
import { extraKeysOf, hasExtraKeys } from './router.ts';
import type { Session } from './session.ts';

export class Clearance {
  readonly #session: Session;
  readonly #rights: Rights;
  /** Of the rights under which all of this was allowed; 0: nothing is. */
  #version = 0;
  /** The latest yes, as it stands in a content run: an exchange, or an exchange and a key. Mostly the next publish's too. */
  #latest = new Uint8Array(0);
  #latestHasKey = false;
  /** Exchanges that are allowed whatever the key. */
  readonly #exchanges = new Set<string>();

  constructor(session: Session) {
    this.#session = session;
    const { account } = session.identity;
    const rights = account.rights(session.vhost.name);
    invariant(rights !== undefined, 'a session is opened only where its account has rights');
    this.#rights = rights;
  }

  /** Stands for the exchange and the key of the latest yes, and for no others; undefined where that was for every key. */
  get yes(): object | undefined {
    return this.#latestHasKey ? this.#latest : undefined;
  }

  /** The latest yes was for this too, and holds. */
  covers(content: Content): boolean {
    if (this.#version !== this.#rights.version) return false;
    const { bytes, start } = content;
    const latest = this.#latest;
    const end = this.#latestHasKey ? content.headerStart : content.keyStart;
    if (end - start !== latest.length) return false;
    for (let at = 0; at < latest.length; at++) if (bytes[start + at] !== latest[at]) return false;
    return !this.#latestHasKey || !hasExtraKeys(content);
  }

  /** Throws 403 for an exchange, or a key, that this session may not write to. */
  check(content: Content): void {
    if (this.covers(content)) return;
    const { exchange } = content;
    const { version } = this.#rights;
    if (this.#version !== version) {
      this.#exchanges.clear();
      this.#version = 0; // until the first yes under these rights: `#latest` is of others
    }
    if (!this.#exchanges.has(exchange)) this.#ask(content, exchange);
    this.#latestHasKey = !this.#exchanges.has(exchange);
    this.#latest = content.bytes.slice(content.start, this.#latestHasKey ? content.headerStart : content.keyStart);
    this.#version = version;
  }

  #ask(content: Content, exchange: string): void {
    const { identity, vhost } = this.#session;
    const actor = { account: identity.account, vhost: vhost.name };
    authorise(actor, 'basic.publish', { exchange, key: content.key });
    if (this.#rights.limitsKeys(exchange)) for (const key of extraKeysOf(content)) authorise(actor, 'basic.publish', { exchange, key });
    else this.#exchanges.add(exchange);
  }
}
