// When a certificate ends, for the health check that warns of it. Always: of a chain it is the first one, the server's own. Refuses: to read files.

import { X509Certificate } from 'node:crypto';
import type { TlsOptions } from 'node:tls';

/** In milliseconds since 1970, and as the certificate says it. */
export function certificateEnd({ cert }: TlsOptions): { readonly at: number; readonly text: string } | undefined {
  const first = Array.isArray(cert) ? cert[0] : cert;
  if (first === undefined) return undefined;
  const text = new X509Certificate(first).validTo;
  return { at: Date.parse(text), text };
}
