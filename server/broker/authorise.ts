// The one place that says no for want of a right: every protocol's operations and every HTTP route come through `authorise`.
// Always: (1) NEEDED names every operation there is, and what it needs, as RabbitMQ's documentation of access control has it; (2) a refusal names what
// was refused, to whom, and what would allow it; (3) looking (passive declare, inspect, a sample) needs any one right on what is looked at (RabbitMQ 4.3.1).
// Refuses: to know who somebody is (login.ts) or what patterns match (rights.ts).

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Account, Tag } from './login.ts';
import { describe, type NamedKind } from './names.ts';
import { RIGHTS, type Right } from './rights.ts';

/** Who does it, and where. */
export interface Actor {
  readonly account: Account;
  readonly vhost: string;
}

/** The exchanges and queues an operation is about. */
export interface Named {
  readonly exchange?: string;
  readonly queue?: string;
  /** Of a binding between exchanges. */
  readonly source?: string;
  readonly destination?: string;
  /** Where a queue's dead letters, or what an exchange cannot route, would go. */
  readonly target?: string;
  readonly key?: string;
}

interface Need {
  readonly right: Right | 'any';
  readonly of: 'exchange' | 'queue' | 'source' | 'destination' | 'target';
  /** The routing key is asked about too. */
  readonly key?: true;
}
const need = (right: Right | 'any', of: Need['of']): Need => ({ right, of });

/** What each operation needs. */
export const NEEDED = {
  'exchange.declare': [need('configure', 'exchange')],
  'exchange.declare alternate': [need('read', 'exchange'), need('write', 'target')],
  'exchange.inspect': [need('any', 'exchange')],
  'exchange.delete': [need('configure', 'exchange')],
  'exchange.bind': [need('write', 'destination'), { right: 'read', of: 'source', key: true }],
  'exchange.unbind': [need('write', 'destination'), { right: 'read', of: 'source', key: true }],
  'queue.declare': [need('configure', 'queue')],
  'queue.declare dead-letter': [need('read', 'queue'), need('write', 'target')],
  'queue.inspect': [need('any', 'queue')],
  'queue.bind': [need('write', 'queue'), { right: 'read', of: 'exchange', key: true }],
  'queue.unbind': [need('write', 'queue'), { right: 'read', of: 'exchange', key: true }],
  'queue.purge': [need('read', 'queue')],
  'queue.delete': [need('configure', 'queue')],
  'basic.publish': [{ right: 'write', of: 'exchange', key: true }],
  'basic.consume': [need('read', 'queue')],
  'basic.get': [need('read', 'queue')],
  'tap.open': [{ right: 'read', of: 'exchange', key: true }],
  /** Of each queue that a sample shows; it leaves out the others (sight.ts). */
  stats: [need('any', 'queue')],
} satisfies Readonly<Record<string, readonly Need[]>>;
export type Operation = keyof typeof NEEDED;

/** Throws 403 unless `actor` has every right that `operation` needs on what is named. */
export function authorise(actor: Actor, operation: Operation, named: Named): void {
  const needs: readonly Need[] = NEEDED[operation];
  for (const { right, of, key } of needs) {
    const name = named[of] ?? '';
    check(actor, right, of === 'queue' ? 'queue' : 'exchange', name);
    if (key && right !== 'any' && right !== 'configure') checkKey(actor, right, name, named.key ?? '');
  }
}

export function mayDo(actor: Actor, operation: Operation, named: Named): boolean {
  try {
    authorise(actor, operation, named);
    return true;
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    return false;
  }
}

/** Throws 403 unless the account has `tag`, or one that includes it: what HTTP routes need beside rights on what they name. */
export function requireTag(account: Account, tag: Tag): void {
  if (hasTag(account, tag)) return;
  throw new AmqpError(ReplyCode.AccessRefused, `user '${account.name}' is not tagged ${tag}`, {
    hint: `an administrator may tag it ${tag}: PUT /api/users/{name}`,
  });
}

/** The tags that include another (RabbitMQ, Management Plugin: Permissions). */
const INCLUDED: { readonly [Name in Tag]: readonly Tag[] } = {
  administrator: ['administrator'],
  monitoring: ['monitoring', 'administrator'],
  policymaker: ['policymaker', 'administrator'],
  management: ['management', 'policymaker', 'monitoring', 'administrator'],
  impersonator: ['impersonator'],
};

export function hasTag(account: Account, tag: Tag): boolean {
  return INCLUDED[tag].some((each) => account.tags.has(each));
}

function check({ account, vhost }: Actor, right: Right | 'any', kind: NamedKind, name: string): void {
  const rights = account.rights(vhost);
  const isAllowed = right === 'any' ? RIGHTS.some((each) => rights?.may(each, name)) : rights?.may(right, name);
  if (isAllowed) return;
  const shown = kind === 'exchange' && name === '' ? 'amq.default' : name;
  throw new AmqpError(ReplyCode.AccessRefused, `access to ${describe(kind, shown, vhost)} refused for user '${account.name}'`, {
    path: `/${kind}`,
    hint:
      right === 'any'
        ? `it needs a right on the name (configure, write or read)`
        : `it needs the right to ${right} it; an administrator may grant that: PUT /api/permissions/{vhost}/{user}`,
  });
}

function checkKey({ account, vhost }: Actor, right: 'write' | 'read', exchange: string, key: string): void {
  if (account.rights(vhost)?.mayRoute(right, exchange, key)) return;
  throw new AmqpError(
    ReplyCode.AccessRefused,
    `access to topic '${key}' in ${describe('exchange', exchange, vhost)} refused for user '${account.name}'`,
    { path: '/key', hint: `its topic permissions for this exchange do not ${right} such keys` },
  );
}
