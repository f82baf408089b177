// One AMQP connection as operators see it, from connection.open to its end.
// Always: what it says is read when it is asked. Refuses: to hold anything of its own but what never changes.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { ConnectionView } from '../broker/connections.ts';
import { type Account, type Endpoint, endsOf, type Remote } from '../broker/login.ts';
import type { Session } from '../broker/session.ts';
import type { AlarmNotice } from './alarm-notice.ts';
import type { Channels } from './channels.ts';
import type { Outbox } from './outbox.ts';

/** What the view asks of its connection. */
export interface ViewedConnection {
  readonly receivedBytes: number;
  readonly heartbeatSeconds: number;
  readonly outbox: Outbox;
  readonly alarmNotice: AlarmNotice;
  fail(error: AmqpError, key: number): void;
}

export interface ViewFacts {
  readonly account: Account;
  readonly vhost: string;
  readonly mechanism: string;
  readonly connectedAt: number;
  readonly clientProperties: FieldTable;
}

export class AmqpConnectionView implements ConnectionView {
  readonly protocol = 'AMQP 0-9-1';
  readonly name: string;
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly isTls: boolean;
  readonly account: Account;
  readonly vhost: string;
  readonly mechanism: string;
  readonly connectedAt: number;
  readonly clientProperties: FieldTable;
  readonly #connection: ViewedConnection;
  readonly #channels: Channels;

  constructor(connection: ViewedConnection, channels: Channels, remote: Remote, facts: ViewFacts) {
    const { name, peer, local, isTls } = endsOf(remote);
    this.name = name;
    this.peer = peer;
    this.local = local;
    this.isTls = isTls;
    this.account = facts.account;
    this.vhost = facts.vhost;
    this.mechanism = facts.mechanism;
    this.connectedAt = facts.connectedAt;
    this.clientProperties = facts.clientProperties;
    this.#connection = connection;
    this.#channels = channels;
  }

  get isBlocked(): boolean {
    return this.#connection.alarmNotice.isTold;
  }
  get receivedBytes(): number {
    return this.#connection.receivedBytes;
  }
  get sentBytes(): number {
    return this.#connection.outbox.sentBytes;
  }
  get frameMax(): number {
    return this.#connection.outbox.frameMax;
  }
  get channelMax(): number {
    return this.#channels.max;
  }
  get heartbeatSeconds(): number {
    return this.#connection.heartbeatSeconds;
  }
  sessions(): Iterable<readonly [number, Session]> {
    return this.#channels.sessions();
  }
  end(reason: string): void {
    this.#connection.fail(new AmqpError(ReplyCode.ConnectionForced, reason), 0); // the operator's text alone, as RabbitMQ has it
  }
}
