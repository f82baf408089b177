// A Login that tells of its answers: user.authentication.success and user.authentication.failure, as RabbitMQ's event exchange has them.
// Always: the answer is told after it is known and before who asked hears of it. Refuses: to change it, and to name a password or a token.

import { AmqpError } from '../../shared/error.ts';
import type { Events } from './events.ts';
import { type Account, endsOf, type Login, type Remote } from './login.ts';

export class TellingLogin implements Login {
  readonly #login: Login;
  readonly #events: Events;

  constructor(login: Login, events: Events) {
    this.#login = login;
    this.#events = events;
  }

  check(user: string, password: string, remote: Remote, done: (outcome: Account | AmqpError) => void): void {
    this.#login.check(user, password, remote, (outcome) => {
      this.#tell(user, remote, outcome);
      done(outcome);
    });
  }

  certified(commonName: string, remote: Remote): Account {
    try {
      const account = this.#login.certified(commonName, remote);
      this.#tell(commonName, remote, account);
      return account;
    } catch (error) {
      if (error instanceof AmqpError) this.#tell(commonName, remote, error);
      throw error;
    }
  }

  #tell(asked: string, remote: Remote, outcome: Account | AmqpError): void {
    if (!this.#events.isHeard) return;
    const { name, peer, local, isTls } = endsOf(remote);
    const told = {
      connection_name: name,
      host: local.host,
      peer_host: peer.host,
      peer_port: peer.port,
      ssl: isTls,
      connection_type: 'network',
    };
    if (outcome instanceof AmqpError) this.#events.emit('user.authentication.failure', { name: asked, ...told, error: outcome.message });
    else this.#events.emit('user.authentication.success', { name: outcome.name, ...told });
  }
}
