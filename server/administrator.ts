// The one user there is for now, from the configuration.
// Always: (1) names and passwords are compared as hashes of equal length, in constant time, both of them whatever the other says; (2) the name `guest`
// is for peers on loopback only, as in RabbitMQ, so a broker that is opened to a network with nothing configured lets nobody in.
// Refuses to tell whether the user or the password was wrong.

import { createHash, timingSafeEqual } from 'node:crypto';
import { AmqpError, ReplyCode } from '../shared/error.ts';
import type { Login } from './websocket/connection.ts';

const LOOPBACK_USER = 'guest';

export class Administrator implements Login {
  readonly #user: Buffer;
  readonly #password: Buffer;

  constructor(user: string, password: string) {
    this.#user = digest(user);
    this.#password = digest(password);
  }

  check(user: string, password: string, isLoopback: boolean): void {
    const isUser = timingSafeEqual(digest(user), this.#user);
    const isPassword = timingSafeEqual(digest(password), this.#password);
    if (user === LOOPBACK_USER && !isLoopback) {
      throw new AmqpError(ReplyCode.AccessRefused, `user '${LOOPBACK_USER}' can only connect via localhost`, {
        hint: 'set a user and a password on the server: --config, LEVERET_USER and LEVERET_PASSWORD',
        path: '/user',
      });
    }
    if (!isUser || !isPassword)
      throw new AmqpError(ReplyCode.AccessRefused, 'login was refused: wrong user or password', { path: '/user' });
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
