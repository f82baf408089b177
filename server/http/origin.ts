// Requests that a browser makes for a page. A browser adds a password that it was once told to whatever a page asks of this server, so the page counts.
// Always: (1) a page of another origin is refused, whatever it asks; (2) a page of this server changes things with `application/json`, which no form can
// send (security.md, 4); (3) who is no browser, and so says neither Origin nor Sec-Fetch-Site, is let through: curl, rabbitmqadmin, scripts.
// Refuses: cookies. Where a GET takes messages (/v1), api.ts asks no browser for a password, for an image of another page names no origin.

import { HttpError } from './http-error.ts';

/** Throws 403 for a page of another origin, 415 for a form; `isRaw`: the content type is the message's. */
export function checkOrigin({ headers, method }: Request, isRaw: boolean): void {
  const origin = headers.get('origin');
  const site = headers.get('sec-fetch-site');
  if (origin === null && site === null) return;
  if (origin !== null && !isOurs(origin, headers.get('host'))) throw foreign(origin.slice(0, 200));
  // 'none': somebody typed the address.
  if (site !== null && site !== 'same-origin' && site !== 'none') throw foreign('another site');
  if (isRaw || (method !== 'POST' && method !== 'PUT')) return;
  const type = headers.get('content-type');
  if (type === null || /^application\/json *(;|$)/i.test(type)) return;
  throw new HttpError(415, 'unsupported_media_type', `a page sends application/json, not ${type.slice(0, 100)}`, {
    hint: 'whatever no browser sends may be of any type',
  });
}

/** Behind a proxy that ends TLS the scheme is another one. */
function isOurs(origin: string, host: string | null): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}

function foreign(where: string): HttpError {
  return new HttpError(403, 'not_authorised', `pages from ${where} may not use this API`, { hint: 'ask from a page of this server' });
}
