// One connection of leveret.v1 as operators see it, from hello to its end. It is one session, shown as channel 1.
// Always: what it says is read when it is asked. Refuses: to hold anything of its own but what never changes.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { SUBPROTOCOL } from '../../shared/protocol/control.ts';
import type { ConnectionView } from '../broker/connections.ts';
import { type Account, type Endpoint, endsOf, type Remote } from '../broker/login.ts';
import type { Session } from '../broker/session.ts';

/** What the view asks of its connection. */
export interface ViewedConnection {
  readonly receivedBytes: number;
  readonly sentBytes: number;
  shutDown(reason: string): void;
}

export class WebSocketConnectionView implements ConnectionView {
  readonly protocol = SUBPROTOCOL;
  readonly mechanism = 'hello';
  readonly frameMax = 0;
  readonly channelMax = 1;
  readonly heartbeatSeconds = 0;
  readonly name: string;
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly isTls: boolean;
  readonly account: Account;
  readonly vhost: string;
  readonly connectedAt: number;
  readonly clientProperties: FieldTable;
  readonly #connection: ViewedConnection;
  readonly #session: Session;

  constructor(
    connection: ViewedConnection,
    remote: Remote,
    session: Session,
    client: { readonly name?: string | undefined },
    connectedAt: number,
  ) {
    const { name, peer, local, isTls } = endsOf(remote);
    this.name = name;
    this.peer = peer;
    this.local = local;
    this.isTls = isTls;
    this.account = session.identity.account;
    this.vhost = session.vhost.name;
    this.connectedAt = connectedAt;
    this.clientProperties = new Map(client.name === undefined ? [] : [['connection_name', client.name]]);
    this.#connection = connection;
    this.#session = session;
  }

  get isBlocked(): boolean {
    return this.#session.publishers.wasToldBlocked;
  }
  get receivedBytes(): number {
    return this.#connection.receivedBytes;
  }
  get sentBytes(): number {
    return this.#connection.sentBytes;
  }
  *sessions(): Iterable<readonly [number, Session]> {
    yield [1, this.#session];
  }
  end(reason: string): void {
    this.#connection.shutDown(reason);
  }
}
