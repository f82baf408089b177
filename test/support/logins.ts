// A login with one user, known at once: for tests whose clock is virtual, and which have no scrypt to wait for.
import { type Account, type Login, trustedAccount } from '../../server/broker/login.ts';
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
