// Passwords and their hashes: ours are scrypt, those that came with a RabbitMQ definitions file are its salted SHA-256 or SHA-512.
//
//   leveret_scrypt                     base64(log2 N: u8, r: u8, p: u8, salt: 16, key: 32)      RFC 7914
//   rabbit_password_hashing_sha256     base64(salt: 4, SHA-256(salt, password))                 RabbitMQ, Passwords
//   rabbit_password_hashing_sha512     base64(salt: 4, SHA-512(salt, password))
//
// Always: (1) a wrong password takes as long as a scrypt whatever its hash is, and a comparison the same time whatever differs; (2) scrypt runs beside
// the event loop, SCRYPT_AT_ONCE at a time, QUEUE_MAX wait for it (fair-queue.ts); (3) a blank password fits no hash.
// Refuses: to say anything of a password, in an error or elsewhere.

import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { RABBIT_SHA256, RABBIT_SHA512, SCRYPT } from '../broker/password-hash.ts';
import { FairQueue } from './fair-queue.ts';

export interface PasswordHash {
  readonly passwordHash: string;
  readonly hashingAlgorithm: string;
}

// security.md, 1: N = 2^15, r = 8, p = 1: 32 MiB and about 60 ms.
const LOG_N = 15;
const R = 8;
const P = 1;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const HEAD_BYTES = 3;
/** What a scrypt takes. */
interface Cost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

// What an imported hash may ask of us.
const LOG_N_MAX = 17;
const R_MAX = 8;
const P_MAX = 4;
const RABBIT_SALT_BYTES = 4;
const SCRYPT_AT_ONCE = 2;
const QUEUE_MAX = 256; // eight seconds of hashing: a handshake has ten

export class Passwords {
  /** For a user who is not there: comparing with it takes as long as for one who is. */
  readonly nobodys: PasswordHash;
  readonly #logN: number;
  readonly #queue = new FairQueue(SCRYPT_AT_ONCE, QUEUE_MAX);

  /** `logN`: the cost of new hashes, log2 N. */
  constructor(logN = LOG_N) {
    this.#logN = logN;
    const bytes = Buffer.concat([Buffer.from([logN, R, P]), Buffer.alloc(SALT_BYTES + KEY_BYTES)]);
    this.nobodys = { passwordHash: bytes.toString('base64'), hashingAlgorithm: SCRYPT };
  }

  /** Throws 406 for a blank password. */
  async hash(password: string): Promise<PasswordHash> {
    if (password === '') throw new AmqpError(ReplyCode.PreconditionFailed, 'a password cannot be blank');
    const salt = randomBytes(SALT_BYTES);
    const key = await this.#derive('', password, salt, { logN: this.#logN, r: R, p: P });
    return { passwordHash: Buffer.concat([Buffer.from([this.#logN, R, P]), salt, key]).toString('base64'), hashingAlgorithm: SCRYPT };
  }

  /** Whether `password`, which came from the address `from`, is the one that was hashed. Rejects with 506 when too many wait. */
  async fits(password: string, { passwordHash, hashingAlgorithm }: PasswordHash, from = ''): Promise<boolean> {
    const bytes = Buffer.from(passwordHash, 'base64');
    if (password === '') return false;
    if (hashingAlgorithm === SCRYPT && isReadable(bytes)) return await this.#fitsScrypt(password, bytes, from);
    const fits =
      (hashingAlgorithm === RABBIT_SHA256 && fitsRabbit(password, bytes, 'sha256', 32)) ||
      (hashingAlgorithm === RABBIT_SHA512 && fitsRabbit(password, bytes, 'sha512', 64));
    // A fast no would tell an imported user from one who is not there.
    return fits || (await this.fits(password, this.nobodys, from));
  }

  async #fitsScrypt(password: string, bytes: Buffer, from: string): Promise<boolean> {
    const [logN = 0, r = 0, p = 0] = bytes;
    const key = await this.#derive(from, password, bytes.subarray(HEAD_BYTES, HEAD_BYTES + SALT_BYTES), { logN, r, p });
    return timingSafeEqual(key, bytes.subarray(HEAD_BYTES + SALT_BYTES));
  }

  async #derive(from: string, password: string, salt: Buffer, { logN, r, p }: Cost): Promise<Buffer> {
    await this.#queue.enter(from);
    try {
      const N = 2 ** logN;
      return await new Promise((resolve, reject) => {
        scrypt(password, salt, KEY_BYTES, { N, r, p, maxmem: 256 * N * r }, (error, key) => {
          if (error === null) resolve(key);
          else reject(error);
        });
      });
    } finally {
      this.#queue.leave();
    }
  }
}

/** A scrypt hash whose numbers are none that would cost too much. */
function isReadable(bytes: Buffer): boolean {
  const [logN = 0, r = 0, p = 0] = bytes;
  const isCheap = logN > 0 && logN <= LOG_N_MAX && r > 0 && r <= R_MAX && p > 0 && p <= P_MAX;
  return isCheap && bytes.length === HEAD_BYTES + SALT_BYTES + KEY_BYTES;
}

function fitsRabbit(password: string, bytes: Buffer, algorithm: 'sha256' | 'sha512', hashBytes: number): boolean {
  if (bytes.length !== RABBIT_SALT_BYTES + hashBytes) return false;
  return timingSafeEqual(rabbitHash(password, algorithm, bytes.subarray(0, RABBIT_SALT_BYTES)), bytes);
}

/** Salt and hash, as a definitions file has them in base64. One round is what RabbitMQ takes; ours replaces it at the first login. */
export function rabbitHash(
  password: string,
  algorithm: 'sha256' | 'sha512' = 'sha256',
  salt: Buffer = randomBytes(RABBIT_SALT_BYTES),
): Buffer {
  return Buffer.concat([salt, createHash(algorithm).update(salt).update(password).digest()]);
}
