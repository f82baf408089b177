// The public keys that tokens are signed with: a JSON Web Key Set (RFC 7517) at an address that the configuration names.
// Always: (1) it comes by https under a verified certificate, or by http from this machine alone, and no redirect is followed; (2) an answer that is no
// 200, no key set, longer than DOCUMENT_BYTES_MAX or of more than KEYS_MAX keys changes nothing: the keys there are stay; (3) it is asked for at most once
// in ASKED_MS, when a token names a key that is not there or the keys are older than FRESH_MS, and whoever waits for it waits together.
// Refuses: addresses that a token names (jku, x5u), and to say more of a failure to a peer than that the keys are not there.

import { type ClientRequest, get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import type { CryptoKey, FlattenedJWSInput, JWSHeaderParameters } from 'jose';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Clock, Notices } from '../ports.ts';

// security.md, 1: cap its size, refresh at most once a minute. A key of RSA 4096 takes 800 bytes.
const DOCUMENT_BYTES_MAX = 65_536;
const KEYS_MAX = 64;
const ASKED_MS = 60_000;
const FRESH_MS = 600_000;
const ANSWER_MS_MAX = 5_000;

type FindKey = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

export class KeySet {
  readonly #url: URL;
  readonly #clock: Clock;
  readonly #notices: Notices;
  #find: FindKey | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #cameAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;
  readonly #end = new AbortController();

  /** Throws what `keySetUrl` does. */
  constructor(url: string, clock: Clock, notices: Notices) {
    this.#url = keySetUrl(url);
    this.#clock = clock;
    this.#notices = notices;
  }

  /** The key of this header. Rejects with jose's errors, or with 403 when there are no keys at all. */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const { errors } = await import('jose');
    if (this.#clock.now() >= this.#cameAt + FRESH_MS) await this.#refresh();
    try {
      return await this.#known(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#refresh();
      return await this.#known(header, token);
    }
  }

  /** Fetches them, where there are none yet. */
  async prepare(): Promise<void> {
    if (this.#find === undefined) await this.#refresh();
  }

  /** Gives up what is being fetched. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#asking;
  }

  async #known(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    if (this.#find !== undefined) return await this.#find(header, token);
    throw new AmqpError(ReplyCode.AccessRefused, 'login was refused: the keys that tokens are checked with could not be fetched', {
      hint: "the server's log says why; try again in a minute",
    });
  }

  async #refresh(): Promise<void> {
    if (this.#asking === undefined) {
      if (this.#clock.now() < this.#askedAt + ASKED_MS) return;
      this.#askedAt = this.#clock.now();
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
      });
    }
    await this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      this.#find = await readKeys(await fetchText(this.#url, this.#clock, this.#end.signal));
      this.#cameAt = this.#clock.now();
    } catch (error) {
      if (this.#end.signal.aborted) return;
      const why = error instanceof Error ? error.message : String(error);
      const text = `the keys that tokens are checked with were not fetched: ${why}`;
      this.#notices.notice({ kind: 'token.keys', severity: 'warn', text, fields: { url: `${this.#url.origin}${this.#url.pathname}` } });
    }
  }
}

/** Throws 406 for an address that keys may not come from. */
export function keySetUrl(text: string): URL {
  const refuse = (why: string): AmqpError =>
    new AmqpError(ReplyCode.PreconditionFailed, `invalid address of a key set: ${why}`, {
      hint: 'https://..., or http:// to a loopback address; without user or password',
    });
  if (!URL.canParse(text)) throw refuse('it is no URL');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') throw refuse('it holds a user or a password');
  const isHere = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(\.\d+){3}$/.test(url.hostname);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isHere)) return url;
  throw refuse(`'${url.protocol}//${url.host}' is not https`);
}

async function readKeys(text: string): Promise<FindKey> {
  const { createLocalJWKSet } = await import('jose');
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new Error('the answer is no JSON'); // the parser's own words would quote it
  }
  const keys: unknown = typeof set === 'object' && set !== null && 'keys' in set ? set.keys : undefined;
  if (!Array.isArray(keys)) throw new Error('the answer is no key set');
  if (keys.length > KEYS_MAX) throw new Error(`${keys.length} keys are more than ${KEYS_MAX}`);
  return createLocalJWKSet({ keys });
}

function fetchText(url: URL, clock: Clock, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const take = (response: IncomingMessage): void => readBody(response, resolve, reject);
    const headers = { accept: 'application/json' };
    // rejectUnauthorized is said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED=0 does not open this door; agent: no socket outlives its answer.
    const request: ClientRequest =
      url.protocol === 'https:'
        ? getHttps(url, { headers, signal, agent: false, rejectUnauthorized: true }, take)
        : getHttp(url, { headers, signal, agent: false }, take);
    const timer = clock.setTimer(clock.now() + ANSWER_MS_MAX, () => {
      request.destroy(new Error(`no answer within ${ANSWER_MS_MAX} ms`));
    });
    request.on('error', (error) => {
      timer.cancel();
      reject(error);
    });
    request.on('close', () => timer.cancel());
  });
}

function readBody(response: IncomingMessage, resolve: (text: string) => void, reject: (error: Error) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on('error', reject);
  response.on('close', () => reject(new Error('the answer broke off')));
  if (response.statusCode !== 200) {
    reject(new Error(`the answer is ${response.statusCode ?? 'none'}, not 200`));
    response.destroy();
    return;
  }
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DOCUMENT_BYTES_MAX) response.destroy(new Error(`the answer is longer than ${DOCUMENT_BYTES_MAX} bytes`));
    else chunks.push(chunk);
  });
  response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
}
