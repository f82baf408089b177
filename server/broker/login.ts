// Who may come in, as every protocol asks it, and who they are then. How they prove it is somebody else's (server/identity/).
// Always: (1) a refusal waits LOGIN_DELAY_MS before its peer hears of it, so that guessing is slow; (2) `done` is called once: at once where the answer
// is known already, later where a password has to be hashed or a key fetched.
// Refuses: to know how passwords are kept.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { everyRight, type Rights } from './rights.ts';

/** security.md: auth failures, 1 s delay. */
export const LOGIN_DELAY_MS = 1000;

/** What a user may do with the management API (RabbitMQ, Management Plugin: Permissions), and `impersonator` (Validated User-ID). */
export const TAGS = ['management', 'policymaker', 'monitoring', 'administrator', 'impersonator'] as const;
export type Tag = (typeof TAGS)[number];

/** Somebody who has logged in. Live: what an administrator changes shows at once. */
export interface Account {
  readonly name: string;
  /** Those that mean nothing here are kept, as in RabbitMQ. */
  readonly tags: ReadonlySet<string>;
  /** undefined: this vhost is closed to them. */
  rights(vhost: string): Rights | undefined;
  /** -1 for none (RabbitMQ, Per-User Limits). */
  readonly limits: AccountLimits;
  /** Until when the login is good; undefined for ever (lease.ts). */
  readonly expiresAt?: number | undefined;
  /** Goes on as `next`, a later login of the same user. False where it cannot, and has changed nothing. */
  renew?(next: Account): boolean;
}
/** Who a session speaks for. */
export interface Identity {
  readonly account: Account;
  readonly vhost: string;
  /** Of the connection, for people. */
  readonly name: string;
}

export interface AccountLimits {
  readonly maxConnections: number;
  readonly maxChannels: number;
}
export const NO_LIMITS: AccountLimits = { maxConnections: -1, maxChannels: -1 };

/** The process itself, or whoever embeds the broker: may do everything. */
export function trustedAccount(name: string): Account {
  return { name, tags: new Set(['administrator']), rights: () => everyRight, limits: NO_LIMITS };
}

export interface Login {
  /** A name and a password, or a token in its place. Where nobody had time to look, the outcome is a TooManyLogins. */
  check(user: string, password: string, remote: Remote, done: (outcome: Account | AmqpError) => void): void;
  /** The user whom a client certificate that the server has verified stands for. Throws an AmqpError 403. */
  certified(commonName: string, remote: Remote): Account;
}

/** Nobody looked whether it was right. To AMQP a refusal like every other; HTTP has a status for it. */
export class TooManyLogins extends AmqpError {
  constructor() {
    super(ReplyCode.AccessRefused, 'login was refused: too many logins at once', { hint: 'try again in a moment' });
  }
}

/** Who is on the other side, as far as the transport can tell. */
export interface Remote {
  readonly name: string;
  /** Of its host, as text. */
  readonly address: string;
  readonly isLoopback: boolean;
  /** Where the transport has any. */
  readonly ends?: RemoteEnds;
}
export interface RemoteEnds {
  readonly peerPort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly isTls: boolean;
}

/** What operators are told of it; the name is RabbitMQ's. */
export function endsOf({ name, address, ends }: Remote): { name: string; peer: Endpoint; local: Endpoint; isTls: boolean } {
  if (ends === undefined) return { name, peer: { host: address, port: 0 }, local: { host: '', port: 0 }, isTls: false };
  const { peerPort, localAddress, localPort, isTls } = ends;
  const peer = { host: address, port: peerPort };
  const local = { host: localAddress, port: localPort };
  return { name: `${address}:${peerPort} -> ${localAddress}:${localPort}`, peer, local, isTls };
}

/** One end of a connection. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}
