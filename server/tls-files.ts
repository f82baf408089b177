// Certificates and keys as Node's TLS wants them, from the files that the configuration names.
// Always: (1) what is answered makes a TLS context, so a mistake is found before anything listens or is replaced; (2) a mistake names the setting and the file.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { TlsConfig } from './config.ts';

/** Throws an error for a file that cannot be read, that is no certificate or key, or where one is not the other's. */
export function readTlsFiles(tls: TlsConfig): TlsOptions {
  const cert = readPart('cert', tls.cert);
  const key = readPart('key', tls.key);
  const ca = tls.ca === undefined ? {} : { ca: readPart('ca', tls.ca) };
  const options: TlsOptions = {
    ...{ cert, key, ...ca },
    requestCert: tls.clientCertificate !== 'none',
    rejectUnauthorized: tls.clientCertificate === 'require',
    minVersion: 'TLSv1.2',
  };
  check('tls.cert and tls.key', `${tls.cert} and ${tls.key} do not belong together`, () => createSecureContext(options));
  return options;
}

function readPart(part: 'cert' | 'key' | 'ca', path: string): Buffer {
  const setting = `tls.${part}`;
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw mistake(setting, `${path} cannot be read`, error);
  }
  check(setting, `${path} is no ${part === 'key' ? 'private key' : 'certificate'} in PEM`, () => {
    if (part === 'ca')
      new X509Certificate(bytes); // a context takes whatever there is for one, and trusts nobody then
    else createSecureContext({ [part]: bytes });
  });
  return bytes;
}

function check(setting: string, text: string, read: () => void): void {
  try {
    read();
  } catch (error) {
    throw mistake(setting, text, error);
  }
}

function mistake(setting: string, text: string, cause: unknown): Error {
  return new Error(`${setting}: ${text}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
