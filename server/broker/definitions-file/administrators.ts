// Whether somebody who may manage the broker can still come in once a plan is carried out.
// Always: (1) an administrator with a hash that some password fits is enough; (2) so is who asks, where tag and hash stay: the way they came in is open; (3) where no
// administrator had a password before (certificates, an embedded broker's guest), one who stays as they are is enough.
// Refuses: to look at passwords: a hash counts by its algorithm and its length.

import type { Thing } from './thing.ts';

// In base64, as passwords.ts has them: 4 + 32, 4 + 64 and 3 + 16 + 32 bytes.
const HASHES: ReadonlyMap<unknown, RegExp> = new Map([
  ['rabbit_password_hashing_sha256', /^[\w+/-]{48}$/],
  ['rabbit_password_hashing_sha512', /^[\w+/-]{91}=?$/],
  ['leveret_scrypt', /^[\w+/-]{68}$/],
]);

export function isAdministrator({ kind, value }: Thing): boolean {
  const tags = value['tags'];
  return kind === 'user' && Array.isArray(tags) && tags.includes('administrator');
}

/** `caller`: who asks; undefined for the process itself. */
export function isManageable(before: readonly Thing[], after: readonly Thing[], caller: string | undefined): boolean {
  const had = new Map(before.filter(isAdministrator).map((thing) => [thing.key[0], thing]));
  if (had.size === 0) return true; // as it was
  const hadPassword = [...had.values()].some(hasPassword);
  return after.filter(isAdministrator).some((thing) => {
    if (hasPassword(thing)) return true;
    const [name] = thing.key;
    const isKept = ['passwordHash', 'hashingAlgorithm'].every((field) => had.get(name)?.value[field] === thing.value[field]);
    return isKept && (name === caller || !hadPassword);
  });
}

function hasPassword({ value }: Thing): boolean {
  return HASHES.get(value['hashingAlgorithm'])?.test(String(value['passwordHash'])) ?? false;
}
