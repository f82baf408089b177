// Logins that are known at once: for tests whose clock is virtual, and which have no scrypt and no signature to wait for.
import { type Account, type Login, NO_LIMITS, type Remote, trustedAccount } from '../../server/broker/login.ts';
import { PatternRights, type Rights } from '../../server/broker/rights.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';

export function oneUser(name: string, password: string): Login {
  const account: Account = trustedAccount(name);
  return {
    check: (user, given, _remote, done) => {
      const isRight = user === name && given === password;
      done(isRight ? account : new AmqpError(ReplyCode.AccessRefused, 'login was refused: wrong user or password', { path: '/user' }));
    },
    certified: () => account,
  };
}

/** Lets everybody in, by whatever name. */
export const anybody: Login = { check: (user, _password, _remote, done) => done(trustedAccount(user)), certified: trustedAccount };

/** Secrets that make accounts which end: what tokens do, without signatures. While it `isSlow`, answers wait for `answerAll`. */
export class EndingLogin implements Login {
  isSlow = false;
  asked = 0;
  readonly #accounts = new Map<string, EndingAccount>();
  readonly #pending: (() => void)[] = [];

  add(secret: string, name: string, expiresAt: number, mayRead = '.*'): void {
    this.#accounts.set(secret, new EndingAccount(name, expiresAt, mayRead));
  }
  check(_user: string, secret: string, _remote: Remote, done: (outcome: Account | AmqpError) => void): void {
    this.asked++;
    const known = this.#accounts.get(secret);
    const answer = (): void => done(known?.copy() ?? new AmqpError(ReplyCode.AccessRefused, 'login was refused: no such token'));
    if (this.isSlow) this.#pending.push(answer);
    else answer();
  }
  certified(): never {
    throw new Error('nobody comes with a certificate');
  }
  answerAll(): void {
    for (const answer of this.#pending.splice(0)) answer();
  }
}

class EndingAccount implements Account {
  readonly name: string;
  readonly tags = new Set<string>();
  readonly limits = NO_LIMITS;
  expiresAt: number;
  #mayRead: string;
  readonly #rights: PatternRights;

  constructor(name: string, expiresAt: number, mayRead: string) {
    this.name = name;
    this.expiresAt = expiresAt;
    this.#mayRead = mayRead;
    this.#rights = new PatternRights({});
    this.#grant();
  }
  copy(): EndingAccount {
    return new EndingAccount(this.name, this.expiresAt, this.#mayRead);
  }
  rights(): Rights {
    return this.#rights;
  }
  renew(next: Account): boolean {
    if (!(next instanceof EndingAccount) || next.name !== this.name) return false;
    this.expiresAt = next.expiresAt;
    this.#mayRead = next.#mayRead;
    this.#grant();
    return true;
  }
  #grant(): void {
    this.#rights.grant({ configure: '.*', write: '.*', read: this.#mayRead });
  }
}
