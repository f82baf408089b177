// The first user: whom the configuration names, or one that is made up, so that somebody can come in and make the others.
// Always: (1) it is made where there is no user at all, or where the configuration names it expressly and its password has changed: the operator of a machine
// can always come in; (2) it is tagged administrator and may do everything in its vhost.
// Refuses: to touch other users, or the permissions of one that is there already.

import { randomBytes } from 'node:crypto';
import type { Broker } from '../broker/broker.ts';
import type { Authenticator } from './authenticator.ts';
import type { PasswordHash, Passwords } from './passwords.ts';

const GENERATED_USER = 'admin';
// 144 bits, 24 characters
const GENERATED_BYTES = 18;

export interface DefaultUser {
  readonly name: string;
  readonly password: string;
  /** Made with the user where it is not there. */
  readonly vhost: string;
  /** False: it is nobody's wish, but guest. */
  readonly isConfigured: boolean;
  /** Its hash outlives the process. Else nothing is hashed: that would cost each embedded broker 60 ms. */
  readonly isKept: boolean;
}

export interface GeneratedUser {
  readonly name: string;
  readonly password: string;
}

/**
 * The first user where nobody was configured and the broker is open to a network: guest could not come in from there, so there is an administrator with a
 * password that nobody has heard yet. Kept before it is answered, so whoever was told it can come in. undefined: there are users already.
 */
export async function generateUser(
  broker: Broker,
  authenticator: Authenticator,
  passwords: Passwords,
  vhost: string,
): Promise<GeneratedUser | undefined> {
  const { users } = broker;
  if (users.size > 0) return undefined;
  const password = randomBytes(GENERATED_BYTES).toString('base64url');
  const hash = await passwords.hash(password);
  if (users.size > 0) return undefined; // somebody was faster
  makeAdministrator(broker, GENERATED_USER, vhost, hash);
  authenticator.vouch(GENERATED_USER, password);
  return { name: GENERATED_USER, password };
}

function makeAdministrator({ users, vhosts }: Broker, name: string, vhost: string, hash: PasswordHash): void {
  if (vhosts.get(vhost) === undefined) vhosts.put(vhost, {});
  users.put(name, { ...hash, tags: ['administrator'] });
  users.setPermissions(name, vhost, { configure: '.*', write: '.*', read: '.*' });
}

/** At once as far as logins go; resolves when its hash is kept too. */
export async function installDefaultUser(
  broker: Broker,
  authenticator: Authenticator,
  passwords: Passwords,
  user: DefaultUser,
): Promise<void> {
  const { users } = broker;
  const { name, password, vhost } = user;
  const known = users.record(name);
  if (known === undefined && users.size > 0 && !user.isConfigured) return;
  if (known === undefined) makeAdministrator(broker, name, vhost, { passwordHash: '', hashingAlgorithm: '' });
  const isUnfinished = known === undefined || known.hashingAlgorithm === ''; // or the process ended before the hash was there
  // What the configuration says is so from the first moment; guest may have another password by now.
  if (user.isConfigured || isUnfinished) authenticator.vouch(name, password);
  if (!user.isKept) return;
  const record = users.record(name);
  if (record === undefined || (!isUnfinished && ((await authenticator.lookAhead(name, password)) || !user.isConfigured))) return;
  const hash = await passwords.hash(password);
  if (users.record(name) !== record) return; // somebody was faster
  users.put(name, { ...hash, tags: record.tags });
  authenticator.vouch(name, password);
}
