// Somebody who issues tokens: a key set behind a port of this process, and tokens signed with its keys.
// Always: `answer` is what the next requests get, so that a test can have the key set fail; `asked` counts them.

import { createServer, type RequestListener, type Server } from 'node:http';
import type { ServerOptions } from 'node:https';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export class TokenIssuer {
  readonly issuer = 'https://issuer.example';
  readonly keys: JWK[] = [];
  asked = 0;
  answer: RequestListener = (_request, response) => void response.end(JSON.stringify({ keys: this.keys }));
  readonly #server: Server;
  readonly #isTls: boolean;
  readonly #secrets = new Map<string, { key: CryptoKey; alg: string }>();

  private constructor(tls: ServerOptions | undefined) {
    const take: RequestListener = (request, response) => {
      this.asked++;
      this.answer(request, response);
    };
    this.#isTls = tls !== undefined;
    this.#server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  }

  static async start(tls?: ServerOptions): Promise<TokenIssuer> {
    const issuer = new TokenIssuer(tls);
    await new Promise<void>((resolve) => issuer.#server.listen(0, '127.0.0.1', resolve));
    await issuer.addKey('first');
    return issuer;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    const address = this.#server.address() as AddressInfo;
    return `${this.#isTls ? 'https' : 'http'}://127.0.0.1:${address.port}/keys`;
  }

  async addKey(kid: string, alg = 'ES256'): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    this.#secrets.set(kid, { key: privateKey, alg });
    this.keys.push({ ...(await exportJWK(publicKey)), kid, alg });
  }

  /** Claims stand beside those that make a token good at `nowMs` for five minutes; undefined takes one away. */
  async token(nowMs: number, claims: Readonly<Record<string, unknown>> = {}, kid = 'first'): Promise<string> {
    const secret = this.#secrets.get(kid);
    if (secret === undefined) throw new Error(`no key '${kid}'`);
    const good = { iss: this.issuer, aud: 'leveret', sub: 'orders-service', exp: Math.floor(nowMs / 1_000) + 300, scope: 'read:*/*' };
    return await new SignJWT({ ...good, ...claims }).setProtectedHeader({ alg: secret.alg, kid }).sign(secret.key);
  }

  /** A token whose payload is `payload` to the letter, rightly signed: for numbers that JavaScript would not write. */
  async signed(payload: string): Promise<string> {
    const { CompactSign } = await import('jose');
    const secret = this.#secrets.get('first');
    if (secret === undefined) throw new Error('no key');
    return await new CompactSign(new TextEncoder().encode(payload)).setProtectedHeader({ alg: secret.alg, kid: 'first' }).sign(secret.key);
  }
}
