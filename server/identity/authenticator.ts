// Who logs in: users of the broker by password, by client certificate or by token.
// Always: (1) a wrong name costs what a wrong password costs, and is answered alike; (2) what was right is remembered for VERIFIED_MS, as a keyed digest and
// for the very record it was right for, so a change of the password is a change at once; (3) guest is for peers on loopback only, as in RabbitMQ, and by password or certificate: no token names it;
// (4) a hash that came from RabbitMQ becomes one of ours at its first good login, and nobody is told: it is the same password.
// Refuses: to keep a password: of the configured one too it keeps a digest under a key that dies with the process.

import { createHmac, randomBytes } from 'node:crypto';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { importedTagOf } from '../broker/imported-hash.ts';
import { type Account, type Login, type Remote, TooManyLogins } from '../broker/login.ts';
import { SCRYPT } from '../broker/password-hash.ts';
import type { UserRecord, Users } from '../broker/users.ts';
import type { Clock } from '../ports.ts';
import { FAILURES_MAX, LoginFailures } from './failures.ts';
import type { Passwords } from './passwords.ts';

export const LOOPBACK_USER = 'guest';
const VERIFIED_MS = 60_000; // security.md, 1
const VERIFIED_MAX = 10_000;

interface Verified {
  readonly record: UserRecord;
  readonly untilMs: number;
}

/** Who looks into tokens (tokens.ts): rejects with 403 for one that is not good here and now. */
export interface TokenCheck {
  check(token: string): Promise<Account>;
}

export interface AuthenticatorOptions {
  readonly failuresMax?: number;
  /** undefined: no token is taken. */
  readonly tokens?: TokenCheck | undefined;
}

export class Authenticator implements Login {
  readonly #users: Users;
  readonly #passwords: Passwords;
  readonly #clock: Clock;
  readonly #failures: LoginFailures;
  readonly #key = randomBytes(32);
  /** By keyed digest of name and password. */
  readonly #verified = new Map<string, Verified>();
  /** What is being looked into, by the same digest. */
  readonly #pending = new Map<string, { readonly record: UserRecord | undefined; readonly fits: Promise<boolean> }>();
  readonly #tokens: TokenCheck | undefined;

  constructor(users: Users, passwords: Passwords, clock: Clock, { failuresMax = FAILURES_MAX, tokens }: AuthenticatorOptions = {}) {
    this.#users = users;
    this.#passwords = passwords;
    this.#clock = clock;
    this.#failures = new LoginFailures(clock, failuresMax);
    this.#tokens = tokens;
  }

  /** This password is the user's, for as long as its record stays: nothing has to be hashed to know it. */
  vouch(user: string, password: string): void {
    const record = this.#users.record(user);
    if (record !== undefined && password !== '')
      this.#verified.set(this.#digest(user, password), { record, untilMs: Number.POSITIVE_INFINITY });
  }

  check(user: string, password: string, remote: Remote, done: (outcome: Account | AmqpError) => void): void {
    if (this.#tokens !== undefined && isToken(password)) {
      this.#tokens.check(password).then(
        (account) => done(account.name === LOOPBACK_USER ? namesLoopbackUser() : account),
        (error: unknown) => done(asRefusal(error)),
      );
      return;
    }
    if (!mayComeFrom(user, remote)) {
      done(loopbackOnly());
      return;
    }
    const tooMany = this.#failures.refusal(user, remote);
    const account = this.#users.account(user);
    const record = this.#users.record(user);
    if (tooMany !== undefined) done(tooMany);
    else if (account !== undefined && record !== undefined && this.#isVerified(user, password, record)) done(account);
    else void this.#verify(user, password, remote).then(done, (error: unknown) => done(asRefusal(error)));
  }

  /** The user of the name that a certificate bears. */
  certified(commonName: string, remote: Remote): Account {
    if (!mayComeFrom(commonName, remote)) throw loopbackOnly();
    const account = this.#users.account(commonName);
    if (account !== undefined) return account;
    throw new AmqpError(ReplyCode.AccessRefused, `login was refused: the certificate names '${commonName}', who is no user`, {
      hint: 'an administrator may make one: PUT /api/users/{name}',
    });
  }

