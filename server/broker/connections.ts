// The connections that are open, as operators see them: whose they are, what they do, and how to end one. Every protocol registers its own here.
// Always: (1) a connection is here from its login to its end; (2) a vhost's and a user's limit on connections, and the limit for every user, hold when it is added.
// Refuses: sockets. Who is one too many before login, admissions.ts decides.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { connectionEndFields, connectionFields } from './event-fields.ts';
import type { Events } from './events.ts';
import type { Account, Endpoint } from './login.ts';
import type { Session } from './session.ts';

export interface ConnectionView {
  /** As RabbitMQ names it: `127.0.0.1:54321 -> 127.0.0.1:5672`. */
  readonly name: string;
  readonly account: Account;
  readonly vhost: string;
  /** 'AMQP 0-9-1' or 'leveret.v1'. */
  readonly protocol: string;
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly isTls: boolean;
  /** PLAIN, AMQPLAIN, EXTERNAL, hello. */
  readonly mechanism: string;
  readonly connectedAt: number;
  readonly clientProperties: FieldTable;
  /** What was agreed on; 0 where the protocol has none. */
  readonly frameMax: number;
  readonly channelMax: number;
  readonly heartbeatSeconds: number;
  /** It has published under an alarm, and is held back until that is over. */
  readonly isBlocked: boolean;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** By channel number; a connection of leveret.v1 is one session, with number 1. */
  sessions(): Iterable<readonly [channel: number, session: Session]>;
  /** Ends it with 320 CONNECTION_FORCED. */
  end(reason: string): void;
}
export class Connections implements Iterable<ConnectionView> {
  /** Since the start. */
  openedCount = 0;
  closedCount = 0;
  /** Of connections that are closed. */
  closedReceivedBytes = 0;
  closedSentBytes = 0;
  readonly #views = new Set<ConnectionView>();
  readonly #byVhost = new Map<string, number>();
  readonly #byUser = new Map<string, number>();
  readonly #events: Events;
  readonly #perUserMax: number;
  readonly #vhostMax: (vhost: string) => number;

  /** `vhostMax`: -1 for none. */
  constructor(perUserMax: number, vhostMax: (vhost: string) => number, events: Events) {
    this.#events = events;
    this.#perUserMax = perUserMax;
    this.#vhostMax = vhostMax;
  }

  get size(): number {
    return this.#views.size;
  }
  [Symbol.iterator](): Iterator<ConnectionView> {
    return this.#views.values();
  }
  countOf(vhost: string): number {
    return this.#byVhost.get(vhost) ?? 0;
  }

  /** Throws 530 where a limit is reached. RabbitMQ's texts. */
  check(account: Account, vhost: string): void {
    const { maxConnections } = account.limits;
    const ofUser = this.#byUser.get(account.name) ?? 0;
    const vhostMax = this.#vhostMax(vhost);
    if (vhostMax >= 0 && this.countOf(vhost) >= vhostMax)
      throw new AmqpError(
        ReplyCode.NotAllowed,
        `access to vhost '${vhost}' refused for user '${account.name}': connection limit (${vhostMax}) is reached`,
        {
          path: '/vhost',
          hint: `the vhost's limit max-connections allows no more: PUT /api/vhost-limits/{vhost}/max-connections`,
        },
      );
    if (maxConnections >= 0 && ofUser >= maxConnections)
      throw new AmqpError(
        ReplyCode.NotAllowed,
        `connection refused for user '${account.name}': user connection limit (${maxConnections}) is reached`,
        {
          hint: `the user's limit max-connections allows no more: PUT /api/user-limits/{user}/max-connections`,
        },
      );
    if (ofUser >= this.#perUserMax)
      throw new AmqpError(
        ReplyCode.NotAllowed,
        `connection refused for user '${account.name}': more than ${this.#perUserMax} connections of one user`,
        {
          hint: 'share connections: each has many channels',
        },
      );
  }

  /** Throws 530 where the user's limit on channels is reached. RabbitMQ's text. */
  checkChannels({ name, limits }: Account): void {
    if (limits.maxChannels < 0) return;
    let open = 0;
    for (const view of this.#views) if (view.account.name === name) open += [...view.sessions()].length;
    if (open < limits.maxChannels) return;
    throw new AmqpError(
      ReplyCode.NotAllowed,
      `number of channels opened for user '${name}' has reached the maximum allowed user limit of (${limits.maxChannels})`,
      {
        hint: `the user's limit max-channels allows no more: PUT /api/user-limits/{user}/max-channels`,
      },
    );
  }

  /** The user was deleted: its connections end, as in RabbitMQ. */
  endOf(user: string): void {
    for (const view of [...this.#views]) if (view.account.name === user) view.end(`user '${user}' was deleted`);
  }

  add(view: ConnectionView): void {
    this.#views.add(view);
    this.openedCount++;
    count(this.#byVhost, view.vhost, 1);
    count(this.#byUser, view.account.name, 1);
    this.#events.tell('connection.created', () => connectionFields(view), view.account.name);
  }

  remove(view: ConnectionView): void {
    if (!this.#views.delete(view)) return;
    this.closedCount++;
    this.closedReceivedBytes += view.receivedBytes;
    this.closedSentBytes += view.sentBytes;
    count(this.#byVhost, view.vhost, -1);
    count(this.#byUser, view.account.name, -1);
    this.#events.tell('connection.closed', () => connectionEndFields(view), view.account.name);
  }
}

function count(counts: Map<string, number>, name: string, change: number): void {
  const now = (counts.get(name) ?? 0) + change;
  if (now > 0) counts.set(name, now);
  else counts.delete(name);
}
