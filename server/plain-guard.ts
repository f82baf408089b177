// What a password gets that crossed a network unencrypted (setting auth.plain-without-tls), in front of whoever checks passwords.
// Always: (1) loopback and memory are no network; (2) the log warns once of an address, or a client that reconnects would fill it.
// Refuses: to look at the password.

import { AmqpError, ReplyCode } from '../shared/error.ts';
import type { Account, Login, Remote } from './broker/login.ts';
import type { Notices } from './ports.ts';
import type { PlainWithoutTls } from './settings.ts';

// Addresses that have been warned of; beyond it they are forgotten together.
const WARNED_MAX = 1000;

export class PlainGuard implements Login {
  readonly #login: Login;
  readonly #rule: PlainWithoutTls;
  readonly #notices: Notices;
  readonly #warned = new Set<string>();

  constructor(login: Login, rule: PlainWithoutTls, notices: Notices) {
    this.#login = login;
    this.#rule = rule;
    this.#notices = notices;
  }

  check(user: string, password: string, remote: Remote, done: (outcome: Account | AmqpError) => void): void {
    const isOpen = !remote.isLoopback && remote.ends?.isTls !== true;
    if (isOpen && this.#rule === 'refuse') done(refusal());
    else {
      if (isOpen && this.#rule === 'warn') this.#warn(user, remote.address);
      this.#login.check(user, password, remote, done);
    }
  }

  certified(commonName: string, remote: Remote): Account {
    return this.#login.certified(commonName, remote);
  }

  #warn(user: string, address: string): void {
    if (this.#warned.has(address)) return;
    if (this.#warned.size >= WARNED_MAX) this.#warned.clear();
    this.#warned.add(address);
    const text =
      'a password crossed the network unencrypted: use TLS, or say auth.plain-without-tls = "allow" where something else encrypts';
    this.#notices.notice({ kind: 'login.unencrypted', severity: 'warn', text, fields: { user, address } });
  }
}

function refusal(): AmqpError {
  return new AmqpError(ReplyCode.AccessRefused, 'login was refused: passwords are not taken without TLS here', {
    hint: 'connect with TLS (amqps, wss, https); the setting auth.plain-without-tls decides it',
    path: '/password',
  });
}
