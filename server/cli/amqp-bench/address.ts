// Where an AMQP broker is and who asks, out of amqp://user:password@host:port/vhost.
// Always: (1) what a URL leaves out is guest, guest, 5672 (5671 with TLS) and the vhost "/"; (2) `shown` holds no password.
// RabbitMQ differs: there amqp://host/ is the vhost with the empty name; here it is "/", as most clients have it.

import { CliError, ExitCode } from '../exit-codes.ts';

export const AMQP_URL_EXAMPLE = 'amqp://user:password@host:5672/vhost';

export interface Address {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  /** For people: scheme, host and port. */
  readonly shown: string;
}

export function isAmqpUrl(url: string): boolean {
  return /^amqps?:/i.test(url);
}

/** Throws a usage error for what is no such URL. */
export function parseAddress(url: string, vhost?: string): Address {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || parsed.hostname === '') throw wrong(url);
  const isTls = parsed.protocol === 'amqps:';
  const port = parsed.port === '' ? (isTls ? 5671 : 5672) : Number(parsed.port);
  try {
    const path = decodeURIComponent(parsed.pathname.slice(1));
    return {
      host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      isTls,
      user: parsed.username === '' ? 'guest' : decodeURIComponent(parsed.username),
      password: parsed.password === '' && parsed.username === '' ? 'guest' : decodeURIComponent(parsed.password),
      vhost: vhost ?? (path === '' ? '/' : path),
      shown: `${parsed.protocol}//${parsed.hostname}:${port}`,
    };
  } catch (error) {
    if (error instanceof URIError) throw wrong(url);
    throw error;
  }
}

const wrong = (url: string): CliError =>
  new CliError(ExitCode.Usage, `--url is like ${AMQP_URL_EXAMPLE}, not ${url.replace(/\/\/[^@/]*@/, '//')}`);