  /** Looks into a login before anybody asks: whoever comes meanwhile waits for the same answer. */
  async lookAhead(user: string, password: string): Promise<boolean> {
    const record = this.#users.record(user);
    if (record === undefined || !(await this.#fits(user, password, record)) || this.#users.record(user) !== record) return false;
    this.#remember(user, password, record);
    return true;
  }

  /** One hash for all who bring the same at the same time: after a restart that is everybody. */
  #fits(user: string, password: string, record: UserRecord | undefined, from = ''): Promise<boolean> {
    const digest = this.#digest(user, password);
    const pending = this.#pending.get(digest);
    if (pending !== undefined && pending.record === record) return pending.fits;
    const hash = record === undefined || record.passwordHash === '' ? this.#passwords.nobodys : record;
    const fits = this.#passwords.fits(password, hash, from);
    const entry = { record, fits };
    this.#pending.set(digest, entry);
    const forget = (): void => {
      if (this.#pending.get(digest) === entry) this.#pending.delete(digest);
    };
    fits.then(forget, forget);
    return fits;
  }

  async #verify(user: string, password: string, remote: Remote): Promise<Account | AmqpError> {
    const record = this.#users.record(user);
    // A guess counts from when it is made, or many at once would count as none; who brings what is asked already guesses nothing new.
    const isGuess = !this.#pending.has(this.#digest(user, password));
    if (isGuess) this.#failures.count(user, remote);
    const fits = await this.#fits(user, password, record, remote.address).catch((error: unknown) => {
      if (isGuess) this.#failures.forgive(user, remote); // nobody looked at it
      throw error;
    });
    const account = this.#users.account(user);
    // The record may have changed while its hash was looked into: then this was the wrong question.
    if (!fits || record === undefined || account === undefined || this.#users.record(user) !== record)
      return new AmqpError(ReplyCode.AccessRefused, 'login was refused: wrong user or password', { path: '/user' });
    if (isGuess) this.#failures.forgive(user, remote);
    this.#remember(user, password, record);
    if (isGuess && record.hashingAlgorithm !== SCRYPT) void this.#upgrade(user, password, record);
    return account;
  }

  async #upgrade(user: string, password: string, record: UserRecord): Promise<void> {
    try {
      const hash = await this.#passwords.hash(password);
      if (this.#users.record(user) !== record) return;
      this.#users.put(user, { ...hash, tags: record.tags, importedTag: importedTagOf(record) });
      const changed = this.#users.record(user);
      if (changed !== undefined) this.#remember(user, password, changed);
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error; // too many at once: the next login tries again
    }
  }

  #isVerified(user: string, password: string, record: UserRecord): boolean {
    const digest = this.#digest(user, password);
    const verified = this.#verified.get(digest);
    if (verified === undefined) return false;
    if (verified.record === record && verified.untilMs > this.#clock.now()) return true;
    this.#verified.delete(digest);
    return false;
  }

  #remember(user: string, password: string, record: UserRecord): void {
    const [oldest] = this.#verified.keys();
    if (this.#verified.size >= VERIFIED_MAX && oldest !== undefined) this.#verified.delete(oldest);
    this.#verified.set(this.#digest(user, password), { record, untilMs: this.#clock.now() + VERIFIED_MS });
  }

  /** Under a key of this process alone: a map's look-up need not take constant time when nobody can choose what it compares. */
  #digest(user: string, password: string): string {
    return createHmac('sha256', this.#key).update(`${user.length}:${user}`).update(password).digest('base64');
  }
}

function asRefusal(error: unknown): AmqpError {
  if (error instanceof AmqpError && error.code === ReplyCode.AccessRefused) return error;
  if (error instanceof AmqpError) return new TooManyLogins();
  throw error;
}

/** Whether a password is meant as a token: three parts in base64url, the first of them a JSON object. */
export function isToken(password: string): boolean {
  return password.startsWith('eyJ') && /^[\w-]+\.[\w-]+\.[\w-]*$/.test(password);
}

function mayComeFrom(user: string, remote: Remote): boolean {
  return user !== LOOPBACK_USER || remote.isLoopback;
}

/** It is the machine's own, whose password is no secret: an issuer elsewhere has no say in it. */
function namesLoopbackUser(): AmqpError {
  return new AmqpError(ReplyCode.AccessRefused, `login was refused: the token names user '${LOOPBACK_USER}', who may not log in by token`, {
    hint: `a token of another user; '${LOOPBACK_USER}' logs in with its password, from localhost`,
    path: '/password',
  });
}

function loopbackOnly(): AmqpError {
  return new AmqpError(ReplyCode.AccessRefused, `user '${LOOPBACK_USER}' can only connect via localhost`, {
    hint: 'set a user and a password on the server: --config, LEVERET_DEFAULT_USER and LEVERET_DEFAULT_PASS',
    path: '/user',
  });
}
