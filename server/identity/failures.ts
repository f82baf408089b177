// Failed logins: so many (ten) of one user from one address within a minute are the last for that minute, also with the right password.
// Always: peers on loopback are exempt (security.md, 3). Refuses: to grow: beyond ENTRIES_MAX the oldest is forgotten.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Remote } from '../broker/login.ts';
import type { Clock } from '../ports.ts';

// security.md, 3: auth failures, 10 a minute per (IP, user)
export const FAILURES_MAX = 10;
const FAILURES_MS = 60_000;
// An attacker with more addresses or names than these is not slowed by this.
const ENTRIES_MAX = 10_000;

interface Failures {
  count: number;
  readonly untilMs: number;
}

export class LoginFailures {
  readonly #clock: Clock;
  readonly #failuresMax: number;
  readonly #entries = new Map<string, Failures>();

  constructor(clock: Clock, failuresMax: number) {
    this.#clock = clock;
    this.#failuresMax = failuresMax;
  }

  /** A 403 where there were too many. */
  refusal(user: string, remote: Remote): AmqpError | undefined {
    const key = keyOf(user, remote);
    const failures = this.#entries.get(key);
    if (failures === undefined || remote.isLoopback) return undefined;
    if (failures.untilMs <= this.#clock.now()) this.#entries.delete(key);
    else if (failures.count >= this.#failuresMax)
      return new AmqpError(ReplyCode.AccessRefused, 'login was refused: too many failed logins', { hint: 'wait a minute', path: '/user' });
    return undefined;
  }

  /** What was counted as it began was none. */
  forgive(user: string, remote: Remote): void {
    const failures = this.#entries.get(keyOf(user, remote));
    if (failures !== undefined && failures.count > 0) failures.count--;
  }

  count(user: string, remote: Remote): void {
    if (remote.isLoopback) return;
    const key = keyOf(user, remote);
    const failures = this.#entries.get(key);
    if (failures !== undefined) {
      failures.count++;
      return;
    }
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= ENTRIES_MAX && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(key, { count: 1, untilMs: this.#clock.now() + FAILURES_MS });
  }
}

function keyOf(user: string, { address }: Remote): string {
  return `${address} ${user}`;
}
