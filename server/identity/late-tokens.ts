// Tokens of a broker that has just started: their modules are loaded, and the keys fetched, beside the start and not within it.
// Always: (1) a token that comes earlier waits for both; (2) a broker without tokens loads nothing of this but this file; (3) keys that could not be
// fetched are in the log, and a later token tries again.
// Refuses: to look into a token itself (tokens.ts).

import type { Account } from '../broker/login.ts';
import type { Clock, Notices } from '../ports.ts';
import type { TokenCheck } from './authenticator.ts';
import type { TokenOptions, Tokens } from './tokens.ts';

export class LateTokens implements TokenCheck {
  readonly #options: TokenOptions;
  readonly #clock: Clock;
  readonly #notices: Notices;
  #tokens: Promise<Tokens> | undefined;
  #isClosed = false;

  constructor(options: TokenOptions, clock: Clock, notices: Notices) {
    this.#options = options;
    this.#clock = clock;
    this.#notices = notices;
  }

  async check(token: string): Promise<Account> {
    return await (await this.#load()).check(token);
  }

  /** So that the first login does not wait, and an address that answers nothing is known before anybody comes. */
  async prepare(): Promise<void> {
    const tokens = await this.#load();
    if (!this.#isClosed) await tokens.prepare();
  }

  /** Nothing is fetched any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await (await this.#tokens)?.close();
  }

  #load(): Promise<Tokens> {
    this.#tokens ??= import('./tokens.ts').then(({ Tokens }) => new Tokens(this.#options, this.#clock, this.#notices));
    return this.#tokens;
  }
}
