// The login of one AMQP connection: begun by start-ok, over when it is known who that is.
// Always: a login is looked into once, however often its start-ok is carried out again. Refuses: to decide (broker/login.ts), or to wait.

import type { MethodFields } from '../../shared/amqp/methods.ts';
import { invariant } from '../../shared/assert.ts';
import { AmqpError } from '../../shared/error.ts';
import type { Account, Login } from '../broker/login.ts';
import { type AmqpRemote, logIn } from './handshake.ts';

export class LoginStep {
  mechanism = '';
  readonly #login: Login;
  readonly #remote: AmqpRemote;
  readonly #known: () => void;
  #outcome: Account | AmqpError | 'pending' | undefined;

  /** `known` is called when the outcome is there, later or at once. */
  constructor(login: Login, remote: AmqpRemote, known: () => void) {
    this.#login = login;
    this.#remote = remote;
    this.#known = known;
  }

  get account(): Account {
    const outcome = this.#outcome;
    invariant(typeof outcome === 'object' && !(outcome instanceof AmqpError), 'only who has logged in has an account');
    return outcome;
  }

  /** undefined: not known yet. Throws what is wrong with the response itself. */
  outcome(fields: MethodFields<'connection.start-ok'>): Account | AmqpError | undefined {
    if (this.#outcome === undefined) this.#begin(fields);
    return this.#outcome === 'pending' ? undefined : this.#outcome;
  }

  #begin(fields: MethodFields<'connection.start-ok'>): void {
    this.mechanism = fields.mechanism;
    this.#outcome = 'pending';
    try {
      logIn(this.#login, fields, this.#remote, (outcome) => {
        this.#outcome = outcome;
        this.#known();
      });
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      this.#outcome = error;
    }
  }
}
