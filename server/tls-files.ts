// Certificates and keys as Node's TLS wants them, from the files that the configuration names.
// Always: what is answered makes a TLS context, so a mistake is found before anything listens or is replaced.

import { readFileSync } from 'node:fs';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { TlsConfig } from './config.ts';

/** Throws Node's error for a file that cannot be read, or that is no certificate or key. */
export function readTlsFiles(tls: TlsConfig): TlsOptions {
  const options: TlsOptions = {
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
    ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
    requestCert: tls.clientCertificate !== 'none',
    rejectUnauthorized: tls.clientCertificate === 'require',
    minVersion: 'TLSv1.2',
  };
  createSecureContext(options);
  return options;
}
