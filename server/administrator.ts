// The one user there is for now, from the configuration.
// Always: (1) names and passwords are compared as hashes of equal length, in constant time, both of them whatever the other says; (2) the name `guest`
// is for peers on loopback only, as in RabbitMQ, so a broker that is opened to a network with nothing configured lets nobody in.
// (3) ten failed logins of a user from one address within a minute are the last for that minute, also with the right password; loopback is exempt.
// Refuses to tell whether the user or the password was wrong.

import { createHash, timingSafeEqual } from 'node:crypto';
import { AmqpError, ReplyCode } from '../shared/error.ts';
import { type Account, type Login, type Remote, trustedAccount } from './broker/login.ts';
import type { Clock } from './ports.ts';

const LOOPBACK_USER = 'guest';
// security.md, 3: auth failures, 10 a minute per (IP, user)
const FAILURES_MAX = 10;
const FAILURES_MS = 60_000;
// What is remembered of them. Beyond it the oldest are forgotten: an attacker with so many addresses or names is not slowed by this.
const FAILURE_ENTRIES_MAX = 10_000;

interface Failures {
  count: number;
  readonly untilMs: number;
}

export class Administrator implements Login {
  readonly #name: string;
  readonly #account: Account;
  readonly #user: Buffer;
  readonly #password: Buffer;
  readonly #clock: Clock;
  readonly #failures = new Map<string, Failures>();

  constructor(user: string, password: string, clock: Clock) {
    this.#clock = clock;
    this.#name = user;
    this.#account = trustedAccount(user);
    this.#user = digest(user);
    this.#password = digest(password);
  }

  check(user: string, password: string, remote: Remote, done: (outcome: Account | AmqpError) => void): void {
    try {
      this.#check(user, password, remote);
      done(this.#account);
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      done(error);
    }
  }

  #check(user: string, password: string, remote: Remote): void {
    const isUser = timingSafeEqual(digest(user), this.#user);
    const isPassword = timingSafeEqual(digest(password), this.#password);
    if (user === LOOPBACK_USER && !remote.isLoopback) throw loopbackOnly();
    const key = `${remote.address} ${user}`;
    if (!remote.isLoopback) this.#checkFailures(key);
    if (isUser && isPassword) return;
    if (!remote.isLoopback) this.#countFailure(key);
    throw new AmqpError(ReplyCode.AccessRefused, 'login was refused: wrong user or password', { path: '/user' });
  }

  /** Whoever has a certificate that the operator's authority signed is the one user there is. */
  certified(_commonName: string, remote: Remote): Account {
    if (this.#name === LOOPBACK_USER && !remote.isLoopback) throw loopbackOnly();
    return this.#account;
  }

  #checkFailures(key: string): void {
    const failures = this.#failures.get(key);
    if (failures === undefined) return;
    if (failures.untilMs <= this.#clock.now()) this.#failures.delete(key);
    else if (failures.count >= FAILURES_MAX)
      throw new AmqpError(ReplyCode.AccessRefused, 'login was refused: too many failed logins', { hint: 'wait a minute', path: '/user' });
  }

  #countFailure(key: string): void {
    const failures = this.#failures.get(key);
    if (failures !== undefined) {
      failures.count++;
      return;
    }
    const [oldest] = this.#failures.keys();
    if (this.#failures.size >= FAILURE_ENTRIES_MAX && oldest !== undefined) this.#failures.delete(oldest);
    this.#failures.set(key, { count: 1, untilMs: this.#clock.now() + FAILURES_MS });
  }
}

function loopbackOnly(): AmqpError {
  return new AmqpError(ReplyCode.AccessRefused, `user '${LOOPBACK_USER}' can only connect via localhost`, {
    hint: 'set a user and a password on the server: --config, LEVERET_USER and LEVERET_PASSWORD',
    path: '/user',
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
