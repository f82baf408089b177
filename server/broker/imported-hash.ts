// Which hash a user's scrypt hash was made of: 32 bits of it, so that the definitions file it came from is known to ask for the same password.
// Always: they are told to nobody: not in exports, plans or events.
// Refuses: to be a secret, or a proof. They help nobody who guesses: beside the unknown salt, of 32 bits too, about one salt fits any password at all, and to try
// them all takes 2^32 hashes a guess, which is dearer than trying the scrypt hash. So 32 bits of FNV-1a do, and no cryptography is needed here.

import type { JsonObject } from '../../shared/protocol/control.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

interface Hash {
  readonly passwordHash: string;
  readonly hashingAlgorithm: string;
}

export function importedTagOf({ passwordHash, hashingAlgorithm }: Hash): string {
  let tag = FNV_OFFSET;
  for (const character of `${hashingAlgorithm} ${passwordHash}`) tag = Math.imul(tag ^ (character.codePointAt(0) ?? 0), FNV_PRIME) >>> 0;
  return tag.toString(16).padStart(8, '0');
}

/** Whether the user `now` has the very password that was hashed as `before`: the hash there is was made of it at a login. Both as records.ts keeps them. */
export function isMadeOf(now: JsonObject, before: JsonObject): boolean {
  const { passwordHash, hashingAlgorithm } = before;
  if (typeof passwordHash !== 'string' || typeof hashingAlgorithm !== 'string') return false;
  return now['importedTag'] === importedTagOf({ passwordHash, hashingAlgorithm });
}
