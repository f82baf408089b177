// What a token's scopes allow, as RabbitMQ's OAuth 2 plugin reads them: `read:vhost/name`, `write:vhost/name/routing-key`, `tag:administrator`.
// Always: (1) `*` stands for any characters, everything else for itself: patterns never become regular expressions; (2) each part is percent-decoded
// after it was cut at `/` and `*`, and `+` is a blank, so `%2F` is the default vhost and `%2A` a star; (3) what is no scope of ours is passed over.
// RabbitMQ differs: there a scope without a routing key closes topic exchanges; here it leaves all keys open unless another scope for the same exchange
// names some. There `a*bc` does not match `abcbc`, as its search takes the first `bc`; here the end is the end.
// Refuses: to know tokens (tokens.ts).

import { DEFAULT_EXCHANGE, RIGHTS, type Right, type Rights } from '../broker/rights.ts';

export interface Scopes {
  readonly tags: ReadonlySet<string>;
  readonly grants: readonly Grant[];
}

interface Grant {
  readonly right: Right;
  readonly vhost: Wildcard;
  readonly name: Wildcard;
  /** undefined: no word about keys. */
  readonly key: Wildcard | undefined;
}

/** `claim`: a list, or a text with blanks between. Scopes that do not begin with `prefix` are somebody else's. */
export function parseScopes(claim: unknown, prefix: string): Scopes {
  const all: unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  const tags = new Set<string>();
  const grants: Grant[] = [];
  for (const scope of all) {
    if (typeof scope !== 'string' || !scope.startsWith(prefix)) continue;
    const colon = scope.indexOf(':', prefix.length);
    const kind = scope.slice(prefix.length, colon);
    const rest = scope.slice(colon + 1);
    const right = RIGHTS.find((each) => each === kind);
    if (colon < 0 || rest === '') continue;
    if (kind === 'tag') tags.add(rest);
    else if (right !== undefined) grants.push(...grantsOf(right, rest));
  }
  return { tags, grants };
}

function grantsOf(right: Right, pattern: string): Grant[] {
  const [vhost, name, key, ...others] = pattern.split('/');
  if (vhost === undefined || name === undefined || others.length > 0) return [];
  return [{ right, vhost: new Wildcard(vhost), name: new Wildcard(name), key: key === undefined ? undefined : new Wildcard(key) }];
}

/** The scopes of a login, which a new token may change: whoever holds rights of them has the new ones. */
export class LiveScopes {
  version = 1;
  #latest: Scopes;

  constructor(scopes: Scopes) {
    this.#latest = scopes;
  }

  get latest(): Scopes {
    return this.#latest;
  }
  renew(scopes: Scopes): void {
    this.#latest = scopes;
    this.version++;
  }

  /** What they allow in one vhost; undefined where none of them speaks of it. */
  rightsIn(vhost: string): Rights | undefined {
    return this.#latest.grants.some((grant) => grant.vhost.matches(vhost)) ? new ScopeRights(this, vhost) : undefined;
  }
}

class ScopeRights implements Rights {
  readonly #scopes: LiveScopes;
  readonly #vhost: string;
  #knownVersion = 0;
  #known: readonly Grant[] = [];

  constructor(scopes: LiveScopes, vhost: string) {
    this.#scopes = scopes;
    this.#vhost = vhost;
  }

  get version(): number {
    return this.#scopes.version;
  }
  get #grants(): readonly Grant[] {
    if (this.#knownVersion !== this.#scopes.version) {
      this.#knownVersion = this.#scopes.version;
      this.#known = this.#scopes.latest.grants.filter((grant) => grant.vhost.matches(this.#vhost));
    }
    return this.#known;
  }

  may(right: Right, name: string): boolean {
    return this.#grants.some((grant) => grant.right === right && grant.name.matches(name === '' ? DEFAULT_EXCHANGE : name));
  }

  limitsKeys(exchange: string): boolean {
    return this.#keys('write', exchange).length > 0 || this.#keys('read', exchange).length > 0;
  }

  mayRoute(right: 'write' | 'read', exchange: string, key: string): boolean {
    const keys = this.#keys(right, exchange);
    return keys.length === 0 || keys.some((each) => each.matches(key));
  }

  #keys(right: 'write' | 'read', exchange: string): Wildcard[] {
    const name = exchange === '' ? DEFAULT_EXCHANGE : exchange;
    return this.#grants.flatMap((grant) =>
      grant.right === right && grant.key !== undefined && grant.name.matches(name) ? [grant.key] : [],
    );
  }
}

/** A text with stars. Tried in time linear in the text for each part: whoever issues tokens cannot make the broker think long. */
export class Wildcard {
  /** What stands between the stars; undefined for a pattern that cannot be decoded, which matches nothing. */
  readonly #parts: readonly string[] | undefined;

  constructor(pattern: string) {
    this.#parts = decoded(pattern.split('*'));
  }

  matches(text: string): boolean {
    if (this.#parts === undefined) return false;
    const [first = '', ...others] = this.#parts;
    const last = others.pop();
    if (last === undefined) return text === first;
    const end = text.length - last.length;
    if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of others) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  }
}

function decoded(parts: readonly string[]): string[] | undefined {
  try {
    return parts.map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return undefined;
  }
}
