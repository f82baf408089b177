// How long a connection's login is good: a token ends, and so does what came in with it, unless a new one was brought before.
// Always: (1) the connection is told once, when the account's `expiresAt` is there; a login that never ends needs no timer; (2) a new token is looked into as a
// login is, is taken only for the same user, and changes the account that all sessions of the connection act for.
// RabbitMQ differs: there the connection stays, and whatever it asks is refused.
// Refuses: to end anything itself, and to keep a secret.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Clock, Timer } from '../ports.ts';
import type { Account, Login, Remote } from './login.ts';

export class Lease {
  readonly #clock: Clock;
  readonly #login: Login;
  readonly #remote: Remote;
  readonly #ended: (error: AmqpError) => void;
  #account: Account | undefined;
  #timer: Timer | undefined;

  /** `ended` gets a 320 for the connection's peer. */
  constructor(clock: Clock, login: Login, remote: Remote, ended: (error: AmqpError) => void) {
    this.#clock = clock;
    this.#login = login;
    this.#remote = remote;
    this.#ended = ended;
  }

  begin(account: Account): void {
    this.#account = account;
    this.#watch(account);
  }

  /** `done` gets a 530 where the secret is no token that goes on with this login. A login by password or certificate needs none, and takes any. */
  renew(secret: string, done: (refusal: AmqpError | undefined) => void): void {
    const account = this.#account;
    if (account?.expiresAt === undefined) {
      done(undefined);
      return;
    }
    this.#login.check(account.name, secret, this.#remote, (outcome) => {
      if (this.#account !== account) return; // the connection is gone
      if (outcome instanceof AmqpError) done(refusal(outcome.message));
      else if (account.renew?.(outcome) !== true) done(refusal(`it is no token of user '${account.name}'`));
      else {
        this.#watch(account);
        done(undefined);
      }
    });
  }

  end(): void {
    this.#account = undefined;
    this.#timer?.cancel();
  }

  #watch({ name, expiresAt }: Account): void {
    this.#timer?.cancel();
    if (expiresAt === undefined) return;
    this.#timer = this.#clock.setTimer(expiresAt, () =>
      this.#ended(
        new AmqpError(ReplyCode.ConnectionForced, `the token of user '${name}' has expired`, {
          hint: 'bring a new one before that: connection.update-secret, in leveret.v1 update-secret',
        }),
      ),
    );
  }
}

/** RabbitMQ's text. */
function refusal(why: string): AmqpError {
  return new AmqpError(ReplyCode.NotAllowed, 'New secret was refused by one of the backends', { hint: why, path: '/newSecret' });
}
