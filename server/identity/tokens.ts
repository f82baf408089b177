// Logins by token: a signed JWT (RFC 7519) in the password's place, and the account that its claims describe.
// Always: (1) only ALGORITHMS are taken: never `none`, never a shared secret; (2) issuer, audience and exp are there and fit, exp and nbf are finite numbers;
// (3) the account ends with its token: expiresAt is exp and the leeway; (4) nothing of a token is in an error. A token cannot be guessed, so wrong
// ones are not counted as failed logins: a key that has just changed must not close an address to everybody behind it.
// Refuses: to look the user up. A token's rights are its scopes, whoever bears it.

import type { JWTPayload } from 'jose';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { type Account, NO_LIMITS } from '../broker/login.ts';
import type { Rights } from '../broker/rights.ts';
import type { Clock, Notices } from '../ports.ts';
import type { TokenCheck } from './authenticator.ts';
import { KeySet } from './key-set.ts';
import { LiveScopes, parseScopes, type Scopes } from './scopes.ts';

export interface TokenOptions {
  /** Where the keys are: https, or http on loopback. */
  readonly jwksUrl: string;
  readonly issuer: string;
  readonly audience: string;
  /** RabbitMQ's resource_server_id: scopes begin with it and a dot. */
  readonly resourceServerId?: string | undefined;
  /** The claim that names the user; `sub` by default. */
  readonly userClaim?: string;
  /** By how much clocks may differ: at most LEEWAY_MS_MAX, 0 by default. */
  readonly leewayMs?: number;
}

// security.md, 1: the list, and the leeway
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
export const LEEWAY_MS_MAX = 60_000;
// An HTTP header cannot be longer in Node; AMQP's frames before tune hold half of it.
const TOKEN_LENGTH_MAX = 16_384;
const USER_LENGTH_MAX = 255;
// Of what jose says, which may name a header of the token's: AMQP's reply text has 255 bytes.
const WHY_LENGTH_MAX = 100;
// Vhosts whose rights one account remembers.
const VHOSTS_MAX = 1_000;

export class Tokens implements TokenCheck {
  readonly #options: TokenOptions;
  readonly #clock: Clock;
  readonly #keys: KeySet;
  readonly #leewayMs: number;

  /** Throws 406 for options that would not be safe. */
  constructor(options: TokenOptions, clock: Clock, notices: Notices) {
    const { jwksUrl, issuer, audience, leewayMs = 0 } = options;
    if (issuer === '' || audience === '')
      throw new AmqpError(ReplyCode.PreconditionFailed, 'tokens need an issuer and an audience', {
        hint: 'without them a token that was made for somebody else would be good here',
      });
    if (!(leewayMs >= 0 && leewayMs <= LEEWAY_MS_MAX))
      throw new AmqpError(ReplyCode.PreconditionFailed, `a leeway of ${leewayMs} ms`, { hint: `0 to ${LEEWAY_MS_MAX}` });
    this.#options = options;
    this.#clock = clock;
    this.#leewayMs = leewayMs;
    this.#keys = new KeySet(jwksUrl, clock, notices);
  }

  /** Rejects with 403 for a token that is not good here and now. */
  async check(token: string): Promise<Account> {
    if (token.length > TOKEN_LENGTH_MAX) throw refusal(`it is longer than ${TOKEN_LENGTH_MAX} characters`);
    const { issuer, audience, resourceServerId, userClaim = 'sub' } = this.#options;
    const claims = await this.#verified(token, issuer, audience);
    const { exp, nbf } = claims;
    // JSON can say 1e999, which is a number and Infinity.
    if (exp === undefined || !Number.isFinite(exp) || (nbf !== undefined && !Number.isFinite(nbf)))
      throw refusal('exp or nbf is no number');
    const user = claims[userClaim];
    if (typeof user !== 'string' || user === '' || user.length > USER_LENGTH_MAX) throw refusal(`it has no user name in '${userClaim}'`);
    const scopes = parseScopes(claims['scope'], resourceServerId === undefined ? '' : `${resourceServerId}.`);
    return new TokenAccount(user, scopes, exp * 1_000 + this.#leewayMs);
  }

  /** Fetches the keys, and loads what checks a token. */
  async prepare(): Promise<void> {
    await import('jose');
    await this.#keys.prepare();
  }

  async close(): Promise<void> {
    await this.#keys.close();
  }

  async #verified(token: string, issuer: string, audience: string): Promise<JWTPayload> {
    const { errors, jwtVerify } = await import('jose');
    try {
      const { payload } = await jwtVerify(token, (header, input) => this.#keys.find(header, input), {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        requiredClaims: ['exp'],
        clockTolerance: this.#leewayMs / 1_000,
        currentDate: new Date(this.#clock.now()),
      });
      return payload;
    } catch (error) {
      if (error instanceof AmqpError) throw error;
      throw refusal(error instanceof errors.JOSEError ? error.message.slice(0, WHY_LENGTH_MAX) : 'it cannot be read');
    }
  }
}

class TokenAccount implements Account {
  readonly name: string;
  readonly limits = NO_LIMITS;
  #expiresAt: number;
  readonly #scopes: LiveScopes;
  readonly #rights = new Map<string, Rights>();

  constructor(name: string, scopes: Scopes, expiresAt: number) {
    this.name = name;
    this.#expiresAt = expiresAt;
    this.#scopes = new LiveScopes(scopes);
  }

  get expiresAt(): number {
    return this.#expiresAt;
  }
  get tags(): ReadonlySet<string> {
    return this.#scopes.latest.tags;
  }

  rights(vhost: string): Rights | undefined {
    const known = this.#rights.get(vhost);
    if (known !== undefined) return known;
    const rights = this.#scopes.rightsIn(vhost);
    if (rights === undefined) return undefined;
    if (this.#rights.size >= VHOSTS_MAX) this.#rights.clear();
    this.#rights.set(vhost, rights);
    return rights;
  }

  renew(next: Account): boolean {
    if (!(next instanceof TokenAccount) || next.name !== this.name) return false;
    this.#expiresAt = next.#expiresAt;
    this.#scopes.renew(next.#scopes.latest);
    this.#rights.clear();
    return true;
  }
}

function refusal(why: string): AmqpError {
  return new AmqpError(ReplyCode.AccessRefused, `login was refused: the token is not good here: ${why}`, {
    hint: 'a token that the configured issuer signed for this audience, and that has not expired',
    path: '/password',
  });
}
