// Whether a session may publish where it publishes, asked of authorise.ts and remembered. hot
// Always: (1) an answer is remembered only for the exchange it was given for, and only while the rights have not changed; (2) an exchange whose keys are
// limited for this user is asked about with every key, those in CC and BCC too. A refusal is never remembered.
// Refuses: to decide.

import { invariant } from '../../shared/assert.ts';
import type { Content } from '../../shared/content.ts';
import { authorise } from './authorise.ts';
import type { Rights } from './rights.ts';
import { extraKeysOf } from './router.ts';
import type { Session } from './session.ts';

export class Clearance {
  readonly #session: Session;
  readonly #rights: Rights;
  #version = 0;
  /** The exchange of the latest yes that holds whatever the key, as it stands in a content run: mostly the next one's too. */
  #latest = new Uint8Array(0);
  /** All of those that were allowed under `#version`. */
  readonly #exchanges = new Set<string>();

  constructor(session: Session) {
    this.#session = session;
    const { account } = session.identity;
    const rights = account.rights(session.vhost.name);
    invariant(rights !== undefined, 'a session is opened only where its account has rights');
    this.#rights = rights;
  }

  /** Nothing was taken back since the last check: what was allowed then still is. */
  get holds(): boolean {
    return this.#version === this.#rights.version;
  }

  /** Throws 403 for an exchange, or a key, that this session may not write to. */
  check(content: Content): void {
    if (this.holds && this.#isLatest(content)) return;
    const { exchange } = content;
    if (!this.holds) {
      this.#exchanges.clear();
      this.#version = this.#rights.version;
    }
    if (this.#exchanges.has(exchange)) {
      this.#latest = content.bytes.slice(content.start, content.keyStart);
      return;
    }
    const { identity, vhost } = this.#session;
    const actor = { account: identity.account, vhost: vhost.name };
    authorise(actor, 'basic.publish', { exchange, key: content.key });
    if (!this.#rights.limitsKeys(exchange)) {
      this.#exchanges.add(exchange);
      this.#latest = content.bytes.slice(content.start, content.keyStart);
      return;
    }
    for (const key of extraKeysOf(content)) authorise(actor, 'basic.publish', { exchange, key });
    this.#version = 0; // the next key has to be asked about: no answer of the last may stand for it
  }

  #isLatest({ bytes, start, keyStart }: Content): boolean {
    const latest = this.#latest;
    if (keyStart - start !== latest.length) return false;
    for (let at = 0; at < latest.length; at++) if (bytes[start + at] !== latest[at]) return false;
    return true;
  }
}
