// The hashes of passwords that a user may have, as RabbitMQ's definitions name and spell them.
// Always: whoever keeps one asks here first, so that no file and no request leaves a user behind who can never log in.
// Refuses: to make or compare them (server/identity/passwords.ts); to repeat one, which may be a password by mistake.

export const SCRYPT = 'leveret_scrypt';
export const RABBIT_SHA256 = 'rabbit_password_hashing_sha256';
export const RABBIT_SHA512 = 'rabbit_password_hashing_sha512';
export const HASHING_ALGORITHMS: readonly string[] = [RABBIT_SHA256, RABBIT_SHA512, SCRYPT];
/** What RabbitMQ means without a word about it, since 3.6. */
export const DEFAULT_HASHING = RABBIT_SHA256;

/** '' is a hash too: of nobody's password. White space does not count, as in RabbitMQ. */
export function isPasswordHash(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text.replace(/\s/g, ''));
}
